//! SystemService: takes in, checks and converts, calls one use case, converts the answer.

use mps_proto::v1::{self as api, system_service_server::SystemService};
use tonic::{Request, Response, Status};

use crate::{
    app::App,
    service::{system, workers},
};

/// The adapter of SystemService.
#[derive(Clone)]
pub struct SystemApi(pub App);

#[tonic::async_trait]
impl SystemService for SystemApi {
    async fn get_server_info(&self, _request: Request<api::GetServerInfoRequest>) -> Result<Response<api::GetServerInfoResponse>, Status> {
        Ok(Response::new(system::server_info(&self.0).await?))
    }

    async fn list_workers(&self, request: Request<api::ListWorkersRequest>) -> Result<Response<api::ListWorkersResponse>, Status> {
        Ok(Response::new(workers::list_workers(&self.0, request.into_inner()).await?))
    }

    async fn drain_worker(&self, request: Request<api::DrainWorkerRequest>) -> Result<Response<api::DrainWorkerResponse>, Status> {
        let request = request.into_inner();
        let worker = workers::drain(&self.0, &request.name, request.undrain).await?;
        Ok(Response::new(api::DrainWorkerResponse { worker: Some(worker) }))
    }
}
