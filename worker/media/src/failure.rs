//! Failures of a pass, as the contract carries them: whose fault, reason, message, hint.

use prost::Message;

use mps_proto::{
    rpc,
    v1::ErrorReason,
    worker::v1::{Failure, FailureKind},
};

/// gRPC code of failures that the input causes.
const FAILED_PRECONDITION: i32 = 9;
/// gRPC code of failures of the machine.
const INTERNAL: i32 = 13;
/// gRPC code of failures of the outside.
const UNAVAILABLE: i32 = 14;

/// A failure of the data: it is not tried again.
pub fn data(reason: ErrorReason, message: impl Into<String>, hint: &str) -> Failure {
    build(FailureKind::Data, FAILED_PRECONDITION, reason, message.into(), hint)
}

/// A failure of the machine: it is tried elsewhere.
pub fn node(reason: ErrorReason, message: impl Into<String>, hint: &str) -> Failure {
    build(FailureKind::Node, INTERNAL, reason, message.into(), hint)
}

/// A failure of storage or source: it is tried later.
pub fn outside(reason: ErrorReason, message: impl Into<String>, hint: &str) -> Failure {
    build(FailureKind::Outside, UNAVAILABLE, reason, message.into(), hint)
}

/// The same with more to know about it in the ErrorInfo's metadata.
pub fn with(mut failure: Failure, metadata: &[(&str, &str)]) -> Failure {
    let Some(status) = &mut failure.status else { return failure };
    for detail in &mut status.details {
        if let Ok(mut info) = rpc::ErrorInfo::decode(detail.value.as_slice()) {
            info.metadata
                .extend(metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
            detail.value = info.encode_to_vec();
        }
    }
    failure
}

/// Its reason, without a prefix; empty when it has none.
pub fn reason_of(failure: &Failure) -> String {
    let details = failure.status.iter().flat_map(|status| &status.details);
    let info = details
        .filter_map(|detail| rpc::ErrorInfo::decode(detail.value.as_slice()).ok())
        .next();
    info.map(|info| info.reason).unwrap_or_default()
}

/// A warning: what did not stop a node.
pub fn warning(reason: ErrorReason, message: impl Into<String>, metadata: &[(&str, String)]) -> rpc::Status {
    status(0, reason, message.into(), metadata)
}

fn build(kind: FailureKind, code: i32, reason: ErrorReason, message: String, hint: &str) -> Failure {
    Failure {
        kind: kind as i32,
        status: Some(status(code, reason, message, &[("hint", hint.to_owned())])),
    }
}

fn status(code: i32, reason: ErrorReason, message: String, metadata: &[(&str, String)]) -> rpc::Status {
    let info = rpc::ErrorInfo {
        reason: reason.reason().to_owned(),
        domain: mps_proto::ERROR_DOMAIN.to_owned(),
        metadata: metadata
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(key, value)| ((*key).to_owned(), value.clone()))
            .collect(),
    };
    let detail = prost_types::Any {
        type_url: "type.googleapis.com/google.rpc.ErrorInfo".into(),
        value: info.encode_to_vec(),
    };
    rpc::Status {
        code,
        message,
        details: vec![detail],
    }
}
