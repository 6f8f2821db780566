//! StorageService's use cases on SQLite and the embedded store, which also plays the foreign S3-compatible server.

use std::sync::Arc;

use mps_proto::v1::{self, ErrorReason, Storage, StorageAccess, StorageKind};
use reqwest::StatusCode;

use super::{access, objects, storage_test, storages};
use crate::{
    app::App,
    config::Config,
    storage::embedded::{self, LocalKeys},
    store::{Store, testing::own_postgres_schema},
};

const MIB: usize = 1 << 20;

/// An app with its embedded store; Redis is not there, and need not be.
pub struct Fixture {
    pub app: App,
    pub folder: tempfile::TempDir,
    serving: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.app.shutdown.cancel();
        self.serving.abort();
    }
}

impl Fixture {
    pub async fn start() -> Self {
        Self::with(&[("MPS_ALLOW_PRIVATE_URLS", "true")]).await
    }

    async fn with(environment: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut all = vec![
            ("MPS_DATA_DIR", folder.path().to_str().unwrap()),
            ("MPS_REDIS_URL", "redis+unix:///nowhere"),
            ("MPS_LOCAL_STORE__LISTEN", "127.0.0.1:0"),
        ];
        all.extend_from_slice(environment);
        let database_url = own_postgres_schema().await;
        all.extend(database_url.iter().map(|url| ("MPS_DATABASE_URL", url.as_str())));
        let mut config = Config::of(&all).unwrap();
        let listener = tokio::net::TcpListener::bind(config.local_store.listen).await.unwrap();
        config.local_store.listen = listener.local_addr().unwrap();
        let store = Store::connect(config.database_url.expose(), 2).await.unwrap();
        store.migrate().await.unwrap();
        let app = App::open(config, store).await.unwrap();
        access::bootstrap(&app).await.unwrap();
        let keys = LocalKeys::load(folder.path()).unwrap();
        let ended = app.shutdown.clone().cancelled_owned();
        let serving = tokio::spawn(embedded::serve(listener, Arc::clone(&app.config), keys, ended));
        Self { app, folder, serving }
    }

    /// Everything that SQLite keeps on disk; nothing on Postgres.
    pub fn database_bytes(&self) -> Vec<u8> {
        let file = |name: &str| std::fs::read(self.folder.path().join(name)).unwrap_or_default();
        [file("mps.db"), file("mps.db-wal")].concat()
    }

    fn endpoint(&self) -> String {
        format!("http://{}", self.app.config.local_store.listen)
    }

    /// The embedded store, named as a foreign one would be.
    fn foreign(&self, prefix: &str) -> Storage {
        let keys = LocalKeys::load(self.folder.path()).unwrap();
        Storage {
            kind: StorageKind::S3Compatible as i32,
            bucket: "mps".into(),
            endpoint: self.endpoint(),
            path_style: true,
            prefix: prefix.into(),
            credentials: Some(access_key(&keys.access_key_id, &keys.secret_access_key)),
            ..Default::default()
        }
    }

    async fn create(&self, id: &str, storage: Storage) -> Result<Storage, crate::error::ApiError> {
        let request = v1::CreateStorageRequest {
            storage_id: id.into(),
            storage: Some(storage),
            ..Default::default()
        };
        let answer = storages::create(&self.app, "default", request).await?;
        Ok(answer.storage.unwrap())
    }

    async fn upload(&self, key: &str, size_bytes: i64) -> v1::CreateUploadResponse {
        let request = v1::CreateUploadRequest {
            key: key.into(),
            size_bytes,
            ..Default::default()
        };
        objects::create_upload(&self.app, "default", "local", request).await.unwrap()
    }

    async fn list(&self, storage: &str, directory: &str) -> Vec<String> {
        let request = v1::ListObjectsRequest {
            directory: directory.into(),
            ..Default::default()
        };
        let answer = objects::list(&self.app, "default", storage, request).await.unwrap();
        answer.objects.into_iter().map(|object| object.key).collect()
    }
}

fn access_key(id: &str, secret: &str) -> v1::StorageCredentials {
    v1::StorageCredentials {
        kind: Some(v1::storage_credentials::Kind::AccessKey(v1::AccessKey {
            access_key_id: id.into(),
            secret_access_key: secret.into(),
            session_token: String::new(),
        })),
    }
}

