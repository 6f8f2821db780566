//! Tables of sets: the set, its tracks, and every member that a URL was ever given for. Series ask for one output's upload among thousands.

use sea_orm::DbErr;
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager, async_trait::async_trait};

pub struct Sets;

impl MigrationName for Sets {
    fn name(&self) -> &str {
        "m0003_sets"
    }
}

#[async_trait]
impl MigrationTrait for Sets {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        super::run(manager, SETS).await
    }
}

const SETS: &str = "
CREATE TABLE sets (
    id TEXT PRIMARY KEY, task_id TEXT NOT NULL, run INTEGER NOT NULL, node_key TEXT NOT NULL, project_id TEXT NOT NULL,
    storage_id TEXT NOT NULL, plan {blob} NOT NULL, target_ms BIGINT NOT NULL, state INTEGER NOT NULL, keep_partial INTEGER NOT NULL, whole INTEGER NOT NULL,
    version BIGINT NOT NULL, written_version BIGINT NOT NULL, written_ms BIGINT NOT NULL, start_ms BIGINT, playable_ms BIGINT,
    due_ms BIGINT NOT NULL, tries INTEGER NOT NULL, create_ms BIGINT NOT NULL);
CREATE INDEX sets_task ON sets (task_id, run, node_key);
CREATE INDEX sets_due ON sets (due_ms) WHERE state IN (5, 6);
CREATE TABLE set_tracks (
    set_id TEXT NOT NULL, track INTEGER NOT NULL, info {blob} NOT NULL, written INTEGER NOT NULL, PRIMARY KEY (set_id, track));
CREATE TABLE set_members (
    set_id TEXT NOT NULL, track INTEGER NOT NULL, number INTEGER NOT NULL, attempt INTEGER NOT NULL, unit_id TEXT NOT NULL,
    object_key TEXT NOT NULL, size_bytes BIGINT NOT NULL, sha256 TEXT NOT NULL, start_ns BIGINT NOT NULL, duration_ns BIGINT NOT NULL,
    i_frame_offset BIGINT NOT NULL, i_frame_bytes BIGINT NOT NULL, state INTEGER NOT NULL, create_ms BIGINT NOT NULL,
    PRIMARY KEY (set_id, track, number, attempt));
CREATE UNIQUE INDEX set_members_committed ON set_members (set_id, track, number) WHERE state = 1;
CREATE INDEX uploads_output ON uploads (output_id);
CREATE INDEX set_members_pending ON set_members (create_ms) WHERE state IN (0, 2)
";
