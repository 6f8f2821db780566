//! The one place that reads a pass's bus: until every node is done or failed, or the source breaks.

use std::{
    collections::HashMap,
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

use gst::prelude::*;
use mps_proto::worker::v1::Failure;

use super::{
    Trouble,
    counters::Counters,
    faults::{self, Words},
    owners::Owners,
    stall::Watch,
};

const POLL: Duration = Duration::from_millis(50);
const TICK: Duration = Duration::from_millis(250);

/// What the bus knows of a pass.
pub struct Bus<'a> {
    pub pipeline: &'a gst::Pipeline,
    pub counters: &'a Counters,
    pub owners: Owners,
}

/// Nodes that failed.
type Failed = HashMap<usize, Failure>;

impl<'a> Bus<'a> {
    /// Runs until the end; gives the nodes that failed.
    pub fn run(&mut self, tick: &dyn Fn(&Counters)) -> Result<Failed, Trouble> {
        let bus = self.pipeline.bus().ok_or_else(|| super::broken("a pipeline without a bus"))?;
        let (mut failed, mut words) = (Failed::new(), Words::default());
        let (mut last_tick, mut watch) = (Instant::now(), self.watch());
        loop {
            let message = bus.timed_pop(super::clip::clock(POLL));
            match message.as_ref().map(|message| message.view()) {
                Some(gst::MessageView::Error(error)) => self.take(error, &mut failed)?,
                Some(gst::MessageView::Warning(warning)) => words.keep(warning),
                _ => {}
            }
            if self.counters.is_abandoned.load(Relaxed) {
                return Err(Trouble::NoSeek);
            }
            if last_tick.elapsed() >= TICK {
                tick(self.counters);
                last_tick = Instant::now();
            }
            if (0..self.counters.nodes.len()).all(|node| self.counters.is_done(node) || failed.contains_key(&node)) {
                return Ok(failed);
            }
            if watch.has_stalled() {
                return self.leave(failed, &self.stalled(&words));
            }
        }
    }

    /// The pass does not move: nodes that have all that they need keep it.
    fn leave(&self, mut failed: Failed, stalled: &Failure) -> Result<Failed, Trouble> {
        let nodes = 0..self.counters.nodes.len();
        if failed.is_empty() && !nodes.clone().any(|node| self.counters.is_done(node)) {
            return Err(stalled.clone().into());
        }
        let open = nodes.filter(|node| !self.counters.is_done(*node));
        for node in open {
            failed.entry(node).or_insert_with(|| stalled.clone());
        }
        Ok(failed)
    }

    pub fn watch(&self) -> Watch<'a> {
        Watch::new(self.counters)
    }

    pub fn stalled(&self, words: &Words) -> Failure {
        faults::stalled(self.counters, self.owners.needs(), words)
    }

    /// Fails the nodes that an error concerns, and closes what leads to them alone. An error that leaves no node is one of the whole pass;
    /// where a node's stream had broken before, what reads the file stopped for that, and the pass is made again without the node.
    fn take(&mut self, error: &gst::message::Error, failed: &mut Failed) -> Result<(), Trouble> {
        let origin = self.owners.origin(error.src());
        let failure = faults::classify(error, &origin);
        // What all wait for may break behind a node that has all that it needs.
        let is_open = |node: &usize| !failed.contains_key(node) && (origin.is_own || !self.counters.is_done(*node));
        let concerned: Vec<usize> = origin.nodes.iter().copied().filter(is_open).collect();
        if !origin.is_own && concerned.len() == self.counters.nodes.len() {
            return Err(failure.into());
        }
        let leaves_none = (0..self.counters.nodes.len()).all(|node| concerned.contains(&node) || failed.contains_key(&node));
        if origin.in_reader && leaves_none && !concerned.is_empty() && !self.counters.handed_over.load(Relaxed) {
            return Err(Trouble::Unstartable(std::mem::take(failed)));
        }
        failed.extend(concerned.into_iter().map(|node| (node, failure.clone())));
        self.owners.cut(&|node| failed.contains_key(&node));
        Ok(())
    }

    /// An error before data flows, such as a file that is no media.
    pub fn early_error(&self) -> Option<Failure> {
        let message = self.pipeline.bus()?.pop_filtered(&[gst::MessageType::Error])?;
        match message.view() {
            gst::MessageView::Error(error) => Some(faults::classify(error, &self.owners.origin(error.src()))),
            _ => None,
        }
    }

    /// A pipeline plays when every decoder has found its codec; one that finds none would hold up the others. What needs to play is the ends.
    pub fn start(&self) -> Result<(), Trouble> {
        let play = |element: &gst::Element| element.set_state(gst::State::Playing).map(drop);
        let whole = play(self.pipeline.upcast_ref());
        let ends = self.pipeline.iterate_sinks().into_iter().flatten();
        let started = ends.fold(whole, |started, end| started.and_then(|()| play(&end)));
        started.map_err(|error| self.why_unstartable().unwrap_or_else(|| super::broken(&error.to_string()).into()))
    }

    /// Nodes whose own elements kept a pass from starting; `None`: it was not the nodes.
    fn why_unstartable(&self) -> Option<Trouble> {
        let bus = self.pipeline.bus()?;
        let mut failed = Failed::new();
        while let Some(message) = bus.pop_filtered(&[gst::MessageType::Error]) {
            let gst::MessageView::Error(error) = message.view() else { continue };
            let origin = self.owners.origin(error.src());
            let failure = faults::classify(error, &origin);
            if !origin.is_own && origin.nodes.len() == self.counters.nodes.len() {
                return Some(failure.into());
            }
            failed.extend(origin.nodes.iter().map(|node| (*node, failure.clone())));
        }
        (!failed.is_empty()).then_some(Trouble::Unstartable(failed))
    }
}
