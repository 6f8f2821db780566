//! Resource names: `projects/{project}/{collection}/{id}` and the short forms that requests may use.

/// A new id: a lower-case ULID, which sorts by time.
pub fn new_id() -> String {
    ulid::Ulid::new().to_string().to_lowercase()
}

/// `projects/{project}/{collection}/{id}`.
pub fn full(project: &str, collection: &str, id: &str) -> String {
    format!("projects/{project}/{collection}/{id}")
}

/// Project and id of a name in a request. The project is `None` for `projects/-/…` and for a bare id.
/// Returns `None` when the name has another shape or names another collection.
pub fn parse<'a>(name: &'a str, collection: &str) -> Option<(Option<&'a str>, &'a str)> {
    let parts: Vec<&str> = name.split('/').collect();
    match parts.as_slice() {
        [id] if !id.is_empty() => Some((None, id)),
        ["projects", project, found, id] if *found == collection && !project.is_empty() && !id.is_empty() => {
            Some(((*project != "-").then_some(*project), id))
        }
        _ => None,
    }
}

/// A `parent` field of another shape than `projects/{project}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MalformedParent;

/// Project of a `parent`: `None` for an empty one and for `projects/-`.
pub fn parse_parent(parent: &str) -> Result<Option<&str>, MalformedParent> {
    match parent.strip_prefix("projects/") {
        _ if parent.is_empty() => Ok(None),
        Some("-") => Ok(None),
        Some(project) if !project.is_empty() && !project.contains('/') => Ok(Some(project)),
        _ => Err(MalformedParent),
    }
}

/// Whether an id that a caller chose is allowed: `[a-z][a-z0-9-]{0,62}`.
pub fn is_valid_id(id: &str) -> bool {
    let mut chars = id.chars();
    chars.next().is_some_and(|first| first.is_ascii_lowercase())
        && id.len() <= 63
        && chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_full_names_are_parsed() {
        assert_eq!(parse("abc", "tasks"), Some((None, "abc")));
        assert_eq!(parse("projects/-/tasks/abc", "tasks"), Some((None, "abc")));
        assert_eq!(parse("projects/p/tasks/abc", "tasks"), Some((Some("p"), "abc")));
        assert_eq!(parse("projects/p/storages/abc", "tasks"), None);
        assert_eq!(parse("", "tasks"), None);
    }

    #[test]
    fn ids_follow_the_documented_pattern() {
        assert!(is_valid_id("a-1"));
        for bad in ["", "1a", "A", "a_b", &"a".repeat(64)] {
            assert!(!is_valid_id(bad), "{bad}");
        }
    }
}
