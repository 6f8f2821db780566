//! Storages on S3 servers that are not ours: StorageService as a client sees it, and commits, on each server that this machine has.

use std::time::Duration;

use mps_proto::v1::{self, TaskState};
use mps_tests::{
    Stack, StackOptions, media,
    s3::{ACCESS_KEY, ForeignS3, SECRET_KEY, start_all},
    stack::{request, submit, transcode},
};

const BUCKET: &str = "mps-videos";
const PREFIX: &str = "tenant/a/";
const MIB: usize = 1 << 20;

/// A debug build of the server aborts, once, after the first upload of a commit was completed.
const CRASH: (&str, &str) = ("MPS_TEST_CRASH_AT", "commit.completed_one");

fn options() -> StackOptions {
    StackOptions::default().env("MPS_ALLOW_PRIVATE_URLS", "true")
}

fn credentials(secret: &str) -> Option<v1::StorageCredentials> {
    Some(v1::StorageCredentials {
        kind: Some(v1::storage_credentials::Kind::AccessKey(v1::AccessKey {
            access_key_id: ACCESS_KEY.into(),
            secret_access_key: secret.into(),
            session_token: String::new(),
        })),
    })
}

/// Authorises a bucket of a foreign server under the server's own name.
async fn create(stack: &Stack, foreign: &ForeignS3, id: &str, secret: &str) {
    let storage = v1::Storage {
        kind: v1::StorageKind::S3Compatible as i32,
        bucket: BUCKET.into(),
        endpoint: foreign.endpoint.clone(),
        path_style: true,
        prefix: PREFIX.into(),
        credentials: credentials(secret),
        ..Default::default()
    };
    let request = v1::CreateStorageRequest {
        storage_id: id.into(),
        storage: Some(storage),
        create_bucket: secret == SECRET_KEY,
        ..Default::default()
    };
    let answer = stack.client().await.storages().create_storage(request).await;
    answer.unwrap_or_else(|status| panic!("{}: {status:?}", foreign.name));
}

async fn test(stack: &Stack, id: &str) -> v1::TestStorageResponse {
    let request = v1::TestStorageRequest { name: id.into() };
    stack
        .client()
        .await
        .storages()
        .test_storage(request)
        .await
        .expect("TestStorage answers")
        .into_inner()
}

/// Uploads as a browser would: with nothing but presigned URLs.
async fn upload(stack: &Stack, storage: &str, key: &str, body: &[u8]) {
    let client = stack.client().await;
    let request = v1::CreateUploadRequest {
        storage: storage.into(),
        key: key.into(),
        size_bytes: body.len() as i64,
        ..Default::default()
    };
    let upload = client
        .storages()
        .create_upload(request)
        .await
        .expect("CreateUpload works")
        .into_inner();
    let mut parts = Vec::new();
    for part in &upload.parts {
        let (start, end) = (part.offset_bytes as usize, (part.offset_bytes + part.size_bytes) as usize);
        let mut put = reqwest::Client::new().put(&part.url).body(body[start..end].to_vec());
        for (name, value) in &upload.headers {
            put = put.header(name, value);
        }
        let answer = put.send().await.expect("the storage answers");
        assert!(answer.status().is_success(), "{storage}: {}", answer.status());
        parts.push(v1::UploadedPart {
            number: part.number,
            etag: answer.headers()["etag"].to_str().expect("etag").into(),
        });
    }
    if upload.upload_id.is_empty() {
        return;
    }
    let complete = v1::CompleteUploadRequest {
        storage: storage.into(),
        key: key.into(),
        upload_id: upload.upload_id,
        parts,
    };
    // Twice: a client whose first answer was lost asks again, and servers answer that differently.
    for _ in 0..2 {
        let answer = client.storages().complete_upload(complete.clone()).await;
        let object = answer.unwrap_or_else(|status| panic!("{storage}: {status:?}")).into_inner().object;
        assert_eq!(object.expect("an object").size_bytes, body.len() as i64);
    }
}

async fn download(stack: &Stack, storage: &str, key: &str) -> Vec<u8> {
    let request = v1::CreateDownloadRequest {
        storage: storage.into(),
        key: key.into(),
        ..Default::default()
    };
    let answer = stack
        .client()
        .await
        .storages()
        .create_download(request)
        .await
        .expect("CreateDownload works");
    let answer = reqwest::get(&answer.into_inner().url).await.expect("the storage answers");
    assert_eq!(answer.status(), 200);
    answer.bytes().await.expect("a body").to_vec()
}

