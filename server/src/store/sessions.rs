//! SQL of session ids: each is used once within its time.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr};

use super::Store;

/// How long a session id stays used.
pub const SESSION_TTL: Duration = Duration::from_secs(3 * 24 * 3600);

/// Takes a session id for a task; `false`: it was used and is not over. An expired one is taken over.
pub async fn take(store: &Store, txn: &DatabaseTransaction, project: &str, session_id: &str, task_id: &str) -> Result<bool, DbErr> {
    let text = "INSERT INTO sessions (project_id, session_id, task_id, expire_ms) VALUES ($1, $2, $3, {now} + $4) \
        ON CONFLICT (project_id, session_id) DO UPDATE SET task_id = excluded.task_id, expire_ms = excluded.expire_ms \
        WHERE sessions.expire_ms <= {now}";
    let ttl_ms = SESSION_TTL.as_millis() as i64;
    let values = [project.into(), session_id.into(), task_id.into(), ttl_ms.into()];
    Ok(txn.execute_raw(store.sql(text, values)).await?.rows_affected() > 0)
}

/// The task that used a session id, while that lasts.
pub async fn user_of(store: &Store, project: &str, session_id: &str) -> Result<Option<String>, DbErr> {
    let text = "SELECT task_id FROM sessions WHERE project_id = $1 AND session_id = $2 AND expire_ms > {now}";
    let row = store
        .reader()
        .query_one_raw(store.sql(text, [project.into(), session_id.into()]))
        .await?;
    row.map(|row| row.try_get("", "task_id")).transpose()
}
