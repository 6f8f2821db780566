//! What providers say, as the few kinds that callers tell apart.

use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use mps_proto::v1::ErrorReason;
use tonic::Code;

use crate::error::ApiError;

/// Why a storage call failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct StorageError {
    pub kind: StorageErrorKind,
    pub message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StorageErrorKind {
    /// There is no such storage, bucket or key.
    NotFound,
    NoSuchUpload,
    /// A part is missing or not what was named.
    InvalidPart,
    /// The provider does not permit it.
    Forbidden,
    /// No answer, or 5xx: worth a retry.
    Unavailable,
    Other,
}

impl StorageError {
    pub fn new(kind: StorageErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StorageErrorKind::NotFound, message)
    }

    pub fn other(message: impl Into<String>) -> Self {
        Self::new(StorageErrorKind::Other, message)
    }

    pub fn is_retryable(&self) -> bool {
        self.kind == StorageErrorKind::Unavailable
    }
}

impl<E> From<SdkError<E, HttpResponse>> for StorageError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    fn from(error: SdkError<E, HttpResponse>) -> Self {
        let kind = kind_of(&error);
        let message = match error.as_service_error().map(|service| (service.code(), service.message())) {
            Some((Some(code), Some(message))) => format!("{code}: {message}"),
            Some((Some(code), None)) => code.to_owned(),
            _ => match error.raw_response().map(|response| response.status().as_u16()) {
                Some(status) => format!("the provider answered {status}"),
                None => without_noise(&format!("{}", DisplayErrorContext(&error))),
            },
        };
        Self { kind, message }
    }
}

/// The debug form that the SDK appends tells users nothing.
fn without_noise(text: &str) -> String {
    text.split(" (").next().unwrap_or(text).chars().take(300).collect()
}

fn kind_of<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> StorageErrorKind {
    use StorageErrorKind as K;
    match error {
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => return K::Unavailable,
        SdkError::ConstructionFailure(_) => return K::Other,
        _ => {}
    }
    let status = error.raw_response().map_or(0, |response| response.status().as_u16());
    match error.as_service_error().and_then(ProvideErrorMetadata::code) {
        Some("NoSuchUpload") => K::NoSuchUpload,
        Some("InvalidPart" | "InvalidPartOrder" | "EntityTooSmall" | "EntityTooLarge") => K::InvalidPart,
        Some("NoSuchKey" | "NotFound" | "NoSuchBucket") => K::NotFound,
        Some("SlowDown" | "RequestTimeout" | "InternalError" | "ServiceUnavailable" | "OperationAborted") => K::Unavailable,
        _ => match status {
            401 | 403 => K::Forbidden,
            404 => K::NotFound,
            429 | 500.. => K::Unavailable,
            _ => K::Other,
        },
    }
}

impl From<StorageError> for ApiError {
    fn from(error: StorageError) -> Self {
        let (code, reason) = match error.kind {
            StorageErrorKind::NotFound | StorageErrorKind::NoSuchUpload => (Code::NotFound, ErrorReason::NotFound),
            StorageErrorKind::InvalidPart => (Code::FailedPrecondition, ErrorReason::WrongState),
            StorageErrorKind::Forbidden => (Code::FailedPrecondition, ErrorReason::StoragePermission),
            StorageErrorKind::Unavailable => (Code::Unavailable, ErrorReason::StorageUnavailable),
            StorageErrorKind::Other => (Code::FailedPrecondition, ErrorReason::StorageUnavailable),
        };
        let answer = Self::new(code, reason, error.message);
        match error.kind {
            StorageErrorKind::Forbidden => answer.hint("TestStorage says what is not permitted and the least policy to grant"),
            StorageErrorKind::Unavailable => answer.hint("check the storage's endpoint with TestStorage, or try again"),
            _ => answer,
        }
    }
}
