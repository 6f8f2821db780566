//! Decodes parts of a film while it is walked: what decodes is counted, without showing it to anybody. Packets are taken from the walk, so
//! no seek is needed, which lands between key frames in some containers; each part has a decoder of its own, and begins with a key frame.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use gst::prelude::*;

use super::decode::Decoder;
use crate::{entry, walk::Watch};

/// Pictures that are enough of a part with an end; groups of pictures may be ten times as long.
const ENOUGH_PICTURES: u64 = 24;
/// Packets in front of a part's start that are kept until it is reached: a group of pictures larger than this is not decoded there.
const MAX_HELD_BYTES: usize = 64 << 20;

/// A part of a film, from its first packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    pub start: Duration,
    /// `None`: to the end of the file, from the last key frame before the start.
    pub end: Option<Duration>,
}

/// What came out of the decoders in one window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Decoded {
    /// Pictures.
    pub video: u64,
    /// Buffers of sound.
    pub audio: u64,
    /// The group of pictures was too large to be kept until the window was reached.
    pub too_large: bool,
}

/// The parts of a film that are decoded, all streams of picture and sound.
pub struct Samples {
    windows: Vec<Window>,
    found: Arc<Mutex<Found>>,
}

#[derive(Default)]
struct Found {
    /// Where the first packet of all stands.
    zero: Option<Duration>,
    parts: Vec<Part>,
    trouble: Option<String>,
}

/// One window of one stream.
struct Part {
    track: usize,
    window: usize,
    is_video: bool,
    span: Window,
    /// Packets from the last key frame on, while the start is not reached.
    held: Vec<gst::Buffer>,
    held_bytes: usize,
    key: Option<gst::ClockTime>,
    caps: Option<gst::Caps>,
    taken: u64,
    too_large: bool,
    decoder: Option<Decoder>,
    over: bool,
}

impl Samples {
    pub fn new(windows: Vec<Window>) -> Self {
        Self {
            windows,
            found: Arc::default(),
        }
    }

    /// What the walk tells of its packets.
    pub fn watch(&self) -> Watch {
        let (windows, found) = (self.windows.clone(), self.found.clone());
        Arc::new(move |track, pad, packet, time| {
            let mut found = lock(&found);
            if !found.parts.iter().any(|part| part.track == track) {
                let Some(caps) = pad.current_caps() else { return };
                found.add(track, &caps, &windows);
            }
            if let Err(problem) = found.take(track, packet, time) {
                found.trouble.get_or_insert(problem);
            }
        })
    }

    /// Waits until all is decoded; one count for each window. The decoders stay until this drops.
    pub fn finish(&self, ends: Instant) -> Result<Vec<Decoded>, String> {
        let mut found = lock(&self.found);
        if let Some(problem) = found.trouble.take() {
            return Err(problem);
        }
        let mut decoded = vec![Decoded::default(); self.windows.len()];
        for part in &mut found.parts {
            let count = part.finish(ends)?;
            if let Some(decoded) = decoded.get_mut(part.window) {
                let counted = if part.is_video { &mut decoded.video } else { &mut decoded.audio };
                *counted += count;
                decoded.too_large |= part.too_large;
            }
        }
        Ok(decoded)
    }
}

impl Found {
    fn add(&mut self, track: usize, caps: &gst::Caps, windows: &[Window]) {
        let kind = caps.structure(0).map_or("", |structure| structure.name().as_str());
        let is_video = kind.starts_with("video/") || kind.starts_with("image/");
        if !is_video && !kind.starts_with("audio/") {
            return;
        }
        self.parts.extend(windows.iter().enumerate().map(|(window, span)| Part {
            track,
            window,
            is_video,
            span: *span,
            held: Vec::new(),
            held_bytes: 0,
            key: None,
            caps: Some(caps.clone()),
            taken: 0,
            too_large: false,
            decoder: None,
            over: false,
        }));
    }

    fn take(&mut self, track: usize, packet: &gst::Buffer, time: Option<Duration>) -> Result<(), String> {
        if self.zero.is_none() {
            self.zero = time;
        }
        let time = time.map(|time| time.saturating_sub(self.zero.unwrap_or_default()));
        let mut parts = self.parts.iter_mut().filter(|part| part.track == track && !part.over);
        parts.try_for_each(|part| part.take(packet, time))
    }
}

impl Part {
    /// `time`: when the packet is shown, from the first packet of all; `None`: it is hidden, or nobody knows.
    fn take(&mut self, packet: &gst::Buffer, time: Option<Duration>) -> Result<(), String> {
        let is_key = entry::is_entry(self.caps.as_deref(), packet);
        if self.decoder.is_none() {
            self.hold(packet, is_key);
            let reached = self.span.start.is_zero() || time.is_some_and(|time| time >= self.span.start);
            return if reached && !self.held.is_empty() { self.begin() } else { Ok(()) };
        }
        let is_enough = match self.span.end {
            None => false,
            Some(_) if self.is_video => self.taken >= ENOUGH_PICTURES,
            Some(end) => time.is_some_and(|time| time >= end),
        };
        if is_enough {
            self.over = true;
            return self.decoder.as_ref().map_or(Ok(()), Decoder::end);
        }
        self.push(packet)
    }

    /// Keeps what a decoder needs to begin.
    fn hold(&mut self, packet: &gst::Buffer, is_key: bool) {
        if is_key {
            self.held.clear();
            self.held_bytes = 0;
            self.too_large = false;
            self.key = packet.pts();
        }
        if !is_key && self.held.is_empty() {
            return;
        }
        self.held.push(packet.clone());
        self.held_bytes += packet.size();
        if self.held_bytes > MAX_HELD_BYTES {
            self.held.clear();
            self.held_bytes = 0;
            self.too_large = true;
        }
    }

    fn begin(&mut self) -> Result<(), String> {
        let caps = self.caps.as_ref().ok_or("a stream without caps")?;
        self.decoder = Some(Decoder::of_packets(caps)?);
        std::mem::take(&mut self.held).iter().try_for_each(|packet| self.push(packet))
    }

    /// What is shown before the key frame refers to what the decoder has not seen.
    fn push(&mut self, packet: &gst::Buffer) -> Result<(), String> {
        let leads = self.key.zip(packet.pts()).is_some_and(|(key, shown)| shown < key);
        let Some(decoder) = self.decoder.as_ref().filter(|_| !(leads && self.is_video)) else {
            return Ok(());
        };
        self.taken += 1;
        decoder.push(packet)
    }

    fn finish(&mut self, ends: Instant) -> Result<u64, String> {
        // The film is shorter than was thought.
        if self.decoder.is_none() && self.span.end.is_none() && !self.held.is_empty() {
            self.begin()?;
        }
        let Some(decoder) = &self.decoder else { return Ok(0) };
        if !self.over {
            decoder.end()?;
        }
        decoder.wait(ends)?;
        Ok(decoder.count())
    }
}

fn lock(found: &Mutex<Found>) -> MutexGuard<'_, Found> {
    found.lock().unwrap_or_else(PoisonError::into_inner)
}
