//! States of rows, and how a run ends. The numbers are stored.

use mps_proto::v1::{self, NodeState, TaskState};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr};

use crate::store::{Store, tasks::TaskRow};

/// `units.state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum UnitState {
    Blocked = 0,
    Queued = 1,
    Leased = 2,
    /// The part lists are stored: the point of no return.
    Committing = 3,
    Done = 4,
    Failed = 5,
    Cancelled = 6,
    /// Replaced by one unit per node.
    Split = 7,
}

/// `outputs.state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum OutputState {
    Reserved = 0,
    Published = 1,
    /// A later run or task published the same key.
    Replaced = 2,
    Deleted = 3,
    /// Its unit ended without it.
    Dropped = 4,
}

/// `uploads.state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum UploadState {
    /// The row stands before the provider is asked.
    Creating = 0,
    Open = 1,
    Completing = 2,
    Completed = 3,
    Aborting = 4,
    Aborted = 5,
}

/// Ends the run when no unit is open: state, error and end time, and the reservations that no unit will use. Call it before `tasks::save`.
pub async fn finish_if_done(store: &Store, txn: &DatabaseTransaction, row: &mut TaskRow, now_ms: i64) -> Result<bool, DbErr> {
    if row.open_units > 0 || row.ended() {
        return Ok(false);
    }
    let cancelled = row.state == TaskState::Cancelling;
    let fallback = if cancelled { NodeState::Cancelled } else { NodeState::Failed };
    for status in &mut row.task.node_statuses {
        if matches!(status.state(), NodeState::Waiting | NodeState::Processing | NodeState::Unspecified) {
            status.set_state(fallback);
            status.end_time = Some(crate::store::tasks::timestamp(now_ms));
        }
        status.progress = None;
    }
    row.state = end_state(&row.task.node_statuses);
    row.task.error = match row.state {
        TaskState::Failed | TaskState::PartiallySucceeded => row.task.node_statuses.iter().find_map(|status| status.error.clone()),
        _ => None,
    };
    row.end_ms = Some(now_ms);
    let text = "UPDATE outputs SET reserved = 0, state = $2 WHERE task_id = $1 AND state = $3";
    let values = [
        row.id.as_str().into(),
        (OutputState::Dropped as i32).into(),
        (OutputState::Reserved as i32).into(),
    ];
    txn.execute_raw(store.sql(text, values)).await?;
    Ok(true)
}

/// The state of a task whose nodes have all ended.
fn end_state(statuses: &[v1::NodeStatus]) -> TaskState {
    let all = |state: NodeState| statuses.iter().all(|status| status.state() == state);
    let any = |state: NodeState| statuses.iter().any(|status| status.state() == state);
    if all(NodeState::Succeeded) {
        TaskState::Succeeded
    } else if any(NodeState::Cancelled) {
        TaskState::Cancelled
    } else if any(NodeState::Succeeded) {
        TaskState::PartiallySucceeded
    } else {
        TaskState::Failed
    }
}
