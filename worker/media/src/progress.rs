//! Progress of a pass, from its counters: per node, about once a second, never falling.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

use mps_proto::{
    v1::{NodeProgress, Phase},
    worker::v1::{ChildProgress, PlanNode},
};

use crate::{
    job::Job,
    pass::counters::{Counters, NodeCounters},
    probe::InputFacts,
    rules,
};

const EVERY: Duration = Duration::from_secs(1);

/// Reports to the supervisor.
pub struct Reporter<'a> {
    nodes: Vec<(String, &'a dyn Job)>,
    duration: Option<Duration>,
    started: Instant,
    last: Cell<Option<Instant>>,
    highest: RefCell<HashMap<String, f64>>,
    extra_ticks: Cell<i64>,
    send: &'a (dyn Fn(ChildProgress) + Send + Sync),
}

impl<'a> Reporter<'a> {
    pub fn new(nodes: &[PlanNode], jobs: &'a [Box<dyn Job>], facts: &InputFacts, send: &'a (dyn Fn(ChildProgress) + Send + Sync)) -> Self {
        Self {
            nodes: nodes
                .iter()
                .map(|node| node.key.clone())
                .zip(jobs.iter().map(AsRef::as_ref))
                .collect(),
            duration: rules::duration(facts),
            started: Instant::now(),
            last: Cell::new(None),
            highest: RefCell::default(),
            extra_ticks: Cell::new(0),
            send,
        }
    }

    fn is_due(&self) -> bool {
        self.last.get().is_none_or(|last| last.elapsed() >= EVERY)
    }

    /// Reports, unless the last report of this phase is younger than a second.
    pub fn report(&self, counters: &Counters, phase: Phase) {
        if !self.is_due() && phase == Phase::Processing {
            return;
        }
        self.last.set(Some(Instant::now()));
        let nodes = self
            .nodes
            .iter()
            .zip(&counters.nodes)
            .map(|((key, job), node)| (key.clone(), self.node(key, *job, node, phase)));
        (self.send)(ChildProgress {
            nodes: nodes.collect(),
            ticks: counters.ticks.load(Relaxed) as i64 + self.extra_ticks.get(),
        });
    }

    /// Files move on while they are finished or checked; told about once a second.
    pub fn moved(&self, counters: &Counters) {
        self.extra_ticks.set(self.extra_ticks.get() + 1);
        if self.is_due() {
            self.report(counters, Phase::Checking);
        }
    }

    /// A node's files were checked: that is movement too.
    pub fn checked(&self, counters: &Counters) {
        self.extra_ticks.set(self.extra_ticks.get() + 1);
        self.report(counters, Phase::Checking);
    }

    fn node(&self, key: &str, job: &dyn Job, node: &NodeCounters, phase: Phase) -> NodeProgress {
        let elapsed = self.started.elapsed().as_secs_f64().max(0.001);
        let (done, frames) = job.position(node, self.duration);
        let mut highest = self.highest.borrow_mut();
        let fraction = done.map(|done| {
            let best = highest.entry(key.to_owned()).or_default();
            *best = best.max(done.clamp(0.0, 1.0));
            *best
        });
        let media = node.video.end().max(node.audio.end()).as_secs_f64();
        NodeProgress {
            phase: phase as i32,
            fraction,
            frames: frames as i64,
            fps: frames as f64 / elapsed,
            speed: media / elapsed,
            eta: fraction.filter(|fraction| *fraction > 0.01).and_then(|fraction| {
                let left = elapsed * (1.0 - fraction) / fraction;
                Duration::try_from_secs_f64(left).ok()?.try_into().ok()
            }),
        }
    }
}
