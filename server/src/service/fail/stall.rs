//! Where a pass stood still, so that a second standstill at the same place is known for the file's own fault.

use mps_proto::{v1::ErrorReason, worker::v1::Failure};

use super::errors;

/// Positions in the input this near to each other, in seconds, are one place: how far queues are filled differs from run to run.
const NEAR_S: f64 = 2.0;

/// The stream that stood still, and at how many seconds, as `units.last_stall` keeps it; `None` for any other failure.
pub fn place(failure: &Failure) -> Option<String> {
    let info = failure.status.as_ref().and_then(errors::info_of)?;
    if info.reason != ErrorReason::Stalled.reason() {
        return None;
    }
    Some(format!("{} {}", info.metadata.get("stream")?, info.metadata.get("position")?))
}

pub fn is_same(one: &str, other: &str) -> bool {
    let read = |place: &str| {
        let (stream, position) = place.split_once(' ')?;
        Some((stream.to_owned(), position.parse::<f64>().ok()?))
    };
    match (read(one), read(other)) {
        (Some(one), Some(other)) => one.0 == other.0 && (one.1 - other.1).abs() <= NEAR_S,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_stream_and_about_a_second() {
        assert!(is_same("film 12.50", "film 13.90"));
        assert!(!is_same("film 12.50", "film 15.00"));
        assert!(!is_same("film 12.50", "sound 12.50"));
        assert!(!is_same("film", "film") && !is_same("", ""));
    }

    #[test]
    fn only_a_standstill_that_says_where_has_a_place() {
        let failure = |reason| {
            let status = errors::status(tonic::Code::Internal, reason, "nothing moves", "");
            let status = errors::with_metadata(errors::with_metadata(status, "stream", "film"), "position", "1.00");
            Failure {
                kind: 0,
                status: Some(status),
            }
        };
        assert_eq!(place(&failure(ErrorReason::Stalled)).as_deref(), Some("film 1.00"));
        assert_eq!(place(&failure(ErrorReason::PipelineFailed)), None);
        assert_eq!(place(&Failure::default()), None);
    }
}
