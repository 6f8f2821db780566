//! The embedded store over its real listener: through the SDK, presigned URLs, and raw HTTP.

use std::{collections::HashMap, net::SocketAddr, time::Duration};

use reqwest::{Client, Method, StatusCode};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::oneshot,
};

use super::*;
use crate::{
    storage::{Audience, Bucket, StorageErrorKind, Storages},
    store::Store,
};

const TTL: Duration = Duration::from_secs(60);
const PART: usize = 5 << 20;

struct Running {
    folder: tempfile::TempDir,
    address: SocketAddr,
    storages: Storages,
    keys: LocalKeys,
    stop: Option<oneshot::Sender<()>>,
    served: Option<tokio::task::JoinHandle<io::Result<()>>>,
}

impl Running {
    async fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap()).await
    }

    async fn start_in(folder: tempfile::TempDir) -> Self {
        let data_dir = folder.path().to_str().unwrap();
        let mut config = Config::of(&[
            ("MPS_DATA_DIR", data_dir),
            ("MPS_LOCAL_STORE__LISTEN", "127.0.0.1:0"),
            ("MPS_CORS_ORIGINS", "https://app.example.com"),
        ])
        .unwrap();
        let listener = TcpListener::bind(config.local_store.listen).await.unwrap();
        let address = listener.local_addr().unwrap();
        config.local_store.listen = address;
        let config = Arc::new(config);
        let store = Store::connect(config.database_url.expose(), 1).await.unwrap();
        let storages = Storages::load(config.clone(), store).unwrap();
        let keys = LocalKeys::load(folder.path()).unwrap();
        let (stop, stopped) = oneshot::channel();
        let serving = serve(listener, config, keys.clone(), async move {
            let _ = stopped.await;
        });
        Self {
            served: Some(tokio::spawn(serving)),
            stop: Some(stop),
            folder,
            address,
            storages,
            keys,
        }
    }

    async fn bucket(&self, project: &str) -> Bucket {
        self.storages.open(project, "local").await.unwrap()
    }

    fn path(&self, inside: &str) -> std::path::PathBuf {
        self.folder.path().join("objects").join(inside)
    }

    /// A request exactly as written, which no HTTP client would send.
    async fn raw(&self, request_target: &str) -> String {
        let mut stream = tokio::net::TcpStream::connect(self.address).await.unwrap();
        let request = format!(
            "GET {request_target} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n",
            self.address
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }
}

async fn put_part(client: &Client, bucket: &Bucket, key: &str, upload: &str, number: i32, body: Vec<u8>) -> (i32, String) {
    let url = bucket.presign_part(key, upload, number, Audience::Worker, TTL).await.unwrap();
    let answer = client.put(url).body(body).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let etag = answer.headers()["etag"].to_str().unwrap().trim_matches('"').to_owned();
    (number, etag)
}

fn mark(value: &str) -> HashMap<String, String> {
    HashMap::from([("mps-upload".to_owned(), value.to_owned())])
}

#[tokio::test]
async fn presigned_parts_become_an_object_with_metadata_type_and_ranges() {
    let running = Running::start().await;
    let (bucket, client) = (running.bucket("p").await, Client::new());
    let upload = bucket.create_multipart("out/a b é.mp4", "video/mp4", mark("u/1/o")).await.unwrap();
    let first = put_part(&client, &bucket, "out/a b é.mp4", &upload, 1, vec![b'x'; PART]).await;
    let second = put_part(&client, &bucket, "out/a b é.mp4", &upload, 2, b"end".to_vec()).await;
    assert!(bucket.head("out/a b é.mp4").await.unwrap().is_none());
    let etag = bucket.complete_multipart("out/a b é.mp4", &upload, &[first, second]).await.unwrap();

    let head = bucket.head("out/a b é.mp4").await.unwrap().unwrap();
    assert_eq!((head.size_bytes, &head.etag), ((PART + 3) as i64, &etag));
    assert_eq!(head.metadata["mps-upload"], "u/1/o");
    let url = bucket.presign_get("out/a b é.mp4", Audience::Public, TTL).await.unwrap();
    let answer = client
        .get(&url)
        .header("range", format!("bytes={}-", PART - 1))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(
        answer.headers()["content-range"].to_str().unwrap(),
        format!("bytes {}-{}/{}", PART - 1, PART + 2, PART + 3)
    );
    assert_eq!(answer.headers()["content-type"], "video/mp4");
    assert_eq!(answer.text().await.unwrap(), "xend");
    let whole = client.get(&url).send().await.unwrap();
    assert_eq!(whole.headers()["content-length"].to_str().unwrap(), (PART + 3).to_string());
    assert_eq!(whole.bytes().await.unwrap().len(), PART + 3);
    let beyond = client.get(&url).header("range", "bytes=99999999-").send().await.unwrap();
    assert_eq!(beyond.status(), StatusCode::RANGE_NOT_SATISFIABLE);
    let changed = client.get(&url).header("if-match", "\"other\"").send().await.unwrap();
    assert_eq!(changed.status(), StatusCode::PRECONDITION_FAILED);
}

