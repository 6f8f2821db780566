//! SQL of sets: begun with their first member, ended with their node, removed or closed afterwards.

use mps_proto::worker::v1::{PlanSet, SetTrack};
use prost::Message;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, QueryResult, Value};

use super::{Store, leases::Token, rows};
use crate::service::states::SetState;

const COLUMNS: &str = "id, task_id, run, node_key, project_id, storage_id, plan, target_ms, state, version, written_version, written_ms, \
    start_ms, playable_ms, tries, whole";

/// A set.
#[derive(Debug, Clone)]
pub struct SetRow {
    /// Also the id of its first manifest's output row.
    pub id: String,
    pub task_id: String,
    pub run: i32,
    pub node_key: String,
    pub project: String,
    pub storage_id: String,
    pub plan: PlanSet,
    /// Length of a segment that the settings ask for.
    pub target_ms: i64,
    pub state: SetState,
    /// Grows with each commit of members.
    pub version: i64,
    /// The version that the playlists tell.
    pub written_version: i64,
    pub written_ms: i64,
    /// When the presentation began by the wall clock, for players that follow it.
    pub start_ms: Option<i64>,
    pub playable_ms: Option<i64>,
    /// Tries of removing or closing that failed.
    pub tries: i32,
    /// Every member is committed: playlists say that nothing more comes.
    pub whole: bool,
}

impl SetRow {
    fn read(row: &QueryResult) -> Result<Self, DbErr> {
        let broken = |error: prost::DecodeError| DbErr::Type(format!("set does not decode: {error}"));
        let state: i32 = row.try_get("", "state")?;
        Ok(Self {
            id: row.try_get("", "id")?,
            task_id: row.try_get("", "task_id")?,
            run: row.try_get("", "run")?,
            node_key: row.try_get("", "node_key")?,
            project: row.try_get("", "project_id")?,
            storage_id: row.try_get("", "storage_id")?,
            plan: PlanSet::decode(row.try_get::<Vec<u8>>("", "plan")?.as_slice()).map_err(broken)?,
            target_ms: row.try_get("", "target_ms")?,
            state: SetState::of(state).ok_or_else(|| DbErr::Type(format!("set has unknown state {state}")))?,
            version: row.try_get("", "version")?,
            written_version: row.try_get("", "written_version")?,
            written_ms: row.try_get("", "written_ms")?,
            start_ms: row.try_get("", "start_ms")?,
            playable_ms: row.try_get("", "playable_ms")?,
            tries: row.try_get("", "tries")?,
            whole: row.try_get::<i32>("", "whole")? != 0,
        })
    }
}

/// A track, with the number of segments that its playlist names.
#[derive(Debug, Clone)]
pub struct TrackRow {
    pub info: SetTrack,
    pub written: i32,
}

/// Whether the attempt holds the unit; it does until the transaction ends.
pub async fn is_leased(store: &Store, txn: &DatabaseTransaction, token: &Token) -> Result<bool, DbErr> {
    let text = "SELECT id FROM units WHERE id = $1 AND attempt = $2 AND state = 2 {share}";
    let row = txn
        .query_one_raw(store.sql(text, [token.unit_id.as_str().into(), token.attempt.into()]))
        .await?;
    Ok(row.is_some())
}

/// Makes the row of a set unless it stands; the place is that of its first manifest.
pub async fn begin(store: &Store, txn: &DatabaseTransaction, unit_id: &str, plan: &PlanSet, target_ms: i64) -> Result<(), DbErr> {
    let text = "INSERT INTO sets (id, task_id, run, node_key, project_id, storage_id, plan, target_ms, state, keep_partial, whole, version, \
        written_version, written_ms, due_ms, tries, create_ms) SELECT id, task_id, run, node_key, project_id, storage_id, $3, $4, 1, $5, 0, \
        0, 0, 0, 0, 0, {now} FROM outputs WHERE id = $1 AND unit_id = $2 AND state = 0 ON CONFLICT (id) DO NOTHING";
    let values = [
        plan.set_id.as_str().into(),
        unit_id.into(),
        plan.encode_to_vec().into(),
        target_ms.into(),
        i32::from(plan.keep_partial).into(),
    ];
    txn.execute_raw(store.sql(text, values)).await?;
    Ok(())
}

/// Locks a set that grows and counts its version up. `None`: it does not grow any more, or was never begun.
pub async fn lock_publishing(store: &Store, txn: &DatabaseTransaction, id: &str) -> Result<Option<SetRow>, DbErr> {
    let text = format!("UPDATE sets SET version = version + 1 WHERE id = $1 AND state = 1 RETURNING {COLUMNS}");
    let row = txn.query_one_raw(store.sql(&text, [id.into()])).await?;
    row.as_ref().map(SetRow::read).transpose()
}

pub async fn get(store: &Store, id: &str) -> Result<Option<SetRow>, DbErr> {
    Ok(select(store, store.reader(), "id = $1", vec![id.into()]).await?.pop())
}

