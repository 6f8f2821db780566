//! What the parts of the supervisor know of each other: the units under way, who is alive, what to do next.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use futures::future::BoxFuture;
use mps_proto::{
    v1::{NodeProgress, Phase},
    worker::v1::{LeaseState, LeaseVerdict, UnitAttempt, UnitLease, UnitProgress},
};
use tokio::sync::{Notify, watch};

/// A unit is renewed only while both of the supervisor's loops beat within this time.
pub const LOOP_PATIENCE: Duration = Duration::from_secs(3);
/// … and while the child's pipe, or the task that fetches or uploads, spoke within this time.
pub const UNIT_PATIENCE: Duration = Duration::from_secs(10);

/// What a unit's task does next. The first order other than `Go` stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    Go,
    /// It belongs to somebody else: kill at once, say nothing.
    Fenced,
    /// The task is cancelled: end the child, hand the unit back.
    Cancelled,
    /// The worker ends: end the child, hand the unit back.
    Released,
    /// The server has not answered for too long: end the child, say nothing.
    Abandoned,
}

/// A moment that other threads may read.
pub struct Beat {
    origin: Instant,
    millis: AtomicU64,
}

impl Beat {
    pub fn now() -> Self {
        Self {
            origin: Instant::now(),
            millis: AtomicU64::new(0),
        }
    }

    pub fn touch(&self) {
        self.millis.store(self.origin.elapsed().as_millis() as u64, Relaxed);
    }

    pub fn age(&self) -> Duration {
        self.origin
            .elapsed()
            .saturating_sub(Duration::from_millis(self.millis.load(Relaxed)))
    }
}

/// One unit under way.
pub struct Card {
    pub token: UnitAttempt,
    pub task_name: String,
    pub run: i32,
    /// Last sign of life of child, fetch or upload.
    pub alive: Beat,
    /// Last answer of the server about the lease.
    pub answered: Beat,
    order: watch::Sender<Order>,
    progress: Mutex<BTreeMap<String, NodeProgress>>,
}

impl Card {
    fn new(lease: &UnitLease) -> Self {
        Self {
            token: UnitAttempt {
                unit_id: lease.unit_id.clone(),
                attempt: lease.attempt,
            },
            task_name: lease.task_name.clone(),
            run: lease.run,
            alive: Beat::now(),
            answered: Beat::now(),
            order: watch::Sender::new(Order::Go),
            progress: Mutex::default(),
        }
    }

    pub fn order(&self) -> Order {
        *self.order.borrow()
    }

    pub fn give(&self, order: Order) {
        self.order.send_if_modified(|current| {
            let changes = *current == Order::Go && order != Order::Go;
            if changes {
                *current = order;
            }
            changes
        });
    }

    /// Waits for an order other than `Go`.
    pub fn interrupted(&self) -> BoxFuture<'static, Order> {
        let mut orders = self.order.subscribe();
        Box::pin(async move {
            // The sender lies in the card, so the wait ends early only with the unit.
            let given = orders.wait_for(|order| *order != Order::Go).await;
            given.map_or(Order::Abandoned, |order| *order)
        })
    }

    /// Newer progress; nodes that are not named keep theirs.
    pub fn report(&self, nodes: BTreeMap<String, NodeProgress>) {
        lock(&self.progress).extend(nodes);
    }

    pub fn enter<'a>(&self, phase: Phase, nodes: impl Iterator<Item = &'a str>) {
        let mut progress = lock(&self.progress);
        for key in nodes {
            progress.entry(key.to_owned()).or_default().phase = phase.into();
        }
    }
}

/// All units under way and the state of the worker.
pub struct Board {
    pub worker_id: String,
    pub loop_beat: Beat,
    pub probe_loop_beat: Beat,
    cards: Mutex<HashMap<(String, i32), Arc<Card>>>,
    drained: AtomicBool,
    stopping: AtomicBool,
    lease_ttl_ms: AtomicU64,
    /// The server does not know the worker.
    pub join_again: Notify,
    /// Drain, stop or the number of units changed.
    pub changed: Notify,
}

impl Board {
    pub fn new(worker_id: String) -> Self {
        Self {
            worker_id,
            loop_beat: Beat::now(),
            probe_loop_beat: Beat::now(),
            cards: Mutex::default(),
            drained: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            lease_ttl_ms: AtomicU64::new(0),
            join_again: Notify::new(),
            changed: Notify::new(),
        }
    }

