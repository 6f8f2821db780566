//! The one error type at the API's boundary and its mapping to gRPC: code, ErrorInfo, and every violation by field path.

use std::collections::HashMap;

use mps_proto::v1::ErrorReason;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

/// Most violations that one answer carries; gRPC metadata is limited to about 8 KiB.
const MAX_VIOLATIONS: usize = 32;
/// Most bytes of all violations together.
const MAX_VIOLATION_BYTES: usize = 3000;

/// What a call answers when it fails.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    pub code: Code,
    pub reason: ErrorReason,
    pub message: String,
    pub metadata: HashMap<String, String>,
    pub violations: Vec<mps_plan::Violation>,
}

impl ApiError {
    pub fn new(code: Code, reason: ErrorReason, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            metadata: HashMap::new(),
            violations: Vec::new(),
        }
    }

    /// All violations of a request at once.
    pub fn invalid(violations: Vec<mps_plan::Violation>) -> Self {
        let message = match violations.as_slice() {
            [only] => format!("{}: {}", only.field, only.description),
            many => format!("{} fields are wrong; details list each", many.len()),
        };
        Self {
            violations,
            ..Self::new(Code::InvalidArgument, ErrorReason::InvalidArgument, message)
        }
    }

    pub fn invalid_field(field: impl Into<String>, description: impl Into<String>) -> Self {
        Self::invalid(vec![mps_plan::Violation {
            field: field.into(),
            description: description.into(),
        }])
    }

    pub fn not_found(name: impl std::fmt::Display) -> Self {
        Self::new(
            Code::NotFound,
            ErrorReason::NotFound,
            format!("{name} does not exist in this project"),
        )
        .with("resource", name)
    }

    pub fn wrong_state(message: impl Into<String>) -> Self {
        Self::new(Code::FailedPrecondition, ErrorReason::WrongState, message)
    }

    pub fn internal(error: impl std::fmt::Display) -> Self {
        tracing::error!(%error, "call failed inside");
        Self::new(
            Code::Internal,
            ErrorReason::Internal,
            "something broke inside; the server's log has the details",
        )
    }

    pub fn with(mut self, key: &str, value: impl std::fmt::Display) -> Self {
        self.metadata.insert(key.to_owned(), value.to_string());
        self
    }

    /// What the caller can do about it.
    pub fn hint(self, hint: impl std::fmt::Display) -> Self {
        self.with("hint", hint)
    }
}

/// A database that cannot be reached is worth a retry; everything else is a fault of ours.
impl From<sea_orm::DbErr> for ApiError {
    fn from(error: sea_orm::DbErr) -> Self {
        use sea_orm::DbErr;
        match &error {
            DbErr::ConnectionAcquire(_) | DbErr::Conn(_) => {
                tracing::warn!(%error, "database does not answer");
                Self::new(
                    Code::Unavailable,
                    ErrorReason::Overloaded,
                    "the database does not answer; try again",
                )
            }
            _ => Self::internal(error),
        }
    }
}

impl From<ApiError> for Status {
    fn from(error: ApiError) -> Self {
        let mut metadata = error.metadata;
        let (violations, cut) = fit(error.violations);
        if cut > 0 {
            metadata.insert("truncated".into(), "true".into());
            metadata.insert("violationCount".into(), (violations.len() + cut).to_string());
        }
        let mut details = ErrorDetails::with_error_info(error.reason.reason(), mps_proto::ERROR_DOMAIN, metadata);
        if !violations.is_empty() {
            details.set_bad_request(violations);
        }
        if error.code == Code::Unavailable {
            details.set_retry_info(Some(std::time::Duration::from_secs(1)));
        }
        Status::with_error_details(error.code, error.message, details)
    }
}

/// The violations that fit an answer, and how many were left out.
fn fit(violations: Vec<mps_plan::Violation>) -> (Vec<FieldViolation>, usize) {
    let total = violations.len();
    let mut bytes = 0;
    let kept: Vec<FieldViolation> = violations
        .into_iter()
        .take(MAX_VIOLATIONS)
        .take_while(|violation| {
            bytes += violation.field.len() + violation.description.len() + 8;
            bytes <= MAX_VIOLATION_BYTES
        })
        .map(|violation| FieldViolation::new(violation.field, violation.description))
        .collect();
    let cut = total - kept.len();
    (kept, cut)
}
