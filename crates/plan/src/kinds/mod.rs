//! The kinds of nodes. A new kind is a file here and its line in `ALL`; nothing else in this crate matches on kinds.

mod audio;
mod offsets;
mod size;
mod snapshot;
mod transcode;
mod video;

use mps_proto::{
    v1::{NodeSettings, Template, node::Operation, node_settings::Settings},
    worker::v1::PlanNode,
};
use prost_types::Duration;

use crate::faults::Faults;

pub(crate) const ALL: &[&dyn Kind] = &[&transcode::Transcode, &snapshot::Snapshot];

/// What one kind of node knows about itself.
pub(crate) trait Kind: Sync {
    /// Name in keys, templates and field paths.
    fn name(&self) -> &'static str;

    fn is_kind_of(&self, operation: &Operation) -> bool;

    /// Checks a node of this kind; `field` is the operation's path. `None` when it is too broken to go on; violations say why.
    fn draft(&self, operation: &Operation, field: &str, project: &str, faults: &mut Faults) -> Option<Draft>;

    /// What a worker must be able to do; `None` when the settings are of another kind.
    fn requirements(&self, settings: &Settings) -> Option<Vec<&'static str>>;

    /// Rough cost, 1 being one 720-line H.264 transcode; `None` when the settings are of another kind.
    fn cost(&self, settings: &Settings, node: &PlanNode) -> Option<f64>;
}

/// A checked node before its output keys are known.
pub(crate) struct Draft {
    pub settings: NodeSettings,
    pub template: Option<&'static Template>,
    pub start_offset: Option<Duration>,
    pub end_offset: Option<Duration>,
    pub offsets: Vec<String>,
    /// How many files the node makes.
    pub files: usize,
    /// Suffix of the files, without a dot.
    pub format: &'static str,
    pub content_type: &'static str,
    /// The caller's path, or the kind's default.
    pub output_path: String,
}

pub(crate) fn of_operation(operation: &Operation) -> Option<&'static dyn Kind> {
    ALL.iter().copied().find(|kind| kind.is_kind_of(operation))
}

/// The caller's path where there is one.
fn path_or(asked: &str, default: &str) -> String {
    if asked.is_empty() { default.to_owned() } else { asked.to_owned() }
}
