//! DeleteTask: an ended task, and by wish its published objects where they are still its own.

use mps_proto::{
    name::full,
    v1::{DeleteTaskRequest, DeleteTaskResponse, ErrorReason, StorageObject},
};
use tonic::Code;

use super::{fence::UnitError, idempotency::Replay, sets as service_sets, states::SetState};
use crate::{
    app::App,
    error::ApiError,
    storage::{Need, StorageError},
    store::{
        outputs::{self, OutputRow},
        sets::{self, SetRow},
        tasks::{self, TaskRow},
        units,
    },
};

/// Metadata by which an object says which attempt wrote it.
const WRITER: &str = "mps-upload";

/// Deletes a task.
pub async fn delete_task(app: &App, project: &str, id: &str, request: &DeleteTaskRequest) -> Result<DeleteTaskResponse, ApiError> {
    let replay = Replay::of(project, "DeleteTask", &request.request_id, request)?;
    if let Some(replay) = &replay
        && let Some(first) = replay.first_answer::<DeleteTaskResponse>(app).await?
    {
        return Ok(first);
    }
    let Some(row) = tasks::get(&app.store, project, id).await? else {
        return Err(ApiError::not_found(format!("tasks/{id}")));
    };
    refuse_open(&row)?;
    let mut response = DeleteTaskResponse::default();
    if request.delete_outputs {
        let deleted = delete_outputs(app, &row, &mut response).await;
        if deleted.is_err() {
            outputs::release_all(&app.store, app.store.writer(), id).await?;
        }
        deleted?;
    }
    forget(app, id, &response, replay).await?;
    app.nudge.committed();
    Ok(response)
}

fn refuse_open(row: &TaskRow) -> Result<(), ApiError> {
    if row.ended() {
        return Ok(());
    }
    Err(ApiError::wrong_state(format!("tasks/{} is {}", row.id, row.state.as_str_name()))
        .hint("cancel it, and delete it when it has ended"))
}

async fn delete_outputs(app: &App, row: &TaskRow, response: &mut DeleteTaskResponse) -> Result<(), ApiError> {
    let sets = sets::of_task(&app.store, app.store.reader(), &row.id).await?;
    for set in sets.iter().filter(|set| matches!(set.state, SetState::Complete | SetState::Closed)) {
        delete_set(app, set, response).await?;
    }
    let of_set = |output: &OutputRow| {
        let mut manifests = sets.iter().flat_map(|set| &set.plan.manifests);
        manifests.any(|manifest| manifest.output_id == output.id)
    };
    for output in outputs::published_of_task(&app.store, &row.id).await? {
        if of_set(&output) {
            continue;
        }
        let object = StorageObject {
            storage: full(&row.project, "storages", &output.storage_id),
            key: output.object_key.clone(),
        };
        if response.deleted_outputs.contains(&object) || response.kept_outputs.contains(&object) {
            continue;
        }
        match delete_own(app, &output).await? {
            true => response.deleted_outputs.push(object),
            false => response.kept_outputs.push(object),
        }
    }
    Ok(())
}

/// Deletes a set with all its members, manifests first. From the first step on it is done to its end, also when this server dies.
async fn delete_set(app: &App, set: &SetRow, response: &mut DeleteTaskResponse) -> Result<(), ApiError> {
    if !sets::advance(&app.store, app.store.writer(), &set.id, set.state, SetState::Removing).await? {
        return Ok(());
    }
    let removing = SetRow {
        state: SetState::Removing,
        ..set.clone()
    };
    let manifests = outputs::of_node(&app.store, app.store.reader(), &set.task_id, set.run, &set.node_key).await?;
    let deleted = service_sets::remove(app, &removing).await.map_err(|error| match error {
        UnitError::Api(error) => error,
        other => ApiError::internal(other),
    })?;
    for row in manifests.iter().filter(|row| row.publish_ms.is_some()) {
        let object = StorageObject {
            storage: full(&row.project, "storages", &row.storage_id),
            key: row.object_key.clone(),
        };
        match deleted.contains(&row.object_key) {
            true => response.deleted_outputs.push(object),
            false => response.kept_outputs.push(object),
        }
    }
    Ok(())
}

/// Deletes the object unless another attempt has written it since. Its key is held meanwhile, so that nobody writes it between look and deletion.
async fn delete_own(app: &App, output: &OutputRow) -> Result<bool, ApiError> {
    if !outputs::hold(&app.store, &output.id).await? {
        return Ok(false);
    }
    let bucket = app
        .storages
        .open(&output.project, &output.storage_id)
        .await
        .map_err(|error| refused(&error))?;
    if !bucket.permits(Need::Write) {
        return Err(ApiError::new(
            Code::FailedPrecondition,
            ErrorReason::StoragePermission,
            format!(
                "storage {} is not authorised to write, which deleting outputs needs",
                output.storage_id
            ),
        )
        .hint("set the storage's access so that it includes write, or leave delete_outputs out"));
    }
    let writer = format!("{}/{}/{}", output.unit_id, output.attempt, output.id);
    match bucket.head(&output.object_key).await.map_err(|error| refused(&error))? {
        None => Ok(true),
        Some(head) if head.metadata.get(WRITER) == Some(&writer) => {
            bucket.delete(&output.object_key).await.map_err(|error| refused(&error))?;
            Ok(true)
        }
        Some(_) => Ok(false),
    }
}

fn refused(error: &StorageError) -> ApiError {
    ApiError::new(
        Code::Unavailable,
        ErrorReason::StorageUnavailable,
        format!("outputs could not be deleted: {}", error.message),
    )
    .hint("the task is still there: try again, or leave delete_outputs out")
}

async fn forget(app: &App, id: &str, response: &DeleteTaskResponse, replay: Option<Replay>) -> Result<(), ApiError> {
    let txn = app.store.begin().await?;
    let Some(row) = tasks::lock(&app.store, &txn, id).await? else {
        return Err(ApiError::not_found(format!("tasks/{id}")));
    };
    // It may have been restarted while its objects were looked at.
    refuse_open(&row)?;
    units::delete_of_task(&app.store, &txn, id).await?;
    sets::forget_of_task(&app.store, &txn, id).await?;
    outputs::delete_of_task(&app.store, &txn, id).await?;
    tasks::announce(&app.store, &txn, &row).await?;
    tasks::delete(&app.store, &txn, id).await?;
    if let Some(replay) = &replay {
        replay.keep(app, &txn, response).await?;
    }
    txn.commit().await?;
    Ok(())
}
