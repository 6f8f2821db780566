//! Uploads finished files by presigned URLs: hashed first, in parts, each tried a few times. Nothing is published here.

mod members;

use std::{
    io::{self, Read, SeekFrom},
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use mps_media::failure;
use mps_proto::{
    v1::ErrorReason,
    worker::v1::{
        CompletedOutput, CreateOutputUploadRequest, CreateOutputUploadResponse, DeclareOutputsRequest, Failure, GetPartUrlsRequest,
        PlanOutput, UnitAttempt,
    },
};
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG};
use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncReadExt, AsyncSeekExt},
    sync::Semaphore,
    time::sleep,
};

use crate::{
    config::UploadConfig,
    fetch::Http,
    rpc::{Rpc, failure_of},
};

/// Most URLs that are asked for at a time: they end soon.
const URLS_AT_ONCE: usize = 64;
const READ_BYTES: usize = 256 << 10;
/// A part may take this long, and a second more for each of [`SLOWEST`] bytes.
const PART_PATIENCE: Duration = Duration::from_secs(60);
const SLOWEST: u64 = 64 << 10;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Uploads outputs.
pub struct Uploader {
    pub rpc: Rpc,
    pub http: Http,
    pub config: UploadConfig,
    /// Parts at a time, over all units.
    permits: Semaphore,
}

/// A part of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Part {
    /// From 1.
    number: i32,
    offset: u64,
    length: u64,
}

#[derive(Debug, thiserror::Error)]
enum PartError {
    #[error("HTTP {0}")]
    Denied(u16),
    /// The upload is gone, or never was.
    #[error("HTTP 404")]
    Gone,
    #[error("{0}")]
    Other(String),
    #[error(transparent)]
    File(#[from] io::Error),
}

impl Uploader {
    pub fn new(rpc: Rpc, http: Http, config: UploadConfig) -> Self {
        let permits = Semaphore::new(config.parallel_parts);
        Self {
            rpc,
            http,
            config,
            permits,
        }
    }

    /// Uploads one file of an attempt.
    pub async fn upload(&self, unit: &UnitAttempt, output_id: &str, path: &Path) -> Result<CompletedOutput, Failure> {
        let (size_bytes, sha256) = checksum(path.to_owned()).await.map_err(unreadable)?;
        let request = CreateOutputUploadRequest {
            unit: Some(unit.clone()),
            output_id: output_id.to_owned(),
            size_bytes: size_bytes as i64,
            sha256: sha256.clone(),
        };
        let upload = self
            .rpc
            .call(self.config.patience, |mut client| {
                let request = request.clone();
                async move { client.create_output_upload(request).await }
            })
            .await
            .map_err(|error| failure_of(&error, "the upload of an output"))?;
        let parts = parts(&upload, size_bytes)?;
        let mut part_etags = Vec::with_capacity(parts.len());
        match parts.as_slice() {
            [only] if !upload.url.is_empty() => {
                let taken = self.put_until_taken(unit, &upload.upload_id, path, *only, upload.url.clone()).await;
                part_etags.push(taken?);
            }
            _ => {
                for batch in parts.chunks(URLS_AT_ONCE) {
                    part_etags.extend(self.put_batch(unit, &upload.upload_id, path, batch).await?);
                }
            }
        }
        Ok(CompletedOutput {
            output_id: output_id.to_owned(),
            upload_id: upload.upload_id,
            part_etags,
            size_bytes: size_bytes as i64,
            sha256,
        })
    }

    /// Has rows made for the files of a series.
    pub async fn declare(&self, unit: &UnitAttempt, node_key: &str, count: i32) -> Result<Vec<PlanOutput>, Failure> {
        let request = DeclareOutputsRequest {
            unit: Some(unit.clone()),
            node_key: node_key.to_owned(),
            count,
        };
        let answer = self.rpc.call(self.config.patience, |mut client| {
            let request = request.clone();
            async move { client.declare_outputs(request).await }
        });
        let answer = answer.await.map_err(|error| failure_of(&error, "the outputs of a series"))?;
        Ok(answer.outputs)
    }

