//! AccessService: projects, API keys, authentication by key, and the first key of an installation.

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use mps_proto::{
    name,
    v1::{self, ErrorReason, Role},
};
use sha2::{Digest, Sha256};
use tonic::Code;

use super::paging::Page;
use crate::{
    app::App,
    error::ApiError,
    grpc::caller::Caller,
    store::{
        keys::{self, KeyRow, NewKey},
        projects::{self, ProjectRow},
        tasks::timestamp,
    },
};

/// How long an answer of the database about a key is believed; a revoked key ends within 5 s on every replica.
const CACHE_TTL: Duration = Duration::from_secs(3);
/// Keys remembered at a time.
const CACHE_SIZE: usize = 4096;
/// The project that is there from the start.
const DEFAULT_PROJECT: &str = "default";
/// Where the first key of the installation is written.
const ADMIN_KEY_FILE: &str = "admin.key";
const MAX_DISPLAY_NAME: usize = 200;
/// Longest bearer token that is looked at.
const MAX_BEARER: usize = 256;

/// Keys that were valid a moment ago, by hash of their secret.
#[derive(Clone, Default)]
pub struct KeyCache(Arc<Mutex<HashMap<[u8; 32], CachedKey>>>);

struct CachedKey {
    caller: Caller,
    until: Instant,
}

impl KeyCache {
    fn entries(&self) -> MutexGuard<'_, HashMap<[u8; 32], CachedKey>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, hash: &[u8; 32]) -> Option<Caller> {
        let entries = self.entries();
        let cached = entries.get(hash)?;
        (cached.until > Instant::now()).then(|| cached.caller.clone())
    }

    fn put(&self, hash: [u8; 32], caller: Caller, ttl: Duration) {
        let now = Instant::now();
        let mut entries = self.entries();
        if entries.len() >= CACHE_SIZE {
            entries.retain(|_, cached| cached.until > now);
        }
        if entries.len() >= CACHE_SIZE {
            entries.clear();
        }
        entries.insert(hash, CachedKey { caller, until: now + ttl });
    }

    fn forget(&self, key_id: &str) {
        self.entries().retain(|_, cached| cached.caller.key_id != key_id);
    }
}

/// The caller behind a bearer token: UNAUTHENTICATED when there is no such valid key.
pub async fn authenticate(app: &App, bearer: &str) -> Result<Caller, ApiError> {
    let (id, secret) = split(bearer).ok_or_else(unauthenticated)?;
    let hash: [u8; 32] = Sha256::digest(bearer.as_bytes()).into();
    if let Some(caller) = app.keys.get(&hash) {
        return Ok(caller);
    }
    let found = keys::get_for_authentication(&app.store, id).await?;
    let (key, now_ms) = found.ok_or_else(unauthenticated)?;
    let left_ms = key.expire_ms.map_or(i64::MAX, |expire_ms| expire_ms - now_ms);
    if !same(&key.secret_hash, &secret_hash(secret)) || key.revoke_ms.is_some() || left_ms <= 0 {
        return Err(unauthenticated());
    }
    let caller = Caller {
        project: key.project,
        role: Role::try_from(key.role).unwrap_or(Role::Unspecified),
        installation: key.installation,
        key_id: key.id,
    };
    let ttl = CACHE_TTL.min(Duration::from_millis(left_ms.unsigned_abs()));
    app.keys.put(hash, caller.clone(), ttl);
    Ok(caller)
}

fn unauthenticated() -> ApiError {
    ApiError::new(Code::Unauthenticated, ErrorReason::Unauthenticated, "the API key is not valid").hint(
        "send \"authorization: Bearer mps_…\" with a key that is neither revoked nor over; the first key stands in admin.key of the data folder",
    )
}

/// Id and secret of `mps_{id}_{secret}`.
fn split(bearer: &str) -> Option<(&str, &str)> {
    let (id, secret) = bearer.strip_prefix("mps_")?.split_once('_')?;
    (bearer.len() <= MAX_BEARER && !id.is_empty() && !secret.is_empty()).then_some((id, secret))
}

/// Secrets have 256 random bits, so a plain hash is as hard to reverse as a slow one.
fn secret_hash(secret: &str) -> String {
    hex::encode(Sha256::digest(secret.as_bytes()))
}

