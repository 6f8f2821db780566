//! One stream of a track: packets of a pad as segments take them. What each packet needs of a decoder is known, a copied film begins with a
//! key frame that is shown from the beginning on, and sound has no hole where silence of its codec can be written.

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use gst::prelude::*;

use super::{
    Packet,
    boundary::Mark,
    codecs::Codec,
    config::TrackConfig,
    opening::{Fate, Opening},
    silence,
    store::Store,
};
use crate::{parse::captions::Captions, pass::clip::running_ns_at};

/// Where packets come from.
#[derive(Debug)]
pub struct Feed {
    pub entry: gst::Pad,
    /// Where the first packet stands, from the beginning of the output.
    pub begin: Duration,
    /// Whether the packets are the input's own.
    pub copied: bool,
}

/// Pictures that a film may show in another order than it decodes them.
const REORDERED: usize = 32;
/// A hole in copied sound of more than this is none: the clock leapt.
const LONGEST_HOLE: Duration = Duration::from_secs(6 * 3_600);

/// A stream while its packets come.
pub struct Stream {
    begin_ns: i128,
    copied: bool,
    language: String,
    caps: Option<gst::Caps>,
    configs: Vec<TrackConfig>,
    mark: Mark,
    opening: Opening,
    pub ended: bool,
    /// In no segment yet; always empty for the first stream.
    pub waiting: VecDeque<Packet>,
    /// Of a copied film: the first decoding time, where it lies before the beginning.
    pub first_dts: Option<i64>,
    last_dts: Option<i64>,
    /// Copied pictures are shown at times of their own: those of the last ones.
    shown: VecDeque<i64>,
    /// Sets of pictures that were told.
    told_sets: BTreeSet<u32>,
    /// Copied pictures that name a set which nothing told.
    pub orphans: u64,
    /// Silence as its codec writes it, and how long a packet of it lasts.
    silence: Option<(Vec<u8>, i64)>,
    /// Where its last packet ends.
    pub end: i64,
}

impl Stream {
    /// `language`: that of the sound.
    pub fn new(feed: &Feed, language: &str) -> Self {
        Self {
            begin_ns: i128::try_from(feed.begin.as_nanos()).unwrap_or(0),
            copied: feed.copied,
            language: language.to_owned(),
            caps: None,
            configs: Vec::new(),
            mark: Mark::default(),
            opening: Opening::default(),
            ended: false,
            waiting: VecDeque::new(),
            first_dts: None,
            last_dts: None,
            shown: VecDeque::new(),
            told_sets: BTreeSet::new(),
            orphans: 0,
            silence: None,
            end: 0,
        }
    }

    /// Whether it is known what it is, or that it has nothing.
    pub fn is_known(&self) -> bool {
        !self.configs.is_empty() || self.ended
    }

    pub fn is_copied(&self) -> bool {
        self.copied
    }

    /// What it is at first.
    pub fn config(&self) -> Option<&TrackConfig> {
        self.configs.first()
    }

    /// Its configurations so far, in the order in which they were met.
    pub fn configs(&self) -> &[TrackConfig] {
        &self.configs
    }

    pub fn timescale(&self) -> u32 {
        self.config().map_or(1, |config| config.timescale)
    }

    /// The packets that a buffer gives: none where it is not shown, silence before it where sound was missing.
    pub fn take(&mut self, pad: &gst::Pad, buffer: &gst::BufferRef, store: &mut Store) -> Result<Vec<Packet>, String> {
        let map = buffer.map_readable().map_err(|_| "a packet cannot be read")?;
        let key = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
        self.configure(pad, map.as_slice(), key)?;
        let mut packet = self.stamped(pad, buffer)?;
        packet.key = key;
        if !self.keeps(&mut packet) {
            return Ok(Vec::new());
        }
        self.find_sets(map.as_slice());
        let mut packets = self.silence_until(packet.pts, map.as_slice(), store)?;
        let config = self.current().ok_or("a packet that nothing describes")?;
        packet.captions = captions(&config.codec, map.as_slice());
        let bytes = config.codec.packed(map.as_slice()).ok_or("a packet is damaged")?;
        packet.data = store.put(bytes).map_err(|error| unwritten(&error))?;
        self.end = self.end.max(packet.pts + packet.duration);
        packets.push(packet);
        Ok(packets)
    }

