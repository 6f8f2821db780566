//! SQL of workers.

use std::collections::HashMap;

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, QueryResult};

use super::Store;

const COLUMNS: &str = "id, display_name, pool, slots, capabilities, plan_versions, version, draining, drain_reason, join_ms, seen_ms";
/// A worker that nobody heard of for so long is forgotten.
const FORGET_AFTER_MS: i64 = 24 * 3600 * 1000;
/// Most workers that one list reads.
const MAX_LISTED: i64 = 10_000;

/// A worker that joined.
#[derive(Debug, Clone)]
pub struct WorkerRow {
    pub id: String,
    pub display_name: String,
    pub pool: String,
    pub slots: i32,
    pub capabilities: Vec<String>,
    pub plan_versions: Vec<i32>,
    pub version: String,
    pub draining: bool,
    pub drain_reason: String,
    pub join_ms: i64,
    pub seen_ms: i64,
}

impl WorkerRow {
    /// Whether it can do what `units::requirements_text` wrote.
    pub fn can(&self, requirements: &str) -> bool {
        requirements
            .split(',')
            .filter(|part| !part.is_empty())
            .all(|part| match part.strip_prefix("plan.") {
                Some(version) => version.parse().is_ok_and(|version| self.plan_versions.contains(&version)),
                None => self.capabilities.iter().any(|capability| capability == part),
            })
    }

    /// Whether it was heard of within the given time.
    pub fn is_live(&self, now_ms: i64, lease_ttl: std::time::Duration) -> bool {
        now_ms - self.seen_ms <= lease_ttl.as_millis() as i64
    }

    fn read(row: &QueryResult) -> Result<Self, DbErr> {
        Ok(Self {
            id: row.try_get("", "id")?,
            display_name: row.try_get("", "display_name")?,
            pool: row.try_get("", "pool")?,
            slots: row.try_get("", "slots")?,
            capabilities: list_of(&row.try_get::<String>("", "capabilities")?),
            plan_versions: numbers_of(&row.try_get::<String>("", "plan_versions")?),
            version: row.try_get("", "version")?,
            draining: row.try_get::<i32>("", "draining")? != 0,
            drain_reason: row.try_get("", "drain_reason")?,
            join_ms: row.try_get("", "join_ms")?,
            seen_ms: row.try_get("", "seen_ms")?,
        })
    }
}