#[tokio::test]
async fn a_repeated_complete_finds_no_upload_and_the_object_stays() {
    let running = Running::start().await;
    let (bucket, client) = (running.bucket("p").await, Client::new());
    let upload = bucket.create_multipart("a", "text/plain", mark("u/1/o")).await.unwrap();
    let parts = [put_part(&client, &bucket, "a", &upload, 1, b"one".to_vec()).await];
    bucket.complete_multipart("a", &upload, &parts).await.unwrap();
    let again = bucket.complete_multipart("a", &upload, &parts).await.unwrap_err();
    assert_eq!(again.kind, StorageErrorKind::NoSuchUpload);
    assert_eq!(bucket.head("a").await.unwrap().unwrap().metadata["mps-upload"], "u/1/o");
}

#[tokio::test]
async fn wrong_missing_and_small_parts_are_refused_and_the_upload_stays_open() {
    let running = Running::start().await;
    let (bucket, client) = (running.bucket("p").await, Client::new());
    let upload = bucket.create_multipart("a", "text/plain", HashMap::new()).await.unwrap();
    let first = put_part(&client, &bucket, "a", &upload, 1, b"small".to_vec()).await;
    let second = put_part(&client, &bucket, "a", &upload, 2, b"last".to_vec()).await;
    for parts in [
        vec![(1, "0".repeat(32))],
        vec![first.clone(), (3, first.1.clone())],
        vec![first.clone(), second],
        vec![],
    ] {
        let refused = bucket.complete_multipart("a", &upload, &parts).await.unwrap_err();
        assert_eq!(refused.kind, StorageErrorKind::InvalidPart, "{refused}");
    }
    bucket.complete_multipart("a", &upload, &[first]).await.unwrap();
    assert_eq!(bucket.get("a", None).await.unwrap(), b"small");
}

#[tokio::test]
async fn an_aborted_upload_leaves_nothing_and_takes_no_more_parts() {
    let running = Running::start().await;
    let (bucket, client) = (running.bucket("p").await, Client::new());
    let upload = bucket.create_multipart("a", "text/plain", HashMap::new()).await.unwrap();
    let url = bucket.presign_part("a", &upload, 2, Audience::Worker, TTL).await.unwrap();
    put_part(&client, &bucket, "a", &upload, 1, b"one".to_vec()).await;
    bucket.abort_multipart("a", &upload).await.unwrap();
    bucket.abort_multipart("a", &upload).await.unwrap();
    assert_eq!(client.put(url).body("two").send().await.unwrap().status(), StatusCode::NOT_FOUND);
    assert_eq!(std::fs::read_dir(running.path(".uploads")).unwrap().count(), 0);
    assert_eq!(std::fs::read_dir(running.path(".tmp")).unwrap().count(), 0);
}

#[tokio::test]
async fn an_overwrite_brings_its_own_metadata_and_a_delete_takes_it_away() {
    let running = Running::start().await;
    let (bucket, client) = (running.bucket("p").await, Client::new());
    let upload = bucket.create_multipart("dir/a", "text/plain", mark("u/1/o")).await.unwrap();
    let part = put_part(&client, &bucket, "dir/a", &upload, 1, b"same".to_vec()).await;
    bucket.complete_multipart("dir/a", &upload, &[part]).await.unwrap();
    bucket.put("dir/a", "text/plain", b"same".to_vec()).await.unwrap();
    assert!(bucket.head("dir/a").await.unwrap().unwrap().metadata.is_empty());
    bucket.delete("dir/a").await.unwrap();
    bucket.delete("dir/a").await.unwrap();
    assert!(bucket.head("dir/a").await.unwrap().is_none());
    assert!(!running.path("mps/p/dir").exists());
    let left = std::fs::read_dir(running.path(".meta")).unwrap().flatten();
    assert_eq!(left.flat_map(|shard| std::fs::read_dir(shard.path()).unwrap()).count(), 0);
}

#[tokio::test]
async fn long_keys_fit_and_too_long_segments_are_refused() {
    let running = Running::start().await;
    let bucket = running.bucket("p").await;
    let key = format!("uploads/{}/{}.mp4", "d".repeat(250), "日本".repeat(40));
    bucket.put(&key, "video/mp4", b"x".to_vec()).await.unwrap();
    assert_eq!(bucket.head(&key).await.unwrap().unwrap().size_bytes, 1);
    let refused = bucket.put(&"s".repeat(256), "video/mp4", b"x".to_vec()).await.unwrap_err();
    assert!(refused.message.contains("KeyTooLong"), "{refused}");
    bucket.put("file", "text/plain", b"x".to_vec()).await.unwrap();
    assert!(bucket.put("file/below", "text/plain", b"x".to_vec()).await.is_err());
}

