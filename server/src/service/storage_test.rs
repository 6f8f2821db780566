//! TestStorage: tries everything that tasks will do, over each endpoint, and says which permission is missing.

use std::{collections::HashMap, time::Duration};

use mps_proto::{
    name,
    v1::{StorageCheck, TestStorageResponse},
};
use reqwest::{Client, Response, StatusCode, redirect};
use serde_json::json;

use super::storages;
use crate::{
    app::App,
    error::ApiError,
    storage::{Audience, Bucket, Need, StorageError, StorageErrorKind, address::Resolver},
};

const PROBE: &[u8] = b"MPS tries whether this storage can be used. This object can be deleted.";
const CONTENT_TYPE: &str = "text/plain";
const TTL: Duration = Duration::from_secs(300);
const TIMEOUT: Duration = Duration::from_secs(15);
/// Most of an answer's body that is looked at.
const MAX_BODY: usize = 4096;

/// What was tried so far.
struct Trial {
    bucket: Bucket,
    http: Client,
    checks: Vec<StorageCheck>,
}

/// Tries a storage. Nothing is left in it.
pub async fn test(app: &App, project: &str, id: &str) -> Result<TestStorageResponse, ApiError> {
    let bucket = storages::open(app, project, id).await?;
    let resolver = Resolver {
        allow_private: bucket.place().allow_private,
    };
    let http = Client::builder()
        .timeout(TIMEOUT)
        .redirect(redirect::Policy::none())
        .no_proxy()
        .dns_resolver(std::sync::Arc::new(resolver))
        .build()
        .map_err(ApiError::internal)?;
    let mut trial = Trial {
        bucket,
        http,
        checks: Vec::new(),
    };
    trial.run().await;
    let policy = least_policy(&trial.bucket);
    Ok(TestStorageResponse {
        ok: trial.checks.iter().all(|check| check.ok),
        checks: trial.checks,
        least_policy: policy,
    })
}

impl Trial {
    async fn run(&mut self) {
        let key = format!(".mps-probe-{}", name::new_id());
        let (reads, writes) = (self.bucket.permits(Need::Read), self.bucket.permits(Need::Write));
        if writes {
            self.try_writes(&key).await;
        }
        if reads {
            self.try_reads(&key, writes).await;
        }
        for (audience, label) in [(Audience::Worker, "worker_endpoint"), (Audience::Public, "public_endpoint")] {
            if writes {
                self.try_signed_writes(&key, audience, label).await;
            }
            if reads {
                self.try_signed_read(&key, audience, label, writes).await;
            }
        }
        if writes {
            let deleted = self.bucket.delete(&key).await;
            self.note(
                "delete",
                Audience::Server,
                deleted.map_err(|error| explain(error, "s3:DeleteObject")),
            );
        }
    }

    async fn try_writes(&mut self, key: &str) {
        let put = self.bucket.put(key, CONTENT_TYPE, PROBE.to_vec()).await;
        self.note("put", Audience::Server, put.map_err(|error| explain(error, "s3:PutObject")));
        let multipart = self.multipart(key, Audience::Server).await;
        self.note("multipart", Audience::Server, multipart);
        let aborted = self.abort(key).await;
        self.note("abort multipart", Audience::Server, aborted);
    }

    async fn try_reads(&mut self, key: &str, is_written: bool) {
        let head = match self.bucket.head(key).await {
            Ok(Some(_)) => Ok(()),
            // Nothing was written that could be there; the question was answered all the same.
            Ok(None) if !is_written => Ok(()),
            Ok(None) => Err("the object that was just written is not there".to_owned()),
            Err(error) => Err(explain(error, "s3:GetObject")),
        };
        self.note("head", Audience::Server, head);
        if is_written {
            let got = self.bucket.get(key, None).await.map_err(|error| explain(error, "s3:GetObject"));
            self.note("get", Audience::Server, got.and_then(|bytes| same(&bytes, PROBE)));
            let part = self
                .bucket
                .get(key, Some("bytes=4-8"))
                .await
                .map_err(|error| explain(error, "s3:GetObject"));
            self.note("get range", Audience::Server, part.and_then(|bytes| same(&bytes, &PROBE[4..9])));
        }
        let listed = self.bucket.list("", false, 1, None).await;
        self.note(
            "list",
            Audience::Server,
            listed.map(drop).map_err(|error| explain(error, "s3:ListBucket")),
        );
    }

