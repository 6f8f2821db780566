//! What a running pass counts, from pad probes: atomics only, since probes run in streaming threads.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use gst::prelude::*;
use mps_proto::worker::v1::Failure;

use super::clip::running_ns;

/// Counters of a pass.
#[derive(Debug, Default)]
pub struct Counters {
    /// Grows whenever media moves.
    pub ticks: AtomicU64,
    /// Decoders that run over the film.
    pub video_decoders: AtomicU64,
    pub decoded: Stretch,
    pub decoded_sound: Stretch,
    pub nodes: Vec<NodeCounters>,
}

/// Counters of a node.
#[derive(Debug, Default)]
pub struct NodeCounters {
    /// What went into the video encoder, or as a copy into the muxer.
    pub video: Stretch,
    pub audio: Stretch,
    /// Pictures written.
    pub pictures: AtomicU64,
    /// Every byte has reached the file.
    pub done: AtomicBool,
    /// Why its streams were ended early.
    failure: Mutex<Option<Failure>>,
}

/// Buffers that passed a point, and between which times.
#[derive(Debug)]
pub struct Stretch {
    pub buffers: AtomicU64,
    first_ns: AtomicI64,
    end_ns: AtomicI64,
}

impl Default for Stretch {
    fn default() -> Self {
        Self {
            buffers: AtomicU64::new(0),
            first_ns: AtomicI64::new(i64::MAX),
            end_ns: AtomicI64::new(0),
        }
    }
}

impl Stretch {
    fn add(&self, start_ns: i64, length_ns: i64) {
        self.buffers.fetch_add(1, Relaxed);
        self.first_ns.fetch_min(start_ns, Relaxed);
        self.end_ns.fetch_max(start_ns + length_ns, Relaxed);
    }

    pub fn count(&self) -> u64 {
        self.buffers.load(Relaxed)
    }

    /// Where the first buffer begins.
    pub fn first(&self) -> Duration {
        match self.first_ns.load(Relaxed) {
            i64::MAX => Duration::ZERO,
            first => Duration::from_nanos(first.max(0) as u64),
        }
    }

    /// Where the last buffer ends.
    pub fn end(&self) -> Duration {
        Duration::from_nanos(self.end_ns.load(Relaxed).max(0) as u64)
    }
}

impl NodeCounters {
    /// The node cannot be finished; its streams are ended all the same, so that nothing waits for it.
    pub fn fail(&self, failure: Failure) {
        let mut told = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        told.get_or_insert(failure);
    }

    /// Why it cannot be finished.
    pub fn failure(&self) -> Option<Failure> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Pictures written.
    pub fn pictures(&self) -> u64 {
        self.pictures.load(Relaxed)
    }
}

impl Counters {
    pub fn for_nodes(count: usize) -> Self {
        Self {
            nodes: (0..count).map(|_| NodeCounters::default()).collect(),
            ..Self::default()
        }
    }

    /// Every node is waited for again.
    pub fn begin(&self) {
        for node in &self.nodes {
            node.done.store(false, Relaxed);
        }
    }

    /// Nothing is waited for from a node that is not in the pass.
    pub fn leave_out(&self, node: usize) {
        if let Some(node) = self.nodes.get(node) {
            node.done.store(true, Relaxed);
        }
    }

    pub fn tick(&self) {
        self.ticks.fetch_add(1, Relaxed);
    }
}

/// Counts buffers that pass a pad, in running time; `pick` says where.
pub fn count(pad: &gst::Pad, counters: &std::sync::Arc<Counters>, pick: impl Fn(&Counters) -> Option<&Stretch> + Send + Sync + 'static) {
    let counters = counters.clone();
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        if let (Some(buffer), Some(stretch)) = (info.buffer(), pick(&counters)) {
            counters.tick();
            let start = running_ns(pad, buffer);
            stretch.add(start.unwrap_or(0), buffer.duration().map_or(0, |length| length.nseconds() as i64));
        }
        gst::PadProbeReturn::Ok
    });
}

/// A count of its own of what passes a pad.
pub fn stretch_of(pad: &gst::Pad) -> std::sync::Arc<Stretch> {
    let stretch = std::sync::Arc::new(Stretch::default());
    let counted = stretch.clone();
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        if let Some(buffer) = info.buffer() {
            let length = buffer.duration().map_or(0, |length| length.nseconds() as i64);
            counted.add(running_ns(pad, buffer).unwrap_or(0), length);
        }
        gst::PadProbeReturn::Ok
    });
    stretch
}

/// Marks a node as done when the end of its stream reaches the file.
pub fn mark_done(pad: &gst::Pad, counters: &std::sync::Arc<Counters>, node: usize) {
    let counters = counters.clone();
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM | gst::PadProbeType::BUFFER, move |_, info| {
        counters.tick();
        if info.event().is_some_and(|event| event.type_() == gst::EventType::Eos)
            && let Some(node) = counters.nodes.get(node)
        {
            node.done.store(true, Relaxed);
        }
        gst::PadProbeReturn::Ok
    });
}
