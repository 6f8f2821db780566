//! Object storage: one code path over aws-sdk-s3 for the embedded store and every provider.

pub mod address;
pub mod bucket;
pub mod client;
pub mod embedded;
pub mod error;
pub mod files;
pub mod keys;
pub mod objects;
pub mod place;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aws_sdk_s3::config::{Credentials, SharedCredentialsProvider};
use mps_proto::v1::{Storage, StorageAccess, StorageCredentials};
use prost::Message;

pub use self::{
    bucket::Bucket,
    error::{StorageError, StorageErrorKind},
};
use self::{embedded::LocalKeys, place::Place};
use crate::{
    config::Config,
    service::secrets::KeyRing,
    store::{
        Store,
        storages::{self, StorageRow},
    },
};

/// Buckets kept open at a time.
const CACHE_SIZE: usize = 256;

/// For whom a URL is signed: each has an endpoint of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    Server,
    Worker,
    Public,
}

/// What stands at a key.
#[derive(Debug, Clone)]
pub struct Head {
    pub size_bytes: i64,
    pub etag: String,
    /// User metadata, lower-case names without `x-amz-meta-`.
    pub metadata: HashMap<String, String>,
}

/// What a task needs of a storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    Read,
    Write,
}

/// Opens buckets of storages, with clients kept by storage revision. The default one has no storage at all.
#[derive(Clone, Default)]
pub struct Storages(Option<Arc<Inner>>);

struct Inner {
    config: Arc<Config>,
    store: Store,
    ring: KeyRing,
    local: LocalKeys,
    open: Mutex<HashMap<(String, String), (i64, Bucket)>>,
}

impl Storages {
    /// Reads (or makes) the key ring and the embedded store's keys in the data folder.
    pub fn load(config: Arc<Config>, store: Store) -> anyhow::Result<Self> {
        let ring = KeyRing::load(&config.data_dir)?;
        let local = LocalKeys::load(&config.data_dir)?;
        Ok(Self(Some(Arc::new(Inner {
            config,
            store,
            ring,
            local,
            open: Mutex::default(),
        }))))
    }

    fn inner(&self) -> Result<&Arc<Inner>, StorageError> {
        self.0.as_ref().ok_or_else(|| StorageError::other("this process has no storages"))
    }

    /// Opens a project's storage; `local` is built in.
    pub async fn open(&self, project: &str, storage_id: &str) -> Result<Bucket, StorageError> {
        let inner = self.inner()?;
        if storage_id == place::LOCAL_STORAGE {
            return inner.open_local(project);
        }
        let found = storages::get(&inner.store, project, storage_id).await.map_err(database)?;
        let row = found.ok_or_else(|| no_storage(storage_id))?;
        inner.open_row(&row).await
    }

    /// Opens what a storage would be, without keeping it: to try it before it is stored.
    pub async fn open_unsaved(&self, storage: &Storage, credentials: &StorageCredentials) -> Result<Bucket, StorageError> {
        self.inner()?.connect(storage, credentials).await
    }

    /// Encrypts credentials for a storage.
    pub fn seal(&self, project: &str, storage_id: &str, credentials: &StorageCredentials) -> Result<Vec<u8>, StorageError> {
        let sealed = self.inner()?.ring.seal(&credentials.encode_to_vec(), &context(project, storage_id));
        sealed.map_err(|error| StorageError::other(error.to_string()))
    }

    /// Decrypts a storage's credentials.
    pub fn credentials(&self, row: &StorageRow) -> Result<StorageCredentials, StorageError> {
        self.inner()?.credentials(row)
    }
}

impl Inner {
    fn open(&self) -> MutexGuard<'_, HashMap<(String, String), (i64, Bucket)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn kept(&self, project: &str, storage_id: &str, revision: i64) -> Option<Bucket> {
        let open = self.open();
        let (kept, bucket) = open.get(&(project.to_owned(), storage_id.to_owned()))?;
        (*kept == revision).then(|| bucket.clone())
    }

    fn keep(&self, project: &str, storage_id: &str, revision: i64, bucket: &Bucket) {
        let mut open = self.open();
        if open.len() >= CACHE_SIZE {
            open.clear();
        }
        open.insert((project.to_owned(), storage_id.to_owned()), (revision, bucket.clone()));
    }

    fn open_local(&self, project: &str) -> Result<Bucket, StorageError> {
        if !self.config.local_store.enabled {
            return Err(StorageError::not_found(
                "the built-in storage `local` is switched off; name another storage",
            ));
        }
        if let Some(bucket) = self.kept(project, place::LOCAL_STORAGE, 0) {
            return Ok(bucket);
        }
        let place = Place::local(&self.config.local_store, project);
        let keys = Credentials::new(&self.local.access_key_id, &self.local.secret_access_key, None, None, "local");
        let bucket = Bucket::new(place, StorageAccess::ReadWrite, SharedCredentialsProvider::new(keys), false);
        self.keep(project, place::LOCAL_STORAGE, 0, &bucket);
        Ok(bucket)
    }

    async fn open_row(&self, row: &StorageRow) -> Result<Bucket, StorageError> {
        if let Some(bucket) = self.kept(&row.project, &row.id, row.revision) {
            return Ok(bucket);
        }
        let bucket = self.connect(&row.spec, &self.credentials(row)?).await?;
        self.keep(&row.project, &row.id, row.revision, &bucket);
        Ok(bucket)
    }

    async fn connect(&self, storage: &Storage, credentials: &StorageCredentials) -> Result<Bucket, StorageError> {
        use mps_proto::v1::storage_credentials::Kind;
        let allow_private = self.config.allow_private_urls;
        // Checked again: the configuration may have become stricter since the storage was made.
        for endpoint in [&storage.endpoint, &storage.worker_endpoint, &storage.public_endpoint] {
            place::check_endpoint(endpoint, allow_private).map_err(|fault| StorageError::other(format!("{endpoint} {fault}")))?;
        }
        let place = Place::of(storage, allow_private);
        let provider = client::credentials(credentials, &place).await?;
        let by_role = matches!(credentials.kind, Some(Kind::AssumeRoleArn(_)));
        Ok(Bucket::new(place, storage.access(), provider, by_role))
    }

    fn credentials(&self, row: &StorageRow) -> Result<StorageCredentials, StorageError> {
        let sealed = row.secret.as_deref().unwrap_or_default();
        let opened = self.ring.open(sealed, &context(&row.project, &row.id));
        let opened = opened.map_err(|error| StorageError::other(error.to_string()))?;
        StorageCredentials::decode(opened.as_slice()).map_err(|error| StorageError::other(error.to_string()))
    }
}

/// What an encrypted secret is bound to.
fn context(project: &str, storage_id: &str) -> String {
    mps_proto::name::full(project, "storages", storage_id)
}

fn no_storage(storage_id: &str) -> StorageError {
    StorageError::not_found(format!("there is no storage `{storage_id}` in this project"))
}

fn database(error: sea_orm::DbErr) -> StorageError {
    tracing::warn!(%error, "storage could not be read from the database");
    StorageError::new(StorageErrorKind::Unavailable, "the database does not answer; try again")
}
