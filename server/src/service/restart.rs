//! RestartTask: a new run of an ended task, or the front of the queue for a waiting one.

use std::collections::HashSet;

use mps_proto::v1::{NodeState, NodeStatus, ProcessMediaRequest, RestartTaskRequest, RestartTaskResponse, Task, TaskRun, TaskState};
use sea_orm::DatabaseTransaction;

use super::{
    accept::{self, Prepared},
    idempotency::Replay,
};
use crate::{
    app::App,
    error::ApiError,
    store::{
        outputs,
        tasks::{self, TaskRow},
        units,
    },
};

/// Earlier runs that a task keeps.
const MAX_PREVIOUS_RUNS: usize = 10;

/// Starts a new run, or moves a waiting task to the front of its priority within its project.
pub async fn restart_task(app: &App, project: &str, id: &str, request: &RestartTaskRequest) -> Result<Task, ApiError> {
    let replay = Replay::of(project, "RestartTask", &request.request_id, request)?;
    if let Some(replay) = &replay
        && let Some(first) = replay.first_answer::<RestartTaskResponse>(app).await?
    {
        return first.task.ok_or_else(|| ApiError::internal("a kept answer has no task"));
    }
    let Some(seen) = tasks::get(&app.store, project, id).await? else {
        return Err(ApiError::not_found(format!("tasks/{id}")));
    };
    let prepared = if seen.ended() {
        Some(plan_again(app, &seen, request.failed_only).await?)
    } else {
        None
    };
    let task = write(app, id, seen.task.run, prepared, request.failed_only, replay).await?;
    app.nudge.committed();
    app.queue.wake(&app.config.default_pool).await;
    Ok(task)
}

/// Plans the nodes of the new run from the request as it was accepted, and with the templates as they were then: what became of them
/// since, deletion too, does not matter.
async fn plan_again(app: &App, seen: &TaskRow, failed_only: bool) -> Result<Prepared, ApiError> {
    let again = nodes_to_run(&seen.task, failed_only);
    if again.is_empty() {
        return Err(ApiError::wrong_state(format!("every node of tasks/{} succeeded", seen.id))
            .hint("leave failed_only out to run all nodes again"));
    }
    let request = ProcessMediaRequest {
        // With their keys filled in: a default key would change with the number of nodes.
        nodes: seen.task.nodes.iter().filter(|node| again.contains(&node.key)).cloned().collect(),
        validate_only: false,
        // The objects of the earlier run stand there and are ours.
        on_conflict: mps_proto::v1::OnConflict::Replace as i32,
        ..seen.spec.clone()
    };
    let templates = tasks::kept_templates(&app.store, &seen.id).await?;
    accept::prepare(app, &seen.project, &seen.id, &request, templates).await
}

fn nodes_to_run(task: &Task, failed_only: bool) -> HashSet<String> {
    let runs = |status: &&NodeStatus| !failed_only || status.state() != NodeState::Succeeded;
    task.node_statuses.iter().filter(runs).map(|status| status.key.clone()).collect()
}

async fn write(
    app: &App,
    id: &str,
    planned_run: i32,
    prepared: Option<Prepared>,
    failed_only: bool,
    replay: Option<Replay>,
) -> Result<Task, ApiError> {
    let txn = app.store.begin().await?;
    let Some(mut row) = tasks::lock(&app.store, &txn, id).await? else {
        return Err(ApiError::not_found(format!("tasks/{id}")));
    };
    match (row.state, prepared) {
        (TaskState::Waiting, None) => units::move_to_front(&app.store, &txn, id, row.task.run).await?,
        // Two restarts at once: the second one's plan is of a run that is not the last any more.
        (_, Some(prepared)) if row.ended() && row.task.run == planned_run => new_run(app, &txn, &mut row, &prepared, failed_only).await?,
        _ => {
            return Err(
                ApiError::wrong_state(format!("tasks/{id} is {}", row.state.as_str_name())).hint("wait for its end, or cancel it first")
            );
        }
    }
    tasks::save(&app.store, &txn, &mut row).await?;
    if let Some(replay) = &replay {
        let response = RestartTaskResponse {
            task: Some(row.task.clone()),
        };
        replay.keep(app, &txn, &response).await?;
    }
    txn.commit().await?;
    Ok(row.task)
}

async fn new_run(app: &App, txn: &DatabaseTransaction, row: &mut TaskRow, prepared: &Prepared, failed_only: bool) -> Result<(), ApiError> {
    let again = nodes_to_run(&row.task, failed_only);
    remember_run(row);
    row.task.run += 1;
    row.state = TaskState::Waiting;
    row.start_ms = None;
    row.end_ms = None;
    row.task.error = None;
    row.open_units = i32::try_from(prepared.plan.units.len()).unwrap_or(i32::MAX);
    row.traceparent = mps_telemetry::current_traceparent();
    for status in &mut row.task.node_statuses {
        let planned = prepared.plan.statuses.iter().find(|planned| planned.key == status.key);
        if let Some(planned) = planned.filter(|planned| again.contains(&planned.key)) {
            *status = planned.clone();
        }
    }
    // An interrupted deletion may have left keys reserved by this task.
    outputs::release_all(&app.store, txn, &row.id).await?;
    accept::add_run(app, txn, row, prepared).await
}

fn remember_run(row: &mut TaskRow) {
    row.sync();
    let task = &mut row.task;
    task.previous_runs.push(TaskRun {
        run: task.run,
        state: task.state,
        start_time: task.start_time,
        end_time: task.end_time,
        error: task.error.clone(),
        node_statuses: task.node_statuses.clone(),
    });
    let over = task.previous_runs.len().saturating_sub(MAX_PREVIOUS_RUNS);
    task.previous_runs.drain(..over);
}
