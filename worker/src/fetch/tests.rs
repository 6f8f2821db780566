//! The fetcher against small servers with bad habits.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use mps_proto::v1::ErrorReason;
use prost::Message;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::*;

/// What a server does with one request: its number from 0, its head in lower case, and the connection.
type Habit = fn(usize, String, Arc<Vec<u8>>) -> Vec<Step>;

enum Step {
    Send(Vec<u8>),
    Wait(Duration),
}

struct Server {
    url: String,
    requests: Arc<AtomicUsize>,
    body: Arc<Vec<u8>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    async fn start(habit: Habit) -> Self {
        Self::with_body(habit, (0..300_000u32).map(|index| (index * 31 % 251) as u8).collect()).await
    }

    async fn with_body(habit: Habit, body: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/clip.mp4", listener.local_addr().unwrap());
        let (requests, body) = (Arc::new(AtomicUsize::new(0)), Arc::new(body));
        let (counter, content) = (requests.clone(), body.clone());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = counter.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, habit, number, content.clone()));
            }
        });
        Self { url, requests, body, task }
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

async fn serve(mut stream: TcpStream, habit: Habit, number: usize, body: Arc<Vec<u8>>) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).await.is_ok_and(|count| count > 0) {
        head.push(byte[0]);
    }
    for step in habit(number, String::from_utf8_lossy(&head).to_lowercase(), body) {
        match step {
            Step::Send(bytes) => {
                let _gone = stream.write_all(&bytes).await;
            }
            Step::Wait(time) => sleep(time).await,
        }
    }
    let _gone = stream.shutdown().await;
}

fn range_start(head: &str) -> Option<usize> {
    head.lines()
        .find_map(|line| line.strip_prefix("range: bytes="))?
        .trim_end_matches('-')
        .parse()
        .ok()
}

/// An answer with the body from where it was asked for, cut after `most` bytes.
fn ranged(head: &str, body: &[u8], validators: &str, most: usize) -> Vec<Step> {
    let (start, total) = (range_start(head).unwrap_or(0), body.len());
    let rest = &body[start..];
    let status = if start > 0 {
        format!("206 Partial Content\r\ncontent-range: bytes {start}-{}/{total}", total - 1)
    } else {
        "200 OK".into()
    };
    let text = format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\n{validators}connection: close\r\n\r\n",
        rest.len()
    );
    vec![Step::Send(text.into_bytes()), Step::Send(rest[..most.min(rest.len())].to_vec())]
}

fn status(line: &str) -> Vec<Step> {
    vec![Step::Send(
        format!("HTTP/1.1 {line}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").into_bytes(),
    )]
}

fn quick() -> FetchConfig {
    FetchConfig {
        connect_timeout: Duration::from_secs(1),
        stall_timeout: Duration::from_millis(300),
        tries: 3,
        first_pause: Duration::from_millis(1),
        deadline: Duration::from_secs(20),
        min_bytes_per_second: 1024,
        rate_window: Duration::from_millis(500),
        max_redirects: 5,
    }
}

fn source(url: &str, untrusted: bool) -> Source {
    Source {
        url: url.into(),
        untrusted,
        allow_private: false,
    }
}

async fn fetch_from(source: Source, room: u64) -> Result<Vec<u8>, Failure> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("input.mp4");
    let config = quick();
    let fetcher = Fetcher {
        http: Http::new(&config, Path::new("")).unwrap(),
        config,
    };
    let urls = move || -> BoxFuture<'static, Result<Source, Failure>> { Box::pin(std::future::ready(Ok(source.clone()))) };
    let room = Room {
        free: room,
        most: u64::MAX,
    };
    let length = fetcher.fetch(&urls, &path, room).await?;
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(bytes.len() as u64, length);
    Ok(bytes)
}

/// As a presigned URL: any address.
async fn fetch(server: &Server) -> Result<Vec<u8>, Failure> {
    fetch_from(source(&server.url, false), u64::MAX).await
}

fn reason(failure: &Failure) -> String {
    let details = &failure.status.as_ref().unwrap().details;
    mps_proto::rpc::ErrorInfo::decode(details[0].value.as_slice()).unwrap().reason
}

