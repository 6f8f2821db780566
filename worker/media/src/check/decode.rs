//! Decodes parts of a finished file, without showing them to anybody: what decodes is counted.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use gst::prelude::*;

use crate::damage;

/// Pictures that are enough of a sample; groups of pictures may be ten times as long.
const SAMPLE_PICTURES: u64 = 24;
/// How often a sample is looked at.
const POLL: gst::ClockTime = gst::ClockTime::from_mseconds(2);

/// A part of a file, from the key frame before its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    pub start: Duration,
    /// `None`: to the end of the file.
    pub end: Option<Duration>,
}

impl Window {
    pub fn sample(start: Duration, length: Duration) -> Self {
        Self {
            start,
            end: Some(start + length),
        }
    }
}

/// What came out of the decoders in one window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Decoded {
    /// Pictures.
    pub video: u64,
    /// Buffers of sound.
    pub audio: u64,
    /// Damage that the decoder reported within the window: what it says of a flush or of its end is none.
    pub damage: u64,
}

/// Decodes a picture; its width and height.
pub fn picture(path: &Path, deadline: Duration) -> Result<(i32, i32), String> {
    let decoder = Decoder::open(path, deadline)?;
    decoder.set_state(gst::State::Playing);
    decoder.wait_for(gst::MessageType::Eos)?;
    match decoder.counts.take(damage::count()) {
        Decoded { video: 0, .. } => Err("its picture does not decode".into()),
        _ => Ok((
            decoder.counts.width.load(Ordering::Acquire),
            decoder.counts.height.load(Ordering::Acquire),
        )),
    }
}

/// Decodes windows in order; one count for each.
pub fn windows(path: &Path, windows: &[Window], deadline: Duration) -> Result<Vec<Decoded>, String> {
    let ends = Instant::now() + deadline;
    // A pipeline for each: a decoder that is flushed while it is busy misses references behind the seek now and then, which looks like damage.
    let decode = |window: &Window| {
        let decoder = Decoder::open(path, ends.saturating_duration_since(Instant::now()))?;
        decoder.decode(window)
    };
    windows.iter().map(decode).collect()
}

#[derive(Default)]
struct Counts {
    video: AtomicU64,
    audio: AtomicU64,
    width: AtomicI32,
    height: AtomicI32,
    has_audio: AtomicBool,
}

impl Counts {
    /// Sound comes beside the pictures, or has ended before them.
    fn is_enough(&self) -> bool {
        let pictures = self.video.load(Ordering::Acquire);
        let heard = self.audio.load(Ordering::Acquire) > 0 || !self.has_audio.load(Ordering::Acquire);
        pictures >= SAMPLE_PICTURES && (heard || pictures >= 10 * SAMPLE_PICTURES)
    }

    /// `before`: damage before the window.
    fn take(&self, before: u64) -> Decoded {
        Decoded {
            damage: damage::count().saturating_sub(before),
            video: self.video.swap(0, Ordering::AcqRel),
            audio: self.audio.swap(0, Ordering::AcqRel),
        }
    }
}

struct Decoder {
    pipeline: gst::Pipeline,
    bus: gst::Bus,
    counts: Arc<Counts>,
    ends: Instant,
}

impl Decoder {
    fn open(path: &Path, deadline: Duration) -> Result<Self, String> {
        let pipeline = gst::Pipeline::with_name("check");
        let source = element("filesrc", "check-source")?;
        source.set_property("location", path);
        let decodebin = element("decodebin", "check-decoder")?;
        pipeline.add_many([&source, &decodebin]).map_err(|error| error.to_string())?;
        source.link(&decodebin).map_err(|error| error.to_string())?;
        let bus = pipeline.bus().ok_or("the pipeline has no bus")?;
        let counts = Arc::new(Counts::default());
        let weak = pipeline.downgrade();
        let counted = counts.clone();
        decodebin.connect_pad_added(move |_, pad| {
            if let Some(pipeline) = weak.upgrade() {
                attach_sink(&pipeline, pad, &counted);
            }
        });
        Ok(Self {
            pipeline,
            bus,
            counts,
            ends: Instant::now() + deadline,
        })
    }

