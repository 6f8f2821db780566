//! Looks at each segment before it is written: whether it begins with a key frame, its times go on, and one configuration describes all of
//! it. So what a playlist promises is checked apart from what makes it. Pure.

use super::{Packet, fmp4::Part};

/// What is wrong with a segment; times are in units of its track.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("it does not begin with a key frame")]
    NoKeyFrame,
    #[error("two of its packets are shown at {0}")]
    SameTime(i64),
    #[error("its packets are decoded out of order at {0}")]
    Disorder(i64),
    #[error("it holds packets of two configurations")]
    Mixed,
    #[error("it begins at {begin} and ends at {end}")]
    Empty { begin: i64, end: i64 },
}

/// What is known of the segments of one stream so far.
#[derive(Debug, Default)]
pub struct Audit {
    /// When the last packet is decoded.
    decoded: Option<i64>,
}

impl Audit {
    /// Looks at the next segment of the stream.
    pub fn look(&mut self, part: &Part) -> Result<(), Fault> {
        let Some(first) = part.packets.first() else { return Ok(()) };
        if part.config.is_video && !first.key {
            return Err(Fault::NoKeyFrame);
        }
        if part.packets.iter().any(|packet| packet.mark != first.mark) {
            return Err(Fault::Mixed);
        }
        self.is_decoded_in_order(part)?;
        shown_at_times_of_their_own(part.packets)?;
        let end = part.packets.iter().map(|packet| packet.pts + packet.duration).max();
        let (begin, end) = (first.pts, end.unwrap_or(first.pts).max(part.end));
        if end <= begin { Err(Fault::Empty { begin, end }) } else { Ok(()) }
    }

    fn is_decoded_in_order(&mut self, part: &Part) -> Result<(), Fault> {
        for time in part.decoding_times() {
            if self.decoded.is_some_and(|before| time <= before) {
                return Err(Fault::Disorder(time));
            }
            self.decoded = Some(time);
        }
        Ok(())
    }
}

fn shown_at_times_of_their_own(packets: &[Packet]) -> Result<(), Fault> {
    let mut times: Vec<i64> = packets.iter().map(|packet| packet.pts).collect();
    times.sort_unstable();
    let same = times.windows(2).find_map(|pair| match pair {
        [one, other] if one == other => Some(*one),
        _ => None,
    });
    same.map_or(Ok(()), |time| Err(Fault::SameTime(time)))
}

#[cfg(test)]
mod tests {
    use super::{super::config::TrackConfig, *};

    fn looked_at(audit: &mut Audit, times: &[(i64, bool)]) -> Result<(), Fault> {
        let packet = |(pts, key): &(i64, bool)| Packet {
            pts: *pts,
            duration: 10,
            key: *key,
            ..Packet::default()
        };
        let packets: Vec<Packet> = times.iter().map(packet).collect();
        let config = TrackConfig {
            is_video: true,
            timescale: 1000,
            ..TrackConfig::default()
        };
        audit.look(&Part {
            config: &config,
            packets: &packets,
            end: 0,
            first_dts: None,
            lead: &[],
        })
    }

    #[test]
    fn faults_of_segments_are_found() {
        let mut audit = Audit::default();
        assert_eq!(looked_at(&mut audit, &[(0, true), (20, false), (10, false)]), Ok(()));
        assert_eq!(looked_at(&mut audit, &[(30, false)]), Err(Fault::NoKeyFrame));
        assert_eq!(looked_at(&mut audit, &[(20, true)]), Err(Fault::Disorder(20)));
        assert_eq!(
            looked_at(&mut audit, &[(30, true), (40, false), (40, false)]),
            Err(Fault::SameTime(40))
        );
        let mut copied = Audit::default();
        assert_eq!(looked_at(&mut copied, &[]), Ok(()));
        assert_eq!(
            shown_at_times_of_their_own(&[Packet::default(), Packet::default()]),
            Err(Fault::SameTime(0))
        );
    }
}
