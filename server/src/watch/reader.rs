//! The one reader of the watch log. While Redis is away it looks into the outbox instead, where every change waits until Redis takes
//! it: watchers still learn of changes within a second. An outage of Redis costs a new snapshot when it starts (entries may have been
//! lost with Redis that nobody read yet), and one when it ends with another log.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use mps_queue::{Event, EventReader, Position, QueueError, Read};
use tokio::time::Instant;

use crate::{
    app::App,
    outbox::{WATCH, event},
    store::{outbox, tasks},
};

/// How long one read of the log waits.
const BLOCK: Duration = Duration::from_secs(1);
/// How long Redis may be away before the outbox is looked into.
const PATIENCE: Duration = Duration::from_secs(2);
const RETRY_EVERY: Duration = Duration::from_millis(100);
/// How often the outbox is looked into, and how many of its newest rows.
const LOOK_EVERY: Duration = Duration::from_millis(500);
const LOOK_AT: i64 = 10_000;
/// Rows read in one query.
const ROWS: usize = 200;

const LOG_LOST: &str = "the watch log was lost";
const LOG_AWAY: &str = "the watch log cannot be read";

/// Runs until the process ends.
pub async fn run(app: App) {
    let mut reader = app.queue.event_reader();
    let mut position = start(&app).await;
    loop {
        match follow(&app, &mut reader, &mut position).await {
            Interruption::LogLost => {
                tracing::info!("the watch log was lost: watchers take new snapshots");
                position = tail_or_outbox(&app).await;
                app.hub.reset_all(LOG_LOST, Some(position.clone()));
            }
            Interruption::RedisAway(error) => {
                tracing::warn!(%error, "the watch log cannot be read: changes are taken from the outbox");
                app.hub.reset_all(LOG_AWAY, None);
                live_from_outbox(&app).await;
                tracing::info!("the watch log can be read again");
            }
        }
    }
}

/// Why the log is not followed any more.
enum Interruption {
    LogLost,
    RedisAway(QueueError),
}

/// The first position. Watchers that are there before it take a snapshot of their own, so there is nothing to reset.
async fn start(app: &App) -> Position {
    match first_tail(app).await {
        Ok(position) => {
            app.hub.start_at(position.clone());
            position
        }
        Err(error) => {
            tracing::warn!(%error, "the watch log cannot be read: changes are taken from the outbox");
            let position = tail_or_outbox(app).await;
            app.hub.reset_all(LOG_AWAY, Some(position.clone()));
            position
        }
    }
}

async fn first_tail(app: &App) -> Result<Position, QueueError> {
    let start = Instant::now();
    loop {
        match app.queue.tail().await {
            Err(error) if start.elapsed() > PATIENCE => return Err(error),
            Err(_) => tokio::time::sleep(RETRY_EVERY).await,
            Ok(position) => return Ok(position),
        }
    }
}

/// The end of the log; looks into the outbox until there is one.
async fn tail_or_outbox(app: &App) -> Position {
    loop {
        if let Ok(position) = app.queue.tail().await {
            return position;
        }
        live_from_outbox(app).await;
    }
}

/// Dispatches entries until the log is lost or Redis is away.
async fn follow(app: &App, reader: &mut EventReader, position: &mut Position) -> Interruption {
    let mut last_answer = Instant::now();
    loop {
        match reader.read_after(position, BLOCK).await {
            Ok(Read::Entries { events, position: after }) => {
                last_answer = Instant::now();
                *position = after;
                publish(app, &events, Some(position.clone())).await;
            }
            Ok(Read::EpochChanged) => return Interruption::LogLost,
            Err(error) if last_answer.elapsed() > PATIENCE => return Interruption::RedisAway(error),
            Err(_) => tokio::time::sleep(RETRY_EVERY).await,
        }
    }
}

/// Dispatches what is new in the outbox until Redis answers again.
async fn live_from_outbox(app: &App) {
    let mut seen: HashMap<String, i64> = HashMap::new();
    while app.queue.ping().await.is_err() {
        match outbox::newest(&app.store, WATCH, LOOK_AT).await {
            Ok(rows) => {
                let events: Vec<Event> = rows.into_iter().map(event).collect();
                let is_new = |event: &&Event| seen.get(&event.task_id).is_none_or(|known| *known < event.revision);
                let new: Vec<Event> = events.iter().filter(is_new).cloned().collect();
                seen = newest_revisions(&events);
                publish(app, &new, None).await;
            }
            Err(error) => tracing::debug!(%error, "the outbox cannot be read either"),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn newest_revisions(events: &[Event]) -> HashMap<String, i64> {
    let mut newest = HashMap::new();
    for event in events {
        let revision = newest.entry(event.task_id.clone()).or_insert(event.revision);
        *revision = event.revision.max(*revision);
    }
    newest
}

/// Reads the changed rows once and puts them into every mailbox. Goes on only when all were read: nothing is skipped.
async fn publish(app: &App, events: &[Event], position: Option<Position>) {
    let ids = app.hub.pick(events);
    let mut rows = Vec::with_capacity(ids.len());
    for chunk in ids.chunks(ROWS) {
        rows.extend(read(app, chunk).await.into_iter().map(Arc::new));
    }
    let found: HashSet<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    let gone: HashSet<String> = ids.iter().filter(|id| !found.contains(id.as_str())).cloned().collect();
    app.hub.dispatch(events, &rows, &gone, position);
}

/// Rows by id, however long the database takes to answer.
async fn read(app: &App, ids: &[String]) -> Vec<tasks::TaskRow> {
    let mut failures = 0u32;
    loop {
        match tasks::read_many(&app.store, ids).await {
            Ok(rows) => return rows,
            Err(error) => {
                if failures == 0 {
                    tracing::warn!(%error, "changed tasks cannot be read; watchers wait");
                }
                failures += 1;
                tokio::time::sleep(RETRY_EVERY * failures.min(10)).await;
            }
        }
    }
}
