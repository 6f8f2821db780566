//! `google.rpc.Status` of nodes: one ErrorInfo with reason and hint.

use std::collections::HashMap;

use mps_proto::{
    rpc::{ErrorInfo, Status},
    v1::ErrorReason,
    worker::v1::Failure,
};
use prost::Message;

const ERROR_INFO_URL: &str = "type.googleapis.com/google.rpc.ErrorInfo";

/// A status with what to do.
pub fn status(code: tonic::Code, reason: ErrorReason, message: impl Into<String>, hint: &str) -> Status {
    let info = ErrorInfo {
        reason: reason.reason().into(),
        domain: mps_proto::ERROR_DOMAIN.into(),
        metadata: HashMap::from([("hint".to_owned(), hint.to_owned())]),
    };
    Status {
        code: code as i32,
        message: message.into(),
        details: vec![any(&info)],
    }
}

fn any(info: &ErrorInfo) -> prost_types::Any {
    prost_types::Any {
        type_url: ERROR_INFO_URL.into(),
        value: info.encode_to_vec(),
    }
}

/// The ErrorInfo of a status.
pub fn info_of(status: &Status) -> Option<ErrorInfo> {
    let found = status.details.iter().find(|detail| detail.type_url == ERROR_INFO_URL)?;
    ErrorInfo::decode(found.value.as_slice()).ok()
}

/// The reason of a failure; empty when it has none.
pub fn reason_of(failure: &Failure) -> String {
    failure
        .status
        .as_ref()
        .and_then(info_of)
        .map(|info| info.reason)
        .unwrap_or_default()
}

/// Adds one entry to the ErrorInfo's metadata.
pub fn with_metadata(mut status: Status, key: &str, value: &str) -> Status {
    let mut info = info_of(&status).unwrap_or_else(|| ErrorInfo {
        reason: ErrorReason::PipelineFailed.reason().into(),
        domain: mps_proto::ERROR_DOMAIN.into(),
        metadata: HashMap::new(),
    });
    info.metadata.insert(key.into(), value.into());
    status.details.retain(|detail| detail.type_url != ERROR_INFO_URL);
    status.details.insert(0, any(&info));
    status
}

/// The last bytes of a text, cut between characters.
pub fn tail(text: &str, at_most: usize) -> &str {
    let start = text.len().saturating_sub(at_most);
    let cut = (start..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    text.get(cut..).unwrap_or_default()
}
