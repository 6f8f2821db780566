//! Collects violations, and the small checks that many fields share.

use mps_proto::name;

use crate::Violation;

/// Violations found so far; checking goes on after each.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<Violation>);

impl Faults {
    pub fn add(&mut self, field: impl Into<String>, description: impl Into<String>) {
        self.0.push(Violation {
            field: field.into(),
            description: description.into(),
        });
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn into_violations(self) -> Vec<Violation> {
        self.0
    }

    #[cfg(test)]
    pub fn fields(&self) -> Vec<&str> {
        self.0.iter().map(|violation| violation.field.as_str()).collect()
    }

    /// At most so many characters (not bytes), and no NUL, which databases don't store.
    pub fn length(&mut self, field: &str, text: &str, most: usize) {
        if text.contains('\0') {
            self.add(field, "holds a NUL character");
        }
        let count = text.chars().count();
        if count > most {
            self.add(field, format!("has {count} characters; at most {most} are allowed"));
        }
    }

    /// The id in a name of a resource of this project, or `None` with a violation.
    pub fn id_of(&mut self, field: &str, text: &str, collection: &str, project: &str) -> Option<String> {
        match name::parse(text, collection) {
            None => {
                self.add(
                    field,
                    format!("must be an id or projects/{{project}}/{collection}/{{id}}, not {}", shown(text)),
                );
                None
            }
            Some((Some(other), _)) if other != project => {
                self.add(field, format!("names another project; this key works in projects/{project}"));
                None
            }
            Some((_, id)) => Some(id.to_owned()),
        }
    }
}

/// Text from outside, shortened and quoted for a description.
pub(crate) fn shown(text: &str) -> String {
    const MOST: usize = 40;
    if text.chars().count() <= MOST {
        return format!("{text:?}");
    }
    let start: String = text.chars().take(MOST).collect();
    format!("{start:?}…")
}

/// `[a-z][a-z0-9-]{0,62}`, with more characters allowed after the first where `also` says so.
pub(crate) fn is_identifier(text: &str, also: &[char]) -> bool {
    let rest =
        |character: char| character.is_ascii_lowercase() || character.is_ascii_digit() || character == '-' || also.contains(&character);
    text.len() <= 63 && text.starts_with(|first: char| first.is_ascii_lowercase()) && text.chars().all(rest)
}
