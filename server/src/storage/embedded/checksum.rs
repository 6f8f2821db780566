//! Digests of bodies: our etag, and what the client promised in headers or trailers.

use base64::{Engine, prelude::BASE64_STANDARD};
use http::HeaderMap;
use s3s::{
    S3Result, TrailingHeaders,
    checksum::ChecksumHasher,
    crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Md5, Sha1, Sha256 as S3Sha256},
    s3_error,
};
use sha2::{Digest, Sha256};

const NAMES: [&str; 5] = [
    "x-amz-checksum-crc32",
    "x-amz-checksum-crc32c",
    "x-amz-checksum-crc64nvme",
    "x-amz-checksum-sha1",
    "x-amz-checksum-sha256",
];

/// Digests of one body as it comes in.
pub struct Digests {
    own: Sha256,
    promised: ChecksumHasher,
    md5: Option<Md5>,
}

impl Digests {
    /// Computes what the headers promise, and no more.
    pub fn new(headers: &HeaderMap) -> Self {
        let trailer = headers
            .get("x-amz-trailer")
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_ascii_lowercase();
        let [crc32, crc32c, crc64nvme, sha1, sha256] =
            NAMES.map(|name| headers.contains_key(name) || trailer.split(',').any(|part| part.trim() == name));
        let promised = ChecksumHasher {
            crc32: crc32.then(Crc32::new),
            crc32c: crc32c.then(Crc32c::new),
            crc64nvme: crc64nvme.then(Crc64Nvme::new),
            sha1: sha1.then(Sha1::new),
            sha256: sha256.then(S3Sha256::new),
        };
        Self {
            own: Sha256::new(),
            promised,
            md5: headers.contains_key("content-md5").then(Md5::new),
        }
    }

    pub fn update(&mut self, bytes: &[u8]) {
        self.own.update(bytes);
        self.promised.update(bytes);
        if let Some(md5) = &mut self.md5 {
            md5.update(bytes);
        }
    }

    /// The etag, when every promise was kept.
    pub fn finish(self, headers: &HeaderMap, trailers: Option<&TrailingHeaders>) -> S3Result<String> {
        let trailers = trailers.and_then(TrailingHeaders::take);
        let promise = |name: &str| {
            headers
                .get(name)
                .or_else(|| trailers.as_ref().and_then(|trailers| trailers.get(name)))
        };
        let computed = self.promised.finalize();
        let found = [
            computed.checksum_crc32,
            computed.checksum_crc32c,
            computed.checksum_crc64nvme,
            computed.checksum_sha1,
            computed.checksum_sha256,
        ];
        for (name, found) in NAMES.into_iter().zip(found) {
            if found.is_some_and(|found| promise(name).is_none_or(|promise| promise.as_bytes() != found.as_bytes())) {
                return Err(s3_error!(BadDigest, "{name} is not that of the body"));
            }
        }
        if let Some(md5) = self.md5
            && headers
                .get("content-md5")
                .is_none_or(|promise| promise.as_bytes() != BASE64_STANDARD.encode(md5.finalize()).as_bytes())
        {
            return Err(s3_error!(BadDigest, "content-md5 is not that of the body"));
        }
        Ok(etag(self.own, 1))
    }
}

/// An etag in the form of multipart ones, which no client takes for an MD5.
pub fn etag(digest: Sha256, parts: usize) -> String {
    let digest = digest.finalize();
    format!("{}-{parts}", hex::encode(&digest[..16]))
}
