//! Branches that take pictures: picked by media time out of the pass, shaped, encoded in the pass's own pipeline, and handed over one by one.

use std::{
    fs, io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering::Relaxed},
    time::Duration,
};

use gst::prelude::*;
use gst_video::VideoFrameRef;
use mps_proto::{
    v1::{ErrorReason, ImageFormat},
    worker::v1::Failure,
};

use super::{
    Graph,
    counters::Counters,
    elements::{broken, link, make, pad, raw_branch, raw_queue},
    needed,
    pick::{self, Times},
    picture::{Look, RGB, jpeg},
};
use crate::failure;

/// The format of looks whose pictures are written in a format: JPEG is YUV itself.
pub fn format_of(format: ImageFormat) -> &'static str {
    match format {
        ImageFormat::Png | ImageFormat::Webp => RGB,
        _ => "I420",
    }
}

/// How pictures are made and written.
#[derive(Debug, Clone)]
pub struct PictureStyle {
    pub format: ImageFormat,
    pub quality: i32,
    pub look: Look,
}

impl PictureStyle {
    /// Shaping and encoding, to be linked in order; names begin with `prefix`.
    pub fn elements(&self, pipeline: &gst::Pipeline, prefix: &str) -> Result<Vec<gst::Element>, Failure> {
        let mut chain = shaped(&self.look, pipeline, prefix)?;
        chain.extend(self.encoder(pipeline, prefix)?);
        Ok(chain)
    }

    /// The encoder of the format, with what it needs in front of it.
    fn encoder(&self, pipeline: &gst::Pipeline, prefix: &str) -> Result<Vec<gst::Element>, Failure> {
        let name = |part: &str| format!("{prefix}-{part}");
        match self.format {
            ImageFormat::Png => Ok(vec![make(pipeline, "pngenc", &name("encode"))?]),
            ImageFormat::Webp => {
                let encoder = make(pipeline, "webpenc", &name("encode"))?;
                encoder.set_property("quality", self.quality as f32);
                Ok(vec![encoder])
            }
            _ => {
                let encoder = make(pipeline, "jpegenc", &name("encode"))?;
                encoder.set_property("quality", self.quality);
                jpeg::convert_at(&pad(&encoder, "sink")?);
                Ok(vec![encoder])
            }
        }
    }
}

/// The chain of a look. Pictures shrink a lot: every pixel of the input counts, where two taps would leave most of them out.
pub fn shaped(look: &Look, pipeline: &gst::Pipeline, prefix: &str) -> Result<Vec<gst::Element>, Failure> {
    let chain = look.elements(pipeline, prefix)?;
    let scaler = format!("{prefix}-scale");
    if let Some(scaler) = chain.iter().find(|element| element.name() == scaler && !look.lanczos) {
        scaler.set_property_from_str("method", "bilinear2");
        scaler.set_property_from_str("chroma-mode", "none");
        scaler.set_property_from_str("dither", "none");
    }
    Ok(chain)
}

/// A picture that has come through its branch.
pub struct Arrived<'a> {
    /// Within the branch, from 0: that of its time.
    pub number: usize,
    /// Media time at which it begins.
    pub time: Duration,
    /// The encoded file, or packed pixels.
    pub bytes: &'a [u8],
    /// The same, with what its caps say where it is raw.
    pub buffer: &'a gst::BufferRef,
    pub video: Option<&'a gst_video::VideoInfo>,
}

/// Takes what a branch makes, in the pipeline's thread; an error fails the node.
pub trait Taker: Send {
    fn picture(&mut self, picture: &Arrived) -> io::Result<()>;

    /// After the last one. `tick` is to be called while something moves.
    fn end(&mut self, _tick: &dyn Fn()) -> io::Result<()> {
        Ok(())
    }
}

/// Hangs a branch on the tee of decoded pictures: those shown at `times` go through `chain` to the taker.
pub fn start(graph: &Graph, node: usize, times: Times, chain: Vec<gst::Element>, taker: Box<dyn Taker>) -> Result<(), Failure> {
    let pipeline = graph.pipeline;
    let tee = needed(graph.source.decoded_video.as_ref())?;
    let name = |part: &str| format!("n{node}-{part}");
    let (_, guard) = raw_branch(pipeline, tee, &name("guard"))?;
    let picker = pick::element(pipeline, &name("pick"), times)?;
    let queue = raw_queue(pipeline, &name("queue"))?;
    let sink = make(pipeline, "fakesink", &name("sink"))?;
    sink.set_property("sync", false);
    sink.set_property("async", false);
    let all = [guard, picker.clone(), queue].into_iter().chain(chain).chain([sink.clone()]);
    link(&all.collect::<Vec<_>>().iter().collect::<Vec<_>>())?;
    tick_at(&pad(&picker, "sink")?, graph.counters);
    hand_over(&sink, taker, graph.counters, node)
}

/// A branch that waits for a picture lets many pass: they count as movement.
fn tick_at(pad: &gst::Pad, counters: &Arc<Counters>) {
    let counters = counters.clone();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        counters.tick();
        gst::PadProbeReturn::Ok
    });
}

/// A taker, and how many pictures it has got.
struct Taking {
    taker: Box<dyn Taker>,
    number: usize,
    failed: bool,
}

