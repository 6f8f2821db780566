//! TemplateService: presets, which are every project's and read-only, and the project's own templates with their revisions.

mod check;
mod update;

#[cfg(test)]
mod tests;

use mps_plan::presets;
use mps_proto::{
    name,
    v1::{self, ErrorReason, Template},
};
use tonic::Code;

use super::{
    access::{already_exists, last_segment, require_project, violation},
    idempotency::Replay,
    paging::Page,
};
use crate::{
    app::App,
    error::ApiError,
    filter::templates::TemplateFilter,
    store::{
        tasks::timestamp,
        templates::{self, TemplateRow},
    },
};

pub use self::update::update;

/// Templates of its own that a project may have.
const MAX_TEMPLATES: i64 = 1000;
const PRESET_PREFIX: &str = "preset-";

pub async fn create(app: &App, project: &str, request: v1::CreateTemplateRequest) -> Result<v1::CreateTemplateResponse, ApiError> {
    let replay = kept_answer(project, "CreateTemplate", &request.request_id, &request, request.validate_only)?;
    if let Some(replay) = &replay
        && let Some(first) = replay.first_answer(app).await?
    {
        return Ok(first);
    }
    let id = match request.template_id.as_str() {
        "" => name::new_id(),
        chosen => chosen.to_owned(),
    };
    let spec = check_new(project, &request)?;
    require_project(app, project).await?;
    let txn = app.store.begin().await?;
    if templates::count(&app.store, &txn, project).await? >= MAX_TEMPLATES {
        return Err(too_many(project));
    }
    let row = templates::insert(&app.store, &txn, project, &id, &spec).await?;
    let row = row.ok_or_else(|| already_exists(full_name(project, &id)))?;
    if request.validate_only {
        txn.rollback().await?;
        return Ok(v1::CreateTemplateResponse {
            template: Some(not_made(row, !request.template_id.is_empty())),
        });
    }
    let response = v1::CreateTemplateResponse {
        template: Some(message(row)),
    };
    if let Some(replay) = &replay {
        replay.keep(app, &txn, &response).await?;
    }
    txn.commit().await?;
    Ok(response)
}

/// What is stored of a new template; all violations at once.
fn check_new(project: &str, request: &v1::CreateTemplateRequest) -> Result<Template, ApiError> {
    let mut violations = Vec::new();
    let chosen = request.template_id.as_str();
    if !chosen.is_empty() && (!name::is_valid_id(chosen) || chosen.starts_with(PRESET_PREFIX)) {
        violations.push(violation(
            "template_id",
            format!("must match [a-z][a-z0-9-]{{0,62}} and not begin with {PRESET_PREFIX}"),
        ));
    }
    let given = request.template.clone().unwrap_or_default();
    let spec = check::spec(project, given, &mut violations);
    match violations.is_empty() {
        true => Ok(spec),
        false => Err(ApiError::invalid(violations)),
    }
}

/// A template as it would be; an id that the server would choose is not known yet.
fn not_made(row: TemplateRow, is_named: bool) -> Template {
    let would_be = message(row);
    Template {
        name: if is_named { would_be.name } else { String::new() },
        etag: String::new(),
        create_time: None,
        update_time: None,
        ..would_be
    }
}

fn too_many(project: &str) -> ApiError {
    ApiError::new(
        Code::ResourceExhausted,
        ErrorReason::LimitExceeded,
        format!("project {project} has {MAX_TEMPLATES} templates, which is the most that it may have"),
    )
    .hint("delete templates that are not used any more")
}

/// A template by its id, or a preset by one of its aliases; at a revision where that is not 0.
pub async fn get(app: &App, project: &str, id: &str, revision: i32) -> Result<Template, ApiError> {
    if revision < 0 {
        return Err(ApiError::invalid_field("revision", "must be 1 or more, or 0 for the latest"));
    }
    require_project(app, project).await?;
    if let Some(preset) = preset(id)? {
        return match revision == 0 || revision == preset.revision {
            true => Ok(in_project(project, preset)),
            false => Err(no_revision(project, id, revision)),
        };
    }
    if revision == 0 {
        return Ok(message(row(app, project, id).await?));
    }
    match templates::at_revision(&app.store, project, id, revision).await? {
        Some(found) => Ok(message(found)),
        None => {
            row(app, project, id).await?;
            Err(no_revision(project, id, revision))
        }
    }
}

fn no_revision(project: &str, id: &str, revision: i32) -> ApiError {
    let name = full_name(project, id);
    ApiError::new(Code::NotFound, ErrorReason::NotFound, format!("{name} has no revision {revision}"))
        .with("resource", name)
        .hint("leave revision out to get the latest, whose number is in it")
}

