//! Rows of tasks. The public message is kept as a blob beside the columns that queries need.

use mps_proto::v1;
use prost::Message;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, QueryResult};

use super::Store;

const COLUMNS: &str = "id, project_id, state, priority, session_id, input, labels, run, revision, open_units, create_ms, start_ms, end_ms, spec, status, traceparent";

/// One task.
#[derive(Debug, Clone)]
pub struct TaskRow {
    pub id: String,
    pub project: String,
    pub state: v1::TaskState,
    /// Units of the current run that have not ended.
    pub open_units: i32,
    pub revision: i64,
    pub create_ms: i64,
    pub start_ms: Option<i64>,
    pub end_ms: Option<i64>,
    /// Input as filters see it: `storage:key` or the URL.
    pub input: String,
    /// The public message; state, revision, etag and times in it follow the fields above at each save.
    pub task: v1::Task,
    /// The request as accepted, for later runs.
    pub spec: v1::ProcessMediaRequest,
    pub traceparent: String,
}

impl TaskRow {
    /// Whether the current run has ended.
    pub fn ended(&self) -> bool {
        use v1::TaskState as S;
        matches!(self.state, S::Succeeded | S::PartiallySucceeded | S::Failed | S::Cancelled)
    }

    /// Status of a node of the current run.
    pub fn node_mut(&mut self, key: &str) -> Option<&mut v1::NodeStatus> {
        self.task.node_statuses.iter_mut().find(|status| status.key == key)
    }

    /// Brings the message in line with the columns.
    pub fn sync(&mut self) {
        self.task.state = self.state as i32;
        self.task.revision = self.revision;
        self.task.etag = format!("{}-{}", self.id, self.revision);
        self.task.create_time = Some(timestamp(self.create_ms));
        self.task.start_time = self.start_ms.map(timestamp);
        self.task.end_time = self.end_ms.map(timestamp);
    }

    fn read(row: &QueryResult) -> Result<Self, DbErr> {
        let broken = |error: prost::DecodeError| DbErr::Type(format!("task row does not decode: {error}"));
        let state: i32 = row.try_get("", "state")?;
        let mut read = Self {
            id: row.try_get("", "id")?,
            project: row.try_get("", "project_id")?,
            state: v1::TaskState::try_from(state).unwrap_or(v1::TaskState::Unspecified),
            open_units: row.try_get("", "open_units")?,
            revision: row.try_get("", "revision")?,
            create_ms: row.try_get("", "create_ms")?,
            start_ms: row.try_get("", "start_ms")?,
            end_ms: row.try_get("", "end_ms")?,
            input: row.try_get("", "input")?,
            task: v1::Task::decode(row.try_get::<Vec<u8>>("", "status")?.as_slice()).map_err(broken)?,
            spec: v1::ProcessMediaRequest::decode(row.try_get::<Vec<u8>>("", "spec")?.as_slice()).map_err(broken)?,
            traceparent: row.try_get("", "traceparent")?,
        };
        read.sync();
        Ok(read)
    }
}

/// Locks a task for the rest of the transaction and counts its revision up; first step of every transition of its units.
pub async fn lock(store: &Store, txn: &DatabaseTransaction, id: &str) -> Result<Option<TaskRow>, DbErr> {
    let text = format!("UPDATE tasks SET revision = revision + 1 WHERE id = $1 RETURNING {COLUMNS}");
    let row = txn.query_one_raw(store.sql(&text, [id.into()])).await?;
    row.as_ref().map(TaskRow::read).transpose()
}

/// Writes a locked task back, and the outbox row that tells watchers.
pub async fn save(store: &Store, txn: &DatabaseTransaction, row: &mut TaskRow) -> Result<(), DbErr> {
    row.sync();
    let text = "UPDATE tasks SET state = $2, priority = $3, run = $4, open_units = $5, start_ms = $6, end_ms = $7, spec = $8, status = $9, traceparent = $10 WHERE id = $1";
    txn.execute_raw(store.sql(
        text,
        [
            row.id.as_str().into(),
            (row.state as i32).into(),
            row.task.priority.into(),
            row.task.run.into(),
            row.open_units.into(),
            row.start_ms.into(),
            row.end_ms.into(),
            row.spec.encode_to_vec().into(),
            row.task.encode_to_vec().into(),
            row.traceparent.as_str().into(),
        ],
    ))
    .await?;
    announce(store, txn, row).await
}

