//! Pictures that code of our own reads, fed into the pass.

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::JoinHandle,
    time::Duration,
};

use gst::prelude::*;
use mps_proto::{v1::ErrorReason, worker::v1::Failure};

use super::{
    Order,
    counters::Counters,
    elements::{broken, link, make},
};
use crate::{
    failure,
    own_pictures::{Picture, Summary, decoder, each, heif, summarize},
};

/// Bytes of raw pictures that wait to be taken.
const MAX_WAITING_BYTES: u64 = 64 << 20;

/// The thread that feeds the pass; it ends when its source stops.
pub struct Feeder {
    thread: Option<JoinHandle<()>>,
    has_ended: Arc<AtomicBool>,
}

impl Drop for Feeder {
    fn drop(&mut self) {
        self.has_ended.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The source of pictures, and its feeder.
pub fn source(pipeline: &gst::Pipeline, order: &Order, counters: &Arc<Counters>) -> Result<(gst::Element, Feeder), Failure> {
    let (path, container) = (order.input, order.facts.media.container.as_str());
    let unreadable = |error: io::Error| {
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
    let caps = still.map_or_else(
        || caps(&summary),
        |(kind, _)| gst::Caps::builder(kind).field("parsed", true).build(),
    );
    source.set_property("caps", caps);
    source.set_property("format", gst::Format::Time);
    source.set_property("block", true);
    source.set_property("max-bytes", MAX_WAITING_BYTES);
    let convert = make(pipeline, "videoconvert", "source-pictures-convert")?;
    match still {
        Some((_, decoder)) => link(&[&source, &make(pipeline, decoder, "source-pictures-decode")?, &convert])?,
        None => link(&[&source, &convert])?,
    }
    let has_ended = Arc::<AtomicBool>::default();
    let feed = Feed {
        path: path.to_owned(),
        folder: order.folder.to_owned(),
        container: container.to_owned(),
        max_pixels: order.max_pixels,
        is_still: summary.pictures == 1,
        whole: (!summary.is_broken).then_some(summary.pictures),
        has_ended: has_ended.clone(),
        counters: counters.clone(),
        bytes: summary.width as usize * summary.height as usize * 4,
        source: source.downgrade(),
    };
    let thread = std::thread::Builder::new()
        .name("pictures".into())
        .spawn(move || feed.run())
        .map_err(|error| broken(&error.to_string()))?;
    let feeder = Feeder {
        thread: Some(thread),
        has_ended,
    };
    Ok((convert, feeder))
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
    /// Where a decoder may write.
    folder: PathBuf,
    container: String,
    max_pixels: u64,
    is_still: bool,
    /// How many pictures there are; `None`: the file ends early, as the probe has told.
    whole: Option<u64>,
    has_ended: Arc<AtomicBool>,
    counters: Arc<Counters>,
    /// Of each picture.
    bytes: usize,
    source: gst::glib::WeakRef<gst::Element>,
}

impl Feed {
    fn run(self) {
        let read = self.read();
        let Some(source) = self.source.upgrade() else { return };
        // A file that was cut gives what it has. Behind an end an error would come too late.
        match read {
            Err(error) if self.is_still || self.whole.is_some() => {
                let text = format!("the {} file cannot be read: {error}", self.container);
                source.post_error_message(match error.kind() {
                    io::ErrorKind::StorageFull => gst::error_msg!(gst::ResourceError::NoSpaceLeft, ["{text}"]),
                    // What this machine could not do, another one may.
                    io::ErrorKind::OutOfMemory => gst::error_msg!(gst::ResourceError::Failed, ["{text}"]),
                    _ if error.raw_os_error().is_some() => gst::error_msg!(gst::ResourceError::Failed, ["{text}"]),
                    _ => gst::error_msg!(gst::StreamError::Decode, ["{text}"]),
                });
                return;
            }
            Err(error) => tracing::debug!(%error, "a picture could not be read"),
            Ok(()) => {}
        }
        let _ = source.emit_by_name::<gst::FlowReturn>("end-of-stream", &[]);
    }

    fn read(&self) -> io::Result<()> {
        if decoder(&self.path, &self.container).is_some() {
            let bytes = std::fs::read(&self.path)?;
            self.push(gst::Buffer::from_slice(bytes), Duration::ZERO, None);
            return Ok(());
        }
        if heif::CONTAINERS.contains(&self.container.as_str()) {
            // The thread waits for another process, which is no standstill.
            let is_wanted = || {
                self.counters.tick();
                !self.has_ended.load(Relaxed)
            };
            let picture = self
                .counters
                .outside(|| heif::read(&self.path, &self.folder, self.max_pixels, &is_wanted))?;
            self.take(picture);
            return Ok(());
        }
        let (mut taken, mut refused) = (0, false);
        each(&self.path, &self.container, self.max_pixels, &mut |picture| {
            let fits = picture.pixels.len() == self.bytes;
            refused = fits && !self.take(picture);
            let goes_on = fits && !refused;
            taken += u64::from(goes_on);
            goes_on
        })?;
        match self.whole {
            Some(whole) if taken < whole && !refused => Err(io::Error::other(format!("picture {} of {whole} is damaged", taken + 1))),
            _ => Ok(()),
        }
    }

    fn take(&self, picture: Picture) -> bool {
        self.push(gst::Buffer::from_slice(picture.pixels), picture.start, picture.duration)
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
