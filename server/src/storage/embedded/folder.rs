//! Objects as plain files in a folder, each in place whole or not at all.
//!
//! ```text
//! {bucket}/{key}                          the object
//! .meta/{aa}/{hash of key}-{size}-{mtime} its attributes: named after the very file they describe, so both change in one rename
//! .meta/{aa}/{hash of key}-folder         marks a folder that somebody made
//! .uploads/{id}/info, part-{n}.{etag}     an open multipart upload
//! .tmp/                                   what is being written
//! ```
//!
//! A Complete reads the parts and leaves them until the object stands: killed midway, it can be called again.

use std::{
    collections::HashMap,
    fs::{self, File, Metadata},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use s3s::{S3Error, S3Result, s3_error};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::storage::keys;

const META: &str = ".meta";
pub(super) const UPLOADS: &str = ".uploads";
const TEMPORARY: &str = ".tmp";
pub(super) const UPLOAD_LOCKS: usize = 64;

/// What stands beside an object's bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attributes {
    pub etag: String,
    pub content_type: Option<String>,
    pub content_encoding: Option<String>,
    pub content_disposition: Option<String>,
    pub content_language: Option<String>,
    pub cache_control: Option<String>,
    pub metadata: HashMap<String, String>,
}

/// An object that is open for reading.
pub struct Opened {
    pub file: File,
    pub stat: Metadata,
    pub attributes: Attributes,
}

/// The folder. Its calls block.
pub struct Folder {
    pub(super) root: PathBuf,
    /// Held while a file takes its place or leaves it.
    publishing: Mutex<()>,
    /// Complete and Abort of one upload exclude each other.
    pub(super) uploads: [Mutex<()>; UPLOAD_LOCKS],
}

