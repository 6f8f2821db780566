//! Why calls of this library fail, and how a failure is told to people.

use mps_proto::rpc;
use tonic_types::{BadRequest, ErrorInfo, RpcStatusExt, StatusExt};

/// Why a call of this library failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("{0:?} is no address of a server: write http://host:port")]
    Address(String),
    #[error("the key has characters that a header cannot carry")]
    Key,
    #[error("TLS cannot be set up: {0}; are the system's certificates (ca-certificates) installed?")]
    Tls(String),
    #[error("{}", describe(.0))]
    Call(#[from] tonic::Status),
    #[error("{0}")]
    Transfer(String),
}

impl From<std::io::Error> for ClientError {
    fn from(error: std::io::Error) -> Self {
        Self::Transfer(error.to_string())
    }
}

/// A failed call in words: message, each violation on a line, hint.
pub fn describe(status: &tonic::Status) -> String {
    let message = match status.message() {
        "" => status.code().description(),
        message => message,
    };
    text(message, status.get_details_bad_request(), status.get_details_error_info())
}

/// The same for a status that stands in a task or a node.
pub fn describe_rpc(status: &rpc::Status) -> String {
    let message = match status.message.as_str() {
        "" => tonic::Code::from_i32(status.code).description(),
        message => message,
    };
    text(message, status.get_details_bad_request(), status.get_details_error_info())
}

fn text(message: &str, bad: Option<BadRequest>, info: Option<ErrorInfo>) -> String {
    let mut text = message.to_owned();
    for violation in bad.map(|bad| bad.field_violations).unwrap_or_default() {
        let line = format!("{}: {}", violation.field, violation.description);
        // A single violation is the message already.
        if !message.contains(&line) {
            text += &format!("\n  {line}");
        }
    }
    let metadata = info.map(|info| info.metadata).unwrap_or_default();
    if let (Some("true"), Some(count)) = (metadata.get("truncated").map(String::as_str), metadata.get("violationCount")) {
        text += &format!("\n  … {count} in all");
    }
    if let Some(hint) = metadata.get("hint") {
        text += &format!("\nhint: {hint}");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use tonic::{Code, Status};
    use tonic_types::{ErrorDetails, FieldViolation};

    use super::*;

    fn details(hint: Option<&str>, violations: &[(&str, &str)]) -> ErrorDetails {
        let metadata: HashMap<String, String> = hint.map(|hint| ("hint".to_owned(), hint.to_owned())).into_iter().collect();
        let mut details = ErrorDetails::with_error_info("INVALID_ARGUMENT", "mps.v1", metadata);
        let violations: Vec<FieldViolation> = violations
            .iter()
            .map(|(field, fault)| FieldViolation::new(*field, *fault))
            .collect();
        if !violations.is_empty() {
            details.set_bad_request(violations);
        }
        details
    }

    #[test]
    fn every_violation_and_the_hint_are_shown() {
        let details = details(Some("look here"), &[("priority", "is 11"), ("nodes", "is empty")]);
        let status = Status::with_error_details(Code::InvalidArgument, "2 fields are wrong", details);
        assert_eq!(
            describe(&status),
            "2 fields are wrong\n  priority: is 11\n  nodes: is empty\nhint: look here"
        );
    }

    #[test]
    fn a_single_violation_is_told_once_and_an_empty_message_is_filled_in() {
        let status = Status::with_error_details(Code::InvalidArgument, "a: b", details(None, &[("a", "b")]));
        assert_eq!(describe(&status), "a: b");
        assert!(!describe(&Status::new(Code::NotFound, "")).is_empty());
    }

    #[test]
    fn a_status_in_a_task_reads_like_one_of_a_call() {
        let info = tonic_types::pb::Status {
            code: 3,
            message: "input is no media file".into(),
            details: Vec::new(),
        };
        assert_eq!(describe_rpc(&info), "input is no media file");
    }
}
