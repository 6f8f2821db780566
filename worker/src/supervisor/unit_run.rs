//! One unit from its lease to its end: child and fetch side by side, the pass, uploads, commit; or what went wrong, told to the server.

use std::{
    future::Future,
    panic::AssertUnwindSafe,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{FutureExt, future::BoxFuture};
use mps_media::failure;
use mps_proto::{
    v1::{ErrorReason, Phase},
    worker::v1::{
        ChildOrder, ChildReport, ChildResult, CompletedNode, Failure, GetInputUrlRequest, UnitAttempt, UnitLease, child_report::Report,
    },
};
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval},
};
use tracing::Instrument;

use super::{
    Worker,
    board::{Card, Order},
    child::{ChildProcess, Ladder},
    outputs,
    scratch::AttemptFolder,
};
use crate::{
    fetch::Source,
    rpc::{Rpc, failure_of},
};

/// How often a task that fetches or uploads says that it lives.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// A child whose pipe is silent for so long is frozen; it beats every second.
const SILENCE: Duration = Duration::from_secs(30);

/// Why a unit did not come to its end.
pub struct Unfinished {
    pub failure: Failure,
    /// The child crashed or hung: the nodes are tried apart.
    pub split: bool,
}

impl From<Failure> for Unfinished {
    fn from(failure: Failure) -> Self {
        Self { failure, split: false }
    }
}

/// Carries out a lease. Never panics; the card leaves the board at the end.
pub async fn run(worker: Arc<Worker>, lease: UnitLease, card: Arc<Card>) {
    let span = tracing::info_span!(
        "unit",
        unit.id = lease.unit_id,
        unit.attempt = lease.attempt,
        task = lease.task_name
    );
    mps_telemetry::set_parent(&span, &lease.traceparent);
    let unit = Unit {
        worker: worker.clone(),
        lease,
        card: card.clone(),
    };
    async {
        let running: BoxFuture<'_, ()> = Box::pin(unit.run());
        if AssertUnwindSafe(running).catch_unwind().await.is_err() {
            let message = "the worker failed inside";
            let failure = failure::node(ErrorReason::Internal, message, "see the worker's log and report it");
            unit.tell_failure(failure.into(), String::new()).await;
        }
    }
    .instrument(span)
    .await;
    worker.board.remove(&card);
}

pub struct Unit {
    pub(super) worker: Arc<Worker>,
    lease: UnitLease,
    pub(super) card: Arc<Card>,
}

/// What a pass brought, uploaded.
pub struct Finished {
    pub nodes: Vec<CompletedNode>,
    pub result: ChildResult,
}

impl Unit {
    async fn run(&self) {
        let opened = self.worker.scratch.attempt(&self.lease.unit_id, self.lease.attempt);
        let folder = match opened {
            Ok(folder) => folder,
            Err(error) => {
                let failure = failure::node(
                    disk_reason(&error),
                    format!("scratch cannot be made: {error}"),
                    "check the worker's disk",
                );
                return self.tell_failure(failure.into(), String::new()).await;
            }
        };
        let started = self.worker.start_child(&folder).await;
        let (child, reports) = match started {
            Ok(started) => started,
            Err(error) => {
                let message = format!("the child cannot be started: {error}");
                let failure = failure::node(ErrorReason::Internal, message, "see the worker's log");
                return self.tell_failure(failure.into(), String::new()).await;
            }
        };
        tracing::debug!("child started");
        // Not cut off by an order: dropping it drops fetch and upload.
        let ended = tokio::select! {
            biased;
            order = self.card.interrupted() => return self.give_up(order, &child).await,
            ended = self.work(&folder, &child, reports).boxed() => ended,
        };
        match ended {
            Ok(finished) => {
                let (committed, _) = tokio::join!(self.complete(finished).boxed(), child.stop(Ladder::FINISHED));
                self.tell_commit(committed).await;
            }
            Err(unfinished) => {
                let status = child.stop(Ladder::CANCELLED).await;
                tracing::debug!(?status, "child ended");
                self.tell_failure(unfinished, child.log_tail()).await;
            }
        }
    }

