//! Streams that are cut together: a film and the sound of its segments, or one of them alone. The first one is cut where segments may begin,
//! the others follow it.

use std::{collections::VecDeque, path::PathBuf, time::Duration};

use super::{
    Packet,
    boundary::{Boundaries, Boundary, Mark, Why},
    config::TrackConfig,
    cutter::{Cut, Cuts, Cutter},
    store::Store,
    stream::{Feed, Stream, ns, ticks},
};
use crate::parse::captions::Captions;

/// How far apart streams change at a joint of two recordings.
const JOINT_NS: i128 = 1_000_000_000;
/// How much longer than asked for the last segment may be: players round to seconds.
const ROUNDING_NS: i128 = 100_000_000;

/// The packets of a stream in a segment.
#[derive(Debug)]
pub struct Part {
    pub packets: Vec<Packet>,
    /// Between which times they are shown.
    pub start: i64,
    pub end: i64,
    /// Where the last one has been decoded.
    pub decode_end: i64,
    pub first_dts: Option<i64>,
}

impl Part {
    fn mark(&self) -> Option<Mark> {
        self.packets.first().map(|first| first.mark)
    }
}

/// A segment of all streams.
#[derive(Debug)]
pub struct Segment {
    pub index: i64,
    /// In the time scale of the first stream.
    pub start: i64,
    pub end: i64,
    /// By stream.
    pub parts: Vec<Part>,
    pub boundaries: Vec<Boundary>,
    /// Whether pictures that are shown before its key frame need the segment before.
    pub is_open: bool,
    pub captions: Captions,
}

/// The streams of a track, or of tracks that are cut at the same times.
pub struct Streams {
    span: Duration,
    streams: Vec<Stream>,
    store: Store,
    cutter: Option<Cutter>,
    /// Segments of the first stream that others have not reached.
    cuts: VecDeque<Cut>,
    /// The last one, once the first stream has ended.
    last: Option<Cut>,
    boundaries: Boundaries,
    /// Where the next segment begins, where that is not at its first picture.
    begins: Option<i64>,
}

impl Streams {
    /// `languages`: by feed. `spool`: path of a file for packets that do not fit into memory.
    pub fn new(feeds: &[Feed], span: Duration, languages: &[String], spool: PathBuf) -> Self {
        let language = |number: usize| languages.get(number).map_or("", String::as_str);
        Self {
            span,
            streams: feeds
                .iter()
                .enumerate()
                .map(|(number, feed)| Stream::new(feed, language(number)))
                .collect(),
            store: Store::new(spool),
            cutter: None,
            cuts: VecDeque::new(),
            last: None,
            boundaries: Boundaries::default(),
            begins: None,
        }
    }

    /// Whether it is known what each stream is, or that it has nothing.
    pub fn are_known(&self) -> bool {
        self.first_config().is_some() && self.streams.iter().all(Stream::is_known)
    }

    pub fn have_ended(&self) -> bool {
        self.streams.iter().all(|stream| stream.ended)
    }

    fn first_config(&self) -> Option<&TrackConfig> {
        self.streams.first()?.config()
    }

    /// Why packets that wait could not be written.
    pub fn unwritten(&self) -> Option<&str> {
        self.store.trouble()
    }

    /// Whether segments are cut at key frames of the input.
    pub fn are_cut_at_own_keys(&self) -> bool {
        self.streams.first().is_some_and(Stream::is_copied)
    }

    /// By stream: its configurations so far; none where it has no packets.
    pub fn configs(&self) -> Vec<&[TrackConfig]> {
        self.streams.iter().map(Stream::configs).collect()
    }

    pub fn timescale(&self, stream: usize) -> u32 {
        self.streams.get(stream).map_or(1, Stream::timescale)
    }

    /// Whether nothing more of a stream comes.
    pub fn is_over(&self, stream: usize) -> bool {
        let is_over = |stream: &Stream| stream.ended && stream.waiting.is_empty();
        self.streams.get(stream).is_none_or(is_over)
    }

