//! The end of sets whose node failed, was cancelled or was replaced: removed, or closed. Done by a loop from rows until it succeeds,
//! so that no death in between leaves anything behind. Also members that were never committed.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use mps_proto::v1;

use super::write;
use crate::{
    app::App,
    service::{
        fence::UnitError,
        states::SetState,
        uploads::{MARK, URL_TTL},
    },
    storage::{Bucket, StorageErrorKind},
    store::{
        members::{self, MemberRow},
        outputs::{self, OutputRow},
        sets::{self, SetRow},
        tasks,
    },
};

const EVERY: Duration = Duration::from_millis(500);
/// Sets of one round.
const SETS_PER_ROUND: i64 = 8;
const DELETES_AT_ONCE: usize = 16;
const MEMBERS_PER_STEP: i64 = 500;
/// Members that one round sweeps.
const SWEPT_PER_ROUND: i64 = 500;
/// How long after the end of its URL an upload may still be under way.
const URL_SLACK: Duration = Duration::from_secs(300);
const LONGEST_PAUSE_MS: i64 = 300_000;

/// Runs until the process ends.
pub async fn run(app: App) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = run_due(&app).await {
            tracing::debug!(%error, "sets are looked after in the next round");
        }
    }
}

/// Removes and closes what is to be removed and closed.
pub async fn run_due(app: &App) -> Result<(), UnitError> {
    for set in sets::claim_due(&app.store, SETS_PER_ROUND).await? {
        let ended = match set.state {
            SetState::Closing => close(app, &set).await,
            _ => remove(app, &set).await.map(|_deleted| ()),
        };
        if let Err(error) = ended {
            let pause_ms = (2000_i64 << set.tries.clamp(0, 10)).min(LONGEST_PAUSE_MS);
            tracing::warn!(%error, set.id = %set.id, task.id = %set.task_id, "a set is not ended yet and is tried again");
            sets::postpone(&app.store, &set.id, pause_ms).await?;
        }
    }
    Ok(())
}

/// The last playlists, then the state.
async fn close(app: &App, set: &SetRow) -> Result<(), UnitError> {
    let mut finished = write::finish(app, &set.id).await?;
    // the last writing moved the version
    let Some(set) = sets::get(&app.store, &set.id).await? else {
        return Ok(());
    };
    for output in &mut finished.outputs {
        if let Some(info) = &mut output.set {
            info.state = v1::SetState::Closed as i32;
        }
    }
    settle(app, &set, SetState::Closed, finished.outputs).await
}

