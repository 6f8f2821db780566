//! Which failures are worth another try, and how long to wait before it.

use std::time::Duration;

use rand::Rng;
use tonic::{Code, Status};
use tonic_types::StatusExt;

const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Whether the connection failed or the server asked for another try. What the server itself calls a fault of its own is final.
pub(crate) fn is_transient(status: &Status) -> bool {
    match status.code() {
        Code::Unavailable | Code::Cancelled | Code::DeadlineExceeded | Code::ResourceExhausted => true,
        // A broken connection comes as one of these, without the details that our server adds.
        Code::Unknown | Code::Internal => status.get_details_error_info().is_none(),
        _ => false,
    }
}

/// Wait before try number `failures` + 1: doubled each time, and between half and all of it, so that clients spread.
pub(crate) fn wait_after(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(10);
    let longest = FIRST_WAIT.saturating_mul(1 << doublings).min(LONGEST_WAIT);
    longest.mul_f64(rand::rng().random_range(0.5..=1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_stay_bounded() {
        assert!(wait_after(1) <= FIRST_WAIT);
        assert!(wait_after(5) > wait_after(1));
        for failures in [0, 20, u32::MAX] {
            assert!(wait_after(failures) <= LONGEST_WAIT);
        }
    }

    #[test]
    fn only_what_another_try_can_cure_is_tried_again() {
        for (code, expected) in [
            (Code::Unavailable, true),
            (Code::Unknown, true),
            (Code::NotFound, false),
            (Code::InvalidArgument, false),
            (Code::Unauthenticated, false),
        ] {
            assert_eq!(is_transient(&Status::new(code, "")), expected, "{code:?}");
        }
    }
}
