//! The S3 operations over a folder. Whatever is not here answers NotImplemented.

use std::{io::SeekFrom, path::PathBuf, sync::Arc};

use futures::StreamExt;
use http::HeaderMap;
use s3s::{
    S3, S3Error, S3Request, S3Response, S3Result, TrailingHeaders,
    dto::{self, ETag, ETagCondition, StreamingBlob, Timestamp},
    s3_error,
};
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use tokio_util::io::ReaderStream;

use super::{
    body::sized,
    checksum::Digests,
    folder::{Attributes, Folder, Opened, fault},
    uploads::Upload,
};

const READ_BYTES: usize = 256 << 10;
const WRITE_BYTES: usize = 1 << 20;
const MAX_PARTS: i32 = 10_000;

/// The store that `s3s` serves.
pub struct FolderStore(Arc<Folder>);

impl FolderStore {
    pub fn new(folder: Arc<Folder>) -> Self {
        Self(folder)
    }

    /// Runs a blocking call of the folder.
    pub(super) async fn call<T: Send + 'static>(&self, work: impl FnOnce(&Folder) -> S3Result<T> + Send + 'static) -> S3Result<T> {
        let folder = Arc::clone(&self.0);
        let done = tokio::task::spawn_blocking(move || work(&folder)).await;
        done.map_err(|error| s3_error!(error, InternalError))?
    }

    /// Writes a body to a new file and gives it with its etag; nothing is left of a body that breaks off.
    async fn receive(&self, body: Option<StreamingBlob>, headers: &HeaderMap, trailers: Option<&TrailingHeaders>) -> S3Result<Received> {
        let mut received = Received::new(self.0.temporary());
        let mut file = tokio::fs::File::create_new(&received.path).await.map_err(fault)?;
        file.set_max_buf_size(WRITE_BYTES);
        let mut digests = Digests::new(headers);
        let mut body = body.ok_or_else(|| s3_error!(IncompleteBody))?;
        while let Some(bytes) = body.next().await {
            let bytes = bytes.map_err(|error| S3Error::with_source(s3s::S3ErrorCode::IncompleteBody, error))?;
            digests.update(&bytes);
            file.write_all(&bytes).await.map_err(fault)?;
        }
        received.etag = digests.finish(headers, trailers)?;
        file.sync_all().await.map_err(fault)?;
        Ok(received)
    }
}

/// A file that came in; removed unless it took a place.
struct Received {
    path: PathBuf,
    etag: String,
}

