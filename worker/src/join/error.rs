//! Why parts of a playlist cannot be joined, and what the caller is told.

use mps_media::failure;
use mps_proto::{v1::ErrorReason, worker::v1::Failure};

/// Why parts cannot be joined.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// What is there is right, but not taken.
    #[error("{message}")]
    Unsupported { message: String, hint: &'static str },
    /// The bytes are not what they should be.
    #[error("{0}")]
    Damaged(String),
    /// Of the worker's own disk.
    #[error("the parts of the playlist cannot be joined: {0}")]
    Disk(std::io::Error),
}

/// Readers of boxes say so of bytes, too.
impl From<std::io::Error> for JoinError {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof => {
                Self::Damaged("a part of the playlist is damaged or was cut".to_owned())
            }
            _ => Self::Disk(error),
        }
    }
}

impl JoinError {
    pub fn unsupported(message: impl Into<String>, hint: &'static str) -> Self {
        Self::Unsupported {
            message: message.into(),
            hint,
        }
    }

    pub fn damaged(message: impl Into<String>) -> Self {
        Self::Damaged(message.into())
    }

    pub fn into_failure(self) -> Failure {
        let message = self.to_string();
        match self {
            Self::Unsupported { hint, .. } => failure::data(ErrorReason::PlaylistUnsupported, message, hint),
            Self::Damaged(_) => failure::data(
                ErrorReason::InputDamaged,
                message,
                "check that the playlist's segments play, and make them anew where they do not",
            ),
            Self::Disk(error) => match error.kind() {
                std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                    failure::node(ErrorReason::DiskFull, message, "give the worker more scratch space, or fewer slots")
                }
                _ => failure::node(ErrorReason::Internal, message, "check the worker's scratch folder"),
            },
        }
    }
}
