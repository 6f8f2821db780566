//! AccessService: takes in, checks and converts, calls one use case, converts the answer.

use mps_proto::v1::{self as api, access_service_server::AccessService};
use tonic::{Request, Response, Status};

use super::caller::Caller;
use crate::{app::App, service::access};

/// The adapter of AccessService.
#[derive(Clone)]
pub struct AccessApi(pub App);

#[tonic::async_trait]
impl AccessService for AccessApi {
    async fn create_project(&self, request: Request<api::CreateProjectRequest>) -> Result<Response<api::CreateProjectResponse>, Status> {
        let caller = Caller::of(&request)?;
        let project = access::create_project(&self.0, &caller, request.into_inner()).await?;
        Ok(Response::new(api::CreateProjectResponse { project: Some(project) }))
    }

    async fn list_projects(&self, request: Request<api::ListProjectsRequest>) -> Result<Response<api::ListProjectsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let answer = access::list_projects(&self.0, &caller, request.into_inner()).await?;
        Ok(Response::new(answer))
    }

    async fn create_api_key(&self, request: Request<api::CreateApiKeyRequest>) -> Result<Response<api::CreateApiKeyResponse>, Status> {
        let project = Caller::of(&request)?.project_of_parent(&request.get_ref().parent)?;
        let answer = access::create_key(&self.0, &project, request.into_inner()).await?;
        Ok(Response::new(answer))
    }

    async fn list_api_keys(&self, request: Request<api::ListApiKeysRequest>) -> Result<Response<api::ListApiKeysResponse>, Status> {
        let caller = Caller::of(&request)?;
        let project = caller.project_of_parent(&request.get_ref().parent)?;
        let answer = access::list_keys(&self.0, &caller, &project, request.into_inner()).await?;
        Ok(Response::new(answer))
    }

    async fn revoke_api_key(&self, request: Request<api::RevokeApiKeyRequest>) -> Result<Response<api::RevokeApiKeyResponse>, Status> {
        let caller = Caller::of(&request)?;
        let (project, id) = caller.resource(&request.get_ref().name, "apiKeys")?;
        let key = access::revoke_key(&self.0, &caller, &project, &id).await?;
        Ok(Response::new(api::RevokeApiKeyResponse { api_key: Some(key) }))
    }
}
