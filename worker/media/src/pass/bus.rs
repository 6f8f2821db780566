//! The one place that reads a pass's bus: until every node is done or failed, or the source breaks.

use std::{
    collections::HashMap,
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

use gst::prelude::*;
use mps_proto::{v1::ErrorReason, worker::v1::Failure};

use super::{Trouble, counters::Counters};
use crate::failure;

const POLL: Duration = Duration::from_millis(50);
const TICK: Duration = Duration::from_millis(250);
/// A pass in which nothing moves for so long has stalled: what hangs reports no error.
const STALL: Duration = Duration::from_secs(90);

/// Sound encoders by the node that owns each, with all nodes that use it.
pub type Sharing = Vec<(usize, Vec<usize>)>;

/// Runs until the end; gives the nodes that failed.
pub fn run(
    pipeline: &gst::Pipeline,
    counters: &Counters,
    sharing: Sharing,
    tick: &dyn Fn(&Counters),
) -> Result<HashMap<usize, Failure>, Failure> {
    let bus = pipeline.bus().ok_or_else(|| super::broken("a pipeline without a bus"))?;
    let mut failed: HashMap<usize, Failure> = HashMap::new();
    let (mut last_tick, mut last_move, mut ticks) = (Instant::now(), Instant::now(), 0);
    loop {
        let message = bus.timed_pop(super::clip::clock(POLL));
        if let Some(gst::MessageView::Error(error)) = message.as_ref().map(|message| message.view()) {
            let failure = classify(error);
            let nodes = nodes_of(error, &sharing);
            if nodes.is_empty() {
                return Err(failure);
            }
            for node in nodes {
                failed.entry(node).or_insert_with(|| failure.clone());
            }
        }
        if last_tick.elapsed() >= TICK {
            tick(counters);
            last_tick = Instant::now();
        }
        let is_over = |(number, node): (usize, &super::counters::NodeCounters)| node.done.load(Relaxed) || failed.contains_key(&number);
        if counters.nodes.iter().enumerate().all(is_over) {
            return Ok(failed);
        }
        let now = counters.ticks.load(Relaxed);
        if now != ticks {
            (ticks, last_move) = (now, Instant::now());
        }
        if last_move.elapsed() > STALL {
            return Err(stalled("nothing moved in the pass"));
        }
    }
}

/// An error before the pass runs, such as a file that is no media.
pub fn early_error(pipeline: &gst::Pipeline) -> Option<Failure> {
    let message = pipeline.bus()?.pop_filtered(&[gst::MessageType::Error])?;
    match message.view() {
        gst::MessageView::Error(error) => Some(classify(error)),
        _ => None,
    }
}

/// Nodes whose elements kept a pass from starting; `None`: it was not the nodes.
pub fn why_unstartable(pipeline: &gst::Pipeline, sharing: &Sharing) -> Option<Trouble> {
    let bus = pipeline.bus()?;
    let mut failed = HashMap::new();
    while let Some(message) = bus.pop_filtered(&[gst::MessageType::Error]) {
        let gst::MessageView::Error(error) = message.view() else { continue };
        failed.extend(nodes_of(error, sharing).into_iter().map(|node| (node, classify(error))));
    }
    (!failed.is_empty()).then_some(Trouble::Unstartable(failed))
}

/// A pass that does not move.
pub fn stalled(message: &str) -> Failure {
    failure::node(ErrorReason::Stalled, message, "the unit is tried again")
}

/// Nodes whose elements an error came from; none: it came from what all share.
fn nodes_of(error: &gst::message::Error, sharing: &Sharing) -> Vec<usize> {
    let mut object = error.src().cloned();
    while let Some(current) = object {
        if let Some((node, part)) = node_of(&current.name()) {
            let users = sharing.iter().find(|(owner, _)| *owner == node && part.starts_with("audio-"));
            let own_entry = part.starts_with("audio-mux") || part.starts_with("audio-share");
            return match users {
                Some((_, users)) if !own_entry => users.clone(),
                _ => vec![node],
            };
        }
        object = current.parent();
    }
    Vec::new()
}

/// `n3-audio-encode` → (3, "audio-encode").
fn node_of(name: &str) -> Option<(usize, &str)> {
    let (number, part) = name.strip_prefix('n')?.split_once('-')?;
    Some((number.parse().ok()?, part))
}

/// Whose fault an error is, and what it is called.
fn classify(error: &gst::message::Error) -> Failure {
    let source = error.src().map(|source| source.name().to_string()).unwrap_or_default();
    let cause = error.error();
    tracing::debug!(element = %source, error = %cause, debug = ?error.debug(), "pipeline reported an error");
    let text = format!("{cause}");
    if let Some(kind) = cause.kind::<gst::StreamError>() {
        return match kind {
            gst::StreamError::TypeNotFound | gst::StreamError::WrongType => failure::data(
                ErrorReason::InputNotMedia,
                text,
                "check that the file is a media file; `mps probe` says what it contains",
            ),
            gst::StreamError::CodecNotFound => {
                failure::data(ErrorReason::DecoderMissing, text, "install the GStreamer plugin that decodes it")
            }
            gst::StreamError::Decode | gst::StreamError::Demux | gst::StreamError::Format if node_of(&source).is_none() => {
                failure::data(ErrorReason::InputDamaged, text, "make the file anew from its source")
            }
            _ => failure::node(
                ErrorReason::PipelineFailed,
                format!("{source}: {text}"),
                "report it with the task's nodes",
            ),
        };
    }
    if cause.kind::<gst::CoreError>() == Some(gst::CoreError::MissingPlugin) {
        return failure::data(ErrorReason::DecoderMissing, text, "install the GStreamer plugin that decodes it");
    }
    match cause.kind::<gst::ResourceError>() {
        Some(gst::ResourceError::NoSpaceLeft) => failure::node(ErrorReason::DiskFull, text, "give the worker more scratch space"),
        _ => failure::node(
            ErrorReason::PipelineFailed,
            format!("{source}: {text}"),
            "report it with the task's nodes",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_elements_say_their_node() {
        assert_eq!(node_of("n12-video-encode"), Some((12, "video-encode")));
        assert_eq!(node_of("source-parse"), None);
        assert_eq!(node_of("nothing-else"), None);
    }
}
