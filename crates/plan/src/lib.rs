//! mps-plan: turns a request into checked settings, output keys and units. No I/O.

mod capabilities;
mod faults;
mod fields;
mod input;
mod keys;
mod kinds;
mod outputs;
mod overrides;
mod path;
mod presets;
mod side;
mod tables;
mod task;
mod templates;
mod unit;

use mps_proto::{v1, worker::v1 as worker};

pub use capabilities::CAPABILITIES;
pub use keys::check_object_key;
pub use outputs::{member_key, series_key, sub_stream_key};
pub use presets::{find_preset, presets};
pub use tables::audio_bitrates;
pub use task::plan_task;
pub use templates::{check_template, lay_settings, template_names};
pub use unit::{cost, decodings, kinds, plan_probe, requirements};

/// One fault of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Path of the field, such as `nodes[0].transcode.inline.video.crf`.
    pub field: String,
    /// What is wrong and what is allowed.
    pub description: String,
}

/// What planning knows besides the request.
#[derive(Debug, Clone)]
pub struct PlanContext {
    pub project: String,
    pub task_id: String,
    pub limits: worker::InputLimits,
    pub damage_policy: worker::DamagePolicy,
    /// The project's templates that the request names (see `template_names`); presets are found without them.
    pub templates: Vec<v1::Template>,
}

/// Where the input is; ids only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlanInput {
    Object { storage_id: String, key: String },
    Url(String),
}

/// A whole task, checked.
#[derive(Debug, Clone)]
pub struct TaskPlan {
    pub input: PlanInput,
    pub output_storage_id: String,
    /// Ends in `/`, or is empty for the root.
    pub output_directory: String,
    /// The caller's nodes with their keys filled in.
    pub nodes: Vec<v1::Node>,
    /// One per node: kind, effective settings, template; waiting.
    pub statuses: Vec<v1::NodeStatus>,
    pub units: Vec<UnitPlan>,
}

/// One pass over the input.
#[derive(Debug, Clone)]
pub struct UnitPlan {
    pub media: worker::MediaPlan,
    pub outputs: Vec<OutputPlan>,
    /// For each of the plan's side inputs the field that names it, such as `nodes[0].transcode.subtitles[1].object`.
    pub side_input_fields: Vec<String>,
}

/// What an output is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputKind {
    /// One file.
    File,
    /// The first file of a series; the worker declares the others.
    Series,
    /// A manifest of a set, or its only playlist.
    Manifest,
}

/// One object that a unit publishes.
#[derive(Debug, Clone)]
pub struct OutputPlan {
    /// Id of the output's row, as in `PlanOutput.output_id`.
    pub id: String,
    pub node_key: String,
    pub kind: OutputKind,
    /// From 0; −1 is the WebVTT file of a sprite.
    pub number: i32,
    /// Object key without a leading slash.
    pub key: String,
    pub content_type: String,
}

/// Kinds of nodes, sorted.
pub fn node_kinds() -> Vec<String> {
    let mut names: Vec<String> = kinds::ALL.iter().map(|kind| kind.name().to_owned()).collect();
    names.sort();
    names
}
