//! What goes wrong with Redis. Nothing here stops the service: callers count it and go on.

use redis::RedisError;

/// Redis did not do it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("redis: {message}")]
pub struct QueueError {
    message: String,
    /// Whether the connection is to be made again.
    pub(crate) connection_lost: bool,
}

impl QueueError {
    pub(crate) fn no_answer() -> Self {
        Self {
            message: "no answer in time".into(),
            connection_lost: true,
        }
    }

    /// A call during the pause after a failure; the pause is not made longer.
    pub(crate) fn paused() -> Self {
        Self {
            message: "not reachable a moment ago".into(),
            connection_lost: false,
        }
    }

    pub(crate) fn lost(error: RedisError) -> Self {
        Self {
            message: error.to_string(),
            connection_lost: true,
        }
    }

    pub(crate) fn unexpected(what: &str) -> Self {
        Self {
            message: format!("answered something unexpected: {what}"),
            connection_lost: false,
        }
    }
}

/// Anything but an answer of a healthy server makes the connection suspect. A server that is loading or was demoted counts too.
impl From<RedisError> for QueueError {
    fn from(error: RedisError) -> Self {
        let is_answer = matches!(error.kind(), redis::ErrorKind::Server(_) | redis::ErrorKind::UnexpectedReturnType);
        let refuses_all = matches!(error.code(), Some("READONLY" | "LOADING" | "MASTERDOWN"));
        Self {
            message: error.to_string(),
            connection_lost: !is_answer || refuses_all,
        }
    }
}