/// Sets of a task, of all runs.
pub async fn of_task(store: &Store, on: &impl ConnectionTrait, task_id: &str) -> Result<Vec<SetRow>, DbErr> {
    select(store, on, "task_id = $1 ORDER BY id", vec![task_id.into()]).await
}

/// Sets to be removed or closed now; claimed for a minute.
pub async fn claim_due(store: &Store, limit: i64) -> Result<Vec<SetRow>, DbErr> {
    let text = format!(
        "UPDATE sets SET due_ms = {{now}} + 60000 WHERE id IN (SELECT id FROM sets WHERE state IN (5, 6) AND due_ms <= {{now}} \
         ORDER BY due_ms LIMIT $1 {{skip_locked}}) RETURNING {COLUMNS}"
    );
    let rows = store.writer().query_all_raw(store.sql(&text, [limit.into()])).await?;
    rows.iter().map(SetRow::read).collect()
}

async fn select(store: &Store, on: &impl ConnectionTrait, condition: &str, values: Vec<Value>) -> Result<Vec<SetRow>, DbErr> {
    let text = format!("SELECT {COLUMNS} FROM sets WHERE {condition}");
    let rows = on.query_all_raw(store.sql(&text, values)).await?;
    rows.iter().map(SetRow::read).collect()
}

/// A set that is tried again later.
pub async fn postpone(store: &Store, id: &str, delay_ms: i64) -> Result<(), DbErr> {
    let text = "UPDATE sets SET tries = tries + 1, due_ms = {now} + $2 WHERE id = $1";
    store.writer().execute_raw(store.sql(text, [id.into(), delay_ms.into()])).await?;
    Ok(())
}

/// Notes that nothing more comes. Its version moves, so that whoever writes playlists of before writes them again.
pub async fn note_whole(store: &Store, id: &str) -> Result<(), DbErr> {
    let text = "UPDATE sets SET whole = 1, version = version + 1 WHERE id = $1 AND whole = 0 AND state IN (1, 6)";
    store.writer().execute_raw(store.sql(text, [id.into()])).await?;
    Ok(())
}

/// A playlist was written while, or after, the set was removed: it is to be removed once more.
pub async fn remove_again(store: &Store, id: &str) -> Result<(), DbErr> {
    let text = "UPDATE sets SET state = 5, version = version + 1, due_ms = 0 WHERE id = $1 AND state IN (4, 5)";
    store.writer().execute_raw(store.sql(text, [id.into()])).await?;
    Ok(())
}

/// Ends a set, unless somebody wrote to it meanwhile.
pub async fn settle(store: &Store, txn: &DatabaseTransaction, set: &SetRow, to: SetState) -> Result<bool, DbErr> {
    let text = "UPDATE sets SET state = $3, due_ms = 0, tries = 0 WHERE id = $1 AND state = $2 AND version = $4";
    let values = [
        set.id.as_str().into(),
        (set.state as i32).into(),
        (to as i32).into(),
        set.version.into(),
    ];
    Ok(txn.execute_raw(store.sql(text, values)).await?.rows_affected() > 0)
}

/// Moves a set on. `false`: it is not in the state.
pub async fn advance(store: &Store, on: &impl ConnectionTrait, id: &str, from: SetState, to: SetState) -> Result<bool, DbErr> {
    let text = "UPDATE sets SET state = $3, due_ms = 0, tries = 0 WHERE id = $1 AND state = $2";
    let values = [id.into(), (from as i32).into(), (to as i32).into()];
    Ok(on.execute_raw(store.sql(text, values)).await?.rows_affected() > 0)
}

const ENDED: &str = "UPDATE sets SET due_ms = 0, tries = 0, state = CASE WHEN keep_partial = 1 AND playable_ms IS NOT NULL THEN 6 ELSE 5 END \
    WHERE state = 1";

/// The unit (or one node of it) ended for good without finishing its sets.
pub async fn end_of_unit(store: &Store, txn: &DatabaseTransaction, unit_id: &str, node_key: &str) -> Result<(), DbErr> {
    let text = format!("{ENDED} AND id IN (SELECT id FROM outputs WHERE unit_id = $1 AND ($2 = '' OR node_key = $2))");
    txn.execute_raw(store.sql(&text, [unit_id.into(), node_key.into()])).await?;
    Ok(())
}

/// The run ended: whatever still grows has nobody who lets it grow.
pub async fn end_of_run(store: &Store, txn: &DatabaseTransaction, task_id: &str) -> Result<(), DbErr> {
    let text = format!("{ENDED} AND task_id = $1");
    txn.execute_raw(store.sql(&text, [task_id.into()])).await?;
    Ok(())
}

/// Sets whose first manifest was replaced by another output: nothing names their members any more.
pub async fn end_replaced(store: &Store, txn: &DatabaseTransaction, bucket_ref: &str, object_key: &str) -> Result<(), DbErr> {
    let text = "UPDATE sets SET state = 5, due_ms = 0, tries = 0 WHERE state IN (2, 3) AND id IN \
        (SELECT id FROM outputs WHERE bucket_ref = $1 AND object_key = $2 AND state = 2)";
    txn.execute_raw(store.sql(text, [bucket_ref.into(), object_key.into()])).await?;
    Ok(())
}

