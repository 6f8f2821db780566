//! TemplateService: takes in, checks and converts, calls one use case, converts the answer.

use mps_proto::v1::{self as api, template_service_server::TemplateService};
use tonic::{Request, Response, Status};

use super::caller::Caller;
use crate::{app::App, error::ApiError, service::templates};

/// The adapter of TemplateService.
#[derive(Clone)]
pub struct TemplateApi(pub App);

const COLLECTION: &str = "templates";

/// Project and id of the template that a field of a request names.
fn template<T>(request: &Request<T>, field: &str, name: impl Fn(&T) -> &str) -> Result<(String, String), ApiError> {
    let found = Caller::of(request)?.resource(name(request.get_ref()), COLLECTION);
    found.map_err(|mut error| {
        for violation in &mut error.violations {
            violation.field = field.to_owned();
        }
        error
    })
}

#[tonic::async_trait]
impl TemplateService for TemplateApi {
    async fn create_template(&self, request: Request<api::CreateTemplateRequest>) -> Result<Response<api::CreateTemplateResponse>, Status> {
        let project = Caller::of(&request)?.project_of_parent(&request.get_ref().parent)?;
        Ok(Response::new(templates::create(&self.0, &project, request.into_inner()).await?))
    }

    async fn update_template(&self, request: Request<api::UpdateTemplateRequest>) -> Result<Response<api::UpdateTemplateResponse>, Status> {
        let (project, id) = template(&request, "template.name", |request| {
            request.template.as_ref().map_or("", |template| template.name.as_str())
        })?;
        Ok(Response::new(
            templates::update(&self.0, &project, &id, request.into_inner()).await?,
        ))
    }

    async fn delete_template(&self, request: Request<api::DeleteTemplateRequest>) -> Result<Response<api::DeleteTemplateResponse>, Status> {
        let (project, id) = template(&request, "name", |request| &request.name)?;
        templates::delete(&self.0, &project, &id, request.get_ref()).await?;
        Ok(Response::new(api::DeleteTemplateResponse {}))
    }

    async fn get_template(&self, request: Request<api::GetTemplateRequest>) -> Result<Response<api::GetTemplateResponse>, Status> {
        let (project, id) = template(&request, "name", |request| &request.name)?;
        let template = templates::get(&self.0, &project, &id, request.get_ref().revision).await?;
        Ok(Response::new(api::GetTemplateResponse { template: Some(template) }))
    }

    async fn list_templates(&self, request: Request<api::ListTemplatesRequest>) -> Result<Response<api::ListTemplatesResponse>, Status> {
        let project = Caller::of(&request)?.project_of_parent(&request.get_ref().parent)?;
        Ok(Response::new(templates::list(&self.0, &project, request.into_inner()).await?))
    }
}