    /// Uploads parts side by side; gives their ETags in order.
    async fn put_batch(&self, unit: &UnitAttempt, upload_id: &str, path: &Path, batch: &[Part]) -> Result<Vec<String>, Failure> {
        let urls = self.urls(unit, upload_id, batch).await?;
        let puts = batch.iter().zip(urls);
        let puts: Vec<_> = puts
            .map(|(part, url)| self.put_until_taken(unit, upload_id, path, *part, url).boxed())
            .collect();
        stream::iter(puts).buffered(self.config.parallel_parts).try_collect().await
    }

    async fn urls(&self, unit: &UnitAttempt, upload_id: &str, parts: &[Part]) -> Result<Vec<String>, Failure> {
        let request = GetPartUrlsRequest {
            unit: Some(unit.clone()),
            upload_id: upload_id.to_owned(),
            part_numbers: parts.iter().map(|part| part.number).collect(),
        };
        let answer = self
            .rpc
            .call(self.config.patience, |mut client| {
                let request = request.clone();
                async move { client.get_part_urls(request).await }
            })
            .await
            .map_err(|error| failure_of(&error, "URLs for an upload"))?;
        if answer.urls.len() != parts.len() {
            let message = format!("the server gave {} URLs for {} parts", answer.urls.len(), parts.len());
            return Err(failure::outside(ErrorReason::Internal, message, ""));
        }
        Ok(answer.urls)
    }

