//! Removes what is over: orphaned uploads, old sessions, requests, probes and workers. Every job is bounded per round.

use std::time::Duration;

use super::{fence::UnitError, sets, uploads::abort};
use crate::{
    app::App,
    store::{estimates, sweep, uploads, workers},
};

const EVERY: Duration = Duration::from_secs(20);
/// Uploads that one round aborts.
const UPLOADS_PER_ROUND: i64 = 50;
/// Rows that one round removes of each table.
const ROWS_PER_ROUND: i64 = 5000;

/// Runs until the process ends.
pub async fn run(app: App) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = round(&app).await {
            tracing::warn!(%error, "clean-up is left to the next round");
        }
    }
}

/// One round of everything.
pub async fn round(app: &App) -> Result<(), UnitError> {
    for upload in uploads::abandoned(&app.store, UPLOADS_PER_ROUND).await? {
        if let Err(error) = abort(app, &upload).await {
            tracing::debug!(%error, upload.id = %upload.id, "upload could not be aborted yet");
        }
    }
    uploads::forget_ended(&app.store, ROWS_PER_ROUND).await?;
    sweep::expired_sessions(&app.store, ROWS_PER_ROUND).await?;
    sweep::expired_requests(&app.store, ROWS_PER_ROUND).await?;
    sweep::old_probes(&app.store, ROWS_PER_ROUND).await?;
    sweep::old_outbox(&app.store, ROWS_PER_ROUND).await?;
    sets::sweep(app).await?;
    estimates::forget_inputs(&app.store, ROWS_PER_ROUND).await?;
    workers::forget(&app.store).await?;
    workers::forget_failures(&app.store).await?;
    Ok(())
}