fn list_of(text: &str) -> Vec<String> {
    text.split(',').filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

fn numbers_of(text: &str) -> Vec<i32> {
    text.split(',').filter_map(|part| part.parse().ok()).collect()
}

/// Makes a worker known; one that joined before keeps its drain flag.
pub async fn upsert(store: &Store, worker: &WorkerRow) -> Result<(), DbErr> {
    let versions: Vec<String> = worker.plan_versions.iter().map(i32::to_string).collect();
    let text = "INSERT INTO workers (id, display_name, pool, slots, capabilities, plan_versions, version, draining, drain_reason, join_ms, seen_ms) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, 0, '', {now}, {now}) \
        ON CONFLICT (id) DO UPDATE SET display_name = excluded.display_name, pool = excluded.pool, slots = excluded.slots, \
        capabilities = excluded.capabilities, plan_versions = excluded.plan_versions, version = excluded.version, seen_ms = excluded.seen_ms";
    let values = [
        worker.id.as_str().into(),
        worker.display_name.as_str().into(),
        worker.pool.as_str().into(),
        worker.slots.into(),
        worker.capabilities.join(",").into(),
        versions.join(",").into(),
        worker.version.as_str().into(),
    ];
    store.writer().execute_raw(store.sql(text, values)).await?;
    Ok(())
}

/// One worker.
pub async fn get(store: &Store, id: &str) -> Result<Option<WorkerRow>, DbErr> {
    let text = format!("SELECT {COLUMNS} FROM workers WHERE id = $1");
    let row = store.reader().query_one_raw(store.sql(&text, [id.into()])).await?;
    row.as_ref().map(WorkerRow::read).transpose()
}

/// Every worker that was seen within the last day, by id.
pub async fn list(store: &Store) -> Result<Vec<WorkerRow>, DbErr> {
    let text = format!("SELECT {COLUMNS} FROM workers WHERE seen_ms > {{now}} - $1 ORDER BY id LIMIT $2");
    let rows = store
        .reader()
        .query_all_raw(store.sql(&text, [FORGET_AFTER_MS.into(), MAX_LISTED.into()]))
        .await?;
    rows.iter().map(WorkerRow::read).collect()
}

/// Workers with an id above `after`, seen within the last day.
pub async fn page(store: &Store, after: &str, limit: i64) -> Result<Vec<WorkerRow>, DbErr> {
    let text = format!("SELECT {COLUMNS} FROM workers WHERE id > $1 AND seen_ms > {{now}} - $2 ORDER BY id LIMIT $3");
    let values = [after.into(), FORGET_AFTER_MS.into(), limit.into()];
    let rows = store.reader().query_all_raw(store.sql(&text, values)).await?;
    rows.iter().map(WorkerRow::read).collect()
}

/// Other workers of a pool that take units now.
pub async fn live_peers(store: &Store, pool: &str, except: &str, within_ms: i64) -> Result<Vec<WorkerRow>, DbErr> {
    let text = format!(
        "SELECT {COLUMNS} FROM workers WHERE pool = $1 AND id <> $2 AND draining = 0 AND seen_ms > {{now}} - $3 ORDER BY seen_ms DESC LIMIT 64"
    );
    let values = [pool.into(), except.into(), within_ms.into()];
    let rows = store.reader().query_all_raw(store.sql(&text, values)).await?;
    rows.iter().map(WorkerRow::read).collect()
}

/// Leased and committing units of tasks by worker id; probes have slots of their own.
pub async fn busy_slots(store: &Store) -> Result<HashMap<String, i32>, DbErr> {
    let text = "SELECT worker_id, count(*) AS busy FROM units WHERE state IN (2, 3) AND task_id <> '' AND worker_id IS NOT NULL GROUP BY worker_id";
    let rows = store.reader().query_all_raw(store.sql(text, [])).await?;
    rows.iter()
        .map(|row| Ok((row.try_get("", "worker_id")?, row.try_get::<i64>("", "busy")? as i32)))
        .collect()
}

/// Notes that a worker called, at most once per `every_ms`.
pub async fn touch(store: &Store, id: &str, every_ms: i64) -> Result<(), DbErr> {
    let text = "UPDATE workers SET seen_ms = {now} WHERE id = $1 AND seen_ms < {now} - $2";
    store.writer().execute_raw(store.sql(text, [id.into(), every_ms.into()])).await?;
    Ok(())
}

/// Sets or clears the drain flag; `None` when there is no such worker.
pub async fn set_draining(store: &Store, id: &str, draining: bool, reason: &str) -> Result<Option<WorkerRow>, DbErr> {
    let text = format!("UPDATE workers SET draining = $2, drain_reason = $3 WHERE id = $1 RETURNING {COLUMNS}");
    let values = [id.into(), i32::from(draining).into(), reason.into()];
    let row = store.writer().query_one_raw(store.sql(&text, values)).await?;
    row.as_ref().map(WorkerRow::read).transpose()
}

/// Forgets workers that nobody heard of for a day.
pub async fn forget(store: &Store) -> Result<u64, DbErr> {
    let text = "DELETE FROM workers WHERE seen_ms < {now} - $1";
    let done = store.writer().execute_raw(store.sql(text, [FORGET_AFTER_MS.into()])).await?;
    Ok(done.rows_affected())
}

/// A failure of a node on a worker, that may be charged to the worker later.
pub struct NodeFailure<'a> {
    pub worker_id: &'a str,
    pub task_id: &'a str,
    pub run: i32,
    pub node_key: &'a str,
    pub unit_id: &'a str,
    /// Of `ErrorInfo`.
    pub reason: &'a str,
}