/// Compares in a time that does not depend on where the texts differ.
fn same(one: &str, other: &str) -> bool {
    let differences = one.bytes().zip(other.bytes()).fold(0, |differences, (a, b)| differences | (a ^ b));
    std::hint::black_box(differences) == 0 && one.len() == other.len()
}

/// A new secret and the token that callers send.
fn new_token(id: &str) -> (String, String) {
    let secret = hex::encode(rand::random::<[u8; 32]>());
    let token = format!("mps_{id}_{secret}");
    (secret, token)
}

/// Makes the project `default`, and where the installation has no valid key, one that is written to `admin.key`.
pub async fn bootstrap(app: &App) -> anyhow::Result<()> {
    projects::insert(&app.store, DEFAULT_PROJECT, "Default").await?;
    if keys::has_installation_key(&app.store).await? {
        return Ok(());
    }
    let path = app.config.data_dir.join(ADMIN_KEY_FILE);
    let id = name::new_id();
    let (secret, token) = new_token(&id);
    // The file first: a key that nobody knows could not be made again.
    crate::storage::files::write_private(&path, format!("{token}\n").as_bytes())?;
    let key = NewKey {
        id: &id,
        project: DEFAULT_PROJECT,
        display_name: "Installation",
        role: Role::Admin as i32,
        secret_hash: &secret_hash(&secret),
        ttl_ms: None,
    };
    if !keys::insert_first_installation_key(&app.store, &key).await? {
        // Another replica was faster; its file has the key.
        remove_if_ours(&path, &token);
    }
    Ok(())
}

fn remove_if_ours(path: &Path, token: &str) {
    let is_ours = std::fs::read_to_string(path).is_ok_and(|text| text.trim() == token);
    if is_ours && let Err(error) = std::fs::remove_file(path) {
        tracing::warn!(%error, path = %path.display(), "key file of another replica's key could not be removed");
    }
}

/// NOT_FOUND unless the project is there.
pub async fn require_project(app: &App, project: &str) -> Result<(), ApiError> {
    match projects::get(&app.store, project).await? {
        Some(_) => Ok(()),
        None => Err(ApiError::not_found(format!("projects/{project}"))),
    }
}

pub async fn create_project(app: &App, caller: &Caller, request: v1::CreateProjectRequest) -> Result<v1::Project, ApiError> {
    if !caller.installation {
        return Err(ApiError::new(
            Code::PermissionDenied,
            ErrorReason::RoleTooLow,
            "only a key of the installation makes projects",
        )
        .hint("use the key in admin.key of the server's data folder"));
    }
    let mut violations = Vec::new();
    if !name::is_valid_id(&request.project_id) {
        violations.push(violation("project_id", "must match [a-z][a-z0-9-]{0,62}"));
    }
    check_display_name("display_name", &request.display_name, &mut violations);
    if !violations.is_empty() {
        return Err(ApiError::invalid(violations));
    }
    let row = projects::insert(&app.store, &request.project_id, &request.display_name).await?;
    row.map(project)
        .ok_or_else(|| already_exists(format!("projects/{}", request.project_id)))
}

pub async fn list_projects(app: &App, caller: &Caller, request: v1::ListProjectsRequest) -> Result<v1::ListProjectsResponse, ApiError> {
    let page = Page::parse(request.page_size, &request.page_token, app.config.limits.max_page_size)?;
    let rows = match caller.installation {
        true => projects::list(&app.store, &page.after, page.limit()).await?,
        false => projects::get(&app.store, &caller.project)
            .await?
            .into_iter()
            .filter(|row| row.id > page.after)
            .collect(),
    };
    let (projects, next_page_token) = page.cut(rows.into_iter().map(project).collect(), |project| last_segment(&project.name));
    Ok(v1::ListProjectsResponse { projects, next_page_token })
}

