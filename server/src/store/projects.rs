//! SQL of projects.

use sea_orm::{ConnectionTrait, DbErr, QueryResult};

use super::Store;

/// A project.
#[derive(Debug, Clone)]
pub struct ProjectRow {
    pub id: String,
    pub display_name: String,
    pub create_ms: i64,
}

impl ProjectRow {
    fn read(row: &QueryResult) -> Result<Self, DbErr> {
        Ok(Self {
            id: row.try_get("", "id")?,
            display_name: row.try_get("", "display_name")?,
            create_ms: row.try_get("", "create_ms")?,
        })
    }
}

/// Makes a project; `None` when its id is taken.
pub async fn insert(store: &Store, id: &str, display_name: &str) -> Result<Option<ProjectRow>, DbErr> {
    let text = "INSERT INTO projects (id, display_name, create_ms) VALUES ($1, $2, {now}) ON CONFLICT (id) DO NOTHING
        RETURNING id, display_name, create_ms";
    let row = store
        .writer()
        .query_one_raw(store.sql(text, [id.into(), display_name.into()]))
        .await?;
    row.as_ref().map(ProjectRow::read).transpose()
}

/// A project by id.
pub async fn get(store: &Store, id: &str) -> Result<Option<ProjectRow>, DbErr> {
    let text = "SELECT id, display_name, create_ms FROM projects WHERE id = $1";
    let row = store.reader().query_one_raw(store.sql(text, [id.into()])).await?;
    row.as_ref().map(ProjectRow::read).transpose()
}

/// Projects after an id, in order of ids.
pub async fn list(store: &Store, after: &str, limit: i64) -> Result<Vec<ProjectRow>, DbErr> {
    let text = "SELECT id, display_name, create_ms FROM projects WHERE id > $1 ORDER BY id LIMIT $2";
    let rows = store.reader().query_all_raw(store.sql(text, [after.into(), limit.into()])).await?;
    rows.iter().map(ProjectRow::read).collect()
}
