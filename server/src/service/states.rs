//! States of rows, and how a run ends. The numbers are stored.
//!
//! # Units
//!
//! Every transition is one guarded UPDATE (`WHERE id AND attempt AND state`) in a transaction that first updated the task's row;
//! probes have no task. Renewing and holding change no state and lock no task.
//!
//! | from | event | to | where |
//! |---|---|---|---|
//! | – | accepted, restarted, split | queued | `store::units::insert` |
//! | queued | a worker that can do it asks | leased, attempt + 1 | `lease` |
//! | queued | task cancelled | cancelled | `cancel` |
//! | leased | renewed, also late | leased | `renew` |
//! | leased | lease expired, 3rd failure charged | failed LEASE_LOST | `reconcile` |
//! | leased | lease expired, else | queued, charged + 1 | `reconcile` |
//! | leased | fails: data, or the last charged failure | failed | `fail` |
//! | leased | fails: node, outside | queued, charged + 1 | `fail` |
//! | leased | crashed with several nodes | split; one queued unit per node | `fail` |
//! | leased | handed back unharmed | queued | `fail` |
//! | leased | any of these five, or completes, while the task is cancelling | cancelled | `fail`, `commit` |
//! | leased | completes | committing | `commit` |
//! | committing | uploads completed | done; failed nodes that may be retried become queued units | `commit` |
//! | committing | every node of the pass failed | failed, likewise | `commit` |
//! | committing | parts lost or refused for good | queued, charged + 1; failed after the last | `commit` |
//! | committing | its server stopped holding it | committing, held by another | `reconcile` |
//!
//! Late and double events change nothing and answer:
//!
//! | event | unit is | answer |
//! |---|---|---|
//! | renewal | committing, or done by the same attempt | HELD |
//! | renewal | anything else but leased by the same attempt | FENCED |
//! | complete | committing by the same attempt | COMMITTING |
//! | complete | ended by the same attempt's commit | PUBLISHED |
//! | complete | anything else but leased by the same attempt | FENCED |
//! | fail, upload, part URLs, input URL | anything but leased by the same attempt | FENCED |
//! | cancel, lease expiry | committing | none: only rolled forward |

use mps_proto::v1::{self, NodeState, TaskState};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr};

use crate::store::{Store, sets, tasks::TaskRow};

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

impl UnitState {
    /// The state that a stored number means.
    pub fn of(stored: i32) -> Option<Self> {
        use UnitState::*;
        [Blocked, Queued, Leased, Committing, Done, Failed, Cancelled, Split]
            .into_iter()
            .find(|state| *state as i32 == stored)
    }
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

/// `sets.state`.
///
/// | from | event | to | where |
/// |---|---|---|---|
/// | – | first member's URL | publishing | `sets::members` |
/// | publishing | its node's commit | complete | `commit::publish` |
/// | publishing | its node failed or was cancelled for good | removing; closing with keep_partial, if it was playable | `store::sets::end_of_*` |
/// | closing | last playlists written | closed | `sets::end` |
/// | removing | objects deleted | removed | `sets::end` |
/// | complete, closed | another output took its first manifest's key | removing | `store::commits::publish`, `sets::playable` |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum SetState {
    Publishing = 1,
    Complete = 2,
    Closed = 3,
    Removed = 4,
    Removing = 5,
    Closing = 6,
}

impl SetState {
    /// The state that a stored number means.
    pub fn of(stored: i32) -> Option<Self> {
        use SetState::*;
        [Publishing, Complete, Closed, Removed, Removing, Closing]
            .into_iter()
            .find(|state| *state as i32 == stored)
    }
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
    sets::end_of_run(store, txn, &row.id).await?;
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
