//! What a running pass counts, from pad probes: atomics only, since probes run in streaming threads.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use gst::prelude::*;
use mps_proto::worker::v1::Failure;

use super::{
    clip::running_ns,
    seek::Range,
    streams::{ReadStream, Role},
};
use crate::{
    damage,
    timeline::{Timeline, nanoseconds},
};

/// Ends a wait for somebody else, however it ends.
struct Back<'a>(&'a AtomicU64);

impl Drop for Back<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// Counters of a pass.
#[derive(Debug, Default)]
pub struct Counters {
    /// Grows whenever media moves.
    pub ticks: AtomicU64,
    /// How far the input was read, in bytes.
    pub read_to: AtomicU64,
    /// Threads that wait for somebody else, such as for uploads.
    pub outside: AtomicU64,
    /// Whether members of sets were handed over: a pass that did cannot begin anew.
    pub handed_over: AtomicBool,
    /// Whether a member came of a pass that begins in the wrong place, and was not handed over: the pass begins anew.
    pub is_abandoned: AtomicBool,
    /// Decoders that run over the film.
    pub video_decoders: AtomicU64,
    pub decoded: Stretch,
    pub decoded_sound: Stretch,
    pub nodes: Vec<NodeCounters>,
    /// Streams as they came out of the demuxer.
    pub streams: Mutex<Vec<Arc<ReadStream>>>,
    /// Whether the pass reads to the end of the input.
    pub to_the_end: AtomicBool,
    /// Own time up to which the film is shown at least where a pass stops earlier, in nanoseconds; 0: nobody knows.
    pub shown_until: AtomicI64,
    /// What decoders had said before the first thing that they gave, and up to the last one.
    pub damage: DamageSpan,
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
    last_ns: AtomicI64,
}

impl Default for Stretch {
    fn default() -> Self {
        Self {
            buffers: AtomicU64::new(0),
            first_ns: AtomicI64::new(i64::MAX),
            end_ns: AtomicI64::new(0),
            last_ns: AtomicI64::new(0),
        }
    }
}

