//! ProbeMedia: a unit without a task, before all others; the call waits for its result.

use std::time::{Duration, Instant};

use mps_proto::{
    name::{full, new_id},
    rpc,
    v1::{self, ErrorReason, MediaInfo, TaskInput, task_input::Source},
};
use tonic::Code;

use super::{accept, estimates, fail::errors};
use crate::{
    app::App,
    error::ApiError,
    storage::{Need, StorageErrorKind},
    store::{
        probes,
        units::{self, NewUnit, PROBE_PRIORITY},
    },
};

/// How long a probe may take, from the call to its result.
const DEADLINE: Duration = Duration::from_secs(20);
const FIRST_POLL: Duration = Duration::from_millis(20);
const LAST_POLL: Duration = Duration::from_millis(200);

/// Says what an input contains.
pub async fn probe(app: &App, project: &str, input: TaskInput) -> Result<MediaInfo, ApiError> {
    let input = check(app, project, input).await?;
    let unit_id = new_id();
    let plan = mps_plan::plan_probe(accept::input_limits(app));
    let unit = NewUnit {
        id: unit_id.clone(),
        task_id: String::new(),
        project: project.to_owned(),
        run: 0,
        pool: app.config.default_pool.clone(),
        requirements: mps_plan::requirements(&plan),
        priority: PROBE_PRIORITY,
        cost: mps_plan::cost(&plan),
        plan,
        attempt: 0,
        charged: 0,
    };
    let txn = app.store.begin().await?;
    probes::insert(&app.store, &txn, &unit_id, project, &input).await?;
    units::insert(&app.store, &txn, &[unit]).await?;
    txn.commit().await?;
    app.queue.wake_for_probe(&app.config.default_pool).await;
    let media = wait(app, &unit_id).await?;
    estimates::learn_input(app, project, &input, &media).await;
    Ok(media)
}

/// Input with the storage's full name, readable by this project.
async fn check(app: &App, project: &str, input: TaskInput) -> Result<TaskInput, ApiError> {
    match input.source {
        Some(Source::Object(object)) => {
            let Some((found, storage_id)) = mps_proto::name::parse(&object.storage, "storages") else {
                return Err(ApiError::invalid_field("input.object.storage", "write a storage's name or id"));
            };
            if found.is_some_and(|found| found != project) {
                return Err(ApiError::invalid_field("input.object.storage", "the storage is another project's"));
            }
            mps_plan::check_object_key(&object.key).map_err(|fault| ApiError::invalid_field("input.object.key", fault))?;
            let bucket = app.storages.open(project, storage_id).await.map_err(|error| match error.kind {
                StorageErrorKind::NotFound => ApiError::invalid_field("input.object.storage", error.message),
                _ => ApiError::new(Code::Unavailable, ErrorReason::StorageUnavailable, error.message),
            })?;
            if !bucket.permits(Need::Read) {
                return Err(ApiError::new(
                    Code::FailedPrecondition,
                    ErrorReason::StoragePermission,
                    format!("storage {storage_id} is not authorised to read"),
                ));
            }
            Ok(TaskInput {
                source: Some(Source::Object(v1::StorageObject {
                    storage: full(project, "storages", storage_id),
                    key: object.key,
                })),
            })
        }
        Some(Source::Url(url)) => {
            let is_web = url::Url::parse(&url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
            if !is_web {
                return Err(ApiError::invalid_field("input.url", "write an http or https URL with a host"));
            }
            Ok(TaskInput {
                source: Some(Source::Url(url)),
            })
        }
        None => Err(ApiError::invalid_field("input", "set object or url")),
    }
}

async fn wait(app: &App, unit_id: &str) -> Result<MediaInfo, ApiError> {
    let deadline = Instant::now() + DEADLINE;
    let mut pause = FIRST_POLL;
    while Instant::now() < deadline {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LAST_POLL);
        let Some(result) = probes::result(&app.store, unit_id).await? else {
            continue;
        };
        probes::abandon(&app.store, unit_id).await?;
        return match (result.failure.and_then(|failure| failure.status), result.input) {
            (Some(status), _) => Err(of_status(&status)),
            (None, Some(media)) => Ok(media),
            (None, None) => Err(ApiError::internal("a probe gave neither a result nor a failure")),
        };
    }
    probes::abandon(&app.store, unit_id).await?;
    Err(ApiError::new(
        Code::DeadlineExceeded,
        ErrorReason::Overloaded,
        format!("no worker probed the input within {} s", DEADLINE.as_secs()),
    )
    .hint("`mps worker list` shows whether workers are connected and free"))
}

/// A worker's failure as the call's own.
fn of_status(status: &rpc::Status) -> ApiError {
    let info = errors::info_of(status).unwrap_or_default();
    let reason = ErrorReason::from_str_name(&format!("ERROR_REASON_{}", info.reason)).unwrap_or(ErrorReason::Internal);
    let mut error = ApiError::new(Code::from(status.code), reason, status.message.clone());
    error.metadata = info.metadata;
    error
}
