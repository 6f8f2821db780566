//! The lease thread: renews all leases with one call, from a runtime and a connection of its own, so that nothing which keeps the
//! supervisor busy keeps it from renewing. It renews only what is alive (see [`Board::alive`]).

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use mps_proto::worker::v1::{RenewLeasesRequest, RenewLeasesResponse};

use super::board::{Board, Order};
use crate::{
    config::Config,
    rpc::{CallError, Rpc},
};

/// Pause before the first Join, and after a renewal without an answer.
const SHORT_PAUSE: Duration = Duration::from_millis(500);

/// Starts the thread; it ends with the process.
pub fn start(config: Config, board: Arc<Board>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("leases".into()).spawn(move || {
        runtime.block_on(async {
            match Rpc::new(&config) {
                Ok(rpc) => renew_forever(&rpc, &board, config.offline_patience).await,
                Err(error) => tracing::error!(%error, "leases cannot be renewed"),
            }
        });
    })?;
    Ok(())
}

async fn renew_forever(rpc: &Rpc, board: &Board, offline_patience: Duration) {
    loop {
        let Some(ttl) = board.lease_ttl() else {
            tokio::time::sleep(SHORT_PAUSE).await;
            continue;
        };
        let started = Instant::now();
        let answered = renew(rpc, board).await;
        give_up_silent(board, offline_patience);
        let every = if answered { ttl / 3 } else { (ttl / 3).min(SHORT_PAUSE) };
        tokio::time::sleep(every.saturating_sub(started.elapsed()).max(Duration::from_millis(50))).await;
    }
}

/// Whether the server answered.
async fn renew(rpc: &Rpc, board: &Board) -> bool {
    let units = board.alive().iter().map(|card| card.token.clone()).collect();
    let request = RenewLeasesRequest {
        worker_id: board.worker_id.clone(),
        units,
    };
    let sent = Instant::now();
    match rpc.once(|mut client| async move { client.renew_leases(request).await }).await {
        Ok(answer) => {
            apply(board, &answer, sent);
            true
        }
        Err(CallError::NoAnswer(status)) => {
            tracing::debug!(message = status.message(), "leases were not renewed");
            false
        }
        Err(error) => {
            tracing::debug!(%error, "the server refused to renew; joining again");
            board.join_again.notify_one();
            false
        }
    }
}

fn apply(board: &Board, answer: &RenewLeasesResponse, sent: Instant) {
    if answer.unknown_worker {
        board.join_again.notify_one();
    }
    board.drain(answer.drain);
    for verdict in &answer.verdicts {
        board.apply(verdict);
        // What is left counts from when the question was sent. A lease that ran out meanwhile may still be revived by the next renewal.
        let remaining = verdict.remaining.and_then(|remaining| Duration::try_from(remaining).ok());
        if remaining.is_some_and(|remaining| remaining < sent.elapsed()) {
            tracing::warn!(
                unit.id = verdict.unit.as_ref().map(|unit| unit.unit_id.as_str()),
                "the lease ran out before its renewal was answered"
            );
        }
    }
}

/// Work goes on without a server, but not for ever.
fn give_up_silent(board: &Board, patience: Duration) {
    for card in board.cards() {
        if card.answered.age() > patience && card.order() == Order::Go {
            tracing::warn!(
                unit.id = card.token.unit_id,
                "the server has not confirmed the lease for too long; the unit is given up"
            );
            card.give(Order::Abandoned);
        }
    }
}
