//! SQL of outputs: reserved with the task, published by commits (`service::commit`), dropped or deleted.

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, QueryResult, Value};

use super::{Store, rows};
use crate::service::states::OutputState;

const COLUMNS: &str = "id, task_id, run, node_key, number, project_id, storage_id, bucket_ref, object_key, content_type, state, unit_id, \
    attempt, size_bytes, sha256, publish_ms";
/// Keys that one statement asks for.
const KEYS_PER_STATEMENT: usize = 500;

/// An output to be made; it reserves its key while its task is open.
#[derive(Debug, Clone)]
pub struct NewOutput {
    pub id: String,
    pub task_id: String,
    pub run: i32,
    pub node_key: String,
    pub number: i32,
    pub project: String,
    pub storage_id: String,
    /// From `Bucket::bucket_ref`.
    pub bucket_ref: String,
    /// Without the storage's prefix and without a leading slash.
    pub object_key: String,
    pub content_type: String,
    pub unit_id: String,
}

/// A row of `outputs`.
#[derive(Debug, Clone)]
pub struct OutputRow {
    pub id: String,
    pub task_id: String,
    pub run: i32,
    pub node_key: String,
    pub number: i32,
    pub project: String,
    pub storage_id: String,
    pub bucket_ref: String,
    pub object_key: String,
    pub content_type: String,
    pub state: i32,
    pub unit_id: String,
    /// Attempt that published it.
    pub attempt: i32,
    pub size_bytes: Option<i64>,
    pub sha256: Option<String>,
    pub publish_ms: Option<i64>,
}

impl OutputRow {
    fn read(row: &QueryResult) -> Result<Self, DbErr> {
        Ok(Self {
            id: row.try_get("", "id")?,
            task_id: row.try_get("", "task_id")?,
            run: row.try_get("", "run")?,
            node_key: row.try_get("", "node_key")?,
            number: row.try_get("", "number")?,
            project: row.try_get("", "project_id")?,
            storage_id: row.try_get("", "storage_id")?,
            bucket_ref: row.try_get("", "bucket_ref")?,
            object_key: row.try_get("", "object_key")?,
            content_type: row.try_get("", "content_type")?,
            state: row.try_get("", "state")?,
            unit_id: row.try_get("", "unit_id")?,
            attempt: row.try_get("", "attempt")?,
            size_bytes: row.try_get("", "size_bytes")?,
            sha256: row.try_get("", "sha256")?,
            publish_ms: row.try_get("", "publish_ms")?,
        })
    }
}

/// Why outputs could not be reserved.
#[derive(Debug)]
pub enum ReserveError {
    /// Another open task will write this key.
    Taken {
        object_key: String,
        task_id: String,
    },
    Db(DbErr),
}

impl From<DbErr> for ReserveError {
    fn from(error: DbErr) -> Self {
        Self::Db(error)
    }
}

/// Reserves keys for open tasks. The transaction must be rolled back when a key is taken.
pub async fn reserve(store: &Store, txn: &DatabaseTransaction, outputs: &[NewOutput]) -> Result<(), ReserveError> {
    // one order for all, so that two tasks that want the same keys wait for each other instead of locking up
    let mut ordered: Vec<&NewOutput> = outputs.iter().collect();
    ordered.sort_by(|a, b| (&a.bucket_ref, &a.object_key).cmp(&(&b.bucket_ref, &b.object_key)));
    let into = "INSERT INTO outputs (id, task_id, run, node_key, number, project_id, storage_id, bucket_ref, object_key, content_type, \
        unit_id, reserved, state, attempt)";
    let values = ordered.iter().map(|output| values_of(output)).collect();
    let tail = "ON CONFLICT (bucket_ref, object_key) WHERE reserved = 1 DO NOTHING";
    let written = rows::insert(store, txn, into, values, ", 1, 0, 0", tail).await?;
    if written == outputs.len() as u64 {
        return Ok(());
    }
    let own: Vec<&str> = outputs.iter().map(|output| output.id.as_str()).collect();
    match holder(store, txn, outputs)
        .await?
        .into_iter()
        .find(|(id, ..)| !own.contains(&id.as_str()))
    {
        Some((_, object_key, task_id)) => Err(ReserveError::Taken { object_key, task_id }),
        None => Err(ReserveError::Db(DbErr::Custom("outputs of one task have the same key".into()))),
    }
}

