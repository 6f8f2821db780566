//! Objects of storages as clients use them: lists, folders, deletes, uploads, downloads.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, SystemTime},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use futures::{StreamExt, stream};
use mps_plan::Violation;
use mps_proto::{name, v1};

use super::{
    access::{duration_ms, violation},
    paging::{self, Page},
    storages,
};
use crate::{
    app::App,
    error::ApiError,
    storage::{Audience, Bucket, StorageErrorKind, keys},
};

/// Files up to this size are one PUT.
const SINGLE_PUT: i64 = 64 << 20;
const MIB: i64 = 1 << 20;
const MIN_PART: i64 = 16 * MIB;
/// Parts of one upload; all their URLs come in one answer.
const MAX_UPLOAD_PARTS: i64 = 1000;
/// Largest object that S3 knows: 5 TiB.
const MAX_OBJECT: i64 = 5 << 40;
const UPLOAD_TTL: Duration = Duration::from_secs(24 * 3600);
const DEFAULT_DOWNLOAD_TTL: Duration = Duration::from_secs(3600);
const MIN_DOWNLOAD_TTL_MS: i64 = 60_000;
const MAX_DOWNLOAD_TTL_MS: i64 = 7 * 24 * 3_600_000;
const MAX_DELETES: usize = 1000;
const DELETES_AT_A_TIME: usize = 16;
/// Names the upload in the object's metadata, so that a repeated Complete recognises its own work.
const UPLOAD_MARK: &str = "mps-upload";

pub async fn list(app: &App, project: &str, id: &str, request: v1::ListObjectsRequest) -> Result<v1::ListObjectsResponse, ApiError> {
    let page = Page::parse(request.page_size, &request.page_token, app.config.limits.max_page_size)?;
    if !request.directory.is_empty() {
        keys::check_folder(&request.directory).map_err(|fault| ApiError::invalid_field("directory", fault))?;
    }
    let bucket = storages::open(app, project, id).await?;
    let token = (!page.after.is_empty()).then_some(page.after.as_str());
    // No provider gives more than 1,000 at a time.
    let size = page.size.min(1000) as i32;
    let listing = bucket.list(&request.directory, request.recursive, size, token).await?;
    Ok(v1::ListObjectsResponse {
        objects: listing.objects,
        next_page_token: listing.next.map(|next| paging::token(&next)).unwrap_or_default(),
    })
}

pub async fn create_folder(app: &App, project: &str, id: &str, key: &str) -> Result<(), ApiError> {
    keys::check_folder(key).map_err(|fault| ApiError::invalid_field("key", fault))?;
    let bucket = storages::open(app, project, id).await?;
    Ok(bucket.create_folder(key).await?)
}

pub async fn delete(app: &App, project: &str, id: &str, keys: Vec<String>) -> Result<v1::DeleteObjectsResponse, ApiError> {
    if keys.is_empty() || keys.len() > MAX_DELETES {
        return Err(ApiError::invalid_field("keys", format!("must be 1 to {MAX_DELETES} keys")));
    }
    let faulty = |(index, key): (usize, &String)| {
        let fault = keys::check(key.strip_suffix('/').unwrap_or(key)).err()?;
        Some(violation(&format!("keys[{index}]"), fault))
    };
    let violations: Vec<Violation> = keys.iter().enumerate().filter_map(faulty).collect();
    if !violations.is_empty() {
        return Err(ApiError::invalid(violations));
    }
    let bucket = &storages::open(app, project, id).await?;
    // One by one: the batch call needs checksums that some servers do not know.
    let delete = |key: String| async move {
        let done = bucket.delete(&key).await;
        if let Err(error) = &done {
            tracing::info!(%error, storage = id, "object could not be deleted");
        }
        (key, done)
    };
    let done: Vec<_> = stream::iter(keys).map(delete).buffered(DELETES_AT_A_TIME).collect().await;
    if let (1, Some((_, Err(error)))) = (done.len(), done.first()) {
        return Err(error.clone().into());
    }
    let mut answer = v1::DeleteObjectsResponse::default();
    for (key, done) in done {
        match done {
            Ok(()) => answer.deleted_keys.push(key),
            Err(_) => answer.failed_keys.push(key),
        }
    }
    Ok(answer)
}

