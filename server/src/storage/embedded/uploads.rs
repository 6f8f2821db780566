//! Open multipart uploads of the folder. A Complete leaves the parts until the object stands: killed midway, it can be called again.

use std::{
    collections::HashMap,
    fs::{self, File, Metadata},
    io,
    path::{Path, PathBuf},
    sync::{MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use s3s::{S3Result, s3_error};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    checksum,
    folder::{Attributes, Folder, UPLOAD_LOCKS, UPLOADS, fault, sync_folder, write_synced},
};

const INFO: &str = "info";
/// Parts but the last are at least this long, as at every provider.
const MIN_PART: u64 = 5 << 20;

/// An open multipart upload.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Upload {
    pub bucket: String,
    pub key: String,
    pub attributes: Attributes,
}

impl Folder {
    fn upload_folder(&self, id: &str) -> S3Result<PathBuf> {
        let is_id = id.len() == 26 && id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        let path = self.root.join(UPLOADS).join(id);
        (is_id && path.is_dir()).then_some(path).ok_or_else(|| s3_error!(NoSuchUpload))
    }

    fn upload_lock(&self, id: &str) -> MutexGuard<'_, ()> {
        let index = id.bytes().fold(0usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into())) % UPLOAD_LOCKS;
        self.uploads[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a multipart upload.
    pub fn create_upload(&self, upload: &Upload) -> S3Result<String> {
        self.object(&upload.bucket, &upload.key)?;
        let id = mps_proto::name::new_id();
        let building = self.temporary();
        fs::create_dir(&building).map_err(fault)?;
        let text = serde_json::to_vec(upload).map_err(|error| s3_error!(error, InternalError))?;
        write_synced(&building.join(INFO), &text).map_err(fault)?;
        fs::rename(&building, self.root.join(UPLOADS).join(&id)).map_err(fault)?;
        sync_folder(&self.root.join(UPLOADS)).map_err(fault)?;
        Ok(id)
    }

    /// An upload of this bucket and key.
    pub fn upload(&self, bucket: &str, key: &str, id: &str) -> S3Result<Upload> {
        let text = fs::read(self.upload_folder(id)?.join(INFO)).map_err(|_| s3_error!(NoSuchUpload))?;
        let upload: Upload = serde_json::from_slice(&text).map_err(|error| s3_error!(error, InternalError))?;
        match upload.bucket == bucket && upload.key == key {
            true => Ok(upload),
            false => Err(s3_error!(NoSuchUpload)),
        }
    }

    /// Open uploads with their ids and times, in order of keys and ids.
    pub fn open_uploads(&self, bucket: &str, prefix: &str) -> S3Result<Vec<(String, Upload, Metadata)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.root.join(UPLOADS)).map_err(fault)? {
            let entry = entry.map_err(fault)?;
            let id = entry.file_name().to_string_lossy().into_owned();
            let text = fs::read(entry.path().join(INFO)).ok();
            let upload = text.and_then(|text| serde_json::from_slice::<Upload>(&text).ok());
            if let (Some(upload), Ok(stat)) = (upload, entry.metadata())
                && upload.bucket == bucket
                && upload.key.starts_with(prefix)
            {
                found.push((id, upload, stat));
            }
        }
        found.sort_by(|(one_id, one, _), (other_id, other, _)| (&one.key, one_id).cmp(&(&other.key, other_id)));
        Ok(found)
    }

    /// Takes a finished file as a part.
    pub fn add_part(&self, temporary: &Path, id: &str, number: i32, etag: &str) -> S3Result<()> {
        let folder = self.upload_folder(id)?;
        fs::rename(temporary, folder.join(part_name(number, etag))).map_err(|_| s3_error!(NoSuchUpload))
    }

    /// Parts of an upload: number, etag, stat; of several with one number the newest.
    pub fn parts(&self, id: &str) -> S3Result<Vec<(i32, String, Metadata)>> {
        let mut newest: HashMap<i32, (i32, String, Metadata)> = HashMap::new();
        for entry in fs::read_dir(self.upload_folder(id)?).map_err(fault)? {
            let entry = entry.map_err(fault)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some((number, etag)) = name.strip_prefix("part-").and_then(|rest| rest.split_once('.')) else {
                continue;
            };
            let (Ok(number), Ok(stat)) = (number.parse(), entry.metadata()) else {
                continue;
            };
            let is_newer = newest
                .get(&number)
                .is_none_or(|(_, _, known)| known.modified().ok() < stat.modified().ok());
            if is_newer {
                newest.insert(number, (number, etag.to_owned(), stat));
            }
        }
        let mut parts: Vec<_> = newest.into_values().collect();
        parts.sort_by_key(|(number, ..)| *number);
        Ok(parts)
    }

    /// Joins parts to the object and forgets the upload.
    pub fn complete(&self, bucket: &str, key: &str, id: &str, parts: &[(i32, String)], only_new: bool) -> S3Result<String> {
        let _lock = self.upload_lock(id);
        let upload = self.upload(bucket, key, id)?;
        let folder = self.upload_folder(id)?;
        let paths = check_parts(&folder, parts)?;
        let temporary = self.temporary();
        let joined = join(&paths, &temporary).map_err(fault);
        let etag = joined_etag(parts);
        let attributes = Attributes {
            etag: etag.clone(),
            ..upload.attributes
        };
        let published = joined.and_then(|()| self.publish(&temporary, bucket, key, &attributes, only_new));
        if published.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        published?;
        fs::remove_dir_all(&folder).map_err(fault)?;
        Ok(etag)
    }

    /// Drops an upload and its parts.
    pub fn abort(&self, bucket: &str, key: &str, id: &str) -> S3Result<()> {
        let _lock = self.upload_lock(id);
        self.upload(bucket, key, id)?;
        fs::remove_dir_all(self.upload_folder(id)?).map_err(fault)
    }

    /// Drops uploads to which no part came for so long; how many.
    pub fn sweep_uploads(&self, older_than: Duration) -> S3Result<usize> {
        let mut dropped = 0;
        for entry in fs::read_dir(self.root.join(UPLOADS)).map_err(fault)?.flatten() {
            let id = entry.file_name().to_string_lossy().into_owned();
            let _lock = self.upload_lock(&id);
            let changed = entry.metadata().and_then(|stat| stat.modified()).ok();
            let age = changed.and_then(|changed| SystemTime::now().duration_since(changed).ok());
            if age.is_some_and(|age| age > older_than) && fs::remove_dir_all(entry.path()).is_ok() {
                dropped += 1;
            }
        }
        Ok(dropped)
    }
}