#[tokio::test]
async fn projects_do_not_see_each_other_and_folders_list_before_objects() {
    let running = Running::start().await;
    let (mine, other) = (running.bucket("p").await, running.bucket("p2").await);
    for key in ["a.txt", "d/1", "d/2", "d/e/3"] {
        mine.put(key, "text/plain", key.into()).await.unwrap();
    }
    mine.create_folder("empty/").await.unwrap();
    other.put("secret", "text/plain", b"x".to_vec()).await.unwrap();
    assert_ne!(mine.bucket_ref(), other.bucket_ref());
    let names = |listing: crate::storage::objects::Listing| listing.objects.into_iter().map(|object| object.key).collect::<Vec<_>>();
    assert_eq!(names(mine.list("", false, 100, None).await.unwrap()), ["d/", "empty/", "a.txt"]);
    assert_eq!(names(mine.list("d/", false, 100, None).await.unwrap()), ["d/e/", "d/1", "d/2"]);
    let page = mine.list("", true, 2, None).await.unwrap();
    let token = page.next.clone().unwrap();
    assert_eq!(names(page), ["a.txt", "d/1"]);
    let rest = mine.list("", true, 100, Some(&token)).await.unwrap();
    assert!(rest.next.is_none());
    assert_eq!(names(rest), ["d/2", "d/e/3", "empty/"]);
    assert!(mine.head("../p2/secret").await.is_err());
    assert!(mine.list("../p2/", false, 10, None).await.is_err());
}

#[tokio::test]
async fn paths_that_escape_are_refused_as_they_come_over_the_wire() {
    let running = Running::start().await;
    std::fs::write(running.folder.path().join("x"), b"outside").unwrap();
    for target in [
        "/mps/../../x",
        "/mps/../x",
        "/mps/%2e%2e/%2e%2e/x",
        "/mps/p/%2E%2E/%2e./x",
        "/mps/..%2f..%2fx",
        "/mps//x",
        "/mps/./x",
        "/mps/a%00",
        "/mps/a%0d%0ab",
    ] {
        let answer = running.raw(target).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{target}: {answer}");
        assert!(!answer.contains("outside"), "{target}");
    }
    let answer = running.raw("/mps/p/x").await;
    assert!(answer.starts_with("HTTP/1.1 403 "), "without a signature: {answer}");
}

#[tokio::test]
async fn signed_requests_cannot_escape_either() {
    let running = Running::start().await;
    let keys = aws_sdk_s3::config::Credentials::new(&running.keys.access_key_id, &running.keys.secret_access_key, None, None, "test");
    let config = aws_sdk_s3::config::Builder::new()
        .behavior_version_latest()
        .region(aws_config::Region::new("us-east-1"))
        .credentials_provider(keys)
        .endpoint_url(format!("http://{}", running.address))
        .force_path_style(true);
    let client = aws_sdk_s3::Client::from_conf(config.build());
    for key in ["../../x", "p/../../x", "p//x", "./x"] {
        let put = client.put_object().bucket("mps").key(key).body(vec![1].into()).send().await;
        assert!(put.is_err(), "{key}");
        let identifier = aws_sdk_s3::types::ObjectIdentifier::builder().key(key).build().unwrap();
        let delete = aws_sdk_s3::types::Delete::builder().objects(identifier).build().unwrap();
        let answer = client.delete_objects().bucket("mps").delete(delete).send().await.unwrap();
        assert_eq!(answer.errors().len(), 1, "{key}");
    }
    assert!(client.list_objects_v2().bucket("mps").prefix("../").send().await.is_err());
    assert!(!running.folder.path().join("x").exists());
    // What newer SDKs send by default: a checksum in a trailer.
    client
        .put_object()
        .bucket("mps")
        .key("p/crc")
        .body(vec![1, 2, 3].into())
        .send()
        .await
        .unwrap();
    assert_eq!(running.bucket("p").await.get("crc", None).await.unwrap(), [1, 2, 3]);
}

