//! SystemService: takes in, checks and converts, calls one use case, converts the answer.

use mps_proto::v1::{self as api, system_service_server::SystemService};
use tonic::{Request, Response, Status};

use crate::app::App;

/// The adapter of SystemService.
#[derive(Clone)]
pub struct SystemApi(pub App);

#[tonic::async_trait]
impl SystemService for SystemApi {
    async fn get_server_info(&self, _request: Request<api::GetServerInfoRequest>) -> Result<Response<api::GetServerInfoResponse>, Status> {
        Err(Status::unimplemented("GetServerInfo"))
    }

    async fn list_workers(&self, _request: Request<api::ListWorkersRequest>) -> Result<Response<api::ListWorkersResponse>, Status> {
        Err(Status::unimplemented("ListWorkers"))
    }

    async fn drain_worker(&self, _request: Request<api::DrainWorkerRequest>) -> Result<Response<api::DrainWorkerResponse>, Status> {
        Err(Status::unimplemented("DrainWorker"))
    }
}
