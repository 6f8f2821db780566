//! Rolling a commit forward: each upload is completed exactly once, decided in the database before the call. Whoever holds the
//! commit does it; a server that lost it stops.

use std::{collections::HashMap, time::Duration};

use futures::{StreamExt, stream};
use mps_proto::{
    v1::OnConflict,
    worker::v1::{CompleteUnitRequest, CompletedOutput},
};
use prost::Message;

use super::{publish, ttl_ms};
use crate::{
    app::App,
    service::{
        crash::crash_point,
        fail::{self, AttemptOver},
        fence::UnitError,
        sets::{self, Finished},
        states::{UnitState, UploadState},
        uploads::MARK,
    },
    storage::{Bucket, Head, StorageError, StorageErrorKind},
    store::{
        commits,
        leases::{self, Token, UnitRow},
        tasks,
        uploads::{self, UploadRow},
    },
};

/// Uploads of one commit that are completed at a time.
const AT_ONCE: usize = 8;
/// How long a storage that does not answer is asked again, before the unit is queued again.
const STORAGE_PATIENCE: Duration = Duration::from_secs(300);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How a commit ended here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitEnd {
    Published,
    /// The unit was queued again, or failed.
    GivenUp,
    /// Another server has it.
    Lost,
}

/// Rolls a commit that this server holds forward to its end. A database that does not answer is asked again.
pub async fn roll_forward(app: App, token: Token) -> CommitEnd {
    let mut pause = Duration::from_millis(250);
    loop {
        match run(&app, &token).await {
            Ok(end) => return end,
            Err(error) => tracing::warn!(%error, unit.id = %token.unit_id, "commit is tried again"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
        match commits::hold(&app.store, app.store.writer(), &token, &app.replica_id, ttl_ms(&app)).await {
            Ok(true) | Err(_) => {}
            Ok(false) => return CommitEnd::Lost,
        }
    }
}

/// Holds the commit while uploads are completed; returns when another server has it, or when it is over.
async fn keep_hold(app: &App, token: &Token) {
    loop {
        tokio::time::sleep(app.config.commit_ttl / 3).await;
        if let Ok(false) = commits::hold(&app.store, app.store.writer(), token, &app.replica_id, ttl_ms(app)).await {
            return;
        }
    }
}

/// What became of one upload.
#[derive(Debug)]
enum Completed {
    Done,
    /// Somebody else's object stands there, and the task is not to replace it.
    Refused,
    /// Parts are missing, or the provider refuses for good.
    Gone(String),
}

async fn run(app: &App, token: &Token) -> Result<CommitEnd, UnitError> {
    let unit = leases::get(&app.store, &token.unit_id).await?;
    let held = |unit: &UnitRow| {
        unit.state == UnitState::Committing && unit.attempt == token.attempt && unit.commit_by.as_deref() == Some(&*app.replica_id)
    };
    let Some(unit) = unit.filter(held) else {
        return Ok(CommitEnd::Lost);
    };
    let list = unit.commit_list.as_deref().unwrap_or_default();
    let request = CompleteUnitRequest::decode(list).map_err(|error| sea_orm::DbErr::Type(error.to_string()))?;
    let refuse = tasks::get(&app.store, &unit.project, &unit.task_id)
        .await?
        .is_some_and(|task| task.task.on_conflict() == OnConflict::Refuse);
    let fates = tokio::select! {
        fates = complete_all(app, token, &request, refuse) => fates?,
        () = keep_hold(app, token) => return Ok(CommitEnd::Lost),
    };
    let mut refused = Vec::new();
    for (output_id, fate) in fates {
        match fate {
            Completed::Done => {}
            Completed::Refused => refused.push(output_id),
            Completed::Gone(message) => return give_up(app, &unit, token, &message).await,
        }
    }
    let finished = tokio::select! {
        finished = finish_sets(app, &unit, &request) => finished?,
        () = keep_hold(app, token) => return Ok(CommitEnd::Lost),
    };
    let finished = match finished {
        Ok(finished) => finished,
        Err(message) => return give_up(app, &unit, token, &message).await,
    };
    crash_point("commit.before_publish");
    publish::publish(app, token, &unit, &request, &refused, &finished).await
}

/// Writes the last playlists of the sets of good nodes. A message: the storage does not take them.
async fn finish_sets(app: &App, unit: &UnitRow, request: &CompleteUnitRequest) -> Result<Result<Vec<Finished>, String>, UnitError> {
    let is_good = |key: &str| request.nodes.iter().any(|node| node.key == key && node.failure.is_none());
    let good = unit.plan.nodes.iter().filter(|node| is_good(&node.key));
    let mut all = Vec::new();
    for set in good.filter_map(|node| node.set.as_ref()) {
        match patiently_finish(app, &set.set_id).await? {
            Ok(finished) => all.push(finished),
            Err(message) => return Ok(Err(message)),
        }
    }
    Ok(Ok(all))
}

async fn patiently_finish(app: &App, set_id: &str) -> Result<Result<Finished, String>, UnitError> {
    let start = std::time::Instant::now();
    let mut pause = Duration::from_millis(200);
    loop {
        match sets::finish(app, set_id).await {
            Ok(finished) => return Ok(Ok(finished)),
            Err(UnitError::Api(error)) if error.code != tonic::Code::Unavailable || start.elapsed() > STORAGE_PATIENCE => {
                return Ok(Err(error.to_string()));
            }
            Err(UnitError::Api(error)) => tracing::debug!(%error, "storage is asked again for playlists"),
            Err(error) => return Err(error),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn give_up(app: &App, unit: &UnitRow, token: &Token, message: &str) -> Result<CommitEnd, UnitError> {
    tracing::warn!(unit.id = %unit.id, attempt = unit.attempt, message, "commit is given up");
    let ended = fail::end_attempt(app, &unit.task_id, token, AttemptOver::uncommitted(message)).await?;
    Ok(if ended { CommitEnd::GivenUp } else { CommitEnd::Lost })
}

async fn complete_all(
    app: &App,
    token: &Token,
    request: &CompleteUnitRequest,
    refuse: bool,
) -> Result<Vec<(String, Completed)>, UnitError> {
    let rows = uploads::of_attempt(&app.store, token).await?;
    let mut rows: HashMap<String, UploadRow> = rows.into_iter().map(|row| (row.id.clone(), row)).collect();
    let good = request.nodes.iter().filter(|node| node.failure.is_none());
    let mut work = Vec::new();
    for output in good.flat_map(|node| &node.outputs) {
        work.push((output.clone(), rows.remove(&output.upload_id)));
    }
    let results: Vec<_> = stream::iter(work)
        .map(|(output, row)| async move {
            let fate = match row {
                Some(row) => complete_one(app, &output, &row, refuse).await?,
                None => Completed::Gone("the upload is not known".into()),
            };
            Ok::<_, UnitError>((output.output_id, fate))
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    results.into_iter().collect()
}

/// Completes one upload, however often it is asked to.
async fn complete_one(app: &App, output: &CompletedOutput, upload: &UploadRow, refuse: bool) -> Result<Completed, UnitError> {
    if upload.is(UploadState::Completed) {
        return Ok(Completed::Done);
    }
    let bucket = match patiently(|| app.storages.open(&upload.project, &upload.storage_id)).await {
        Ok(bucket) => bucket,
        Err(error) => return Ok(Completed::Gone(error.message)),
    };
    if refuse && upload.is(UploadState::Open) && stands_in_the_way(app, &bucket, upload).await? {
        return Ok(Completed::Refused);
    }
    let undecided = [UploadState::Open, UploadState::Completing];
    if !uploads::advance(&app.store, &upload.id, &undecided, UploadState::Completing).await? {
        return Ok(Completed::Gone("the upload was aborted".into()));
    }
    let completed = complete_at_provider(&bucket, output, upload).await;
    if let Err(error) = completed {
        return Ok(Completed::Gone(error.message));
    }
    uploads::advance(&app.store, &upload.id, &[UploadState::Completing], UploadState::Completed).await?;
    crash_point("commit.completed_one");
    Ok(Completed::Done)
}

/// Whether an object that no run of this task made stands at the key.
async fn stands_in_the_way(app: &App, bucket: &Bucket, upload: &UploadRow) -> Result<bool, UnitError> {
    let head = patiently(|| bucket.head(&upload.object_key)).await?;
    match head.as_ref().map(mark_of) {
        None => Ok(false),
        Some(None) => Ok(true),
        Some(Some(mark)) => Ok(!commits::is_of_task(&app.store, &upload.task_id, mark).await?),
    }
}

fn mark_of(head: &Head) -> Option<&str> {
    head.metadata.get(MARK).map(String::as_str)
}

async fn complete_at_provider(bucket: &Bucket, output: &CompletedOutput, upload: &UploadRow) -> Result<(), StorageError> {
    let provider_id = upload.provider_id.as_deref().unwrap_or_default();
    let parts: Vec<(i32, String)> = (1..).zip(output.part_etags.iter().cloned()).collect();
    let completed = patiently(|| bucket.complete_multipart(&upload.object_key, provider_id, &parts)).await;
    match completed {
        Ok(_) => Ok(()),
        // a repeat: some providers say so although the first call succeeded
        Err(error) if error.kind == StorageErrorKind::NoSuchUpload => {
            let head = patiently(|| bucket.head(&upload.object_key)).await?;
            let ours = |head: &Head| head.size_bytes == upload.size_bytes && mark_of(head) == Some(upload.mark().as_str());
            if head.is_some_and(|head| ours(&head)) { Ok(()) } else { Err(error) }
        }
        Err(error) => Err(error),
    }
}

/// Asks a storage that does not answer again, for a while.
async fn patiently<T, F>(call: impl Fn() -> F) -> Result<T, StorageError>
where
    F: Future<Output = Result<T, StorageError>>,
{
    let start = std::time::Instant::now();
    let mut pause = Duration::from_millis(200);
    loop {
        match call().await {
            Err(error) if error.kind == StorageErrorKind::Unavailable && start.elapsed() < STORAGE_PATIENCE => {
                tracing::debug!(%error, "storage is asked again");
            }
            answer => return answer,
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
