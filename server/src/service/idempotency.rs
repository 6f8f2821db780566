//! Answers kept by request id: the same request within a day gets the first answer again; another payload is refused.

use mps_proto::v1::ErrorReason;
use prost::Message;
use sea_orm::DatabaseTransaction;
use sha2::{Digest, Sha256};
use tonic::Code;

use crate::{
    app::App,
    error::ApiError,
    store::requests::{self, Answered},
};

/// Longest request id.
const MAX_LENGTH: usize = 64;

/// A call that may be repeated.
#[derive(Debug, Clone)]
pub struct Replay {
    project: String,
    method: &'static str,
    request_id: String,
    payload_hash: String,
}

impl Replay {
    /// `None` when the caller gave no request id.
    pub fn of(project: &str, method: &'static str, request_id: &str, request: &impl Message) -> Result<Option<Self>, ApiError> {
        if request_id.is_empty() {
            return Ok(None);
        }
        if request_id.chars().count() > MAX_LENGTH {
            return Err(ApiError::invalid_field("request_id", format!("at most {MAX_LENGTH} characters")));
        }
        Ok(Some(Self {
            project: project.to_owned(),
            method,
            request_id: request_id.to_owned(),
            payload_hash: hex::encode(Sha256::digest(request.encode_to_vec())),
        }))
    }

    /// The first answer, where there is one.
    pub async fn first_answer<R: Message + Default>(&self, app: &App) -> Result<Option<R>, ApiError> {
        let Some(answered) = requests::find(&app.store, &self.project, self.method, &self.request_id).await? else {
            return Ok(None);
        };
        if answered.payload_hash != self.payload_hash {
            return Err(self.reused());
        }
        R::decode(answered.response.as_slice()).map(Some).map_err(ApiError::internal)
    }

    /// Keeps the answer in the call's own transaction. A call beside this one that was faster wins: this one is to be tried again.
    pub async fn keep(&self, app: &App, txn: &DatabaseTransaction, response: &impl Message) -> Result<(), ApiError> {
        let answered = Answered {
            payload_hash: self.payload_hash.clone(),
            response: response.encode_to_vec(),
        };
        match requests::keep(&app.store, txn, &self.project, self.method, &self.request_id, answered).await? {
            true => Ok(()),
            false => Err(ApiError::new(
                Code::Aborted,
                ErrorReason::RequestIdReused,
                "a call with this request_id is under way",
            )
            .hint("send it again: it will get the first answer")),
        }
    }

    fn reused(&self) -> ApiError {
        ApiError::new(
            Code::InvalidArgument,
            ErrorReason::RequestIdReused,
            format!(
                "request_id {} was used with another payload within the last 24 hours",
                self.request_id
            ),
        )
        .hint("choose a new request_id for each new request")
    }
}