pub async fn create_upload(
    app: &App,
    project: &str,
    id: &str,
    request: v1::CreateUploadRequest,
) -> Result<v1::CreateUploadResponse, ApiError> {
    let content_type = check_upload(&request)?;
    let bucket = storages::open(app, project, id).await?;
    let ttl = UPLOAD_TTL.min(bucket.longest_ttl());
    let expire_time = Some((SystemTime::now() + ttl).into());
    if request.size_bytes <= SINGLE_PUT {
        let signed = bucket.presign_put(&request.key, &content_type, Audience::Public, ttl).await?;
        return Ok(v1::CreateUploadResponse {
            upload_id: String::new(),
            parts: vec![v1::UploadPart {
                number: 1,
                offset_bytes: 0,
                size_bytes: request.size_bytes,
                url: signed.url,
            }],
            expire_time,
            headers: signed.headers,
        });
    }
    let mark = name::new_id();
    let metadata = HashMap::from([(UPLOAD_MARK.to_owned(), format!("client/{mark}"))]);
    let upload = bucket.create_multipart(&request.key, &content_type, metadata).await?;
    let mut parts = Vec::new();
    for (number, (offset_bytes, size_bytes)) in (1..).zip(cut(request.size_bytes)) {
        let url = bucket.presign_part(&request.key, &upload, number, Audience::Public, ttl).await?;
        parts.push(v1::UploadPart {
            number,
            offset_bytes,
            size_bytes,
            url,
        });
    }
    Ok(v1::CreateUploadResponse {
        upload_id: upload_token(&mark, &upload),
        parts,
        expire_time,
        headers: BTreeMap::new(),
    })
}

/// Checks the request and gives the content type.
fn check_upload(request: &v1::CreateUploadRequest) -> Result<String, ApiError> {
    let mut violations = Vec::new();
    if let Err(fault) = keys::check(&request.key) {
        violations.push(violation("key", fault));
    }
    if !(0..=MAX_OBJECT).contains(&request.size_bytes) {
        violations.push(violation("size_bytes", "must be 0 to 5 TiB"));
    }
    let is_type = |text: &str| text.len() <= 255 && text.contains('/') && text.chars().all(|c| c.is_ascii_graphic() || c == ' ');
    let content_type = match request.content_type.as_str() {
        "" => keys::content_type(&request.key).to_owned(),
        given => given.to_owned(),
    };
    if !is_type(&content_type) {
        violations.push(violation("content_type", "must be a MIME type such as video/mp4"));
    }
    match violations.is_empty() {
        true => Ok(content_type),
        false => Err(ApiError::invalid(violations)),
    }
}

/// Offsets and sizes of equal parts.
fn cut(size: i64) -> impl Iterator<Item = (i64, i64)> {
    let wanted = (size + MAX_UPLOAD_PARTS - 1) / MAX_UPLOAD_PARTS;
    let part = MIN_PART.max((wanted + MIB - 1) / MIB * MIB);
    (0..(size + part - 1) / part).map(move |index| (index * part, part.min(size - index * part)))
}

fn upload_token(mark: &str, upload: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(format!("{mark}:{upload}"))
}

fn parse_upload_token(token: &str) -> Option<(String, String)> {
    let text = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
    let (mark, upload) = text.split_once(':')?;
    Some((mark.to_owned(), upload.to_owned()))
}

pub async fn complete_upload(app: &App, project: &str, id: &str, request: v1::CompleteUploadRequest) -> Result<v1::ObjectInfo, ApiError> {
    let (mark, upload, parts) = check_complete(&request)?;
    let bucket = storages::open(app, project, id).await?;
    match bucket.complete_multipart(&request.key, &upload, &parts).await {
        Ok(_) => {}
        Err(error) if error.kind == StorageErrorKind::NoSuchUpload && is_ours(&bucket, &request.key, &mark).await? => {}
        Err(error) => return Err(error.into()),
    }
    let info = bucket.info(&request.key).await?;
    info.ok_or_else(|| ApiError::not_found(format!("object {}", request.key)))
}

async fn is_ours(bucket: &Bucket, key: &str, mark: &str) -> Result<bool, ApiError> {
    let head = bucket.head(key).await?;
    let found = head.and_then(|head| head.metadata.get(UPLOAD_MARK).cloned());
    Ok(found == Some(format!("client/{mark}")))
}

type Complete = (String, String, Vec<(i32, String)>);

