//! Whether what a server answers goes on from what is already there. No I/O.

use reqwest::{
    StatusCode,
    header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, LAST_MODIFIED},
};

use super::{error::FetchError, http::Ask};

/// What tells one version of an input from another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    pub etag: Option<String>,
    pub last_modified: Option<String>,
    /// Length of the whole input, where it is known.
    pub total: Option<u64>,
}

/// Where the body of an answer belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// After what is there.
    Append,
    /// From the beginning again.
    Start,
    /// There is no more.
    Complete,
}

/// The parts of an answer that matter.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: StatusCode,
    pub identity: Identity,
    /// First byte of the body within the input, of a 206.
    pub range_start: Option<u64>,
}

impl Answer {
    pub fn read(status: StatusCode, headers: &HeaderMap) -> Self {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let range = text(CONTENT_RANGE);
        let total = match status {
            StatusCode::OK => text(CONTENT_LENGTH).and_then(|length| length.parse().ok()),
            _ => range.as_deref().and_then(range_total),
        };
        Self {
            status,
            identity: Identity {
                etag: text(ETAG),
                last_modified: text(LAST_MODIFIED),
                total,
            },
            range_start: range.as_deref().and_then(range_start),
        }
    }
}

/// `bytes 5-9/10` → 5
fn range_start(text: &str) -> Option<u64> {
    text.strip_prefix("bytes ")?.split('-').next()?.trim().parse().ok()
}

/// `bytes 5-9/10` and `bytes */10` → 10
fn range_total(text: &str) -> Option<u64> {
    text.rsplit_once('/')?.1.trim().parse().ok()
}

impl Identity {
    /// Whether a later answer can be told to be of the same version: only then is anything appended.
    pub fn can_be_checked(&self) -> bool {
        self.etag.is_some() || self.last_modified.is_some()
    }

    /// Value of If-Range; weak ETags are not allowed there, but are still compared.
    pub fn if_range(&self) -> Option<&str> {
        match &self.etag {
            Some(etag) if !etag.starts_with("W/") => Some(etag),
            Some(_) => None,
            None => self.last_modified.as_deref(),
        }
    }

    /// What differs, among what both know.
    pub fn difference(&self, other: &Self) -> Option<&'static str> {
        fn differ<T: PartialEq>(one: Option<&T>, other: Option<&T>) -> bool {
            matches!((one, other), (Some(one), Some(other)) if one != other)
        }
        if differ(self.etag.as_ref(), other.etag.as_ref()) {
            Some("ETag")
        } else if differ(self.last_modified.as_ref(), other.last_modified.as_ref()) {
            Some("Last-Modified")
        } else if differ(self.total.as_ref(), other.total.as_ref()) {
            Some("length")
        } else {
            None
        }
    }
}

/// Judges an answer to a request, given what the first answer said.
pub fn place(ask: Ask, known: Option<&Identity>, answer: &Answer) -> Result<Place, FetchError> {
    unless_changed(known, answer)?;
    let offset = ask.offset;
    match answer.status.as_u16() {
        200 if ask.part.is_some() => Err(FetchError::NoRanges),
        200 => Ok(Place::Start),
        206 if answer.range_start == Some(ask.first()) && (offset > 0 || ask.part.is_some()) => match ask.part {
            Some(part) if answer.identity.total.is_some_and(|total| part.end().is_none_or(|end| end > total)) => Err(FetchError::Outside),
            _ if offset > 0 => Ok(Place::Append),
            _ => Ok(Place::Start),
        },
        416 if ask.part.is_some() => Err(FetchError::Outside),
        416 if offset > 0 => match known.and_then(|known| known.total).or(answer.identity.total) {
            Some(total) if total == offset => Ok(Place::Complete),
            _ => Err(FetchError::Changed("length")),
        },
        _ => Err(refusal(answer)),
    }
}

/// Refuses an answer about another version than the first one was about.
pub fn unless_changed(known: Option<&Identity>, answer: &Answer) -> Result<(), FetchError> {
    let brings_bytes = matches!(answer.status, StatusCode::OK | StatusCode::PARTIAL_CONTENT);
    match known.filter(|_| brings_bytes).and_then(|known| known.difference(&answer.identity)) {
        Some(difference) => Err(FetchError::Changed(difference)),
        None => Ok(()),
    }
}