async fn keys(stack: &Stack, storage: &str, directory: &str) -> Vec<String> {
    let request = v1::ListObjectsRequest {
        storage: storage.into(),
        directory: directory.into(),
        ..Default::default()
    };
    let answer = stack
        .client()
        .await
        .storages()
        .list_objects(request)
        .await
        .expect("ListObjects works");
    answer.into_inner().objects.into_iter().map(|object| object.key).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn storage_service_works_on_each_foreign_server() {
    let stack = Stack::start(options().workers(0)).await;
    for foreign in start_all() {
        let id = foreign.name;
        create(&stack, &foreign, id, SECRET_KEY).await;
        let report = test(&stack, id).await;
        let failed: Vec<_> = report.checks.iter().filter(|check| !check.ok).collect();
        assert!(report.ok, "{id}: {failed:#?}");

        let body: Vec<u8> = (0..70 * MIB).map(|index| (index / 1013) as u8).collect();
        upload(&stack, id, "in/big.mp4", &body).await;
        assert!(download(&stack, id, "in/big.mp4").await == body, "{id}");
        upload(&stack, id, "in/small 日本.txt", b"small").await;
        assert_eq!(download(&stack, id, "in/small 日本.txt").await, b"small");

        assert_eq!(keys(&stack, id, "").await, ["in/"], "{id}");
        assert_eq!(keys(&stack, id, "in/").await, ["in/big.mp4", "in/small 日本.txt"], "{id}");
        let delete = v1::DeleteObjectsRequest {
            storage: id.into(),
            keys: vec!["in/big.mp4".into(), "in/small 日本.txt".into()],
        };
        let answer = stack
            .client()
            .await
            .storages()
            .delete_objects(delete)
            .await
            .expect("DeleteObjects works");
        assert_eq!(answer.into_inner().deleted_keys.len(), 2, "{id}");
        assert!(keys(&stack, id, "in/").await.is_empty(), "{id}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_secret_is_named_by_the_storage_test() {
    let stack = Stack::start(options().workers(0)).await;
    // moto checks no signatures.
    for foreign in start_all().into_iter().filter(|foreign| foreign.name != "moto") {
        let id = foreign.name;
        create(&stack, &foreign, id, "wrong").await;
        let report = test(&stack, id).await;
        assert!(!report.ok, "{id}");
        let put = report.checks.iter().find(|check| check.action == "put").expect("put was tried");
        assert!(
            !put.ok && put.message.contains("s3:PutObject is not permitted"),
            "{id}: {}",
            put.message
        );
    }
}

/// The server dies between Complete and publishing, so that the next one repeats the Complete: MinIO answers NoSuchUpload then, AWS success.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_are_rolled_forward_on_each_foreign_server() {
    for foreign in start_all() {
        let mut stack = Stack::start(options().env(CRASH.0, CRASH.1).env("MPS_COMMIT_TTL", "2s")).await;
        let id = foreign.name;
        create(&stack, &foreign, id, SECRET_KEY).await;
        let clip = stack.folder.path().join("clip.mp4");
        media::clip(&clip, 2, "320x240");
        upload(&stack, id, "in/clip.mp4", &std::fs::read(&clip).expect("clip")).await;

        let mut wanted = request("in/clip.mp4", vec![transcode("preset-h264-360p"), transcode("preset-m4a-96k")]);
        if let Some(v1::task_input::Source::Object(object)) = wanted.input.as_mut().and_then(|input| input.source.as_mut()) {
            object.storage = id.into();
        }
        let name = submit(&stack.client().await, wanted).await;
        let start = std::time::Instant::now();
        while stack.server.as_mut().is_some_and(|server| server.is_alive()) {
            assert!(start.elapsed() < Duration::from_secs(60), "{id}: no commit came\n{}", stack.logs());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        stack.options.server_env.retain(|(key, _)| key != CRASH.0);
        stack.start_server().await;

        let task = stack.wait_ended(&name, Duration::from_secs(60)).await;
        assert_eq!(task.state(), TaskState::Succeeded, "{id}: {task:#?}\n{}", stack.logs());
        for status in &task.node_statuses {
            assert_eq!(status.attempts, 1, "{id}");
            stack.fetch_output(&status.outputs[0]).await;
        }
    }
}
