//! SQL of workers.

use sea_orm::DbErr;

use super::Store;

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

/// Every worker that was seen within the last day, by id.
pub async fn list(_store: &Store) -> Result<Vec<WorkerRow>, DbErr> {
    Ok(Vec::new())
}

/// Leased and committing units by worker id.
pub async fn busy_slots(_store: &Store) -> Result<std::collections::HashMap<String, i32>, DbErr> {
    Ok(Default::default())
}
