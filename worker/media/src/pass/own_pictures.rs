//! Animated GIFs: decoded by a Rust crate and fed in, since GStreamer's decoder never ends on them.

use std::{path::Path, thread::JoinHandle};

use gst::prelude::*;
use mps_proto::{v1::ErrorReason, worker::v1::Failure};

use super::elements::{broken, link, make};
use crate::{
    failure,
    gif::{GifFrames, summarize},
};

/// Bytes of raw pictures that wait to be taken.
const MAX_WAITING_BYTES: u64 = 64 << 20;

/// The thread that feeds the pass; it ends when its source stops.
pub struct Feeder(Option<JoinHandle<()>>);

impl Drop for Feeder {
    fn drop(&mut self) {
        if let Some(thread) = self.0.take() {
            let _ = thread.join();
        }
    }
}

/// The source of pictures, and its feeder.
pub fn source(pipeline: &gst::Pipeline, path: &Path, max_pixels: u64) -> Result<(gst::Element, Feeder), Failure> {
    let unreadable = |error: std::io::Error| {
        failure::data(
            ErrorReason::InputDamaged,
            format!("the GIF cannot be read: {error}"),
            "make the GIF anew",
        )
    };
    let (num, den) = summarize(path).map_err(unreadable)?.frame_rate();
    let frames = GifFrames::open(path, max_pixels).map_err(unreadable)?;
    let source = make(pipeline, "appsrc", "source-gif")?;
    let caps = gst::Caps::builder("video/x-raw")
        .field("format", "RGBA")
        .field("width", i32::from(frames.width()))
        .field("height", i32::from(frames.height()))
        .field("framerate", gst::Fraction::new(num, den.max(1)))
        .field("pixel-aspect-ratio", gst::Fraction::new(1, 1))
        .build();
    source.set_property("caps", &caps);
    source.set_property("format", gst::Format::Time);
    source.set_property("block", true);
    source.set_property("max-bytes", MAX_WAITING_BYTES);
    let convert = make(pipeline, "videoconvert", "source-gif-convert")?;
    link(&[&source, &convert])?;
    let weak = source.downgrade();
    let thread = std::thread::Builder::new()
        .name("gif".into())
        .spawn(move || feed(frames, &weak))
        .map_err(|error| broken(&error.to_string()))?;
    Ok((convert, Feeder(Some(thread))))
}

fn feed(frames: GifFrames, source: &gst::glib::WeakRef<gst::Element>) {
    for frame in frames {
        // A broken frame ends the film; the pass then finds it shorter than promised.
        let Ok(frame) = frame else { break };
        let mut buffer = gst::Buffer::from_slice(frame.pixels);
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(super::clip::clock(frame.start));
            buffer.set_duration(super::clip::clock(frame.duration));
        }
        let Some(source) = source.upgrade() else { return };
        if source.emit_by_name::<gst::FlowReturn>("push-buffer", &[&buffer]) != gst::FlowReturn::Ok {
            return;
        }
    }
    if let Some(source) = source.upgrade() {
        let _ = source.emit_by_name::<gst::FlowReturn>("end-of-stream", &[]);
    }
}
