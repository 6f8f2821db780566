//! Uploads and downloads over presigned URLs.

use std::{
    io::SeekFrom,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use mps_proto::v1::{CompleteUploadRequest, CreateDownloadRequest, CreateUploadRequest, CreateUploadResponse, UploadPart, UploadedPart};
use reqwest::{Body, StatusCode, header::CONTENT_LENGTH};
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

use crate::{
    Client, ClientError,
    retry::{is_transient, wait_after},
};

/// Tries of each part, download and call.
const TRIES: u32 = 3;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest time without a byte.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest time for one part: a slow line still moves 16 MiB.
const PART_TIMEOUT: Duration = Duration::from_secs(900);
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);
const CHUNK: usize = 256 << 10;

pub(crate) fn http_client() -> Result<reqwest::Client, ClientError> {
    let built = reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .build();
    built.map_err(|error| ClientError::Transfer(with_causes(&error)))
}

/// Why a try failed, and whether another one may help.
struct Failure {
    error: ClientError,
    is_transient: bool,
}

impl Failure {
    fn last(text: impl Into<String>) -> Self {
        Self {
            error: ClientError::Transfer(text.into()),
            is_transient: false,
        }
    }

    fn transient(text: impl Into<String>) -> Self {
        Self {
            error: ClientError::Transfer(text.into()),
            is_transient: true,
        }
    }
}

impl From<tonic::Status> for Failure {
    fn from(status: tonic::Status) -> Self {
        Self {
            is_transient: is_transient(&status),
            error: status.into(),
        }
    }
}

impl From<reqwest::Error> for Failure {
    fn from(error: reqwest::Error) -> Self {
        // The URL is left out: it is as good as a key.
        Self::transient(with_causes(&error.without_url()))
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::last(error.to_string())
    }
}

/// Runs something up to three times.
async fn retried<T>(mut action: impl AsyncFnMut() -> Result<T, Failure>) -> Result<T, ClientError> {
    let mut failures = 0;
    loop {
        match action().await {
            Ok(done) => return Ok(done),
            Err(failure) => {
                failures += 1;
                if !failure.is_transient || failures >= TRIES {
                    return Err(failure.error);
                }
                tokio::time::sleep(wait_after(failures)).await;
            }
        }
    }
}

impl Client {
    /// Uploads a file; `progress` gets the bytes sent so far. Each part is tried three times.
    pub async fn upload_file(&self, storage: &str, key: &str, path: &Path, progress: impl Fn(u64)) -> Result<(), ClientError> {
        let about = |error: std::io::Error| ClientError::Transfer(format!("{}: {error}", path.display()));
        let metadata = tokio::fs::metadata(path).await.map_err(about)?;
        if !metadata.is_file() {
            return Err(ClientError::Transfer(format!("{} is no file", path.display())));
        }
        let request = CreateUploadRequest {
            storage: storage.to_owned(),
            key: key.to_owned(),
            size_bytes: i64::try_from(metadata.len()).unwrap_or(i64::MAX),
            content_type: String::new(),
        };
        let upload = retried(async || Ok(self.storages().create_upload(request.clone()).await?.into_inner())).await?;
        let sent = Arc::new(AtomicU64::new(0));
        let parts = self.upload_parts(&upload, path, &sent, &progress).await?;
        progress(metadata.len());
        if upload.upload_id.is_empty() {
            return Ok(());
        }
        let request = CompleteUploadRequest {
            storage: storage.to_owned(),
            key: key.to_owned(),
            upload_id: upload.upload_id,
            parts,
        };
        retried(async || Ok(self.storages().complete_upload(request.clone()).await?)).await?;
        Ok(())
    }

    async fn upload_parts(
        &self,
        upload: &CreateUploadResponse,
        path: &Path,
        sent: &Arc<AtomicU64>,
        progress: &impl Fn(u64),
    ) -> Result<Vec<UploadedPart>, ClientError> {
        let mut uploaded = Vec::with_capacity(upload.parts.len());
        for part in &upload.parts {
            let before = sent.load(Ordering::Relaxed);
            let putting = retried(async || {
                sent.store(before, Ordering::Relaxed);
                self.put_part(upload, part, path, sent.clone()).await
            });
            let etag = with_progress(putting, sent, progress).await?;
            uploaded.push(UploadedPart { number: part.number, etag });
        }
        Ok(uploaded)
    }

