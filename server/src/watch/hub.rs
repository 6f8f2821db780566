//! The watchers of this replica and what their reader last dispatched. One lock covers both, so that a watcher that drained its
//! mailbox knows exactly up to where in the log it is.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use mps_proto::v1::{ErrorReason, TaskProgress};
use mps_queue::{Event, Position};
use tokio::sync::Notify;
use tonic::Code;

use super::{
    mailbox::{Change, Mailbox},
    progress::ProgressReader,
};
use crate::{config::LimitsConfig, error::ApiError, store::tasks::TaskRow};

/// Tasks whose last dispatched revision is remembered.
const RECENT: usize = 10_000;
/// Longest single wait of [`Hub::wait_change`]; the caller reads the row between two.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// Watchers of this replica.
#[derive(Clone)]
pub struct Hub {
    state: Arc<Mutex<State>>,
    limit: usize,
    backlog: usize,
}

#[derive(Default)]
struct State {
    watchers: HashMap<u64, Watcher>,
    last_watcher: u64,
    /// Everything up to here was dispatched; `None` while the log cannot be read.
    position: Option<Position>,
    /// Whether the reader has looked for the log.
    has_started: bool,
    recent: Recent,
    waiters: HashMap<String, Arc<Notify>>,
    progress: HashMap<String, ProgressReader>,
}

struct Watcher {
    project: String,
    mailbox: Mailbox,
    news: Arc<Notify>,
}

/// The last dispatched revision of tasks that changed lately.
#[derive(Default)]
struct Recent {
    revisions: HashMap<String, i64>,
    order: VecDeque<String>,
}

impl Recent {
    fn knows(&self, id: &str, revision: i64) -> bool {
        self.revisions.get(id).is_some_and(|known| *known >= revision)
    }

    fn remember(&mut self, id: &str, revision: i64) {
        if self.revisions.insert(id.to_owned(), revision).is_some() {
            return;
        }
        self.order.push_back(id.to_owned());
        if self.order.len() > RECENT
            && let Some(oldest) = self.order.pop_front()
        {
            self.revisions.remove(&oldest);
        }
    }
}

/// A watcher's place in the hub; leaves when it drops.
pub(super) struct Registration {
    hub: Hub,
    number: u64,
    project: String,
    news: Arc<Notify>,
}

/// What a watcher takes at once.
pub(super) struct Taken {
    pub(super) reset: Option<&'static str>,
    pub(super) changes: Vec<(String, Change)>,
    pub(super) progress: Vec<(String, TaskProgress)>,
    /// Where in the log the changes lead to; `None` when more changes wait.
    pub(super) safe_point: Option<Option<Position>>,
}