    async fn try_signed_writes(&mut self, key: &str, audience: Audience, label: &str) {
        let put = self.signed_put(key, audience).await;
        self.note(&format!("{label} put"), audience, put);
        let multipart = self.multipart(key, audience).await;
        self.note(&format!("{label} multipart"), audience, multipart);
    }

    async fn try_signed_read(&mut self, key: &str, audience: Audience, label: &str, is_written: bool) {
        let got = self.signed_get(key, audience, is_written).await;
        self.note(&format!("{label} get"), audience, got);
    }

    /// One upload of one part, whose URL is signed for an audience.
    async fn multipart(&self, key: &str, audience: Audience) -> Result<(), String> {
        let mark = HashMap::from([("mps-upload".to_owned(), "probe".to_owned())]);
        let created = self.bucket.create_multipart(key, CONTENT_TYPE, mark).await;
        let upload = created.map_err(|error| explain(error, "s3:PutObject"))?;
        let finished = self.finish_multipart(key, &upload, audience).await;
        if finished.is_err()
            && let Err(error) = self.bucket.abort_multipart(key, &upload).await
        {
            tracing::warn!(%error, "multipart upload of a storage test could not be aborted");
        }
        finished
    }

    async fn finish_multipart(&self, key: &str, upload: &str, audience: Audience) -> Result<(), String> {
        let url = self
            .bucket
            .presign_part(key, upload, 1, audience, TTL)
            .await
            .map_err(|error| error.message)?;
        let answer = accepted(self.http.put(url).body(PROBE).send().await, "s3:PutObject").await?;
        let etag = answer
            .headers()
            .get("etag")
            .and_then(|etag| etag.to_str().ok())
            .map(|etag| etag.trim_matches('"').to_owned());
        let etag = etag.ok_or("the answer to a part has no ETag header")?;
        let done = self.bucket.complete_multipart(key, upload, &[(1, etag)]).await;
        done.map_err(|error| explain(error, "s3:PutObject"))?;
        match self.bucket.head(key).await {
            Ok(Some(head)) if !head.metadata.contains_key("mps-upload") => Err("the provider lost the object's metadata".to_owned()),
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err("the object is not there after CompleteMultipartUpload".to_owned()),
            Err(error) => Err(explain(error, "s3:GetObject")),
        }
    }

    async fn abort(&self, key: &str) -> Result<(), String> {
        let upload = self.bucket.create_multipart(key, CONTENT_TYPE, HashMap::new()).await;
        let upload = upload.map_err(|error| explain(error, "s3:PutObject"))?;
        let aborted = self.bucket.abort_multipart(key, &upload).await;
        aborted.map_err(|error| explain(error, "s3:AbortMultipartUpload"))
    }

    async fn signed_put(&self, key: &str, audience: Audience) -> Result<(), String> {
        let signed = self
            .bucket
            .presign_put(key, CONTENT_TYPE, audience, TTL)
            .await
            .map_err(|error| error.message)?;
        let mut request = self.http.put(signed.url).body(PROBE);
        for (name, value) in signed.headers {
            request = request.header(name, value);
        }
        accepted(request.send().await, "s3:PutObject").await.map(drop)
    }

    async fn signed_get(&self, key: &str, audience: Audience, is_written: bool) -> Result<(), String> {
        let url = self.bucket.presign_get(key, audience, TTL).await.map_err(|error| error.message)?;
        let answer = self.http.get(url).header("range", "bytes=4-8").send().await;
        if let (false, Ok(answer)) = (is_written, &answer)
            && answer.status() == StatusCode::NOT_FOUND
        {
            return Ok(());
        }
        let answer = accepted(answer, "s3:GetObject").await?;
        if answer.status() != StatusCode::PARTIAL_CONTENT {
            return Err(format!(
                "a range was asked for and the answer is {}; workers need ranges",
                answer.status()
            ));
        }
        let body = answer.bytes().await.map_err(|error| error.without_url().to_string())?;
        same(&body, &PROBE[4..9])
    }

