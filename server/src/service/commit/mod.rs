//! CompleteUnit. One transaction stores the part lists and sets `committing`, the point of no return; from there the server that
//! holds the commit rolls it forward (`forward`) until the outputs are published (`publish`) or the unit is queued again.

mod check;
mod forward;
mod publish;

use std::{collections::HashMap, time::Duration};

use mps_proto::{
    v1::TaskState,
    worker::v1::{ChildResult, CommitState, CompleteUnitRequest},
};
use prost::Message;

use self::check::Done;
pub use self::forward::{CommitEnd, roll_forward};
use super::{
    crash::crash_point,
    fail::{self, AttemptOver},
    fence::UnitError,
    states::UnitState,
};
use crate::{
    app::App,
    store::{
        commits,
        leases::{self, Token, UnitRow},
        members, outputs, sets, tasks, uploads,
    },
};

/// How long CompleteUnit waits for the end before it answers COMMITTING.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long a commit is held, in milliseconds.
fn ttl_ms(app: &App) -> i64 {
    app.config.commit_ttl.as_millis() as i64
}

/// Takes a finished unit in. Idempotent: asked again, it tells how far the commit is.
pub async fn complete(app: &App, token: &Token, request: CompleteUnitRequest) -> Result<CommitState, UnitError> {
    let unit = match leases::get(&app.store, &token.unit_id).await? {
        Some(unit) if unit.attempt == token.attempt => unit,
        _ => return Ok(CommitState::Fenced),
    };
    if unit.state != UnitState::Leased {
        return Ok(standing(&unit));
    }
    if unit.is_probe() {
        return complete_probe(app, &unit, request).await;
    }
    check::check(&unit, &request, &done_so_far(app, &unit, token).await?)?;
    if !start(app, &unit, token, &request).await? {
        // lost a race against expiry, cancel, or the same call
        let now = leases::get(&app.store, &token.unit_id).await?;
        return Ok(now
            .filter(|now| now.attempt == token.attempt)
            .map_or(CommitState::Fenced, |now| standing(&now)));
    }
    crash_point("commit.stored");
    Ok(await_end(app, token).await)
}

async fn done_so_far(app: &App, unit: &UnitRow, token: &Token) -> Result<Done, UnitError> {
    let mut done = Done {
        uploads: uploads::of_attempt(&app.store, token).await?,
        declared: HashMap::new(),
        whole_sets: Vec::new(),
    };
    for node in unit.plan.nodes.iter().filter(|node| node.series.is_some()) {
        let rows = outputs::reserved_of_node(&app.store, app.store.reader(), &unit.id, &node.key).await?;
        done.declared.insert(node.key.clone(), rows.into_iter().map(|row| row.id).collect());
    }
    for set in unit.plan.nodes.iter().filter_map(|node| node.set.as_ref()) {
        let tracks = sets::tracks(&app.store, app.store.reader(), &set.set_id).await?;
        let states = members::states(&app.store, app.store.reader(), &set.set_id).await?;
        let has_media = |number: i32| states.iter().any(|state| state.track == number && state.segments > 0);
        if !tracks.is_empty() && tracks.iter().all(|track| has_media(track.info.number)) {
            done.whole_sets.push(set.set_id.clone());
        }
    }
    Ok(done)
}

/// The answer about a unit that is not leased any more.
fn standing(unit: &UnitRow) -> CommitState {
    match unit.state {
        UnitState::Committing => CommitState::Committing,
        UnitState::Done => CommitState::Published,
        // every node of the pass failed: that is published too
        UnitState::Failed if unit.commit_list.is_some() => CommitState::Published,
        _ => CommitState::Fenced,
    }
}

/// Stores the list. `false`: the attempt does not hold the unit any more, or its task is cancelled.
async fn start(app: &App, unit: &UnitRow, token: &Token, request: &CompleteUnitRequest) -> Result<bool, UnitError> {
    let txn = app.store.begin().await?;
    let task = tasks::lock(&app.store, &txn, &unit.task_id).await?;
    let Some(mut task) = task.filter(|task| !task.ended() && task.task.run == unit.run) else {
        txn.rollback().await?;
        return Ok(false);
    };
    if task.state == TaskState::Cancelling {
        txn.rollback().await?;
        let released = AttemptOver {
            released: true,
            ..AttemptOver::default()
        };
        fail::end_attempt(app, &unit.task_id, token, released).await?;
        return Ok(false);
    }
    let list = request.encode_to_vec();
    if !commits::start(&app.store, &txn, token, list, &app.replica_id, ttl_ms(app)).await? {
        txn.rollback().await?;
        return Ok(false);
    }
    tasks::save(&app.store, &txn, &mut task).await?;
    txn.commit().await?;
    app.nudge.committed();
    Ok(true)
}

/// Rolls forward in the background, and waits a little for the end.
async fn await_end(app: &App, token: &Token) -> CommitState {
    let end = tokio::spawn(roll_forward(app.clone(), token.clone()));
    match tokio::time::timeout(PATIENCE, end).await {
        Ok(Ok(CommitEnd::Published)) => CommitState::Published,
        Ok(Ok(CommitEnd::GivenUp)) => CommitState::Requeued,
        _ => CommitState::Committing,
    }
}

async fn complete_probe(app: &App, unit: &UnitRow, request: CompleteUnitRequest) -> Result<CommitState, UnitError> {
    let result = ChildResult {
        input: request.input,
        counters: request.counters,
        ..ChildResult::default()
    };
    let txn = app.store.begin().await?;
    if !leases::end(&app.store, &txn, unit, UnitState::Done).await? {
        txn.rollback().await?;
        return Ok(CommitState::Fenced);
    }
    leases::write_probe_result(&app.store, &txn, &unit.id, result.encode_to_vec()).await?;
    txn.commit().await?;
    Ok(CommitState::Published)
}
