//! SQL of API keys. Only a hash of each secret is stored.

use sea_orm::{ConnectionTrait, DbErr, QueryResult};

use super::Store;

const COLUMNS: &str = "id, project_id, display_name, role, installation, secret_hash, create_ms, expire_ms, revoke_ms";

/// An API key.
#[derive(Debug, Clone)]
pub struct KeyRow {
    pub id: String,
    pub project: String,
    pub display_name: String,
    pub role: i32,
    /// Whether it may act in every project.
    pub installation: bool,
    /// SHA-256 of the secret in hex.
    pub secret_hash: String,
    pub create_ms: i64,
    pub expire_ms: Option<i64>,
    pub revoke_ms: Option<i64>,
}

/// A key to be made.
#[derive(Debug, Clone)]
pub struct NewKey<'a> {
    pub id: &'a str,
    pub project: &'a str,
    pub display_name: &'a str,
    pub role: i32,
    pub secret_hash: &'a str,
    pub ttl_ms: Option<i64>,
}

impl KeyRow {
    fn read(row: &QueryResult) -> Result<Self, DbErr> {
        Ok(Self {
            id: row.try_get("", "id")?,
            project: row.try_get("", "project_id")?,
            display_name: row.try_get("", "display_name")?,
            role: row.try_get("", "role")?,
            installation: row.try_get::<i32>("", "installation")? != 0,
            secret_hash: row.try_get("", "secret_hash")?,
            create_ms: row.try_get("", "create_ms")?,
            expire_ms: row.try_get("", "expire_ms")?,
            revoke_ms: row.try_get("", "revoke_ms")?,
        })
    }
}

/// Makes a key of a project.
pub async fn insert(store: &Store, key: &NewKey<'_>) -> Result<KeyRow, DbErr> {
    let text = format!(
        "INSERT INTO api_keys ({COLUMNS}) VALUES ($1, $2, $3, $4, 0, $5, {{now}}, {{now}} + CAST($6 AS BIGINT), NULL) RETURNING {COLUMNS}"
    );
    let values = [
        key.id.into(),
        key.project.into(),
        key.display_name.into(),
        key.role.into(),
        key.secret_hash.into(),
        key.ttl_ms.into(),
    ];
    let row = store.writer().query_one_raw(store.sql(&text, values)).await?;
    KeyRow::read(&row.ok_or_else(|| DbErr::RecordNotInserted)?)
}

/// Makes a key of the installation unless a valid one stands already; whether it was made.
pub async fn insert_first_installation_key(store: &Store, key: &NewKey<'_>) -> Result<bool, DbErr> {
    let text = format!(
        "INSERT INTO api_keys ({COLUMNS}) SELECT $1, $2, $3, CAST($4 AS INTEGER), 1, $5, {{now}}, NULL, NULL
         WHERE NOT EXISTS (SELECT 1 FROM api_keys WHERE installation = 1 AND revoke_ms IS NULL)"
    );
    let values = [
        key.id.into(),
        key.project.into(),
        key.display_name.into(),
        key.role.into(),
        key.secret_hash.into(),
    ];
    Ok(store.writer().execute_raw(store.sql(&text, values)).await?.rows_affected() > 0)
}

/// Whether a valid key of the installation stands.
pub async fn has_installation_key(store: &Store) -> Result<bool, DbErr> {
    let text = "SELECT 1 AS one FROM api_keys WHERE installation = 1 AND revoke_ms IS NULL LIMIT 1";
    Ok(store.writer().query_one_raw(store.sql(text, [])).await?.is_some())
}

/// A key by id, and the database's clock: for authentication, hence over all projects.
pub async fn get_for_authentication(store: &Store, id: &str) -> Result<Option<(KeyRow, i64)>, DbErr> {
    let text = format!("SELECT {COLUMNS}, {{now}} AS now_ms FROM api_keys WHERE id = $1");
    let row = store.reader().query_one_raw(store.sql(&text, [id.into()])).await?;
    row.as_ref()
        .map(|row| Ok((KeyRow::read(row)?, row.try_get("", "now_ms")?)))
        .transpose()
}

/// Keys of a project after an id; keys of the installation only for callers who hold one.
pub async fn list(store: &Store, project: &str, with_installation: bool, after: &str, limit: i64) -> Result<Vec<KeyRow>, DbErr> {
    let text = format!("SELECT {COLUMNS} FROM api_keys WHERE project_id = $1 AND installation <= $2 AND id > $3 ORDER BY id LIMIT $4");
    let values = [project.into(), i32::from(with_installation).into(), after.into(), limit.into()];
    let rows = store.reader().query_all_raw(store.sql(&text, values)).await?;
    rows.iter().map(KeyRow::read).collect()
}

/// Ends a key; the time of the first revocation stays.
pub async fn revoke(store: &Store, project: &str, id: &str, with_installation: bool) -> Result<Option<KeyRow>, DbErr> {
    let text = format!(
        "UPDATE api_keys SET revoke_ms = COALESCE(revoke_ms, {{now}}) WHERE project_id = $1 AND id = $2 AND installation <= $3 RETURNING {COLUMNS}"
    );
    let values = [project.into(), id.into(), i32::from(with_installation).into()];
    let row = store.writer().query_one_raw(store.sql(&text, values)).await?;
    row.as_ref().map(KeyRow::read).transpose()
}
