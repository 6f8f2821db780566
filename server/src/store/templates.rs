//! SQL of templates: the latest revision of each, and beside it every revision that there was.

use mps_proto::v1;
use prost::Message;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, QueryResult, Value};

use super::Store;

const COLUMNS: &str = "project_id, id, revision, spec, create_ms, update_ms";

/// A template of a project.
#[derive(Debug, Clone)]
pub struct TemplateRow {
    pub project: String,
    pub id: String,
    /// From 1.
    pub revision: i32,
    /// Without name, revision, times and etag.
    pub spec: v1::Template,
    pub create_ms: i64,
    pub update_ms: i64,
}

impl TemplateRow {
    fn read(row: &QueryResult) -> Result<Self, DbErr> {
        let spec: Vec<u8> = row.try_get("", "spec")?;
        Ok(Self {
            project: row.try_get("", "project_id")?,
            id: row.try_get("", "id")?,
            revision: row.try_get("", "revision")?,
            spec: v1::Template::decode(spec.as_slice()).map_err(|error| DbErr::Type(format!("template row does not decode: {error}")))?,
            create_ms: row.try_get("", "create_ms")?,
            update_ms: row.try_get("", "update_ms")?,
        })
    }
}

/// Makes a template; `None` when its id is taken.
pub async fn insert(
    store: &Store,
    txn: &DatabaseTransaction,
    project: &str,
    id: &str,
    spec: &v1::Template,
) -> Result<Option<TemplateRow>, DbErr> {
    let text = format!(
        "INSERT INTO templates ({COLUMNS}) VALUES ($1, $2, 1, $3, {{now}}, {{now}}) ON CONFLICT (project_id, id) DO NOTHING RETURNING {COLUMNS}"
    );
    let values = [project.into(), id.into(), spec.encode_to_vec().into()];
    remember(store, txn, txn.query_one_raw(store.sql(&text, values)).await?).await
}

/// Replaces a template that stands at the revision and creation of `row`; `None` when it has moved on.
pub async fn update(store: &Store, txn: &DatabaseTransaction, row: &TemplateRow) -> Result<Option<TemplateRow>, DbErr> {
    let text = format!(
        "UPDATE templates SET spec = $5, revision = revision + 1, update_ms = {{now}} \
         WHERE project_id = $1 AND id = $2 AND revision = $3 AND create_ms = $4 RETURNING {COLUMNS}"
    );
    let values = [
        row.project.as_str().into(),
        row.id.as_str().into(),
        row.revision.into(),
        row.create_ms.into(),
        row.spec.encode_to_vec().into(),
    ];
    remember(store, txn, txn.query_one_raw(store.sql(&text, values)).await?).await
}

/// Keeps the revision that was written just now.
async fn remember(store: &Store, txn: &DatabaseTransaction, written: Option<QueryResult>) -> Result<Option<TemplateRow>, DbErr> {
    let Some(row) = written.as_ref().map(TemplateRow::read).transpose()? else {
        return Ok(None);
    };
    let text = "INSERT INTO template_revisions (project_id, id, revision, spec, create_ms) VALUES ($1, $2, $3, $4, $5)";
    let values = [
        row.project.as_str().into(),
        row.id.as_str().into(),
        row.revision.into(),
        row.spec.encode_to_vec().into(),
        row.update_ms.into(),
    ];
    txn.execute_raw(store.sql(text, values)).await?;
    Ok(Some(row))
}

/// Forgets a template that stands at the revision and creation of `row`, with all revisions; whether it did.
pub async fn delete(store: &Store, txn: &DatabaseTransaction, row: &TemplateRow) -> Result<bool, DbErr> {
    let text = "DELETE FROM templates WHERE project_id = $1 AND id = $2 AND revision = $3 AND create_ms = $4";
    let name: [Value; 2] = [row.project.as_str().into(), row.id.as_str().into()];
    let values = name.iter().cloned().chain([row.revision.into(), row.create_ms.into()]);
    if txn.execute_raw(store.sql(text, values)).await?.rows_affected() == 0 {
        return Ok(false);
    }
    let text = "DELETE FROM template_revisions WHERE project_id = $1 AND id = $2";
    txn.execute_raw(store.sql(text, name)).await?;
    Ok(true)
}

/// Templates of a project, counted in the transaction that adds one.
pub async fn count(store: &Store, txn: &DatabaseTransaction, project: &str) -> Result<i64, DbErr> {
    let text = "SELECT count(*) AS found FROM templates WHERE project_id = $1";
    let row = txn.query_one_raw(store.sql(text, [project.into()])).await?;
    row.ok_or_else(|| DbErr::RecordNotFound("count".into()))?.try_get("", "found")
}

/// A template of a project.
pub async fn get(store: &Store, project: &str, id: &str) -> Result<Option<TemplateRow>, DbErr> {
    let text = format!("SELECT {COLUMNS} FROM templates WHERE project_id = $1 AND id = $2");
    let row = store.reader().query_one_raw(store.sql(&text, [project.into(), id.into()])).await?;
    row.as_ref().map(TemplateRow::read).transpose()
}

/// A template as it was at a revision.
pub async fn at_revision(store: &Store, project: &str, id: &str, revision: i32) -> Result<Option<TemplateRow>, DbErr> {
    let text = "SELECT r.project_id, r.id, r.revision, r.spec, t.create_ms, r.create_ms AS update_ms FROM template_revisions r \
        JOIN templates t ON t.project_id = r.project_id AND t.id = r.id WHERE r.project_id = $1 AND r.id = $2 AND r.revision = $3";
    let values = [project.into(), id.into(), revision.into()];
    let row = store.reader().query_one_raw(store.sql(text, values)).await?;
    row.as_ref().map(TemplateRow::read).transpose()
}

/// Templates of a project after an id, in order of ids.
pub async fn list(store: &Store, project: &str, after: &str, limit: i64) -> Result<Vec<TemplateRow>, DbErr> {
    // Postgres orders text by the database's locale otherwise, and presets are merged in by bytes.
    let collation = if store.is_postgres() { " COLLATE \"C\"" } else { "" };
    let text = format!("SELECT {COLUMNS} FROM templates WHERE project_id = $1 AND id{collation} > $2 ORDER BY id{collation} LIMIT $3");
    let values = [project.into(), after.into(), limit.into()];
    let rows = store.reader().query_all_raw(store.sql(&text, values)).await?;
    rows.iter().map(TemplateRow::read).collect()
}

/// Those of the ids that are there, in no order.
pub async fn read_many(store: &Store, project: &str, ids: &[String]) -> Result<Vec<TemplateRow>, DbErr> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let places: Vec<String> = (2..ids.len() + 2).map(|number| format!("${number}")).collect();
    let text = format!(
        "SELECT {COLUMNS} FROM templates WHERE project_id = $1 AND id IN ({})",
        places.join(",")
    );
    let values = std::iter::once(project.into()).chain(ids.iter().map(|id| id.as_str().into()));
    let rows = store.reader().query_all_raw(store.sql(&text, values)).await?;
    rows.iter().map(TemplateRow::read).collect()
}