    /// Copied pictures that name parameter sets which nothing told.
    pub fn orphans(&self) -> u64 {
        self.streams.iter().map(|stream| stream.orphans).sum()
    }

    /// Takes the next packet of a stream.
    pub fn push(&mut self, number: usize, pad: &gst::Pad, buffer: &gst::BufferRef) -> Result<(), String> {
        let Some(stream) = self.streams.get_mut(number) else {
            return Ok(());
        };
        let packets = stream.take(pad, buffer, &mut self.store)?;
        if number > 0 {
            stream.waiting.extend(packets);
            return Ok(());
        }
        packets.into_iter().try_for_each(|packet| self.cut(packet))
    }

    /// Cuts the first stream.
    fn cut(&mut self, packet: Packet) -> Result<(), String> {
        let Some(first) = self.streams.first() else { return Ok(()) };
        let Some(config) = first.config() else { return Ok(()) };
        let cuts = if first.is_copied() { Cuts::AtOwnKeys } else { Cuts::AtSpans };
        let cutter = self
            .cutter
            .get_or_insert_with(|| Cutter::new(self.span, config.timescale, config.is_video, cuts));
        self.cuts.extend(cutter.push(packet).map_err(|uncut| uncut.to_string())?);
        Ok(())
    }

    /// No more packets come to a stream. `until_ns`: up to where sound goes on in silence, if that is known.
    pub fn end(&mut self, number: usize, until_ns: Option<i128>) -> Result<(), String> {
        let Some(stream) = self.streams.get_mut(number) else {
            return Ok(());
        };
        stream.ended = true;
        if number > 0 {
            return Ok(());
        }
        let until = until_ns.map_or(0, |until| ticks(until, stream.timescale()));
        let silence = stream.silence_up_to(until, &mut self.store)?;
        silence.into_iter().try_for_each(|packet| self.cut(packet))?;
        self.last = self.cutter.as_mut().and_then(Cutter::finish);
        Ok(())
    }

    /// Where the first stream's last segment ends.
    pub fn first_end_ns(&self) -> Option<i128> {
        let first = self.streams.first()?;
        Some(ns(first.end, first.timescale()))
    }

    /// A segment that all streams have reached the end of.
    pub fn next_segment(&mut self) -> Result<Option<Segment>, String> {
        let Some(timescale) = self.first_config().map(|config| config.timescale) else {
            return Ok(None);
        };
        if !self.are_known() {
            return Ok(None);
        }
        if let Some(cut) = self.cuts.front() {
            let end_ns = ns(cut.end, timescale);
            let until_ns = end_ns + joint_ns(cut.why);
            let reached =
                |stream: &Stream| stream.ended || stream.waiting.back().is_some_and(|packet| stream.middle_ns(packet) >= until_ns);
            if !self.streams.iter().skip(1).all(reached) {
                return Ok(None);
            }
            self.fall_silent(end_ns)?;
            let cut = self.cuts.pop_front();
            return Ok(cut.map(|cut| self.segment(cut, None, end_ns)));
        }
        if !self.have_ended() {
            return Ok(None);
        }
        let Some(cut) = self.last.take() else { return Ok(None) };
        self.fall_silent(ns(cut.end, timescale))?;
        Ok(Some(self.last_segment(cut, timescale)))
    }

    /// Sound that has ended before the pictures goes on in silence: players stand still where a segment lacks a part of it.
    fn fall_silent(&mut self, end_ns: i128) -> Result<(), String> {
        for stream in self.streams.iter_mut().skip(1).filter(|stream| stream.ended) {
            let until = ticks(end_ns, stream.timescale());
            let silence = stream.silence_up_to(until, &mut self.store)?;
            stream.waiting.extend(silence);
        }
        Ok(())
    }

