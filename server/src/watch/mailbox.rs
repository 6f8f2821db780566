//! What waits for one watcher: one entry per task, newest wins. However slow the client is, it costs bounded memory: the first
//! entries hold rows, further ones only ids, and above the limit everything is replaced by "take a new snapshot".

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use mps_proto::v1::TaskProgress;

use crate::store::tasks::TaskRow;

/// Entries that hold a row; it is shared by all watchers, but an old one may be held by a slow watcher alone.
const ROWS: usize = 256;
/// Tasks whose progress waits; more is dropped, since newer follows within a second.
const PROGRESS: usize = 1_000;

/// What became of a task.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Row(Arc<TaskRow>),
    Gone,
    /// It changed; read the row when it is sent.
    Unread,
}

/// What waits for one watcher.
#[derive(Debug)]
pub(super) struct Mailbox {
    limit: usize,
    changes: HashMap<String, Change>,
    /// Ids in the order of their first change.
    order: VecDeque<String>,
    progress: HashMap<String, TaskProgress>,
    /// Why the client must forget everything.
    reset: Option<&'static str>,
}

impl Mailbox {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            changes: HashMap::new(),
            order: VecDeque::new(),
            progress: HashMap::new(),
            reset: None,
        }
    }

    pub(super) fn put(&mut self, id: &str, change: Change) {
        // A snapshot follows and has it.
        if self.reset.is_some() {
            return;
        }
        let is_new = !self.changes.contains_key(id);
        if is_new && self.changes.len() >= self.limit {
            self.put_reset("more changes waited than the server keeps for a slow client");
            return;
        }
        let change = match change {
            Change::Row(_) if self.changes.len() >= ROWS => Change::Unread,
            other => other,
        };
        self.changes.insert(id.to_owned(), change);
        if is_new {
            self.order.push_back(id.to_owned());
        }
    }

    pub(super) fn put_progress(&mut self, id: &str, progress: &TaskProgress) {
        let has_room = self.progress.len() < PROGRESS;
        match self.progress.get_mut(id) {
            Some(waiting) if waiting.run == progress.run => {
                let nodes = progress.nodes.iter().map(|(key, node)| (key.clone(), *node));
                waiting.nodes.extend(nodes);
            }
            Some(waiting) => *waiting = progress.clone(),
            None if has_room => drop(self.progress.insert(id.to_owned(), progress.clone())),
            None => {}
        }
    }

    /// Replaces everything that waits.
    pub(super) fn put_reset(&mut self, reason: &'static str) {
        self.changes = HashMap::new();
        self.order = VecDeque::new();
        self.progress = HashMap::new();
        self.reset = Some(reason);
    }

    pub(super) fn take_reset(&mut self) -> Option<&'static str> {
        self.reset.take()
    }

    /// The oldest changes, at most `count`.
    pub(super) fn take(&mut self, count: usize) -> Vec<(String, Change)> {
        let ids: Vec<String> = self.order.drain(..count.min(self.order.len())).collect();
        let taken = ids.into_iter().filter_map(|id| {
            let change = self.changes.remove(&id)?;
            Some((id, change))
        });
        taken.collect()
    }

    pub(super) fn take_progress(&mut self) -> Vec<(String, TaskProgress)> {
        self.progress.drain().collect()
    }

    /// Whether no change waits: what was taken leads up to the hub's position.
    pub(super) fn is_drained(&self) -> bool {
        self.order.is_empty() && self.reset.is_none()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.is_drained() && self.progress.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_of_a_task_are_merged_and_keep_their_place() {
        let mut mailbox = Mailbox::new(10);
        for id in ["a", "b", "a"] {
            mailbox.put(id, Change::Unread);
        }
        mailbox.put("a", Change::Gone);
        let taken = mailbox.take(5);
        assert!(matches!(taken.as_slice(), [(a, Change::Gone), (b, Change::Unread)] if a == "a" && b == "b"));
        assert!(mailbox.is_empty());
    }

    #[test]
    fn more_tasks_than_the_limit_become_a_reset_that_holds_nothing() {
        let mut mailbox = Mailbox::new(3);
        for number in 0..100 {
            mailbox.put(&number.to_string(), Change::Unread);
        }
        assert!(mailbox.take(100).is_empty());
        assert!(mailbox.take_reset().is_some());
        mailbox.put("a", Change::Unread);
        assert_eq!(mailbox.take(100).len(), 1);
    }
}
