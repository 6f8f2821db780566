//! The end of a transcode: muxer and file, fed by encoders or by the input's own packets.

use std::{
    path::Path,
    sync::{Arc, OnceLock, atomic::AtomicU64},
    time::Duration,
};

use gst::prelude::*;
use mps_proto::{
    v1::{Container, ErrorReason},
    worker::v1::Failure,
};

use super::{
    containers::ContainerRule,
    copy::Copy,
    counters::{self, Counters, Stretch},
    elements::{branch, broken, link, make, mux_queue, pad},
    flv, mp3_header, tags,
};
use crate::{failure, subtitles};

pub use super::tags::Kept;

/// A muxer (or the file itself) that takes streams.
pub struct Output {
    /// Takes compressed streams.
    entry: gst::Element,
    node: usize,
    rule: &'static ContainerRule,
    kept: Kept,
    entered: Entered,
    /// Names of tracks of sound.
    titles: Vec<String>,
}

/// What went into a muxer, stream by stream: the file must hold as much.
#[derive(Debug, Clone, Default)]
pub struct Entered {
    pub video: Option<Arc<Stretch>>,
    /// How the picture's packets are described.
    pub video_caps: Arc<OnceLock<gst::Caps>>,
    /// Tracks of sound, in their order.
    pub sound: Vec<Arc<Stretch>>,
    /// Samples of one channel, where the file has a header that must tell them.
    pub samples: Option<Arc<AtomicU64>>,
}

impl Output {
    pub fn new(
        pipeline: &gst::Pipeline,
        node: usize,
        rule: &'static ContainerRule,
        path: &Path,
        kept: Kept,
        counters: &Arc<Counters>,
    ) -> Result<Self, Failure> {
        let name = |part: &str| format!("n{node}-{part}");
        let sink = make(pipeline, "filesink", &name("file"))?;
        sink.set_property("location", path);
        sink.set_property("async", false);
        sink.set_property("sync", false);
        counters::mark_done(&pad(&sink, "sink")?, counters, node);
        let entry = match rule.muxer {
            None => sink,
            Some(muxer) => {
                let mux = make(pipeline, muxer, &name("mux"))?;
                link(&[&mux, &sink])?;
                mux
            }
        };
        Ok(Self {
            entry,
            node,
            rule,
            kept,
            entered: Entered::default(),
            titles: Vec::new(),
        })
    }

    /// Names of the tracks of sound that come, in their order.
    pub fn name_sound(&mut self, titles: Vec<String>) {
        self.titles = titles;
    }

    /// What goes into it, once all streams are there.
    pub fn entered(self) -> Entered {
        self.entered
    }

    /// Takes a compressed stream from the end of an encoder's branch. `kind`: video, audio, or audio with a number.
    pub fn take(&mut self, pipeline: &gst::Pipeline, from: &gst::Element, kind: &str) -> Result<(), Failure> {
        self.take_tagged(pipeline, from, kind, true)
    }

    /// Takes a track of subtitles.
    pub fn take_subtitles(&self, pipeline: &gst::Pipeline, track: &subtitles::Track, number: usize) -> Result<(), Failure> {
        let needs_end = self.rule.muxer.is_some_and(|muxer| ["mp4mux", "qtmux"].contains(&muxer));
        let queue = subtitles::soft::source(pipeline, &format!("n{}-subtitles{number}", self.node), track, needs_end)?;
        let entry = subtitles::soft::entry(&self.entry).ok_or_else(|| broken("the muxer gives no pad for subtitles"))?;
        let linked = pad(&queue, "src")?.link(&entry);
        linked.map(drop).map_err(|error| broken(&error.to_string()))
    }

    fn take_tagged(&mut self, pipeline: &gst::Pipeline, from: &gst::Element, kind: &str, encoded: bool) -> Result<(), Failure> {
        let queue = mux_queue(pipeline, &format!("n{}-{kind}-mux-queue", self.node))?;
        tags::filter(&pad(&queue, "sink")?, self.kept, encoded);
        if !encoded {
            tags::filter_headers(&pad(&queue, "sink")?, self.kept);
        }
        if self.rule.index_first {
            tell_chroma_site(&pad(&queue, "sink")?);
        }
        let entered = counters::stretch_of(&pad(&queue, "sink")?);
        match kind {
            "video" => {
                if self.rule.container == Container::Flv {
                    flv::begin_at_zero(&pad(&queue, "sink")?);
                }
                note_caps(&pad(&queue, "sink")?, &self.entered.video_caps);
                self.entered.video = Some(entered);
            }
            _ => {
                let title = self.titles.get(self.entered.sound.len()).map_or("", String::as_str);
                if self.rule.named_by_tags && !title.is_empty() {
                    tags::name(&pad(&queue, "src")?, title);
                }
                self.entered.sound.push(entered);
            }
        }
        link(&[from, &queue])?;
        self.link_entry(&queue, kind)
    }

