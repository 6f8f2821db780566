//! StorageService's storages: make, read, change, forget; and buckets of given credentials.

use mps_plan::Violation;
use mps_proto::{
    name,
    v1::{self, ErrorReason, Storage, StorageAccess, StorageCredentials, StorageKind, storage_credentials::Kind},
};
use tonic::Code;

use super::{
    access::{already_exists, check_display_name, last_segment, require_project, violation},
    idempotency::Replay,
    paging::Page,
};
use crate::{
    app::App,
    error::ApiError,
    storage::{
        Bucket, StorageError,
        place::{self, LOCAL_BUCKET, LOCAL_STORAGE},
    },
    store::{
        storages::{self, StorageRow},
        tasks::timestamp,
    },
};

/// Ids that would be taken for something else in `storage:key`.
const RESERVED_IDS: [&str; 4] = [LOCAL_STORAGE, "http", "https", "file"];
const MAX_SECRET: usize = 4096;
/// What UpdateStorage can change.
const FIELDS: [&str; 10] = [
    "display_name",
    "bucket",
    "region",
    "endpoint",
    "worker_endpoint",
    "public_endpoint",
    "path_style",
    "prefix",
    "access",
    "credentials",
];
/// Changes of these move the place under the feet of tasks.
const PLACE_FIELDS: [&str; 5] = ["bucket", "region", "endpoint", "path_style", "prefix"];

pub async fn create(app: &App, project: &str, request: v1::CreateStorageRequest) -> Result<v1::CreateStorageResponse, ApiError> {
    let replay = Replay::of(project, "CreateStorage", &request.request_id, &request)?;
    if let Some(replay) = &replay
        && let Some(first) = replay.first_answer(app).await?
    {
        return Ok(first);
    }
    let mut violations = Vec::new();
    let storage_id = match request.storage_id.as_str() {
        "" => format!("s{}", name::new_id()),
        chosen => chosen.to_owned(),
    };
    if !name::is_valid_id(&storage_id) || RESERVED_IDS.contains(&storage_id.as_str()) {
        let reserved = RESERVED_IDS.join(", ");
        violations.push(violation(
            "storage_id",
            format!("must match [a-z][a-z0-9-]{{0,62}} and be none of {reserved}"),
        ));
    }
    let given = request.storage.unwrap_or_default();
    let credentials = given.credentials.clone().unwrap_or_default();
    let spec = normalise(given);
    violations.extend(check(app, &spec));
    check_credentials(&credentials, &mut violations);
    if !violations.is_empty() {
        return Err(ApiError::invalid(violations));
    }
    require_project(app, project).await?;
    if storages::get(&app.store, project, &storage_id).await?.is_some() {
        return Err(already_exists(name::full(project, "storages", &storage_id)));
    }
    if request.create_bucket {
        let bucket = app.storages.open_unsaved(&spec, &credentials).await?;
        bucket.create_bucket().await.map_err(|error| bucket_refused(&spec.bucket, error))?;
    }
    let secret = app.storages.seal(project, &storage_id, &credentials)?;
    let txn = app.store.begin().await?;
    let row = storages::insert(&app.store, &txn, project, &storage_id, &spec, &secret).await?;
    let row = row.ok_or_else(|| already_exists(name::full(project, "storages", &storage_id)))?;
    let response = v1::CreateStorageResponse {
        storage: Some(message(row)),
    };
    if let Some(replay) = &replay {
        replay.keep(app, &txn, &response).await?;
    }
    txn.commit().await?;
    Ok(response)
}

fn bucket_refused(bucket: &str, error: StorageError) -> ApiError {
    let message = format!("bucket {bucket} could not be made: {error}");
    ApiError::from(StorageError::new(error.kind, message))
}

pub async fn get(app: &App, project: &str, id: &str) -> Result<Storage, ApiError> {
    if id == LOCAL_STORAGE && app.config.local_store.enabled {
        require_project(app, project).await?;
        return Ok(local(app, project));
    }
    Ok(message(row(app, project, id).await?))
}

/// A row, or NOT_FOUND.
async fn row(app: &App, project: &str, id: &str) -> Result<StorageRow, ApiError> {
    let found = storages::get(&app.store, project, id).await?;
    found.ok_or_else(|| ApiError::not_found(name::full(project, "storages", id)))
}

/// Opens a storage for a call; NOT_FOUND carries its full name.
pub async fn open(app: &App, project: &str, id: &str) -> Result<Bucket, ApiError> {
    // The project first: a key of the installation could name one that is not there, and every project has a `local`.
    match id {
        LOCAL_STORAGE => require_project(app, project).await?,
        id => drop(row(app, project, id).await?),
    }
    Ok(app.storages.open(project, id).await?)
}