async fn refused_with(habit: Habit, expected: ErrorReason) {
    let server = Server::start(habit).await;
    let failure = fetch(&server).await.expect_err("refused");
    assert_eq!(reason(&failure), expected.reason(), "{failure:?}");
}

async fn arrives_whole(habit: Habit, requests: usize) {
    let server = Server::start(habit).await;
    let bytes = fetch(&server).await.unwrap_or_else(|failure| panic!("{failure:?}"));
    assert!(bytes == *server.body, "{} bytes of {}", bytes.len(), server.body.len());
    assert_eq!(server.requests(), requests);
}

#[tokio::test]
async fn cut_download_goes_on_where_it_was_cut() {
    arrives_whole(|_, head, body| ranged(&head, &body, "etag: \"a\"\r\n", 100_001), 3).await;
}

#[tokio::test]
async fn cut_download_without_ranges_starts_again() {
    arrives_whole(
        |number, _, body| ranged("", &body, "etag: \"a\"\r\n", if number == 0 { 1000 } else { usize::MAX }),
        2,
    )
    .await;
}

#[tokio::test]
async fn version_that_cannot_be_recognised_is_read_from_its_beginning() {
    arrives_whole(
        |number, head, body| {
            assert_eq!(range_start(&head), None);
            ranged(&head, &body, "", if number == 0 { 1000 } else { usize::MAX })
        },
        2,
    )
    .await;
}

#[tokio::test]
async fn chunks_arrive_whole_and_cut_chunks_are_asked_for_again() {
    arrives_whole(
        |number, _, body| {
            let mut steps = vec![Step::Send(
                b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n".to_vec(),
            )];
            for chunk in body.chunks(40_000).take(if number == 0 { 2 } else { 100 }) {
                steps.push(Step::Send(format!("{:x}\r\n", chunk.len()).into_bytes()));
                steps.push(Step::Send([chunk, b"\r\n"].concat()));
            }
            if number > 0 {
                steps.push(Step::Send(b"0\r\n\r\n".to_vec()));
            }
            steps
        },
        2,
    )
    .await;
}

