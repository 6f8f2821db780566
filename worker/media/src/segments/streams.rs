//! The streams of one track: a film and the sound that shares its segments, or one of them alone. The first one is cut where segments may
//! begin, the others follow it.

use std::{collections::VecDeque, time::Duration};

use gst::prelude::*;

use super::{
    Packet,
    codecs::{Codec, without_delimiters},
    config::TrackConfig,
    cutter::{Cut, Cuts, Cutter},
    fmp4,
};
use crate::pass::clip::running_ns_at;

/// Where packets come from.
#[derive(Debug)]
pub struct Feed {
    pub entry: gst::Pad,
    /// Where the first packet stands, from the beginning of the output.
    pub begin: Duration,
    /// Whether the packets are the input's own.
    pub copied: bool,
}

/// The packets of a stream in a segment.
#[derive(Debug)]
pub struct Part {
    packets: Vec<Packet>,
    end: i64,
    first_dts: Option<i64>,
}

impl Part {
    pub fn of<'a>(&'a self, config: &'a TrackConfig) -> fmp4::Part<'a> {
        fmp4::Part {
            config,
            packets: &self.packets,
            end: self.end,
            first_dts: self.first_dts,
        }
    }
}

/// A segment of all streams, in the time scale of the first one.
#[derive(Debug)]
pub struct Segment {
    pub index: i64,
    pub start: i64,
    pub end: i64,
    /// In the order of `Streams::configs`.
    pub parts: Vec<Part>,
}

/// The streams of a track.
pub struct Streams {
    span: Duration,
    streams: Vec<Stream>,
    cutter: Option<Cutter>,
    /// Segments of the first stream that others have not reached.
    cuts: VecDeque<Cut>,
    /// The last one, once the first stream has ended.
    last: Option<Cut>,
}

struct Stream {
    begin: Duration,
    copied: bool,
    language: String,
    config: Option<TrackConfig>,
    ended: bool,
    /// In no segment yet; always empty for the first stream.
    waiting: VecDeque<Packet>,
    first_dts: Option<i64>,
    last_dts: Option<i64>,
}

impl Streams {
    /// `language`: that of the sound.
    pub fn new(feeds: &[Feed], span: Duration, language: &str) -> Self {
        let stream = |(number, feed): (usize, &Feed)| Stream {
            begin: feed.begin,
            copied: feed.copied,
            language: if number + 1 == feeds.len() { language } else { "" }.to_owned(),
            config: None,
            ended: false,
            waiting: VecDeque::new(),
            first_dts: None,
            last_dts: None,
        };
        Self {
            span,
            streams: feeds.iter().enumerate().map(stream).collect(),
            cutter: None,
            cuts: VecDeque::new(),
            last: None,
        }
    }

    /// Whether it is known what each stream is, or that it has nothing.
    pub fn are_known(&self) -> bool {
        let known = |stream: &Stream| stream.config.is_some() || stream.ended;
        self.streams.first().is_some_and(|first| first.config.is_some()) && self.streams.iter().all(known)
    }

    pub fn have_ended(&self) -> bool {
        self.streams.iter().all(|stream| stream.ended)
    }

    /// Of the streams that have packets.
    pub fn configs(&self) -> Vec<&TrackConfig> {
        self.streams.iter().filter_map(|stream| stream.config.as_ref()).collect()
    }

    /// Takes the next packet of a stream.
    pub fn push(&mut self, number: usize, pad: &gst::Pad, buffer: &gst::BufferRef) -> Result<(), String> {
        let Some(stream) = self.streams.get_mut(number) else {
            return Ok(());
        };
        let Some(packet) = stream.packet(pad, buffer)? else { return Ok(()) };
        if number > 0 {
            stream.waiting.push_back(packet);
            return Ok(());
        }
        let Some(config) = &stream.config else { return Ok(()) };
        let cuts = if stream.copied { Cuts::AtOwnKeys } else { Cuts::AtSpans };
        let cutter = self
            .cutter
            .get_or_insert_with(|| Cutter::new(self.span, config.timescale, config.is_video, cuts));
        self.cuts.extend(cutter.push(packet).map_err(|missing| missing.to_string())?);
        Ok(())
    }

    /// No more packets come to a stream.
    pub fn end(&mut self, number: usize) {
        if let Some(stream) = self.streams.get_mut(number) {
            stream.ended = true;
        }
        if number == 0 {
            self.last = self.cutter.as_mut().and_then(Cutter::finish);
        }
    }

    /// A segment that all streams have reached the end of.
    pub fn next_segment(&mut self) -> Option<Segment> {
        let timescale = self.streams.first()?.config.as_ref()?.timescale;
        if !self.are_known() {
            return None;
        }
        if let Some(cut) = self.cuts.front() {
            let end_ns = ns(cut.end, timescale);
            let reached = |stream: &Stream| stream.ended || stream.waiting.back().is_some_and(|packet| stream.middle_ns(packet) >= end_ns);
            if !self.streams.iter().skip(1).all(reached) {
                return None;
            }
            let cut = self.cuts.pop_front()?;
            return Some(self.segment(cut, end_ns));
        }
        if !self.have_ended() {
            return None;
        }
        let cut = self.last.take()?;
        self.last_segment(cut, timescale)
    }

