//! Members of sets on their way from the child to the server, while the pass goes on: uploaded side by side, committed in order, in
//! batches; the scratch file goes when its member is committed. A set that cannot go on takes only its node with it.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{StreamExt, stream::FuturesOrdered};
use mps_media::failure;
use mps_proto::{
    v1::ErrorReason,
    worker::v1::{ChildMember, Failure, SetMember, SetProgress, SetResume, UnitAttempt},
};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};

use super::scratch::file_within;
use crate::upload::Uploader;

/// Members that wait; beyond, the child waits.
pub const WAITING: usize = 32;
/// Members that are uploaded at a time.
const UPLOADS_AT_ONCE: usize = 6;
/// While more come, members are committed so often.
const COMMIT_EVERY: Duration = Duration::from_millis(500);
/// Most members of one commit.
const MOST_AT_ONCE: usize = 256;

/// Sets that cannot go on, and why.
pub type FailedSets = HashMap<String, Failure>;

/// What a new attempt's child is told of sets.
pub fn resumes(sets: &[SetProgress]) -> Vec<SetResume> {
    let resume = |set: &SetProgress| SetResume {
        set_id: set.set_id.clone(),
        segments: set.tracks.iter().map(|track| track.segments).collect(),
        init_sha256: set.tracks.iter().map(|track| track.init_sha256.clone()).collect(),
    };
    sets.iter().map(resume).collect()
}

/// A member that was uploaded.
struct Uploaded {
    set_id: String,
    member: SetMember,
    path: PathBuf,
}

/// Takes members to the server until there are no more.
pub struct SetUploads {
    pub uploader: Arc<Uploader>,
    pub unit: UnitAttempt,
    /// Where the child writes.
    pub folder: PathBuf,
    pub failed: Mutex<FailedSets>,
}

impl SetUploads {
    pub async fn run(self, reports: mpsc::Receiver<ChildMember>) -> FailedSets {
        let (sender, uploaded) = mpsc::channel(WAITING);
        tokio::join!(self.upload_all(reports, sender), self.commit_all(uploaded));
        self.failed.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn fail(&self, set_id: &str, failure: Failure) {
        let message = failure.status.as_ref().map(|status| status.message.clone()).unwrap_or_default();
        tracing::warn!(set_id, message, "a set cannot go on");
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.entry(set_id.to_owned()).or_insert(failure);
    }

    fn has_failed(&self, set_id: &str) -> bool {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).contains_key(set_id)
    }

    async fn upload_all(&self, mut reports: mpsc::Receiver<ChildMember>, uploaded: mpsc::Sender<Uploaded>) {
        // in order, so that members are committed without gaps
        let mut uploads = FuturesOrdered::new();
        let mut more = true;
        while more || !uploads.is_empty() {
            tokio::select! {
                report = reports.recv(), if more && uploads.len() < UPLOADS_AT_ONCE => match report {
                    Some(report) => {
                        // tracks come first: they say what a track's members are called
                        self.tell_tracks(&report).await;
                        uploads.push_back(self.upload(report));
                    }
                    None => more = false,
                },
                Some(done) = uploads.next(), if !uploads.is_empty() => {
                    if let Some(done) = done
                        && uploaded.send(done).await.is_err()
                    {
                        return;
                    }
                }
            }
        }
    }

    async fn tell_tracks(&self, report: &ChildMember) {
        if report.tracks.is_empty() || self.has_failed(&report.set_id) {
            return;
        }
        if let Err(failure) = self.uploader.commit_members(&self.unit, &report.set_id, &report.tracks, &[]).await {
            self.fail(&report.set_id, failure);
        }
    }

    async fn upload(&self, report: ChildMember) -> Option<Uploaded> {
        let member = report.member?;
        let Some(path) = file_within(&self.folder, &report.path) else {
            let message = "the child names a segment that is not among its files";
            self.fail(
                &report.set_id,
                failure::node(ErrorReason::Internal, message, "see the worker's log and report it"),
            );
            return None;
        };
        if self.has_failed(&report.set_id) {
            remove(&path).await;
            return None;
        }
        match self.uploader.upload_member(&self.unit, &report.set_id, &member, &path).await {
            Ok(()) => Some(Uploaded {
                set_id: report.set_id,
                member,
                path,
            }),
            Err(failure) => {
                self.fail(&report.set_id, failure);
                remove(&path).await;
                None
            }
        }
    }

    async fn commit_all(&self, mut uploaded: mpsc::Receiver<Uploaded>) {
        let mut next = Instant::now();
        while let Some(first) = uploaded.recv().await {
            let mut batch = vec![first];
            while batch.len() < MOST_AT_ONCE {
                match timeout_at(next, uploaded.recv()).await {
                    Ok(Some(more)) => batch.push(more),
                    Ok(None) | Err(_) => break,
                }
            }
            self.commit(batch).await;
            next = Instant::now() + COMMIT_EVERY;
        }
    }

    async fn commit(&self, batch: Vec<Uploaded>) {
        let mut by_set: HashMap<String, Vec<Uploaded>> = HashMap::new();
        for uploaded in batch {
            by_set.entry(uploaded.set_id.clone()).or_default().push(uploaded);
        }
        for (set_id, uploaded) in by_set {
            let mut members: Vec<SetMember> = uploaded.iter().map(|uploaded| uploaded.member.clone()).collect();
            members.sort_by_key(|member| (member.track, member.index));
            if !self.has_failed(&set_id) {
                let committed = self.uploader.commit_members(&self.unit, &set_id, &[], &members).await;
                if let Err(failure) = committed {
                    self.fail(&set_id, failure);
                }
            }
            for uploaded in uploaded {
                remove(&uploaded.path).await;
            }
        }
    }
}

/// The folder of the attempt is removed at its end in any case.
async fn remove(path: &std::path::Path) {
    if let Err(error) = tokio::fs::remove_file(path).await {
        tracing::debug!(%error, path = %path.display(), "a segment's file cannot be removed");
    }
}

#[cfg(test)]
mod tests;