    /// A change that fails leaves its reason on the bus.
    fn set_state(&self, state: gst::State) {
        let _ = self.pipeline.set_state(state);
    }

    fn decode(&self, window: &Window) -> Result<Decoded, String> {
        if !window.start.is_zero() {
            self.seek(window)?;
        }
        let before = damage::count();
        self.set_state(gst::State::Playing);
        if window.end.is_some() {
            self.wait_for_sample()?;
        } else {
            self.wait_for(gst::MessageType::Eos)?;
        }
        Ok(self.counts.take(before))
    }

    fn seek(&self, window: &Window) -> Result<(), String> {
        self.set_state(gst::State::Paused);
        self.wait_for(gst::MessageType::AsyncDone)?;
        self.counts.take(0);
        let flags = gst::SeekFlags::FLUSH | gst::SeekFlags::KEY_UNIT | gst::SeekFlags::SNAP_BEFORE;
        let (start, stop) = (clock_time(window.start), window.end.map(clock_time));
        self.pipeline
            .seek(1.0, flags, gst::SeekType::Set, start, gst::SeekType::Set, stop)
            .map_err(|_| format!("it cannot be sought to {:.1} s", window.start.as_secs_f64()))
    }

    /// Until the window's end, or until enough has been seen.
    fn wait_for_sample(&self) -> Result<(), String> {
        while Instant::now() < self.ends {
            match self.bus.timed_pop_filtered(POLL, &[gst::MessageType::Eos, gst::MessageType::Error]) {
                Some(message) => return outcome(Some(&message)),
                None if self.counts.is_enough() => return Ok(()),
                None => {}
            }
        }
        outcome(None)
    }

    fn wait_for(&self, kind: gst::MessageType) -> Result<(), String> {
        let left = clock_time(self.ends.saturating_duration_since(Instant::now()));
        outcome(self.bus.timed_pop_filtered(left, &[kind, gst::MessageType::Error]).as_ref())
    }
}

fn outcome(message: Option<&gst::Message>) -> Result<(), String> {
    match message.map(|message| message.view()) {
        Some(gst::MessageView::Error(error)) => Err(format!("it does not decode: {}", error.error())),
        Some(_) => Ok(()),
        None => Err("it was not decoded in time".into()),
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

fn clock_time(duration: Duration) -> gst::ClockTime {
    gst::ClockTime::try_from(duration).unwrap_or(gst::ClockTime::MAX)
}

fn element(factory: &str, name: &str) -> Result<gst::Element, String> {
    gst::ElementFactory::make(factory)
        .name(name)
        .build()
        .map_err(|error| error.to_string())
}

fn attach_sink(pipeline: &gst::Pipeline, source: &gst::Pad, counts: &Arc<Counts>) -> Option<()> {
    let sink = gst::ElementFactory::make("fakesink")
        .name(format!("check-sink-{}", source.name()))
        .property("sync", false)
        .property("enable-last-sample", false)
        .build()
        .ok()?;
    pipeline.add(&sink).ok()?;
    let pad = sink.static_pad("sink")?;
    let counts = counts.clone();
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, _| {
        count(pad, &counts);
        gst::PadProbeReturn::Ok
    });
    sink.sync_state_with_parent().ok()?;
    source.link(&pad).ok()?;
    Some(())
}

fn count(pad: &gst::Pad, counts: &Counts) {
    let Some(caps) = pad.current_caps() else { return };
    let Some(structure) = caps.structure(0) else { return };
    if structure.name().starts_with("audio/") {
        counts.has_audio.store(true, Ordering::Release);
        counts.audio.fetch_add(1, Ordering::AcqRel);
        return;
    }
    if !structure.name().starts_with("video/") {
        return;
    }
    counts.video.fetch_add(1, Ordering::AcqRel);
    counts.width.store(structure.get("width").unwrap_or(0), Ordering::Release);
    counts.height.store(structure.get("height").unwrap_or(0), Ordering::Release);
}