#[tokio::test]
async fn urls_end_and_hold_for_their_own_key_and_method_only() {
    let running = Running::start().await;
    let (bucket, client) = (running.bucket("p").await, Client::new());
    bucket.put("a", "text/plain", b"a".to_vec()).await.unwrap();
    bucket.put("b", "text/plain", b"b".to_vec()).await.unwrap();
    let url = bucket.presign_get("a", Audience::Public, TTL).await.unwrap();
    assert_eq!(client.get(&url).send().await.unwrap().status(), StatusCode::OK);
    let moved = url.replace("/p/a?", "/p/b?");
    assert_eq!(client.get(&moved).send().await.unwrap().status(), StatusCode::FORBIDDEN);
    assert_eq!(client.delete(&url).send().await.unwrap().status(), StatusCode::FORBIDDEN);
    let longer = url.replace("X-Amz-Expires=60", "X-Amz-Expires=600");
    assert_eq!(client.get(&longer).send().await.unwrap().status(), StatusCode::FORBIDDEN);
    let named = bucket
        .presign_download("a", Audience::Public, "attachment; filename=\"a\"", TTL)
        .await
        .unwrap();
    let answer = client.get(&named).send().await.unwrap();
    assert_eq!(answer.headers()["content-disposition"], "attachment; filename=\"a\"");
}

#[tokio::test]
async fn a_wrong_checksum_is_refused_and_nothing_is_written() {
    let running = Running::start().await;
    let (bucket, client) = (running.bucket("p").await, Client::new());
    let signed = bucket.presign_put("a", "text/plain", Audience::Public, TTL).await.unwrap();
    let mut request = client
        .put(&signed.url)
        .body("hello")
        .header("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==");
    for (name, value) in &signed.headers {
        request = request.header(name, value);
    }
    assert_eq!(request.send().await.unwrap().status(), StatusCode::BAD_REQUEST);
    assert!(bucket.head("a").await.unwrap().is_none());
}

#[tokio::test]
async fn browsers_of_the_configured_origin_may_upload_and_read_the_etag() {
    let running = Running::start().await;
    let (bucket, client) = (running.bucket("p").await, Client::new());
    let signed = bucket.presign_put("a", "text/plain", Audience::Public, TTL).await.unwrap();
    let preflight = |origin: &'static str| {
        let request = client.request(Method::OPTIONS, &signed.url).header("origin", origin);
        request
            .header("access-control-request-method", "PUT")
            .header("access-control-request-headers", "content-type")
            .send()
    };
    let allowed = preflight("https://app.example.com").await.unwrap();
    assert_eq!(allowed.status(), StatusCode::OK);
    assert_eq!(allowed.headers()["access-control-allow-origin"], "https://app.example.com");
    assert_eq!(allowed.headers()["access-control-allow-headers"], "content-type");
    assert!(allowed.headers()["access-control-allow-methods"].to_str().unwrap().contains("PUT"));
    let other = preflight("https://evil.example.com").await.unwrap();
    assert!(!other.headers().contains_key("access-control-allow-origin"));
    let put = client
        .put(&signed.url)
        .header("origin", "https://app.example.com")
        .header("content-type", "text/plain")
        .body("x");
    let answer = put.send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(
        answer.headers()["access-control-expose-headers"]
            .to_str()
            .unwrap()
            .to_lowercase()
            .contains("etag")
    );
    assert!(answer.headers().contains_key("etag"));
}

#[tokio::test]
async fn objects_and_open_uploads_survive_a_restart_and_half_written_files_do_not() {
    let mut running = Running::start().await;
    let client = Client::new();
    let bucket = running.bucket("p").await;
    bucket.put("a", "text/plain", b"kept".to_vec()).await.unwrap();
    let upload = bucket.create_multipart("b", "text/plain", mark("u/1/o")).await.unwrap();
    let part = put_part(&client, &bucket, "b", &upload, 1, b"part".to_vec()).await;
    std::fs::write(running.path(".tmp/half"), b"x").unwrap();
    running.stop.take().unwrap().send(()).unwrap();
    running.served.take().unwrap().await.unwrap().unwrap();

    let running = Running::start_in(running.folder).await;
    let bucket = running.bucket("p").await;
    assert_eq!(bucket.get("a", None).await.unwrap(), b"kept");
    bucket.complete_multipart("b", &upload, &[part]).await.unwrap();
    assert_eq!(bucket.head("b").await.unwrap().unwrap().metadata["mps-upload"], "u/1/o");
    assert!(!running.path(".tmp/half").exists());
}

#[tokio::test]
async fn uploads_that_nobody_completes_are_dropped_once_they_are_old() {
    let folder = tempfile::tempdir().unwrap();
    let store = Folder::open(folder.path(), "mps").unwrap();
    let upload = uploads::Upload {
        bucket: "mps".into(),
        key: "p/a".into(),
        attributes: folder::Attributes::default(),
    };
    let id = store.create_upload(&upload).unwrap();
    assert_eq!(store.sweep_uploads(Duration::from_secs(60)).unwrap(), 0);
    let old = std::time::SystemTime::now() - Duration::from_secs(120);
    let path = folder.path().join(".uploads").join(&id);
    std::fs::File::open(path).unwrap().set_modified(old).unwrap();
    assert_eq!(store.sweep_uploads(Duration::from_secs(60)).unwrap(), 1);
    assert!(store.upload("mps", "p/a", &id).is_err());
}
