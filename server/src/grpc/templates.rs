//! TemplateService: takes in, checks and converts, calls one use case, converts the answer.

use mps_proto::v1::{self as api, template_service_server::TemplateService};
use tonic::{Request, Response, Status};

use crate::app::App;

/// The adapter of TemplateService.
#[derive(Clone)]
pub struct TemplateApi(pub App);

#[tonic::async_trait]
impl TemplateService for TemplateApi {
    async fn get_template(&self, _request: Request<api::GetTemplateRequest>) -> Result<Response<api::GetTemplateResponse>, Status> {
        Err(Status::unimplemented("GetTemplate"))
    }

    async fn list_templates(&self, _request: Request<api::ListTemplatesRequest>) -> Result<Response<api::ListTemplatesResponse>, Status> {
        Err(Status::unimplemented("ListTemplates"))
    }
}
