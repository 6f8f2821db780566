//! The end of an attempt that publishes nothing: failed, handed back, lost, or cancelled. All in one transaction under the task's lock.

mod decide;
pub mod errors;
mod stall;

use mps_proto::{
    rpc::Status,
    v1::{ErrorReason, NodeState, TaskState},
    worker::v1::{ChildResult, Failure, MediaPlan},
};
use prost::Message;
use sea_orm::{DatabaseTransaction, DbErr};

pub use self::decide::{AttemptOver, Circumstances, Fate, Guard, of_failure};
use super::{
    fence::{self, UnitError},
    states::{self, UnitState},
    uploads,
};
use crate::{
    app::App,
    store::{
        commits,
        leases::{self, Requeue, Token, UnitRow, keep},
        outputs,
        tasks::{self, TaskRow, timestamp},
        units::{self, NewUnit},
        workers::{self, NodeFailure},
    },
};

/// FailUnit: the worker hands a unit back.
pub async fn fail(app: &App, token: &Token, over: AttemptOver) -> Result<(), UnitError> {
    let unit = fence::leased(&app.store, token).await?;
    if end_attempt(app, &unit.task_id, token, over).await? {
        Ok(())
    } else {
        Err(UnitError::Fenced)
    }
}

/// Ends an attempt. `false`: it is not in the state that the guard asks for, and nothing was changed.
pub async fn end_attempt(app: &App, task_id: &str, token: &Token, over: AttemptOver) -> Result<bool, UnitError> {
    let txn = app.store.begin().await?;
    let mut task = match task_id {
        "" => None,
        id => tasks::lock(&app.store, &txn, id).await?,
    };
    let Some(unit) = guarded(app, &txn, token, &over.guard).await? else {
        txn.rollback().await?;
        return Ok(false);
    };
    let around = circumstances(app, &txn, task.as_ref(), &unit, &over.failure).await?;
    let fate = decide::of_unit(&unit, &over, &around);
    let changed = match &mut task {
        Some(task) => apply(app, &txn, task, &unit, &fate).await?,
        None => apply_without_task(app, &txn, &unit, &fate).await?,
    };
    if !changed {
        txn.rollback().await?;
        return Ok(false);
    }
    suspect_worker(app, &txn, &unit, &over).await?;
    txn.commit().await?;
    app.nudge.committed();
    after(app, &unit, &fate, &over).await;
    Ok(true)
}

/// The unit, if it is in the state that the guard asks for; its row is locked then.
async fn guarded(app: &App, txn: &DatabaseTransaction, token: &Token, guard: &Guard) -> Result<Option<UnitRow>, DbErr> {
    let ttl_ms = app.config.commit_ttl.as_millis() as i64;
    let (state, holds) = match guard {
        Guard::Leased => (UnitState::Leased, true),
        Guard::Queued => (UnitState::Queued, true),
        Guard::Expired => (UnitState::Leased, keep::lose(&app.store, txn, token).await?),
        Guard::Committing => {
            let held = commits::hold(&app.store, txn, token, &app.replica_id, ttl_ms).await?;
            (UnitState::Committing, held)
        }
    };
    if !holds {
        return Ok(None);
    }
    let unit = leases::get_in(&app.store, txn, &token.unit_id).await?;
    Ok(unit.filter(|unit| unit.state == state && unit.attempt == token.attempt))
}

/// What else counts when a failure is judged.
pub async fn circumstances(
    app: &App,
    txn: &DatabaseTransaction,
    task: Option<&TaskRow>,
    unit: &UnitRow,
    failure: &Failure,
) -> Result<Circumstances, DbErr> {
    let cancelled = match task {
        Some(task) => task.state == TaskState::Cancelling || task.ended() || task.task.run != unit.run,
        None => !unit.is_probe(),
    };
    let reason = errors::reason_of(failure);
    let mut elsewhere_too = false;
    if reason == ErrorReason::ChildCrashed.reason() {
        for node in &unit.plan.nodes {
            let failure = suspicion(unit, &node.key, &reason);
            elsewhere_too |= workers::failed_elsewhere(&app.store, txn, &failure).await?;
        }
    }
    let before_and_now = unit.last_stall.as_deref().zip(stall::place(failure));
    Ok(Circumstances {
        cancelled,
        elsewhere_too,
        stalled_here_before: before_and_now.is_some_and(|(before, now)| stall::is_same(before, &now)),
        max_attempts: app.config.max_attempts,
    })
}

async fn apply(app: &App, txn: &DatabaseTransaction, task: &mut TaskRow, unit: &UnitRow, fate: &Fate) -> Result<bool, DbErr> {
    let store = &app.store;
    let now_ms = leases::now_in(store, txn).await?;
    // a unit that outlived its run changes nothing but itself
    let counts = task.task.run == unit.run && !task.ended();
    let (changed, nodes, difference, error) = match fate {
        Fate::Cancel => (
            leases::end(store, txn, unit, UnitState::Cancelled).await?,
            NodeState::Cancelled,
            -1,
            None,
        ),
        Fate::Fail(status) => (
            leases::end(store, txn, unit, UnitState::Failed).await?,
            NodeState::Failed,
            -1,
            Some(status),
        ),
        Fate::Again(how) => (leases::requeue(store, txn, unit, how).await?, NodeState::Waiting, 0, None),
        Fate::Split { how, charged } => {
            let changed = leases::end(store, txn, unit, UnitState::Split).await?;
            for node in &unit.plan.nodes {
                set_apart(app, txn, unit, &node.key, *charged, how).await?;
            }
            (changed, NodeState::Waiting, unit.plan.nodes.len() as i32 - 1, None)
        }
    };
    if matches!(fate, Fate::Cancel | Fate::Fail(_)) {
        leases::drop_outputs(store, txn, &unit.id, None).await?;
    }
    if counts {
        for node in &unit.plan.nodes {
            show(task, &node.key, nodes, error, now_ms);
        }
        task.open_units += difference;
        states::finish_if_done(store, txn, task, now_ms).await?;
    }
    tasks::save(store, txn, task).await?;
    Ok(changed)
}

