//! Which packets of a stream a copy takes: pictures from a key frame on, sound from the clip's start on, and both up to its end. Pure; media
//! time in nanoseconds, packets in the order of decoding.

use super::sequence::Stamped;

/// Times of key frames that went through containers are this far off at most.
const ROUNDING: i64 = 2_000_000;
/// Muxers take sound that begins before zero for sound that begins at zero: only a rounding may lie there.
const SOUND_ROUNDING: i64 = 1000;

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    Drop,
    Take,
    /// Neither this one nor any behind it.
    End,
}

/// Lets packets through.
#[derive(Debug, Default)]
pub struct Gate {
    /// `None`: from the first key frame of the stream.
    start: Option<i64>,
    end: Option<i64>,
    is_film: bool,
    /// When the first key frame is shown.
    key: Option<i64>,
}

impl Gate {
    pub fn new(start: Option<i64>, end: Option<i64>, is_film: bool) -> Self {
        Self {
            start,
            end,
            is_film,
            key: None,
        }
    }

    /// Whether nothing is cut off.
    pub fn is_whole(&self) -> bool {
        self.start.is_none() && self.end.is_none()
    }

    /// Whether a packet went through.
    pub fn is_open(&self) -> bool {
        self.key.is_some()
    }

    pub fn judge(&mut self, packet: Stamped, is_key: bool) -> Pass {
        let begin = if self.is_film { packet.decoded } else { packet.shown };
        if self.end.is_some_and(|end| begin >= end) {
            return Pass::End;
        }
        let Some(key) = self.key else {
            let begins = match self.is_film {
                true => is_key && self.start.is_none_or(|start| packet.shown >= start - ROUNDING),
                false => self.start.is_none_or(|start| packet.shown >= start - SOUND_ROUNDING),
            };
            self.key = begins.then_some(packet.shown);
            return if begins { Pass::Take } else { Pass::Drop };
        };
        // What is shown before the first key frame refers to what was left out.
        let leads = self.is_film && packet.shown < key;
        if leads { Pass::Drop } else { Pass::Take }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    fn packet(shown: i64, decoded: i64) -> Stamped {
        Stamped {
            shown: shown * MS,
            decoded: decoded * MS,
            length: 40 * MS,
        }
    }

    #[test]
    fn a_film_begins_with_a_key_frame_and_ends_in_the_order_of_decoding() {
        let mut gate = Gate::new(Some(1000 * MS), Some(1100 * MS), true);
        assert_eq!(gate.judge(packet(0, -80), true), Pass::Drop);
        assert_eq!(gate.judge(packet(1020, 900), false), Pass::Drop);
        assert_eq!(gate.judge(packet(999, 920), true), Pass::Take);
        assert_eq!(gate.judge(packet(960, 960), false), Pass::Drop, "it leads");
        assert_eq!(gate.judge(packet(1120, 1000), false), Pass::Take, "others refer to it");
        assert_eq!(gate.judge(packet(1040, 1040), false), Pass::Take);
        assert_eq!(gate.judge(packet(1200, 1100), false), Pass::End);
    }

    #[test]
    fn sound_begins_and_ends_inside() {
        let mut gate = Gate::new(Some(1000 * MS), Some(1100 * MS), false);
        assert_eq!(gate.judge(packet(990, 990), true), Pass::Drop);
        assert_eq!(gate.judge(packet(1030, 1030), true), Pass::Take);
        assert_eq!(gate.judge(packet(1090, 1090), true), Pass::Take);
        assert_eq!(gate.judge(packet(1100, 1100), true), Pass::End);
        assert!(gate.is_open() && !gate.is_whole());
    }

    #[test]
    fn the_whole_stream_begins_with_its_first_key_frame() {
        let mut gate = Gate::new(None, None, true);
        assert_eq!(gate.judge(packet(0, 0), false), Pass::Drop);
        assert_eq!(gate.judge(packet(40, 40), true), Pass::Take);
        assert!(gate.is_whole());
    }
}
