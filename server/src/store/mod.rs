//! All SQL of the server: connections, the database's clock, and one file per table group. Nothing else talks to the database.

pub mod commits;
pub mod estimates;
pub mod keys;
pub mod leases;
pub mod members;
pub mod migration;
pub mod outbox;
pub mod outputs;
pub mod probes;
pub mod projects;
pub mod queue;
pub mod requests;
mod rows;
mod schema;
pub mod sessions;
pub mod sets;
pub mod storages;
pub mod sweep;
pub mod tasks;
pub mod templates;
#[cfg(test)]
pub mod testing;
pub mod units;
pub mod uploads;
pub mod workers;

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, IsolationLevel, Statement,
    TransactionTrait, Value,
};

/// Connections for ranks: each holds a row for one short statement.
const RANK_CONNECTIONS: u32 = 2;

/// The database: Postgres (one pool) or SQLite (one writer, readers apart; WAL, synchronous FULL).
#[derive(Clone)]
pub struct Store {
    writer: DatabaseConnection,
    reader: DatabaseConnection,
    /// On Postgres: for fair ranks alone, without waiting for the disk. A rank that is lost in a crash of the database harms nothing, and
    /// a project's row of ranks must not be locked while its tasks are committed.
    ranks: Option<DatabaseConnection>,
    backend: DbBackend,
    /// Requirement sets that are known to stand in their table: few, and never removed.
    known_requirements: Arc<Mutex<HashSet<String>>>,
}

impl Store {
    /// Opens `postgres://…` or `sqlite://path`. The file of SQLite is made when it is not there.
    pub async fn connect(url: &str, max_connections: u32) -> Result<Self, DbErr> {
        if url.starts_with("sqlite:") {
            let writer = Database::connect(sqlite_options(url, 1)).await?;
            let reader = Database::connect(sqlite_options(url, 4)).await?;
            return Ok(Self {
                writer,
                reader,
                ranks: None,
                backend: DbBackend::Sqlite,
                known_requirements: Arc::default(),
            });
        }
        let mut relaxed = postgres_options(url, RANK_CONNECTIONS);
        relaxed.map_sqlx_postgres_opts(|postgres| postgres.options([("synchronous_commit", "off")]));
        let writer = Database::connect(postgres_options(url, max_connections)).await?;
        Ok(Self {
            ranks: Some(Database::connect(relaxed).await?),
            reader: writer.clone(),
            writer,
            backend: DbBackend::Postgres,
            known_requirements: Arc::default(),
        })
    }

    /// Starts a writing transaction. On SQLite it takes the write lock at once.
    pub async fn begin(&self) -> Result<DatabaseTransaction, DbErr> {
        match self.backend {
            DbBackend::Postgres => self.writer.begin_with_config(Some(IsolationLevel::ReadCommitted), None).await,
            _ => self.writer.begin().await,
        }
    }

    /// For single writing statements.
    pub fn writer(&self) -> &DatabaseConnection {
        &self.writer
    }

    /// For fair ranks, where they do not belong to the transaction that uses them.
    pub fn ranks(&self) -> Option<&DatabaseConnection> {
        self.ranks.as_ref()
    }

    /// For reads that need not see an open transaction.
    pub fn reader(&self) -> &DatabaseConnection {
        &self.reader
    }

    pub fn is_postgres(&self) -> bool {
        self.backend == DbBackend::Postgres
    }

    /// A statement with `$1` placeholders (both databases take them) in which `{now}` stands for the database's clock in ms
    /// and `{skip_locked}` for `FOR UPDATE SKIP LOCKED`, `{share}` for `FOR SHARE` where that exists.
    pub fn sql(&self, text: &str, values: impl IntoIterator<Item = Value>) -> Statement {
        let (now, skip_locked, share) = match self.backend {
            DbBackend::Postgres => (
                "(extract(epoch from clock_timestamp()) * 1000)::bigint",
                "FOR UPDATE SKIP LOCKED",
                "FOR SHARE",
            ),
            _ => ("CAST(unixepoch('subsec') * 1000 AS INTEGER)", "", ""),
        };
        let text = text
            .replace("{now}", now)
            .replace("{skip_locked}", skip_locked)
            .replace("{share}", share);
        Statement::from_sql_and_values(self.backend, text, values)
    }

    /// The database's clock, ms since 1970.
    pub async fn now_ms(&self) -> Result<i64, DbErr> {
        let row = self.reader.query_one_raw(self.sql("SELECT {now} AS now", [])).await?;
        row.ok_or_else(|| DbErr::RecordNotFound("clock".into()))?.try_get("", "now")
    }
}

fn postgres_options(url: &str, connections: u32) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(10))
        .connect_timeout(Duration::from_secs(5))
        .sqlx_logging(false);
    options
}

fn sqlite_options(url: &str, connections: u32) -> ConnectOptions {
    let url = if url.contains('?') {
        url.to_owned()
    } else {
        format!("{url}?mode=rwc")
    };
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(connections)
        .sqlx_logging(false)
        .map_sqlx_sqlite_opts(|sqlite| {
            use sea_orm::sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
            sqlite
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full)
                .busy_timeout(Duration::from_secs(10))
        });
    options
}

/// Whether the error says that a unique index refused a row.
pub fn is_unique_violation(error: &DbErr) -> bool {
    matches!(error.sql_err(), Some(sea_orm::SqlErr::UniqueConstraintViolation(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn schema_is_made_on_sqlite_and_again_without_harm() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/mps.db", folder.path().display());
        let store = Store::connect(&url, 1).await.unwrap();
        store.migrate().await.unwrap();
        store.migrate().await.unwrap();
        assert!(store.now_ms().await.unwrap() > 1_600_000_000_000);
    }
}
