//! What a template must keep, besides what its settings must.

use mps_plan::Violation;
use mps_proto::v1::Template;

use crate::service::access::violation;

const MAX_DISPLAY_NAME: usize = 64;
const MAX_COMMENT: usize = 256;

/// What is stored of a template: without what the server says itself. Adds every violation.
pub fn spec(project: &str, given: Template, violations: &mut Vec<Violation>) -> Template {
    check_text("template.display_name", &given.display_name, MAX_DISPLAY_NAME, violations);
    check_text("template.comment", &given.comment, MAX_COMMENT, violations);
    let settings = given.settings.unwrap_or_default();
    let kind = match mps_plan::check_template(&settings, project) {
        Ok((_, kind)) => kind,
        Err(found) => {
            violations.extend(found);
            ""
        }
    };
    if !kind.is_empty() && !given.kind.is_empty() && given.kind != kind {
        violations.push(violation(
            "template.kind",
            format!("is {:?}, but the settings are of kind {kind}", given.kind),
        ));
    }
    Template {
        display_name: given.display_name,
        comment: given.comment,
        kind: kind.to_owned(),
        settings: Some(settings),
        ..Default::default()
    }
}

/// Text for people is short and printable; comments may have lines.
fn check_text(field: &str, text: &str, most: usize, violations: &mut Vec<Violation>) {
    let is_printable = |c: char| !c.is_control() || (c == '\n' && field.ends_with("comment"));
    if text.chars().count() > most || !text.chars().all(is_printable) {
        violations.push(violation(
            field,
            format!("must be at most {most} characters, none of them control characters"),
        ));
    }
}
