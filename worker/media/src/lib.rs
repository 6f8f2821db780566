//! mps-media: the only crate that links GStreamer. One pass over one input file, checked outputs.

mod animation;
pub mod capabilities;
pub mod check;
pub mod damage;
mod edits;
mod enhance;
mod entry;
pub mod failure;
pub mod faststart;
mod finish;
pub mod gif;
pub mod isobmff;
pub mod job;
pub mod nodes;
mod order;
mod outputs;
mod overlay;
mod own_pictures;
mod parse;
pub mod parts;
mod pass;
pub mod probe;
mod progress;
mod promises;
mod ranks;
mod reading;
pub mod rules;
mod segments;
mod subtitles;
mod timeline;
mod walk;

use job::Members;

use mps_proto::worker::v1::{ChildOrder, ChildProgress, ChildResult};

/// Initialises GStreamer; call it once, before anything else.
pub fn init() -> Result<(), String> {
    gst::init().map_err(|error| error.to_string())
}

/// Carries out an order: probes, resolves the plan's rules, runs one pass, checks each file. Never panics on bad media; blocks.
///
/// `members` is told of each member of a set as soon as it is finished; it may block, which holds the pass back.
pub fn run(order: &ChildOrder, progress: &(dyn Fn(ChildProgress) + Send + Sync), members: &Members) -> ChildResult {
    order::run(order, progress, members)
}
