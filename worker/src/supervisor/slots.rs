//! The loop that takes units: first a slot, then a question to the server, woken by Redis or by its own clock.

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

use super::{Worker, board::Board, unit_run};
use crate::rpc::CallError;

/// Without a wake-up the server is asked so often.
const ASK_EVERY: Duration = Duration::from_secs(2);
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
    let mut looping = Loop {
        slots: Arc::new(Semaphore::new(worker.config.slots)),
        wake_ups: wake_ups(&worker),
        capabilities,
        scratch_is_full: false,
        worker: worker.clone(),
    };
    // Stopping drops nothing that matters: an answer under way to LeaseUnit is waited for, see `ask`.
    looping.join().await;
    while !worker.board.is_stopping() {
        looping.turn().await;
    }
}

struct Loop {
    worker: Arc<Worker>,
    slots: Arc<Semaphore>,
    wake_ups: Option<WorkStream>,
    capabilities: Vec<String>,
    scratch_is_full: bool,
}

impl Loop {
    async fn turn(&mut self) {
        let board = self.worker.board.clone();
        if !board.takes_units() {
            return self.pause(ASK_EVERY).await;
        }
        let Some(slot) = self.free_slot().await else { return };
        // A slot may be free because a worker that ends has just handed its unit back.
        if !board.takes_units() {
            return;
        }
        let free_bytes = self.free_scratch();
        if free_bytes == 0 {
            return self.pause(ASK_EVERY).await;
        }
        match beating(&board, self.ask(free_bytes)).await {
            Offer::Unit(lease) => self.start(*lease, slot),
            Offer::Nothing => {
                drop(slot);
                self.wait_for_work().await;
            }
            Offer::JoinFirst => self.join().await,
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
                () = board.join_again.notified() => Err(()),
                () = sleep(ASK_EVERY) => Ok(None),
            }
        };
        match beating(&board, waiting).await {
            Ok(slot) => slot,
            Err(()) => {
                self.join().await;
                None
            }
        }
    }

    fn free_scratch(&mut self) -> u64 {
        let free = self.worker.scratch.free_bytes().unwrap_or_else(|error| {
            tracing::warn!(%error, "free scratch space is not known");
            0
        });
        if (free == 0) != self.scratch_is_full {
            self.scratch_is_full = free == 0;
            tracing::warn!(full = self.scratch_is_full, "scratch space decides whether units are taken");
        }
        free
    }

    async fn ask(&self, free_bytes: u64) -> Offer {
        let request = LeaseUnitRequest {
            worker_id: self.worker.board.worker_id.clone(),
            // The one that is held for the answer counts.
            free_slots: self.slots.available_permits() as i32 + 1,
            free_scratch_bytes: i64::try_from(free_bytes).unwrap_or(i64::MAX),
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
        let board = self.worker.board.clone();
        let wake_ups = &mut self.wake_ups;
        let wake_up = async {
            match wake_ups {
                Some(stream) => stream.wait(ASK_EVERY).await,
                None => sleep(ASK_EVERY).await,
            }
        };
        let waiting = async {
            tokio::select! {
                () = wake_up => false,
                () = board.changed.notified() => false,
                () = board.join_again.notified() => true,
            }
        };
        if beating(&board, waiting).await {
            self.join().await;
        }
    }

    async fn pause(&mut self, time: Duration) {
        let board = self.worker.board.clone();
        let waiting = async {
            tokio::select! {
                () = sleep(time) => false,
                () = board.changed.notified() => false,
                () = board.join_again.notified() => true,
            }
        };
        if beating(&board, waiting).await {
            self.join().await;
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
            match beating(&board, joining).await {
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
            beating(&board, sleep(PAUSE_AFTER_REFUSAL)).await;
        }
    }
}

fn wake_ups(worker: &Worker) -> Option<WorkStream> {
    let url = worker.config.redis_url.expose();
    (!url.is_empty()).then(|| WorkStream::connect(url, &worker.config.pool, &worker.board.worker_id))
}

async fn stopped(board: &Board) {
    while !board.is_stopping() {
        tokio::select! {
            () = board.changed.notified() => {}
            () = sleep(BEAT_EVERY) => {}
        }
    }
}

/// Runs a future of the loop; while it runs, the loop counts as alive.
async fn beating<T>(board: &Board, future: impl Future<Output = T>) -> T {
    tokio::pin!(future);
    let mut beats = interval(BEAT_EVERY);
    beats.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            ended = &mut future => return ended,
            _ = beats.tick() => board.loop_beat.touch(),
        }
    }
}
