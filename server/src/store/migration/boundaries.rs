//! What a player must be told where a segment of a set begins.

use sea_orm::DbErr;
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager, async_trait::async_trait};

pub struct Boundaries;

impl MigrationName for Boundaries {
    fn name(&self) -> &str {
        "m0004_boundaries"
    }
}

#[async_trait]
impl MigrationTrait for Boundaries {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        super::run(manager, BOUNDARIES).await
    }
}

const BOUNDARIES: &str = "
ALTER TABLE set_members ADD COLUMN init INTEGER NOT NULL DEFAULT 0;
ALTER TABLE set_members ADD COLUMN marks INTEGER NOT NULL DEFAULT 0
";
