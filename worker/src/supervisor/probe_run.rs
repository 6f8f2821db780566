//! A probe: parts of the input are fetched and looked at. Where they do not tell, the whole is, as far as a probe may fetch it.

use std::{path::Path, sync::Arc, time::Duration};

use futures::FutureExt;
use mps_media::failure;
use mps_proto::{
    v1::ErrorReason,
    worker::v1::{ChildOrder, ChildReport, ChildResult, Failure, FailureKind},
};
use tokio::sync::mpsc;

use super::{
    child::{ChildProcess, Ladder},
    scratch::AttemptFolder,
    unit_run::{Finished, Unfinished, Unit, beating, end_of, input_file},
};
use crate::fetch::Fetched;

/// What a file that is not there as a whole may wrongly be taken for.
const DOUBTFUL: [ErrorReason; 3] = [ErrorReason::InputNotMedia, ErrorReason::InputTruncated, ErrorReason::InputDamaged];

impl Unit {
    /// A probe belongs to no task.
    pub(super) fn is_probe(&self) -> bool {
        self.lease.task_name.is_empty()
    }

    /// Somebody waits for the answer: it is there within the deadline, or the probe has failed.
    pub(super) async fn probe(
        &self,
        folder: &AttemptFolder,
        child: &Arc<ChildProcess>,
        reports: mpsc::Receiver<ChildReport>,
    ) -> Result<Finished, Unfinished> {
        let deadline = self.worker.config.probe.deadline;
        let looking = self.look(folder, child, reports).boxed();
        let ended = tokio::time::timeout(deadline, beating(&self.card, looking)).await;
        let result = ended.unwrap_or_else(|_| Err(unanswered(deadline).into()))?;
        match result.failure.clone() {
            Some(failure) => Err(failure.into()),
            None => Ok(Finished { nodes: Vec::new(), result }),
        }
    }

    async fn look(
        &self,
        folder: &AttemptFolder,
        child: &Arc<ChildProcess>,
        mut reports: mpsc::Receiver<ChildReport>,
    ) -> Result<ChildResult, Unfinished> {
        let path = folder.path().join(input_file(&self.lease.input_name));
        let (urls, most) = (self.input_urls(""), self.worker.config.probe.max_bytes);
        let fetcher = &self.worker.fetcher;
        let fetched = tokio::select! {
            fetched = fetcher.fetch_parts(&urls, &path, most) => fetched?,
            () = end_of(&mut reports) => return Err(self.crashed(child).await),
        };
        if fetched.is_playlist {
            return self.look_at_playlist(folder, child, reports).await;
        }
        let result = self.ask(child, self.order(folder, &path, !fetched.is_whole()), reports).await?;
        if !may_be_wrong(&fetched, &result) {
            return Ok(result);
        }
        child.stop(Ladder::FINISHED).await;
        fetcher.fetch_rest(&urls, &path, most, fetched).await?;
        let started = self.worker.start_child(folder, 0).await;
        let (second, reports) = started.map_err(|error| failure::node(ErrorReason::Internal, error.to_string(), "see the worker's log"))?;
        let result = self.ask(&second, self.order(folder, &path, false), reports).await;
        second.stop(Ladder::FINISHED).await;
        result
    }

    async fn look_at_playlist(
        &self,
        folder: &AttemptFolder,
        child: &Arc<ChildProcess>,
        mut reports: mpsc::Receiver<ChildReport>,
    ) -> Result<ChildResult, Unfinished> {
        let plan = self.lease.plan.clone().unwrap_or_default();
        let input = tokio::select! {
            fetched = self.fetch_playlist(&plan, folder.path()) => fetched?,
            () = end_of(&mut reports) => return Err(self.crashed(child).await),
        };
        let mut result = self.ask(child, self.order(folder, &input.path, false), reports).await?;
        result.input.iter_mut().for_each(|media| input.describe(media));
        Ok(result)
    }

    async fn ask(
        &self,
        child: &Arc<ChildProcess>,
        order: ChildOrder,
        mut reports: mpsc::Receiver<ChildReport>,
    ) -> Result<ChildResult, Unfinished> {
        // A probe makes nothing.
        let (members, _) = mpsc::channel(1);
        self.supervise(child, order, &mut reports, members).boxed().await
    }

    fn order(&self, folder: &AttemptFolder, input: &Path, is_partial: bool) -> ChildOrder {
        ChildOrder {
            plan: self.lease.plan.clone(),
            input_path: input.display().to_string(),
            output_folder: folder.outputs().display().to_string(),
            traceparent: mps_telemetry::current_traceparent(),
            input_name: self.lease.input_name.clone(),
            is_partial,
            ..ChildOrder::default()
        }
    }
}

/// Whether the whole file might show something else than its parts did.
fn may_be_wrong(fetched: &Fetched, result: &ChildResult) -> bool {
    let is_doubtful = |failure: &Failure| {
        let reason = failure::reason_of(failure);
        failure.kind() == FailureKind::Data && DOUBTFUL.iter().any(|doubtful| doubtful.reason() == reason)
    };
    !fetched.is_whole() && !fetched.is_no_media && result.failure.as_ref().is_some_and(is_doubtful)
}

fn unanswered(deadline: Duration) -> Failure {
    let message = format!("the input was not fetched and looked at within {} s", deadline.as_secs());
    let hint = "check that the input's server is fast enough; a task takes the time that it needs";
    failure::outside(ErrorReason::InputUnavailable, message, hint)
}
