//! The loops that take units: first a slot, then a question to the server, woken by Redis or by their own clock. Probes have slots and a
//! loop of their own, so that they never wait behind a task.

use std::{future::Future, sync::Arc, time::Duration};

use mps_proto::{
    PLAN_VERSION,
    worker::v1::{JoinRequest, LeaseUnitRequest, UnitLease},
};
use mps_queue::WorkStream;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{MissedTickBehavior, interval, sleep},
};

use super::{
    Worker,
    board::{Beat, Board},
    kind::Kind,
    unit_run,
};
use crate::rpc::CallError;

/// How long a loop that takes nothing waits before it looks again.
const LOOK_EVERY: Duration = Duration::from_secs(2);
const BEAT_EVERY: Duration = Duration::from_millis(500);
const PAUSE_AFTER_REFUSAL: Duration = Duration::from_secs(2);
const PAUSE_WITHOUT_ANSWER: Duration = Duration::from_millis(500);
const JOIN_PATIENCE: Duration = Duration::from_secs(60);

/// What the server said to a question for work.
enum Offer {
    Unit(Box<UnitLease>),
    Nothing,
    JoinFirst,
    NoAnswer,
}

/// Takes units until the worker is asked to end.
pub async fn run(worker: Arc<Worker>, capabilities: Vec<String>) {
    let mut tasks = Loop::new(Kind::Tasks, &worker, capabilities.clone());
    let mut probes = Loop::new(Kind::Probes, &worker, capabilities);
    // Stopping drops nothing that matters: an answer under way to LeaseUnit is waited for, see `ask`.
    tasks.join().await;
    tokio::join!(tasks.run(), probes.run());
}

struct Loop {
    kind: Kind,
    worker: Arc<Worker>,
    slots: Arc<Semaphore>,
    wake_ups: Option<WorkStream>,
    capabilities: Vec<String>,
    scratch_is_full: bool,
}

impl Loop {
    fn new(kind: Kind, worker: &Arc<Worker>, capabilities: Vec<String>) -> Self {
        Self {
            kind,
            slots: Arc::new(Semaphore::new(kind.slots(worker))),
            wake_ups: kind.wake_ups(worker),
            capabilities,
            scratch_is_full: false,
            worker: worker.clone(),
        }
    }

    async fn run(&mut self) {
        while !self.worker.board.is_stopping() {
            self.turn().await;
        }
    }

    async fn turn(&mut self) {
        let board = self.worker.board.clone();
        if !board.takes_units() {
            return self.pause(LOOK_EVERY).await;
        }
        let Some(slot) = self.free_slot().await else { return };
        // A slot may be free because a worker that ends has just handed its unit back.
        if !board.takes_units() {
            return;
        }
        let free_bytes = self.free_scratch();
        if free_bytes == 0 {
            return self.pause(LOOK_EVERY).await;
        }
        match self.beating(self.ask(free_bytes)).await {
            Offer::Unit(lease) => self.start(*lease, slot),
            Offer::Nothing => {
                drop(slot);
                self.wait_for_work().await;
            }
            Offer::JoinFirst => self.join_again().await,
            Offer::NoAnswer => self.pause(PAUSE_WITHOUT_ANSWER).await,
        }
    }

    /// Waits for a free slot; `None` when something else is to be done first.
    async fn free_slot(&mut self) -> Option<OwnedSemaphorePermit> {
        let board = self.worker.board.clone();
        let slots = self.slots.clone();
        let waiting = async {
            tokio::select! {
                slot = slots.acquire_owned() => Ok(slot.ok()),
                () = board.changed.notified() => Ok(None),
                () = self.asked_to_join() => Err(()),
                () = sleep(LOOK_EVERY) => Ok(None),
            }
        };
        match self.beating(waiting).await {
            Ok(slot) => slot,
            Err(()) => {
                self.join().await;
                None
            }
        }
    }

    /// Bytes that a unit may write. A probe is small and bounded: it may use what is kept in reserve.
    fn free_scratch(&mut self) -> u64 {
        let free = match self.kind {
            Kind::Tasks => self.worker.scratch.free_bytes(),
            Kind::Probes => self.worker.scratch.free_bytes_and_reserve(),
        };
        let free = free.unwrap_or_else(|error| {
            tracing::warn!(%error, "free scratch space is not known");
            0
        });
        if (free == 0) != self.scratch_is_full {
            self.scratch_is_full = free == 0;
            tracing::warn!(full = self.scratch_is_full, kind = ?self.kind, "scratch space decides whether units are taken");
        }
        free
    }

