//! Where an attempt stood still, kept with its unit.

use sea_orm::DbErr;
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager, async_trait::async_trait};

pub struct Stalls;

impl MigrationName for Stalls {
    fn name(&self) -> &str {
        "m0005_stalls"
    }
}

#[async_trait]
impl MigrationTrait for Stalls {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        super::run(manager, "ALTER TABLE units ADD COLUMN last_stall TEXT").await
    }
}