    fn current(&self) -> Option<&TrackConfig> {
        self.configs.get(usize::try_from(self.mark.config).ok()?)
    }

    /// Looks at what describes the packets that come. What a film's decoder needs changes with a key frame; sets that come between are left
    /// where they are.
    fn configure(&mut self, pad: &gst::Pad, first: &[u8], key: bool) -> Result<(), String> {
        let caps = pad.current_caps().ok_or("packets without caps")?;
        if self.caps.as_ref() == Some(&caps) || !(key || self.configs.is_empty()) {
            return Ok(());
        }
        let mut config = TrackConfig::read(&caps, first, &self.language)?;
        self.caps = Some(caps);
        if let Some(first) = self.config() {
            config.timescale = first.timescale;
        }
        let known = self.configs.iter().position(|known| known.needs_same(&config));
        let number = known.unwrap_or(self.configs.len());
        if known.is_none() {
            self.configs.push(config);
            self.silence = None;
        }
        self.mark.config = u32::try_from(number).unwrap_or(u32::MAX);
        Ok(())
    }

    /// A packet with its times.
    fn stamped(&self, pad: &gst::Pad, buffer: &gst::BufferRef) -> Result<Packet, String> {
        let time = |stamp: Option<gst::ClockTime>| running_ns_at(pad, stamp?).map(|time| i128::from(time) + self.begin_ns);
        let pts = time(buffer.pts()).ok_or("a packet does not say when it is shown")?;
        let length = buffer.duration().map_or(0, |length| i128::from(length.nseconds()));
        let ticks = |ns: i128| ticks(ns, self.timescale());
        let duration = ticks(pts + length) - ticks(pts);
        Ok(Packet {
            pts: ticks(pts),
            dts: ticks(time(buffer.dts()).unwrap_or(pts)),
            // Some containers do not tell.
            duration: if duration > 0 { duration } else { self.packet_length() },
            mark: self.mark,
            ..Packet::default()
        })
    }

    /// Whether a packet is in the output; its times are made to fit.
    fn keeps(&mut self, packet: &mut Packet) -> bool {
        if !self.copied {
            return true;
        }
        let is_video = self.config().is_some_and(|config| config.is_video);
        if !is_video {
            packet.dts = packet.dts.max(self.last_dts.map_or(i64::MIN, |last| last + 1));
            packet.pts = packet.dts;
            // What makes a decoder ready, such as the first packet of AAC, stands before the beginning.
            let is_heard = packet.pts + packet.duration / 2 >= 0;
            self.last_dts = self.last_dts.max(is_heard.then_some(packet.dts));
            return is_heard;
        }
        match self.opening.fate(packet.pts, packet.key) {
            Fate::Dropped => return false,
            Fate::Stretched(lead) => {
                packet.pts -= lead;
                packet.dts -= lead;
                packet.duration += lead;
            }
            Fate::Kept => {}
        }
        packet.dts = packet.dts.max(self.last_dts.map_or(i64::MIN, |last| last + 1));
        self.last_dts = Some(packet.dts);
        self.first_dts.get_or_insert(packet.dts.min(0));
        while self.shown.contains(&packet.pts) {
            packet.pts += 1;
        }
        self.shown.push_back(packet.pts);
        if self.shown.len() > REORDERED {
            self.shown.pop_front();
        }
        true
    }

