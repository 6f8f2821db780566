//! SQL of what estimates need: how long inputs are, and how fast workers were at each kind of work.

use sea_orm::{ConnectionTrait, DbErr};

use super::Store;

/// How much of what was measured before counts beside one more unit: the last ten or so matter.
const KEPT: f64 = 0.9;
const LENGTHS_TTL_MS: i64 = 90 * 24 * 3600 * 1000;

/// An input that a worker has read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownInput {
    pub size_bytes: i64,
    pub length_ms: i64,
}

impl KnownInput {
    /// How long it is.
    pub fn seconds(&self) -> f64 {
        self.length_ms as f64 / 1000.0
    }
}

/// Notes what a worker found in an input, `input` being as filters see it.
pub async fn note_input(store: &Store, on: &impl ConnectionTrait, project: &str, input: &str, known: KnownInput) -> Result<(), DbErr> {
    let text = "INSERT INTO input_lengths (project_id, input, size_bytes, length_ms, seen_ms) VALUES ($1, $2, $3, $4, {now}) \
        ON CONFLICT (project_id, input) DO UPDATE SET size_bytes = excluded.size_bytes, length_ms = excluded.length_ms, seen_ms = excluded.seen_ms";
    let values = [project.into(), input.into(), known.size_bytes.into(), known.length_ms.into()];
    on.execute_raw(store.sql(text, values)).await?;
    Ok(())
}

/// What is known of an input.
pub async fn known_input(store: &Store, project: &str, input: &str) -> Result<Option<KnownInput>, DbErr> {
    let text = "SELECT size_bytes, length_ms FROM input_lengths WHERE project_id = $1 AND input = $2";
    let row = store
        .reader()
        .query_one_raw(store.sql(text, [project.into(), input.into()]))
        .await?;
    row.map(|row| {
        Ok(KnownInput {
            size_bytes: row.try_get("", "size_bytes")?,
            length_ms: row.try_get("", "length_ms")?,
        })
    })
    .transpose()
}

/// Adds a finished unit to the speed of its kind of work: `done` is its cost times the seconds of media. The time spent counts from its lease.
pub async fn note_speed(store: &Store, on: &impl ConnectionTrait, work: &str, unit_id: &str, done: f64) -> Result<(), DbErr> {
    let text = "INSERT INTO unit_speeds (work, spent, done, update_ms) \
        SELECT $1, ({now} - start_ms) / 1000.0, $2, {now} FROM units WHERE id = $3 AND start_ms IS NOT NULL \
        ON CONFLICT (work) DO UPDATE SET spent = unit_speeds.spent * $4 + excluded.spent, done = unit_speeds.done * $4 + excluded.done, \
        update_ms = excluded.update_ms";
    let values = [work.into(), done.into(), unit_id.into(), KEPT.into()];
    on.execute_raw(store.sql(text, values)).await?;
    Ok(())
}

/// Seconds that one unit of `done` took; `None`: nothing of the kind was done.
pub async fn speed(store: &Store, work: &str) -> Result<Option<f64>, DbErr> {
    let text = "SELECT spent / done AS speed FROM unit_speeds WHERE work = $1 AND done > 0";
    let row = store.reader().query_one_raw(store.sql(text, [work.into()])).await?;
    row.map(|row| row.try_get("", "speed")).transpose()
}

/// Forgets inputs that nothing has read for long.
pub async fn forget_inputs(store: &Store, limit: i64) -> Result<(), DbErr> {
    let text = "DELETE FROM input_lengths WHERE (project_id, input) IN \
        (SELECT project_id, input FROM input_lengths WHERE seen_ms < {now} - $2 ORDER BY seen_ms LIMIT $1)";
    store
        .writer()
        .execute_raw(store.sql(text, [limit.into(), LENGTHS_TTL_MS.into()]))
        .await?;
    Ok(())
}
