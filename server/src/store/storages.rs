//! SQL of storages. Credentials stand apart, encrypted.

use mps_proto::v1;
use prost::Message;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, QueryResult};

use super::Store;

const COLUMNS: &str = "project_id, id, spec, secret, revision, create_ms, update_ms";

/// An authorised bucket.
#[derive(Debug, Clone)]
pub struct StorageRow {
    pub project: String,
    pub id: String,
    /// Without name, times, etag and credentials.
    pub spec: v1::Storage,
    /// From `KeyRing::seal`.
    pub secret: Option<Vec<u8>>,
    /// Grows with each change.
    pub revision: i64,
    pub create_ms: i64,
    pub update_ms: i64,
}

impl StorageRow {
    fn read(row: &QueryResult) -> Result<Self, DbErr> {
        let spec: Vec<u8> = row.try_get("", "spec")?;
        Ok(Self {
            project: row.try_get("", "project_id")?,
            id: row.try_get("", "id")?,
            spec: v1::Storage::decode(spec.as_slice()).map_err(|error| DbErr::Type(format!("storage row does not decode: {error}")))?,
            secret: row.try_get("", "secret")?,
            revision: row.try_get("", "revision")?,
            create_ms: row.try_get("", "create_ms")?,
            update_ms: row.try_get("", "update_ms")?,
        })
    }
}

/// Makes a storage; `None` when its id is taken. The first revision is the time, so that a storage made again has another one.
pub async fn insert(
    store: &Store,
    txn: &DatabaseTransaction,
    project: &str,
    id: &str,
    spec: &v1::Storage,
    secret: &[u8],
) -> Result<Option<StorageRow>, DbErr> {
    let text = format!(
        "INSERT INTO storages ({COLUMNS}) VALUES ($1, $2, $3, $4, {{now}}, {{now}}, {{now}}) ON CONFLICT (project_id, id) DO NOTHING RETURNING {COLUMNS}"
    );
    let values = [project.into(), id.into(), spec.encode_to_vec().into(), secret.to_vec().into()];
    let row = txn.query_one_raw(store.sql(&text, values)).await?;
    row.as_ref().map(StorageRow::read).transpose()
}

/// A storage of a project.
pub async fn get(store: &Store, project: &str, id: &str) -> Result<Option<StorageRow>, DbErr> {
    let text = format!("SELECT {COLUMNS} FROM storages WHERE project_id = $1 AND id = $2");
    let row = store.reader().query_one_raw(store.sql(&text, [project.into(), id.into()])).await?;
    row.as_ref().map(StorageRow::read).transpose()
}

/// Storages of a project after an id, in order of ids.
pub async fn list(store: &Store, project: &str, after: &str, limit: i64) -> Result<Vec<StorageRow>, DbErr> {
    let text = format!("SELECT {COLUMNS} FROM storages WHERE project_id = $1 AND id > $2 ORDER BY id LIMIT $3");
    let rows = store
        .reader()
        .query_all_raw(store.sql(&text, [project.into(), after.into(), limit.into()]))
        .await?;
    rows.iter().map(StorageRow::read).collect()
}

/// Replaces a storage that stands at the revision of `row`; `None` when it has moved on.
pub async fn update(store: &Store, row: &StorageRow) -> Result<Option<StorageRow>, DbErr> {
    let text = format!(
        "UPDATE storages SET spec = $4, secret = $5, revision = revision + 1, update_ms = {{now}} WHERE project_id = $1 AND id = $2 AND revision = $3 RETURNING {COLUMNS}"
    );
    let values = [
        row.project.as_str().into(),
        row.id.as_str().into(),
        row.revision.into(),
        row.spec.encode_to_vec().into(),
        row.secret.clone().into(),
    ];
    let updated = store.writer().query_one_raw(store.sql(&text, values)).await?;
    updated.as_ref().map(StorageRow::read).transpose()
}

/// Forgets a storage that stands at a revision; whether it did.
pub async fn delete(store: &Store, project: &str, id: &str, revision: i64) -> Result<bool, DbErr> {
    let text = "DELETE FROM storages WHERE project_id = $1 AND id = $2 AND revision = $3";
    let values = [project.into(), id.into(), revision.into()];
    Ok(store.writer().execute_raw(store.sql(text, values)).await?.rows_affected() > 0)
}

/// An open task that reads from a storage, writes to it, or has an upload in it that has not ended.
pub async fn open_user(store: &Store, project: &str, id: &str) -> Result<Option<String>, DbErr> {
    let text = "SELECT task_id FROM outputs WHERE project_id = $1 AND storage_id = $2 AND reserved = 1
        UNION ALL SELECT id FROM tasks WHERE project_id = $1 AND input LIKE $3 AND end_ms IS NULL
        UNION ALL SELECT task_id FROM uploads WHERE project_id = $1 AND storage_id = $2 AND state NOT IN (3, 5) LIMIT 1";
    let values = [project.into(), id.into(), format!("{id}:%").into()];
    let row = store.writer().query_one_raw(store.sql(text, values)).await?;
    row.map(|row| row.try_get("", "task_id")).transpose()
}
