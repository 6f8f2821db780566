//! SQL of commits: the point of no return, who holds it, and publishing.

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr};

use super::{
    Store,
    leases::{COLUMNS, Token, UnitRow},
    outputs::OutputRow,
    sets,
};

/// Stores the list and sets `committing`, held by this server. `false`: the attempt does not hold the unit any more.
pub async fn start(
    store: &Store,
    txn: &DatabaseTransaction,
    token: &Token,
    list: Vec<u8>,
    replica: &str,
    ttl_ms: i64,
) -> Result<bool, DbErr> {
    let text = "UPDATE units SET state = 3, commit_list = $3, commit_by = $4, commit_until_ms = {now} + $5, lease_until_ms = NULL \
        WHERE id = $1 AND attempt = $2 AND state = 2";
    let values = [
        token.unit_id.as_str().into(),
        token.attempt.into(),
        list.into(),
        replica.into(),
        ttl_ms.into(),
    ];
    Ok(txn.execute_raw(store.sql(text, values)).await?.rows_affected() > 0)
}

/// Holds a commit on. `false`: another server has it, or it is over. Within a transaction the row stays locked.
pub async fn hold(store: &Store, on: &impl ConnectionTrait, token: &Token, replica: &str, ttl_ms: i64) -> Result<bool, DbErr> {
    let text = "UPDATE units SET commit_until_ms = {now} + $4 WHERE id = $1 AND attempt = $2 AND state = 3 AND commit_by = $3";
    let values = [token.unit_id.as_str().into(), token.attempt.into(), replica.into(), ttl_ms.into()];
    Ok(on.execute_raw(store.sql(text, values)).await?.rows_affected() > 0)
}

/// Commits that nobody holds.
pub async fn stalled(store: &Store, limit: i64) -> Result<Vec<Token>, DbErr> {
    let text = "SELECT id, attempt FROM units WHERE state = 3 AND commit_until_ms < {now} LIMIT $1";
    let rows = store.reader().query_all_raw(store.sql(text, [limit.into()])).await?;
    rows.iter()
        .map(|row| {
            Ok(Token {
                unit_id: row.try_get("", "id")?,
                attempt: row.try_get("", "attempt")?,
            })
        })
        .collect()
}

/// Takes over a commit that nobody holds. `None`: somebody does, or it is over.
pub async fn take_over(store: &Store, token: &Token, replica: &str, ttl_ms: i64) -> Result<Option<UnitRow>, DbErr> {
    let text = format!(
        "UPDATE units SET commit_by = $3, commit_until_ms = {{now}} + $4 \
         WHERE id = $1 AND attempt = $2 AND state = 3 AND commit_until_ms < {{now}} RETURNING {COLUMNS}"
    );
    let values = [token.unit_id.as_str().into(), token.attempt.into(), replica.into(), ttl_ms.into()];
    let row = store.writer().query_one_raw(store.sql(&text, values)).await?;
    row.as_ref().map(UnitRow::read).transpose()
}

/// Publishes an output; what was published at its key before is replaced.
pub async fn publish(
    store: &Store,
    txn: &DatabaseTransaction,
    output: &OutputRow,
    attempt: i32,
    size_bytes: i64,
    sha256: &str,
    now_ms: i64,
) -> Result<(), DbErr> {
    replace_at(store, txn, output).await?;
    let text = "UPDATE outputs SET state = 1, reserved = 0, attempt = $2, size_bytes = $3, sha256 = $4, publish_ms = $5 WHERE id = $1";
    let values = [
        output.id.as_str().into(),
        attempt.into(),
        size_bytes.into(),
        sha256.into(),
        now_ms.into(),
    ];
    txn.execute_raw(store.sql(text, values)).await?;
    Ok(())
}

/// Marks what was published at an output's key before as replaced; a set that lost its manifest is to be removed.
pub async fn replace_at(store: &Store, txn: &DatabaseTransaction, output: &OutputRow) -> Result<(), DbErr> {
    let text = "UPDATE outputs SET state = 2 WHERE bucket_ref = $1 AND object_key = $2 AND state = 1 AND id <> $3";
    let values = [
        output.bucket_ref.as_str().into(),
        output.object_key.as_str().into(),
        output.id.as_str().into(),
    ];
    let replaced = txn.execute_raw(store.sql(text, values)).await?;
    if replaced.rows_affected() > 0 {
        sets::end_replaced(store, txn, &output.bucket_ref, &output.object_key).await?;
    }
    Ok(())
}

/// Whether an object with this metadata, `{unit}/{attempt}/{output}`, was made by a run of the task.
pub async fn is_of_task(store: &Store, task_id: &str, metadata: &str) -> Result<bool, DbErr> {
    let Some(output_id) = metadata.rsplit('/').next() else {
        return Ok(false);
    };
    let text = "SELECT 1 AS found FROM outputs WHERE id = $1 AND task_id = $2";
    let row = store
        .reader()
        .query_one_raw(store.sql(text, [output_id.into(), task_id.into()]))
        .await?;
    Ok(row.is_some())
}
