//! TaskService: takes in, checks and converts, calls one use case, converts the answer.

use std::time::Duration;

use mps_proto::v1::{self as api, task_service_server::TaskService};
use tonic::{Request, Response, Status};

use super::caller::Caller;
use crate::{
    app::App,
    error::ApiError,
    filter::Filter,
    service::{accept, access, cancel, delete, restart, tasks},
    watch::{self, WatchSpec},
};

/// The adapter of TaskService.
#[derive(Clone)]
pub struct TaskApi(pub App);

const COLLECTION: &str = "tasks";
const SHORTEST_HEARTBEAT: Duration = Duration::from_secs(5);
const LONGEST_HEARTBEAT: Duration = Duration::from_secs(60);

#[tonic::async_trait]
impl TaskService for TaskApi {
    async fn process_media(&self, request: Request<api::ProcessMediaRequest>) -> Result<Response<api::ProcessMediaResponse>, Status> {
        let caller = Caller::of(&request)?;
        let project = caller.project_of_parent(&request.get_ref().parent)?;
        // A key's own project is there; a key of the installation may name any.
        if project != caller.project {
            access::require_project(&self.0, &project).await?;
        }
        Ok(Response::new(accept::process_media(&self.0, &project, request.into_inner()).await?))
    }

    async fn get_task(&self, request: Request<api::GetTaskRequest>) -> Result<Response<api::GetTaskResponse>, Status> {
        let (project, id) = Caller::of(&request)?.resource(&request.get_ref().name, COLLECTION)?;
        let task = tasks::get(&self.0, &project, &id).await?;
        Ok(Response::new(api::GetTaskResponse { task: Some(task) }))
    }

    async fn list_tasks(&self, request: Request<api::ListTasksRequest>) -> Result<Response<api::ListTasksResponse>, Status> {
        let project = Caller::of(&request)?.project_of_parent(&request.get_ref().parent)?;
        Ok(Response::new(tasks::list(&self.0, &project, request.into_inner()).await?))
    }

    async fn wait_task(&self, request: Request<api::WaitTaskRequest>) -> Result<Response<api::WaitTaskResponse>, Status> {
        let (project, id) = Caller::of(&request)?.resource(&request.get_ref().name, COLLECTION)?;
        let timeout = span(request.get_ref().timeout.as_ref(), "timeout")?;
        let (task, done) = tasks::wait(&self.0, &project, &id, timeout).await?;
        Ok(Response::new(api::WaitTaskResponse { task: Some(task), done }))
    }

    type WatchTasksStream = watch::WatchStream;

    async fn watch_tasks(&self, request: Request<api::WatchTasksRequest>) -> Result<Response<Self::WatchTasksStream>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let spec = WatchSpec {
            project: caller.project_of_parent(&request.parent)?,
            filter: Filter::parse(&request.filter)?,
            heartbeat: heartbeat(&request, self.0.config.watch_heartbeat)?,
            filter_text: request.filter,
            resume_token: request.resume_token,
            skip_initial_state: request.skip_initial_state,
        };
        Ok(Response::new(watch::watch(&self.0, caller, spec).await?))
    }

    async fn cancel_task(&self, request: Request<api::CancelTaskRequest>) -> Result<Response<api::CancelTaskResponse>, Status> {
        let (project, id) = Caller::of(&request)?.resource(&request.get_ref().name, COLLECTION)?;
        let task = cancel::cancel_task(&self.0, &project, &id, request.get_ref()).await?;
        Ok(Response::new(api::CancelTaskResponse { task: Some(task) }))
    }

    async fn restart_task(&self, request: Request<api::RestartTaskRequest>) -> Result<Response<api::RestartTaskResponse>, Status> {
        let (project, id) = Caller::of(&request)?.resource(&request.get_ref().name, COLLECTION)?;
        let task = restart::restart_task(&self.0, &project, &id, request.get_ref()).await?;
        Ok(Response::new(api::RestartTaskResponse { task: Some(task) }))
    }

    async fn delete_task(&self, request: Request<api::DeleteTaskRequest>) -> Result<Response<api::DeleteTaskResponse>, Status> {
        let (project, id) = Caller::of(&request)?.resource(&request.get_ref().name, COLLECTION)?;
        Ok(Response::new(delete::delete_task(&self.0, &project, &id, request.get_ref()).await?))
    }
}

fn span(value: Option<&prost_types::Duration>, field: &str) -> Result<Option<Duration>, ApiError> {
    value
        .map(|span| Duration::try_from(*span).map_err(|_| ApiError::invalid_field(field, "must not be negative")))
        .transpose()
}

fn heartbeat(request: &api::WatchTasksRequest, default: Duration) -> Result<Duration, ApiError> {
    match span(request.heartbeat_interval.as_ref(), "heartbeat_interval")? {
        None => Ok(default),
        Some(span) if (SHORTEST_HEARTBEAT..=LONGEST_HEARTBEAT).contains(&span) => Ok(span),
        Some(_) => Err(ApiError::invalid_field("heartbeat_interval", "must be 5 s to 60 s")),
    }
}