pub async fn list(app: &App, project: &str, request: v1::ListStoragesRequest) -> Result<v1::ListStoragesResponse, ApiError> {
    let page = Page::parse(request.page_size, &request.page_token, app.config.limits.max_page_size)?;
    require_project(app, project).await?;
    let rows = storages::list(&app.store, project, &page.after, page.limit()).await?;
    let mut found: Vec<Storage> = rows.into_iter().map(message).collect();
    if app.config.local_store.enabled && page.after.as_str() < LOCAL_STORAGE {
        let at = found.partition_point(|storage| last_segment(&storage.name).as_str() < LOCAL_STORAGE);
        found.insert(at, local(app, project));
    }
    let (storages, next_page_token) = page.cut(found, |storage| last_segment(&storage.name));
    Ok(v1::ListStoragesResponse { storages, next_page_token })
}

pub async fn update(app: &App, project: &str, id: &str, request: v1::UpdateStorageRequest) -> Result<Storage, ApiError> {
    refuse_built_in(id)?;
    let change = request.storage.unwrap_or_default();
    let fields = fields_to_change(&change, request.update_mask)?;
    let mut row = row(app, project, id).await?;
    check_etag(&row, &request.etag)?;
    let before = row.spec.clone();
    for field in &fields {
        apply(&mut row.spec, &change, field);
    }
    let mut violations = check(app, &row.spec);
    if fields.iter().any(|field| field == "credentials") {
        let credentials = change.credentials.unwrap_or_default();
        check_credentials(&credentials, &mut violations);
        row.secret = Some(app.storages.seal(project, id, &credentials)?);
    }
    if !violations.is_empty() {
        return Err(ApiError::invalid(violations));
    }
    if PLACE_FIELDS.iter().any(|field| differs(&before, &row.spec, field)) {
        refuse_in_use(app, project, id, "its place cannot change").await?;
    }
    let updated = storages::update(&app.store, &row).await?;
    updated.map(message).ok_or_else(etag_mismatch)
}

pub async fn delete(app: &App, project: &str, request_etag: &str, id: &str) -> Result<(), ApiError> {
    refuse_built_in(id)?;
    let row = row(app, project, id).await?;
    check_etag(&row, request_etag)?;
    refuse_in_use(app, project, id, "it cannot be deleted").await?;
    match storages::delete(&app.store, project, id, row.revision).await? {
        true => Ok(()),
        false => Err(etag_mismatch()),
    }
}

/// Names of the buckets that given credentials see.
pub async fn list_buckets(app: &App, request: v1::ListBucketsRequest) -> Result<Vec<String>, ApiError> {
    let credentials = request.credentials.clone().unwrap_or_default();
    let spec = Storage {
        kind: request.kind,
        // No bucket is asked for; COS needs a name of its shape.
        bucket: "none-1250000000".into(),
        region: request.region,
        endpoint: request.endpoint,
        // Names of buckets must not become host names here.
        path_style: true,
        ..Default::default()
    };
    let mut violations = place::check(&spec, app.config.allow_private_urls);
    check_credentials(&credentials, &mut violations);
    for violation in &mut violations {
        violation.field = violation.field.trim_start_matches("storage.").to_owned();
    }
    if !violations.is_empty() {
        return Err(ApiError::invalid(violations));
    }
    let bucket = app.storages.open_unsaved(&spec, &credentials).await?;
    Ok(bucket.list_buckets().await?)
}

/// What is stored: defaults filled in, and nothing that the server says itself.
fn normalise(mut storage: Storage) -> Storage {
    storage.name = String::new();
    storage.credentials = None;
    storage.create_time = None;
    storage.update_time = None;
    storage.etag = String::new();
    storage.built_in = false;
    if storage.access() == StorageAccess::Unspecified {
        storage.set_access(StorageAccess::ReadWrite);
    }
    storage
}

fn check(app: &App, spec: &Storage) -> Vec<Violation> {
    let mut violations = place::check(spec, app.config.allow_private_urls);
    check_display_name("storage.display_name", &spec.display_name, &mut violations);
    if StorageAccess::try_from(spec.access).is_err() {
        violations.push(violation("storage.access", "is none of the values of StorageAccess"));
    }
    if StorageKind::try_from(spec.kind).is_err() {
        violations.push(violation("storage.kind", "is none of the values of StorageKind"));
    }
    violations
}

fn check_credentials(credentials: &StorageCredentials, violations: &mut Vec<Violation>) {
    let field = "storage.credentials";
    let is_plain = |text: &str, max: usize| (1..=max).contains(&text.len()) && text.chars().all(|c| c.is_ascii_graphic());
    match &credentials.kind {
        None | Some(Kind::Ambient(false)) => {
            violations.push(violation(field, "one of access_key, assume_role_arn and ambient must be set"));
        }
        Some(Kind::AccessKey(key)) => {
            if !is_plain(&key.access_key_id, 256) {
                violations.push(violation(
                    &format!("{field}.access_key.access_key_id"),
                    "must be 1 to 256 printable characters",
                ));
            }
            if !is_plain(&key.secret_access_key, MAX_SECRET) {
                violations.push(violation(
                    &format!("{field}.access_key.secret_access_key"),
                    "must be printable characters",
                ));
            }
            if !key.session_token.is_empty() && !is_plain(&key.session_token, MAX_SECRET) {
                violations.push(violation(
                    &format!("{field}.access_key.session_token"),
                    "must be printable characters",
                ));
            }
        }
        Some(Kind::AssumeRoleArn(arn)) => {
            if !arn.starts_with("arn:") || !is_plain(arn, 2048) {
                violations.push(violation(
                    &format!("{field}.assume_role_arn"),
                    "must be an ARN such as arn:aws:iam::123456789012:role/mps",
                ));
            }
        }
        Some(Kind::Ambient(true)) => {}
    }
}