impl Folder {
    /// Opens (or makes) a folder with one bucket; what was being written when the last process ended is dropped.
    pub fn open(root: &Path, bucket: &str) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        let root = root.canonicalize()?;
        let _ = fs::remove_dir_all(root.join(TEMPORARY));
        for folder in [bucket, META, UPLOADS, TEMPORARY] {
            fs::create_dir_all(root.join(folder))?;
        }
        sync_folder(&root)?;
        Ok(Self {
            root,
            publishing: Mutex::default(),
            uploads: std::array::from_fn(|_| Mutex::default()),
        })
    }

    /// Names of buckets.
    pub fn buckets(&self) -> S3Result<Vec<(String, Metadata)>> {
        let mut buckets = Vec::new();
        for entry in fs::read_dir(&self.root).map_err(fault)? {
            let entry = entry.map_err(fault)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let stat = entry.metadata().map_err(fault)?;
            if stat.is_dir() && s3s::path::check_bucket_name(&name) {
                buckets.push((name, stat));
            }
        }
        buckets.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(buckets)
    }

    /// The folder of a bucket that is there.
    pub fn bucket(&self, name: &str) -> S3Result<PathBuf> {
        if !s3s::path::check_bucket_name(name) {
            return Err(s3_error!(InvalidBucketName));
        }
        let path = self.root.join(name);
        path.is_dir().then_some(path).ok_or_else(|| s3_error!(NoSuchBucket))
    }

    /// A new file for bytes that come in.
    pub fn temporary(&self) -> PathBuf {
        self.root.join(TEMPORARY).join(mps_proto::name::new_id())
    }

    pub(super) fn object(&self, bucket: &str, key: &str) -> S3Result<PathBuf> {
        let path = key.strip_suffix('/').unwrap_or(key);
        keys::check(path).map_err(|fault| s3_error!(InvalidArgument, "key {fault}"))?;
        if path.split('/').any(|segment| segment.len() > 255) {
            return Err(s3_error!(KeyTooLongError, "a segment of a key may have 255 bytes here"));
        }
        Ok(self.bucket(bucket)?.join(path))
    }

    fn beside(&self, bucket: &str, key: &str, suffix: &str) -> PathBuf {
        let hash = hex::encode(Sha256::digest(format!("{bucket}/{key}")));
        self.root.join(META).join(&hash[..2]).join(format!("{hash}-{suffix}"))
    }

    fn attributes_path(&self, bucket: &str, key: &str, stat: &Metadata) -> PathBuf {
        self.beside(bucket, key, &version(stat))
    }

    /// Attributes of a file; one that was put there by hand has none.
    pub fn attributes(&self, bucket: &str, key: &str, stat: &Metadata) -> Attributes {
        let read = fs::read(self.attributes_path(bucket, key, stat)).ok();
        read.and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_else(|| Attributes {
                etag: version(stat),
                content_type: Some(keys::content_type(key).to_owned()),
                ..Default::default()
            })
    }

    /// Opens an object with the attributes of the very file that was opened.
    pub fn read(&self, bucket: &str, key: &str) -> S3Result<Opened> {
        let path = self.object(bucket, key)?;
        if key.ends_with('/') {
            return Err(s3_error!(NoSuchKey));
        }
        // An overwrite between open and the look at attributes removes them: then the new object is what to read.
        for _ in 0..3 {
            let file = File::open(&path).map_err(missing)?;
            let stat = file.metadata().map_err(fault)?;
            if !stat.is_file() {
                return Err(s3_error!(NoSuchKey));
            }
            let has_attributes = self.attributes_path(bucket, key, &stat).exists();
            let attributes = self.attributes(bucket, key, &stat);
            let still = fs::metadata(&path).map(|now| version(&now) == version(&stat)).unwrap_or(false);
            if has_attributes || still {
                return Ok(Opened { file, stat, attributes });
            }
        }
        Err(s3_error!(ServiceUnavailable, "the object is being replaced; try again"))
    }

    /// Whether a folder was made by name.
    pub fn is_marked(&self, bucket: &str, key: &str) -> bool {
        self.beside(bucket, key, "folder").exists()
    }

    /// Makes a folder that stays when it is empty.
    pub fn make_folder(&self, bucket: &str, key: &str) -> S3Result<()> {
        let path = self.object(bucket, key)?;
        let _publishing = self.publishing();
        fs::create_dir_all(path).map_err(taken)?;
        write_synced(&self.beside(bucket, key, "folder"), b"").map_err(fault)
    }

    /// Moves a finished file to its key. `only_new`: refused when something stands there.
    pub fn publish(&self, temporary: &Path, bucket: &str, key: &str, attributes: &Attributes, only_new: bool) -> S3Result<()> {
        let path = self.object(bucket, key)?;
        let stat = fs::metadata(temporary).map_err(fault)?;
        let beside = self.attributes_path(bucket, key, &stat);
        let text = serde_json::to_vec(attributes).map_err(|error| s3_error!(error, InternalError))?;
        write_synced(&beside, &text).map_err(fault)?;
        let placed = self.place(temporary, &path, only_new);
        match placed {
            Ok(Some(old)) if version(&old) != version(&stat) => drop(fs::remove_file(self.attributes_path(bucket, key, &old))),
            Ok(_) => {}
            Err(error) => {
                let _ = fs::remove_file(&beside);
                return Err(error);
            }
        }
        self.sync_path(&path).map_err(fault)
    }

    /// The rename; gives what stood there before.
    fn place(&self, temporary: &Path, path: &Path, only_new: bool) -> S3Result<Option<Metadata>> {
        let _publishing = self.publishing();
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(taken)?;
        }
        let old = fs::symlink_metadata(path).ok();
        if only_new && old.is_some() {
            return Err(s3_error!(PreconditionFailed, "something stands at this key"));
        }
        fs::rename(temporary, path).map_err(taken)?;
        // A rename between two names of one file, as when a Complete is repeated after a crash, leaves both.
        let _ = fs::remove_file(temporary);
        Ok(old)
    }

    /// Makes the name durable: its folder and those above it.
    fn sync_path(&self, path: &Path) -> io::Result<()> {
        for folder in path.ancestors().skip(1).take_while(|folder| folder.starts_with(&self.root)) {
            match sync_folder(folder) {
                // Removed meanwhile, with the object: nothing is left to keep.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => other?,
            }
        }
        Ok(())
    }

    /// Removes an object or a made folder, and folders that this leaves empty.
    pub fn delete(&self, bucket: &str, key: &str) -> S3Result<()> {
        let path = self.object(bucket, key)?;
        let _publishing = self.publishing();
        if key.ends_with('/') {
            let _ = fs::remove_file(self.beside(bucket, key, "folder"));
            self.prune(bucket, Some(&path));
            return Ok(());
        }
        let Ok(stat) = fs::symlink_metadata(&path) else {
            return Ok(());
        };
        if !stat.is_file() {
            return Ok(());
        }
        fs::remove_file(&path).map_err(fault)?;
        let _ = fs::remove_file(self.attributes_path(bucket, key, &stat));
        self.prune(bucket, path.parent());
        Ok(())
    }

    fn prune(&self, bucket: &str, from: Option<&Path>) {
        let bucket_path = self.root.join(bucket);
        let mut next = from;
        while let Some(folder) = next.filter(|folder| **folder != *bucket_path && folder.starts_with(&bucket_path)) {
            let relative = folder.strip_prefix(&bucket_path).ok().and_then(Path::to_str);
            let is_kept = relative.is_none_or(|relative| self.is_marked(bucket, &format!("{relative}/")));
            if is_kept || fs::remove_dir(folder).is_err() {
                return;
            }
            next = folder.parent();
        }
    }

    fn publishing(&self) -> MutexGuard<'_, ()> {
        self.publishing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which file this is: an object's attributes are those of one version.
fn version(stat: &Metadata) -> String {
    format!(
        "{:x}-{:x}",
        stat.size(),
        i128::from(stat.mtime()) * 1_000_000_000 + i128::from(stat.mtime_nsec())
    )
}

pub(super) fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut file = File::create(path)?;
    io::Write::write_all(&mut file, bytes)?;
    file.sync_all()
}

pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn missing(error: io::Error) -> S3Error {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory => s3_error!(NoSuchKey),
        _ => fault(error),
    }
}

/// A file cannot stand where a folder is, nor the other way round.
fn taken(error: io::Error) -> S3Error {
    match error.kind() {
        io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory | io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty => {
            s3_error!(
                InvalidArgument,
                "a file stands where this key needs a folder, or a folder where it needs a file"
            )
        }
        _ => fault(error),
    }
}

/// An error of the disk.
pub fn fault(error: io::Error) -> S3Error {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => s3_error!(error, ServiceUnavailable, "the disk is full"),
        _ => {
            tracing::error!(%error, "embedded store failed");
            s3_error!(error, InternalError)
        }
    }
}
