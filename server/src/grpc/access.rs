//! AccessService: takes in, checks and converts, calls one use case, converts the answer.

use mps_proto::v1::{self as api, access_service_server::AccessService};
use tonic::{Request, Response, Status};

use crate::app::App;

/// The adapter of AccessService.
#[derive(Clone)]
pub struct AccessApi(pub App);

#[tonic::async_trait]
impl AccessService for AccessApi {
    async fn create_project(&self, _request: Request<api::CreateProjectRequest>) -> Result<Response<api::CreateProjectResponse>, Status> {
        Err(Status::unimplemented("CreateProject"))
    }

    async fn list_projects(&self, _request: Request<api::ListProjectsRequest>) -> Result<Response<api::ListProjectsResponse>, Status> {
        Err(Status::unimplemented("ListProjects"))
    }

    async fn create_api_key(&self, _request: Request<api::CreateApiKeyRequest>) -> Result<Response<api::CreateApiKeyResponse>, Status> {
        Err(Status::unimplemented("CreateApiKey"))
    }

    async fn list_api_keys(&self, _request: Request<api::ListApiKeysRequest>) -> Result<Response<api::ListApiKeysResponse>, Status> {
        Err(Status::unimplemented("ListApiKeys"))
    }

    async fn revoke_api_key(&self, _request: Request<api::RevokeApiKeyRequest>) -> Result<Response<api::RevokeApiKeyResponse>, Status> {
        Err(Status::unimplemented("RevokeApiKey"))
    }
}
