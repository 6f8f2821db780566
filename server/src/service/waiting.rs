//! Why a task waits.

use std::collections::HashMap;

use mps_proto::v1::{TaskState, WaitingReason};

use crate::{
    app::App,
    error::ApiError,
    store::{
        leases, queue,
        queue::QueuedUnit,
        tasks::TaskRow,
        workers::{self, WorkerRow},
    },
};

/// Shortest time after which a silent worker counts as gone.
const GONE_AFTER_MS: i64 = 15_000;

/// Fills in reason and message of the waiting tasks among these.
pub async fn explain(app: &App, rows: &mut [TaskRow]) -> Result<(), ApiError> {
    let ids: Vec<String> = rows
        .iter()
        .filter(|row| row.state == TaskState::Waiting)
        .map(|row| row.id.clone())
        .collect();
    if ids.is_empty() {
        return Ok(());
    }
    let units = queue::first_queued(&app.store, &ids).await?;
    let now_ms = app.store.now_ms().await?;
    let gone_after = GONE_AFTER_MS.max(3 * i64::try_from(app.config.lease_ttl.as_millis()).unwrap_or(i64::MAX / 4));
    let mut live = workers::list(&app.store).await?;
    live.retain(|worker| !worker.draining && now_ms - worker.seen_ms < gone_after);
    let saturated = match app.config.limits.max_running_units_per_project {
        0 => Vec::new(),
        limit => leases::saturated_projects(&app.store, limit).await?,
    };
    let mut in_front = Fronts::default();
    for row in rows.iter_mut().filter(|row| row.state == TaskState::Waiting) {
        let Some(unit) = units.get(&row.id) else { continue };
        let (reason, message) = match blocked(unit, &live, saturated.contains(&row.project), now_ms) {
            Some(found) => found,
            None => in_front.of(app, unit).await?,
        };
        row.task.set_waiting_reason(reason);
        row.task.waiting_message = message;
    }
    Ok(())
}

/// What keeps a unit from being leased now; `None`: only others before it.
fn blocked(unit: &QueuedUnit, live: &[WorkerRow], saturated: bool, now_ms: i64) -> Option<(WaitingReason, String)> {
    let in_pool: Vec<&WorkerRow> = live.iter().filter(|worker| worker.pool == unit.pool).collect();
    if in_pool.is_empty() {
        return Some((WaitingReason::NoWorker, format!("no worker is connected to pool {}", unit.pool)));
    }
    if !in_pool.iter().any(|worker| worker.can(&unit.requirements)) {
        let lacking = lacking(unit, &in_pool);
        return Some((
            WaitingReason::NoEncoder,
            format!("no connected worker of pool {} can do {lacking}", unit.pool),
        ));
    }
    if saturated {
        return Some((WaitingReason::Quota, "the project runs as many units as it may".into()));
    }
    if unit.not_before_ms > now_ms {
        let seconds = (unit.not_before_ms - now_ms + 999) / 1000;
        return Some((WaitingReason::BackingOff, format!("tried again in {seconds} s after a failure")));
    }
    None
}

/// Requirements that no worker has; all of them when each has some.
fn lacking(unit: &QueuedUnit, workers: &[&WorkerRow]) -> String {
    let all: Vec<&str> = unit.requirements.split(',').collect();
    let nobody: Vec<&str> = all
        .iter()
        .copied()
        .filter(|requirement| !workers.iter().any(|worker| worker.can(requirement)))
        .collect();
    if nobody.is_empty() {
        all.join(" and ")
    } else {
        nobody.join(" and ")
    }
}

/// How many stand in front, counted once for each place in the queue.
#[derive(Default)]
struct Fronts(HashMap<String, i64>);

impl Fronts {
    async fn of(&mut self, app: &App, unit: &QueuedUnit) -> Result<(WaitingReason, String), ApiError> {
        let count = match self.0.get(&unit.id) {
            Some(count) => *count,
            None => queue::in_front(&app.store, unit).await?,
        };
        self.0.insert(unit.id.clone(), count);
        let message = match count {
            0 => "next, as soon as a worker is free".to_owned(),
            1 => "behind 1 other".to_owned(),
            count if count >= queue::MOST_COUNTED => format!("behind more than {} others", queue::MOST_COUNTED),
            count => format!("behind {count} others"),
        };
        Ok((WaitingReason::BehindOthers, message))
    }
}