async fn put(response: &v1::CreateUploadResponse, body: &[u8]) -> Vec<v1::UploadedPart> {
    let client = reqwest::Client::new();
    let mut parts = Vec::new();
    for part in &response.parts {
        let (start, end) = (part.offset_bytes as usize, (part.offset_bytes + part.size_bytes) as usize);
        let mut request = client.put(&part.url).body(body[start..end].to_vec());
        for (name, value) in &response.headers {
            request = request.header(name, value);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        parts.push(v1::UploadedPart {
            number: part.number,
            etag: answer.headers()["etag"].to_str().unwrap().into(),
        });
    }
    parts
}

#[tokio::test]
async fn credentials_are_encrypted_and_never_come_back() {
    let fixture = Fixture::start().await;
    let secret = LocalKeys::load(fixture.folder.path()).unwrap().secret_access_key;
    let made = fixture.create("other", fixture.foreign("x/")).await.unwrap();
    assert!(made.credentials.is_none());
    let read = storages::get(&fixture.app, "default", "other").await.unwrap();
    assert_eq!(read, made);
    assert_eq!(
        (read.name.as_str(), read.access()),
        ("projects/default/storages/other", StorageAccess::ReadWrite)
    );
    assert!(
        !fixture
            .database_bytes()
            .windows(secret.len())
            .any(|window| window == secret.as_bytes())
    );
    let taken = fixture.create("other", fixture.foreign("x/")).await.unwrap_err();
    assert_eq!(taken.reason, ErrorReason::AlreadyExists);
}

#[tokio::test]
async fn a_repeated_request_id_gets_the_first_answer_and_another_payload_is_refused() {
    let fixture = Fixture::start().await;
    let request = |prefix: &str| v1::CreateStorageRequest {
        storage: Some(fixture.foreign(prefix)),
        request_id: "once".into(),
        ..Default::default()
    };
    let first = storages::create(&fixture.app, "default", request("x/")).await.unwrap();
    assert_eq!(storages::create(&fixture.app, "default", request("x/")).await.unwrap(), first);
    let refused = storages::create(&fixture.app, "default", request("y/")).await.unwrap_err();
    assert_eq!(refused.reason, ErrorReason::RequestIdReused);
    let listed = storages::list(&fixture.app, "default", v1::ListStoragesRequest::default())
        .await
        .unwrap();
    assert_eq!(listed.storages.len(), 2);
}

#[tokio::test]
async fn all_violations_of_a_storage_come_at_once() {
    let fixture = Fixture::with(&[]).await;
    let storage = Storage {
        kind: StorageKind::S3Compatible as i32,
        bucket: "X".into(),
        endpoint: "http://127.0.0.1:1".into(),
        prefix: "../".into(),
        display_name: "a\nb".into(),
        ..Default::default()
    };
    let refused = fixture.create("local", storage).await.unwrap_err();
    let fields: Vec<&str> = refused.violations.iter().map(|violation| violation.field.as_str()).collect();
    let wanted = [
        "storage_id",
        "storage.bucket",
        "storage.endpoint",
        "storage.prefix",
        "storage.display_name",
        "storage.credentials",
    ];
    assert_eq!(fields, wanted);
}

#[tokio::test]
async fn the_built_in_storage_is_listed_in_order_and_cannot_be_changed() {
    let fixture = Fixture::start().await;
    for id in ["a", "z"] {
        fixture.create(id, fixture.foreign("")).await.unwrap();
    }
    let mut names = Vec::new();
    let mut token = String::new();
    loop {
        let request = v1::ListStoragesRequest {
            page_size: 1,
            page_token: token,
            ..Default::default()
        };
        let page = storages::list(&fixture.app, "default", request).await.unwrap();
        names.extend(
            page.storages
                .into_iter()
                .map(|storage| storage.name.rsplit('/').next().unwrap().to_owned()),
        );
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(names, ["a", "local", "z"]);
    let refused = storages::delete(&fixture.app, "default", "", "local").await.unwrap_err();
    assert_eq!(refused.reason, ErrorReason::WrongState);
}

#[tokio::test]
async fn updates_follow_the_mask_and_the_etag_and_reach_the_next_call() {
    let fixture = Fixture::start().await;
    let made = fixture.create("other", fixture.foreign("x/")).await.unwrap();
    objects::create_folder(&fixture.app, "default", "other", "in-x/").await.unwrap();
    let change = |mask: &[&str], etag: &str, storage: Storage| v1::UpdateStorageRequest {
        storage: Some(storage),
        update_mask: Some(prost_types::FieldMask {
            paths: mask.iter().map(|path| (*path).to_owned()).collect(),
        }),
        etag: etag.into(),
    };
    let elsewhere = Storage {
        prefix: "y/".into(),
        display_name: "not in the mask".into(),
        ..Default::default()
    };
    let stale = storages::update(&fixture.app, "default", "other", change(&["prefix"], "stale", elsewhere.clone()))
        .await
        .unwrap_err();
    assert_eq!((stale.code, stale.reason), (tonic::Code::Aborted, ErrorReason::EtagMismatch));
    let moved = storages::update(&fixture.app, "default", "other", change(&["prefix"], &made.etag, elsewhere.clone()))
        .await
        .unwrap();
    assert_eq!(
        (moved.prefix.as_str(), moved.display_name.as_str(), moved.endpoint),
        ("y/", "", made.endpoint)
    );
    assert_ne!(moved.etag, made.etag);
    assert!(fixture.list("other", "").await.is_empty());
    let unknown = storages::update(&fixture.app, "default", "other", change(&["kind"], "", elsewhere))
        .await
        .unwrap_err();
    assert_eq!(unknown.violations[0].field, "update_mask");
    storages::delete(&fixture.app, "default", &moved.etag, "other").await.unwrap();
    assert!(storages::open(&fixture.app, "default", "other").await.is_err());
}

#[tokio::test]
async fn another_projects_storage_is_not_found() {
    let fixture = Fixture::start().await;
    fixture.create("other", fixture.foreign("x/")).await.unwrap();
    for project in ["someone", "default2"] {
        for id in ["other", "local"] {
            let missing = storages::open(&fixture.app, project, id).await.err().unwrap();
            assert_eq!(missing.reason, ErrorReason::NotFound, "{project} {id}");
        }
    }
}

#[tokio::test]
async fn a_storage_that_works_passes_its_test_and_nothing_is_left() {
    let fixture = Fixture::start().await;
    fixture.create("other", fixture.foreign("x/")).await.unwrap();
    for id in ["local", "other"] {
        let report = storage_test::test(&fixture.app, "default", id).await.unwrap();
        let failed: Vec<_> = report.checks.iter().filter(|check| !check.ok).collect();
        assert!(report.ok, "{failed:?}");
        assert!(report.checks.len() >= 14, "{}", report.checks.len());
        assert!(fixture.list(id, "").await.is_empty());
    }
    let report = storage_test::test(&fixture.app, "default", "other").await.unwrap();
    let policy: serde_json::Value = serde_json::from_str(&report.least_policy).unwrap();
    assert_eq!(policy["Statement"][0]["Resource"][0], "arn:aws:s3:::mps/x/*");
    assert_eq!(policy["Statement"][1]["Condition"]["StringLike"]["s3:prefix"][0], "x/*");
}

#[tokio::test]
async fn a_test_says_which_permission_and_which_endpoint_fail() {
    let fixture = Fixture::start().await;
    let wrong_key = Storage {
        credentials: Some(access_key("nobody", "nothing")),
        access: StorageAccess::Read as i32,
        ..fixture.foreign("")
    };
    fixture.create("wrong-key", wrong_key).await.unwrap();
    let report = storage_test::test(&fixture.app, "default", "wrong-key").await.unwrap();
    assert!(!report.ok);
    let list = report.checks.iter().find(|check| check.action == "list").unwrap();
    assert!(list.message.contains("s3:ListBucket"), "{}", list.message);
    assert!(
        !report.checks.iter().any(|check| check.action.contains("put")),
        "a storage to read is not written"
    );
    assert!(!report.least_policy.contains("s3:PutObject"));

    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let unreachable = Storage {
        public_endpoint: format!("http://{dead}"),
        ..fixture.foreign("")
    };
    fixture.create("dead-end", unreachable).await.unwrap();
    let report = storage_test::test(&fixture.app, "default", "dead-end").await.unwrap();
    let failed: Vec<&str> = report
        .checks
        .iter()
        .filter(|check| !check.ok)
        .map(|check| check.action.as_str())
        .collect();
    assert_eq!(failed, ["public_endpoint put", "public_endpoint multipart", "public_endpoint get"]);
}

#[tokio::test]
async fn small_files_are_one_put_with_the_type_of_their_suffix() {
    let fixture = Fixture::start().await;
    let upload = fixture.upload("uploads/clip.mp4", 5).await;
    assert_eq!((upload.upload_id.as_str(), upload.parts.len()), ("", 1));
    put(&upload, b"hello").await;
    let request = v1::CreateDownloadRequest {
        key: "uploads/clip.mp4".into(),
        attachment: true,
        ..Default::default()
    };
    let download = objects::create_download(&fixture.app, "default", "local", request).await.unwrap();
    assert_eq!(download.size_bytes, 5);
    let answer = reqwest::get(&download.url).await.unwrap();
    assert_eq!(answer.headers()["content-type"], "video/mp4");
    assert!(
        answer.headers()["content-disposition"]
            .to_str()
            .unwrap()
            .starts_with("attachment; filename=\"clip.mp4\"")
    );
    assert_eq!(answer.text().await.unwrap(), "hello");
}

#[tokio::test]
async fn large_files_come_in_parts_and_a_repeated_complete_succeeds() {
    let fixture = Fixture::start().await;
    let body: Vec<u8> = (0..65 * MIB).map(|index| (index / 977) as u8).collect();
    let upload = fixture.upload("big.mkv", body.len() as i64).await;
    assert_eq!(upload.parts.len(), 5);
    let mut parts = put(&upload, &body).await;
    parts.reverse();
    let request = v1::CompleteUploadRequest {
        key: "big.mkv".into(),
        upload_id: upload.upload_id,
        parts,
        ..Default::default()
    };
    for _ in 0..2 {
        let object = objects::complete_upload(&fixture.app, "default", "local", request.clone())
            .await
            .unwrap();
        assert_eq!((object.key.as_str(), object.size_bytes), ("big.mkv", body.len() as i64));
    }
    let stored = std::fs::read(fixture.folder.path().join("objects/mps/default/big.mkv")).unwrap();
    assert!(stored == body);
    let other = v1::CompleteUploadRequest {
        upload_id: fixture.upload("big.mkv", body.len() as i64).await.upload_id,
        ..request
    };
    let refused = objects::complete_upload(&fixture.app, "default", "local", other).await.unwrap_err();
    assert_eq!(refused.reason, ErrorReason::WrongState);
}

#[tokio::test]
async fn folders_listings_and_deletes_stay_inside_their_keys() {
    let fixture = Fixture::start().await;
    for key in ["a/1.mp4", "a/2.mp4", "b.mp4"] {
        put(&fixture.upload(key, 1).await, b"x").await;
    }
    objects::create_folder(&fixture.app, "default", "local", "c/").await.unwrap();
    assert_eq!(fixture.list("local", "").await, ["a/", "c/", "b.mp4"]);
    assert_eq!(fixture.list("local", "a/").await, ["a/1.mp4", "a/2.mp4"]);
    for bad in ["../", "a", "/", "a//"] {
        assert!(
            objects::create_folder(&fixture.app, "default", "local", bad).await.is_err(),
            "{bad}"
        );
    }
    let refused = objects::delete(&fixture.app, "default", "local", vec!["a/1.mp4".into(), "../x".into()])
        .await
        .unwrap_err();
    assert_eq!(refused.violations[0].field, "keys[1]");
    let keys = ["a/1.mp4", "a/2.mp4", "never.there", "c/"].map(str::to_owned).to_vec();
    let answer = objects::delete(&fixture.app, "default", "local", keys.clone()).await.unwrap();
    assert_eq!((answer.deleted_keys, answer.failed_keys.len()), (keys, 0));
    assert_eq!(fixture.list("local", "").await, ["b.mp4"]);
}

#[tokio::test]
async fn downloads_of_absent_objects_and_wrong_times_are_refused() {
    let fixture = Fixture::start().await;
    let request = |key: &str, seconds: i64| v1::CreateDownloadRequest {
        key: key.into(),
        ttl: Some(prost_types::Duration { seconds, nanos: 0 }),
        ..Default::default()
    };
    let absent = objects::create_download(&fixture.app, "default", "local", request("none", 60))
        .await
        .unwrap_err();
    assert_eq!(absent.reason, ErrorReason::NotFound);
    for seconds in [59, 7 * 24 * 3600 + 1, -1] {
        let refused = objects::create_download(&fixture.app, "default", "local", request("none", seconds))
            .await
            .unwrap_err();
        assert_eq!(refused.violations[0].field, "ttl", "{seconds}");
    }
}

#[tokio::test]
async fn buckets_of_given_credentials_are_listed() {
    let fixture = Fixture::start().await;
    let foreign = fixture.foreign("");
    let request = |credentials: Option<v1::StorageCredentials>| v1::ListBucketsRequest {
        kind: foreign.kind,
        endpoint: foreign.endpoint.clone(),
        credentials,
        ..Default::default()
    };
    let found = storages::list_buckets(&fixture.app, request(foreign.credentials.clone()))
        .await
        .unwrap();
    assert_eq!(found, ["mps"]);
    let refused = storages::list_buckets(&fixture.app, request(Some(access_key("a", "b"))))
        .await
        .unwrap_err();
    assert_eq!(refused.reason, ErrorReason::StoragePermission);
    let missing = storages::list_buckets(&fixture.app, request(None)).await.unwrap_err();
    assert_eq!(missing.violations[0].field, "credentials");
}