fn values_of(output: &NewOutput) -> Vec<Value> {
    vec![
        output.id.as_str().into(),
        output.task_id.as_str().into(),
        output.run.into(),
        output.node_key.as_str().into(),
        output.number.into(),
        output.project.as_str().into(),
        output.storage_id.as_str().into(),
        output.bucket_ref.as_str().into(),
        output.object_key.as_str().into(),
        output.content_type.as_str().into(),
        output.unit_id.as_str().into(),
    ]
}

/// Reservations of the keys of these outputs: id, key and task.
pub async fn holder(
    store: &Store,
    connection: &impl ConnectionTrait,
    outputs: &[NewOutput],
) -> Result<Vec<(String, String, String)>, DbErr> {
    let mut found = Vec::new();
    for chunk in outputs.chunks(KEYS_PER_STATEMENT) {
        let mut values: Vec<Value> = Vec::new();
        let keys: Vec<String> = chunk
            .iter()
            .map(|output| {
                values.push(output.bucket_ref.as_str().into());
                values.push(output.object_key.as_str().into());
                format!("(bucket_ref = ${} AND object_key = ${})", values.len() - 1, values.len())
            })
            .collect();
        let text = format!(
            "SELECT id, object_key, task_id FROM outputs WHERE reserved = 1 AND ({})",
            keys.join(" OR ")
        );
        for row in connection.query_all_raw(store.sql(&text, values)).await? {
            found.push((row.try_get("", "id")?, row.try_get("", "object_key")?, row.try_get("", "task_id")?));
        }
    }
    Ok(found)
}

/// Outputs of a unit in order of node and number.
pub async fn of_unit(store: &Store, txn: &DatabaseTransaction, unit_id: &str) -> Result<Vec<OutputRow>, DbErr> {
    let text = format!("SELECT {COLUMNS} FROM outputs WHERE unit_id = $1 ORDER BY node_key, number");
    let rows = txn.query_all_raw(store.sql(&text, [unit_id.into()])).await?;
    rows.iter().map(OutputRow::read).collect()
}

/// Outputs of a task that were published once, of all runs, newest first.
pub async fn published_of_task(store: &Store, task_id: &str) -> Result<Vec<OutputRow>, DbErr> {
    let text =
        format!("SELECT {COLUMNS} FROM outputs WHERE task_id = $1 AND publish_ms IS NOT NULL AND state IN (1, 2) ORDER BY run DESC, id");
    let rows = store.reader().query_all_raw(store.sql(&text, [task_id.into()])).await?;
    rows.iter().map(OutputRow::read).collect()
}

/// Reserved outputs of one node of a unit.
pub async fn reserved_of_node(store: &Store, on: &impl ConnectionTrait, unit_id: &str, node_key: &str) -> Result<Vec<OutputRow>, DbErr> {
    let text = format!("SELECT {COLUMNS} FROM outputs WHERE unit_id = $1 AND node_key = $2 AND state = 0 ORDER BY number, id");
    let rows = on.query_all_raw(store.sql(&text, [unit_id.into(), node_key.into()])).await?;
    rows.iter().map(OutputRow::read).collect()
}

/// Every output of one node of a run.
pub async fn of_node(store: &Store, on: &impl ConnectionTrait, task_id: &str, run: i32, node_key: &str) -> Result<Vec<OutputRow>, DbErr> {
    let text = format!("SELECT {COLUMNS} FROM outputs WHERE task_id = $1 AND run = $2 AND node_key = $3 ORDER BY number, id");
    let values = [task_id.into(), run.into(), node_key.into()];
    let rows = on.query_all_raw(store.sql(&text, values)).await?;
    rows.iter().map(OutputRow::read).collect()
}

/// Gives reserved outputs back that will not be made.
pub async fn drop_rows(store: &Store, txn: &DatabaseTransaction, ids: &[String]) -> Result<(), DbErr> {
    for chunk in ids.chunks(KEYS_PER_STATEMENT) {
        let places: Vec<String> = (1..=chunk.len()).map(|number| format!("${number}")).collect();
        let text = format!(
            "UPDATE outputs SET reserved = 0, state = 4 WHERE state = 0 AND id IN ({})",
            places.join(",")
        );
        let values = chunk.iter().map(|id| Value::from(id.as_str()));
        txn.execute_raw(store.sql(&text, values)).await?;
    }
    Ok(())
}