impl Hub {
    pub fn new(limits: &LimitsConfig) -> Self {
        Self {
            state: Arc::default(),
            limit: limits.max_watches,
            backlog: limits.max_watch_backlog,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Watches that are open now.
    pub fn open_watches(&self) -> usize {
        self.lock().watchers.len()
    }

    /// Waits until a task changes (any revision after `revision`) or a time of at most `at_most` is over. A hint: the caller reads the
    /// row again.
    pub async fn wait_change(&self, task_id: &str, revision: i64, at_most: Duration) {
        let notify = {
            let mut state = self.lock();
            if state.recent.knows(task_id, revision + 1) {
                return;
            }
            state.waiters.entry(task_id.to_owned()).or_default().clone()
        };
        let _either_way = tokio::time::timeout(at_most.min(LONGEST_WAIT), notify.notified()).await;
        let mut state = self.lock();
        // One is in the map, one here: nobody else waits.
        if Arc::strong_count(&notify) <= 2 {
            state.waiters.remove(task_id);
        }
    }

    /// Opens a mailbox; from now on every dispatched change of the project is in it.
    pub(super) fn register(&self, project: &str, queue: &mps_queue::Queue) -> Result<Registration, ApiError> {
        let mut state = self.lock();
        if state.watchers.len() >= self.limit {
            return Err(too_many(self.limit));
        }
        state.last_watcher += 1;
        let number = state.last_watcher;
        let news = Arc::new(Notify::new());
        let watcher = Watcher {
            project: project.to_owned(),
            mailbox: Mailbox::new(self.backlog),
            news: news.clone(),
        };
        state.watchers.insert(number, watcher);
        let hub = self.clone();
        let reader = state.progress.entry(project.to_owned());
        reader.or_insert_with(|| ProgressReader::start(hub, project.to_owned(), queue.progress(project)));
        Ok(Registration {
            hub: self.clone(),
            number,
            project: project.to_owned(),
            news,
        })
    }

    pub(super) fn position(&self) -> Option<Position> {
        self.lock().position.clone()
    }

    /// Whether the log was found to be away, rather than not looked for yet.
    pub(super) fn is_without_log(&self) -> bool {
        let state = self.lock();
        state.has_started && state.position.is_none()
    }

    /// Wakes who waits for these tasks, and picks the tasks whose rows are to be read: watched, each once, not known yet.
    pub(super) fn pick(&self, events: &[Event]) -> Vec<String> {
        let state = self.lock();
        let watched: HashSet<&str> = state.watchers.values().map(|watcher| watcher.project.as_str()).collect();
        let mut picked = HashSet::new();
        for event in events {
            if let Some(waiter) = state.waiters.get(&event.task_id) {
                waiter.notify_waiters();
            }
            if watched.contains(event.project.as_str()) && !state.recent.knows(&event.task_id, event.revision) {
                picked.insert(event.task_id.clone());
            }
        }
        picked.into_iter().collect()
    }

    /// Puts changes into the mailboxes of their project's watchers and moves on to `position`.
    pub(super) fn dispatch(&self, events: &[Event], rows: &[Arc<TaskRow>], gone: &HashSet<String>, position: Option<Position>) {
        let mut state = self.lock();
        let state = &mut *state;
        for row in rows {
            state.recent.remember(&row.id, row.revision);
        }
        let mut removed: HashMap<&str, &str> = HashMap::new();
        for event in events.iter().filter(|event| gone.contains(&event.task_id)) {
            state.recent.remember(&event.task_id, i64::MAX);
            removed.insert(&event.task_id, &event.project);
        }
        for watcher in state.watchers.values_mut() {
            for row in rows.iter().filter(|row| row.project == watcher.project) {
                watcher.mailbox.put(&row.id, Change::Row(row.clone()));
            }
            for (id, _) in removed.iter().filter(|(_, project)| **project == watcher.project) {
                watcher.mailbox.put(id, Change::Gone);
            }
            watcher.tell();
        }
        state.position = position;
        state.has_started = true;
    }

    pub(super) fn dispatch_progress(&self, project: &str, id: &str, progress: &TaskProgress) {
        for watcher in self.lock().watchers.values_mut().filter(|watcher| watcher.project == project) {
            watcher.mailbox.put_progress(id, progress);
            watcher.tell();
        }
    }

    /// Every watcher takes a new snapshot, and goes on from `position`.
    pub(super) fn reset_all(&self, reason: &'static str, position: Option<Position>) {
        let mut state = self.lock();
        state.position = position;
        state.has_started = true;
        for watcher in state.watchers.values_mut() {
            watcher.mailbox.put_reset(reason);
            watcher.tell();
        }
    }

    /// Starts from `position` with watchers that came before the log could be read.
    pub(super) fn start_at(&self, position: Position) {
        let mut state = self.lock();
        state.position = Some(position);
        state.has_started = true;
    }
}

impl Watcher {
    fn tell(&self) {
        if !self.mailbox.is_empty() {
            self.news.notify_one();
        }
    }
}

impl Registration {
    /// Returns when something waits.
    pub(super) async fn news(&self) {
        self.news.notified().await;
    }

    /// Takes at most `count` changes.
    pub(super) fn take(&self, count: usize) -> Taken {
        let mut state = self.hub.lock();
        let position = state.position.clone();
        let Some(watcher) = state.watchers.get_mut(&self.number) else {
            return Taken::nothing();
        };
        let mailbox = &mut watcher.mailbox;
        let taken = Taken {
            reset: mailbox.take_reset(),
            changes: mailbox.take(count),
            progress: mailbox.take_progress(),
            safe_point: mailbox.is_drained().then_some(position),
        };
        if taken.safe_point.is_none() {
            watcher.news.notify_one();
        }
        taken
    }

    /// Where in the log everything that was taken leads to; `None` when changes wait.
    pub(super) fn safe_point(&self) -> Option<Option<Position>> {
        let state = self.hub.lock();
        let watcher = state.watchers.get(&self.number)?;
        watcher.mailbox.is_drained().then(|| state.position.clone())
    }

    /// Forgets what waits: a snapshot that is read from now on has it.
    pub(super) fn clear(&self) {
        if let Some(watcher) = self.hub.lock().watchers.get_mut(&self.number) {
            watcher.mailbox.put_reset("");
            watcher.mailbox.take_reset();
        }
    }
}

impl Taken {
    fn nothing() -> Self {
        Self {
            reset: None,
            changes: Vec::new(),
            progress: Vec::new(),
            safe_point: None,
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut state = self.hub.lock();
        state.watchers.remove(&self.number);
        if !state.watchers.values().any(|watcher| watcher.project == self.project) {
            state.progress.remove(&self.project);
        }
    }
}

fn too_many(limit: usize) -> ApiError {
    let message = format!("{limit} watches are open on this server, which is its limit");
    ApiError::new(Code::ResourceExhausted, ErrorReason::LimitExceeded, message)
        .with("limit", "max_watches")
        .hint("share one watch among those who need it, or raise limits.max_watches")
}
