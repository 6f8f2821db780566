//! The client of WorkerService: token, deadlines, and what a refusal means.

use std::{
    future::Future,
    path::PathBuf,
    sync::{Arc, RwLock},
    time::Duration,
};

use mps_proto::{
    rpc,
    v1::ErrorReason,
    worker::v1::{Failure, FailureKind, worker_service_client::WorkerServiceClient},
};
use prost::Message;
use tokio::time::Instant;
use tonic::{
    Code, Request, Response, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint},
};

use crate::{config::Config, pipe::MAX_MESSAGE};

/// Deadline of one call.
const CALL_DEADLINE: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Silence after which the connection is tried, and how long it may take to answer.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// The generated client with the token put in.
pub type Client = WorkerServiceClient<InterceptedService<Channel, Bearer>>;

/// A connection to the server; made when first used, and again when it breaks.
#[derive(Clone)]
pub struct Rpc {
    client: Client,
    bearer: Bearer,
}

/// Puts the token into each call.
#[derive(Clone)]
pub struct Bearer {
    file: Arc<PathBuf>,
    token: Arc<RwLock<Option<MetadataValue<Ascii>>>>,
}

/// Why a call did not do what it was for.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The unit belongs to somebody else or is over.
    #[error("the unit is no longer ours")]
    Fenced,
    /// The server said no; asking again does not help.
    #[error("{}", .0.message())]
    Refused(Status),
    /// No answer, or none that is final, until the patience was over.
    #[error("the server does not answer: {}", .0.message())]
    NoAnswer(Status),
}

impl Rpc {
    /// Call it within the runtime that will use it.
    pub fn new(config: &Config) -> anyhow::Result<Self> {
        let mut endpoint = Endpoint::from_shared(config.server.clone())?
            .connect_timeout(Duration::from_secs(5))
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE)
            .tcp_nodelay(true);
        if !config.ca_file.as_os_str().is_empty() {
            let pem = std::fs::read(&config.ca_file)?;
            endpoint = endpoint.tls_config(ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)))?;
        }
        let bearer = Bearer {
            file: Arc::new(config.token_file.clone()),
            token: Arc::default(),
        };
        bearer.reload();
        let client = WorkerServiceClient::with_interceptor(endpoint.connect_lazy(), bearer.clone())
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE);
        Ok(Self { client, bearer })
    }

    /// The client, for streams.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Reads the token again, after a refusal.
    pub fn reload_token(&self) {
        self.bearer.reload();
    }

    /// One call, tried once.
    pub async fn once<T, F>(&self, call: impl FnOnce(Client) -> F) -> Result<T, CallError>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let answer = match tokio::time::timeout(CALL_DEADLINE, call(self.client())).await {
            Ok(answer) => answer,
            Err(_) => Err(Status::deadline_exceeded("no answer in time")),
        };
        answer.map(Response::into_inner).map_err(|status| {
            if status.code() == Code::Unauthenticated {
                self.reload_token();
            }
            classify(status)
        })
    }

    /// One call, tried until it is answered or the patience is over.
    pub async fn call<T, F>(&self, patience: Duration, call: impl Fn(Client) -> F) -> Result<T, CallError>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let until = Instant::now() + patience;
        let mut pause = FIRST_PAUSE;
        loop {
            match self.once(&call).await {
                Err(CallError::NoAnswer(status)) if Instant::now() + pause < until => {
                    tracing::debug!(code = ?status.code(), message = status.message(), "the server does not answer; asking again");
                }
                ended => return ended,
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

impl Bearer {
    fn reload(&self) {
        let token = std::fs::read_to_string(self.file.as_path())
            .ok()
            .and_then(|text| format!("Bearer {}", text.trim()).parse().ok());
        if let Ok(mut current) = self.token.write() {
            *current = token;
        }
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = self.token.read().ok().and_then(|token| token.clone()) {
            request.metadata_mut().insert("authorization", token);
        }
        Ok(request)
    }
}

fn classify(status: Status) -> CallError {
    if reason(&status).as_deref() == Some("FENCED") {
        return CallError::Fenced;
    }
    match status.code() {
        Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::FailedPrecondition
        | Code::OutOfRange
        | Code::Unimplemented => CallError::Refused(status),
        _ => CallError::NoAnswer(status),
    }
}

/// The reason in the status's ErrorInfo.
fn reason(status: &Status) -> Option<String> {
    let carried = rpc::Status::decode(status.details()).ok()?;
    let detail = carried
        .details
        .into_iter()
        .find(|detail| detail.type_url.ends_with("google.rpc.ErrorInfo"))?;
    rpc::ErrorInfo::decode(detail.value.as_slice()).ok().map(|info| info.reason)
}

/// A refusal as the unit's failure. What is wrong with the input or stands in an output's way is of the data; the rest may be better another time.
pub fn failure_of(error: &CallError, doing: &str) -> Failure {
    let status = match error {
        CallError::Fenced => return mps_media::failure::outside(ErrorReason::LeaseLost, "the lease was lost", ""),
        CallError::NoAnswer(status) => {
            let message = format!("the server did not answer while {doing}: {}", status.message());
            return mps_media::failure::outside(ErrorReason::Internal, message, "it is tried again");
        }
        CallError::Refused(status) => status,
    };
    let of_the_data = [
        "INPUT_NOT_FOUND",
        "INPUT_FORBIDDEN",
        "STORAGE_PERMISSION",
        "OUTPUT_KEY_RESERVED",
        "OUTPUT_EXISTS",
    ];
    match reason(status) {
        Some(reason) => {
            let kind = if of_the_data.contains(&reason.as_str()) {
                FailureKind::Data
            } else {
                FailureKind::Outside
            };
            Failure {
                kind: kind.into(),
                status: rpc::Status::decode(status.details()).ok(),
            }
        }
        None => {
            let message = format!("the server refused {doing}: {}", status.message());
            mps_media::failure::outside(ErrorReason::Internal, message, "see the server's log")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status_with(code: Code, reason: &str) -> Status {
        let info = rpc::ErrorInfo {
            reason: reason.into(),
            ..Default::default()
        };
        let detail = prost_types::Any {
            type_url: "type.googleapis.com/google.rpc.ErrorInfo".into(),
            value: info.encode_to_vec(),
        };
        let status = rpc::Status {
            code: code as i32,
            message: "m".into(),
            details: vec![detail],
        };
        Status::with_details(code, "m", status.encode_to_vec().into())
    }

    #[test]
    fn refusals_are_told_from_silence_and_from_the_fence() {
        assert!(matches!(
            classify(status_with(Code::FailedPrecondition, "FENCED")),
            CallError::Fenced
        ));
        assert!(matches!(
            classify(status_with(Code::NotFound, "INPUT_NOT_FOUND")),
            CallError::Refused(_)
        ));
        for silent in [
            Code::Unavailable,
            Code::Unknown,
            Code::Internal,
            Code::Unauthenticated,
            Code::Cancelled,
        ] {
            assert!(matches!(classify(Status::new(silent, "")), CallError::NoAnswer(_)), "{silent:?}");
        }
    }

    #[test]
    fn refusal_keeps_the_reason_of_the_server() {
        let failure = failure_of(&CallError::Refused(status_with(Code::NotFound, "INPUT_NOT_FOUND")), "fetching");
        assert_eq!(failure.kind(), FailureKind::Data);
        assert_eq!(failure.status.unwrap().details.len(), 1);
        let outside = failure_of(&CallError::NoAnswer(Status::unavailable("down")), "fetching");
        assert_eq!(outside.kind(), FailureKind::Outside);
    }
}
