//! Where segments begin: at the first key frame of each span of film, and of sound at the packet nearest to it. Pure.

use std::time::Duration;

use super::Packet;

/// Stamps are cut to nanoseconds and, in some containers, to milliseconds: what is so near to a boundary lies on it.
pub const NEAR_NS: i128 = 1_000_000;

/// The number of the span in which a time lies.
pub fn span_of(time_ns: i128, span: Duration) -> i64 {
    let span = i128::try_from(span.as_nanos()).unwrap_or(i128::MAX).max(1);
    i64::try_from((time_ns + NEAR_NS).div_euclid(span)).unwrap_or(0).max(0)
}

/// Packets of one segment.
#[derive(Debug)]
pub struct Cut {
    pub index: i64,
    pub packets: Vec<Packet>,
    /// Where the next segment begins, or the last packet ends.
    pub end: i64,
}

/// A span without the key frame that was asked for.
#[derive(Debug, thiserror::Error)]
#[error("the encoder made no key frame at {0:.3} s, where a segment must begin")]
pub struct NoKeyFrame(pub f64);

/// Cuts one track.
#[derive(Debug)]
pub struct Cutter {
    span: Duration,
    timescale: i64,
    is_video: bool,
    /// Number of the segment that is being filled: that of its span.
    current: Option<i64>,
    packets: Vec<Packet>,
}

impl Cutter {
    pub fn new(span: Duration, timescale: u32, is_video: bool) -> Self {
        Self {
            span,
            timescale: i64::from(timescale.max(1)),
            is_video,
            current: None,
            packets: Vec::new(),
        }
    }

    /// Takes the next packet in decoding order; gives the segment that it ended.
    pub fn push(&mut self, packet: Packet) -> Result<Option<Cut>, NoKeyFrame> {
        // Who asks for key frames looks at the middle of each frame, in other units: a frame whose middle lies on the boundary may be on
        // either side of it. So the key frame decides, and only where none comes within a frame one is missing.
        let waits_for_key = self.is_video && !packet.key;
        let time = if waits_for_key {
            packet.pts - packet.duration
        } else {
            packet.pts + packet.duration / 2
        };
        let time_ns = i128::from(time) * 1_000_000_000 / i128::from(self.timescale);
        let span = span_of(time_ns, self.span);
        let index = *self.current.get_or_insert(span);
        if span <= index {
            self.packets.push(packet);
            return Ok(None);
        }
        if waits_for_key {
            return Err(NoKeyFrame(time_ns as f64 / 1e9));
        }
        let cut = Cut {
            index,
            packets: std::mem::take(&mut self.packets),
            end: packet.pts,
        };
        self.current = Some(span);
        self.packets.push(packet);
        Ok(Some(cut))
    }

    /// The last segment.
    pub fn finish(&mut self) -> Option<Cut> {
        let index = self.current.take()?;
        let packets = std::mem::take(&mut self.packets);
        let end = packets.iter().map(|packet| packet.pts + packet.duration).max()?;
        Some(Cut { index, packets, end })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(pts: i64, key: bool) -> Packet {
        Packet {
            pts,
            dts: pts,
            duration: 1001,
            key,
            data: Vec::new(),
        }
    }

    #[test]
    fn segments_begin_at_the_first_key_frame_of_each_span() {
        let mut cutter = Cutter::new(Duration::from_secs(2), 30_000, true);
        let mut cuts = Vec::new();
        for frame in 0..150 {
            let first = frame == 0 || frame == 60 || frame == 120;
            cuts.extend(cutter.push(packet(frame * 1001, first)).unwrap());
        }
        cuts.extend(cutter.finish());
        let seen: Vec<_> = cuts.iter().map(|cut| (cut.index, cut.packets.len(), cut.end)).collect();
        assert_eq!(seen, [(0, 60, 60_060), (1, 60, 120_120), (2, 30, 150_150)]);
    }

    #[test]
    fn a_key_frame_that_is_missing_is_an_error() {
        let mut cutter = Cutter::new(Duration::from_secs(1), 30_000, true);
        cutter.push(packet(0, true)).unwrap();
        assert!(cutter.push(packet(32_032, false)).is_err());
    }

    #[test]
    fn a_key_frame_may_come_one_frame_after_the_middle_says() {
        let mut cutter = Cutter::new(Duration::from_secs(16), 30_000, true);
        let cuts: Vec<_> = (0..490)
            .filter_map(|frame| cutter.push(packet(frame * 1001, frame % 480 == 0)).unwrap())
            .collect();
        assert_eq!(
            cuts.iter().map(|cut| (cut.index, cut.packets.len())).collect::<Vec<_>>(),
            [(0, 480)]
        );
    }

    #[test]
    fn sound_is_cut_at_the_nearest_packet() {
        let mut cutter = Cutter::new(Duration::from_secs(2), 48_000, false);
        let sound = |number: i64| Packet {
            duration: 1024,
            ..packet(number * 1024, true)
        };
        let cuts: Vec<_> = (0..400).filter_map(|number| cutter.push(sound(number)).unwrap()).collect();
        let ends: Vec<_> = cuts.iter().map(|cut| cut.end / 1024).collect();
        assert_eq!(ends, [94, 187, 281, 375]);
    }
}
