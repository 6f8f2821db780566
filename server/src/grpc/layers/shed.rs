//! Refuses calls when too many are under way, at once and with a hint when to come again. Health is never refused.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use mps_proto::v1::ErrorReason;
use tokio::sync::Semaphore;
use tonic::{Code, Status};

use crate::{
    error::ApiError,
    grpc::roles::{Rule, rule},
};

/// Calls that may be under way.
#[derive(Clone)]
pub(super) struct Slots(Arc<Semaphore>);

impl Slots {
    pub(super) fn new(calls: usize) -> Self {
        Self(Arc::new(Semaphore::new(calls.min(Semaphore::MAX_PERMITS))))
    }
}

/// A slot is held until the answer starts, so open streams hold none; watches have a limit of their own.
pub(super) async fn shed(State(slots): State<Slots>, request: Request, next: Next) -> Response {
    if rule(request.uri().path()) == Some(Rule::Open) {
        return next.run(request).await;
    }
    match slots.0.try_acquire() {
        Ok(_slot) => next.run(request).await,
        Err(_) => Status::from(overloaded()).into_http(),
    }
}

fn overloaded() -> ApiError {
    ApiError::new(
        Code::Unavailable,
        ErrorReason::Overloaded,
        "the server has too many calls under way; try again in a second",
    )
}
