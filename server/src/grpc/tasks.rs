//! TaskService: takes in, checks and converts, calls one use case, converts the answer.

use mps_proto::v1::{self as api, task_service_server::TaskService};
use tonic::{Request, Response, Status};

use crate::app::App;

/// The adapter of TaskService.
#[derive(Clone)]
pub struct TaskApi(pub App);

#[tonic::async_trait]
impl TaskService for TaskApi {
    async fn process_media(&self, _request: Request<api::ProcessMediaRequest>) -> Result<Response<api::ProcessMediaResponse>, Status> {
        Err(Status::unimplemented("ProcessMedia"))
    }

    async fn get_task(&self, _request: Request<api::GetTaskRequest>) -> Result<Response<api::GetTaskResponse>, Status> {
        Err(Status::unimplemented("GetTask"))
    }

    async fn list_tasks(&self, _request: Request<api::ListTasksRequest>) -> Result<Response<api::ListTasksResponse>, Status> {
        Err(Status::unimplemented("ListTasks"))
    }

    async fn wait_task(&self, _request: Request<api::WaitTaskRequest>) -> Result<Response<api::WaitTaskResponse>, Status> {
        Err(Status::unimplemented("WaitTask"))
    }

    type WatchTasksStream = futures::stream::BoxStream<'static, Result<api::WatchTasksResponse, Status>>;

    async fn watch_tasks(&self, _request: Request<api::WatchTasksRequest>) -> Result<Response<Self::WatchTasksStream>, Status> {
        Err(Status::unimplemented("WatchTasks"))
    }

    async fn cancel_task(&self, _request: Request<api::CancelTaskRequest>) -> Result<Response<api::CancelTaskResponse>, Status> {
        Err(Status::unimplemented("CancelTask"))
    }

    async fn restart_task(&self, _request: Request<api::RestartTaskRequest>) -> Result<Response<api::RestartTaskResponse>, Status> {
        Err(Status::unimplemented("RestartTask"))
    }

    async fn delete_task(&self, _request: Request<api::DeleteTaskRequest>) -> Result<Response<api::DeleteTaskResponse>, Status> {
        Err(Status::unimplemented("DeleteTask"))
    }
}