/// Deletes a set's objects, manifests first. Gives the keys of manifests that were its own.
pub async fn remove(app: &App, set: &SetRow) -> Result<Vec<String>, UnitError> {
    let opened = app.storages.open(&set.project, &set.storage_id).await;
    let deleted = match opened {
        Ok(bucket) => delete_objects(app, &bucket, set).await?,
        // nobody can reach the objects any more
        Err(error) if error.kind == StorageErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    settle(app, set, SetState::Removed, Vec::new()).await?;
    Ok(deleted)
}

/// Deletes manifests, then playlists, then members. Gives the keys of playlists that were still the set's own.
async fn delete_objects(app: &App, bucket: &Bucket, set: &SetRow) -> Result<Vec<String>, UnitError> {
    let rows = outputs::of_node(&app.store, app.store.reader(), &set.task_id, set.run, &set.node_key).await?;
    let (manifests, playlists): (Vec<_>, Vec<_>) = rows
        .into_iter()
        .filter(|row| write::is_of_set(set, row))
        .partition(|row| set.plan.manifests.iter().any(|manifest| manifest.output_id == row.id));
    let mut deleted = Vec::new();
    for row in &manifests {
        if delete_playlist(app, bucket, set, row).await? {
            deleted.push(row.object_key.clone());
        }
    }
    for row in &playlists {
        delete_playlist(app, bucket, set, row).await?;
    }
    loop {
        let some = members::some_of_set(&app.store, &set.id, MEMBERS_PER_STEP).await?;
        if some.is_empty() {
            return Ok(deleted);
        }
        let deletes = some.iter().map(|member| delete_member(app, bucket, member));
        stream::iter(deletes.collect::<Vec<_>>())
            .buffer_unordered(DELETES_AT_ONCE)
            .try_collect::<()>()
            .await?;
    }
}

async fn delete_member(app: &App, bucket: &Bucket, member: &MemberRow) -> Result<(), UnitError> {
    bucket.delete(&member.object_key).await?;
    members::forget(&app.store, member).await?;
    Ok(())
}

/// Deletes a playlist that is still the set's own; its key is held meanwhile, so that nobody writes it between look and deletion.
async fn delete_playlist(app: &App, bucket: &Bucket, set: &SetRow, row: &OutputRow) -> Result<bool, UnitError> {
    if !is_own(bucket, set, row).await? {
        return Ok(false);
    }
    if !outputs::hold(&app.store, &row.id).await? {
        return Err(crate::error::ApiError::wrong_state(format!("{} is about to be written by another task", row.object_key)).into());
    }
    let deleted = async {
        let own = is_own(bucket, set, row).await?;
        if own {
            bucket.delete(&row.object_key).await?;
        }
        Ok::<bool, UnitError>(own)
    };
    let deleted = deleted.await;
    outputs::release(&app.store, &row.id).await?;
    deleted
}

async fn is_own(bucket: &Bucket, set: &SetRow, row: &OutputRow) -> Result<bool, UnitError> {
    let head = bucket.head(&row.object_key).await?;
    let own = write::mark(&set.id, &row.id);
    Ok(head.is_some_and(|head| head.metadata.get(MARK) == Some(&own)))
}

/// Writes the end of a set down, and shows it where its run is the task's current one.
async fn settle(app: &App, set: &SetRow, to: SetState, closed: Vec<v1::Output>) -> Result<(), UnitError> {
    let txn = app.store.begin().await?;
    let task = tasks::lock(&app.store, &txn, &set.task_id).await?;
    if !sets::settle(&app.store, &txn, set, to).await? {
        txn.rollback().await?;
        return Ok(());
    }
    let Some(mut task) = task else {
        // deleted meanwhile: nobody will ask again
        outputs::delete_of_node(&app.store, &txn, &set.task_id, set.run, &set.node_key).await?;
        txn.commit().await?;
        return Ok(());
    };
    if to == SetState::Closed {
        for row in outputs::of_node(&app.store, &txn, &set.task_id, set.run, &set.node_key).await? {
            if let Some(output) = closed.iter().find(|output| output.key == row.object_key) {
                outputs::publish_closed(&app.store, &txn, &row.id, output.size_bytes, &output.sha256).await?;
            }
        }
    }
    let is_current = task.task.run == set.run;
    if let Some(status) = task.node_mut(&set.node_key).filter(|_| is_current) {
        if to == SetState::Closed {
            status.outputs = closed;
        } else {
            let infos = status.outputs.iter_mut().filter_map(|output| output.set.as_mut());
            infos.for_each(|info| info.state = v1::SetState::Removed as i32);
        }
    }
    tasks::save(&app.store, &txn, &mut task).await?;
    txn.commit().await?;
    app.nudge.committed();
    Ok(())
}

/// Deletes members that were never committed and whose URLs have ended, and forgets removed sets of deleted tasks.
pub async fn sweep(app: &App) -> Result<(), UnitError> {
    let ttl_ms = (URL_TTL + URL_SLACK).as_millis() as i64;
    for (member, project, storage_id) in members::abandoned(&app.store, ttl_ms, SWEPT_PER_ROUND).await? {
        let deleted = async {
            let bucket = app.storages.open(&project, &storage_id).await?;
            bucket.delete(&member.object_key).await
        };
        match deleted.await {
            Ok(()) => members::forget_swept(&app.store, &member).await?,
            Err(error) if error.kind == StorageErrorKind::NotFound => members::forget_swept(&app.store, &member).await?,
            Err(error) => tracing::debug!(%error, key = %member.object_key, "a member could not be swept yet"),
        }
    }
    sets::forget_orphans(&app.store, SWEPT_PER_ROUND).await?;
    Ok(())
}
