//! Where segments begin. What is encoded has a key frame in each span and is cut at the first of it, sound at the packet nearest to it, and
//! a segment's number is that of its span. What is copied is cut at key frames of its own and numbered in order. Pure.

use std::time::Duration;

use super::{Packet, boundary::Why};

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
    /// When its key frame is shown.
    pub start: i64,
    /// Where the next segment begins, or the last packet ends.
    pub end: i64,
    /// When the next segment's first packet is decoded.
    pub decode_end: i64,
    /// Why it ends.
    pub why: Why,
}

impl Cut {
    fn new(index: i64, packets: Vec<Packet>, end: i64, decode_end: i64, why: Why) -> Self {
        Self {
            index,
            start: packets.first().map_or(end, |first| first.pts),
            packets,
            end,
            decode_end,
            why,
        }
    }

    /// The segment behind it, from a time on, which has nothing of this track.
    pub fn without_packets(&self, start: i64) -> Self {
        Self::new(self.index + 1, Vec::new(), start, self.decode_end, Why::Stop)
    }

    /// Whether pictures that are shown before its key frame need the segment before.
    pub fn is_open(&self) -> bool {
        self.packets.iter().any(|packet| packet.pts < self.start)
    }
}

/// How segments are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cuts {
    /// One for each span.
    AtSpans,
    /// At the last key frame before a segment would last longer than a span, or at the first one behind that.
    AtOwnKeys,
}

/// Why packets cannot be cut.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum Uncut {
    /// A span without the key frame that was asked for.
    #[error("the encoder made no key frame at {0:.3} s, where a segment must begin")]
    NoKeyFrame(f64),
    /// Segments of spans cannot end in a span.
    #[error("the encoder changed what it writes at {0:.3} s")]
    Changed(f64),
    /// A span in which nothing began.
    #[error("the encoder wrote nothing between segment {0} and segment {1}")]
    Hole(i64, i64),
}

/// Cuts one track.
#[derive(Debug)]
pub struct Cutter {
    span: Duration,
    timescale: i64,
    is_video: bool,
    cuts: Cuts,
    /// Number of the segment that is being filled.
    current: Option<i64>,
    packets: Vec<Packet>,
    /// Where among its packets the next one may begin.
    last_key: Option<usize>,
}

impl Cutter {
    pub fn new(span: Duration, timescale: u32, is_video: bool, cuts: Cuts) -> Self {
        Self {
            span,
            timescale: i64::from(timescale.max(1)),
            is_video,
            cuts,
            current: None,
            packets: Vec::new(),
            last_key: None,
        }
    }

    /// Takes the next packet in decoding order; gives the segment that it ended.
    pub fn push(&mut self, packet: Packet) -> Result<Option<Cut>, Uncut> {
        match self.cuts {
            Cuts::AtSpans => self.push_at_spans(packet),
            Cuts::AtOwnKeys => Ok(self.push_at_keys(packet)),
        }
    }

    fn push_at_keys(&mut self, packet: Packet) -> Option<Cut> {
        let index = *self.current.get_or_insert(0);
        let Some((start, mark)) = self.packets.first().map(|first| (first.pts, first.mark)) else {
            self.packets.push(packet);
            return None;
        };
        if let Some(why) = packet.mark.parts_from(mark).filter(|_| packet.key) {
            self.packets.push(packet);
            return self.cut_before(self.packets.len() - 1, index, why);
        }
        let lasts_ns = i128::from(packet.pts - start) * 1_000_000_000 / i128::from(self.timescale);
        let is_over = lasts_ns > i128::try_from(self.span.as_nanos()).unwrap_or(i128::MAX) + NEAR_NS;
        let newest_key = packet.key.then_some(self.packets.len());
        self.packets.push(packet);
        if !is_over {
            self.last_key = newest_key.or(self.last_key);
            return None;
        }
        let at = self.last_key.or(newest_key)?;
        let cut = self.cut_before(at, index, Why::Span);
        self.last_key = newest_key.filter(|newest| *newest > at).map(|newest| newest - at);
        cut
    }

    /// Ends the segment before one of its packets.
    fn cut_before(&mut self, at: usize, index: i64, why: Why) -> Option<Cut> {
        let rest = self.packets.split_off(at);
        let (end, decode_end) = rest.first().map(|next| (next.pts, next.dts))?;
        self.current = Some(index + 1);
        self.last_key = None;
        Some(Cut::new(index, std::mem::replace(&mut self.packets, rest), end, decode_end, why))
    }