pub async fn create_key(app: &App, project: &str, request: v1::CreateApiKeyRequest) -> Result<v1::CreateApiKeyResponse, ApiError> {
    let mut violations = Vec::new();
    check_display_name("display_name", &request.display_name, &mut violations);
    if !matches!(request.role(), Role::Viewer | Role::Operator | Role::Admin) {
        violations.push(violation("role", "must be ROLE_VIEWER, ROLE_OPERATOR or ROLE_ADMIN"));
    }
    let ttl_ms = match request.ttl.as_ref().map(duration_ms) {
        None => None,
        Some(Some(ms)) if ms >= 1000 => Some(ms),
        Some(_) => {
            violations.push(violation("ttl", "must be 1 s to 100 years"));
            None
        }
    };
    if !violations.is_empty() {
        return Err(ApiError::invalid(violations));
    }
    require_project(app, project).await?;
    let id = name::new_id();
    let (secret, token) = new_token(&id);
    let new = NewKey {
        id: &id,
        project,
        display_name: &request.display_name,
        role: request.role,
        secret_hash: &secret_hash(&secret),
        ttl_ms,
    };
    let row = keys::insert(&app.store, &new).await?;
    Ok(v1::CreateApiKeyResponse {
        api_key: Some(api_key(row)),
        secret: token,
    })
}

pub async fn list_keys(
    app: &App,
    caller: &Caller,
    project: &str,
    request: v1::ListApiKeysRequest,
) -> Result<v1::ListApiKeysResponse, ApiError> {
    let page = Page::parse(request.page_size, &request.page_token, app.config.limits.max_page_size)?;
    require_project(app, project).await?;
    let rows = keys::list(&app.store, project, caller.installation, &page.after, page.limit()).await?;
    let (api_keys, next_page_token) = page.cut(rows.into_iter().map(api_key).collect(), |key| last_segment(&key.name));
    Ok(v1::ListApiKeysResponse { api_keys, next_page_token })
}

/// Ends a key: at once here, within the cache's time on other replicas.
pub async fn revoke_key(app: &App, caller: &Caller, project: &str, id: &str) -> Result<v1::ApiKey, ApiError> {
    let row = keys::revoke(&app.store, project, id, caller.installation).await?;
    let row = row.ok_or_else(|| ApiError::not_found(name::full(project, "apiKeys", id)))?;
    app.keys.forget(&row.id);
    Ok(api_key(row))
}

fn project(row: ProjectRow) -> v1::Project {
    v1::Project {
        name: format!("projects/{}", row.id),
        display_name: row.display_name,
        create_time: Some(timestamp(row.create_ms)),
    }
}

fn api_key(row: KeyRow) -> v1::ApiKey {
    v1::ApiKey {
        name: name::full(&row.project, "apiKeys", &row.id),
        display_name: row.display_name,
        role: row.role,
        installation: row.installation,
        create_time: Some(timestamp(row.create_ms)),
        expire_time: row.expire_ms.map(timestamp),
        revoke_time: row.revoke_ms.map(timestamp),
    }
}

/// ALREADY_EXISTS for a name.
pub fn already_exists(name: String) -> ApiError {
    ApiError::new(Code::AlreadyExists, ErrorReason::AlreadyExists, format!("{name} exists already")).with("resource", name)
}

/// Milliseconds of a span, up to 100 years.
pub fn duration_ms(duration: &prost_types::Duration) -> Option<i64> {
    const MOST_SECONDS: i64 = 100 * 366 * 24 * 3600;
    let in_range = (0..=MOST_SECONDS).contains(&duration.seconds) && (0..1_000_000_000).contains(&duration.nanos);
    in_range.then(|| duration.seconds * 1000 + i64::from(duration.nanos) / 1_000_000)
}

/// A violation of a field.
pub fn violation(field: &str, description: impl Into<String>) -> mps_plan::Violation {
    mps_plan::Violation {
        field: field.to_owned(),
        description: description.into(),
    }
}

/// Display names are short and printable.
pub fn check_display_name(field: &str, text: &str, violations: &mut Vec<mps_plan::Violation>) {
    if text.chars().count() > MAX_DISPLAY_NAME || text.chars().any(char::is_control) {
        violations.push(violation(
            field,
            format!("must be at most {MAX_DISPLAY_NAME} characters, none of them control characters"),
        ));
    }
}

/// The id in a full name.
pub fn last_segment(name: &str) -> String {
    name.rsplit('/').next().unwrap_or_default().to_owned()
}
