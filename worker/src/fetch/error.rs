//! Why an input could not be fetched, and what the caller is told.

use std::time::Duration;

use mps_media::failure;
use mps_proto::{v1::ErrorReason, worker::v1::Failure};

use super::{guard::Forbidden, playlist::refuse, sniff::List};

/// Why an input could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("the input's address is not allowed: {0}")]
    Forbidden(#[from] Forbidden),
    #[error("the input is not there (HTTP {0})")]
    NotFound(u16),
    /// 401 or 403; a presigned URL may have run out.
    #[error("the input's server denies access (HTTP {0})")]
    Denied(u16),
    #[error("the input's server answered HTTP {0}")]
    Rejected(u16),
    #[error("the input changed while it was read: its {0} is another one")]
    Changed(&'static str),
    #[error("the input is {}, which names other files", .0.name())]
    Playlist(List),
    #[error("the input's server does not answer requests for a part of a file")]
    NoRanges,
    #[error("the file ends before the bytes that the playlist names")]
    Outside,
    #[error("the input is not a media file: the file is empty")]
    Empty,
    #[error("the input's URL redirects more than {0} times")]
    TooManyRedirects(u32),
    #[error("the input's server sends less than {0} bytes per second")]
    TooSlow(u64),
    #[error("the input did not arrive within {} s", .0.as_secs())]
    Deadline(Duration),
    #[error("the file is larger than the {0} bytes that it may have")]
    TooLarge(u64),
    #[error("the first and the last bytes of the file do not tell what it contains, and a probe fetches at most {0} bytes")]
    TooMuchToProbe(u64),
    #[error("the input does not fit on the worker's disk")]
    DiskFull,
    #[error("the input cannot be written: {0}")]
    Disk(std::io::Error),
    /// Worth another try, from where it stopped.
    #[error("the input could not be read: {0}")]
    Interrupted(String),
    /// The server does not say where the input is.
    #[error("the input's URL could not be had")]
    NoUrl(Box<Failure>),
}

impl From<std::io::Error> for FetchError {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Self::DiskFull,
            _ => Self::Disk(error),
        }
    }
}

impl FetchError {
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Interrupted(_))
    }

    pub fn into_failure(self) -> Failure {
        let message = self.to_string();
        let data = |reason, hint| failure::data(reason, message.clone(), hint);
        match self {
            Self::NoUrl(failure) => *failure,
            Self::Forbidden(_) => data(
                ErrorReason::InputForbidden,
                "use a public http or https URL, or allow private addresses in the server's configuration",
            ),
            Self::NotFound(_) => data(ErrorReason::InputNotFound, "check the key or URL of the input"),
            Self::Denied(_) => data(ErrorReason::InputUnavailable, "give a URL that can be read without signing in"),
            Self::Rejected(_) => data(ErrorReason::InputUnavailable, "check that the URL can be downloaded with GET"),
            Self::TooManyRedirects(_) => data(ErrorReason::InputUnavailable, "give the URL that the redirects end at"),
            Self::Changed(_) => data(ErrorReason::InputChanged, "submit again when the input is no longer written to"),
            Self::Playlist(List::Hls | List::Other) => data(ErrorReason::InputNotMedia, "give the URL of a single file"),
            Self::Playlist(list) => refuse::other_manifest(list.name()),
            Self::NoRanges => data(
                ErrorReason::InputUnavailable,
                "put the playlist and its files on a server that answers byte ranges, or into a storage",
            ),
            Self::Outside => data(
                ErrorReason::InputTruncated,
                "upload the file again, and wait until it is complete; or make the playlist anew",
            ),
            Self::TooLarge(_) => data(ErrorReason::LimitExceeded, "give a smaller file"),
            Self::TooMuchToProbe(_) => data(
                ErrorReason::LimitExceeded,
                "process the file without a probe, or raise probe.max_bytes of the workers",
            ),
            Self::Empty => data(ErrorReason::InputNotMedia, "check that the upload of the input was complete"),
            Self::TooSlow(_) | Self::Deadline(_) | Self::Interrupted(_) => failure::outside(
                ErrorReason::InputUnavailable,
                message,
                "check that the input's server is reachable and fast enough, or upload the file to a storage",
            ),
            Self::DiskFull => failure::node(ErrorReason::DiskFull, message, "give the worker more scratch space, or fewer slots"),
            Self::Disk(_) => failure::node(ErrorReason::Internal, message, "check the worker's scratch folder"),
        }
    }
}
