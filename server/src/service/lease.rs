//! LeaseUnit: the best queued unit that fits a worker.

use mps_proto::{
    v1::{NodeState, TaskState, task_input::Source},
    worker::v1::{LeaseScope, SetProgress},
};
use prost::Message;

use super::{
    fail::{self, AttemptOver},
    fence::UnitError,
    sets,
};
use crate::{
    app::App,
    error::ApiError,
    store::{
        leases::{self, Candidate, Pick, Priorities, UnitRow},
        tasks::{self, TaskRow, timestamp},
        workers::{self, WorkerRow},
    },
};

/// Candidates that one look at the queue brings: when many workers ask at once, each tries the next.
const CANDIDATES: i64 = 16;
/// A worker with less free scratch is given nothing; 0 means that it did not say.
const MIN_SCRATCH_BYTES: i64 = 256 << 20;

/// A unit, leased just now.
pub struct Leased {
    pub unit: UnitRow,
    /// Empty for a probe.
    pub task_name: String,
    pub traceparent: String,
    pub input_name: String,
    /// How far the sets are that earlier attempts began.
    pub sets: Vec<SetProgress>,
}

/// What a worker asks for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ask {
    pub scope: LeaseScope,
    pub free_slots: i32,
    pub free_scratch_bytes: i64,
}

/// Leases the best queued unit, or none.
pub async fn lease(app: &App, worker_id: &str, ask: Ask) -> Result<Option<Leased>, UnitError> {
    let worker = workers::get(&app.store, worker_id).await?.ok_or_else(unknown_worker)?;
    workers::touch(&app.store, worker_id, ttl_ms(app) / 3).await?;
    // a probe writes little, and that is bounded by the worker
    let scratch_full = ask.scope != LeaseScope::Probes && (1..MIN_SCRATCH_BYTES).contains(&ask.free_scratch_bytes);
    if worker.draining || ask.free_slots < 1 || scratch_full {
        return Ok(None);
    }
    // first what nobody else is at; then, if all of it was locked, what is left of it
    for patient in [false, true] {
        let mut busy = false;
        for candidate in candidates(app, &worker, ask.scope).await? {
            match try_take(app, &worker, &candidate, patient).await? {
                Try::Taken(leased) => return Ok(Some(*leased)),
                Try::Busy => busy = true,
                Try::Gone => {}
            }
        }
        if !busy {
            break;
        }
    }
    Ok(None)
}

fn unknown_worker() -> ApiError {
    ApiError::wrong_state("the worker is not known: join first")
}

/// The lease time in milliseconds.
pub fn ttl_ms(app: &App) -> i64 {
    app.config.lease_ttl.as_millis() as i64
}

async fn candidates(app: &App, worker: &WorkerRow, scope: LeaseScope) -> Result<Vec<Candidate>, UnitError> {
    let mut sets = leases::requirement_sets(&app.store, &worker.pool).await?;
    sets.retain(|requirements| worker.can(requirements));
    if sets.is_empty() {
        return Ok(Vec::new());
    }
    let peers = workers::live_peers(&app.store, &worker.pool, &worker.id, ttl_ms(app)).await?;
    let with_peers = |requirements: String| {
        let elsewhere = peers.iter().any(|peer| peer.can(&requirements));
        (requirements, elsewhere)
    };
    let sets: Vec<(String, bool)> = sets.into_iter().map(with_peers).collect();
    let limit = app.config.limits.max_running_units_per_project;
    let saturated = match limit {
        0 => Vec::new(),
        // probes do not count among a project's running units
        _ if scope == LeaseScope::Probes => Vec::new(),
        limit => leases::saturated_projects(&app.store, limit).await?,
    };
    let pick = Pick {
        pool: &worker.pool,
        worker_id: &worker.id,
        sets: &sets,
        priorities: priorities(scope),
        without_projects: &saturated,
        limit: CANDIDATES,
    };
    Ok(leases::candidates(&app.store, &pick).await?)
}

/// Probes are told from units of tasks by their priority, which the queue's index has.
fn priorities(scope: LeaseScope) -> Priorities {
    match scope {
        LeaseScope::Tasks => Priorities::OF_TASKS,
        LeaseScope::Probes => Priorities::OF_PROBES,
        LeaseScope::Unspecified => Priorities::ALL,
    }
}

