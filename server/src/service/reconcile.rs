//! What nobody asks for: expired leases, stalled commits, and counters derived again.

use std::time::{Duration, Instant};

use super::{
    commit,
    fail::{self, AttemptOver},
    fence::UnitError,
    states,
};
use crate::{
    app::App,
    store::{
        commits,
        leases::{self, keep},
        tasks,
    },
};

const TICK: Duration = Duration::from_millis(300);
const COUNT_EVERY: Duration = Duration::from_secs(60);
/// Expired leases of one round.
const LEASES_PER_ROUND: i64 = 200;
/// Commits that one round takes over.
const COMMITS_PER_ROUND: i64 = 16;
/// Tasks that one round counts.
const TASKS_PER_ROUND: i64 = 2000;

/// How long the database has answered without a gap. Leases are reaped only after one lease time of it: while it did not answer us, it
/// did not answer the workers' renewals either.
struct Contact {
    since: Instant,
    last: Instant,
    most: Duration,
}

impl Contact {
    fn new(lease_ttl: Duration) -> Self {
        let now = Instant::now();
        Self {
            since: now,
            last: now,
            most: lease_ttl / 3,
        }
    }

    fn answered(&mut self) {
        let now = Instant::now();
        if now - self.last > self.most {
            self.since = now;
        }
        self.last = now;
    }

    fn failed(&mut self) {
        self.since = Instant::now();
        self.last = self.since;
    }

    fn is_healthy(&self, lease_ttl: Duration) -> bool {
        self.since.elapsed() >= lease_ttl
    }
}

/// Runs until the process ends.
pub async fn run(app: App) {
    let lease_ttl = app.config.lease_ttl;
    let mut contact = Contact::new(lease_ttl);
    let mut counted = Instant::now();
    let mut cursor = String::new();
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut failing = false;
    loop {
        ticks.tick().await;
        let round = round(&app, &mut contact).await;
        failing = note(round, failing);
        if failing {
            contact.failed();
            continue;
        }
        if counted.elapsed() >= COUNT_EVERY {
            counted = Instant::now();
            if let Err(error) = count_again(&app, &mut cursor).await {
                tracing::warn!(%error, "open units could not be counted");
            }
        }
    }
}

/// Logs the first failure of a row, and its end.
fn note(round: Result<(), UnitError>, was_failing: bool) -> bool {
    match (&round, was_failing) {
        (Err(error), false) => tracing::warn!(%error, "leases and commits are not looked after"),
        (Ok(()), true) => tracing::info!("leases and commits are looked after again"),
        _ => {}
    }
    round.is_err()
}

async fn round(app: &App, contact: &mut Contact) -> Result<(), UnitError> {
    // a writing answer is asked for too: a database that only reads renews no lease
    app.store.now_ms().await?;
    contact.answered();
    if contact.is_healthy(app.config.lease_ttl) {
        reap(app).await?;
    }
    take_over(app).await
}

/// Ends attempts whose lease ran out. A renewal that comes in between wins: the decision is guarded.
pub async fn reap(app: &App) -> Result<(), UnitError> {
    for (token, task_id) in keep::expired(&app.store, LEASES_PER_ROUND).await? {
        if fail::end_attempt(app, &task_id, &token, AttemptOver::lost()).await? {
            tracing::warn!(unit.id = %token.unit_id, attempt = token.attempt, task.id = %task_id, "lease expired");
        }
    }
    Ok(())
}

/// Takes over commits whose server stopped holding them.
pub async fn take_over(app: &App) -> Result<(), UnitError> {
    let ttl_ms = app.config.commit_ttl.as_millis() as i64;
    for token in commits::stalled(&app.store, COMMITS_PER_ROUND).await? {
        if commits::take_over(&app.store, &token, &app.replica_id, ttl_ms).await?.is_some() {
            tracing::info!(unit.id = %token.unit_id, attempt = token.attempt, "commit is taken over");
            tokio::spawn(commit::roll_forward(app.clone(), token));
        }
    }
    Ok(())
}

/// Derives the open units of some tasks; the cursor goes round over all that are open.
pub async fn count_again(app: &App, cursor: &mut String) -> Result<(), UnitError> {
    let counts = keep::open_counts(&app.store, cursor, TASKS_PER_ROUND).await?;
    let full = counts.len() as i64 == TASKS_PER_ROUND;
    *cursor = match counts.last() {
        Some((id, ..)) if full => id.clone(),
        _ => String::new(),
    };
    for (id, stored, derived) in counts {
        if stored != derived {
            mend(app, &id).await?;
        }
    }
    Ok(())
}

/// Corrects the counter of a task, if it is wrong under its lock too.
async fn mend(app: &App, task_id: &str) -> Result<(), UnitError> {
    let txn = app.store.begin().await?;
    let Some(mut task) = tasks::lock(&app.store, &txn, task_id).await? else {
        txn.rollback().await?;
        return Ok(());
    };
    let derived = keep::derive_open_units(&app.store, &txn, task_id, task.task.run).await?;
    if task.ended() || i64::from(task.open_units) == derived {
        txn.rollback().await?;
        return Ok(());
    }
    tracing::error!(task.id = %task_id, stored = task.open_units, derived, "count of open units was wrong and is mended");
    task.open_units = derived as i32;
    let now_ms = leases::now_in(&app.store, &txn).await?;
    states::finish_if_done(&app.store, &txn, &mut task, now_ms).await?;
    tasks::save(&app.store, &txn, &mut task).await?;
    txn.commit().await?;
    app.nudge.committed();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leases_are_reaped_only_after_a_lease_time_of_answers() {
        let ttl = Duration::from_millis(60);
        let mut contact = Contact::new(ttl);
        assert!(!contact.is_healthy(ttl));
        contact.since -= ttl;
        contact.answered();
        assert!(contact.is_healthy(ttl));
        contact.last -= ttl;
        contact.answered();
        assert!(!contact.is_healthy(ttl), "a gap starts the time again");
    }
}