/// Tracks in order.
pub async fn tracks(store: &Store, on: &impl ConnectionTrait, set_id: &str) -> Result<Vec<TrackRow>, DbErr> {
    let text = "SELECT info, written FROM set_tracks WHERE set_id = $1 ORDER BY track";
    let rows = on.query_all_raw(store.sql(text, [set_id.into()])).await?;
    let read = |row: &QueryResult| {
        let info: Vec<u8> = row.try_get("", "info")?;
        Ok(TrackRow {
            info: SetTrack::decode(info.as_slice()).map_err(|error| DbErr::Type(error.to_string()))?,
            written: row.try_get("", "written")?,
        })
    };
    rows.iter().map(read).collect()
}

/// Puts these tracks in place of those that were known.
pub async fn replace_tracks(store: &Store, txn: &DatabaseTransaction, set_id: &str, tracks: &[SetTrack]) -> Result<(), DbErr> {
    txn.execute_raw(store.sql("DELETE FROM set_tracks WHERE set_id = $1", [set_id.into()]))
        .await?;
    let values = tracks
        .iter()
        .map(|track| vec![set_id.into(), track.number.into(), track.encode_to_vec().into()]);
    let into = "INSERT INTO set_tracks (set_id, track, info, written)";
    rows::insert(store, txn, into, values.collect(), ", 0", "").await?;
    Ok(())
}

/// Notes what the playlist of a track names now.
pub async fn note_written_track(store: &Store, set_id: &str, track: i32, segments: i32) -> Result<(), DbErr> {
    let text = "UPDATE set_tracks SET written = $3 WHERE set_id = $1 AND track = $2";
    let values = [set_id.into(), track.into(), segments.into()];
    store.writer().execute_raw(store.sql(text, values)).await?;
    Ok(())
}

/// Notes the version that the playlists tell; gives the set as it is now.
pub async fn note_written(store: &Store, id: &str, version: i64) -> Result<Option<SetRow>, DbErr> {
    let text = format!(
        "UPDATE sets SET written_ms = {{now}}, written_version = CASE WHEN written_version < $2 THEN $2 ELSE written_version END \
         WHERE id = $1 RETURNING {COLUMNS}"
    );
    let row = store.writer().query_one_raw(store.sql(&text, [id.into(), version.into()])).await?;
    row.as_ref().map(SetRow::read).transpose()
}

/// Sets the beginning by the wall clock, once; gives it.
pub async fn start_at(store: &Store, id: &str, available_ms: i64) -> Result<Option<i64>, DbErr> {
    let text = "UPDATE sets SET start_ms = COALESCE(start_ms, {now} - $2) WHERE id = $1 RETURNING start_ms";
    let row = store
        .writer()
        .query_one_raw(store.sql(text, [id.into(), available_ms.into()]))
        .await?;
    row.map(|row| row.try_get("", "start_ms")).transpose()
}

/// Notes that the set can be played. `false`: it was noted before, or the set does not grow any more.
pub async fn note_playable(store: &Store, txn: &DatabaseTransaction, id: &str, now_ms: i64) -> Result<bool, DbErr> {
    let text = "UPDATE sets SET playable_ms = $2 WHERE id = $1 AND playable_ms IS NULL AND state = 1";
    Ok(txn.execute_raw(store.sql(text, [id.into(), now_ms.into()])).await?.rows_affected() > 0)
}

/// Forgets the sets of a task that is deleted, without their objects; those that are being removed or closed stay until that is done,
/// and members that may still arrive until they are swept.
pub async fn forget_of_task(store: &Store, txn: &DatabaseTransaction, task_id: &str) -> Result<(), DbErr> {
    let text = "DELETE FROM set_members WHERE state = 1 AND set_id IN (SELECT id FROM sets WHERE task_id = $1 AND state IN (2, 3))";
    txn.execute_raw(store.sql(text, [task_id.into()])).await?;
    let text = "UPDATE sets SET state = 4 WHERE task_id = $1 AND state IN (1, 2, 3)";
    txn.execute_raw(store.sql(text, [task_id.into()])).await?;
    Ok(())
}

/// Forgets removed sets of deleted tasks that have no members left.
pub async fn forget_orphans(store: &Store, limit: i64) -> Result<(), DbErr> {
    let text = "DELETE FROM sets WHERE id IN (SELECT s.id FROM sets s WHERE s.state IN (3, 4) \
        AND NOT EXISTS (SELECT 1 FROM tasks t WHERE t.id = s.task_id) \
        AND NOT EXISTS (SELECT 1 FROM set_members m WHERE m.set_id = s.id AND m.state <> 1) LIMIT $1) RETURNING id";
    for row in store.writer().query_all_raw(store.sql(text, [limit.into()])).await? {
        let id: String = row.try_get("", "id")?;
        for text in [
            "DELETE FROM set_tracks WHERE set_id = $1",
            "DELETE FROM set_members WHERE set_id = $1",
        ] {
            store.writer().execute_raw(store.sql(text, [id.as_str().into()])).await?;
        }
    }
    Ok(())
}
