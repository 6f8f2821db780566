//! Every key of Redis, what it holds and for how long. Nothing else in the code spells a key.
//!
//! | key | type | holds | kept |
//! |---|---|---|---|
//! | `mps:v1:work:{pool}` | stream, group `workers` | wake-ups `v=1`: a reason to ask for a unit, never which | the newest ≈ 1,000 |
//! | `mps:v1:probe:{pool}` | stream, group `workers` | the same for probes, which have slots of their own | the newest ≈ 1,000 |
//! | `mps:v1:events` | stream | the watch log: `t` task, `p` project, `r` revision; the first entry of an epoch is a marker with `t` empty | ≥ 1 h and ≥ 100,000 entries, at most ≈ 4,000,000 |
//! | `mps:v1:epoch` | string | random name of this life of the watch log | until Redis loses it |
//! | `mps:v1:progress:{task}` | hash | `message`: bytes of `TaskProgress` | 60 s after the last report |
//! | `mps:v1:command:{worker}` | channel | commands to a worker, bytes of `OpenChannelResponse` | not kept |
//! | `mps:v1:progress-of:{project}` | channel | bytes of `TaskProgress` | not kept |
//!
//! Losing any of it at any moment loses no task: wake-ups are replaced by workers' asking, the log by a snapshot from the database.
//! A change of meaning gets a new version in the prefix, so that two releases can share one Redis.

use std::time::Duration;

/// Consumer group of the wake-up streams.
pub(crate) const WORKERS_GROUP: &str = "workers";
/// Wake-ups kept for a pool; older ones are of no use, since one wake-up leads to asking until nothing is left.
pub(crate) const MAX_WAKE_UPS: usize = 1_000;

/// The watch log.
pub(crate) const EVENTS: &str = "mps:v1:events";
/// Name of the watch log's life.
pub(crate) const EPOCH: &str = "mps:v1:epoch";
/// Entries of the watch log that are kept whatever their age.
pub(crate) const MIN_EVENTS: usize = 100_000;
/// Age below which entries are kept.
pub(crate) const MIN_EVENT_AGE: Duration = Duration::from_secs(3600);
/// Bound of the watch log: a token older than it is answered by a new snapshot.
pub(crate) const MAX_EVENTS: usize = 4_000_000;

/// How long progress outlives its last report.
pub(crate) const PROGRESS_TTL: Duration = Duration::from_secs(60);

pub(crate) fn work(pool: &str) -> String {
    format!("mps:v1:work:{pool}")
}

pub(crate) fn probe(pool: &str) -> String {
    format!("mps:v1:probe:{pool}")
}

pub(crate) fn progress(task_id: &str) -> String {
    format!("mps:v1:progress:{task_id}")
}

pub(crate) fn command_channel(worker_id: &str) -> String {
    format!("mps:v1:command:{worker_id}")
}

pub(crate) fn progress_channel(project: &str) -> String {
    format!("mps:v1:progress-of:{project}")
}
