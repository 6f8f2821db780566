//! The last transaction of a commit: outputs, node states, the task's state and the event, under the task's lock.

use std::{collections::HashMap, time::Duration};

use mps_proto::{
    v1::{self, ErrorReason, NodeState},
    worker::v1::{CompleteUnitRequest, CompletedNode, Failure, FailureKind, FileResult},
};
use sea_orm::{DatabaseTransaction, DbErr};

use super::{forward::CommitEnd, ttl_ms};
use crate::{
    app::App,
    service::{
        commands,
        crash::crash_point,
        estimates,
        fail::{self, AttemptOver, Fate, errors},
        fence::UnitError,
        sets::{Finished, names},
        states::{self, SetState, UnitState},
        uploads,
    },
    store::{
        commits,
        leases::{self, Token, UnitRow},
        outputs::{self, OutputRow},
        sets,
        tasks::{self, TaskRow, timestamp},
        workers,
    },
};

/// Different units that a worker may fail before it is drained.
const CHARGES_TO_DRAIN: i64 = 3;
const CHARGE_WINDOW: Duration = Duration::from_secs(600);

/// What the transaction leaves to do.
#[derive(Default)]
struct Aftermath {
    /// Some node is queued again.
    requeued: bool,
    drained: Vec<String>,
}

/// Publishes what was completed. `refused`: outputs at whose keys somebody else's objects stand.
pub async fn publish(
    app: &App,
    token: &Token,
    unit: &UnitRow,
    request: &CompleteUnitRequest,
    refused: &[String],
    finished: &[Finished],
) -> Result<CommitEnd, UnitError> {
    let txn = app.store.begin().await?;
    let Some(mut task) = tasks::lock(&app.store, &txn, &unit.task_id).await? else {
        txn.rollback().await?;
        return Ok(CommitEnd::Lost);
    };
    if !commits::hold(&app.store, &txn, token, &app.replica_id, ttl_ms(app)).await? {
        txn.rollback().await?;
        return Ok(CommitEnd::Lost);
    }
    let nodes = judge(request, refused);
    let aftermath = write(app, &txn, &mut task, unit, request, &nodes, finished).await?;
    txn.commit().await?;
    crash_point("commit.published");
    app.nudge.committed();
    estimates::learn(app, unit, &task.input, request).await;
    uploads::abort_later(app, token.clone());
    if aftermath.requeued {
        app.queue.wake(&unit.pool).await;
    }
    for worker in aftermath.drained {
        tracing::warn!(worker.id = %worker, "worker is drained: its units succeed elsewhere");
        commands::send(app, &worker, mps_proto::worker::v1::open_channel_response::Command::Drain(true)).await;
    }
    Ok(CommitEnd::Published)
}

/// Each node with its failure, if it has one.
fn judge<'a>(request: &'a CompleteUnitRequest, refused: &[String]) -> Vec<(&'a CompletedNode, Option<Failure>)> {
    let failure = |node: &CompletedNode| {
        let in_the_way = node.outputs.iter().any(|output| refused.contains(&output.output_id));
        node.failure.clone().or_else(|| in_the_way.then(output_exists))
    };
    request.nodes.iter().map(|node| (node, failure(node))).collect()
}

fn output_exists() -> Failure {
    let message = "an object stands at the output's key, and on_conflict is REFUSE";
    let hint = "remove the object, choose another path, or set on_conflict to REPLACE";
    Failure {
        kind: FailureKind::Data as i32,
        status: Some(errors::status(tonic::Code::AlreadyExists, ErrorReason::OutputExists, message, hint)),
    }
}

async fn write(
    app: &App,
    txn: &DatabaseTransaction,
    task: &mut TaskRow,
    unit: &UnitRow,
    request: &CompleteUnitRequest,
    nodes: &[(&CompletedNode, Option<Failure>)],
    finished: &[Finished],
) -> Result<Aftermath, DbErr> {
    let now_ms = leases::now_in(&app.store, txn).await?;
    let rows = outputs::of_unit(&app.store, txn, &unit.id).await?;
    let mut suspects = Vec::new();
    let mut aftermath = Aftermath::default();
    let any_good = nodes.iter().any(|(_, failure)| failure.is_none());
    let state = if any_good { UnitState::Done } else { UnitState::Failed };
    leases::end(&app.store, txn, unit, state).await?;
    task.open_units -= 1;
    for (node, failure) in nodes {
        match failure {
            None => publish_node(app, txn, task, unit, request, node, &rows, finished, now_ms).await?,
            Some(failure) => {
                let again = fail_node(app, txn, task, unit, node, failure, now_ms).await?;
                aftermath.requeued |= again;
                if again && failure.kind() == FailureKind::Node {
                    suspects.push((node.key.as_str(), errors::reason_of(failure)));
                }
            }
        }
    }
    states::finish_if_done(&app.store, txn, task, now_ms).await?;
    tasks::save(&app.store, txn, task).await?;
    for (node, failure) in nodes {
        if failure.is_none() {
            aftermath.drained.extend(charge(app, txn, unit, &node.key).await?);
        }
    }
    for (key, reason) in &suspects {
        workers::note_failure(&app.store, txn, &fail::suspicion(unit, key, reason)).await?;
    }
    Ok(aftermath)
}