/// Paths of the mask, or the fields that are set.
fn fields_to_change(change: &Storage, mask: Option<prost_types::FieldMask>) -> Result<Vec<String>, ApiError> {
    let named = mask.map(|mask| mask.paths).unwrap_or_default();
    if named.is_empty() {
        let set = |field: &&&str| differs(change, &Storage::default(), field);
        return Ok(FIELDS.iter().filter(set).map(|field| (*field).to_owned()).collect());
    }
    let unknown: Vec<Violation> = named
        .iter()
        .filter(|path| !FIELDS.contains(&path.as_str()))
        .map(|path| {
            violation(
                "update_mask",
                format!("`{path}` cannot be changed; one can change {}", FIELDS.join(", ")),
            )
        })
        .collect();
    match unknown.is_empty() {
        true => Ok(named),
        false => Err(ApiError::invalid(unknown)),
    }
}

fn apply(spec: &mut Storage, change: &Storage, field: &str) {
    match field {
        "display_name" => spec.display_name = change.display_name.clone(),
        "bucket" => spec.bucket = change.bucket.clone(),
        "region" => spec.region = change.region.clone(),
        "endpoint" => spec.endpoint = change.endpoint.clone(),
        "worker_endpoint" => spec.worker_endpoint = change.worker_endpoint.clone(),
        "public_endpoint" => spec.public_endpoint = change.public_endpoint.clone(),
        "path_style" => spec.path_style = change.path_style,
        "prefix" => spec.prefix = change.prefix.clone(),
        "access" if change.access() == StorageAccess::Unspecified => spec.set_access(StorageAccess::ReadWrite),
        "access" => spec.access = change.access,
        // Credentials stand apart.
        _ => {}
    }
}

fn differs(one: &Storage, other: &Storage, field: &str) -> bool {
    match field {
        "display_name" => one.display_name != other.display_name,
        "bucket" => one.bucket != other.bucket,
        "region" => one.region != other.region,
        "endpoint" => one.endpoint != other.endpoint,
        "worker_endpoint" => one.worker_endpoint != other.worker_endpoint,
        "public_endpoint" => one.public_endpoint != other.public_endpoint,
        "path_style" => one.path_style != other.path_style,
        "prefix" => one.prefix != other.prefix,
        "access" => one.access != other.access,
        "credentials" => one.credentials != other.credentials,
        _ => false,
    }
}

fn refuse_built_in(id: &str) -> Result<(), ApiError> {
    match id {
        LOCAL_STORAGE => Err(ApiError::wrong_state("the built-in storage `local` cannot be changed")
            .hint("the server's configuration has its endpoints (local_store)")),
        _ => Ok(()),
    }
}

async fn refuse_in_use(app: &App, project: &str, id: &str, what: &str) -> Result<(), ApiError> {
    match storages::open_user(&app.store, project, id).await? {
        None => Ok(()),
        Some(task) => Err(ApiError::wrong_state(format!("task {task} uses the storage, so {what}"))
            .with("resource", name::full(project, "tasks", &task))
            .hint("wait for its tasks to end, or cancel them")),
    }
}

fn etag(row: &StorageRow) -> String {
    format!("{}-{}", row.id, row.revision)
}

fn check_etag(row: &StorageRow, given: &str) -> Result<(), ApiError> {
    match given.is_empty() || given == etag(row) {
        true => Ok(()),
        false => Err(etag_mismatch()),
    }
}

fn etag_mismatch() -> ApiError {
    ApiError::new(Code::Aborted, ErrorReason::EtagMismatch, "the storage was changed meanwhile").hint("read it again and repeat the change")
}

fn message(row: StorageRow) -> Storage {
    Storage {
        name: name::full(&row.project, "storages", &row.id),
        etag: etag(&row),
        create_time: Some(timestamp(row.create_ms)),
        update_time: Some(timestamp(row.update_ms)),
        credentials: None,
        built_in: false,
        ..row.spec
    }
}

/// The storage that every project has. Its prefix in the store's bucket is nobody's business.
fn local(app: &App, project: &str) -> Storage {
    let place = place::Place::local(&app.config.local_store, project);
    Storage {
        name: name::full(project, "storages", LOCAL_STORAGE),
        display_name: "Built-in store".into(),
        kind: StorageKind::Local as i32,
        bucket: LOCAL_BUCKET.into(),
        region: place.region,
        endpoint: place.server.unwrap_or_default(),
        worker_endpoint: place.worker.unwrap_or_default(),
        public_endpoint: place.public.unwrap_or_default(),
        path_style: true,
        access: StorageAccess::ReadWrite as i32,
        etag: LOCAL_STORAGE.into(),
        built_in: true,
        ..Default::default()
    }
}