    /// Gives the part's ETag.
    async fn put_part(
        &self,
        upload: &CreateUploadResponse,
        part: &UploadPart,
        path: &Path,
        sent: Arc<AtomicU64>,
    ) -> Result<String, Failure> {
        let offset = u64::try_from(part.offset_bytes).map_err(|_| Failure::last("the server's part has a negative offset"))?;
        let size = u64::try_from(part.size_bytes).map_err(|_| Failure::last("the server's part has a negative size"))?;
        let mut file = tokio::fs::File::open(path).await?;
        file.seek(SeekFrom::Start(offset)).await?;
        let mut request = self.http.put(&part.url).timeout(PART_TIMEOUT).header(CONTENT_LENGTH, size);
        for (name, value) in &upload.headers {
            if !name.eq_ignore_ascii_case("content-length") {
                request = request.header(name, value);
            }
        }
        let answer = request.body(file_body(file, size, sent)).send().await?;
        let etag = answer.headers().get("etag").and_then(|etag| etag.to_str().ok()).map(str::to_owned);
        refuse_failure(answer).await?;
        match etag {
            Some(etag) => Ok(etag),
            None if upload.upload_id.is_empty() => Ok(String::new()),
            None => Err(Failure::last("the storage's answer has no ETag")),
        }
    }

    /// Downloads an object; `progress` gets the bytes received so far. The file appears when it is whole: until then it is
    /// `{path}.part`, which a failure removes.
    pub async fn download(&self, storage: &str, key: &str, path: &Path, progress: impl Fn(u64)) -> Result<(), ClientError> {
        let part = part_path(path);
        let fetched = retried(async || self.fetch(storage, key, &part, &progress).await).await;
        if let Err(error) = fetched {
            // What is left is of no use; that it cannot be removed says nothing about the download.
            let _ = tokio::fs::remove_file(&part).await;
            return Err(error);
        }
        Ok(tokio::fs::rename(&part, path).await?)
    }

    async fn fetch(&self, storage: &str, key: &str, part: &Path, progress: &impl Fn(u64)) -> Result<(), Failure> {
        let request = CreateDownloadRequest {
            storage: storage.to_owned(),
            key: key.to_owned(),
            ..Default::default()
        };
        let download = self.storages().create_download(request).await?.into_inner();
        let answer = self.http.get(&download.url).send().await?;
        let mut answer = refuse_failure(answer).await?;
        let mut file = tokio::fs::File::create(part).await?;
        let mut received = 0u64;
        while let Some(chunk) = answer.chunk().await? {
            file.write_all(&chunk).await?;
            received += chunk.len() as u64;
            progress(received);
        }
        file.flush().await?;
        file.sync_all().await?;
        if i64::try_from(received).ok() != Some(download.size_bytes) {
            return Err(Failure::transient(format!("{received} of {} bytes arrived", download.size_bytes)));
        }
        Ok(())
    }
}

/// Tells progress while something runs; the body that counts cannot call back itself, since it outlives this call's borrows.
async fn with_progress<T>(running: impl Future<Output = T>, sent: &AtomicU64, progress: &impl Fn(u64)) -> T {
    let mut ticks = tokio::time::interval(PROGRESS_INTERVAL);
    tokio::pin!(running);
    loop {
        tokio::select! {
            done = &mut running => return done,
            _ = ticks.tick() => progress(sent.load(Ordering::Relaxed)),
        }
    }
}

/// A piece of a file as a request's body. A file that became shorter fails the request.
fn file_body(file: tokio::fs::File, size: u64, sent: Arc<AtomicU64>) -> Body {
    let pieces = futures::stream::try_unfold((file, size), move |(mut file, left)| {
        let sent = sent.clone();
        async move {
            if left == 0 {
                return Ok::<_, std::io::Error>(None);
            }
            let most = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
            let mut buffer = BytesMut::zeroed(most);
            let count = file.read(&mut buffer).await?;
            if count == 0 {
                return Err(std::io::Error::new(
                    std::io::ErrorKind::UnexpectedEof,
                    "the file became shorter while it was sent",
                ));
            }
            buffer.truncate(count);
            sent.fetch_add(count as u64, Ordering::Relaxed);
            Ok(Some((Bytes::from(buffer), (file, left - count as u64))))
        }
    });
    Body::wrap_stream(pieces)
}

/// An answer that says no, with the start of what the storage says about it.
async fn refuse_failure(answer: reqwest::Response) -> Result<reqwest::Response, Failure> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let body = answer.text().await.unwrap_or_default();
    let reason: String = body.chars().filter(|character| !character.is_control()).take(300).collect();
    let text = format!("the storage answers {status}: {reason}");
    let may_pass = status.is_server_error() || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
    Err(if may_pass { Failure::transient(text) } else { Failure::last(text) })
}

fn part_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text += &format!(": {inner}");
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests;