fn check_complete(request: &v1::CompleteUploadRequest) -> Result<Complete, ApiError> {
    let mut violations = Vec::new();
    if let Err(fault) = keys::check(&request.key) {
        violations.push(violation("key", fault));
    }
    let token = parse_upload_token(&request.upload_id);
    if token.is_none() {
        violations.push(violation(
            "upload_id",
            "must be the upload_id that CreateUpload gave; a single PUT needs no CompleteUpload",
        ));
    }
    let mut parts: Vec<(i32, String)> = request
        .parts
        .iter()
        .map(|part| (part.number, part.etag.trim_matches('"').to_owned()))
        .collect();
    parts.sort();
    let is_faulty = |part: &(i32, String)| !(1..=10_000).contains(&part.0) || part.1.is_empty();
    if parts.is_empty() || parts.iter().any(is_faulty) || parts.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        violations.push(violation(
            "parts",
            "must name each uploaded part once, with its number and the ETag of the answer to its PUT",
        ));
    }
    match token {
        Some((mark, upload)) if violations.is_empty() => Ok((mark, upload, parts)),
        _ => Err(ApiError::invalid(violations)),
    }
}

pub async fn create_download(
    app: &App,
    project: &str,
    id: &str,
    request: v1::CreateDownloadRequest,
) -> Result<v1::CreateDownloadResponse, ApiError> {
    keys::check(&request.key).map_err(|fault| ApiError::invalid_field("key", fault))?;
    let ttl = download_ttl(request.ttl.as_ref())?;
    let bucket = storages::open(app, project, id).await?;
    let longest = bucket.longest_ttl();
    if ttl > longest && request.ttl.is_some() {
        let text = format!(
            "must be at most {} s: this storage signs with an assumed role, whose sessions end",
            longest.as_secs()
        );
        return Err(ApiError::invalid_field("ttl", text));
    }
    let ttl = ttl.min(longest);
    let info = bucket.info(&request.key).await?;
    let info = info.ok_or_else(|| ApiError::not_found(format!("object {}", request.key)))?;
    let disposition = disposition(&request.key, request.attachment);
    let url = bucket.presign_download(&request.key, Audience::Public, &disposition, ttl).await?;
    Ok(v1::CreateDownloadResponse {
        url,
        expire_time: Some((SystemTime::now() + ttl).into()),
        size_bytes: info.size_bytes,
    })
}

fn download_ttl(ttl: Option<&prost_types::Duration>) -> Result<Duration, ApiError> {
    match ttl.map(duration_ms) {
        None => Ok(DEFAULT_DOWNLOAD_TTL),
        Some(Some(ms)) if (MIN_DOWNLOAD_TTL_MS..=MAX_DOWNLOAD_TTL_MS).contains(&ms) => {
            Ok(Duration::from_secs(ms.unsigned_abs().div_ceil(1000)))
        }
        Some(_) => Err(ApiError::invalid_field("ttl", "must be 1 minute to 7 days")),
    }
}

/// How a browser treats the object, with its name in the form that carries every character (RFC 6266).
fn disposition(key: &str, attachment: bool) -> String {
    let kind = if attachment { "attachment" } else { "inline" };
    let file = key.rsplit('/').next().unwrap_or(key);
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let plain: String = file.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    let encoded: String = file
        .bytes()
        .map(|byte| match is_plain(char::from(byte)) {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        })
        .collect();
    format!("{kind}; filename=\"{plain}\"; filename*=UTF-8''{encoded}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_the_file_and_stay_few() {
        for size in [SINGLE_PUT + 1, 100 * MIB + 7, 1 << 40, MAX_OBJECT] {
            let parts: Vec<(i64, i64)> = cut(size).collect();
            assert!(parts.len() as i64 <= MAX_UPLOAD_PARTS, "{size}");
            let mut end = 0;
            for (offset, length) in &parts {
                assert_eq!(*offset, end);
                assert!(*length > 0);
                end += length;
            }
            assert_eq!(end, size);
        }
    }

    #[test]
    fn upload_ids_of_providers_pass_through_the_token() {
        let token = upload_token("mark", "a:b/c+d==");
        assert_eq!(parse_upload_token(&token), Some(("mark".into(), "a:b/c+d==".into())));
        assert_eq!(parse_upload_token("?"), None);
    }

    #[test]
    fn names_in_dispositions_cannot_break_the_header() {
        assert_eq!(
            disposition("a/日\"\r\n.mp4", true),
            "attachment; filename=\"____.mp4\"; filename*=UTF-8''%E6%97%A5%22%0D%0A.mp4"
        );
    }
}