    /// Fetch, pass and uploads.
    async fn work(
        &self,
        folder: &AttemptFolder,
        child: &Arc<ChildProcess>,
        mut reports: mpsc::Receiver<ChildReport>,
    ) -> Result<Finished, Unfinished> {
        self.enter(Phase::Fetching);
        let input_path = folder.path().join(input_file(&self.lease.input_name));
        let fetching = beating(&self.card, self.fetch(&input_path).boxed());
        tokio::select! {
            fetched = fetching => { fetched?; }
            () = end_of(&mut reports) => return Err(self.crashed(child).await),
        }
        let order = ChildOrder {
            plan: self.lease.plan.clone(),
            input_path: input_path.display().to_string(),
            output_folder: folder.outputs().display().to_string(),
            traceparent: mps_telemetry::current_traceparent(),
            input_name: self.lease.input_name.clone(),
            ..ChildOrder::default()
        };
        self.enter(Phase::Processing);
        let result = self.supervise(child, order, &mut reports).boxed().await?;
        if let Some(failure) = result.failure.clone() {
            return Err(failure.into());
        }
        self.enter(Phase::Publishing);
        let plan = self.lease.plan.clone().unwrap_or_default();
        let uploading = outputs::upload(&self.worker.uploader, &self.card.token, &plan, folder, &result);
        let nodes = beating(&self.card, uploading.boxed()).await?;
        Ok(Finished { nodes, result })
    }

    async fn fetch(&self, path: &std::path::Path) -> Result<(), Failure> {
        let (rpc, unit, patience) = (
            self.worker.rpc.clone(),
            self.card.token.clone(),
            self.worker.config.offline_patience,
        );
        let urls = move || -> BoxFuture<'static, Result<Source, Failure>> { Box::pin(input_url(rpc.clone(), unit.clone(), patience)) };
        let room = self.worker.scratch.free_bytes().unwrap_or(u64::MAX);
        let bytes = self.worker.fetcher.fetch(&urls, path, room).await?;
        tracing::debug!(bytes, "input fetched");
        Ok(())
    }

    /// Hands the order over and listens until the result.
    async fn supervise(
        &self,
        child: &Arc<ChildProcess>,
        order: ChildOrder,
        reports: &mut mpsc::Receiver<ChildReport>,
    ) -> Result<ChildResult, Unfinished> {
        let sending = child.send(order);
        let listening = self.listen(reports);
        // A child that does not read its order is found by its silence, and one that is gone by the end of its reports.
        let (_, heard) = tokio::join!(
            async {
                if let Err(error) = sending.await {
                    tracing::debug!(%error, "the child did not take its order");
                }
            },
            async {
                let heard = listening.await;
                if !matches!(heard, Ok(Some(_))) {
                    child.stop(Ladder::CANCELLED).await;
                }
                heard
            }
        );
        match heard {
            Ok(Some(result)) => Ok(result),
            Ok(None) => Err(self.crashed(child).await),
            Err(unfinished) => Err(unfinished),
        }
    }

    /// Reads reports until the result; `None` when they end before it.
    async fn listen(&self, reports: &mut mpsc::Receiver<ChildReport>) -> Result<Option<ChildResult>, Unfinished> {
        let patience = self.worker.config.no_progress_timeout;
        let (mut ticks, mut moved, mut heard) = (-1, Instant::now(), Instant::now());
        loop {
            let report = tokio::time::timeout(HEARTBEAT, reports.recv()).await;
            if let Ok(report) = report {
                let Some(report) = report else { return Ok(None) };
                heard = Instant::now();
                self.card.alive.touch();
                match report.report {
                    Some(Report::Result(result)) => return Ok(Some(result)),
                    Some(Report::Progress(progress)) => {
                        if progress.ticks != ticks {
                            (ticks, moved) = (progress.ticks, heard);
                        }
                        self.card.report(progress.nodes);
                    }
                    Some(Report::Beat(_) | Report::Member(_)) | None => {}
                }
            }
            if moved.elapsed() > patience {
                return Err(stalled(format!("nothing moved in the pass for {} s", patience.as_secs())));
            }
            if heard.elapsed() > SILENCE {
                return Err(stalled(format!("the child said nothing for {} s", SILENCE.as_secs())));
            }
        }
    }