    async fn put_until_taken(
        &self,
        unit: &UnitAttempt,
        upload_id: &str,
        path: &Path,
        part: Part,
        mut url: String,
    ) -> Result<String, Failure> {
        let (mut tries, mut asked_again) = (0, false);
        let mut pause = FIRST_PAUSE;
        loop {
            let error = match self.put(path, part, &url, None).await {
                Ok(etag) => return Ok(etag),
                Err(PartError::File(error)) => return Err(unreadable(error)),
                Err(error) => error,
            };
            if matches!(error, PartError::Denied(_)) && !asked_again {
                asked_again = true;
                url = self.urls(unit, upload_id, &[part]).await?.pop().unwrap_or_default();
                continue;
            }
            tries += 1;
            if tries >= self.config.tries || matches!(error, PartError::Denied(_) | PartError::Gone) {
                return Err(not_taken(&error));
            }
            tracing::debug!(%error, part = part.number, "a part was not taken; trying again");
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn put(&self, path: &Path, part: Part, url: &str, content_type: Option<&str>) -> Result<String, PartError> {
        let _permit = self.permits.acquire().await.map_err(|error| PartError::Other(error.to_string()))?;
        let body = reqwest::Body::wrap_stream(read_part(path, part).await?);
        let mut request = self.http.trusted().put(url).header(CONTENT_LENGTH, part.length);
        if let Some(content_type) = content_type {
            request = request.header(CONTENT_TYPE, content_type);
        }
        let response = request
            .body(body)
            .timeout(PART_PATIENCE + Duration::from_secs(part.length / SLOWEST))
            .send()
            .await
            .map_err(|error| PartError::Other(root_cause(&error)))?;
        match response.status().as_u16() {
            200..=299 => response
                .headers()
                .get(ETAG)
                .and_then(|etag| etag.to_str().ok())
                .map(str::to_owned)
                .ok_or_else(|| PartError::Other("the storage gave no ETag".into())),
            code @ (401 | 403) => Err(PartError::Denied(code)),
            404 => Err(PartError::Gone),
            code => Err(PartError::Other(format!("HTTP {code}"))),
        }
    }
}

/// Cuts a file as the server said; refuses what does not cover it.
fn parts(upload: &CreateOutputUploadResponse, size: u64) -> Result<Vec<Part>, Failure> {
    let part_size = u64::try_from(upload.part_size_bytes).unwrap_or(0).max(1);
    if u64::try_from(upload.part_count).ok() != Some(size.div_ceil(part_size).max(1)) {
        let message = format!("{} parts of {part_size} bytes do not make {size} bytes", upload.part_count);
        return Err(failure::outside(ErrorReason::Internal, message, ""));
    }
    let parts = (0..upload.part_count).map(|index| {
        let offset = index as u64 * part_size;
        Part {
            number: index + 1,
            offset,
            length: part_size.min(size - offset),
        }
    });
    Ok(parts.collect())
}

async fn read_part(path: &Path, part: Part) -> io::Result<impl futures::Stream<Item = io::Result<Bytes>> + Send + use<>> {
    let mut file = tokio::fs::File::open(path).await?;
    file.seek(SeekFrom::Start(part.offset)).await?;
    Ok(stream::try_unfold((file, part.length), |(mut file, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        let mut buffer = vec![0; READ_BYTES.min(left as usize)];
        let count = file.read(&mut buffer).await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        buffer.truncate(count);
        Ok(Some((Bytes::from(buffer), (file, left - count as u64))))
    }))
}

/// Size and SHA-256 in lower-case hexadecimal.
async fn checksum(path: PathBuf) -> io::Result<(u64, String)> {
    let hashing = tokio::task::spawn_blocking(move || {
        let mut file = std::fs::File::open(path)?;
        let (mut hash, mut buffer, mut size) = (Sha256::new(), vec![0; 1 << 20], 0);
        loop {
            let count = file.read(&mut buffer)?;
            if count == 0 {
                return Ok((size, hex::encode(hash.finalize())));
            }
            hash.update(buffer.get(..count).unwrap_or_default());
            size += count as u64;
        }
    });
    hashing.await.map_err(io::Error::other)?
}

fn unreadable(error: io::Error) -> Failure {
    let message = format!("a finished file cannot be read: {error}");
    failure::node(ErrorReason::Internal, message, "check the worker's scratch folder")
}

fn not_taken(error: &PartError) -> Failure {
    let message = format!("the storage did not take an output: {error}");
    match error {
        PartError::Denied(_) => failure::outside(
            ErrorReason::StoragePermission,
            message,
            "allow the storage's credentials to write (mps storage test)",
        ),
        _ => failure::outside(
            ErrorReason::StorageUnavailable,
            message,
            "check the storage's worker endpoint (mps storage test)",
        ),
    }
}

/// The innermost cause; the URL carries a signature and stays out of the message.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    if error.is_timeout() {
        "no answer in time".into()
    } else {
        cause.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(size: u64, part_size_bytes: i64, part_count: i32) -> Result<Vec<(u64, u64)>, Failure> {
        let upload = CreateOutputUploadResponse {
            upload_id: "u".into(),
            part_size_bytes,
            part_count,
            url: String::new(),
        };
        Ok(parts(&upload, size)?.iter().map(|part| (part.offset, part.length)).collect())
    }

    #[test]
    fn parts_cover_the_file_and_the_last_is_what_is_left() {
        assert_eq!(cut(25, 10, 3).unwrap(), [(0, 10), (10, 10), (20, 5)]);
        assert_eq!(cut(20, 10, 2).unwrap(), [(0, 10), (10, 10)]);
        assert_eq!(cut(0, 10, 1).unwrap(), [(0, 0)]);
        assert!(cut(25, 10, 2).is_err());
        assert!(cut(25, 0, 1).is_err());
    }

    #[tokio::test]
    async fn part_is_read_from_its_place() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), (0..=255u8).cycle().take(700_000).collect::<Vec<_>>()).unwrap();
        let part = Part {
            number: 2,
            offset: 256_001,
            length: 300_000,
        };
        let pieces: Vec<Bytes> = read_part(file.path(), part).await.unwrap().try_collect().await.unwrap();
        let bytes = pieces.concat();
        assert_eq!(
            (bytes.len(), bytes[0], bytes[299_999]),
            (300_000, 1, ((256_001 + 299_999) % 256) as u8)
        );
    }

    #[tokio::test]
    async fn checksum_is_that_of_the_whole_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"abc").unwrap();
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(checksum(file.path().to_owned()).await.unwrap(), (3, expected.into()));
    }
}
