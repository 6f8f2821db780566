//! One bucket with a prefix, as the protocol uses it: presigned URLs, multipart uploads, head, delete.

use std::{collections::HashMap, sync::Arc, time::Duration};

use aws_sdk_s3::{
    Client,
    config::SharedCredentialsProvider,
    presigning::PresigningConfig,
    types::{CompletedMultipartUpload, CompletedPart},
};
use mps_proto::v1::StorageAccess;

use super::{Audience, Head, Need, StorageError, StorageErrorKind, client, keys, place::Place};

/// Longest that a signature holds by the S3 protocol.
const MAX_TTL: Duration = Duration::from_secs(7 * 24 * 3600);

/// One bucket (with prefix) of a storage. Keys are without the prefix.
#[derive(Clone)]
pub struct Bucket(Arc<Inner>);

struct Inner {
    place: Place,
    reference: String,
    access: StorageAccess,
    /// Whether an assumed role signs, whose sessions end.
    by_role: bool,
    server: Client,
    worker: Client,
    public: Client,
}

impl Bucket {
    pub(super) fn new(place: Place, access: StorageAccess, credentials: SharedCredentialsProvider, by_role: bool) -> Self {
        let http = client::http_client(&place);
        let connect = |audience| client::client(&place, audience, credentials.clone(), http.clone());
        Self(Arc::new(Inner {
            server: connect(Audience::Server),
            worker: connect(Audience::Worker),
            public: connect(Audience::Public),
            reference: place.reference(),
            access,
            by_role,
            place,
        }))
    }

    /// Identity of the place, the same for two storages that name one bucket: `endpoint/bucket/prefix`.
    pub fn bucket_ref(&self) -> &str {
        &self.0.reference
    }

    pub fn place(&self) -> &Place {
        &self.0.place
    }

    /// Whether the storage's `access` covers the need.
    pub fn permits(&self, need: Need) -> bool {
        match self.0.access {
            StorageAccess::Unspecified | StorageAccess::ReadWrite => true,
            StorageAccess::Read => need == Need::Read,
            StorageAccess::Write => need == Need::Write,
        }
    }

    /// Longest that a URL of this bucket can hold.
    pub fn longest_ttl(&self) -> Duration {
        match self.0.by_role {
            true => client::ROLE_URL_TTL,
            false => MAX_TTL,
        }
    }

    pub(super) fn client(&self, audience: Audience) -> &Client {
        match audience {
            Audience::Server => &self.0.server,
            Audience::Worker => &self.0.worker,
            Audience::Public => &self.0.public,
        }
    }

    pub(super) fn server(&self) -> &Client {
        &self.0.server
    }

    pub(super) fn name(&self) -> &str {
        &self.0.place.bucket
    }

    /// The key as the provider has it; one that could leave the prefix is refused.
    pub(super) fn full_key(&self, key: &str) -> Result<String, StorageError> {
        keys::check(key.strip_suffix('/').unwrap_or(key)).map_err(|fault| StorageError::other(format!("key {fault}")))?;
        Ok(format!("{}{key}", self.0.place.prefix))
    }

    pub(super) fn signing(&self, ttl: Duration) -> Result<PresigningConfig, StorageError> {
        PresigningConfig::expires_in(ttl.min(self.longest_ttl())).map_err(|error| StorageError::other(error.to_string()))
    }

    pub async fn presign_get(&self, key: &str, audience: Audience, ttl: Duration) -> Result<String, StorageError> {
        let call = self.client(audience).get_object().bucket(self.name()).key(self.full_key(key)?);
        let signed = call.presigned(self.signing(ttl)?).await?;
        Ok(signed.uri().to_owned())
    }

    pub async fn presign_part(
        &self,
        key: &str,
        upload: &str,
        part: i32,
        audience: Audience,
        ttl: Duration,
    ) -> Result<String, StorageError> {
        let call = self.client(audience).upload_part().bucket(self.name()).key(self.full_key(key)?);
        let signed = call.upload_id(upload).part_number(part).presigned(self.signing(ttl)?).await?;
        Ok(signed.uri().to_owned())
    }

