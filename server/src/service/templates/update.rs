//! UpdateTemplate: fields of the mask, or those that are set; each change is a new revision.

use mps_plan::Violation;
use mps_proto::v1::{Template, UpdateTemplateRequest, UpdateTemplateResponse};

use super::{check, check_etag, etag_mismatch, kept_answer, message, refuse_preset, row};
use crate::{
    app::App,
    error::ApiError,
    service::access::violation,
    store::templates::{self, TemplateRow},
};

/// Changes a template that stands at the given etag, if one is given.
pub async fn update(app: &App, project: &str, id: &str, request: UpdateTemplateRequest) -> Result<UpdateTemplateResponse, ApiError> {
    let replay = kept_answer(project, "UpdateTemplate", &request.request_id, &request, request.validate_only)?;
    if let Some(replay) = &replay
        && let Some(first) = replay.first_answer(app).await?
    {
        return Ok(first);
    }
    refuse_preset(id)?;
    let change = request.template.unwrap_or_default();
    let mask = request.update_mask.map(|mask| mask.paths).unwrap_or_default();
    let before = row(app, project, id).await?;
    check_etag(&before, &change.etag)?;
    let changed = TemplateRow {
        spec: changed(project, &before.spec, &change, &mask)?,
        ..before.clone()
    };
    if changed.spec == before.spec {
        return Ok(answer(before));
    }
    let txn = app.store.begin().await?;
    let row = templates::update(&app.store, &txn, &changed).await?;
    let response = answer(row.ok_or_else(etag_mismatch)?);
    if request.validate_only {
        txn.rollback().await?;
        return Ok(response);
    }
    if let Some(replay) = &replay {
        replay.keep(app, &txn, &response).await?;
    }
    txn.commit().await?;
    Ok(response)
}

fn answer(row: TemplateRow) -> UpdateTemplateResponse {
    UpdateTemplateResponse {
        template: Some(message(row)),
    }
}

/// The template after the change; all violations at once.
fn changed(project: &str, before: &Template, change: &Template, mask: &[String]) -> Result<Template, ApiError> {
    let mut violations = unknown_paths(mask);
    let named = |field: &str| mask.iter().any(|path| path == field);
    let mut after = before.clone();
    if named("display_name") || (mask.is_empty() && !change.display_name.is_empty()) {
        after.display_name.clone_from(&change.display_name);
    }
    if named("comment") || (mask.is_empty() && !change.comment.is_empty()) {
        after.comment.clone_from(&change.comment);
    }
    if mask.is_empty() && change.settings.is_some() || mask.iter().any(|path| is_of_settings(path)) {
        let old = before.settings.clone().unwrap_or_default();
        match mps_plan::lay_settings(&old, &change.settings.clone().unwrap_or_default(), mask) {
            Ok(settings) => after.settings = Some(settings),
            Err(found) => violations.extend(found),
        }
    }
    let spec = check::spec(project, after, &mut violations);
    match violations.is_empty() {
        true => Ok(spec),
        false => Err(ApiError::invalid(violations)),
    }
}

fn is_of_settings(path: &str) -> bool {
    path == "settings" || path.starts_with("settings.")
}

/// Paths below settings are left to those who know the settings.
fn unknown_paths(mask: &[String]) -> Vec<Violation> {
    let is_known = |path: &str| matches!(path, "display_name" | "comment") || is_of_settings(path);
    let unknown = mask.iter().enumerate().filter(|(_, path)| !is_known(path));
    let told = unknown.map(|(index, path)| {
        let shown: String = path.chars().take(64).collect();
        violation(
            &format!("update_mask.paths[{index}]"),
            format!("{shown:?} cannot be changed; one can change display_name, comment, settings and what is below settings"),
        )
    });
    told.collect()
}