    /// Takes a lease on. A worker that ends hands it back at once.
    pub fn add(&self, lease: &UnitLease) -> Arc<Card> {
        let card = Arc::new(Card::new(lease));
        lock(&self.cards).insert(key(&card.token), card.clone());
        if self.is_stopping() {
            card.give(Order::Released);
        }
        card
    }

    pub fn remove(&self, card: &Card) {
        lock(&self.cards).remove(&key(&card.token));
        self.changed.notify_waiters();
    }

    pub fn cards(&self) -> Vec<Arc<Card>> {
        lock(&self.cards).values().cloned().collect()
    }

    pub fn is_empty(&self) -> bool {
        lock(&self.cards).is_empty()
    }

    /// Units whose leases may be renewed now.
    pub fn alive(&self) -> Vec<Arc<Card>> {
        if self.loop_beat.age().max(self.probe_loop_beat.age()) > LOOP_PATIENCE {
            return Vec::new();
        }
        let mut cards = self.cards();
        cards.retain(|card| card.alive.age() <= UNIT_PATIENCE);
        cards
    }

    /// Does what the server said of a unit. HELD needs nothing.
    pub fn apply(&self, verdict: &LeaseVerdict) {
        let Some(token) = &verdict.unit else { return };
        let Some(card) = lock(&self.cards).get(&key(token)).cloned() else {
            return;
        };
        card.answered.touch();
        match verdict.state() {
            LeaseState::Fenced => card.give(Order::Fenced),
            LeaseState::Cancelled => card.give(Order::Cancelled),
            LeaseState::Held | LeaseState::Unspecified => {}
        }
    }

    pub fn progress(&self) -> Vec<UnitProgress> {
        let cards = self.cards();
        let progress = cards.iter().map(|card| UnitProgress {
            unit: Some(card.token.clone()),
            task_name: card.task_name.clone(),
            run: card.run,
            nodes: lock(&card.progress).clone(),
        });
        progress.collect()
    }

    pub fn lease_ttl(&self) -> Option<Duration> {
        let millis = self.lease_ttl_ms.load(Relaxed);
        (millis > 0).then(|| Duration::from_millis(millis))
    }

    pub fn set_lease_ttl(&self, ttl: Duration) {
        self.lease_ttl_ms.store(ttl.as_millis() as u64, Relaxed);
    }

    pub fn takes_units(&self) -> bool {
        !self.drained.load(Relaxed) && !self.is_stopping()
    }

    pub fn drain(&self, drain: bool) {
        if self.drained.swap(drain, Relaxed) != drain {
            tracing::info!(drain, "the server changed whether this worker takes units");
            self.changed.notify_waiters();
        }
    }

    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Relaxed)
    }

    /// The worker ends: every unit is handed back.
    pub fn stop(&self) {
        self.stopping.store(true, Relaxed);
        for card in self.cards() {
            card.give(Order::Released);
        }
        self.changed.notify_waiters();
    }
}

fn key(token: &UnitAttempt) -> (String, i32) {
    (token.unit_id.clone(), token.attempt)
}

/// A panic while the lock was held leaves whole values behind.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(attempt: i32) -> UnitLease {
        UnitLease {
            unit_id: "u".into(),
            attempt,
            ..Default::default()
        }
    }

    fn verdict(attempt: i32, state: LeaseState) -> LeaseVerdict {
        let unit = UnitAttempt {
            unit_id: "u".into(),
            attempt,
        };
        LeaseVerdict {
            unit: Some(unit),
            state: state.into(),
            remaining: None,
        }
    }

    #[test]
    fn verdict_reaches_only_its_attempt_and_the_first_order_stays() {
        let board = Board::new("w".into());
        let (first, second) = (board.add(&lease(1)), board.add(&lease(2)));
        board.apply(&verdict(1, LeaseState::Fenced));
        board.apply(&verdict(1, LeaseState::Cancelled));
        board.apply(&verdict(2, LeaseState::Held));
        assert_eq!((first.order(), second.order()), (Order::Fenced, Order::Go));
    }

    #[test]
    fn worker_that_ends_hands_back_also_what_it_leases_last() {
        let board = Board::new("w".into());
        let before = board.add(&lease(1));
        board.stop();
        assert_eq!(before.order(), Order::Released);
        assert_eq!(board.add(&lease(2)).order(), Order::Released);
        assert!(!board.takes_units());
    }
}
