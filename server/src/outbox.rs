//! The relay: carries committed outbox rows to the watch log. Rows stay until Redis took them, so delivery is at least once; receivers
//! drop what they know.

use std::{sync::Arc, time::Duration};

use mps_queue::Event;
use tokio::time::Instant;

use crate::{app::App, store::outbox};

/// The destination whose rows this relay carries.
pub const WATCH: &str = "watch";
/// Rows carried at a time.
const BATCH: i64 = 500;
/// How long a batch is held; another relay takes it over after that.
const HOLD_MS: i64 = 5_000;
/// How often rows are looked for unasked: a server may have ended between commit and nudge.
const POLL: Duration = Duration::from_millis(500);
/// Pause after a failure.
const RETRY_AFTER: Duration = Duration::from_millis(500);
/// How often old entries are removed from the log, and rows merged while Redis is away.
const CLEAN_EVERY: Duration = Duration::from_secs(5);

/// Tells the relay that outbox rows were committed.
#[derive(Clone, Default)]
pub struct Nudge(Arc<tokio::sync::Notify>);

impl Nudge {
    pub fn committed(&self) {
        self.0.notify_one();
    }

    /// Returns when rows were committed since the last call, or the time is over.
    pub async fn wait(&self, at_most: Duration) {
        let _ = tokio::time::timeout(at_most, self.0.notified()).await;
    }
}

/// Why a batch was not carried.
#[derive(Debug, thiserror::Error)]
enum RelayError {
    #[error("database: {0}")]
    Database(#[from] sea_orm::DbErr),
    #[error(transparent)]
    Queue(#[from] mps_queue::QueueError),
}

/// Runs until the process ends.
pub async fn run(app: App) {
    let mut failing = false;
    let mut clean_at = Instant::now() + CLEAN_EVERY;
    loop {
        let carried = carry(&app).await;
        if failing != carried.is_err() {
            failing = carried.is_err();
            match &carried {
                Ok(_) => tracing::info!("changes are carried to watchers again"),
                Err(error) => tracing::warn!(%error, "changes wait in the outbox"),
            }
        }
        if Instant::now() > clean_at {
            clean(&app, failing).await;
            clean_at = Instant::now() + CLEAN_EVERY;
        }
        match carried {
            // A task with several rows has more that became the oldest.
            Ok(count) if count > 0 => {}
            Ok(_) => app.nudge.wait(POLL).await,
            Err(_) => tokio::time::sleep(RETRY_AFTER).await,
        }
    }
}

/// Carries one batch; gives its size.
async fn carry(app: &App) -> Result<usize, RelayError> {
    // Asked first, so that an outage costs no writes to the database.
    app.queue.ping().await?;
    let rows = outbox::claim(&app.store, WATCH, BATCH, HOLD_MS).await?;
    if rows.is_empty() {
        return Ok(0);
    }
    let ids: Vec<String> = rows.iter().map(|row| row.id.clone()).collect();
    let events: Vec<Event> = rows.into_iter().map(event).collect();
    if let Err(error) = app.queue.append_events(&events).await {
        outbox::release(&app.store, &ids).await?;
        return Err(error.into());
    }
    outbox::delete(&app.store, &ids).await?;
    Ok(ids.len())
}

/// An outbox row as an entry of the log.
pub(crate) fn event(row: outbox::OutboxRow) -> Event {
    Event {
        task_id: row.task_id,
        project: row.project,
        revision: row.revision,
    }
}

/// Keeps the log and, while Redis is away, the outbox bounded.
async fn clean(app: &App, failing: bool) {
    if failing {
        if let Err(error) = outbox::merge(&app.store, WATCH).await {
            tracing::debug!(%error, "outbox rows were not merged");
        }
    } else if let Err(error) = app.queue.trim_events().await {
        tracing::debug!(%error, "the watch log was not trimmed");
    }
}