    /// A request that writes a whole object of exactly this size.
    pub async fn presign_member(&self, key: &str, size_bytes: i64, audience: Audience, ttl: Duration) -> Result<String, StorageError> {
        let call = self.client(audience).put_object().bucket(self.name()).key(self.full_key(key)?);
        let signed = call.content_length(size_bytes).presigned(self.signing(ttl)?).await?;
        Ok(signed.uri().to_owned())
    }

    /// Writes a small object that caches must ask for each time, since it changes.
    pub async fn put_changing(
        &self,
        key: &str,
        content_type: &str,
        metadata: HashMap<String, String>,
        body: Vec<u8>,
    ) -> Result<(), StorageError> {
        let call = self.server().put_object().bucket(self.name()).key(self.full_key(key)?);
        let call = call
            .content_type(content_type)
            .cache_control("no-cache")
            .set_metadata(Some(metadata));
        call.body(body.into()).send().await?;
        Ok(())
    }

    pub async fn create_multipart(&self, key: &str, content_type: &str, metadata: HashMap<String, String>) -> Result<String, StorageError> {
        let call = self.server().create_multipart_upload().bucket(self.name()).key(self.full_key(key)?);
        let answer = call.content_type(content_type).set_metadata(Some(metadata)).send().await?;
        let id = answer.upload_id().filter(|id| !id.is_empty()).map(str::to_owned);
        id.ok_or_else(|| StorageError::other("the provider gave no upload id"))
    }

    /// `parts`: (number, etag). Gives the object's etag.
    pub async fn complete_multipart(&self, key: &str, upload: &str, parts: &[(i32, String)]) -> Result<String, StorageError> {
        let part = |(number, etag): &(i32, String)| CompletedPart::builder().part_number(*number).e_tag(etag).build();
        let list = CompletedMultipartUpload::builder()
            .set_parts(Some(parts.iter().map(part).collect()))
            .build();
        let call = self
            .server()
            .complete_multipart_upload()
            .bucket(self.name())
            .key(self.full_key(key)?);
        let call = call.upload_id(upload).multipart_upload(list);
        let answer = call.customize().config_override(client::patient()).send().await?;
        Ok(plain_etag(answer.e_tag()))
    }

    /// Succeeds too when there is no such upload.
    pub async fn abort_multipart(&self, key: &str, upload: &str) -> Result<(), StorageError> {
        let call = self.server().abort_multipart_upload().bucket(self.name()).key(self.full_key(key)?);
        match call.upload_id(upload).send().await.map_err(StorageError::from) {
            Err(error) if !matches!(error.kind, StorageErrorKind::NoSuchUpload | StorageErrorKind::NotFound) => Err(error),
            _ => Ok(()),
        }
    }

    /// `None` when nothing stands there.
    pub async fn head(&self, key: &str) -> Result<Option<Head>, StorageError> {
        let call = self.server().head_object().bucket(self.name()).key(self.full_key(key)?);
        let answer = match call.send().await.map_err(StorageError::from) {
            Ok(answer) => answer,
            Err(error) if error.kind == StorageErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let metadata = answer.metadata().into_iter().flatten();
        Ok(Some(Head {
            size_bytes: answer.content_length().unwrap_or_default(),
            etag: plain_etag(answer.e_tag()),
            metadata: metadata.map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect(),
        }))
    }

    /// Succeeds too when nothing stands there.
    pub async fn delete(&self, key: &str) -> Result<(), StorageError> {
        let call = self.server().delete_object().bucket(self.name()).key(self.full_key(key)?);
        match call.send().await {
            Err(error) if error.as_service_error().and_then(aws_sdk_s3::error::ProvideErrorMetadata::code) == Some("NoSuchKey") => Ok(()),
            Err(error) => Err(error.into()),
            Ok(_) => Ok(()),
        }
    }
}

/// An etag without its quotes.
pub(super) fn plain_etag(etag: Option<&str>) -> String {
    etag.unwrap_or_default().trim_matches('"').to_owned()
}
