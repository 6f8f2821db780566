//! TemplateService: takes in, checks and converts, answers from the table of presets.

use mps_proto::v1::{self as api, template_service_server::TemplateService};
use tonic::{Request, Response, Status};

use super::caller::Caller;
use crate::{app::App, error::ApiError, service::paging::Page};

/// The adapter of TemplateService.
#[derive(Clone)]
pub struct TemplateApi(pub App);

const COLLECTION: &str = "templates";

#[tonic::async_trait]
impl TemplateService for TemplateApi {
    async fn create_template(&self, _: Request<api::CreateTemplateRequest>) -> Result<Response<api::CreateTemplateResponse>, Status> {
        Err(Status::unimplemented("not built yet"))
    }

    async fn update_template(&self, _: Request<api::UpdateTemplateRequest>) -> Result<Response<api::UpdateTemplateResponse>, Status> {
        Err(Status::unimplemented("not built yet"))
    }

    async fn delete_template(&self, _: Request<api::DeleteTemplateRequest>) -> Result<Response<api::DeleteTemplateResponse>, Status> {
        Err(Status::unimplemented("not built yet"))
    }

    async fn get_template(&self, request: Request<api::GetTemplateRequest>) -> Result<Response<api::GetTemplateResponse>, Status> {
        let (project, id) = Caller::of(&request)?.resource(&request.get_ref().name, COLLECTION)?;
        let preset = mps_plan::presets().iter().find(|preset| id_of(&preset.name) == id);
        let preset = preset.ok_or_else(|| ApiError::not_found(mps_proto::name::full(&project, COLLECTION, &id)))?;
        Ok(Response::new(api::GetTemplateResponse {
            template: Some(in_project(&project, preset)),
        }))
    }

    async fn list_templates(&self, request: Request<api::ListTemplatesRequest>) -> Result<Response<api::ListTemplatesResponse>, Status> {
        let project = Caller::of(&request)?.project_of_parent(&request.get_ref().parent)?;
        let request = request.into_inner();
        let page = Page::parse(request.page_size, &request.page_token, self.0.config.limits.max_page_size)?;
        let mut found: Vec<api::Template> = mps_plan::presets().iter().map(|preset| in_project(&project, preset)).collect();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        found.retain(|template| id_of(&template.name) > page.after.as_str());
        let (templates, next_page_token) = page.cut(found, |template| id_of(&template.name).to_owned());
        Ok(Response::new(api::ListTemplatesResponse {
            templates,
            next_page_token,
        }))
    }
}

fn id_of(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// Presets are every project's.
fn in_project(project: &str, preset: &api::Template) -> api::Template {
    api::Template {
        name: mps_proto::name::full(project, COLLECTION, id_of(&preset.name)),
        ..preset.clone()
    }
}
