//! SQL of probes: units without a task. `leases` reads the input and writes the result.

use mps_proto::{v1, worker::v1::ChildResult};
use prost::Message;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr};

use super::Store;

/// Writes what is to be probed.
pub async fn insert(store: &Store, txn: &DatabaseTransaction, unit_id: &str, project: &str, input: &v1::TaskInput) -> Result<(), DbErr> {
    let text = "INSERT INTO probes (unit_id, project_id, input, create_ms) VALUES ($1, $2, $3, {now})";
    let values = [unit_id.into(), project.into(), input.encode_to_vec().into()];
    txn.execute_raw(store.sql(text, values)).await?;
    Ok(())
}

/// What a probe found; `None`: nothing yet.
pub async fn result(store: &Store, unit_id: &str) -> Result<Option<ChildResult>, DbErr> {
    let text = "SELECT result FROM probes WHERE unit_id = $1";
    let row = store.reader().query_one_raw(store.sql(text, [unit_id.into()])).await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let result: Option<Vec<u8>> = row.try_get("", "result")?;
    result
        .map(|bytes| ChildResult::decode(bytes.as_slice()).map_err(|error| DbErr::Type(format!("probe result does not decode: {error}"))))
        .transpose()
}

/// Forgets a probe that nobody waits for any more. Gives worker and attempt where it is leased; its unit goes when the worker is done.
pub async fn abandon(store: &Store, unit_id: &str) -> Result<Option<(String, i32)>, DbErr> {
    let txn = store.begin().await?;
    let text = "DELETE FROM units WHERE id = $1 AND state <> 2 AND task_id = ''";
    if txn.execute_raw(store.sql(text, [unit_id.into()])).await?.rows_affected() > 0 {
        txn.execute_raw(store.sql("DELETE FROM probes WHERE unit_id = $1", [unit_id.into()]))
            .await?;
        txn.commit().await?;
        return Ok(None);
    }
    let text = "SELECT worker_id, attempt FROM units WHERE id = $1";
    let row = txn.query_one_raw(store.sql(text, [unit_id.into()])).await?;
    txn.commit().await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let worker: Option<String> = row.try_get("", "worker_id")?;
    Ok(worker.zip(Some(row.try_get("", "attempt")?)))
}
