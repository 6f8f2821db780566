//! Units as tasks see them: made, counted, moved to the front, cancelled while queued. What workers do to them is in `leases`.

use mps_proto::worker::v1::MediaPlan;
use sea_orm::{DatabaseTransaction, DbErr};

use super::Store;

/// A unit to be queued. A probe has no task: `task_id` is empty; its row in `probes` has the input (a `v1::TaskInput`) and takes
/// the result (a `worker.v1.ChildResult`).
#[derive(Debug, Clone)]
pub struct NewUnit {
    pub id: String,
    pub task_id: String,
    pub project: String,
    pub run: i32,
    pub pool: String,
    /// Sorted, from `mps_plan::requirements`.
    pub requirements: Vec<String>,
    pub priority: i32,
    /// Cost for fair ranks; 1 is one transcode.
    pub cost: f64,
    pub plan: MediaPlan,
    /// Attempts so far, when it comes from a split: the new unit counts on from there.
    pub attempt: i32,
    /// Failures charged so far, when it comes from a split.
    pub charged: i32,
}

/// Requirements as `units.requirements` and `requirement_sets` store them: comma-separated, the plan's version first.
/// `workers::WorkerRow::can` reads them.
pub fn requirements_text(requirements: &[String], plan_version: i32) -> String {
    let mut parts = vec![format!("plan.{plan_version}")];
    parts.extend(requirements.iter().cloned());
    parts.join(",")
}

/// Queues units; sets each one's rank (start-time fair queueing over projects).
pub async fn insert(_store: &Store, _txn: &DatabaseTransaction, _units: &[NewUnit]) -> Result<(), DbErr> {
    Ok(())
}