pub async fn list(app: &App, project: &str, request: v1::ListTemplatesRequest) -> Result<v1::ListTemplatesResponse, ApiError> {
    let page = Page::parse(request.page_size, &request.page_token, app.config.limits.max_page_size)?;
    let filter = TemplateFilter::parse(&request.filter)?;
    require_project(app, project).await?;
    let rows = templates::list(&app.store, project, &page.after, MAX_TEMPLATES).await?;
    let mut found: Vec<Template> = rows.into_iter().map(message).collect();
    let after = |preset: &&Template| last_segment(&preset.name) > page.after;
    found.extend(presets().iter().filter(after).map(|preset| in_project(project, preset)));
    found.retain(|template| filter.matches(template));
    found.sort_by(|one, other| one.name.cmp(&other.name));
    let (templates, next_page_token) = page.cut(found, |template| last_segment(&template.name));
    Ok(v1::ListTemplatesResponse {
        templates,
        next_page_token,
    })
}

pub async fn delete(app: &App, project: &str, id: &str, request: &v1::DeleteTemplateRequest) -> Result<(), ApiError> {
    let replay = Replay::of(project, "DeleteTemplate", &request.request_id, request)?;
    if let Some(replay) = &replay
        && replay.first_answer::<v1::DeleteTemplateResponse>(app).await?.is_some()
    {
        return Ok(());
    }
    refuse_preset(id)?;
    let row = row(app, project, id).await?;
    check_etag(&row, &request.etag)?;
    let txn = app.store.begin().await?;
    if !templates::delete(&app.store, &txn, &row).await? {
        return Err(etag_mismatch());
    }
    if let Some(replay) = &replay {
        replay.keep(app, &txn, &v1::DeleteTemplateResponse {}).await?;
    }
    txn.commit().await?;
    Ok(())
}

/// The project's own templates among the ids, as planning takes them; one query.
pub async fn named(app: &App, project: &str, ids: &[String]) -> Result<Vec<Template>, ApiError> {
    let rows = templates::read_many(&app.store, project, ids).await?;
    Ok(rows.into_iter().map(message).collect())
}

/// The replay of a call; only checking is not worth one.
fn kept_answer(
    project: &str,
    method: &'static str,
    request_id: &str,
    request: &impl prost::Message,
    validate_only: bool,
) -> Result<Option<Replay>, ApiError> {
    let replay = Replay::of(project, method, request_id, request)?;
    Ok(replay.filter(|_| !validate_only))
}

/// Presets of an id or alias. Other systems count per kind, so that one number may mean several presets.
fn presets_named(id: &str) -> Vec<&'static Template> {
    let named = |preset: &&Template| last_segment(&preset.name) == id || preset.aliases.iter().any(|alias| alias == id);
    presets().iter().filter(named).collect()
}

fn preset(id: &str) -> Result<Option<&'static Template>, ApiError> {
    match presets_named(id).as_slice() {
        [] => Ok(None),
        [only] => Ok(Some(only)),
        several => {
            let ids: Vec<String> = several.iter().map(|preset| last_segment(&preset.name)).collect();
            let problem = format!("{id} is the number of several presets; write the id of one: {}", ids.join(", "));
            Err(ApiError::invalid_field("name", problem))
        }
    }
}

fn refuse_preset(id: &str) -> Result<(), ApiError> {
    match presets_named(id).is_empty() {
        true => Ok(()),
        false => Err(ApiError::wrong_state(format!("{id} is a preset, which is read-only"))
            .hint(format!("clone it and change the copy: mps template clone {id} --id my-template"))),
    }
}

/// A row, or NOT_FOUND.
async fn row(app: &App, project: &str, id: &str) -> Result<TemplateRow, ApiError> {
    let found = templates::get(&app.store, project, id).await?;
    found.ok_or_else(|| ApiError::not_found(full_name(project, id)).hint("`mps template list` shows what there is"))
}

/// The creation counts too: a template that was made again begins at revision 1.
fn etag(row: &TemplateRow) -> String {
    format!("{}-{}-{}", row.id, row.create_ms, row.revision)
}

fn check_etag(row: &TemplateRow, given: &str) -> Result<(), ApiError> {
    match given.is_empty() || given == etag(row) {
        true => Ok(()),
        false => Err(etag_mismatch()),
    }
}

fn etag_mismatch() -> ApiError {
    ApiError::new(Code::Aborted, ErrorReason::EtagMismatch, "the template was changed meanwhile")
        .hint("read it again and repeat the change")
}

fn full_name(project: &str, id: &str) -> String {
    name::full(project, "templates", id)
}

fn message(row: TemplateRow) -> Template {
    Template {
        name: full_name(&row.project, &row.id),
        revision: row.revision,
        etag: etag(&row),
        create_time: Some(timestamp(row.create_ms)),
        update_time: Some(timestamp(row.update_ms)),
        ..row.spec
    }
}

/// Presets are every project's.
fn in_project(project: &str, preset: &Template) -> Template {
    let id = last_segment(&preset.name);
    Template {
        name: full_name(project, &id),
        etag: format!("{id}-{}", preset.revision),
        ..preset.clone()
    }
}
