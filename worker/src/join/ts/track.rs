//! What is known of one stream of the joined file: how far it is, and its counter of packets.

use std::collections::VecDeque;

use super::{packet::near, unit::ticks};
use crate::join::adts;

/// Decoding times that the pace is measured over.
const PACE_OVER: usize = 32;
/// Most bytes of a unit of sound that are kept to count its frames.
const MOST_SOUND_BYTES: usize = 256 * 1024;
/// How much sound may be cut off at a joint: what an encoder puts in front of its first samples, and the rest of a frame.
const MAY_CUT: i64 = 9_000;

/// One stream of the joined file.
#[derive(Debug, Default)]
pub struct Track {
    pub pid: u16,
    /// Whether its frames are counted: AAC.
    counts_frames: bool,
    recent: VecDeque<i64>,
    shown: Option<i64>,
    /// Of the unit that was begun last, where frames are counted.
    sound: Vec<u8>,
    counter: u8,
    /// What is added to counters of the segment; `None` before its first packet of this stream.
    counter_offset: Option<u8>,
}

impl Track {
    pub fn new(pid: u16, counts_frames: bool) -> Self {
        Self {
            pid,
            counts_frames,
            ..Self::default()
        }
    }

    /// A unit with these times begins; gives its decoding time, which rises also where a run with more pictures out of order begins.
    pub fn unit(&mut self, shown: i64, decoded: i64, body: &[u8]) -> i64 {
        let after = self.recent.back().map_or(decoded, |last| last + 1);
        let decoded = decoded.max(after.min(shown));
        self.recent.push_back(decoded);
        if self.recent.len() > PACE_OVER {
            self.recent.pop_front();
        }
        self.shown = Some(self.shown.map_or(shown, |latest| latest.max(shown)));
        self.sound.clear();
        self.more(body);
        decoded
    }

    /// The unit goes on.
    pub fn more(&mut self, bytes: &[u8]) {
        if self.counts_frames && self.sound.len() < MOST_SOUND_BYTES {
            self.sound.extend_from_slice(bytes);
        }
    }

    /// Where its last picture or sound ends.
    pub fn end(&self) -> Option<i64> {
        let shown = self.shown?;
        match adts::count(&self.sound).filter(|_| self.counts_frames) {
            Some((frames, rate_hz)) => Some(shown + ticks(frames, rate_hz)),
            None => Some(shown + self.pace()),
        }
    }

    /// Frames of the next run that begin earlier are left out: half a frame may stay covered. `None`: nothing is cut.
    pub fn cut_before(&self) -> Option<i64> {
        let (_, rate_hz) = adts::count(&self.sound).filter(|_| self.counts_frames)?;
        Some(self.end()? - ticks(1, rate_hz) / 2)
    }

    /// How much may be cut off at a joint.
    pub fn may_cut(&self) -> i64 {
        if self.counts_frames { MAY_CUT } else { 0 }
    }

    /// Ticks from one unit to the next.
    fn pace(&self) -> i64 {
        match (self.recent.front(), self.recent.back(), self.recent.len()) {
            (Some(first), Some(last), count @ 2..) => (last - first) / (count as i64 - 1),
            _ => 0,
        }
    }

    /// Counters of the next segment begin anew.
    pub fn next_segment(&mut self) {
        self.counter_offset = None;
    }

    /// The counter of the next packet of the joined file: steps within a segment stay as they are, so that lost packets can be seen.
    pub fn count(&mut self, counter: u8, jumps: bool, has_payload: bool) -> u8 {
        if jumps {
            self.counter_offset = None;
        }
        let next = self.counter.wrapping_add(u8::from(has_payload));
        let offset = *self.counter_offset.get_or_insert(next.wrapping_sub(counter));
        self.counter = counter.wrapping_add(offset) & 0xf;
        self.counter
    }
}

/// Stamps of 33 bits of one stream as times that do not wrap.
#[derive(Debug, Clone, Copy)]
pub struct Unwrap(pub i64);

impl Unwrap {
    pub fn time(&mut self, stamp: i64) -> i64 {
        self.0 = near(stamp, self.0);
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::join::adts::tests::frame;

    #[test]
    fn film_ends_a_picture_behind_its_last_one_whatever_their_order() {
        let mut track = Track::default();
        for (number, shown) in [0, 3, 1, 2, 6, 4, 5].into_iter().enumerate() {
            track.unit(6_000 + shown * 3_000, number as i64 * 3_000, b"");
        }
        assert_eq!(track.end(), Some(6_000 + 7 * 3_000));
    }

    #[test]
    fn decoding_times_rise_where_a_run_has_more_pictures_out_of_order() {
        let mut track = Track::default();
        track.unit(97_000, 97_000, b"");
        let first = track.unit(100_000, 94_000, b"");
        let second = track.unit(109_000, 97_000, b"");
        assert_eq!((first, second, track.unit(103_000, 100_000, b"")), (97_001, 97_002, 100_000));
    }

    #[test]
    fn sound_ends_behind_the_frames_of_its_last_unit() {
        let mut track = Track::new(0x101, true);
        track.unit(0, 0, &[frame(200), frame(200)].concat());
        track.unit(90_000, 90_000, &frame(200)[..50]);
        track.more(&[frame(200)[50..].to_vec(), frame(300)].concat());
        assert_eq!((track.end(), track.cut_before()), (Some(90_000 + 3_840), Some(90_000 + 2_880)));
    }

    #[test]
    fn counters_go_on_over_segments_and_keep_their_gaps() {
        let mut track = Track::default();
        let first = track.count(7, false, true);
        let after_loss = track.count(9, false, true);
        assert_eq!(after_loss, (first + 2) & 0xf);
        track.next_segment();
        assert_eq!(track.count(0, false, true), (first + 3) & 0xf);
        assert_eq!(track.count(0, false, false), (first + 3) & 0xf, "without payload it stays");
    }
}
