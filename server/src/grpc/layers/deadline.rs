//! Bounds the time until an answer starts. Streams start at once and may go on for ever.

use std::time::Duration;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use mps_proto::v1::ErrorReason;
use tonic::{Code, Status};

use crate::{error::ApiError, grpc::roles::WAIT_TASK};

/// The longest that WaitTask waits.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Longest time until an answer starts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit(pub(super) Duration);

pub(super) async fn bounded(State(Limit(limit)): State<Limit>, request: Request, next: Next) -> Response {
    let limit = if request.uri().path() == WAIT_TASK {
        limit + LONGEST_WAIT
    } else {
        limit
    };
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Status::from(too_late(limit)).into_http(),
    }
}

fn too_late(limit: Duration) -> ApiError {
    let message = format!("the call was not done within {} s", limit.as_secs());
    ApiError::new(Code::DeadlineExceeded, ErrorReason::Overloaded, message)
}