    /// Takes packets from a tee that other outputs share. `late`: how much later they come here than they say.
    pub fn take_shared(&mut self, pipeline: &gst::Pipeline, tee: &gst::Element, kind: &str, late: Duration) -> Result<(), Failure> {
        let (_, guard) = branch(pipeline, tee, &format!("n{}-{kind}-share", self.node))?;
        if self.rule.muxer.is_some() {
            keep_media(&pad(&guard, "src")?);
        }
        pad(&guard, "src")?.set_offset(i64::try_from(late.as_nanos()).unwrap_or(0));
        if self.rule.container == Container::Mp3 {
            self.entered.samples = Some(mp3_header::reserve(&pad(&guard, "src")?));
        }
        self.take(pipeline, &guard, kind)
    }

    /// Takes the input's packets as they are.
    pub fn copy(&mut self, pipeline: &gst::Pipeline, copy: &Copy, counters: &Arc<Counters>) -> Result<(), Failure> {
        let packets = copy.elements(pipeline, self.node, self.rule.container, counters)?;
        self.take_tagged(pipeline, &packets, copy.kind, false)
    }

    fn link_entry(&self, queue: &gst::Element, kind: &str) -> Result<(), Failure> {
        let from = pad(queue, "src")?;
        let name = if kind == "video" {
            self.rule.video_pad
        } else {
            self.rule.audio_pad
        };
        let to = self.entry.static_pad(name).or_else(|| self.entry.request_pad_simple(name));
        let to = to.ok_or_else(|| broken("the muxer gives no pad"))?;
        from.link(&to).map(drop).map_err(|_| {
            failure::data(
                ErrorReason::Unsupported,
                format!("the container cannot take this {kind} stream"),
                "encode the stream instead of copying it, or choose another container",
            )
        })
    }
}

/// Lets media pass alone. The encoder of FLAC writes its header again at the end, as bytes of a file, when another branch is one: muxers took
/// that for packets, and lost those that they still held.
fn keep_media(exit: &gst::Pad) {
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
    let in_bytes = AtomicBool::new(false);
    exit.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM | gst::PadProbeType::BUFFER, move |_, info| {
        match &mut info.data {
            Some(gst::PadProbeData::Event(event)) => {
                if let gst::EventView::Segment(segment) = event.view() {
                    let is_file = segment.segment().format() == gst::Format::Bytes;
                    in_bytes.store(is_file, Relaxed);
                    if is_file {
                        *event = gst::event::CustomDownstream::new(gst::Structure::new_empty("mps-nothing"));
                    }
                }
            }
            Some(gst::PadProbeData::Buffer(_)) if in_bytes.load(Relaxed) => return gst::PadProbeReturn::Drop,
            _ => {}
        }
        gst::PadProbeReturn::Ok
    });
}

fn note_caps(pad: &gst::Pad, place: &Arc<OnceLock<gst::Caps>>) {
    let place = place.clone();
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        if let Some(gst::EventView::Caps(caps)) = info.event().map(|event| event.view()) {
            let _ = place.set(caps.caps_owned());
        }
        gst::PadProbeReturn::Ok
    });
}

/// The muxers of MP4 of GStreamer 1.22 read where chroma samples of VP9 lie without asking whether the caps say it, and crash.
fn tell_chroma_site(pad: &gst::Pad) {
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, |_, info| {
        if let Some(gst::PadProbeData::Event(event)) = &mut info.data
            && let gst::EventView::Caps(told) = event.view()
            && let Some(caps) = told.caps().structure(0)
            && caps.name() == "video/x-vp9"
            && !caps.has_field("chroma-site")
        {
            let mut caps = told.caps_owned();
            caps.make_mut().set("chroma-site", "mpeg2");
            *event = gst::event::Caps::new(&caps);
        }
        gst::PadProbeReturn::Ok
    });
}