#[allow(clippy::too_many_arguments)]
async fn publish_node(
    app: &App,
    txn: &DatabaseTransaction,
    task: &mut TaskRow,
    unit: &UnitRow,
    request: &CompleteUnitRequest,
    node: &CompletedNode,
    rows: &[OutputRow],
    finished: &[Finished],
    now_ms: i64,
) -> Result<(), DbErr> {
    let detail = node.detail.clone().unwrap_or_default();
    let files: HashMap<&str, &FileResult> = detail.files.iter().map(|file| (file.output_id.as_str(), file)).collect();
    let rows: HashMap<&str, &OutputRow> = rows.iter().map(|row| (row.id.as_str(), row)).collect();
    let mut published = Vec::new();
    for completed in &node.outputs {
        let Some(row) = rows.get(completed.output_id.as_str()) else {
            return Err(DbErr::RecordNotFound(format!("output {}", completed.output_id)));
        };
        commits::publish(&app.store, txn, row, unit.attempt, completed.size_bytes, &completed.sha256, now_ms).await?;
        let file = files.get(row.id.as_str());
        published.push(v1::Output {
            storage: mps_proto::name::full(&row.project, "storages", &row.storage_id),
            key: row.object_key.clone(),
            number: row.number,
            size_bytes: completed.size_bytes,
            sha256: completed.sha256.clone(),
            content_type: row.content_type.clone(),
            media: file.and_then(|file| file.media.clone()),
            publish_time: Some(timestamp(now_ms)),
            source_offset: file.and_then(|file| file.source_offset),
            set: None,
        });
    }
    published.sort_by_key(|output| output.number);
    for set in finished.iter().filter(|set| detail.complete_sets.contains(&set.set_id)) {
        published.extend(publish_set(app, txn, unit, set, &rows, now_ms).await?);
    }
    fail::show(task, &node.key, NodeState::Succeeded, None, now_ms);
    if let Some(status) = task.node_mut(&node.key) {
        status.outputs = published;
        status.warnings = detail.warnings;
        status.counters = request.counters;
        status.enhancements = detail.enhancements;
        if !finished.is_empty() && status.outputs.iter().any(|output| output.set.is_some()) {
            status.playable_time.get_or_insert(timestamp(now_ms));
        }
    }
    Ok(())
}

/// A whole set: its manifests are outputs; the keys of its other playlists are given back.
async fn publish_set(
    app: &App,
    txn: &DatabaseTransaction,
    unit: &UnitRow,
    set: &Finished,
    rows: &HashMap<&str, &OutputRow>,
    now_ms: i64,
) -> Result<Vec<v1::Output>, DbErr> {
    sets::advance(&app.store, txn, &set.set_id, SetState::Publishing, SetState::Complete).await?;
    let mut published = Vec::with_capacity(set.outputs.len());
    for output in &set.outputs {
        if let Some(row) = rows.values().find(|row| row.object_key == output.key) {
            commits::publish(&app.store, txn, row, unit.attempt, output.size_bytes, &output.sha256, now_ms).await?;
        }
        published.push(v1::Output {
            publish_time: Some(timestamp(now_ms)),
            ..output.clone()
        });
    }
    let playlists = rows.keys().filter(|id| names::is_playlist_id(&set.set_id, id));
    let playlists: Vec<String> = playlists.map(|id| (*id).to_owned()).collect();
    outputs::drop_rows(&app.store, txn, &playlists).await?;
    Ok(published)
}

/// A node that failed while the pass went on: failed, or queued as a unit of its own. Says whether it is tried again.
async fn fail_node(
    app: &App,
    txn: &DatabaseTransaction,
    task: &mut TaskRow,
    unit: &UnitRow,
    node: &CompletedNode,
    failure: &Failure,
    now_ms: i64,
) -> Result<bool, DbErr> {
    let over = AttemptOver {
        failure: failure.clone(),
        ..AttemptOver::default()
    };
    let around = fail::circumstances(app, txn, Some(task), unit, failure).await?;
    let (state, error) = match fail::of_failure(unit, &over, &around) {
        Fate::Again(how) => {
            fail::set_apart(app, txn, unit, &node.key, unit.charged + how.charge, &how).await?;
            task.open_units += 1;
            fail::show(task, &node.key, NodeState::Waiting, None, now_ms);
            return Ok(true);
        }
        Fate::Fail(status) => (NodeState::Failed, Some(status)),
        Fate::Cancel | Fate::Split { .. } => (NodeState::Cancelled, None),
    };
    leases::drop_outputs(&app.store, txn, &unit.id, Some(&node.key)).await?;
    fail::show(task, &node.key, state, error.as_ref(), now_ms);
    if let (Some(status), Some(detail)) = (task.node_mut(&node.key), &node.detail) {
        status.warnings = detail.warnings.clone();
    }
    Ok(false)
}

/// A success charges the workers on which the same node failed. Gives those that are drained for it.
async fn charge(app: &App, txn: &DatabaseTransaction, unit: &UnitRow, node_key: &str) -> Result<Vec<String>, DbErr> {
    let worker = unit.worker_id.as_deref().unwrap_or_default();
    let charged = workers::note_success(&app.store, txn, worker, &unit.task_id, unit.run, node_key).await?;
    let mut drained = Vec::new();
    for worker in charged {
        let window_ms = CHARGE_WINDOW.as_millis() as i64;
        if workers::drain_if_charged(&app.store, txn, &worker, CHARGES_TO_DRAIN, window_ms).await? {
            drained.push(worker);
        }
    }
    Ok(drained)
}
