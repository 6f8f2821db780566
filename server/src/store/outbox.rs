//! SQL of the outbox: claimed for a while in one short statement, deleted once delivered.

use sea_orm::{ConnectionTrait, DbErr, QueryResult, Value};

use super::Store;

/// A committed change that is still to be carried on.
#[derive(Debug, Clone)]
pub struct OutboxRow {
    pub id: String,
    pub task_id: String,
    pub project: String,
    pub revision: i64,
}

impl OutboxRow {
    fn read(row: &QueryResult) -> Result<Self, DbErr> {
        Ok(Self {
            id: row.try_get("", "id")?,
            task_id: row.try_get("", "task_id")?,
            project: row.try_get("", "project_id")?,
            revision: row.try_get("", "revision")?,
        })
    }
}

/// Claims rows for `hold_ms`: of each task only the oldest, so that a task's changes are carried on in order.
pub async fn claim(store: &Store, destination: &str, limit: i64, hold_ms: i64) -> Result<Vec<OutboxRow>, DbErr> {
    let text = "UPDATE outbox SET claimed_until_ms = {now} + $1 WHERE id IN (
            SELECT id FROM outbox AS oldest WHERE destination = $2 AND claimed_until_ms < {now} AND NOT EXISTS (
                SELECT 1 FROM outbox AS older WHERE older.destination = $2 AND older.task_id = oldest.task_id AND older.id < oldest.id)
            ORDER BY id LIMIT $3 {skip_locked})
        RETURNING id, task_id, project_id, revision";
    let values = [hold_ms.into(), destination.into(), limit.into()];
    let rows = store.writer().query_all_raw(store.sql(text, values)).await?;
    rows.iter().map(OutboxRow::read).collect()
}

/// Forgets delivered rows.
pub async fn delete(store: &Store, ids: &[String]) -> Result<(), DbErr> {
    by_ids(store, "DELETE FROM outbox WHERE id IN", ids).await
}

/// Gives rows back that could not be delivered.
pub async fn release(store: &Store, ids: &[String]) -> Result<(), DbErr> {
    by_ids(store, "UPDATE outbox SET claimed_until_ms = 0 WHERE id IN", ids).await
}

async fn by_ids(store: &Store, statement: &str, ids: &[String]) -> Result<(), DbErr> {
    if ids.is_empty() {
        return Ok(());
    }
    let places: Vec<String> = (1..=ids.len()).map(|number| format!("${number}")).collect();
    let text = format!("{statement} ({})", places.join(","));
    let values = ids.iter().map(|id| Value::from(id.as_str()));
    store.writer().execute_raw(store.sql(&text, values)).await?;
    Ok(())
}

/// Forgets unclaimed rows of tasks that have a newer one. Receivers read the task itself, so the newest says all; this bounds the
/// outbox by the number of tasks while nothing can be delivered.
pub async fn merge(store: &Store, destination: &str) -> Result<u64, DbErr> {
    let text = "DELETE FROM outbox WHERE destination = $1 AND claimed_until_ms < {now} AND EXISTS (
        SELECT 1 FROM outbox AS newer WHERE newer.destination = $1 AND newer.task_id = outbox.task_id
            AND newer.revision > outbox.revision)";
    let deleted = store.writer().execute_raw(store.sql(text, [destination.into()])).await?;
    Ok(deleted.rows_affected())
}

/// The newest undelivered rows, claimed or not.
pub async fn newest(store: &Store, destination: &str, limit: i64) -> Result<Vec<OutboxRow>, DbErr> {
    let text = "SELECT id, task_id, project_id, revision FROM outbox WHERE destination = $1 ORDER BY id DESC LIMIT $2";
    let rows = store
        .reader()
        .query_all_raw(store.sql(text, [destination.into(), limit.into()]))
        .await?;
    rows.iter().map(OutboxRow::read).collect()
}
