//! The end of a transcode: muxer and file, fed by encoders or by the input's own packets.

use std::{path::Path, sync::Arc};

use gst::prelude::*;
use mps_proto::{v1::ErrorReason, worker::v1::Failure};

use super::{
    clip::{Window, clock, stream_time},
    containers::ContainerRule,
    counters::{self, Counters, Stretch},
    elements::{branch, broken, link, make, mux_queue, pad},
    tags,
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
}

/// What went into a muxer, stream by stream: the file must hold as much.
#[derive(Debug, Clone, Default)]
pub struct Entered {
    pub video: Option<Arc<Stretch>>,
    /// Tracks of sound, in their order.
    pub sound: Vec<Arc<Stretch>>,
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
        })
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
        let entered = counters::stretch_of(&pad(&queue, "sink")?);
        match kind {
            "video" => self.entered.video = Some(entered),
            _ => self.entered.sound.push(entered),
        }
        link(&[from, &queue])?;
        self.link_entry(&queue, kind)
    }

    /// Takes packets from a tee that other outputs share.
    pub fn take_shared(&mut self, pipeline: &gst::Pipeline, tee: &gst::Element, kind: &str) -> Result<(), Failure> {
        let (_, guard) = branch(pipeline, tee, &format!("n{}-{kind}-share", self.node))?;
        self.take(pipeline, &guard, kind)
    }

    /// Takes the input's packets as they are. A clip begins with the first key frame in it. `timestamper`: the element that finds out when
    /// each packet is decoded, for containers that do not say.
    pub fn copy(
        &mut self,
        pipeline: &gst::Pipeline,
        tee: &gst::Element,
        kind: &str,
        window: &Window,
        timestamper: Option<&str>,
        counters: &Arc<Counters>,
    ) -> Result<(), Failure> {
        let packets = copied(pipeline, tee, self.node, kind, window, timestamper, counters)?;
        self.take_tagged(pipeline, &packets, kind, false)
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

/// The branch of the input's packets as they are; gives its last element. `kind` and `timestamper` as `Output::copy` has them.
pub fn copied(
    pipeline: &gst::Pipeline,
    tee: &gst::Element,
    node: usize,
    kind: &str,
    window: &Window,
    timestamper: Option<&str>,
    counters: &Arc<Counters>,
) -> Result<gst::Element, Failure> {
    let (branch_pad, guard) = branch(pipeline, tee, &format!("n{node}-{kind}-guard"))?;
    clip_packets(tee, &branch_pad, window);
    let is_video = kind == "video";
    counters::count(&pad(&guard, "src")?, counters, move |counters| {
        let node = counters.nodes.get(node)?;
        Some(if is_video { &node.video } else { &node.audio })
    });
    let Some(timestamper) = timestamper else {
        return Ok(guard);
    };
    let timestamper = make(pipeline, timestamper, &format!("n{node}-{kind}-stamp"))?;
    link(&[&guard, &timestamper])?;
    Ok(timestamper)
}

fn clip_packets(tee: &gst::Element, branch: &gst::Pad, window: &Window) {
    let whole = window.clip.start <= window.base && window.clip.end.is_none() && window.delay.is_zero();
    let Some(source) = tee.static_pad("sink").filter(|_| !whole) else {
        return;
    };
    let (start, end) = (
        clock(window.clip.start + window.delay),
        window.clip.end.map(|end| clock(end + window.delay)),
    );
    let started = std::sync::atomic::AtomicBool::new(false);
    branch.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        use std::sync::atomic::Ordering::Relaxed;
        let Some(buffer) = info.buffer() else {
            return gst::PadProbeReturn::Ok;
        };
        let Some(time) = stream_time(&source, buffer) else {
            return gst::PadProbeReturn::Ok;
        };
        // In the order of decoding: what is shown before the end may need a packet that is shown behind it.
        let late = buffer
            .pts()
            .zip(buffer.dts())
            .map(|(pts, dts)| pts.saturating_sub(dts))
            .unwrap_or_default();
        let decoded = time.saturating_sub(late);
        let is_key = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
        if time >= start && is_key {
            started.store(true, Relaxed);
        }
        let behind = end.is_some_and(|end| decoded >= end);
        if behind || !started.load(Relaxed) {
            return gst::PadProbeReturn::Drop;
        }
        gst::PadProbeReturn::Ok
    });
    window.rebase_start(branch);
}
