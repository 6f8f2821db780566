//! Pictures that code of our own reads, fed into the pass.

use std::{
    path::{Path, PathBuf},
    thread::JoinHandle,
    time::Duration,
};

use gst::prelude::*;
use mps_proto::{v1::ErrorReason, worker::v1::Failure};

use super::elements::{broken, link, make};
use crate::{
    failure,
    own_pictures::{Picture, Summary, decoder, each, summarize},
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
pub fn source(pipeline: &gst::Pipeline, path: &Path, container: &str, max_pixels: u64) -> Result<(gst::Element, Feeder), Failure> {
    let unreadable = |error: std::io::Error| {
        failure::data(
            ErrorReason::InputDamaged,
            format!("the {container} file cannot be read: {error}"),
            "make the file anew",
        )
    };
    let summary = summarize(path, container)
        .ok_or_else(|| broken("no picture of our own"))?
        .map_err(unreadable)?;
    let source = make(pipeline, "appsrc", "source-pictures")?;
    let still = decoder(path, container);
    let caps = still.map_or_else(|| caps(&summary), |(kind, _)| gst::Caps::builder(kind).build());
    source.set_property("caps", caps);
    source.set_property("format", gst::Format::Time);
    source.set_property("block", true);
    source.set_property("max-bytes", MAX_WAITING_BYTES);
    let convert = make(pipeline, "videoconvert", "source-pictures-convert")?;
    match still {
        Some((_, decoder)) => link(&[&source, &make(pipeline, decoder, "source-pictures-decode")?, &convert])?,
        None => link(&[&source, &convert])?,
    }
    let feed = Feed {
        path: path.to_owned(),
        container: container.to_owned(),
        max_pixels,
        bytes: summary.width as usize * summary.height as usize * 4,
        source: source.downgrade(),
    };
    let thread = std::thread::Builder::new()
        .name("pictures".into())
        .spawn(move || feed.run())
        .map_err(|error| broken(&error.to_string()))?;
    Ok((convert, Feeder(Some(thread))))
}

fn caps(summary: &Summary) -> gst::Caps {
    let (num, den) = summary.frame_rate;
    gst::Caps::builder("video/x-raw")
        .field("format", "RGBA")
        .field("width", i32::try_from(summary.width).unwrap_or(i32::MAX))
        .field("height", i32::try_from(summary.height).unwrap_or(i32::MAX))
        .field("framerate", gst::Fraction::new(num, den.max(1)))
        .field("pixel-aspect-ratio", gst::Fraction::new(1, 1))
        .build()
}

struct Feed {
    path: PathBuf,
    container: String,
    max_pixels: u64,
    /// Of each picture.
    bytes: usize,
    source: gst::glib::WeakRef<gst::Element>,
}

impl Feed {
    fn run(self) {
        let read = match decoder(&self.path, &self.container) {
            Some(_) => std::fs::read(&self.path).map(|bytes| {
                self.push(gst::Buffer::from_slice(bytes), Duration::ZERO, None);
            }),
            None => each(&self.path, &self.container, self.max_pixels, &mut |picture| self.take(picture)),
        };
        let Some(source) = self.source.upgrade() else { return };
        // A broken picture ends the film, which is then shorter than promised; a still that cannot be read has no other.
        if let Err(error) = read {
            tracing::debug!(%error, "a picture could not be read");
        }
        let _ = source.emit_by_name::<gst::FlowReturn>("end-of-stream", &[]);
    }

    fn take(&self, picture: Picture) -> bool {
        let fits = picture.pixels.len() == self.bytes;
        fits && self.push(gst::Buffer::from_slice(picture.pixels), picture.start, picture.duration)
    }

    fn push(&self, mut buffer: gst::Buffer, start: Duration, duration: Option<Duration>) -> bool {
        let Some(source) = self.source.upgrade() else { return false };
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(super::clip::clock(start));
            buffer.set_duration(duration.map(super::clip::clock));
        }
        source.emit_by_name::<gst::FlowReturn>("push-buffer", &[&buffer]) == gst::FlowReturn::Ok
    }
}
