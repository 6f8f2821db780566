//! What StorageService does with objects: lists, folders, uploads and downloads by clients.

use std::{collections::BTreeMap, time::Duration};

use aws_sdk_s3::{
    Client,
    primitives::{ByteStream, DateTime},
};
use mps_proto::v1::ObjectInfo;

use super::{Audience, Bucket, StorageError, StorageErrorKind, bucket::plain_etag};

/// A page of a listing; keys without the storage's prefix.
#[derive(Debug, Default)]
pub struct Listing {
    /// Folders first.
    pub objects: Vec<ObjectInfo>,
    /// The provider's token of the next page.
    pub next: Option<String>,
}

/// A presigned request.
#[derive(Debug)]
pub struct Signed {
    pub url: String,
    /// Headers that were signed and must be sent.
    pub headers: BTreeMap<String, String>,
}

impl Bucket {
    /// What stands in a directory (`""` or ending in `/`), with its folders; or everything under it.
    pub async fn list(&self, directory: &str, recursive: bool, size: i32, token: Option<&str>) -> Result<Listing, StorageError> {
        let prefix = match directory {
            "" => self.place().prefix.clone(),
            directory => self.full_key(directory)?,
        };
        let call = self.server().list_objects_v2().bucket(self.name()).prefix(&prefix).max_keys(size);
        let call = call
            .set_continuation_token(token.map(str::to_owned))
            .set_delimiter((!recursive).then(|| "/".to_owned()));
        let answer = call.send().await?;
        let relative = |key: Option<&str>| key.and_then(|key| key.strip_prefix(&self.place().prefix)).map(str::to_owned);
        let folders = answer.common_prefixes().iter().filter_map(|folder| {
            Some(ObjectInfo {
                key: relative(folder.prefix())?,
                folder: true,
                ..Default::default()
            })
        });
        let objects = answer.contents().iter().filter_map(|object| {
            let key = relative(object.key()).filter(|key| !key.is_empty() && key != directory)?;
            Some(ObjectInfo {
                folder: key.ends_with('/'),
                key,
                size_bytes: object.size().unwrap_or_default(),
                update_time: object.last_modified().map(timestamp),
                etag: plain_etag(object.e_tag()),
            })
        });
        Ok(Listing {
            objects: folders.chain(objects).collect(),
            next: answer
                .next_continuation_token()
                .filter(|_| answer.is_truncated() == Some(true))
                .map(str::to_owned),
        })
    }

    /// Makes an object that marks an empty folder; `key` ends in `/`.
    pub async fn create_folder(&self, key: &str) -> Result<(), StorageError> {
        let call = self.server().put_object().bucket(self.name()).key(self.full_key(key)?);
        call.body(ByteStream::from_static(b"")).content_length(0).send().await?;
        Ok(())
    }

    /// Writes a small object.
    pub async fn put(&self, key: &str, content_type: &str, body: Vec<u8>) -> Result<(), StorageError> {
        let call = self.server().put_object().bucket(self.name()).key(self.full_key(key)?);
        call.content_type(content_type).body(body.into()).send().await?;
        Ok(())
    }

    /// Reads a small object, or a range such as `bytes=0-9` of it.
    pub async fn get(&self, key: &str, range: Option<&str>) -> Result<Vec<u8>, StorageError> {
        let call = self.server().get_object().bucket(self.name()).key(self.full_key(key)?);
        let answer = call.set_range(range.map(str::to_owned)).send().await?;
        let body = answer
            .body
            .collect()
            .await
            .map_err(|error| StorageError::new(StorageErrorKind::Unavailable, error.to_string()))?;
        Ok(body.to_vec())
    }

    /// One object, when it is there.
    pub async fn info(&self, key: &str) -> Result<Option<ObjectInfo>, StorageError> {
        let call = self.server().head_object().bucket(self.name()).key(self.full_key(key)?);
        match call.send().await.map_err(StorageError::from) {
            Ok(answer) => Ok(Some(ObjectInfo {
                key: key.to_owned(),
                size_bytes: answer.content_length().unwrap_or_default(),
                update_time: answer.last_modified().map(timestamp),
                etag: plain_etag(answer.e_tag()),
                folder: key.ends_with('/'),
            })),
            Err(error) if error.kind == StorageErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A URL that reads an object, with the headers that a browser should see.
    pub async fn presign_download(&self, key: &str, audience: Audience, disposition: &str, ttl: Duration) -> Result<String, StorageError> {
        let call = self.client(audience).get_object().bucket(self.name()).key(self.full_key(key)?);
        let call = call.response_content_disposition(disposition);
        Ok(call.presigned(self.signing(ttl)?).await?.uri().to_owned())
    }

    /// A request that writes a whole object.
    pub async fn presign_put(&self, key: &str, content_type: &str, audience: Audience, ttl: Duration) -> Result<Signed, StorageError> {
        let call = self.client(audience).put_object().bucket(self.name()).key(self.full_key(key)?);
        let signed = call.content_type(content_type).presigned(self.signing(ttl)?).await?;
        let headers = signed.headers().map(|(name, value)| (name.to_owned(), value.to_owned()));
        Ok(Signed {
            url: signed.uri().to_owned(),
            headers: headers.filter(|(name, _)| name != "host").collect(),
        })
    }

    /// Makes the bucket; one that is ours already is fine.
    pub async fn create_bucket(&self) -> Result<(), StorageError> {
        use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration};
        let region = self.place().region.as_str();
        // us-east-1 is the only region that must not be named.
        let location = (region != "us-east-1").then(|| {
            CreateBucketConfiguration::builder()
                .location_constraint(BucketLocationConstraint::from(region))
                .build()
        });
        let call = self
            .server()
            .create_bucket()
            .bucket(self.name())
            .set_create_bucket_configuration(location);
        match call.send().await {
            Ok(_) => Ok(()),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|service| service.is_bucket_already_owned_by_you()) =>
            {
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Names of the buckets that the credentials see.
    pub async fn list_buckets(&self) -> Result<Vec<String>, StorageError> {
        list_buckets(self.server()).await
    }
}

async fn list_buckets(client: &Client) -> Result<Vec<String>, StorageError> {
    let answer = client.list_buckets().send().await?;
    Ok(answer
        .buckets()
        .iter()
        .filter_map(|bucket| bucket.name().map(str::to_owned))
        .collect())
}

fn timestamp(time: &DateTime) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: time.secs(),
        nanos: time.subsec_nanos() as i32,
    }
}