#[tokio::test]
async fn answer_without_a_length_ends_with_its_connection() {
    arrives_whole(
        |_, _, body| {
            vec![
                Step::Send(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".to_vec()),
                Step::Send(body.to_vec()),
            ]
        },
        1,
    )
    .await;
}

#[tokio::test]
async fn stalled_and_overloaded_servers_are_tried_again() {
    arrives_whole(
        |number, head, body| match number {
            0 => status("503 Service Unavailable"),
            1 => {
                let mut steps = ranged(&head, &body, "etag: \"a\"\r\n", 1000);
                steps.push(Step::Wait(Duration::from_secs(30)));
                steps
            }
            _ => ranged(&head, &body, "etag: \"a\"\r\n", usize::MAX),
        },
        3,
    )
    .await;
}

#[tokio::test]
async fn input_that_changes_between_requests_is_refused() {
    refused_with(
        |number, head, body| ranged(&head, &body, &format!("etag: \"{number}\"\r\n"), 1000),
        ErrorReason::InputChanged,
    )
    .await;
    refused_with(
        |number, head, body| {
            let validators = format!("last-modified: Thu, 26 Nov 2026 20:00:0{number} GMT\r\n");
            ranged(&head, &body, &validators, 1000)
        },
        ErrorReason::InputChanged,
    )
    .await;
}

#[tokio::test]
async fn missing_denied_and_failing_inputs_have_their_reasons() {
    refused_with(|_, _, _| status("404 Not Found"), ErrorReason::InputNotFound).await;
    refused_with(|_, _, _| status("403 Forbidden"), ErrorReason::InputUnavailable).await;
    refused_with(|_, _, _| status("500 Internal Server Error"), ErrorReason::InputUnavailable).await;
    refused_with(|_, _, _| vec![Step::Wait(Duration::from_secs(30))], ErrorReason::InputUnavailable).await;
}

#[tokio::test]
async fn server_that_drips_is_given_up() {
    refused_with(
        |_, head, body| {
            let mut steps = ranged(&head, &body, "etag: \"a\"\r\n", 10);
            for index in 0..100 {
                steps.push(Step::Wait(Duration::from_millis(50)));
                steps.push(Step::Send(vec![index]));
            }
            steps
        },
        ErrorReason::InputUnavailable,
    )
    .await;
}

#[tokio::test]
async fn denied_presigned_url_is_asked_for_once_more() {
    arrives_whole(
        |number, head, body| match number {
            0 => status("403 Forbidden"),
            _ => ranged(&head, &body, "etag: \"a\"\r\n", usize::MAX),
        },
        2,
    )
    .await;
}

#[tokio::test]
async fn playlists_and_empty_files_are_no_media() {
    let playlist = b"#EXTM3U\n#EXTINF:4,\nfile:///etc/passwd\n".to_vec();
    for body in [playlist, Vec::new()] {
        let server = Server::with_body(|_, head, body| ranged(&head, &body, "", usize::MAX), body).await;
        assert_eq!(reason(&fetch(&server).await.unwrap_err()), "INPUT_NOT_MEDIA");
    }
    refused_with(
        |_, head, body| ranged(&head, &body, "content-type: application/x-mpegURL\r\n", usize::MAX),
        ErrorReason::InputNotMedia,
    )
    .await;
}

#[tokio::test]
async fn input_that_does_not_fit_is_refused_before_and_while_it_arrives() {
    let announced = Server::start(|_, head, body| ranged(&head, &body, "", usize::MAX)).await;
    let silent: Habit = |_, _, body| vec![Step::Send(b"HTTP/1.1 200 OK\r\n\r\n".to_vec()), Step::Send(body.to_vec())];
    let unannounced = Server::start(silent).await;
    for server in [announced, unannounced] {
        let failure = fetch_from(source(&server.url, false), 1000).await.unwrap_err();
        assert_eq!(reason(&failure), "DISK_FULL");
    }
}

#[tokio::test]
async fn private_addresses_of_users_are_not_connected_to() {
    let server = Server::start(|_, head, body| ranged(&head, &body, "", usize::MAX)).await;
    let by_name = server.url.replace("127.0.0.1", "localhost");
    let mapped = server.url.replace("127.0.0.1", "[::ffff:127.0.0.1]");
    for url in [&server.url, &by_name, &mapped] {
        let failure = fetch_from(source(url, true), u64::MAX).await.unwrap_err();
        assert_eq!(reason(&failure), "INPUT_FORBIDDEN", "{url}: {failure:?}");
    }
    assert_eq!(server.requests(), 0);
    let mut allowed = source(&by_name, true);
    allowed.allow_private = true;
    assert!(fetch_from(allowed, u64::MAX).await.is_ok());
}

#[tokio::test]
async fn redirects_are_followed_by_hand_each_checked_and_counted() {
    let moves: Habit = |number, head, body| match number {
        0..3 => status("302 Found\r\nlocation: /elsewhere.mp4"),
        _ => ranged(&head, &body, "", usize::MAX),
    };
    arrives_whole(moves, 4).await;
    refused_with(|_, _, _| status("302 Found\r\nlocation: /again"), ErrorReason::InputUnavailable).await;
    // Of the check alone: a public server that redirects to a private address is not to be had here.
    let config = quick();
    let http = Http::new(&config, Path::new("")).unwrap();
    for target in ["http://127.0.0.1/x", "http://169.254.169.254/x", "file:///etc/passwd"] {
        let refused = http.get(&source(target, true), Ask::default().span(), None).await;
        assert!(matches!(refused, Err(FetchError::Forbidden(_))), "{target}");
    }
}

#[tokio::test]
async fn redirect_to_another_scheme_is_refused() {
    let server = Server::start(|_, _, _| status("302 Found\r\nlocation: file:///etc/passwd")).await;
    let mut user = source(&server.url, true);
    user.allow_private = true;
    assert_eq!(reason(&fetch_from(user, u64::MAX).await.unwrap_err()), "INPUT_FORBIDDEN");
}

mod parts;
