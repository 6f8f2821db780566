//! Reads of the queue that explain why tasks wait.

use std::collections::HashMap;

use sea_orm::{ConnectionTrait, DbErr};

use super::Store;

/// Others in front are counted up to this.
pub const MOST_COUNTED: i64 = 1000;

/// A unit that is queued.
#[derive(Debug, Clone)]
pub struct QueuedUnit {
    pub id: String,
    pub pool: String,
    pub requirements: String,
    pub priority: i32,
    pub rank: f64,
    pub not_before_ms: i64,
}

/// One queued unit of each of these tasks, by task.
pub async fn first_queued(store: &Store, task_ids: &[String]) -> Result<HashMap<String, QueuedUnit>, DbErr> {
    let places: Vec<String> = (1..=task_ids.len()).map(|number| format!("${number}")).collect();
    let text = format!(
        "SELECT id, task_id, pool, requirements, priority, rank, not_before_ms FROM units WHERE state = 1 AND task_id IN ({})",
        places.join(",")
    );
    let values = task_ids.iter().map(|id| id.as_str().into());
    let mut found = HashMap::new();
    for row in store.reader().query_all_raw(store.sql(&text, values)).await? {
        let unit = QueuedUnit {
            id: row.try_get("", "id")?,
            pool: row.try_get("", "pool")?,
            requirements: row.try_get("", "requirements")?,
            priority: row.try_get("", "priority")?,
            rank: row.try_get("", "rank")?,
            not_before_ms: row.try_get("", "not_before_ms")?,
        };
        found.insert(row.try_get("", "task_id")?, unit);
    }
    Ok(found)
}

/// Units of the same pool and requirements that are leased before this one, up to `MOST_COUNTED`.
pub async fn in_front(store: &Store, unit: &QueuedUnit) -> Result<i64, DbErr> {
    let text = "SELECT COUNT(*) AS count FROM (SELECT 1 FROM units WHERE pool = $1 AND requirements = $2 AND state = 1 \
        AND (priority > $3 OR (priority = $3 AND rank < $4)) LIMIT $5) AS front";
    let values = [
        unit.pool.as_str().into(),
        unit.requirements.as_str().into(),
        unit.priority.into(),
        unit.rank.into(),
        MOST_COUNTED.into(),
    ];
    let row = store.reader().query_one_raw(store.sql(text, values)).await?;
    row.ok_or_else(|| DbErr::RecordNotFound("count".into()))?.try_get("", "count")
}
