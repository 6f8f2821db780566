//! What the server is told of a unit's end: finished, failed or handed back.

use std::time::{Duration, Instant};

use futures::FutureExt;
use mps_media::failure;
use mps_proto::{
    v1::ErrorReason,
    worker::v1::{CommitState, CompleteUnitRequest, FailUnitRequest},
};

use super::{
    board::Order,
    unit_run::{Finished, Unfinished, Unit, beating},
};
use crate::rpc::{CallError, Rpc, failure_of};

const ASK_COMMIT_EVERY: Duration = Duration::from_millis(500);
/// A server that answers "committing" for so long is broken.
const COMMIT_PATIENCE: Duration = Duration::from_secs(1800);
/// How long a failure is tried to be told; after that the lease runs out.
const FAIL_PATIENCE: Duration = Duration::from_secs(60);
const HAND_BACK_PATIENCE: Duration = Duration::from_secs(3);

impl Unit {
    /// Hands the finished unit in until the answer is final.
    pub(super) async fn complete(&self, finished: Finished) -> Result<CommitState, CallError> {
        let request = CompleteUnitRequest {
            unit: Some(self.card.token.clone()),
            nodes: finished.nodes,
            input: finished.result.input,
            counters: finished.result.counters,
        };
        beating(&self.card, commit(&self.worker.rpc, self.worker.config.offline_patience, request)).await
    }

    pub(super) async fn tell_commit(&self, committed: Result<CommitState, CallError>) {
        match committed {
            Ok(CommitState::Published) => tracing::debug!("published"),
            Ok(CommitState::Requeued) => tracing::warn!("parts of the outputs were lost; the unit is queued again"),
            Ok(CommitState::Fenced) | Err(CallError::Fenced) if self.card.order() == Order::Cancelled => {
                self.hand_back(Order::Cancelled).await
            }
            Ok(CommitState::Fenced) | Err(CallError::Fenced) => tracing::info!("the finished unit is no longer ours"),
            Ok(state @ (CommitState::Committing | CommitState::Unspecified)) => {
                tracing::error!(?state, "the server does not finish the commit; the unit is left to it");
            }
            Err(CallError::NoAnswer(status)) => {
                tracing::error!(
                    message = status.message(),
                    "the finished unit could not be handed in; its lease runs out"
                );
            }
            Err(error @ CallError::Refused(_)) => {
                let failure = failure_of(&error, "the finished unit");
                self.tell_failure(failure.into(), String::new()).await;
            }
        }
    }

    pub(super) async fn hand_back(&self, order: Order) {
        let failure = match order {
            Order::Cancelled => failure::node(ErrorReason::Cancelled, "the task was cancelled", ""),
            _ => failure::node(ErrorReason::LeaseLost, "the worker ends and hands its units back", ""),
        };
        let request = FailUnitRequest {
            unit: Some(self.card.token.clone()),
            failure: Some(failure),
            released: true,
            ..Default::default()
        };
        self.send_failure(request, HAND_BACK_PATIENCE).await;
    }

    pub(super) async fn tell_failure(&self, unfinished: Unfinished, log_tail: String) {
        let message = unfinished
            .failure
            .status
            .as_ref()
            .map(|status| status.message.clone())
            .unwrap_or_default();
        tracing::warn!(message, kind = ?unfinished.failure.kind(), "unit failed");
        let request = FailUnitRequest {
            unit: Some(self.card.token.clone()),
            failure: Some(unfinished.failure),
            split: unfinished.split,
            released: false,
            log_tail: bounded_tail(log_tail),
        };
        self.send_failure(request, FAIL_PATIENCE).await;
    }

    async fn send_failure(&self, request: FailUnitRequest, patience: Duration) {
        let call = self.worker.rpc.call(patience, |mut client| {
            let request = request.clone();
            async move { client.fail_unit(request).await }
        });
        match beating(&self.card, call.boxed()).await {
            Ok(_) | Err(CallError::Fenced) => {}
            Err(error) => tracing::warn!(%error, "the server was not told that the unit ended; its lease runs out"),
        }
    }
}

/// Hands a finished unit in, and asks again until the answer is final.
async fn commit(rpc: &Rpc, patience: Duration, request: CompleteUnitRequest) -> Result<CommitState, CallError> {
    let started = Instant::now();
    loop {
        let answer = rpc
            .call(patience, |mut client| {
                let request = request.clone();
                async move { client.complete_unit(request).await }
            })
            .await?;
        let is_open = matches!(answer.state(), CommitState::Committing | CommitState::Unspecified);
        if !is_open || started.elapsed() > COMMIT_PATIENCE {
            return Ok(answer.state());
        }
        tokio::time::sleep(ASK_COMMIT_EVERY).await;
    }
}

/// The last 8 KiB, from the beginning of a line.
fn bounded_tail(text: String) -> String {
    const MOST: usize = 8 << 10;
    if text.len() <= MOST {
        return text;
    }
    let start = (text.len() - MOST..text.len()).find(|&index| text.is_char_boundary(index));
    let tail = start.and_then(|start| text.get(start..)).unwrap_or_default();
    tail.split_once('\n').map_or(tail, |(_, rest)| rest).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_tail_is_cut_at_a_line() {
        let text = "ä line of the log\n".repeat(1000);
        let tail = bounded_tail(text);
        assert!(tail.len() <= 8 << 10 && tail.starts_with("ä line"));
    }
}