/// Notes a failure. It is charged only if the same node succeeds elsewhere.
pub async fn note_failure(store: &Store, txn: &DatabaseTransaction, failure: &NodeFailure<'_>) -> Result<(), DbErr> {
    let text = "INSERT INTO worker_failures (worker_id, task_id, run, node_key, unit_id, reason, charged, fail_ms) \
        VALUES ($1, $2, $3, $4, $5, $6, 0, {now}) ON CONFLICT (worker_id, task_id, run, node_key) \
        DO UPDATE SET unit_id = excluded.unit_id, reason = excluded.reason, fail_ms = excluded.fail_ms";
    let values = [
        failure.worker_id.into(),
        failure.task_id.into(),
        failure.run.into(),
        failure.node_key.into(),
        failure.unit_id.into(),
        failure.reason.into(),
    ];
    txn.execute_raw(store.sql(text, values)).await?;
    Ok(())
}

/// Whether a node failed for this reason on another worker in this run.
pub async fn failed_elsewhere(store: &Store, txn: &DatabaseTransaction, failure: &NodeFailure<'_>) -> Result<bool, DbErr> {
    let text = "SELECT 1 AS found FROM worker_failures WHERE task_id = $1 AND run = $2 AND node_key = $3 AND worker_id <> $4 AND reason = $5 LIMIT 1";
    let values = [
        failure.task_id.into(),
        failure.run.into(),
        failure.node_key.into(),
        failure.worker_id.into(),
        failure.reason.into(),
    ];
    Ok(txn.query_one_raw(store.sql(text, values)).await?.is_some())
}

/// A success: clears what the worker was suspected of, and charges the workers on which the same node failed. Gives those workers.
pub async fn note_success(
    store: &Store,
    txn: &DatabaseTransaction,
    worker_id: &str,
    task_id: &str,
    run: i32,
    node_key: &str,
) -> Result<Vec<String>, DbErr> {
    let text = "DELETE FROM worker_failures WHERE worker_id = $1";
    txn.execute_raw(store.sql(text, [worker_id.into()])).await?;
    let text =
        "UPDATE worker_failures SET charged = 1 WHERE task_id = $1 AND run = $2 AND node_key = $3 AND charged = 0 RETURNING worker_id";
    let rows = txn
        .query_all_raw(store.sql(text, [task_id.into(), run.into(), node_key.into()]))
        .await?;
    rows.iter().map(|row| row.try_get("", "worker_id")).collect()
}

/// Drains a worker that was charged with `units` different units within the time. Says whether it was drained just now.
pub async fn drain_if_charged(
    store: &Store,
    txn: &DatabaseTransaction,
    worker_id: &str,
    units: i64,
    within_ms: i64,
) -> Result<bool, DbErr> {
    let text = "UPDATE workers SET draining = 1, drain_reason = $4 WHERE id = $1 AND draining = 0 AND (SELECT count(DISTINCT unit_id) \
        FROM worker_failures WHERE worker_id = $1 AND charged = 1 AND fail_ms > {now} - $3) >= $2";
    let reason = format!("{units} units failed here and succeeded elsewhere, with no success between");
    let values = [worker_id.into(), units.into(), within_ms.into(), reason.into()];
    Ok(txn.execute_raw(store.sql(text, values)).await?.rows_affected() > 0)
}

/// Clears what a worker was charged with, when an operator takes it back.
pub async fn clear_failures(store: &Store, worker_id: &str) -> Result<(), DbErr> {
    let text = "DELETE FROM worker_failures WHERE worker_id = $1";
    store.writer().execute_raw(store.sql(text, [worker_id.into()])).await?;
    Ok(())
}

/// Removes failures older than an hour.
pub async fn forget_failures(store: &Store) -> Result<u64, DbErr> {
    let text = "DELETE FROM worker_failures WHERE fail_ms < {now} - 3600000";
    Ok(store.writer().execute_raw(store.sql(text, [])).await?.rows_affected())
}