    /// What is left, unless it is too much for one segment: sound may go on without pictures.
    fn last_segment(&mut self, cut: Cut, timescale: u32) -> Segment {
        let span_ns = i128::try_from(self.span.as_nanos()).unwrap_or(i128::MAX);
        let length = ticks(span_ns, timescale);
        let others = self.streams.iter().skip(1).filter_map(Stream::end_ns).max();
        let end_ns = others.unwrap_or(0).max(ns(cut.end, timescale));
        let start_ns = ns(cut.start, timescale);
        let own_length_ns = ns(cut.end - cut.start, timescale);
        if others.is_none() || end_ns - start_ns <= span_ns.max(own_length_ns) + ROUNDING_NS {
            let end = cut.end.max(ticks(end_ns, timescale));
            let next = cut.without_packets(end);
            let segment = self.segment(cut, Some(end), i128::MAX);
            let is_left = self.streams.iter().any(|stream| !stream.waiting.is_empty());
            self.last = is_left.then_some(next);
            return segment;
        }
        let end = cut.end.max(cut.start + length);
        self.last = Some(cut.without_packets(end));
        self.segment(cut, Some(end), ns(end, timescale))
    }

    /// The first stream's segment with what the others have before a time.
    /// `until`: where the segment ends, if that is not where the first stream's part does.
    fn segment(&mut self, cut: Cut, until: Option<i64>, end_ns: i128) -> Segment {
        tracing::trace!(index = cut.index, why = ?cut.why, "a segment ends");
        let (index, is_open) = (cut.index, cut.is_open());
        let (start, mut end) = (self.begins.take().unwrap_or(cut.start), until.unwrap_or(cut.end));
        let captions = cut.packets.iter().fold(Captions::default(), |all, packet| all.and(packet.captions));
        let joint_ns = joint_ns(cut.why);
        let mut parts = Vec::with_capacity(self.streams.len());
        let (mut cut, timescale) = (Some(cut), self.streams.first().map_or(1, Stream::timescale));
        for stream in &mut self.streams {
            parts.push(match cut.take() {
                Some(cut) => leading(stream, cut),
                None => following(stream, end_ns, joint_ns),
            });
            let mark = parts.last().and_then(Part::mark);
            if let Some(change) = stream.changes_at_ns(mark).filter(|change| *change < end_ns) {
                end = end.min(ticks(change, timescale)).max(start + 1);
                self.begins = Some(end);
            }
        }
        let marks: Vec<Option<Mark>> = parts.iter().map(Part::mark).collect();
        Segment {
            index,
            start,
            end,
            boundaries: self.boundaries.next(&marks),
            parts,
            is_open,
            captions,
        }
    }
}

fn leading(stream: &Stream, cut: Cut) -> Part {
    Part {
        start: cut.start,
        end: cut.end,
        decode_end: if stream.first_dts.is_some() { cut.decode_end } else { cut.end },
        packets: cut.packets,
        first_dts: stream.first_dts,
    }
}

/// How far other streams look beyond a segment that ends with a change: they change about there too.
fn joint_ns(why: Why) -> i128 {
    match why {
        Why::Configuration | Why::Epoch => JOINT_NS,
        Why::Span | Why::Stop => 0,
    }
}

/// Packets before a time, of one configuration; those up to a change that comes a little later too.
fn following(stream: &mut Stream, end_ns: i128, joint_ns: i128) -> Part {
    let mark = stream.waiting.front().map(|first| first.mark);
    let same = stream.waiting.iter().take_while(|packet| Some(packet.mark) == mark).count();
    let change = stream.waiting.get(same).map(|next| stream.middle_ns(next));
    let until_ns = match change {
        Some(change) if joint_ns > 0 && change < end_ns + joint_ns => change.max(end_ns),
        _ => end_ns,
    };
    let belongs = |packet: &&Packet| stream.middle_ns(packet) < until_ns;
    let count = stream.waiting.iter().take(same).take_while(belongs).count();
    let packets: Vec<Packet> = stream.waiting.drain(..count).collect();
    let own_end = packets.last().map_or(0, |last| last.pts + last.duration);
    let end = stream.waiting.front().map_or(own_end, |next| next.pts);
    Part {
        start: packets.first().map_or(end, |first| first.pts),
        end,
        decode_end: end,
        packets,
        first_dts: None,
    }
}
