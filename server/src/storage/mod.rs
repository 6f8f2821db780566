//! Object storage: one code path over aws-sdk-s3 for the embedded store and every provider.

pub mod files;

use std::{collections::HashMap, time::Duration};

/// Opens buckets of storages, with clients kept by storage revision.
#[derive(Clone, Default)]
pub struct Storages {}

/// One bucket (with prefix) of a storage. Keys are without the prefix.
#[derive(Clone)]
pub struct Bucket {}

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

/// Why a storage call failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct StorageError {
    pub kind: StorageErrorKind,
    pub message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StorageErrorKind {
    /// There is no such storage, bucket or key.
    NotFound,
    NoSuchUpload,
    /// A part is missing or not what was named.
    InvalidPart,
    /// The provider does not permit it.
    Forbidden,
    /// No answer, or 5xx: worth a retry.
    Unavailable,
    Other,
}

/// What a task needs of a storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    Read,
    Write,
}

impl Storages {
    /// Opens a project's storage; `local` is built in.
    pub async fn open(&self, _project: &str, _storage_id: &str) -> Result<Bucket, StorageError> {
        Err(StorageError {
            kind: StorageErrorKind::Other,
            message: "storage is not available".into(),
        })
    }
}

impl Bucket {
    fn absent<T>() -> Result<T, StorageError> {
        Err(StorageError {
            kind: StorageErrorKind::Other,
            message: "storage is not available".into(),
        })
    }
    /// Identity of the place, the same for two storages that name one bucket: `endpoint/bucket/prefix`.
    pub fn bucket_ref(&self) -> &str {
        ""
    }
    /// Whether the storage's `access` covers the need.
    pub fn permits(&self, _need: Need) -> bool {
        false
    }
    pub async fn presign_get(&self, _key: &str, _audience: Audience, _ttl: Duration) -> Result<String, StorageError> {
        Self::absent()
    }
    pub async fn presign_part(
        &self,
        _key: &str,
        _upload: &str,
        _part: i32,
        _audience: Audience,
        _ttl: Duration,
    ) -> Result<String, StorageError> {
        Self::absent()
    }
    pub async fn create_multipart(
        &self,
        _key: &str,
        _content_type: &str,
        _metadata: HashMap<String, String>,
    ) -> Result<String, StorageError> {
        Self::absent()
    }
    /// `parts`: (number, etag). Gives the object's etag.
    pub async fn complete_multipart(&self, _key: &str, _upload: &str, _parts: &[(i32, String)]) -> Result<String, StorageError> {
        Self::absent()
    }
    /// Succeeds too when there is no such upload.
    pub async fn abort_multipart(&self, _key: &str, _upload: &str) -> Result<(), StorageError> {
        Self::absent()
    }
    /// `None` when nothing stands there.
    pub async fn head(&self, _key: &str) -> Result<Option<Head>, StorageError> {
        Self::absent()
    }
    /// Succeeds too when nothing stands there.
    pub async fn delete(&self, _key: &str) -> Result<(), StorageError> {
        Self::absent()
    }
}