fn part_name(number: i32, etag: &str) -> String {
    format!("part-{number}.{etag}")
}

fn check_parts(folder: &Path, parts: &[(i32, String)]) -> S3Result<Vec<PathBuf>> {
    if parts.is_empty() {
        return Err(s3_error!(InvalidPart, "at least one part must be named"));
    }
    if parts.windows(2).any(|pair| matches!(pair, [(one, _), (other, _)] if one >= other)) {
        return Err(s3_error!(InvalidPartOrder));
    }
    let mut paths = Vec::with_capacity(parts.len());
    for (index, (number, etag)) in parts.iter().enumerate() {
        let is_plain = etag.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let path = folder.join(part_name(*number, etag));
        let stat = fs::metadata(&path).ok().filter(|_| is_plain);
        let stat = stat.ok_or_else(|| s3_error!(InvalidPart, "part {number} with this etag was not uploaded"))?;
        if index + 1 < parts.len() && stat.len() < MIN_PART {
            return Err(s3_error!(EntityTooSmall));
        }
        paths.push(path);
    }
    Ok(paths)
}

/// One part becomes the object without a copy; several are copied by the kernel, and shared where the file system can.
fn join(parts: &[PathBuf], to: &Path) -> io::Result<()> {
    if let [only] = parts
        && fs::hard_link(only, to).is_ok()
    {
        return File::open(to)?.sync_all();
    }
    let mut joined = File::create_new(to)?;
    for part in parts {
        io::copy(&mut File::open(part)?, &mut joined)?;
    }
    joined.sync_all()
}

fn joined_etag(parts: &[(i32, String)]) -> String {
    let mut digest = Sha256::new();
    for (_, etag) in parts {
        digest.update(etag.as_bytes());
        digest.update(b"\n");
    }
    checksum::etag(digest, parts.len())
}