enum Try {
    Taken(Box<Leased>),
    /// Another transaction is at its task.
    Busy,
    Gone,
}

async fn try_take(app: &App, worker: &WorkerRow, candidate: &Candidate, patient: bool) -> Result<Try, UnitError> {
    if candidate.task_id.is_empty() {
        return take_probe(app, worker, candidate).await;
    }
    let txn = app.store.begin().await?;
    if !patient && !leases::is_lockable(&app.store, &txn, &candidate.task_id).await? {
        txn.rollback().await?;
        return Ok(Try::Busy);
    }
    let Some(mut task) = tasks::lock(&app.store, &txn, &candidate.task_id).await? else {
        txn.rollback().await?;
        return Ok(Try::Gone);
    };
    if task.ended() || task.state == TaskState::Cancelling {
        txn.rollback().await?;
        cancel_leftover(app, candidate).await?;
        return Ok(Try::Gone);
    }
    let Some(unit) = leases::take(&app.store, &txn, candidate, &worker.id, ttl_ms(app)).await? else {
        txn.rollback().await?;
        return Ok(Try::Gone);
    };
    let now_ms = leases::now_in(&app.store, &txn).await?;
    show_processing(&mut task, &unit, worker, now_ms);
    tasks::save(&app.store, &txn, &mut task).await?;
    leases::raise_pool_rank(&app.store, &txn, &unit).await?;
    txn.commit().await?;
    app.nudge.committed();
    let sets = sets::progress(app, &unit).await?;
    Ok(Try::Taken(Box::new(of_task(unit, &task, sets))))
}

/// A queued unit of a task that is cancelled or over; cancelling leaves none, so it was queued in the same moment.
async fn cancel_leftover(app: &App, candidate: &Candidate) -> Result<(), UnitError> {
    let token = leases::Token {
        unit_id: candidate.unit_id.clone(),
        attempt: candidate.attempt,
    };
    fail::end_attempt(app, &candidate.task_id, &token, AttemptOver::never_started()).await?;
    Ok(())
}

fn show_processing(task: &mut TaskRow, unit: &UnitRow, worker: &WorkerRow, now_ms: i64) {
    task.state = TaskState::Processing;
    task.start_ms.get_or_insert(now_ms);
    for node in &unit.plan.nodes {
        let Some(status) = task.node_mut(&node.key) else { continue };
        status.set_state(NodeState::Processing);
        status.attempts = unit.attempt;
        status.worker = format!("workers/{}", worker.id);
        status.start_time = Some(timestamp(now_ms));
        status.end_time = None;
        status.error = None;
    }
}

fn of_task(unit: UnitRow, task: &TaskRow, sets: Vec<SetProgress>) -> Leased {
    let input = task.task.input.as_ref().and_then(|input| input.source.as_ref());
    Leased {
        task_name: mps_proto::name::full(&task.project, "tasks", &task.id),
        traceparent: task.traceparent.clone(),
        input_name: input_name(input),
        sets,
        unit,
    }
}

/// The input as its caller knows it: key or URL.
fn input_name(input: Option<&Source>) -> String {
    match input {
        Some(Source::Object(object)) => object.key.clone(),
        Some(Source::Url(url)) => url.clone(),
        None => String::new(),
    }
}

async fn take_probe(app: &App, worker: &WorkerRow, candidate: &Candidate) -> Result<Try, UnitError> {
    let txn = app.store.begin().await?;
    let taken = leases::take(&app.store, &txn, candidate, &worker.id, ttl_ms(app)).await?;
    txn.commit().await?;
    let Some(unit) = taken else { return Ok(Try::Gone) };
    let input = leases::probe_input(&app.store, &unit.id).await?.unwrap_or_default();
    let input = mps_proto::v1::TaskInput::decode(input.as_slice()).unwrap_or_default();
    Ok(Try::Taken(Box::new(Leased {
        unit,
        task_name: String::new(),
        traceparent: String::new(),
        input_name: input_name(input.source.as_ref()),
        sets: Vec::new(),
    })))
}
