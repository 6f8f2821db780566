//! WorkerService: takes in, checks and converts, calls one use case, converts the answer.

use mps_proto::worker::v1::{self as api, worker_service_server::WorkerService};
use tonic::{Request, Response, Status};

use crate::app::App;

/// The adapter of WorkerService.
#[derive(Clone)]
pub struct WorkerApi(pub App);

#[tonic::async_trait]
impl WorkerService for WorkerApi {
    async fn join(&self, _request: Request<api::JoinRequest>) -> Result<Response<api::JoinResponse>, Status> {
        Err(Status::unimplemented("Join"))
    }

    async fn lease_unit(&self, _request: Request<api::LeaseUnitRequest>) -> Result<Response<api::LeaseUnitResponse>, Status> {
        Err(Status::unimplemented("LeaseUnit"))
    }

    async fn renew_leases(&self, _request: Request<api::RenewLeasesRequest>) -> Result<Response<api::RenewLeasesResponse>, Status> {
        Err(Status::unimplemented("RenewLeases"))
    }

    type OpenChannelStream = futures::stream::BoxStream<'static, Result<api::OpenChannelResponse, Status>>;

    async fn open_channel(
        &self,
        _request: Request<tonic::Streaming<api::OpenChannelRequest>>,
    ) -> Result<Response<Self::OpenChannelStream>, Status> {
        Err(Status::unimplemented("OpenChannel"))
    }

    async fn get_input_url(&self, _request: Request<api::GetInputUrlRequest>) -> Result<Response<api::GetInputUrlResponse>, Status> {
        Err(Status::unimplemented("GetInputUrl"))
    }

    async fn create_output_upload(
        &self,
        _request: Request<api::CreateOutputUploadRequest>,
    ) -> Result<Response<api::CreateOutputUploadResponse>, Status> {
        Err(Status::unimplemented("CreateOutputUpload"))
    }

    async fn get_part_urls(&self, _request: Request<api::GetPartUrlsRequest>) -> Result<Response<api::GetPartUrlsResponse>, Status> {
        Err(Status::unimplemented("GetPartUrls"))
    }

    async fn complete_unit(&self, _request: Request<api::CompleteUnitRequest>) -> Result<Response<api::CompleteUnitResponse>, Status> {
        Err(Status::unimplemented("CompleteUnit"))
    }

    async fn fail_unit(&self, _request: Request<api::FailUnitRequest>) -> Result<Response<api::FailUnitResponse>, Status> {
        Err(Status::unimplemented("FailUnit"))
    }
}