impl Stretch {
    pub(super) fn add(&self, start_ns: i64, length_ns: i64) {
        self.buffers.fetch_add(1, Relaxed);
        self.first_ns.fetch_min(start_ns, Relaxed);
        self.end_ns.fetch_max(start_ns + length_ns, Relaxed);
        self.last_ns.fetch_max(start_ns, Relaxed);
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

    /// Where the first buffer begins; `None`: there was none.
    pub fn begin(&self) -> Option<Duration> {
        let first = self.first_ns.load(Relaxed);
        (first != i64::MAX).then(|| Duration::from_nanos(u64::try_from(first).unwrap_or(0)))
    }

    /// How long the last buffer lasts.
    pub fn last_length(&self) -> Duration {
        let last = Duration::from_nanos(u64::try_from(self.last_ns.load(Relaxed)).unwrap_or(0));
        self.end().saturating_sub(last)
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
        for stretch in [&self.decoded, &self.decoded_sound] {
            stretch.first_ns.store(i64::MAX, Relaxed);
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

    /// Whether nothing more is waited for from a node.
    pub fn is_done(&self, node: usize) -> bool {
        self.nodes.get(node).is_some_and(|node| node.done.load(Relaxed))
    }

    /// Runs what waits for somebody else: no standstill of the pass, however long it takes.
    pub fn outside<T>(&self, wait: impl FnOnce() -> T) -> T {
        self.outside.fetch_add(1, Relaxed);
        let _back = Back(&self.outside);
        wait()
    }

    /// Whether the film's first packet, since a seek, refers to others.
    pub fn film_begins_inside(&self) -> bool {
        let streams = self.streams.lock().map(|streams| streams.clone()).unwrap_or_default();
        let film = streams.iter().find(|stream| stream.role == Role::Film);
        film.is_some_and(|film| film.begins_inside.load(Relaxed))
    }

    /// Own time at which the film's packets end, in nanoseconds. Where the pass stops earlier, packets of later pictures may come first: the
    /// last picture stands until the stop.
    pub fn film_end(&self, timeline: &Timeline) -> i64 {
        if !self.to_the_end.load(Relaxed) {
            return self.shown_until.load(Relaxed);
        }
        let streams = self.streams.lock().map(|streams| streams.clone()).unwrap_or_default();
        let film = streams.iter().find(|stream| stream.role == Role::Film);
        film.map_or(0, |film| nanoseconds(timeline.own_end(film.end.load(Relaxed))))
    }
}

/// Damage within a pass: what decoders say of a seek's flush and of their end is none.
#[derive(Debug, Default)]
pub struct DamageSpan {
    /// That of earlier attempts.
    earlier: AtomicU64,
    /// One more than what was counted before; 0: nothing was decoded yet.
    before: AtomicU64,
    until: AtomicU64,
    /// Own times between which damage counts, in nanoseconds.
    from: AtomicU64,
    to: AtomicU64,
}

/// What a decoder says so far before a seek's end is of pictures behind it, which came as far as their packets did.
const BEFORE_STOP: Duration = Duration::from_millis(300);

impl DamageSpan {
    /// An attempt begins to read a part of the input; of the whole input everything counts.
    pub fn begin(&self, range: &Range) {
        self.earlier.store(self.count(), Relaxed);
        let now = damage::count();
        self.before.store(if *range == Range::WHOLE { now + 1 } else { 0 }, Relaxed);
        self.until.store(now, Relaxed);
        let ns = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.from.store(ns(range.start), Relaxed);
        self.to
            .store(range.stop.map_or(u64::MAX, |stop| ns(stop.saturating_sub(BEFORE_STOP))), Relaxed);
    }

    /// Something was decoded; `None`: the last thing was.
    pub fn decoded(&self, at: Option<gst::ClockTime>) {
        let at = at.map_or(u64::MAX - 1, gst::ClockTime::nseconds);
        if at < self.from.load(Relaxed) || at >= self.to.load(Relaxed) {
            return;
        }
        let now = damage::count();
        let _ = self.before.compare_exchange(0, now + 1, Relaxed, Relaxed);
        self.until.fetch_max(now, Relaxed);
    }

    pub fn count(&self) -> u64 {
        let in_attempt = match self.before.load(Relaxed) {
            0 => 0,
            before => self.until.load(Relaxed).saturating_sub(before - 1),
        };
        self.earlier.load(Relaxed) + in_attempt
    }
}

/// Notes how far the input is read, at the pad of the element that reads the file.
pub fn count_input(pad: &gst::Pad, counters: &std::sync::Arc<Counters>) {
    let counters = counters.clone();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let Some(buffer) = info.buffer() {
            let end = buffer.offset().saturating_add(buffer.size() as u64);
            counters.read_to.fetch_max(end, Relaxed);
        }
        gst::PadProbeReturn::Ok
    });
}

/// Counts buffers that pass a pad, in running time; `pick` says where.
pub fn count(pad: &gst::Pad, counters: &Arc<Counters>, pick: impl Fn(&Counters) -> Option<&Stretch> + Send + Sync + 'static) {
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

/// A count of its own of the media that pass a pad; headers without a stamp, such as Vorbis begins with, are none.
pub fn stretch_of(pad: &gst::Pad) -> std::sync::Arc<Stretch> {
    let stretch = std::sync::Arc::new(Stretch::default());
    let counted = stretch.clone();
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        if let Some(buffer) = info.buffer() {
            let length = buffer.duration().map_or(0, |length| length.nseconds() as i64);
            match running_ns(pad, buffer) {
                None if buffer.flags().contains(gst::BufferFlags::HEADER) => {}
                begins => counted.add(begins.unwrap_or(0), length),
            }
        }
        gst::PadProbeReturn::Ok
    });
    stretch
}

/// Marks a node as done when the end of its stream reaches the file.
pub fn mark_done(pad: &gst::Pad, counters: &Arc<Counters>, node: usize) {
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

/// Counts what decoders give, and the damage that they tell of between the first and the last of it.
pub fn count_decoded(pad: &gst::Pad, counters: &Arc<Counters>, pick: impl Fn(&Counters) -> Option<&Stretch> + Send + Sync + 'static) {
    count(pad, counters, pick);
    let counters = counters.clone();
    pad.add_probe(gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        let is_end = info.event().is_some_and(|event| event.type_() == gst::EventType::Eos);
        match info.buffer() {
            Some(buffer) if buffer.pts().is_some() => counters.damage.decoded(buffer.pts()),
            None if is_end => counters.damage.decoded(None),
            _ => {}
        }
        gst::PadProbeReturn::Ok
    });
}
