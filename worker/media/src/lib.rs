//! mps-media: the only crate that links GStreamer. One pass over one input file, checked outputs.

pub mod capabilities;
pub mod check;
pub mod damage;
mod edits;
pub mod failure;
pub mod faststart;
pub mod gif;
pub mod isobmff;
pub mod mp3;
mod order;
mod outputs;
mod pass;
pub mod probe;
mod progress;
pub mod rules;
mod walk;

use mps_proto::worker::v1::{ChildOrder, ChildProgress, ChildResult};

/// Initialises GStreamer; call it once, before anything else.
pub fn init() -> Result<(), String> {
    gst::init().map_err(|error| error.to_string())
}

/// Carries out an order: probes, resolves the plan's rules, runs one pass, checks each file. Never panics on bad media; blocks.
pub fn run(order: &ChildOrder, progress: &(dyn Fn(ChildProgress) + Send + Sync)) -> ChildResult {
    order::run(order, progress)
}