/// Writes a new task, and the outbox row that tells watchers. Its revision is 1.
pub async fn insert(store: &Store, txn: &DatabaseTransaction, row: &mut TaskRow) -> Result<(), DbErr> {
    row.revision = 1;
    row.sync();
    let labels = serde_json::to_string(&row.task.labels).unwrap_or_else(|_| "{}".into());
    let text = format!("INSERT INTO tasks ({COLUMNS}) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16)");
    txn.execute_raw(store.sql(
        &text,
        [
            row.id.as_str().into(),
            row.project.as_str().into(),
            (row.state as i32).into(),
            row.task.priority.into(),
            row.task.session_id.as_str().into(),
            row.input.as_str().into(),
            labels.into(),
            row.task.run.into(),
            row.revision.into(),
            row.open_units.into(),
            row.create_ms.into(),
            row.start_ms.into(),
            row.end_ms.into(),
            row.spec.encode_to_vec().into(),
            row.task.encode_to_vec().into(),
            row.traceparent.as_str().into(),
        ],
    ))
    .await?;
    announce(store, txn, row).await
}

/// Keeps the project's own templates as a new task was accepted with them: later runs use the same settings.
pub async fn keep_templates(store: &Store, txn: &DatabaseTransaction, id: &str, templates: Vec<v1::Template>) -> Result<(), DbErr> {
    let text = "UPDATE tasks SET templates = $2 WHERE id = $1";
    // Any message that holds templates serves.
    let kept = v1::ListTemplatesResponse {
        templates,
        ..Default::default()
    };
    txn.execute_raw(store.sql(text, [id.into(), kept.encode_to_vec().into()])).await?;
    Ok(())
}

/// The templates of `keep_templates`.
pub async fn kept_templates(store: &Store, id: &str) -> Result<Vec<v1::Template>, DbErr> {
    let text = "SELECT templates FROM tasks WHERE id = $1";
    let Some(row) = store.reader().query_one_raw(store.sql(text, [id.into()])).await? else {
        return Ok(Vec::new());
    };
    let kept: Option<Vec<u8>> = row.try_get("", "templates")?;
    let kept = v1::ListTemplatesResponse::decode(kept.unwrap_or_default().as_slice());
    let kept = kept.map_err(|error| DbErr::Type(format!("a task's templates do not decode: {error}")))?;
    Ok(kept.templates)
}

/// The outbox row of a task's change: destination "watch".
pub async fn announce(store: &Store, txn: &DatabaseTransaction, row: &TaskRow) -> Result<(), DbErr> {
    let text = "INSERT INTO outbox (id, destination, task_id, project_id, revision, create_ms, claimed_until_ms) VALUES ($1, 'watch', $2, $3, $4, {now}, 0)";
    let values = [
        mps_proto::name::new_id().into(),
        row.id.as_str().into(),
        row.project.as_str().into(),
        row.revision.into(),
    ];
    txn.execute_raw(store.sql(text, values)).await?;
    Ok(())
}

/// Deletes a task's row.
pub async fn delete(store: &Store, txn: &DatabaseTransaction, id: &str) -> Result<(), DbErr> {
    txn.execute_raw(store.sql("DELETE FROM tasks WHERE id = $1", [id.into()])).await?;
    Ok(())
}

/// A task of a project.
pub async fn get(store: &Store, project: &str, id: &str) -> Result<Option<TaskRow>, DbErr> {
    let text = format!("SELECT {COLUMNS} FROM tasks WHERE id = $1 AND project_id = $2");
    let row = store.reader().query_one_raw(store.sql(&text, [id.into(), project.into()])).await?;
    row.as_ref().map(TaskRow::read).transpose()
}

/// Several tasks at once, in no order; those that are gone are left out.
pub async fn read_many(store: &Store, ids: &[String]) -> Result<Vec<TaskRow>, DbErr> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let places: Vec<String> = (1..=ids.len()).map(|number| format!("${number}")).collect();
    let text = format!("SELECT {COLUMNS} FROM tasks WHERE id IN ({})", places.join(","));
    let rows = store
        .reader()
        .query_all_raw(store.sql(&text, ids.iter().map(|id| id.as_str().into())))
        .await?;
    rows.iter().map(TaskRow::read).collect()
}

/// Tasks that a condition picks; `condition` is SQL after WHERE (with ORDER BY and LIMIT) over the columns of `tasks`.
pub async fn select(store: &Store, condition: &str, values: Vec<sea_orm::Value>) -> Result<Vec<TaskRow>, DbErr> {
    let text = format!("SELECT {COLUMNS} FROM tasks WHERE {condition}");
    let rows = store.reader().query_all_raw(store.sql(&text, values)).await?;
    rows.iter().map(TaskRow::read).collect()
}

/// Milliseconds since 1970 as a protobuf time.
pub fn timestamp(ms: i64) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: ms.div_euclid(1000),
        nanos: (ms.rem_euclid(1000) * 1_000_000) as i32,
    }
}
