//! mps-plan: turns a request into checked settings, output keys and units. No I/O.

use mps_proto::{v1, worker::v1 as worker};

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
}

/// One object that a unit publishes.
#[derive(Debug, Clone)]
pub struct OutputPlan {
    /// Id of the output's row, as in `PlanOutput.output_id`.
    pub id: String,
    pub node_key: String,
    pub number: i32,
    /// Object key without a leading slash.
    pub key: String,
    pub content_type: String,
}

/// Checks a request and plans it; all violations at once.
pub fn plan_task(_request: &v1::ProcessMediaRequest, _context: &PlanContext) -> Result<TaskPlan, Vec<Violation>> {
    Err(Vec::new())
}

/// The plan that only probes.
pub fn plan_probe(limits: worker::InputLimits) -> worker::MediaPlan {
    worker::MediaPlan {
        plan_version: mps_proto::PLAN_VERSION,
        nodes: Vec::new(),
        damage_policy: 0,
        limits: Some(limits),
    }
}

/// What a worker must be able to do for a plan, such as `encode.h264`; sorted.
pub fn requirements(_plan: &worker::MediaPlan) -> Vec<String> {
    Vec::new()
}

/// Rough cost of a plan for fair ranks; 1 is one transcode.
pub fn cost(_plan: &worker::MediaPlan) -> f64 {
    1.0
}

/// Every preset.
pub fn presets() -> &'static [v1::Template] {
    &[]
}

/// Kinds of nodes, sorted.
pub fn node_kinds() -> Vec<String> {
    Vec::new()
}

/// Faults of an object key: empty, too long (1,024 bytes), dot segments, empty segments, control characters, a leading slash.
pub fn check_object_key(_key: &str) -> Result<(), String> {
    Ok(())
}
