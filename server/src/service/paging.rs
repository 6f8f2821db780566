//! Pages of lists: size, opaque token, and the cut at 3 MiB.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use prost::Message;

use crate::error::ApiError;

/// Items of a page when the request does not say.
const DEFAULT_PAGE_SIZE: i32 = 50;
/// A page ends before it grows beyond this.
const MAX_PAGE_BYTES: usize = 3 << 20;

/// A checked `page_size` and `page_token`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    pub size: usize,
    /// Items after this one; empty: from the start.
    pub after: String,
}

impl Page {
    /// Checks both fields; `max` is the installation's limit.
    pub fn parse(size: i32, token: &str, max: i32) -> Result<Self, ApiError> {
        let size = match size {
            0 => DEFAULT_PAGE_SIZE.min(max),
            size if (1..=max).contains(&size) => size,
            _ => return Err(ApiError::invalid_field("page_size", format!("must be 1 to {max}"))),
        };
        let after = BASE64_URL_SAFE_NO_PAD
            .decode(token)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok());
        let after = after.ok_or_else(|| ApiError::invalid_field("page_token", "is not a token of an earlier page"))?;
        Ok(Self {
            size: size as usize,
            after,
        })
    }

    /// What to ask the database for: one more than fits, to know whether a page follows.
    pub fn limit(&self) -> i64 {
        self.size as i64 + 1
    }

    /// Cuts items to the page and gives the token of the next one; empty at the end.
    pub fn cut<T: Message>(&self, mut items: Vec<T>, key: impl Fn(&T) -> String) -> (Vec<T>, String) {
        let mut bytes = 0;
        let fits = items.iter().take(self.size).take_while(|item| {
            bytes += item.encoded_len() + 8;
            bytes <= MAX_PAGE_BYTES
        });
        let kept = fits.count().max(1);
        if kept >= items.len() {
            return (items, String::new());
        }
        items.truncate(kept);
        let token = items.last().map(|last| token(&key(last))).unwrap_or_default();
        (items, token)
    }
}

/// The opaque form of a position.
pub fn token(position: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(position)
}

#[cfg(test)]
mod tests {
    use mps_proto::v1::Project;

    use super::*;

    fn projects(names: &[&str]) -> Vec<Project> {
        let project = |name: &&str| Project {
            name: (*name).to_owned(),
            ..Default::default()
        };
        names.iter().map(project).collect()
    }

    #[test]
    fn a_page_names_the_next_one_until_the_end() {
        let page = Page::parse(2, "", 1000).unwrap();
        let (items, next) = page.cut(projects(&["a", "b", "c"]), |project| project.name.clone());
        assert_eq!(items.len(), 2);
        let page = Page::parse(2, &next, 1000).unwrap();
        assert_eq!(page.after, "b");
        assert_eq!(page.cut(projects(&["c"]), |project| project.name.clone()).1, "");
    }

    #[test]
    fn wrong_sizes_and_tokens_are_refused() {
        assert!(Page::parse(-1, "", 1000).is_err());
        assert!(Page::parse(1001, "", 1000).is_err());
        assert!(Page::parse(1, "%", 1000).is_err());
    }

    #[test]
    fn a_page_is_cut_at_three_mebibytes() {
        let big = "x".repeat(2 << 20);
        let page = Page::parse(10, "", 1000).unwrap();
        let (items, next) = page.cut(projects(&[&big, &big]), |project| project.name.clone());
        assert_eq!(items.len(), 1);
        assert!(!next.is_empty());
    }
}
