//! The stream of one watcher, as a state machine: resume or snapshot, then follow. It is advanced only when the client takes messages.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    hash::{BuildHasher, RandomState},
};

use mps_proto::{
    name,
    v1::{self, ErrorReason, TaskProgress, WatchTasksResponse, watch_tasks_response::Event},
};
use mps_queue::{Position, Read};
use tokio::time::{Duration, Instant};
use tonic::{Code, Status};

use super::{
    WatchSpec,
    hub::{Registration, Taken},
    mailbox::Change,
    token::Tokens,
};
use crate::{
    app::App,
    error::ApiError,
    grpc::caller::Caller,
    store::{
        keys,
        tasks::{self, TaskRow},
    },
};

/// Tasks in one read of the snapshot.
const PAGE: usize = 100;
/// Changes taken at a time.
const BATCH: usize = 100;
/// Sent revisions that are remembered, to drop repeats.
const REMEMBERED: usize = 512;
/// Tasks that a filtered watch remembers to be known to the client; beyond it all are taken for known.
const MOST_KNOWN: usize = 100_000;
/// How long a resuming watcher waits for the hub's first position.
const HUB_START: Duration = Duration::from_secs(1);

/// One watcher's stream.
pub(super) struct Session {
    app: App,
    caller: Caller,
    spec: WatchSpec,
    tokens: Tokens,
    registration: Registration,
    phase: Phase,
    ready: VecDeque<WatchTasksResponse>,
    client: ClientView,
    heartbeat_at: Instant,
    ended: bool,
}

enum Phase {
    /// Reads what the log has after the client's token.
    Resume(Position),
    /// Sends the tasks that changed since the token.
    Replay {
        ids: VecDeque<String>,
        end: Position,
    },
    /// Takes a snapshot that starts where the log stands now.
    StartSnapshot,
    /// Sends the snapshot after the cursor (creation time and id).
    Snapshot {
        start: Option<Position>,
        cursor: (i64, String),
    },
    Follow,
}

impl Session {
    pub(super) fn open(app: App, caller: Caller, spec: WatchSpec) -> Result<Self, ApiError> {
        let tokens = Tokens::new(&spec.project, &spec.filter_text);
        let resume = match spec.resume_token.as_str() {
            "" => None,
            token => Some(tokens.read(token)?),
        };
        let registration = app.hub.register(&spec.project, &app.queue)?;
        let is_filtered = !spec.filter_text.trim().is_empty();
        // What a resuming client knows is not known here.
        let client = ClientView::new(is_filtered && resume.is_none());
        Ok(Self {
            heartbeat_at: Instant::now() + spec.heartbeat,
            app,
            caller,
            tokens,
            registration,
            phase: resume.map_or(Phase::StartSnapshot, Phase::Resume),
            ready: VecDeque::new(),
            client,
            ended: false,
            spec,
        })
    }

    /// The next message; `None` after an error.
    pub(super) async fn next(&mut self) -> Option<Result<WatchTasksResponse, Status>> {
        while !self.ended {
            if let Some(message) = self.ready.pop_front() {
                return Some(Ok(message));
            }
            if let Err(error) = self.advance().await {
                self.ended = true;
                return Some(Err(error.into()));
            }
        }
        None
    }

    async fn advance(&mut self) -> Result<(), ApiError> {
        if self.app.shutdown.is_cancelled() {
            return Err(shutting_down());
        }
        match std::mem::replace(&mut self.phase, Phase::Follow) {
            Phase::Resume(from) => self.resume(from).await,
            Phase::Replay { ids, end } => self.replay(ids, end).await?,
            Phase::StartSnapshot => self.start_snapshot().await,
            Phase::Snapshot { start, cursor } => self.snapshot(start, cursor).await?,
            Phase::Follow => self.follow().await?,
        }
        Ok(())
    }

    async fn resume(&mut self, from: Position) {
        match self.changed_since(from).await {
            Ok((ids, end)) => self.phase = Phase::Replay { ids: ids.into(), end },
            Err(reason) => self.reset(reason),
        }
    }

