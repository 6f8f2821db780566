//! CancelTask: what nobody has leased ends at once; workers are told to drop the rest.

use mps_proto::{
    v1::{CancelTaskRequest, CancelTaskResponse, NodeState, Task, TaskState},
    worker::v1::{LeaseState, LeaseVerdict, UnitAttempt, open_channel_response::Command},
};

use super::{commands, idempotency::Replay, states};
use crate::{
    app::App,
    error::ApiError,
    service::states::UnitState,
    store::{
        outputs, tasks,
        units::{self, OpenUnit},
    },
};

/// Cancels a waiting or running task; one that is cancelled or being cancelled answers as it is.
pub async fn cancel_task(app: &App, project: &str, id: &str, request: &CancelTaskRequest) -> Result<Task, ApiError> {
    let replay = Replay::of(project, "CancelTask", &request.request_id, request)?;
    if let Some(replay) = &replay
        && let Some(first) = replay.first_answer::<CancelTaskResponse>(app).await?
    {
        return first.task.ok_or_else(|| ApiError::internal("a kept answer has no task"));
    }
    let (task, leased) = write(app, project, id, replay).await?;
    app.nudge.committed();
    for unit in leased {
        tell_worker(app, unit).await;
    }
    Ok(task)
}

async fn write(app: &App, project: &str, id: &str, replay: Option<Replay>) -> Result<(Task, Vec<OpenUnit>), ApiError> {
    // Looked at before the lock, so that another project's task is not even touched.
    if tasks::get(&app.store, project, id).await?.is_none() {
        return Err(ApiError::not_found(format!("tasks/{id}")));
    }
    let now_ms = app.store.now_ms().await?;
    let txn = app.store.begin().await?;
    let Some(mut row) = tasks::lock(&app.store, &txn, id).await? else {
        return Err(ApiError::not_found(format!("tasks/{id}")));
    };
    if matches!(row.state, TaskState::Cancelling | TaskState::Cancelled) {
        txn.rollback().await?;
        let row = tasks::get(&app.store, project, id).await?;
        return Ok((row.map(|row| row.task).unwrap_or_default(), Vec::new()));
    }
    if row.ended() {
        return Err(ApiError::wrong_state(format!("tasks/{id} has ended: {}", row.state.as_str_name()))
            .hint("only waiting and running tasks can be cancelled; RestartTask starts a new run"));
    }
    let run = row.task.run;
    let cancelled = units::cancel_queued(&app.store, &txn, id, run).await?;
    outputs::drop_reserved(&app.store, &txn, &cancelled).await?;
    let open = units::open_of_run(&app.store, &txn, id, run).await?;
    row.open_units = i32::try_from(open.len()).unwrap_or(i32::MAX);
    row.state = TaskState::Cancelling;
    if open.is_empty() {
        states::finish_if_done(&app.store, &txn, &mut row, now_ms).await?;
    } else {
        show_waiting_nodes_as_cancelled(&mut row.task, now_ms);
    }
    tasks::save(&app.store, &txn, &mut row).await?;
    if let Some(replay) = &replay {
        let response = CancelTaskResponse {
            task: Some(row.task.clone()),
        };
        replay.keep(app, &txn, &response).await?;
    }
    txn.commit().await?;
    let leased = open.into_iter().filter(|unit| unit.state == UnitState::Leased as i32).collect();
    Ok((row.task, leased))
}

fn show_waiting_nodes_as_cancelled(task: &mut Task, now_ms: i64) {
    for status in &mut task.node_statuses {
        if matches!(status.state(), NodeState::Waiting | NodeState::Unspecified) {
            status.set_state(NodeState::Cancelled);
            status.end_time = Some(tasks::timestamp(now_ms));
        }
    }
}

/// A hint: the worker's next renewal says the same.
async fn tell_worker(app: &App, unit: OpenUnit) {
    let Some(worker_id) = &unit.worker_id else { return };
    let verdict = LeaseVerdict {
        unit: Some(UnitAttempt {
            unit_id: unit.id.clone(),
            attempt: unit.attempt,
        }),
        state: LeaseState::Cancelled as i32,
        remaining: None,
    };
    commands::send(app, worker_id, Command::Verdict(verdict)).await;
}