impl Received {
    fn new(path: PathBuf) -> Self {
        Self { path, etag: String::new() }
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

pub(super) fn strong(etag: &str) -> Option<ETag> {
    Some(ETag::Strong(etag.to_owned()))
}

pub(super) fn modified(stat: &std::fs::Metadata) -> Option<Timestamp> {
    stat.modified().ok().map(Timestamp::from)
}

/// `If-None-Match: *` is honoured, other conditions of writes are refused.
fn only_new(if_match: Option<&ETagCondition>, if_none_match: Option<&ETagCondition>) -> S3Result<bool> {
    match (if_match, if_none_match) {
        (None, None) => Ok(false),
        (None, Some(ETagCondition::Any)) => Ok(true),
        _ => Err(s3_error!(NotImplemented, "only If-None-Match: * is supported for writes")),
    }
}

/// Conditions of reads.
fn check_conditions(opened: &Opened, if_match: Option<&ETagCondition>, if_none_match: Option<&ETagCondition>) -> S3Result<()> {
    let is = |condition: &ETagCondition| match condition {
        ETagCondition::Any => true,
        ETagCondition::ETag(etag) => etag.value() == opened.attributes.etag,
    };
    if if_match.is_some_and(|condition| !is(condition)) {
        return Err(s3_error!(PreconditionFailed));
    }
    if if_none_match.is_some_and(is) {
        return Err(s3_error!(NotModified));
    }
    Ok(())
}

#[async_trait::async_trait]
impl S3 for FolderStore {
    async fn list_buckets(&self, _: S3Request<dto::ListBucketsInput>) -> S3Result<S3Response<dto::ListBucketsOutput>> {
        let found = self.call(Folder::buckets).await?;
        let bucket = |(name, stat): (String, std::fs::Metadata)| dto::Bucket {
            creation_date: modified(&stat),
            name: Some(name),
            bucket_region: None,
        };
        Ok(S3Response::new(dto::ListBucketsOutput {
            buckets: Some(found.into_iter().map(bucket).collect()),
            ..Default::default()
        }))
    }

    async fn head_bucket(&self, request: S3Request<dto::HeadBucketInput>) -> S3Result<S3Response<dto::HeadBucketOutput>> {
        self.call(move |folder| folder.bucket(&request.input.bucket)).await?;
        Ok(S3Response::new(dto::HeadBucketOutput::default()))
    }

    async fn get_bucket_location(
        &self,
        request: S3Request<dto::GetBucketLocationInput>,
    ) -> S3Result<S3Response<dto::GetBucketLocationOutput>> {
        self.call(move |folder| folder.bucket(&request.input.bucket)).await?;
        Ok(S3Response::new(dto::GetBucketLocationOutput::default()))
    }

    async fn head_object(&self, request: S3Request<dto::HeadObjectInput>) -> S3Result<S3Response<dto::HeadObjectOutput>> {
        let dto::HeadObjectInput {
            bucket,
            key,
            if_match,
            if_none_match,
            ..
        } = request.input;
        let opened = self.call(move |folder| folder.read(&bucket, &key)).await?;
        check_conditions(&opened, if_match.as_ref(), if_none_match.as_ref())?;
        let attributes = opened.attributes;
        Ok(S3Response::new(dto::HeadObjectOutput {
            accept_ranges: Some("bytes".into()),
            content_length: i64::try_from(opened.stat.len()).ok(),
            content_type: attributes.content_type,
            content_encoding: attributes.content_encoding,
            content_disposition: attributes.content_disposition,
            content_language: attributes.content_language,
            cache_control: attributes.cache_control,
            e_tag: strong(&attributes.etag),
            last_modified: modified(&opened.stat),
            metadata: Some(attributes.metadata),
            ..Default::default()
        }))
    }

    async fn get_object(&self, request: S3Request<dto::GetObjectInput>) -> S3Result<S3Response<dto::GetObjectOutput>> {
        let input = request.input;
        let (bucket, key) = (input.bucket, input.key);
        let opened = self.call(move |folder| folder.read(&bucket, &key)).await?;
        check_conditions(&opened, input.if_match.as_ref(), input.if_none_match.as_ref())?;
        let size = opened.stat.len();
        let span = input.range.map(|range| range.check(size)).transpose()?;
        let (start, length) = span.as_ref().map_or((0, size), |span| (span.start, span.end - span.start));
        let mut file = tokio::fs::File::from_std(opened.file);
        file.set_max_buf_size(READ_BYTES);
        file.seek(SeekFrom::Start(start)).await.map_err(fault)?;
        let body = ReaderStream::with_capacity(file.take(length), READ_BYTES);
        let attributes = opened.attributes;
        Ok(S3Response::new(dto::GetObjectOutput {
            accept_ranges: Some("bytes".into()),
            body: Some(sized(body, length)),
            content_length: i64::try_from(length).ok(),
            content_range: span.map(|span| format!("bytes {}-{}/{size}", span.start, span.end - 1)),
            content_type: input.response_content_type.or(attributes.content_type),
            content_encoding: input.response_content_encoding.or(attributes.content_encoding),
            content_disposition: input.response_content_disposition.or(attributes.content_disposition),
            content_language: input.response_content_language.or(attributes.content_language),
            cache_control: input.response_cache_control.or(attributes.cache_control),
            e_tag: strong(&attributes.etag),
            last_modified: modified(&opened.stat),
            metadata: Some(attributes.metadata),
            ..Default::default()
        }))
    }

    async fn put_object(&self, request: S3Request<dto::PutObjectInput>) -> S3Result<S3Response<dto::PutObjectOutput>> {
        let input = request.input;
        let only_new = only_new(input.if_match.as_ref(), input.if_none_match.as_ref())?;
        let (bucket, key) = (input.bucket, input.key);
        if key.ends_with('/') {
            if input.content_length.is_some_and(|length| length > 0) {
                return Err(s3_error!(InvalidArgument, "a folder has no content"));
            }
            self.call(move |folder| folder.make_folder(&bucket, &key)).await?;
            return Ok(S3Response::new(dto::PutObjectOutput::default()));
        }
        let received = self
            .receive(input.body, &request.headers, request.trailing_headers.as_ref())
            .await?;
        let etag = received.etag.clone();
        let attributes = Attributes {
            etag: etag.clone(),
            content_type: input.content_type,
            content_encoding: input.content_encoding,
            content_disposition: input.content_disposition,
            content_language: input.content_language,
            cache_control: input.cache_control,
            metadata: input.metadata.unwrap_or_default(),
        };
        self.call(move |folder| folder.publish(&received.path, &bucket, &key, &attributes, only_new))
            .await?;
        Ok(S3Response::new(dto::PutObjectOutput {
            e_tag: strong(&etag),
            ..Default::default()
        }))
    }

    async fn delete_object(&self, request: S3Request<dto::DeleteObjectInput>) -> S3Result<S3Response<dto::DeleteObjectOutput>> {
        let dto::DeleteObjectInput { bucket, key, .. } = request.input;
        self.call(move |folder| folder.delete(&bucket, &key)).await?;
        Ok(S3Response::new(dto::DeleteObjectOutput::default()))
    }

    async fn delete_objects(&self, request: S3Request<dto::DeleteObjectsInput>) -> S3Result<S3Response<dto::DeleteObjectsOutput>> {
        let dto::DeleteObjectsInput { bucket, delete, .. } = request.input;
        let (deleted, errors) = self
            .call(move |folder| {
                let (mut deleted, mut errors) = (Vec::new(), Vec::new());
                for object in delete.objects {
                    match folder.delete(&bucket, &object.key) {
                        Ok(()) => deleted.push(dto::DeletedObject {
                            key: Some(object.key),
                            ..Default::default()
                        }),
                        Err(error) => errors.push(dto::Error {
                            code: Some(error.code().as_str().to_owned()),
                            message: error.message().map(str::to_owned),
                            key: Some(object.key),
                            ..Default::default()
                        }),
                    }
                }
                Ok((deleted, errors))
            })
            .await?;
        Ok(S3Response::new(dto::DeleteObjectsOutput {
            deleted: Some(deleted),
            errors: Some(errors),
            ..Default::default()
        }))
    }

    async fn list_objects_v2(&self, request: S3Request<dto::ListObjectsV2Input>) -> S3Result<S3Response<dto::ListObjectsV2Output>> {
        let input = request.input;
        let page = self.list(&input).await?;
        Ok(S3Response::new(dto::ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: input.prefix,
            delimiter: input.delimiter,
            max_keys: input.max_keys,
            continuation_token: input.continuation_token,
            start_after: input.start_after,
            key_count: i32::try_from(page.objects.len() + page.folders.len()).ok(),
            is_truncated: Some(page.next.is_some()),
            next_continuation_token: page.next,
            contents: Some(page.objects),
            common_prefixes: Some(page.folders),
            ..Default::default()
        }))
    }

    async fn list_objects(&self, request: S3Request<dto::ListObjectsInput>) -> S3Result<S3Response<dto::ListObjectsOutput>> {
        let input = request.input;
        let page = self
            .list(&dto::ListObjectsV2Input {
                bucket: input.bucket.clone(),
                prefix: input.prefix.clone(),
                delimiter: input.delimiter.clone(),
                max_keys: input.max_keys,
                start_after: input.marker.clone(),
                ..Default::default()
            })
            .await?;
        Ok(S3Response::new(dto::ListObjectsOutput {
            name: Some(input.bucket),
            prefix: input.prefix,
            delimiter: input.delimiter,
            max_keys: input.max_keys,
            marker: input.marker,
            is_truncated: Some(page.next.is_some()),
            next_marker: page.next,
            contents: Some(page.objects),
            common_prefixes: Some(page.folders),
            ..Default::default()
        }))
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<dto::CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<dto::CreateMultipartUploadOutput>> {
        let input = request.input;
        let upload = Upload {
            bucket: input.bucket.clone(),
            key: input.key.clone(),
            attributes: Attributes {
                etag: String::new(),
                content_type: input.content_type,
                content_encoding: input.content_encoding,
                content_disposition: input.content_disposition,
                content_language: input.content_language,
                cache_control: input.cache_control,
                metadata: input.metadata.unwrap_or_default(),
            },
        };
        let id = self.call(move |folder| folder.create_upload(&upload)).await?;
        Ok(S3Response::new(dto::CreateMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(id),
            ..Default::default()
        }))
    }

    async fn upload_part(&self, request: S3Request<dto::UploadPartInput>) -> S3Result<S3Response<dto::UploadPartOutput>> {
        let dto::UploadPartInput {
            body,
            bucket,
            key,
            upload_id,
            part_number,
            ..
        } = request.input;
        if !(1..=MAX_PARTS).contains(&part_number) {
            return Err(s3_error!(InvalidArgument, "a part number is 1 to {MAX_PARTS}"));
        }
        let id = upload_id.clone();
        self.call(move |folder| folder.upload(&bucket, &key, &id)).await?;
        let received = self.receive(body, &request.headers, request.trailing_headers.as_ref()).await?;
        let etag = received.etag.clone();
        self.call(move |folder| folder.add_part(&received.path, &upload_id, part_number, &received.etag))
            .await?;
        Ok(S3Response::new(dto::UploadPartOutput {
            e_tag: strong(&etag),
            ..Default::default()
        }))
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<dto::CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<dto::CompleteMultipartUploadOutput>> {
        let input = request.input;
        let only_new = only_new(input.if_match.as_ref(), input.if_none_match.as_ref())?;
        let named = input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
        let part = |part: dto::CompletedPart| Some((part.part_number?, part.e_tag?.into_value()));
        let parts: Option<Vec<(i32, String)>> = named.into_iter().map(part).collect();
        let parts = parts.ok_or_else(|| s3_error!(InvalidPart, "each part needs its number and its etag"))?;
        let (bucket, key, id) = (input.bucket, input.key, input.upload_id);
        let output = dto::CompleteMultipartUploadOutput {
            bucket: Some(bucket.clone()),
            key: Some(key.clone()),
            ..Default::default()
        };
        let etag = self
            .call(move |folder| folder.complete(&bucket, &key, &id, &parts, only_new))
            .await?;
        Ok(S3Response::new(dto::CompleteMultipartUploadOutput {
            e_tag: strong(&etag),
            ..output
        }))
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<dto::AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<dto::AbortMultipartUploadOutput>> {
        let dto::AbortMultipartUploadInput {
            bucket, key, upload_id, ..
        } = request.input;
        self.call(move |folder| folder.abort(&bucket, &key, &upload_id)).await?;
        Ok(S3Response::new(dto::AbortMultipartUploadOutput::default()))
    }

    async fn list_parts(&self, request: S3Request<dto::ListPartsInput>) -> S3Result<S3Response<dto::ListPartsOutput>> {
        let input = request.input;
        let (bucket, key, id) = (input.bucket.clone(), input.key.clone(), input.upload_id.clone());
        let found = self
            .call(move |folder| folder.upload(&bucket, &key, &id).and_then(|_| folder.parts(&id)))
            .await?;
        let part = |(number, etag, stat): (i32, String, std::fs::Metadata)| dto::Part {
            part_number: Some(number),
            e_tag: strong(&etag),
            last_modified: modified(&stat),
            size: i64::try_from(stat.len()).ok(),
            ..Default::default()
        };
        Ok(S3Response::new(dto::ListPartsOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(input.upload_id),
            is_truncated: Some(false),
            parts: Some(found.into_iter().map(part).collect()),
            ..Default::default()
        }))
    }

    async fn list_multipart_uploads(
        &self,
        request: S3Request<dto::ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<dto::ListMultipartUploadsOutput>> {
        let input = request.input;
        let (bucket, prefix) = (input.bucket.clone(), input.prefix.clone().unwrap_or_default());
        let found = self.call(move |folder| folder.open_uploads(&bucket, &prefix)).await?;
        let upload = |(id, upload, stat): (String, Upload, std::fs::Metadata)| dto::MultipartUpload {
            key: Some(upload.key),
            upload_id: Some(id),
            initiated: modified(&stat),
            ..Default::default()
        };
        Ok(S3Response::new(dto::ListMultipartUploadsOutput {
            bucket: Some(input.bucket),
            prefix: input.prefix,
            is_truncated: Some(false),
            uploads: Some(found.into_iter().map(upload).collect()),
            ..Default::default()
        }))
    }
}