    /// Tasks of the project that changed after a position, up to the end of the log; or why that cannot be said. The mailbox is open
    /// already, and what the hub had begun to dispatch before that is in the log.
    async fn changed_since(&self, mut position: Position) -> Result<(Vec<String>, Position), &'static str> {
        let mut ids = HashSet::new();
        loop {
            let read = self.app.queue.read_after(&position).await;
            let (events, after) = match read {
                Ok(Read::Entries { events, position }) => (events, position),
                Ok(Read::EpochChanged) => return Err("the watch log does not reach back to the token"),
                Err(_) => return Err("the watch log cannot be read"),
            };
            ids.extend(
                events
                    .into_iter()
                    .filter(|event| event.project == self.spec.project)
                    .map(|event| event.task_id),
            );
            if ids.len() > self.app.config.limits.max_watch_backlog {
                return Err("more changed since the token than is replayed");
            }
            // Markers have no event; only a position that stays says that the end is reached.
            if after == position {
                return Ok((ids.into_iter().collect(), after));
            }
            position = after;
        }
    }

    async fn replay(&mut self, mut ids: VecDeque<String>, end: Position) -> Result<(), ApiError> {
        let batch: Vec<String> = ids.drain(..BATCH.min(ids.len())).collect();
        self.send(batch.into_iter().map(|id| (id, Change::Unread)).collect()).await?;
        if ids.is_empty() {
            self.push(Some(Event::Heartbeat(v1::WatchHeartbeat {})));
            self.mark_safe(Some(&end));
        } else {
            self.phase = Phase::Replay { ids, end };
        }
        Ok(())
    }

    /// Tells the client to forget everything; a snapshot follows.
    fn reset(&mut self, reason: &str) {
        self.push(Some(Event::Reset(v1::WatchReset { reason: reason.into() })));
        self.client = ClientView::new(!self.spec.filter_text.trim().is_empty());
        self.phase = Phase::StartSnapshot;
    }

    async fn start_snapshot(&mut self) {
        self.registration.clear();
        let start = self.hub_position().await;
        if self.spec.skip_initial_state && self.spec.resume_token.is_empty() && !self.client.had_snapshot {
            self.client.had_snapshot = true;
            self.complete(start.as_ref());
            return;
        }
        self.phase = Phase::Snapshot {
            start,
            cursor: (i64::MIN, String::new()),
        };
    }

    /// Where the hub is; waits a moment for one that has just started.
    async fn hub_position(&self) -> Option<Position> {
        let deadline = Instant::now() + HUB_START;
        loop {
            let position = self.app.hub.position();
            if position.is_some() || self.app.hub.is_without_log() || Instant::now() > deadline {
                return position;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn snapshot(&mut self, start: Option<Position>, (create_ms, id): (i64, String)) -> Result<(), ApiError> {
        let mut values: Vec<sea_orm::Value> = vec![self.spec.project.as_str().into(), create_ms.into(), id.into()];
        let filter = self.spec.filter.sql(self.app.store.is_postgres(), &mut values);
        let condition = format!("project_id = $1 AND (create_ms, id) > ($2, $3) AND ({filter}) ORDER BY create_ms, id LIMIT {PAGE}");
        let rows = tasks::select(&self.app.store, &condition, values).await?;
        let is_last = rows.len() < PAGE;
        let cursor = rows.last().map(|row| (row.create_ms, row.id.clone()));
        for row in &rows {
            self.push_task(row);
        }
        match cursor {
            Some(cursor) if !is_last => self.phase = Phase::Snapshot { start, cursor },
            _ => self.complete(start.as_ref()),
        }
        Ok(())
    }

    fn complete(&mut self, start: Option<&Position>) {
        self.client.had_snapshot = true;
        self.push(Some(Event::InitialStateComplete(v1::InitialStateComplete {})));
        self.mark_safe(start);
    }

    async fn follow(&mut self) -> Result<(), ApiError> {
        let shutdown = self.app.shutdown.clone();
        tokio::select! {
            biased;
            () = shutdown.cancelled() => Err(shutting_down()),
            () = tokio::time::sleep_until(self.heartbeat_at) => self.heartbeat().await,
            () = self.registration.news() => {
                let taken = self.registration.take(BATCH);
                self.forward(taken).await
            }
        }
    }

    async fn forward(&mut self, taken: Taken) -> Result<(), ApiError> {
        if let Some(reason) = taken.reset {
            self.reset(reason);
            return Ok(());
        }
        let before = self.ready.len();
        self.send(taken.changes).await?;
        if self.ready.len() > before
            && let Some(position) = taken.safe_point
        {
            self.mark_safe(position.as_ref());
        }
        for (id, progress) in taken.progress {
            self.push_progress(&id, progress);
        }
        Ok(())
    }

    /// Sends changes; rows that are not at hand are read.
    async fn send(&mut self, changes: Vec<(String, Change)>) -> Result<(), ApiError> {
        let is_unread = |(id, change): &(String, Change)| matches!(change, Change::Unread).then(|| id.clone());
        let unread: Vec<String> = changes.iter().filter_map(is_unread).collect();
        let rows = tasks::read_many(&self.app.store, &unread).await?;
        let rows: HashMap<String, TaskRow> = rows.into_iter().map(|row| (row.id.clone(), row)).collect();
        for (id, change) in changes {
            match &change {
                Change::Row(row) => self.push_change(row),
                Change::Unread => match rows.get(&id) {
                    Some(row) => self.push_change(row),
                    None => self.push_removed(&id),
                },
                Change::Gone => self.push_removed(&id),
            }
        }
        Ok(())
    }

    async fn heartbeat(&mut self) -> Result<(), ApiError> {
        self.heartbeat_at = Instant::now() + self.spec.heartbeat;
        self.check_key().await?;
        self.push(Some(Event::Heartbeat(v1::WatchHeartbeat {})));
        if let Some(position) = self.registration.safe_point() {
            self.mark_safe(position.as_ref());
        }
        Ok(())
    }

    /// Fails when the key was revoked or is over. A database that does not answer ends no watch.
    async fn check_key(&self) -> Result<(), ApiError> {
        let Ok(found) = keys::get_for_authentication(&self.app.store, &self.caller.key_id).await else {
            return Ok(());
        };
        let is_valid =
            |(key, now_ms): (keys::KeyRow, i64)| key.revoke_ms.is_none() && key.expire_ms.is_none_or(|expire_ms| expire_ms > now_ms);
        if found.is_some_and(is_valid) {
            return Ok(());
        }
        let message = "the API key of this watch was revoked or is over";
        Err(ApiError::new(Code::Unauthenticated, ErrorReason::Unauthenticated, message).hint("watch again with a valid key"))
    }

    fn push(&mut self, event: Option<Event>) {
        self.ready.push_back(WatchTasksResponse {
            resume_token: String::new(),
            event,
        });
    }

    /// Puts a token on the last message: everything up to `position` was sent with it.
    fn mark_safe(&mut self, position: Option<&Position>) {
        if let Some(last) = self.ready.back_mut() {
            last.resume_token = self.tokens.write(position);
        }
    }

    fn push_change(&mut self, row: &TaskRow) {
        if self.spec.filter.matches(row) {
            self.push_task(row);
        } else {
            self.push_removed(&row.id);
        }
    }

    fn push_task(&mut self, row: &TaskRow) {
        if self.client.learn(&row.id, row.revision) {
            self.push(Some(Event::Task(row.task.clone())));
        }
    }

    fn push_removed(&mut self, id: &str) {
        if self.client.forget(id) {
            let name = name::full(&self.spec.project, "tasks", id);
            self.push(Some(Event::Removed(v1::TaskRemoved { name })));
        }
    }

    fn push_progress(&mut self, id: &str, progress: TaskProgress) {
        if self.client.may_know(id) {
            self.push(Some(Event::Progress(progress)));
        }
    }
}

fn shutting_down() -> ApiError {
    ApiError::new(Code::Unavailable, ErrorReason::Overloaded, "the server is shutting down").hint("watch again with the last resume token")
}

/// What the client was told, as far as it matters for what it is told next. Ids are kept as hashes.
struct ClientView {
    hasher: RandomState,
    /// Tasks that the client has; `None`: it may have any.
    known: Option<HashSet<u64>>,
    /// Revisions sent lately, and their order.
    sent: HashMap<u64, i64>,
    order: VecDeque<u64>,
    had_snapshot: bool,
}

impl ClientView {
    fn new(tracks_known: bool) -> Self {
        Self {
            hasher: RandomState::new(),
            known: tracks_known.then(HashSet::new),
            sent: HashMap::new(),
            order: VecDeque::new(),
            had_snapshot: false,
        }
    }

    /// Whether this revision is news.
    fn learn(&mut self, id: &str, revision: i64) -> bool {
        let id = self.hasher.hash_one(id);
        if self.sent.get(&id).is_some_and(|sent| *sent >= revision) {
            return false;
        }
        if self.sent.insert(id, revision).is_none() {
            self.order.push_back(id);
        }
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.sent.remove(&oldest);
        }
        if let Some(known) = &mut self.known {
            known.insert(id);
            if known.len() > MOST_KNOWN {
                self.known = None;
            }
        }
        true
    }

    /// Whether the client may have the task.
    fn forget(&mut self, id: &str) -> bool {
        let id = self.hasher.hash_one(id);
        // A task that comes back has a higher revision, so what was sent may be forgotten without a repeat.
        if self.sent.remove(&id).is_some() {
            self.order.retain(|other| *other != id);
        }
        self.known.as_mut().is_none_or(|known| known.remove(&id))
    }

    fn may_know(&self, id: &str) -> bool {
        self.known.as_ref().is_none_or(|known| known.contains(&self.hasher.hash_one(id)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_and_removals_of_unknown_tasks_are_dropped() {
        let mut client = ClientView::new(true);
        assert!(client.learn("a", 3));
        assert!(!client.learn("a", 2) && !client.learn("a", 3));
        assert!(client.may_know("a") && !client.may_know("b"));
        assert!(client.forget("a") && !client.forget("a") && !client.forget("b"));
        assert!(client.learn("a", 4));
        assert!(ClientView::new(false).forget("anything"));
    }
}
