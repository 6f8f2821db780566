//! SQL of multipart uploads. A row stands before the provider is asked, and its end is decided here before the call.

use sea_orm::{ConnectionTrait, DbErr, QueryResult, Value};

use super::{Store, leases::Token};
use crate::service::states::UploadState;

const COLUMNS: &str = "id, output_id, unit_id, attempt, task_id, project_id, storage_id, object_key, provider_id, state, size_bytes, \
    sha256, part_size, part_count";

/// One upload.
#[derive(Debug, Clone)]
pub struct UploadRow {
    pub id: String,
    pub output_id: String,
    pub unit_id: String,
    pub attempt: i32,
    pub task_id: String,
    pub project: String,
    pub storage_id: String,
    pub object_key: String,
    /// The provider's upload id; `None` until it answered.
    pub provider_id: Option<String>,
    /// `UploadState`.
    pub state: i32,
    pub size_bytes: i64,
    pub sha256: String,
    pub part_size: i64,
    pub part_count: i32,
}

impl UploadRow {
    fn read(row: &QueryResult) -> Result<Self, DbErr> {
        Ok(Self {
            id: row.try_get("", "id")?,
            output_id: row.try_get("", "output_id")?,
            unit_id: row.try_get("", "unit_id")?,
            attempt: row.try_get("", "attempt")?,
            task_id: row.try_get("", "task_id")?,
            project: row.try_get("", "project_id")?,
            storage_id: row.try_get("", "storage_id")?,
            object_key: row.try_get("", "object_key")?,
            provider_id: row.try_get("", "provider_id")?,
            state: row.try_get("", "state")?,
            size_bytes: row.try_get("", "size_bytes")?,
            sha256: row.try_get("", "sha256")?,
            part_size: row.try_get("", "part_size")?,
            part_count: row.try_get("", "part_count")?,
        })
    }

    /// What the object's metadata `mps-upload` says.
    pub fn mark(&self) -> String {
        format!("{}/{}/{}", self.unit_id, self.attempt, self.output_id)
    }

    pub fn is(&self, state: UploadState) -> bool {
        self.state == state as i32
    }
}

/// Where an output goes.
pub struct Target {
    pub storage_id: String,
    pub object_key: String,
    pub content_type: String,
}

/// The place of a reserved output of a unit.
pub async fn target(store: &Store, unit_id: &str, output_id: &str) -> Result<Option<Target>, DbErr> {
    let text = "SELECT storage_id, object_key, content_type FROM outputs WHERE id = $1 AND unit_id = $2 AND state = 0";
    let row = store
        .reader()
        .query_one_raw(store.sql(text, [output_id.into(), unit_id.into()]))
        .await?;
    row.map(|row| {
        Ok(Target {
            storage_id: row.try_get("", "storage_id")?,
            object_key: row.try_get("", "object_key")?,
            content_type: row.try_get("", "content_type")?,
        })
    })
    .transpose()
}

/// Writes the row of an upload that is about to be created. `false`: the attempt does not hold the unit any more.
pub async fn insert_fenced(store: &Store, upload: &UploadRow) -> Result<bool, DbErr> {
    let text = "INSERT INTO uploads (id, output_id, unit_id, attempt, task_id, project_id, storage_id, object_key, state, size_bytes, sha256, \
        part_size, part_count, create_ms) SELECT $1, $2, id, attempt, task_id, project_id, $5, $6, 0, $7, $8, $9, $10, {now} \
        FROM units WHERE id = $3 AND attempt = $4 AND state = 2";
    let values = [
        upload.id.as_str().into(),
        upload.output_id.as_str().into(),
        upload.unit_id.as_str().into(),
        upload.attempt.into(),
        upload.storage_id.as_str().into(),
        upload.object_key.as_str().into(),
        upload.size_bytes.into(),
        upload.sha256.as_str().into(),
        upload.part_size.into(),
        upload.part_count.into(),
    ];
    Ok(store.writer().execute_raw(store.sql(text, values)).await?.rows_affected() > 0)
}

/// Notes the provider's id. `false`: the upload was given up meanwhile.
pub async fn set_open(store: &Store, id: &str, provider_id: &str) -> Result<bool, DbErr> {
    let text = "UPDATE uploads SET state = 1, provider_id = $2 WHERE id = $1 AND state = 0";
    let done = store.writer().execute_raw(store.sql(text, [id.into(), provider_id.into()])).await?;
    Ok(done.rows_affected() > 0)
}

/// Moves an upload on. `false`: it is in none of the states.
pub async fn advance(store: &Store, id: &str, from: &[UploadState], to: UploadState) -> Result<bool, DbErr> {
    let from: Vec<String> = from.iter().map(|state| (*state as i32).to_string()).collect();
    let text = format!("UPDATE uploads SET state = $2 WHERE id = $1 AND state IN ({})", from.join(","));
    let done = store
        .writer()
        .execute_raw(store.sql(&text, [id.into(), (to as i32).into()]))
        .await?;
    Ok(done.rows_affected() > 0)
}

pub async fn get(store: &Store, id: &str) -> Result<Option<UploadRow>, DbErr> {
    let mut rows = select(store, "id = $1", vec![id.into()]).await?;
    Ok(rows.pop())
}

/// Uploads that an attempt began for an output.
pub async fn of_output(store: &Store, token: &Token, output_id: &str) -> Result<Vec<UploadRow>, DbErr> {
    let values = vec![output_id.into(), token.unit_id.as_str().into(), token.attempt.into()];
    select(store, "output_id = $1 AND unit_id = $2 AND attempt = $3", values).await
}

/// Every upload of an attempt.
pub async fn of_attempt(store: &Store, token: &Token) -> Result<Vec<UploadRow>, DbErr> {
    let values = vec![token.unit_id.as_str().into(), token.attempt.into()];
    select(store, "unit_id = $1 AND attempt = $2 ORDER BY id", values).await
}

/// Uploads that are not ended, and whose attempt is over.
pub async fn abandoned(store: &Store, limit: i64) -> Result<Vec<UploadRow>, DbErr> {
    let condition = "state IN (0, 1, 2, 4) AND NOT EXISTS (SELECT 1 FROM units u WHERE u.id = uploads.unit_id \
        AND u.attempt = uploads.attempt AND u.state IN (2, 3)) ORDER BY state, create_ms LIMIT $1";
    select(store, condition, vec![limit.into()]).await
}

async fn select(store: &Store, condition: &str, values: Vec<Value>) -> Result<Vec<UploadRow>, DbErr> {
    let text = format!("SELECT {COLUMNS} FROM uploads WHERE {condition}");
    let rows = store.reader().query_all_raw(store.sql(&text, values)).await?;
    rows.iter().map(UploadRow::read).collect()
}

/// Removes rows of uploads that ended a day ago; at most `limit`.
pub async fn forget_ended(store: &Store, limit: i64) -> Result<u64, DbErr> {
    let text = "DELETE FROM uploads WHERE id IN (SELECT id FROM uploads WHERE state IN (3, 5) AND create_ms < {now} - 86400000 LIMIT $1)";
    Ok(store.writer().execute_raw(store.sql(text, [limit.into()])).await?.rows_affected())
}
