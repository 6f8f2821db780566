//! Decoders without anybody who looks: what comes out of them is counted.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use gst::prelude::*;

/// Decodes a picture; its width and height.
pub fn picture(path: &Path, deadline: Duration) -> Result<(i32, i32), String> {
    let ends = Instant::now() + deadline;
    let source = element("filesrc", "check-source")?;
    source.set_property("location", path);
    let decoder = Decoder::behind(source)?;
    decoder.wait(ends)?;
    match decoder.count() {
        0 => Err("its picture does not decode".into()),
        _ => Ok((
            decoder.counts.width.load(Ordering::Acquire),
            decoder.counts.height.load(Ordering::Acquire),
        )),
    }
}

#[derive(Default)]
struct Counts {
    buffers: AtomicU64,
    width: AtomicI32,
    height: AtomicI32,
}

/// A source and a decoder behind it.
pub struct Decoder {
    pipeline: gst::Pipeline,
    source: gst::Element,
    bus: gst::Bus,
    counts: Arc<Counts>,
}

impl Decoder {
    /// A decoder that is given packets.
    pub fn of_packets(caps: &gst::Caps) -> Result<Self, String> {
        let source = element("appsrc", "check-source")?;
        source.set_property("caps", caps);
        source.set_property_from_str("format", "time");
        for limit in ["max-bytes", "max-buffers", "max-time"] {
            source.set_property(limit, 0u64);
        }
        Self::behind(source)
    }

    fn behind(source: gst::Element) -> Result<Self, String> {
        let pipeline = gst::Pipeline::with_name("check");
        let decodebin = element("decodebin", "check-decoder")?;
        pipeline.add_many([&source, &decodebin]).map_err(|error| error.to_string())?;
        source.link(&decodebin).map_err(|error| error.to_string())?;
        let bus = pipeline.bus().ok_or("the pipeline has no bus")?;
        let counts = Arc::new(Counts::default());
        let (weak, counted) = (pipeline.downgrade(), counts.clone());
        decodebin.connect_pad_added(move |_, pad| {
            if let Some(pipeline) = weak.upgrade() {
                attach_sink(&pipeline, pad, &counted);
            }
        });
        // A change that fails leaves its reason on the bus.
        let _ = pipeline.set_state(gst::State::Playing);
        Ok(Self {
            pipeline,
            source,
            bus,
            counts,
        })
    }

    /// Never waits: the packets of a part are few.
    pub fn push(&self, packet: &gst::Buffer) -> Result<(), String> {
        let flow = self.source.emit_by_name::<gst::FlowReturn>("push-buffer", &[packet]);
        flow.into_result().map(drop).map_err(|error| self.why(&error.to_string()))
    }

    pub fn end(&self) -> Result<(), String> {
        let flow = self.source.emit_by_name::<gst::FlowReturn>("end-of-stream", &[]);
        flow.into_result().map(drop).map_err(|error| self.why(&error.to_string()))
    }

    /// Until everything is decoded.
    pub fn wait(&self, ends: Instant) -> Result<(), String> {
        let left = gst::ClockTime::try_from(ends.saturating_duration_since(Instant::now())).unwrap_or(gst::ClockTime::MAX);
        let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
        outcome(self.bus.timed_pop_filtered(left, &kinds).as_ref())
    }

    /// What was decoded so far.
    pub fn count(&self) -> u64 {
        self.counts.buffers.load(Ordering::Acquire)
    }

    /// What the bus says of it.
    fn why(&self, otherwise: &str) -> String {
        let message = self.bus.pop_filtered(&[gst::MessageType::Error]);
        message.map_or_else(|| otherwise.to_owned(), |message| outcome(Some(&message)).err().unwrap_or_default())
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

fn outcome(message: Option<&gst::Message>) -> Result<(), String> {
    match message.map(|message| message.view()) {
        Some(gst::MessageView::Error(error)) => Err(format!("it does not decode: {}", error.error())),
        Some(_) => Ok(()),
        None => Err("it was not decoded in time".into()),
    }
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
    counts.buffers.fetch_add(1, Ordering::AcqRel);
    counts.width.store(structure.get("width").unwrap_or(0), Ordering::Release);
    counts.height.store(structure.get("height").unwrap_or(0), Ordering::Release);
}