    /// What is left, unless it is too much for one segment: sound may go on without pictures.
    fn last_segment(&mut self, mut cut: Cut, timescale: u32) -> Option<Segment> {
        let span_ns = i128::try_from(self.span.as_nanos()).unwrap_or(i128::MAX);
        let length = i64::try_from(span_ns * i128::from(timescale) / 1_000_000_000).unwrap_or(i64::MAX);
        let others = self.streams.iter().skip(1).filter_map(Stream::end_ns).max();
        let end_ns = others.unwrap_or(0).max(ns(cut.end, timescale));
        let start_ns = ns(cut.start, timescale);
        if others.is_none() || end_ns - start_ns <= span_ns * 3 / 2 {
            cut.end = cut
                .end
                .max(i64::try_from(end_ns * i128::from(timescale) / 1_000_000_000).unwrap_or(cut.end));
            return Some(self.segment(cut, i128::MAX));
        }
        cut.end = cut.end.max(cut.start + length);
        self.last = Some(cut.without_packets(length));
        let until_ns = ns(cut.end, timescale);
        Some(self.segment(cut, until_ns))
    }

    /// The first stream's segment with what the others have before a time.
    fn segment(&mut self, cut: Cut, end_ns: i128) -> Segment {
        let (index, start, end) = (cut.index, cut.start, cut.end);
        let mut first = Some(cut);
        let mut parts = Vec::with_capacity(self.streams.len());
        for stream in self.streams.iter_mut().filter(|stream| stream.config.is_some()) {
            parts.push(match first.take() {
                Some(cut) => stream.leading(cut),
                None => stream.following(end_ns),
            });
        }
        Segment { index, start, end, parts }
    }
}

impl Stream {
    /// `None`: it is not shown.
    fn packet(&mut self, pad: &gst::Pad, buffer: &gst::BufferRef) -> Result<Option<Packet>, String> {
        let map = buffer.map_readable().map_err(|_| "a packet cannot be read")?;
        if self.config.is_none() {
            let caps = pad.current_caps().ok_or("packets without caps")?;
            self.config = Some(TrackConfig::read(&caps, map.as_slice(), &self.language)?);
        }
        let Some(config) = &self.config else { return Ok(None) };
        let begin = i128::try_from(self.begin.as_nanos()).unwrap_or(0);
        let time = |stamp: Option<gst::ClockTime>| running_ns_at(pad, stamp?).map(i128::from);
        let Some(pts) = time(buffer.pts()) else { return Ok(None) };
        let dts = time(buffer.dts()).unwrap_or(pts);
        let ticks = |ns: i128| ticks(ns, config.timescale);
        let length = buffer.duration().map_or(0, |length| i128::from(length.nseconds()));
        let mut packet = Packet {
            pts: ticks(pts + begin),
            dts: ticks(dts + begin),
            duration: ticks(pts + begin + length) - ticks(pts + begin),
            key: !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT),
            data: match &config.codec {
                Codec::Av1 { .. } => without_delimiters(map.as_slice()).ok_or("an AV1 packet is damaged")?,
                _ => map.as_slice().to_vec(),
            },
        };
        if self.copied {
            // What makes a decoder ready, such as the first packet of AAC, stands before the beginning.
            if !config.is_video && packet.pts + packet.duration / 2 < 0 {
                return Ok(None);
            }
            packet.dts = packet.dts.max(self.last_dts.map_or(i64::MIN, |last| last + 1));
            self.last_dts = Some(packet.dts);
            self.first_dts = self.first_dts.or(config.is_video.then_some(packet.dts.min(0)));
        }
        Ok(Some(packet))
    }

    fn middle_ns(&self, packet: &Packet) -> i128 {
        let timescale = self.config.as_ref().map_or(1, |config| config.timescale);
        ns(packet.pts + packet.duration / 2, timescale)
    }

    fn end_ns(&self) -> Option<i128> {
        let last = self.waiting.back()?;
        Some(ns(last.pts + last.duration, self.config.as_ref()?.timescale))
    }

    fn leading(&self, cut: Cut) -> Part {
        Part {
            end: if self.first_dts.is_some() { cut.decode_end } else { cut.end },
            packets: cut.packets,
            first_dts: self.first_dts,
        }
    }

    fn following(&mut self, end_ns: i128) -> Part {
        let count = self.waiting.iter().take_while(|packet| self.middle_ns(packet) < end_ns).count();
        let packets: Vec<Packet> = self.waiting.drain(..count).collect();
        let own_end = packets.last().map_or(0, |last| last.pts + last.duration);
        Part {
            end: self.waiting.front().map_or(own_end, |next| next.pts),
            packets,
            first_dts: None,
        }
    }
}

fn ns(ticks: i64, timescale: u32) -> i128 {
    i128::from(ticks) * 1_000_000_000 / i128::from(timescale.max(1))
}

fn ticks(ns: i128, timescale: u32) -> i64 {
    let scaled = ns * i128::from(timescale) * 2 + 1_000_000_000;
    i64::try_from(scaled.div_euclid(2_000_000_000)).unwrap_or(0)
}
