//! One unit from its lease to its end: child and fetch side by side, the pass, uploads, commit; or what went wrong, told to the server.

use std::{
    future::Future,
    panic::AssertUnwindSafe,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use futures::{FutureExt, future::BoxFuture};
use mps_media::failure;
use mps_proto::{
    v1::{ErrorReason, Phase},
    worker::v1::{
        ChildMember, ChildOrder, ChildReport, ChildResult, CompletedNode, Failure, GetInputUrlRequest, UnitLease, child_report::Report,
    },
};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};
use tracing::Instrument;

use super::{
    Worker,
    board::{Card, Order},
    child::{ChildProcess, Ladder},
    outputs,
    scratch::AttemptFolder,
    sets::{self, FailedSets, SetUploads},
    standstill::{furthest, stalled},
};
use crate::{
    fetch::{Room, Source},
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
    pub(super) lease: UnitLease,
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
        let niceness = if self.is_probe() { 0 } else { self.worker.config.niceness };
        let started = self.worker.start_child(&folder, niceness).await;
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
            ended = self.work_or_probe(&folder, &child, reports).boxed() => ended,
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

    async fn work_or_probe(
        &self,
        folder: &AttemptFolder,
        child: &Arc<ChildProcess>,
        reports: mpsc::Receiver<ChildReport>,
    ) -> Result<Finished, Unfinished> {
        if self.is_probe() {
            return self.probe(folder, child, reports).await;
        }
        self.work(folder, child, reports).await
    }

    /// Fetch, pass and uploads.
    async fn work(
        &self,
        folder: &AttemptFolder,
        child: &Arc<ChildProcess>,
        mut reports: mpsc::Receiver<ChildReport>,
    ) -> Result<Finished, Unfinished> {
        self.enter(Phase::Fetching);
        let plan = self.lease.plan.clone().unwrap_or_default();
        let fetching = async {
            let input = self.fetch_input(&plan, folder.path()).await?;
            let sides = self.fetch_side_inputs(&plan, folder.path()).await?;
            Ok::<_, Failure>((input, sides))
        };
        let fetching = beating(&self.card, fetching.boxed());
        let (input, sides) = tokio::select! {
            fetched = fetching => fetched?,
            () = end_of(&mut reports) => return Err(self.crashed(child).await),
        };
        let mut ordered = plan.clone();
        ordered.nodes.retain(|node| !sides.failed.contains_key(&node.key));
        if ordered.nodes.is_empty()
            && let Some(failure) = sides.failed.values().next().cloned()
        {
            return Err(failure.into());
        }
        let order = ChildOrder {
            plan: Some(ordered),
            input_path: input.path.display().to_string(),
            output_folder: folder.outputs().display().to_string(),
            traceparent: mps_telemetry::current_traceparent(),
            input_name: self.lease.input_name.clone(),
            side_inputs: sides.paths,
            sets: sets::resumes(&self.lease.sets),
            is_partial: false,
        };
        self.enter(Phase::Processing);
        let (result, failed_sets) = self.pass(folder, child, order, &mut reports).boxed().await;
        let mut result = result?;
        result.input.iter_mut().for_each(|media| input.describe(media));
        if let Some(failure) = result.failure.clone() {
            return Err(failure.into());
        }
        self.enter(Phase::Publishing);
        let made = outputs::Made {
            folder,
            result: &result,
            failed_nodes: &sides.failed,
            failed_sets: &failed_sets,
        };
        let uploading = outputs::upload(&self.worker.uploader, &self.card.token, &plan, &made);
        let nodes = beating(&self.card, uploading.boxed()).await?;
        Ok(Finished { nodes, result })
    }

    /// The pass, with the uploads of members beside it; what the child gave is brought to its end also where the child did not come to its own.
    async fn pass(
        &self,
        folder: &AttemptFolder,
        child: &Arc<ChildProcess>,
        order: ChildOrder,
        reports: &mut mpsc::Receiver<ChildReport>,
    ) -> (Result<ChildResult, Unfinished>, FailedSets) {
        let (members, waiting) = mpsc::channel(sets::WAITING);
        let uploads = SetUploads {
            uploader: self.worker.uploader.clone(),
            unit: self.card.token.clone(),
            folder: folder.outputs(),
            failed: Mutex::default(),
        };
        // a task of its own, so that uploads go on while the child is listened to; dropped with this future
        let mut uploading = JoinSet::new();
        uploading.spawn(uploads.run(waiting).in_current_span());
        let result = self.supervise(child, order, reports, members).await;
        let joined = beating(&self.card, uploading.join_next().boxed()).await;
        match joined {
            Some(Ok(failed)) => (result, failed),
            _ => {
                let failure = failure::node(ErrorReason::Internal, "uploads of segments failed inside", "see the worker's log");
                (result.and(Err(failure.into())), FailedSets::new())
            }
        }
    }

    /// Fetches a side input of at most so many bytes.
    pub(super) async fn fetch(&self, path: &std::path::Path, side_input_id: &str, max_bytes: i64) -> Result<(), Failure> {
        let urls = self.input_urls(side_input_id);
        let room = Room {
            free: self.free_bytes(),
            most: u64::try_from(max_bytes).ok().filter(|most| *most > 0).unwrap_or(u64::MAX),
        };
        let bytes = self.worker.fetcher.fetch(&urls, path, room).await?;
        tracing::debug!(bytes, "side input fetched");
        Ok(())
    }

    /// Asks the server for the URL of the input, or of a side input.
    pub(super) fn input_urls(&self, side_input_id: &str) -> impl Fn() -> BoxFuture<'static, Result<Source, Failure>> + Send + Sync + use<> {
        let (rpc, patience) = (self.worker.rpc.clone(), self.worker.config.offline_patience);
        let request = GetInputUrlRequest {
            unit: Some(self.card.token.clone()),
            side_input_id: side_input_id.to_owned(),
        };
        move || Box::pin(input_url(rpc.clone(), request.clone(), patience))
    }

    pub(super) fn free_bytes(&self) -> u64 {
        self.worker.scratch.free_bytes().unwrap_or(u64::MAX)
    }

    /// Hands the order over and listens until the result.
    pub(super) async fn supervise(
        &self,
        child: &Arc<ChildProcess>,
        order: ChildOrder,
        reports: &mut mpsc::Receiver<ChildReport>,
        members: mpsc::Sender<ChildMember>,
    ) -> Result<ChildResult, Unfinished> {
        let sending = child.send(order);
        let listening = self.listen(reports, members);
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
    async fn listen(
        &self,
        reports: &mut mpsc::Receiver<ChildReport>,
        members: mpsc::Sender<ChildMember>,
    ) -> Result<Option<ChildResult>, Unfinished> {
        let patience = self.worker.config.no_progress_timeout;
        let (mut ticks, mut moved, mut heard) = (-1, Instant::now(), Instant::now());
        let mut done = None;
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
                        done = furthest(&progress.nodes);
                        self.card.report(progress.nodes);
                    }
                    Some(Report::Member(member)) => {
                        // where uploads are slow the child waits, and that is no standstill of its own
                        let _uploads_ended = beating(&self.card, members.send(member).boxed()).await;
                        (moved, heard) = (Instant::now(), Instant::now());
                    }
                    Some(Report::Beat(_)) | None => {}
                }
            }
            if moved.elapsed() > patience {
                return Err(stalled(format!("nothing moved in the pass for {} s", patience.as_secs()), done));
            }
            if heard.elapsed() > SILENCE {
                return Err(stalled(format!("the child said nothing for {} s", SILENCE.as_secs()), done));
            }
        }
    }

    /// The child ended without a result.
    pub(super) async fn crashed(&self, child: &ChildProcess) -> Unfinished {
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
async fn input_url(rpc: Rpc, request: GetInputUrlRequest, patience: Duration) -> Result<Source, Failure> {
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
pub(super) async fn end_of(reports: &mut mpsc::Receiver<ChildReport>) {
    while reports.recv().await.is_some() {}
}

fn disk_reason(error: &std::io::Error) -> ErrorReason {
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => ErrorReason::DiskFull,
        _ => ErrorReason::Internal,
    }
}

/// `input` with the suffix of the input's name, if that is a plain one.
pub(super) fn input_file(input_name: &str) -> PathBuf {
    match input_suffix(input_name) {
        Some(suffix) => format!("input.{suffix}").into(),
        None => "input".into(),
    }
}

/// The suffix of a key or URL, if it is a plain one.
pub(super) fn input_suffix(input_name: &str) -> Option<String> {
    let path = match url::Url::parse(input_name) {
        Ok(url) if url.has_host() => url.path().to_owned(),
        _ => input_name.to_owned(),
    };
    let name = path.rsplit('/').next().unwrap_or_default();
    let suffix = name.rsplit_once('.').map(|(_, suffix)| suffix).unwrap_or_default();
    let is_plain = (1..=8).contains(&suffix.len()) && suffix.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_plain.then(|| suffix.to_owned())
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