    /// Counts pictures of a copy that no decoder can begin with.
    fn find_sets(&mut self, packet: &[u8]) {
        let Some(codec) = self.current().map(|config| &config.codec).filter(|_| self.copied) else {
            return;
        };
        let (named, told) = codec.named_sets(packet);
        let is_known = |number: u32| codec.numbered_sets().contains(&number) || told.contains(&number) || self.told_sets.contains(&number);
        let is_orphan = named.is_some_and(|number| !is_known(number));
        self.orphans += u64::from(is_orphan);
        self.told_sets.extend(told);
    }

    /// Silence up to where a packet of copied sound begins; encoders get silence in front of them.
    fn silence_until(&mut self, pts: i64, next: &[u8], store: &mut Store) -> Result<Vec<Packet>, String> {
        let hole = pts - self.end;
        let longest = i64::try_from(LONGEST_HOLE.as_secs()).unwrap_or(i64::MAX) * i64::from(self.timescale());
        self.learn_silence(next);
        if !self.copied || hole <= 0 || hole > longest {
            return Ok(Vec::new());
        }
        self.silence_up_to(pts, store)
    }

    fn learn_silence(&mut self, packet: &[u8]) {
        let Some(config) = self.current().filter(|config| !config.is_video && self.silence.is_none()) else {
            return;
        };
        let length = self.packet_length();
        self.silence = silence::packet(&config.codec, packet).zip((length > 0).then_some(length));
    }

    /// How long packets of its sound last; 0: nothing tells.
    fn packet_length(&self) -> i64 {
        let length =
            |config: &TrackConfig| i64::from(config.packet_samples()) * i64::from(self.timescale()) / i64::from(config.sample_rate);
        self.current().filter(|config| config.sample_rate > 0).map_or(0, length)
    }

    /// Packets of silence from where the sound ends; the last one may end a little behind `until`, or before it.
    pub fn silence_up_to(&mut self, until: i64, store: &mut Store) -> Result<Vec<Packet>, String> {
        let Some((bytes, length)) = self.silence.clone() else {
            return Ok(Vec::new());
        };
        // Stamps of some containers are rounded to milliseconds.
        let count = (until - self.end + length / 8) / length;
        let mut packets = Vec::new();
        for _ in 0..count.max(0) {
            packets.push(Packet {
                pts: self.end,
                dts: self.end,
                duration: length,
                key: true,
                mark: self.mark,
                data: store.put(bytes.clone()).map_err(|error| unwritten(&error))?,
                ..Packet::default()
            });
            self.end += length;
        }
        Ok(packets)
    }

    pub fn middle_ns(&self, packet: &Packet) -> i128 {
        ns(packet.pts + packet.duration / 2, self.timescale())
    }

    /// Where packets begin that cannot share a segment with those of a mark.
    pub fn changes_at_ns(&self, mark: Option<Mark>) -> Option<i128> {
        let next = self
            .waiting
            .front()
            .filter(|next| mark.is_some_and(|mark| next.mark.parts_from(mark).is_some()))?;
        Some(ns(next.pts, self.timescale()))
    }

    /// Where the last packet that waits ends.
    pub fn end_ns(&self) -> Option<i128> {
        let last = self.waiting.back()?;
        Some(ns(last.pts + last.duration, self.timescale()))
    }
}

fn captions(codec: &Codec, packet: &[u8]) -> Captions {
    match codec.syntax() {
        Some((syntax, length_size)) => Captions::of(packet, syntax, length_size),
        None => Captions::default(),
    }
}

fn unwritten(error: &std::io::Error) -> String {
    format!("packets that wait for their segment cannot be written: {error}")
}

pub fn ns(ticks: i64, timescale: u32) -> i128 {
    i128::from(ticks) * 1_000_000_000 / i128::from(timescale.max(1))
}

pub fn ticks(ns: i128, timescale: u32) -> i64 {
    let scaled = ns * i128::from(timescale) * 2 + 1_000_000_000;
    i64::try_from(scaled.div_euclid(2_000_000_000)).unwrap_or(0)
}
