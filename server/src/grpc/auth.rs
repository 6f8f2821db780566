//! Authentication and roles. The public listener takes API keys, the workers' listener tokens; neither takes the other's.

use std::sync::Arc;

use anyhow::Context;
use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use mps_proto::v1::{ErrorReason, Role};
use sha2::{Digest, Sha256};
use tonic::{Code, Status};

use super::{
    caller::{Caller, WorkerCaller},
    roles::{self, Rule},
};
use crate::{app::App, config::Config, error::ApiError, service::access, storage::files};

/// Lets a public call pass if its key may make it, and tells the handler who calls.
pub(super) async fn public(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let bearer = bearer(&request).map(str::to_owned);
    match admit(&app, &path, bearer.as_deref()).await {
        Ok(caller) => {
            if let Some(caller) = caller {
                request.extensions_mut().insert(caller);
            }
            next.run(request).await
        }
        Err(status) => status.into_http(),
    }
}

async fn admit(app: &App, path: &str, bearer: Option<&str>) -> Result<Option<Caller>, Status> {
    let needed = match roles::rule(path) {
        None => return Err(Status::unimplemented(format!("there is no method {path}"))),
        Some(Rule::Open) => return Ok(None),
        Some(Rule::Reflection) if app.config.open_reflection => return Ok(None),
        Some(Rule::Reflection) => Role::Viewer,
        Some(Rule::Role(role)) => role,
    };
    let caller = access::authenticate(app, bearer.ok_or_else(no_key)?).await?;
    if (caller.role as i32) < needed as i32 {
        return Err(role_too_low(caller.role, needed).into());
    }
    Ok(Some(caller))
}

fn no_key() -> ApiError {
    ApiError::new(Code::Unauthenticated, ErrorReason::Unauthenticated, "the call carries no API key")
        .hint("send the header \"authorization: Bearer mps_…\"; the first key stands in admin.key of the data folder")
}

fn role_too_low(has: Role, needed: Role) -> ApiError {
    let (has, needed) = (roles::name(has), roles::name(needed));
    let message = format!("the call needs role {needed}; the key has {has}");
    ApiError::new(Code::PermissionDenied, ErrorReason::RoleTooLow, message)
        .with("neededRole", needed)
        .hint(format!("use a key with role {needed}; an admin makes one with CreateApiKey"))
}

fn bearer(request: &Request) -> Option<&str> {
    let value = request.headers().get(http::header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Tokens of workers, hashed, each with the pool that it is for.
#[derive(Clone)]
pub struct WorkerTokens(Arc<Vec<WorkerToken>>);

struct WorkerToken {
    hash: [u8; 32],
    pool: Option<String>,
}

impl WorkerTokens {
    /// Reads the file, and makes it with one new token for any pool where it is not there.
    pub fn load(config: &Config) -> anyhow::Result<Self> {
        let path = &config.worker_token_file;
        let text = files::create_private(path, || format!("{}\n", hex::encode(rand::random::<[u8; 32]>())))
            .with_context(|| format!("worker_token_file {}", path.display()))?;
        let tokens = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        let tokens: Vec<WorkerToken> = tokens.map(WorkerToken::parse).collect();
        anyhow::ensure!(!tokens.is_empty(), "worker_token_file {} holds no token", path.display());
        Ok(Self(Arc::new(tokens)))
    }

    /// Every token is compared, by hash: the time tells nothing about any.
    fn find(&self, token: &str) -> Option<WorkerCaller> {
        let hash = digest(token);
        let mut found = None;
        for known in self.0.iter() {
            let differences = known.hash.iter().zip(hash).fold(0, |differences, (a, b)| differences | (a ^ b));
            if std::hint::black_box(differences) == 0 {
                found = Some(WorkerCaller { pool: known.pool.clone() });
            }
        }
        found
    }
}

impl WorkerToken {
    fn parse(line: &str) -> Self {
        match line.split_once(char::is_whitespace) {
            Some((pool, token)) => Self {
                hash: digest(token.trim()),
                pool: Some(pool.to_owned()),
            },
            None => Self {
                hash: digest(line),
                pool: None,
            },
        }
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// Lets a worker's call pass if it carries a token.
pub(super) async fn worker(State(tokens): State<WorkerTokens>, mut request: Request, next: Next) -> Response {
    match bearer(&request).and_then(|token| tokens.find(token)) {
        Some(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        None => Status::from(no_token()).into_http(),
    }
}

fn no_token() -> ApiError {
    ApiError::new(
        Code::Unauthenticated,
        ErrorReason::Unauthenticated,
        "the call carries no valid worker token",
    )
    .hint("set MPS_WORKER_TOKEN_FILE to the server's worker.token")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worker_tokens_are_made_once_and_found_with_their_pool() {
        let folder = tempfile::tempdir().unwrap();
        let config = Config::of(&[("MPS_DATA_DIR", folder.path().to_str().unwrap())]).unwrap();
        WorkerTokens::load(&config).unwrap();
        let path = folder.path().join("worker.token");
        let made = std::fs::read_to_string(&path).unwrap();
        let again = WorkerTokens::load(&config).unwrap();
        assert_eq!(again.find(made.trim()).unwrap().pool, None);
        assert!(again.find("").is_none());

        std::fs::write(&path, "# two pools\ncpu one\ngpu two\n").unwrap();
        let tokens = WorkerTokens::load(&config).unwrap();
        assert!(tokens.find("two").unwrap().may_join("gpu"));
        assert!(!tokens.find("two").unwrap().may_join("cpu"));
        assert!(tokens.find("cpu one").is_none());
    }
}