    /// The child ended without a result.
    async fn crashed(&self, child: &ChildProcess) -> Unfinished {
        let status = child.stop(Ladder::CANCELLED).await;
        let how = status.map_or_else(|| "in an unknown way".into(), |status| status.to_string());
        let message = format!("the processing child ended without a result ({how})");
        Unfinished {
            failure: failure::node(
                ErrorReason::ChildCrashed,
                message,
                "the last lines of its log stand in the worker's report",
            ),
            split: self.nodes().count() > 1,
        }
    }

    /// Ends the child as the order says, and tells the server where it waits for that.
    async fn give_up(&self, order: Order, child: &ChildProcess) {
        let ladder = match order {
            Order::Cancelled | Order::Released => Ladder::CANCELLED,
            Order::Fenced | Order::Abandoned | Order::Go => Ladder::AT_ONCE,
        };
        if child.stop(ladder).await.is_none() {
            tracing::error!("the child cannot be killed");
        }
        tracing::info!(?order, "unit given up");
        if matches!(order, Order::Cancelled | Order::Released) {
            self.hand_back(order).await;
        }
    }

    fn nodes(&self) -> impl Iterator<Item = &str> {
        self.lease.plan.iter().flat_map(|plan| &plan.nodes).map(|node| node.key.as_str())
    }

    fn enter(&self, phase: Phase) {
        self.card.enter(phase, self.nodes());
    }
}

/// Runs a future of the unit's task; while it runs, the unit counts as alive.
pub async fn beating<T>(card: &Card, future: impl Future<Output = T>) -> T {
    tokio::pin!(future);
    let mut beats = interval(HEARTBEAT);
    beats.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            ended = &mut future => return ended,
            _ = beats.tick() => card.alive.touch(),
        }
    }
}

/// Asks for the input's URL until the server answers.
async fn input_url(rpc: Rpc, unit: UnitAttempt, patience: Duration) -> Result<Source, Failure> {
    let request = GetInputUrlRequest {
        unit: Some(unit),
        side_input_id: String::new(),
    };
    let answer = rpc
        .call(patience, |mut client| {
            let request = request.clone();
            async move { client.get_input_url(request).await }
        })
        .await
        .map_err(|error| failure_of(&error, "the input's URL"))?;
    Ok(Source {
        url: answer.url,
        untrusted: answer.untrusted,
        allow_private: answer.allow_private,
    })
}

/// Reads reports until there are no more.
async fn end_of(reports: &mut mpsc::Receiver<ChildReport>) {
    while reports.recv().await.is_some() {}
}

fn stalled(message: String) -> Unfinished {
    Unfinished {
        failure: failure::node(ErrorReason::Stalled, message, "the input may be one that decoders hang on"),
        split: true,
    }
}

fn disk_reason(error: &std::io::Error) -> ErrorReason {
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => ErrorReason::DiskFull,
        _ => ErrorReason::Internal,
    }
}

/// `input` with the suffix of the input's name, if that is a plain one.
fn input_file(input_name: &str) -> PathBuf {
    let path = match url::Url::parse(input_name) {
        Ok(url) if url.has_host() => url.path().to_owned(),
        _ => input_name.to_owned(),
    };
    let name = path.rsplit('/').next().unwrap_or_default();
    let suffix = name.rsplit_once('.').map(|(_, suffix)| suffix).unwrap_or_default();
    let is_plain = (1..=8).contains(&suffix.len()) && suffix.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_plain {
        format!("input.{suffix}").into()
    } else {
        "input".into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_keeps_a_plain_suffix_only() {
        for (name, file) in [
            ("in/clip.mp4", "input.mp4"),
            ("https://host/a/my%20clip.MOV?x=1.ts", "input.MOV"),
            ("https://example.com", "input"),
            ("noise", "input"),
            ("a.b/c", "input"),
            ("x.mp4;rm", "input"),
            ("x.averylongsuffix", "input"),
        ] {
            assert_eq!(input_file(name), PathBuf::from(file), "{name}");
        }
    }
}
