//! SQL of clean-up: rows whose time is over, at most `limit` at once.

use sea_orm::{ConnectionTrait, DbErr};

use super::Store;

async fn delete(store: &Store, text: &str, limit: i64) -> Result<u64, DbErr> {
    let done = store.writer().execute_raw(store.sql(text, [limit.into()])).await?;
    Ok(done.rows_affected())
}

/// Session ids that may be used again.
pub async fn expired_sessions(store: &Store, limit: i64) -> Result<u64, DbErr> {
    let text = "DELETE FROM sessions WHERE (project_id, session_id) IN \
        (SELECT project_id, session_id FROM sessions WHERE expire_ms < {now} ORDER BY expire_ms LIMIT $1)";
    delete(store, text, limit).await
}

/// Answers that are not replayed any more.
pub async fn expired_requests(store: &Store, limit: i64) -> Result<u64, DbErr> {
    let text = "DELETE FROM requests WHERE (project_id, method, request_id) IN \
        (SELECT project_id, method, request_id FROM requests WHERE expire_ms < {now} ORDER BY expire_ms LIMIT $1)";
    delete(store, text, limit).await
}

/// Probes of an hour ago, and their units.
pub async fn old_probes(store: &Store, limit: i64) -> Result<u64, DbErr> {
    let text = "DELETE FROM units WHERE task_id = '' AND id IN (SELECT unit_id FROM probes WHERE create_ms < {now} - 3600000 LIMIT $1)";
    delete(store, text, limit).await?;
    let text = "DELETE FROM probes WHERE unit_id IN (SELECT p.unit_id FROM probes p WHERE p.create_ms < {now} - 3600000 \
        AND NOT EXISTS (SELECT 1 FROM units u WHERE u.id = p.unit_id) LIMIT $1)";
    delete(store, text, limit).await
}

/// Outbox rows that nothing delivered within a day: watchers have read the tasks long since.
pub async fn old_outbox(store: &Store, limit: i64) -> Result<u64, DbErr> {
    let text = "DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE create_ms < {now} - 86400000 LIMIT $1)";
    delete(store, text, limit).await
}
