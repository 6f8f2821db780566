//! The schema, as migrations that run alike on Postgres and SQLite. Times are milliseconds since 1970 by the database's clock.

use sea_orm::{ConnectionTrait, DbBackend, DbErr};
use sea_orm_migration::{MigrationName, MigrationTrait, MigratorTrait, SchemaManager, async_trait::async_trait};

mod boundaries;
mod sets;
mod stalls;

pub struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(Initial),
            Box::new(Templates),
            Box::new(sets::Sets),
            Box::new(boundaries::Boundaries),
            Box::new(stalls::Stalls),
        ]
    }
}

struct Initial;

impl MigrationName for Initial {
    fn name(&self) -> &str {
        "m0001_initial"
    }
}

#[async_trait]
impl MigrationTrait for Initial {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, INITIAL).await
    }
}

/// Templates with every revision, the templates that a task was accepted with, and what estimates need.
struct Templates;

impl MigrationName for Templates {
    fn name(&self) -> &str {
        "m0002_templates"
    }
}

#[async_trait]
impl MigrationTrait for Templates {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, TEMPLATES).await
    }
}

/// Runs statements, with the database's names of types filled in.
async fn run(manager: &SchemaManager<'_>, statements: &str) -> Result<(), DbErr> {
    let (blob, float) = match manager.get_database_backend() {
        DbBackend::Postgres => ("BYTEA", "DOUBLE PRECISION"),
        _ => ("BLOB", "REAL"),
    };
    for statement in statements.split(";\n").map(str::trim).filter(|s| !s.is_empty()) {
        let statement = statement.replace("{blob}", blob).replace("{float}", float);
        manager.get_connection().execute_unprepared(&statement).await?;
    }
    Ok(())
}

const INITIAL: &str = "
CREATE TABLE projects (
    id TEXT PRIMARY KEY, display_name TEXT NOT NULL, create_ms BIGINT NOT NULL);
CREATE TABLE api_keys (
    id TEXT PRIMARY KEY, project_id TEXT NOT NULL, display_name TEXT NOT NULL, role INTEGER NOT NULL,
    installation INTEGER NOT NULL, secret_hash TEXT NOT NULL UNIQUE,
    create_ms BIGINT NOT NULL, expire_ms BIGINT, revoke_ms BIGINT);
CREATE INDEX api_keys_project ON api_keys (project_id, id);
CREATE TABLE storages (
    project_id TEXT NOT NULL, id TEXT NOT NULL, spec {blob} NOT NULL, secret {blob}, revision BIGINT NOT NULL,
    create_ms BIGINT NOT NULL, update_ms BIGINT NOT NULL, PRIMARY KEY (project_id, id));
CREATE TABLE tasks (
    id TEXT PRIMARY KEY, project_id TEXT NOT NULL, state INTEGER NOT NULL, priority INTEGER NOT NULL,
    session_id TEXT NOT NULL, input TEXT NOT NULL, labels TEXT NOT NULL, run INTEGER NOT NULL, revision BIGINT NOT NULL,
    open_units INTEGER NOT NULL, create_ms BIGINT NOT NULL, start_ms BIGINT, end_ms BIGINT,
    spec {blob} NOT NULL, status {blob} NOT NULL, traceparent TEXT NOT NULL);
CREATE INDEX tasks_project ON tasks (project_id, create_ms, id);
CREATE INDEX tasks_state ON tasks (project_id, state, create_ms, id);
CREATE INDEX tasks_session ON tasks (project_id, session_id);
CREATE INDEX tasks_open ON tasks (id) WHERE state IN (1, 2, 3);
CREATE TABLE sessions (
    project_id TEXT NOT NULL, session_id TEXT NOT NULL, task_id TEXT NOT NULL, expire_ms BIGINT NOT NULL,
    PRIMARY KEY (project_id, session_id));
CREATE INDEX sessions_expire ON sessions (expire_ms);
CREATE TABLE units (
    id TEXT PRIMARY KEY, task_id TEXT NOT NULL, project_id TEXT NOT NULL, run INTEGER NOT NULL, pool TEXT NOT NULL,
    requirements TEXT NOT NULL, priority INTEGER NOT NULL, rank {float} NOT NULL, front BIGINT NOT NULL, cost {float} NOT NULL,
    state INTEGER NOT NULL, attempt INTEGER NOT NULL, charged INTEGER NOT NULL, worker_id TEXT, avoid_worker TEXT,
    not_before_ms BIGINT NOT NULL, lease_until_ms BIGINT, commit_until_ms BIGINT, commit_by TEXT,
    plan {blob} NOT NULL, commit_list {blob}, create_ms BIGINT NOT NULL, start_ms BIGINT);