/// What an answer means that brings no bytes that were asked for.
pub fn refusal(answer: &Answer) -> FetchError {
    match answer.status.as_u16() {
        206 => FetchError::Interrupted("the server sent another range than was asked for".into()),
        code @ (404 | 410) => FetchError::NotFound(code),
        code @ (401 | 403) => FetchError::Denied(code),
        code @ (408 | 425 | 429 | 500..) => FetchError::Interrupted(format!("HTTP {code}")),
        code => FetchError::Rejected(code),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetch::playlist::Part;

    fn identity(etag: &str, total: u64) -> Identity {
        Identity {
            etag: Some(etag.into()),
            last_modified: None,
            total: Some(total),
        }
    }

    fn from(offset: u64) -> Ask {
        Ask { offset, part: None }
    }

    fn answer(status: u16, etag: &str, total: u64, range_start: Option<u64>) -> Answer {
        Answer {
            status: StatusCode::from_u16(status).unwrap(),
            identity: identity(etag, total),
            range_start,
        }
    }

    #[test]
    fn only_the_rest_of_the_same_version_is_appended() {
        let known = identity("a", 10);
        let judge = |answer| place(from(5), Some(&known), &answer);
        assert_eq!(judge(answer(206, "a", 10, Some(5))).unwrap(), Place::Append);
        assert_eq!(judge(answer(200, "a", 10, None)).unwrap(), Place::Start);
        assert!(matches!(judge(answer(206, "b", 10, Some(5))), Err(FetchError::Changed("ETag"))));
        assert!(matches!(judge(answer(200, "b", 10, None)), Err(FetchError::Changed("ETag"))));
        assert!(matches!(judge(answer(206, "a", 11, Some(5))), Err(FetchError::Changed("length"))));
        assert!(matches!(judge(answer(206, "a", 10, Some(4))), Err(FetchError::Interrupted(_))));
    }

    #[test]
    fn range_beyond_the_end_means_complete_or_changed() {
        let known = identity("a", 10);
        let beyond = answer(416, "a", 10, None);
        assert_eq!(place(from(10), Some(&known), &beyond).unwrap(), Place::Complete);
        assert!(matches!(place(from(9), Some(&known), &beyond), Err(FetchError::Changed(_))));
    }

    #[test]
    fn part_is_taken_only_where_the_server_gives_that_part() {
        let ask = |offset| Ask {
            offset,
            part: Some(Part { start: 4, length: 5 }),
        };
        let judge = |offset, answer| place(ask(offset), None, &answer);
        assert_eq!(judge(0, answer(206, "a", 10, Some(4))).unwrap(), Place::Start);
        assert_eq!(judge(2, answer(206, "a", 10, Some(6))).unwrap(), Place::Append);
        assert!(matches!(judge(0, answer(206, "a", 10, Some(0))), Err(FetchError::Interrupted(_))));
        assert!(matches!(judge(0, answer(206, "a", 8, Some(4))), Err(FetchError::Outside)));
        assert!(matches!(judge(0, answer(416, "a", 3, None)), Err(FetchError::Outside)));
        assert!(matches!(judge(0, answer(200, "a", 10, None)), Err(FetchError::NoRanges)));
    }

    #[test]
    fn weak_etags_are_compared_but_not_sent() {
        assert_eq!(identity("W/\"a\"", 1).if_range(), None);
        assert_eq!(identity("\"a\"", 1).if_range(), Some("\"a\""));
        assert!(!Identity::default().can_be_checked());
    }

    #[test]
    fn statuses_are_told_apart() {
        let judge = |status| place(from(0), None, &answer(status, "a", 1, None));
        assert!(matches!(judge(404), Err(FetchError::NotFound(404))));
        assert!(matches!(judge(403), Err(FetchError::Denied(403))));
        assert!(matches!(judge(400), Err(FetchError::Rejected(400))));
        for status in [429, 500, 503] {
            assert!(judge(status).unwrap_err().is_retryable(), "{status}");
        }
    }

    #[test]
    fn range_headers_are_read() {
        assert_eq!((range_start("bytes 5-9/10"), range_total("bytes 5-9/10")), (Some(5), Some(10)));
        assert_eq!((range_start("bytes */10"), range_total("bytes */10")), (None, Some(10)));
        assert_eq!(range_total("bytes 5-9/*"), None);
    }
}