/// Shows what became of a node.
pub fn show(task: &mut TaskRow, key: &str, state: NodeState, error: Option<&Status>, now_ms: i64) {
    let Some(status) = task.node_mut(key) else { return };
    status.set_state(state);
    status.error = error.cloned();
    status.progress = None;
    let ended = state != NodeState::Waiting;
    status.end_time = ended.then(|| timestamp(now_ms));
}

/// Queues one node of a unit as a unit of its own, in the unit's place in the queue; attempts are carried over.
pub async fn set_apart(
    app: &App,
    txn: &DatabaseTransaction,
    unit: &UnitRow,
    node_key: &str,
    charged: i32,
    how: &Requeue,
) -> Result<(), DbErr> {
    let plan = MediaPlan {
        nodes: unit.plan.nodes.iter().filter(|node| node.key == node_key).cloned().collect(),
        ..unit.plan.clone()
    };
    let new = NewUnit {
        id: mps_proto::name::new_id(),
        task_id: unit.task_id.clone(),
        project: unit.project.clone(),
        run: unit.run,
        pool: unit.pool.clone(),
        requirements: mps_plan::requirements(&plan),
        priority: unit.priority,
        cost: mps_plan::cost(&plan),
        plan,
        attempt: unit.attempt,
        charged,
    };
    let id = new.id.clone();
    units::insert(&app.store, txn, &[new]).await?;
    leases::place(&app.store, txn, &id, unit.rank, how).await?;
    outputs::hand_over(&app.store, txn, &unit.id, node_key, &id).await
}

/// A probe answers its caller; a unit whose task is gone just ends.
async fn apply_without_task(app: &App, txn: &DatabaseTransaction, unit: &UnitRow, fate: &Fate) -> Result<bool, DbErr> {
    match fate {
        Fate::Again(how) => leases::requeue(&app.store, txn, unit, how).await,
        Fate::Fail(status) => {
            let result = ChildResult {
                failure: Some(Failure {
                    kind: mps_proto::worker::v1::FailureKind::Data as i32,
                    status: Some(status.clone()),
                }),
                ..ChildResult::default()
            };
            leases::write_probe_result(&app.store, txn, &unit.id, result.encode_to_vec()).await?;
            leases::end(&app.store, txn, unit, UnitState::Failed).await
        }
        Fate::Cancel | Fate::Split { .. } => leases::end(&app.store, txn, unit, UnitState::Cancelled).await,
    }
}

/// Remembers on which worker a machine's failure was, in case the unit succeeds elsewhere.
async fn suspect_worker(app: &App, txn: &DatabaseTransaction, unit: &UnitRow, over: &AttemptOver) -> Result<(), DbErr> {
    use mps_proto::worker::v1::FailureKind;
    let reported = over.guard == Guard::Leased && !over.released;
    if !reported || over.failure.kind() != FailureKind::Node {
        return Ok(());
    }
    let reason = errors::reason_of(&over.failure);
    for node in &unit.plan.nodes {
        workers::note_failure(&app.store, txn, &suspicion(unit, &node.key, &reason)).await?;
    }
    Ok(())
}

/// A node's failure on the unit's worker.
pub fn suspicion<'a>(unit: &'a UnitRow, node_key: &'a str, reason: &'a str) -> NodeFailure<'a> {
    NodeFailure {
        worker_id: unit.worker_id.as_deref().unwrap_or_default(),
        task_id: &unit.task_id,
        run: unit.run,
        node_key,
        unit_id: &unit.id,
        reason,
    }
}

async fn after(app: &App, unit: &UnitRow, fate: &Fate, over: &AttemptOver) {
    let token = Token {
        unit_id: unit.id.clone(),
        attempt: unit.attempt,
    };
    uploads::abort_later(app, token);
    match fate {
        Fate::Again(_) if unit.is_probe() => app.queue.wake_for_probe(&unit.pool).await,
        Fate::Again(_) | Fate::Split { .. } => app.queue.wake(&unit.pool).await,
        Fate::Cancel | Fate::Fail(_) => {}
    }
    let reason = errors::reason_of(&over.failure);
    match fate {
        Fate::Fail(status) => tracing::info!(unit.id = %unit.id, task.id = %unit.task_id, reason, error = %status.message, "unit failed"),
        Fate::Again(_) | Fate::Split { .. } if !over.released => {
            tracing::info!(unit.id = %unit.id, task.id = %unit.task_id, attempt = unit.attempt, reason, "attempt failed; the unit is queued again");
        }
        _ => {}
    }
}
