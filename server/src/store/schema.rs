//! The schema's life: brought up to date under a lock, and checked by servers that don't do that themselves.

use sea_orm::{ConnectionTrait, DbErr};
use sea_orm_migration::MigratorTrait;

use super::{Store, migration::Migrator};

/// Any number that nothing else locks; held in Postgres while migrations run, so that servers starting together take turns.
const MIGRATION_LOCK: i64 = 0x6d70_735f_6d69_6772;

impl Store {
    /// Brings the schema up to date. Fails on a schema that is newer than this build.
    pub async fn migrate(&self) -> Result<(), DbErr> {
        self.refuse_newer().await?;
        if !self.is_postgres() {
            return Migrator::up(self.writer(), None).await;
        }
        let lock = self.begin().await?;
        lock.execute_raw(self.sql("SELECT pg_advisory_xact_lock($1)", [MIGRATION_LOCK.into()]))
            .await?;
        Migrator::up(self.writer(), None).await?;
        lock.commit().await
    }

    /// Fails unless the schema is the one that this build knows.
    pub async fn check_schema(&self) -> Result<(), DbErr> {
        self.refuse_newer().await?;
        let pending = Migrator::get_pending_migrations(self.writer()).await?;
        if pending.is_empty() {
            return Ok(());
        }
        Err(DbErr::Custom(format!(
            "{} migrations are missing; run \"mps-server migrate\"",
            pending.len()
        )))
    }

    async fn refuse_newer(&self) -> Result<(), DbErr> {
        let known: Vec<String> = Migrator::migrations().iter().map(|migration| migration.name().to_owned()).collect();
        let applied = Migrator::get_migration_models(self.writer()).await?;
        match applied.into_iter().find(|model| !known.contains(&model.version)) {
            None => Ok(()),
            Some(newer) => Err(DbErr::Custom(format!(
                "the schema has \"{}\", which this release does not know: run a newer release, or restore a backup of the database",
                newer.version
            ))),
        }
    }

    /// Whether the database answers and has this build's schema. A newer one, made by the next release, is fine while this one runs.
    pub async fn is_ready(&self) -> Result<bool, DbErr> {
        let Some(newest) = Migrator::migrations().last().map(|migration| migration.name().to_owned()) else {
            return Ok(true);
        };
        let text = "SELECT version FROM seaql_migrations WHERE version = $1";
        Ok(self.reader().query_one_raw(self.sql(text, [newest.into()])).await?.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn schema_of_a_newer_release_is_refused_and_a_missing_one_named() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/mps.db", folder.path().display());
        let store = Store::connect(&url, 1).await.unwrap();
        assert!(store.check_schema().await.unwrap_err().to_string().contains("mps-server migrate"));
        store.migrate().await.unwrap();
        store.check_schema().await.unwrap();
        assert!(store.is_ready().await.unwrap());
        let newer = "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m9999_newer', 1)";
        store.writer().execute_unprepared(newer).await.unwrap();
        assert!(store.migrate().await.unwrap_err().to_string().contains("m9999_newer"));
        assert!(store.check_schema().await.is_err());
        assert!(store.is_ready().await.unwrap(), "a running server goes on");
    }
}
