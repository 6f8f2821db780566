//! Snapshots: picks decoded pictures by media time out of the pass, and writes each by a small pipeline of its own.

use std::{
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::Ordering::Relaxed,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use gst::prelude::*;
use mps_proto::{
    v1::{ErrorReason, ImageFormat},
    worker::v1::Failure,
};

use super::{
    Graph,
    clip::{clock, stream_time},
    counters::{self, Counters},
    elements::{branch, broken, caps_filter, link, make, pad, raw_queue},
    needed,
    picture::{Colour, Look},
};
use crate::{failure, rules::Geometry};

/// How long one picture may take to be written.
const WRITE_DEADLINE: Duration = Duration::from_secs(30);

/// How pictures are written.
#[derive(Debug, Clone)]
pub struct PictureStyle {
    pub format: ImageFormat,
    pub quality: i32,
    pub geometry: Geometry,
}

/// A picked picture on its way to the thread that writes it.
struct Picked {
    number: usize,
    buffer: gst::Buffer,
    caps: gst::Caps,
}

/// The branch of a snapshot node.
pub struct Pictures {
    thread: JoinHandle<Result<Vec<Option<Duration>>, Failure>>,
}

impl Pictures {
    /// Hangs on the tee of decoded pictures: the picture shown at each of `offsets`, in order, goes to the file beside it.
    pub fn start(graph: &Graph, node: usize, style: &PictureStyle, offsets: Vec<Duration>, files: Vec<PathBuf>) -> Result<Self, Failure> {
        let (pipeline, delay) = (graph.pipeline, graph.order.starts.video);
        let tee = needed(graph.source.decoded_video.as_ref())?;
        let name = |part: &str| format!("n{node}-{part}");
        let (_, guard) = branch(pipeline, tee, &name("guard"))?;
        let queue = raw_queue(pipeline, &name("queue"))?;
        let sink = make(pipeline, "fakesink", &name("sink"))?;
        sink.set_property("sync", false);
        sink.set_property("async", false);
        link(&[&guard, &queue, &sink])?;
        let (sender, receiver) = sync_channel(2);
        let entry = pad(&sink, "sink")?;
        pick(&entry, offsets.into_iter().map(|offset| clock(offset + delay)).collect(), sender);
        counters::mark_done(&entry, graph.counters, node);
        let (style, counters) = (style.clone(), graph.counters.clone());
        let thread = std::thread::Builder::new()
            .name("pictures".into())
            .spawn(move || write_all(&receiver, &style, &files, &counters, node, delay))
            .map_err(|error| broken(&error.to_string()))?;
        Ok(Self { thread })
    }

    /// Waits for the last picture; gives the media time of each. Call it after the pipeline has stopped.
    pub fn finish(self) -> Result<Vec<Option<Duration>>, Failure> {
        self.thread
            .join()
            .unwrap_or_else(|_| Err(broken("the thread that writes pictures panicked")))
    }
}

/// The picture before the one now, and what is still wanted.
struct Picker {
    held: Option<(gst::Buffer, gst::Caps)>,
    next: usize,
    sender: Option<SyncSender<Picked>>,
}

impl Picker {
    /// Sends the held picture for each offset before `until`.
    fn send_before(&mut self, wanted: &[gst::ClockTime], until: Option<gst::ClockTime>) {
        let Some((buffer, caps)) = &self.held else { return };
        while let Some(offset) = wanted.get(self.next) {
            if until.is_some_and(|until| *offset >= until) {
                return;
            }
            let picked = Picked {
                number: self.next,
                buffer: buffer.clone(),
                caps: caps.clone(),
            };
            if self.sender.as_ref().is_none_or(|sender| sender.send(picked).is_err()) {
                self.sender = None;
                return;
            }
            self.next += 1;
        }
    }
}

/// A picture is shown until the next one begins; the last one until the end.
fn pick(pad: &gst::Pad, wanted: Vec<gst::ClockTime>, sender: SyncSender<Picked>) {
    let picker = Mutex::new(Picker {
        held: None,
        next: 0,
        sender: Some(sender),
    });
    pad.add_probe(gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM, move |pad, info| {
        let Ok(mut picker) = picker.lock() else {
            return gst::PadProbeReturn::Ok;
        };
        if info.event().is_some_and(|event| event.type_() == gst::EventType::Eos) {
            picker.send_before(&wanted, None);
            picker.held = None;
            picker.sender = None;
        }
        let Some(gst::PadProbeData::Buffer(buffer)) = &info.data else {
            return gst::PadProbeReturn::Ok;
        };
        let time = stream_time(pad, buffer).unwrap_or(gst::ClockTime::ZERO);
        picker.send_before(&wanted, Some(time));
        picker.held = pad
            .current_caps()
            .filter(|_| picker.next < wanted.len())
            .map(|caps| (media_time(buffer, time), caps));
        gst::PadProbeReturn::Ok
    });
}

/// The same picture, stamped with its media time.
fn media_time(buffer: &gst::Buffer, time: gst::ClockTime) -> gst::Buffer {
    let mut copy = buffer.copy();
    if let Some(copy) = copy.get_mut() {
        copy.set_pts(time);
    }
    copy
}

fn write_all(
    receiver: &Receiver<Picked>,
    style: &PictureStyle,
    files: &[PathBuf],
    counters: &Counters,
    node: usize,
    delay: Duration,
) -> Result<Vec<Option<Duration>>, Failure> {
    let mut times = vec![None; files.len()];
    for picked in receiver {
        let Some(path) = files.get(picked.number) else { continue };
        if let Some(time) = times.get_mut(picked.number) {
            *time = picked
                .buffer
                .pts()
                .map(|pts| Duration::from_nanos(pts.nseconds()).saturating_sub(delay));
        }
        write(picked, style, path)?;
        counters.tick();
        if let Some(node) = counters.nodes.get(node) {
            node.pictures.fetch_add(1, Relaxed);
        }
    }
    Ok(times)
}

/// One picture through appsrc, scaling and the format's encoder.
fn write(picked: Picked, style: &PictureStyle, path: &Path) -> Result<(), Failure> {
    let pipeline = gst::Pipeline::builder().name("picture").build();
    let guard = super::Running(pipeline.clone());
    let source = make(&pipeline, "appsrc", "source")?;
    source.set_property("format", gst::Format::Time);
    source.set_property("caps", &picked.caps);
    let mut chain = vec![source.clone()];
    // By way of RGB: between two YUV formats of one matrix the scaler leaves the range as it is. WebP's encoder makes its own YUV.
    chain.extend(Look::plain(style.geometry, "RGB", Colour::Fixed("sRGB")).elements(&pipeline, "picture")?);
    if !matches!(style.format, ImageFormat::Png | ImageFormat::Webp) {
        chain.extend(jpeg_colours(&pipeline)?);
    }
    chain.push(encoder(&pipeline, style)?);
    let sink = make(&pipeline, "filesink", "file")?;
    sink.set_property("location", path);
    chain.push(sink);
    link(&chain.iter().collect::<Vec<_>>())?;
    pipeline
        .set_state(gst::State::Playing)
        .map_err(|error| broken(&error.to_string()))?;
    let mut buffer = picked.buffer;
    if let Some(buffer) = buffer.get_mut() {
        buffer.set_pts(gst::ClockTime::ZERO);
    }
    let _ = source.emit_by_name::<gst::FlowReturn>("push-buffer", &[&buffer]);
    let _ = source.emit_by_name::<gst::FlowReturn>("end-of-stream", &[]);
    let result = wait(&pipeline);
    drop(guard);
    result
}

/// JPEG means BT.601 in full range, whatever the film's colours are.
fn jpeg_colours(pipeline: &gst::Pipeline) -> Result<[gst::Element; 2], Failure> {
    let caps = gst::Caps::builder("video/x-raw")
        .field("format", "I420")
        .field("colorimetry", "1:4:0:0")
        .build();
    Ok([
        make(pipeline, "videoconvert", "jpeg-convert")?,
        caps_filter(pipeline, "jpeg-colours", &caps)?,
    ])
}

fn encoder(pipeline: &gst::Pipeline, style: &PictureStyle) -> Result<gst::Element, Failure> {
    match style.format {
        ImageFormat::Png => make(pipeline, "pngenc", "encode"),
        ImageFormat::Webp => {
            let encoder = make(pipeline, "webpenc", "encode")?;
            encoder.set_property("quality", style.quality as f32);
            Ok(encoder)
        }
        _ => {
            let encoder = make(pipeline, "jpegenc", "encode")?;
            encoder.set_property("quality", style.quality);
            Ok(encoder)
        }
    }
}

fn wait(pipeline: &gst::Pipeline) -> Result<(), Failure> {
    let bus = pipeline.bus().ok_or_else(|| broken("a pipeline without a bus"))?;
    let message = bus.timed_pop_filtered(clock(WRITE_DEADLINE), &[gst::MessageType::Eos, gst::MessageType::Error]);
    match message.as_ref().map(|message| message.view()) {
        Some(gst::MessageView::Eos(_)) => Ok(()),
        Some(gst::MessageView::Error(error)) => Err(failure::node(
            ErrorReason::PipelineFailed,
            format!("a picture could not be written: {}", error.error()),
            "the node is tried again",
        )),
        _ => Err(failure::node(
            ErrorReason::Stalled,
            "a picture could not be written in time",
            "the node is tried again",
        )),
    }
}
