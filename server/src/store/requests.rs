//! SQL of request ids: the first answer to each, for a day.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr};

use super::Store;

/// How long an answer is kept.
pub const REQUEST_TTL: Duration = Duration::from_secs(24 * 3600);

/// An answer that was given.
#[derive(Debug, Clone)]
pub struct Answered {
    pub payload_hash: String,
    pub response: Vec<u8>,
}

/// The first answer to a request id, while it is kept.
pub async fn find(store: &Store, project: &str, method: &str, request_id: &str) -> Result<Option<Answered>, DbErr> {
    let text =
        "SELECT payload_hash, response FROM requests WHERE project_id = $1 AND method = $2 AND request_id = $3 AND expire_ms > {now}";
    let values = [project.into(), method.into(), request_id.into()];
    let row = store.reader().query_one_raw(store.sql(text, values)).await?;
    row.map(|row| {
        Ok(Answered {
            payload_hash: row.try_get("", "payload_hash")?,
            response: row.try_get("", "response")?,
        })
    })
    .transpose()
}

/// Keeps an answer; `false`: the id has one already that is not over.
pub async fn keep(
    store: &Store,
    txn: &DatabaseTransaction,
    project: &str,
    method: &str,
    request_id: &str,
    answered: Answered,
) -> Result<bool, DbErr> {
    let text = "INSERT INTO requests (project_id, method, request_id, payload_hash, response, expire_ms) VALUES ($1, $2, $3, $4, $5, {now} + $6) \
        ON CONFLICT (project_id, method, request_id) DO UPDATE SET payload_hash = excluded.payload_hash, response = excluded.response, \
        expire_ms = excluded.expire_ms WHERE requests.expire_ms <= {now}";
    let ttl_ms = REQUEST_TTL.as_millis() as i64;
    let values = [
        project.into(),
        method.into(),
        request_id.into(),
        answered.payload_hash.into(),
        answered.response.into(),
        ttl_ms.into(),
    ];
    Ok(txn.execute_raw(store.sql(text, values)).await?.rows_affected() > 0)
}
