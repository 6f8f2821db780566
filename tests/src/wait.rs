//! Waiting for conditions with a deadline, instead of sleeping.

use std::{
    future::Future,
    time::{Duration, Instant},
};

/// Polls every 20 ms until the condition gives a value; panics with `what` after the deadline.
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, deadline: Duration, mut condition: impl FnMut() -> F) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(start.elapsed() < deadline, "not within {deadline:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
