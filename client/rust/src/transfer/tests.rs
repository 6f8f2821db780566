//! Parts over HTTP against a scripted server over loopback.

use std::sync::Mutex;

use tokio::net::{TcpListener, TcpStream};

use super::*;

/// Answers each request with the next of these, closes the connection, and keeps what came.
async fn storage(answers: Vec<&'static str>) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/part?signature=secret", listener.local_addr().expect("has an address"));
    let received = Arc::new(Mutex::new(Vec::new()));
    let kept = received.clone();
    tokio::spawn(async move {
        for answer in answers {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let request = read_request(&mut stream).await;
            kept.lock().expect("not poisoned").push(request);
            let text = format!("HTTP/1.1 {answer}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(text.as_bytes()).await.expect("the client reads");
        }
    });
    (url, received)
}

async fn read_request(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
            if body.len() >= length.unwrap_or(0) {
                return text;
            }
        }
        match stream.read(&mut buffer).await {
            Ok(count) if count > 0 => bytes.extend_from_slice(&buffer[..count]),
            _ => return text,
        }
    }
}

async fn upload(url: &str, content: &str, pieces: &[(i64, i64)]) -> (Result<Vec<UploadedPart>, ClientError>, u64) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("file");
    std::fs::write(&path, content).expect("the file is written");
    let parts = (1..).zip(pieces).map(|(number, (offset_bytes, size_bytes))| UploadPart {
        number,
        offset_bytes: *offset_bytes,
        size_bytes: *size_bytes,
        url: url.to_owned(),
    });
    let upload = CreateUploadResponse {
        upload_id: "u".into(),
        parts: parts.collect(),
        headers: [("content-type".to_owned(), "video/mp4".to_owned())].into(),
        ..Default::default()
    };
    let client = Client::connect("http://127.0.0.1:1", "key").await.expect("the address is right");
    let sent = Arc::new(AtomicU64::new(0));
    let done = client.upload_parts(&upload, &path, &sent, &|_| {}).await;
    (done, sent.load(Ordering::Relaxed))
}

#[tokio::test]
async fn each_part_is_sent_with_its_length_and_headers_and_without_the_key() {
    let (url, received) = storage(vec!["200 OK\r\netag: \"one\"", "200 OK\r\netag: \"two\""]).await;
    let (parts, sent) = upload(&url, "hello world", &[(0, 6), (6, 5)]).await;
    let parts: Vec<(i32, String)> = parts.expect("uploaded").into_iter().map(|part| (part.number, part.etag)).collect();
    assert_eq!(parts, [(1, "\"one\"".to_owned()), (2, "\"two\"".to_owned())]);
    assert_eq!(sent, 11);
    let received = received.lock().expect("not poisoned");
    assert!(
        received[0].starts_with("PUT /part?signature=secret") && received[0].ends_with("\r\n\r\nhello "),
        "{}",
        received[0]
    );
    assert!(received[1].ends_with("\r\n\r\nworld"));
    for request in received.iter() {
        assert!(request.contains("content-type: video/mp4"), "{request}");
        assert!(!request.contains("chunked") && !request.contains("authorization"), "{request}");
    }
}

#[tokio::test]
async fn a_part_that_fails_is_sent_again_and_counted_once() {
    let (url, received) = storage(vec!["503 Busy", "500 Oops", "200 OK\r\netag: \"x\""]).await;
    let (parts, sent) = upload(&url, "hello", &[(0, 5)]).await;
    assert_eq!(parts.expect("uploaded").len(), 1);
    assert_eq!((sent, received.lock().expect("not poisoned").len()), (5, 3));
}

#[tokio::test]
async fn a_refusal_is_final_and_shows_no_url() {
    let (url, received) = storage(vec!["403 Forbidden", "200 OK\r\netag: \"x\""]).await;
    let (parts, _) = upload(&url, "hello", &[(0, 5)]).await;
    let error = parts.expect_err("refused").to_string();
    assert!(error.contains("403") && !error.contains("secret"), "{error}");
    assert_eq!(received.lock().expect("not poisoned").len(), 1);
}

#[tokio::test]
async fn a_storage_that_is_gone_or_a_file_that_shrank_fails_without_showing_the_url() {
    for (url, content) in [
        ("http://127.0.0.1:1/?signature=secret".to_owned(), "hello"),
        (storage(vec!["200 OK"; 3]).await.0, "he"),
    ] {
        let (parts, _) = upload(&url, content, &[(0, 5)]).await;
        let error = parts.expect_err("it fails").to_string();
        assert!(!error.contains("secret"), "{error}");
    }
}

#[test]
fn the_unfinished_file_stands_beside_the_finished_one() {
    assert_eq!(part_path(Path::new("a/b.mp4")), Path::new("a/b.mp4.part"));
}