    async fn ask(&self, free_bytes: u64) -> Offer {
        let request = LeaseUnitRequest {
            worker_id: self.worker.board.worker_id.clone(),
            // The one that is held for the answer counts.
            free_slots: self.slots.available_permits() as i32 + 1,
            free_scratch_bytes: i64::try_from(free_bytes).unwrap_or(i64::MAX),
            scope: self.kind.scope().into(),
        };
        match self
            .worker
            .rpc
            .once(|mut client| async move { client.lease_unit(request).await })
            .await
        {
            Ok(answer) => answer.unit.map_or(Offer::Nothing, |unit| Offer::Unit(Box::new(unit))),
            Err(CallError::NoAnswer(status)) => {
                tracing::debug!(message = status.message(), "the server does not answer");
                Offer::NoAnswer
            }
            Err(error) => {
                tracing::debug!(%error, "the server gives no unit; joining again");
                Offer::JoinFirst
            }
        }
    }

    fn start(&self, lease: UnitLease, slot: OwnedSemaphorePermit) {
        let card = self.worker.board.add(&lease);
        let worker = self.worker.clone();
        tokio::spawn(async move {
            unit_run::run(worker, lease, card).await;
            drop(slot);
        });
    }

    async fn wait_for_work(&mut self) {
        let (kind, board, every) = (self.kind, self.worker.board.clone(), self.kind.ask_every(self.wake_ups.is_some()));
        let wake_ups = &mut self.wake_ups;
        let wake_up = async {
            match wake_ups {
                Some(stream) => stream.wait(every).await,
                None => sleep(every).await,
            }
        };
        let waiting = async {
            tokio::select! {
                () = wake_up => false,
                () = board.changed.notified() => false,
                () = asked_to_join(kind, &board) => true,
            }
        };
        if beating(kind.beat(&board), waiting).await {
            self.join().await;
        }
    }

    async fn pause(&mut self, time: Duration) {
        let board = self.worker.board.clone();
        let waiting = async {
            tokio::select! {
                () = sleep(time) => false,
                () = board.changed.notified() => false,
                () = self.asked_to_join() => true,
            }
        };
        if self.beating(waiting).await {
            self.join().await;
        }
    }

    async fn asked_to_join(&self) {
        asked_to_join(self.kind, &self.worker.board).await;
    }

    async fn beating<T>(&self, future: impl Future<Output = T>) -> T {
        beating(self.kind.beat(&self.worker.board), future).await
    }

    /// The server does not know the worker. One loop joins for both.
    async fn join_again(&mut self) {
        match self.kind {
            Kind::Tasks => self.join().await,
            Kind::Probes => {
                self.worker.board.join_again.notify_one();
                self.pause(PAUSE_AFTER_REFUSAL).await;
            }
        }
    }

    /// Makes the worker known; tries until it is, or until the worker ends.
    async fn join(&mut self) {
        let board = self.worker.board.clone();
        let config = &self.worker.config;
        let request = JoinRequest {
            worker_id: board.worker_id.clone(),
            display_name: config.display_name.clone(),
            pool: config.pool.clone(),
            slots: config.slots as i32,
            capabilities: self.capabilities.clone(),
            plan_versions: vec![PLAN_VERSION],
            version: env!("CARGO_PKG_VERSION").into(),
        };
        let mut has_warned = false;
        while !board.is_stopping() {
            let joining = self.worker.rpc.call(JOIN_PATIENCE, |mut client| {
                let request = request.clone();
                async move { client.join(request).await }
            });
            let joining = async {
                tokio::select! {
                    joined = joining => Some(joined),
                    () = stopped(&board) => None,
                }
            };
            match self.beating(joining).await {
                Some(Ok(answer)) => {
                    let ttl = answer.lease_ttl.and_then(|ttl| Duration::try_from(ttl).ok());
                    board.set_lease_ttl(ttl.unwrap_or(Duration::from_secs(15)));
                    return tracing::debug!(?ttl, "joined");
                }
                Some(Err(error)) => {
                    if !std::mem::replace(&mut has_warned, true) {
                        tracing::warn!(%error, server = config.server, "cannot join; trying on");
                    }
                }
                None => return,
            }
            self.beating(sleep(PAUSE_AFTER_REFUSAL)).await;
        }
    }
}

/// Only the loop of tasks is asked to join: a notice reaches one waiter.
async fn asked_to_join(kind: Kind, board: &Board) {
    match kind {
        Kind::Tasks => board.join_again.notified().await,
        Kind::Probes => std::future::pending().await,
    }
}

async fn stopped(board: &Board) {
    while !board.is_stopping() {
        tokio::select! {
            () = board.changed.notified() => {}
            () = sleep(BEAT_EVERY) => {}
        }
    }
}

/// Runs a future of a loop; while it runs, the loop counts as alive.
async fn beating<T>(beat: &Beat, future: impl Future<Output = T>) -> T {
    tokio::pin!(future);
    let mut beats = interval(BEAT_EVERY);
    beats.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            ended = &mut future => return ended,
            _ = beats.tick() => beat.touch(),
        }
    }
}