CREATE INDEX units_task ON units (task_id, run);
CREATE INDEX units_queue ON units (pool, requirements, state, priority DESC, rank, front, id);
CREATE INDEX units_project_queue ON units (project_id, state, priority);
CREATE INDEX units_lease ON units (state, lease_until_ms);
CREATE TABLE requirement_sets (pool TEXT NOT NULL, requirements TEXT NOT NULL, PRIMARY KEY (pool, requirements));
CREATE TABLE project_ranks (project_id TEXT NOT NULL, pool TEXT NOT NULL, last_rank {float} NOT NULL, PRIMARY KEY (project_id, pool));
CREATE TABLE pool_ranks (pool TEXT PRIMARY KEY, highest_rank {float} NOT NULL);
CREATE TABLE outputs (
    id TEXT PRIMARY KEY, task_id TEXT NOT NULL, run INTEGER NOT NULL, node_key TEXT NOT NULL, number INTEGER NOT NULL,
    project_id TEXT NOT NULL, storage_id TEXT NOT NULL, bucket_ref TEXT NOT NULL, object_key TEXT NOT NULL,
    content_type TEXT NOT NULL, reserved INTEGER NOT NULL, state INTEGER NOT NULL, unit_id TEXT NOT NULL,
    attempt INTEGER NOT NULL, size_bytes BIGINT, sha256 TEXT, publish_ms BIGINT);
CREATE INDEX outputs_task ON outputs (task_id, run);
CREATE INDEX outputs_unit ON outputs (unit_id);
CREATE INDEX outputs_key ON outputs (bucket_ref, object_key);
CREATE UNIQUE INDEX outputs_reserved ON outputs (bucket_ref, object_key) WHERE reserved = 1;
CREATE TABLE uploads (
    id TEXT PRIMARY KEY, output_id TEXT NOT NULL, unit_id TEXT NOT NULL, attempt INTEGER NOT NULL, task_id TEXT NOT NULL,
    project_id TEXT NOT NULL, storage_id TEXT NOT NULL, object_key TEXT NOT NULL, provider_id TEXT, state INTEGER NOT NULL,
    size_bytes BIGINT NOT NULL, sha256 TEXT NOT NULL, part_size BIGINT NOT NULL, part_count INTEGER NOT NULL, create_ms BIGINT NOT NULL);
CREATE INDEX uploads_state ON uploads (state, create_ms);
CREATE INDEX uploads_unit ON uploads (unit_id, attempt);
CREATE TABLE outbox (
    id TEXT PRIMARY KEY, destination TEXT NOT NULL, task_id TEXT NOT NULL, project_id TEXT NOT NULL, revision BIGINT NOT NULL,
    create_ms BIGINT NOT NULL, claimed_until_ms BIGINT NOT NULL);
CREATE INDEX outbox_claim ON outbox (destination, task_id, id);
CREATE TABLE workers (
    id TEXT PRIMARY KEY, display_name TEXT NOT NULL, pool TEXT NOT NULL, slots INTEGER NOT NULL, capabilities TEXT NOT NULL,
    plan_versions TEXT NOT NULL, version TEXT NOT NULL, draining INTEGER NOT NULL, drain_reason TEXT NOT NULL,
    join_ms BIGINT NOT NULL, seen_ms BIGINT NOT NULL);
CREATE TABLE worker_failures (
    worker_id TEXT NOT NULL, task_id TEXT NOT NULL, run INTEGER NOT NULL, node_key TEXT NOT NULL, unit_id TEXT NOT NULL,
    reason TEXT NOT NULL, charged INTEGER NOT NULL, fail_ms BIGINT NOT NULL, PRIMARY KEY (worker_id, task_id, run, node_key));
CREATE INDEX worker_failures_node ON worker_failures (task_id, run, node_key);
CREATE TABLE requests (
    project_id TEXT NOT NULL, method TEXT NOT NULL, request_id TEXT NOT NULL, payload_hash TEXT NOT NULL, response {blob} NOT NULL,
    expire_ms BIGINT NOT NULL, PRIMARY KEY (project_id, method, request_id));
CREATE INDEX requests_expire ON requests (expire_ms);
CREATE TABLE probes (
    unit_id TEXT PRIMARY KEY, project_id TEXT NOT NULL, input {blob} NOT NULL, result {blob}, create_ms BIGINT NOT NULL)
";

const TEMPLATES: &str = "
CREATE TABLE templates (
    project_id TEXT NOT NULL, id TEXT NOT NULL, revision INTEGER NOT NULL, spec {blob} NOT NULL,
    create_ms BIGINT NOT NULL, update_ms BIGINT NOT NULL, PRIMARY KEY (project_id, id));
CREATE TABLE template_revisions (
    project_id TEXT NOT NULL, id TEXT NOT NULL, revision INTEGER NOT NULL, spec {blob} NOT NULL, create_ms BIGINT NOT NULL,
    PRIMARY KEY (project_id, id, revision));
ALTER TABLE tasks ADD COLUMN templates {blob};
CREATE TABLE unit_speeds (
    work TEXT PRIMARY KEY, spent {float} NOT NULL, done {float} NOT NULL, update_ms BIGINT NOT NULL);
CREATE TABLE input_lengths (
    project_id TEXT NOT NULL, input TEXT NOT NULL, size_bytes BIGINT NOT NULL, length_ms BIGINT NOT NULL, seen_ms BIGINT NOT NULL,
    PRIMARY KEY (project_id, input));
CREATE INDEX input_lengths_seen ON input_lengths (seen_ms)
";
