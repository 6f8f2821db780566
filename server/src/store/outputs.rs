//! SQL of outputs: reserved with the task, published by commits (`service::commit`), dropped or deleted.

use sea_orm::{DatabaseTransaction, DbErr};

use super::Store;

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

/// Reserves keys for an open task.
pub async fn reserve(_store: &Store, _txn: &DatabaseTransaction, _outputs: &[NewOutput]) -> Result<(), ReserveError> {
    Ok(())
}

/// Outputs of a unit in order of node and number.
pub async fn of_unit(_store: &Store, _txn: &DatabaseTransaction, _unit_id: &str) -> Result<Vec<OutputRow>, DbErr> {
    Ok(Vec::new())
}

/// Gives reserved outputs of a split unit to the unit that replaces it.
pub async fn hand_over(_store: &Store, _txn: &DatabaseTransaction, _from_unit: &str, _node_key: &str, _to_unit: &str) -> Result<(), DbErr> {
    Ok(())
}