    fn note(&mut self, action: &str, audience: Audience, outcome: Result<(), String>) {
        self.checks.push(StorageCheck {
            action: action.to_owned(),
            endpoint: self.bucket.place().endpoint_text(audience),
            ok: outcome.is_ok(),
            message: outcome.err().unwrap_or_default(),
        });
    }
}

/// The answer to a presigned request, when it is a good one.
async fn accepted(answer: reqwest::Result<Response>, action: &str) -> Result<Response, String> {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return Err(unreachable(error)),
    };
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    if status.is_redirection() {
        return Err(format!(
            "the endpoint answers {status} and sends elsewhere; set the endpoint and region of the bucket itself"
        ));
    }
    let code = error_code(answer).await;
    let said = if code.is_empty() {
        status.to_string()
    } else {
        format!("{status} {code}")
    };
    match (status, code.as_str()) {
        (_, "SignatureDoesNotMatch") => Err(format!("{said}: the endpoint sees another host name or path than was signed")),
        (StatusCode::FORBIDDEN, _) => Err(format!("{said}: {action} is not permitted; grant least_policy")),
        _ => Err(said),
    }
}

fn unreachable(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    format!("not reachable from the server: {text}")
}

/// `<Code>` of an S3 error.
async fn error_code(answer: Response) -> String {
    let Ok(body) = answer.bytes().await else {
        return String::new();
    };
    let text = String::from_utf8_lossy(&body[..body.len().min(MAX_BODY)]).into_owned();
    let code = text
        .split_once("<Code>")
        .and_then(|(_, rest)| rest.split_once("</Code>"))
        .map(|(code, _)| code);
    let is_code = |code: &&str| code.len() <= 64 && code.chars().all(|c| c.is_ascii_alphanumeric());
    code.filter(is_code).unwrap_or_default().to_owned()
}

fn same(found: &[u8], wanted: &[u8]) -> Result<(), String> {
    match found == wanted {
        true => Ok(()),
        false => Err("other bytes came back than were written".to_owned()),
    }
}

fn explain(error: StorageError, action: &str) -> String {
    match error.kind {
        StorageErrorKind::Forbidden => format!("{error}: {action} is not permitted; grant least_policy"),
        StorageErrorKind::NotFound => format!("{error}: the bucket is not there, or the region or endpoint is another one"),
        StorageErrorKind::Unavailable => format!("{error}: the endpoint does not answer; check its address and the network"),
        _ => error.message,
    }
}

/// The least that must be granted, as IAM JSON, for what the storage's access needs.
fn least_policy(bucket: &Bucket) -> String {
    let place = bucket.place();
    let mut actions = Vec::new();
    if bucket.permits(Need::Read) {
        actions.push("s3:GetObject");
    }
    if bucket.permits(Need::Write) {
        // Outputs are looked at before they are deleted or published again.
        actions.extend(["s3:PutObject", "s3:GetObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]);
    }
    actions.sort_unstable();
    actions.dedup();
    let arn = format!("arn:aws:s3:::{}", place.bucket);
    let mut list = json!({
        "Sid": "MpsList",
        "Effect": "Allow",
        "Action": ["s3:ListBucket"],
        "Resource": [arn],
    });
    if !place.prefix.is_empty() {
        list["Condition"] = json!({"StringLike": {"s3:prefix": [format!("{}*", place.prefix)]}});
    }
    let policy = json!({
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "MpsObjects",
                "Effect": "Allow",
                "Action": actions,
                "Resource": [format!("{arn}/{}*", place.prefix)],
            },
            list,
        ],
    });
    format!("{policy:#}")
}