fn hand_over(sink: &gst::Element, taker: Box<dyn Taker>, counters: &Arc<Counters>, node: usize) -> Result<(), Failure> {
    let (weak, counters) = (sink.downgrade(), counters.clone());
    let taking = Mutex::new(Taking {
        taker,
        number: 0,
        failed: false,
    });
    let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
    pad(sink, "sink")?.add_probe(kinds, move |pad, info| {
        let mut taking = taking.lock().unwrap_or_else(PoisonError::into_inner);
        counters.tick();
        let is_end = info.event().is_some_and(|event| event.type_() == gst::EventType::Eos);
        let taken = match info.buffer() {
            _ if taking.failed => Ok(()),
            Some(buffer) => take(&mut taking, pad, buffer, &counters, node),
            None if is_end => taking.taker.end(&|| counters.tick()),
            None => Ok(()),
        };
        if let (Err(error), Some(sink)) = (taken, weak.upgrade()) {
            taking.failed = true;
            complain(&sink, &error);
        }
        if is_end && let Some(node) = counters.nodes.get(node) {
            node.done.store(true, Relaxed);
        }
        gst::PadProbeReturn::Ok
    });
    Ok(())
}

fn take(taking: &mut Taking, pad: &gst::Pad, buffer: &gst::BufferRef, counters: &Counters, node: usize) -> io::Result<()> {
    let video = pad.current_caps().and_then(|caps| gst_video::VideoInfo::from_caps(&caps).ok());
    let packed = video.as_ref().and_then(|video| packed(buffer, video));
    let buffer = packed.as_deref().unwrap_or(buffer);
    let map = buffer.map_readable().map_err(io::Error::other)?;
    taking.taker.picture(&Arrived {
        number: taking.number,
        time: Duration::from_nanos(buffer.pts().map_or(0, gst::ClockTime::nseconds)),
        bytes: map.as_slice(),
        buffer,
        video: video.as_ref(),
    })?;
    taking.number += 1;
    if let Some(node) = counters.nodes.get(node) {
        node.pictures.fetch_add(1, Relaxed);
    }
    Ok(())
}

/// A copy without padding; `None`: the picture has none.
fn packed(buffer: &gst::BufferRef, video: &gst_video::VideoInfo) -> Option<gst::Buffer> {
    let meta = buffer.meta::<gst_video::VideoMeta>()?;
    if meta.stride() == video.stride() && meta.offset() == video.offset() && buffer.size() == video.size() {
        return None;
    }
    let mut plain = gst::Buffer::with_size(video.size()).ok()?;
    let target = plain.get_mut()?;
    target.set_pts(buffer.pts());
    target.set_duration(buffer.duration());
    let frame = VideoFrameRef::from_buffer_ref_readable(buffer, video).ok()?;
    let mut copied = VideoFrameRef::from_buffer_ref_writable(target, video).ok()?;
    frame.copy(&mut copied).ok()?;
    drop(copied);
    Some(plain)
}

/// Fails the node: the message comes from one of its elements.
fn complain(sink: &gst::Element, error: &io::Error) {
    let text = format!("a picture could not be written: {error}");
    if error.kind() == io::ErrorKind::StorageFull {
        gst::element_error!(sink, gst::ResourceError::NoSpaceLeft, ("{}", text));
    } else {
        gst::element_error!(sink, gst::ResourceError::Write, ("{}", text));
    }
}

/// Media times of the pictures that were written, in order.
pub type Written = Arc<Mutex<Vec<Duration>>>;

/// Writes each picture to its file.
pub struct ToFiles {
    paths: Vec<PathBuf>,
    written: Written,
}

impl ToFiles {
    pub fn new(paths: Vec<PathBuf>) -> (Self, Written) {
        let written = Written::default();
        let files = Self {
            paths,
            written: written.clone(),
        };
        (files, written)
    }
}

impl Taker for ToFiles {
    fn picture(&mut self, picture: &Arrived) -> io::Result<()> {
        let Some(path) = self.paths.get(picture.number) else {
            return Ok(());
        };
        fs::write(path, picture.bytes)?;
        self.written.lock().unwrap_or_else(PoisonError::into_inner).push(picture.time);
        Ok(())
    }
}

/// How long one picture may take to be written.
const WRITE_DEADLINE: Duration = Duration::from_secs(60);

/// One picture by a pipeline of its own: for those that are known only when the pass has ended.
pub fn write_one(mut buffer: gst::Buffer, caps: &gst::Caps, style: &PictureStyle, path: &std::path::Path) -> Result<(), Failure> {
    let pipeline = gst::Pipeline::builder().name("picture").build();
    let guard = super::Running(pipeline.clone());
    let source = make(&pipeline, "appsrc", "source")?;
    source.set_property("format", gst::Format::Time);
    source.set_property("caps", caps);
    let mut chain = vec![source.clone()];
    chain.extend(style.elements(&pipeline, "picture")?);
    let sink = make(&pipeline, "filesink", "file")?;
    sink.set_property("location", path);
    chain.push(sink);
    link(&chain.iter().collect::<Vec<_>>())?;
    pipeline
        .set_state(gst::State::Playing)
        .map_err(|error| broken(&error.to_string()))?;
    buffer.make_mut().set_pts(gst::ClockTime::ZERO);
    let _ = source.emit_by_name::<gst::FlowReturn>("push-buffer", &[&buffer]);
    let _ = source.emit_by_name::<gst::FlowReturn>("end-of-stream", &[]);
    let result = wait(&pipeline);
    drop(guard);
    result
}

fn wait(pipeline: &gst::Pipeline) -> Result<(), Failure> {
    let bus = pipeline.bus().ok_or_else(|| broken("a pipeline without a bus"))?;
    let message = bus.timed_pop_filtered(
        super::clip::clock(WRITE_DEADLINE),
        &[gst::MessageType::Eos, gst::MessageType::Error],
    );
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