/// Gives reserved outputs of a split unit to the unit that replaces it.
pub async fn hand_over(store: &Store, txn: &DatabaseTransaction, from_unit: &str, node_key: &str, to_unit: &str) -> Result<(), DbErr> {
    let text = "UPDATE outputs SET unit_id = $3 WHERE unit_id = $1 AND node_key = $2 AND state = 0";
    txn.execute_raw(store.sql(text, [from_unit.into(), node_key.into(), to_unit.into()]))
        .await?;
    Ok(())
}

/// Gives back what a cancelled unit would have written.
pub async fn drop_reserved(store: &Store, txn: &DatabaseTransaction, unit_ids: &[String]) -> Result<(), DbErr> {
    let text = "UPDATE outputs SET reserved = 0, state = $2 WHERE unit_id = $1 AND state = 0";
    for unit_id in unit_ids {
        let values = [unit_id.as_str().into(), (OutputState::Dropped as i32).into()];
        txn.execute_raw(store.sql(text, values)).await?;
        super::sets::end_of_unit(store, txn, unit_id, "").await?;
    }
    Ok(())
}

/// Keeps others from writing the key of a published output while its object is looked at and deleted; `false`: an open task will
/// write it. Deleting the row, or `release_all`, ends it.
pub async fn hold(store: &Store, output_id: &str) -> Result<bool, DbErr> {
    let text = "UPDATE outputs SET reserved = 1 WHERE id = $1";
    match store.writer().execute_raw(store.sql(text, [output_id.into()])).await {
        Ok(done) => Ok(done.rows_affected() > 0),
        Err(error) if super::is_unique_violation(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Ends the hold on a key whose task is over.
pub async fn release(store: &Store, output_id: &str) -> Result<(), DbErr> {
    let text = "UPDATE outputs SET reserved = 0 WHERE id = $1 AND state <> 0";
    store.writer().execute_raw(store.sql(text, [output_id.into()])).await?;
    Ok(())
}

/// Publishes the manifest of a set that was closed before its end.
pub async fn publish_closed(store: &Store, txn: &DatabaseTransaction, id: &str, size_bytes: i64, sha256: &str) -> Result<(), DbErr> {
    let text = "UPDATE outputs SET state = 1, reserved = 0, size_bytes = $2, sha256 = $3, publish_ms = {now} WHERE id = $1";
    txn.execute_raw(store.sql(text, [id.into(), size_bytes.into(), sha256.into()]))
        .await?;
    Ok(())
}

/// Forgets rows that were never more than reservations.
pub async fn delete_rows(store: &Store, txn: &DatabaseTransaction, ids: &[&str]) -> Result<(), DbErr> {
    for id in ids {
        txn.execute_raw(store.sql("DELETE FROM outputs WHERE id = $1 AND state = 0", [(*id).into()]))
            .await?;
    }
    Ok(())
}

/// Deletes the rows of one node of a run.
pub async fn delete_of_node(store: &Store, txn: &DatabaseTransaction, task_id: &str, run: i32, node_key: &str) -> Result<(), DbErr> {
    let text = "DELETE FROM outputs WHERE task_id = $1 AND run = $2 AND node_key = $3";
    txn.execute_raw(store.sql(text, [task_id.into(), run.into(), node_key.into()]))
        .await?;
    Ok(())
}

/// Ends every reservation of a task.
pub async fn release_all(store: &Store, connection: &impl ConnectionTrait, task_id: &str) -> Result<(), DbErr> {
    let text = "UPDATE outputs SET reserved = 0 WHERE task_id = $1 AND reserved = 1";
    connection.execute_raw(store.sql(text, [task_id.into()])).await?;
    Ok(())
}

/// Deletes every row of a task, but those of sets that are still to be removed or closed.
pub async fn delete_of_task(store: &Store, txn: &DatabaseTransaction, task_id: &str) -> Result<(), DbErr> {
    let text = "DELETE FROM outputs WHERE task_id = $1 AND NOT EXISTS (SELECT 1 FROM sets s WHERE s.task_id = outputs.task_id \
        AND s.run = outputs.run AND s.node_key = outputs.node_key AND s.state IN (5, 6))";
    txn.execute_raw(store.sql(text, [task_id.into()])).await?;
    Ok(())
}