    fn push_at_spans(&mut self, packet: Packet) -> Result<Option<Cut>, Uncut> {
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
        let last = self.packets.last().map_or(packet.mark, |last| last.mark);
        if packet.mark != last {
            return Err(Uncut::Changed(time_ns as f64 / 1e9));
        }
        if span <= index {
            self.packets.push(packet);
            return Ok(None);
        }
        if waits_for_key {
            return Err(Uncut::NoKeyFrame(time_ns as f64 / 1e9));
        }
        if span > index + 1 {
            return Err(Uncut::Hole(index, span));
        }
        let cut = Cut::new(index, std::mem::take(&mut self.packets), packet.pts, packet.dts, Why::Span);
        self.current = Some(span);
        self.packets.push(packet);
        Ok(Some(cut))
    }

    /// The last segment.
    pub fn finish(&mut self) -> Option<Cut> {
        let index = self.current.take()?;
        let packets = std::mem::take(&mut self.packets);
        let end = packets.iter().map(|packet| packet.pts + packet.duration).max()?;
        let decode_end = packets.last().map(|last| last.dts + last.duration)?;
        Some(Cut::new(index, packets, end, decode_end, Why::Stop))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::boundary::Mark, *};

    fn packet(pts: i64, key: bool) -> Packet {
        Packet {
            pts,
            dts: pts,
            duration: 1001,
            key,
            ..Packet::default()
        }
    }

    #[test]
    fn segments_begin_at_the_first_key_frame_of_each_span() {
        let mut cutter = Cutter::new(Duration::from_secs(2), 30_000, true, Cuts::AtSpans);
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
        let mut cutter = Cutter::new(Duration::from_secs(1), 30_000, true, Cuts::AtSpans);
        cutter.push(packet(0, true)).unwrap();
        assert!(cutter.push(packet(32_032, false)).is_err());
    }

    #[test]
    fn a_key_frame_may_come_one_frame_after_the_middle_says() {
        let mut cutter = Cutter::new(Duration::from_secs(16), 30_000, true, Cuts::AtSpans);
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
        let mut cutter = Cutter::new(Duration::from_secs(2), 48_000, false, Cuts::AtSpans);
        let sound = |number: i64| Packet {
            duration: 1024,
            ..packet(number * 1024, true)
        };
        let cuts: Vec<_> = (0..400).filter_map(|number| cutter.push(sound(number)).unwrap()).collect();
        let ends: Vec<_> = cuts.iter().map(|cut| cut.end / 1024).collect();
        assert_eq!(ends, [94, 187, 281, 375]);
    }

    #[test]
    fn copies_are_cut_at_keys_of_their_own_and_numbered_in_order() {
        let mut cutter = Cutter::new(Duration::from_secs(2), 30_000, true, Cuts::AtOwnKeys);
        let keys = [0, 25, 50, 200, 230];
        let mut cuts: Vec<_> = (0..240)
            .filter_map(|frame| cutter.push(packet(frame * 1001, keys.contains(&frame))).unwrap())
            .collect();
        cuts.extend(cutter.finish());
        let seen: Vec<_> = cuts.iter().map(|cut| (cut.index, cut.packets.len(), cut.end / 1001)).collect();
        assert_eq!(seen, [(0, 50, 50), (1, 150, 200), (2, 40, 240)]);
    }

    #[test]
    fn copies_are_cut_where_what_a_decoder_needs_changes() {
        let mut cutter = Cutter::new(Duration::from_secs(2), 30_000, true, Cuts::AtOwnKeys);
        let changed = |frame: i64| Packet {
            mark: Mark {
                config: u32::from(frame >= 70),
                epoch: 0,
            },
            ..packet(frame * 1001, [0, 25, 70, 75].contains(&frame))
        };
        let mut cuts: Vec<_> = (0..100).filter_map(|frame| cutter.push(changed(frame)).unwrap()).collect();
        cuts.extend(cutter.finish());
        let seen: Vec<_> = cuts.iter().map(|cut| (cut.index, cut.packets.len(), cut.why)).collect();
        assert_eq!(seen, [(0, 25, Why::Span), (1, 45, Why::Configuration), (2, 30, Why::Stop)]);
        let mut spans = Cutter::new(Duration::from_secs(4), 30_000, true, Cuts::AtSpans);
        assert!((0..100).any(|frame| matches!(spans.push(changed(frame)), Err(Uncut::Changed(_)))));
    }

    #[test]
    fn a_span_without_anything_is_an_error() {
        let mut cutter = Cutter::new(Duration::from_secs(1), 30_000, true, Cuts::AtSpans);
        cutter.push(packet(0, true)).unwrap();
        assert_eq!(cutter.push(packet(90_000, true)).unwrap_err(), Uncut::Hole(0, 3));
    }
}
