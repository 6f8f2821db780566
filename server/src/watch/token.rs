//! Resume tokens: a position in the watch log, bound to project and filter. They hold nothing secret and grant nothing, so they are
//! not signed: a forged one only chooses where the caller's own watch starts.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use mps_proto::v1::ErrorReason;
use mps_queue::Position;
use sha2::{Digest, Sha256};
use tonic::Code;

use crate::error::ApiError;

const VERSION: &str = "1";
/// Longest token that is looked at.
const MAX_LENGTH: usize = 1_024;

/// Writes tokens of one watch.
#[derive(Debug, Clone)]
pub(super) struct Tokens {
    project: String,
    filter_hash: String,
}

impl Tokens {
    pub(super) fn new(project: &str, filter_text: &str) -> Self {
        let hash = Sha256::digest(filter_text.trim().as_bytes());
        Self {
            project: project.to_owned(),
            filter_hash: hex::encode(&hash[..8]),
        }
    }

    /// `None`: the log is not there; the token then leads to a snapshot.
    pub(super) fn write(&self, position: Option<&Position>) -> String {
        let (epoch, id) = position.map_or(("", "0-0"), |position| (position.epoch.as_str(), position.id.as_str()));
        let text = [VERSION, epoch, id, &self.project, &self.filter_hash].join("\n");
        URL_SAFE_NO_PAD.encode(text)
    }

    pub(super) fn read(&self, token: &str) -> Result<Position, ApiError> {
        let malformed = || invalid("the resume token is malformed", "send a token as it came, or none");
        if token.len() > MAX_LENGTH {
            return Err(malformed());
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| malformed())?;
        let text = String::from_utf8(bytes).map_err(|_| malformed())?;
        let fields: Vec<&str> = text.split('\n').collect();
        let [VERSION, epoch, id, project, filter_hash] = fields.as_slice() else {
            return Err(malformed());
        };
        let position = Position {
            epoch: (*epoch).to_owned(),
            id: (*id).to_owned(),
        };
        if !position.is_well_formed() {
            return Err(malformed());
        }
        if *project != self.project || *filter_hash != self.filter_hash {
            return Err(invalid(
                "the resume token is of another project or filter",
                "watch the same project with the same filter, or send no token",
            ));
        }
        Ok(position)
    }
}

fn invalid(message: &str, hint: &str) -> ApiError {
    ApiError::new(Code::InvalidArgument, ErrorReason::ResumeTokenInvalid, message)
        .with("field", "resume_token")
        .hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_is_read_back_and_bound_to_project_and_filter() {
        let tokens = Tokens::new("p", "state = TASK_STATE_FAILED");
        let position = Position {
            epoch: "e".into(),
            id: "17-3".into(),
        };
        let token = tokens.write(Some(&position));
        assert_eq!(tokens.read(&token).unwrap(), position);
        assert!(Tokens::new("q", "state = TASK_STATE_FAILED").read(&token).is_err());
        assert!(Tokens::new("p", "").read(&token).is_err());
        let without_log = tokens.read(&tokens.write(None)).unwrap();
        assert_eq!(without_log.epoch, "");
        for forged in ["x", "!", &token[1..], &"A".repeat(2_000)] {
            let error = tokens.read(forged).unwrap_err();
            assert_eq!(error.reason, ErrorReason::ResumeTokenInvalid);
        }
    }
}
