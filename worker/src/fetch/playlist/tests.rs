//! Playlists on small servers, good and bad. Their segments are packed sound, whose joined bytes are known.

use std::{
    collections::HashMap,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::future::BoxFuture;
use mps_proto::rpc;
use prost::Message;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::{decrypt::tests::encrypted, *};
use crate::{config::FetchConfig, fetch::Http};

/// Files of a server by their path, and the paths that were asked for.
#[derive(Default)]
struct Site {
    files: HashMap<String, File>,
    asked: Mutex<Vec<String>>,
    port: AtomicUsize,
}

#[derive(Clone, Default)]
struct File {
    body: Vec<u8>,
    status: u16,
    location: String,
    no_ranges: bool,
    /// Each answer has another ETag.
    changes: bool,
    /// Answers are cut after so many bytes.
    cut: Option<usize>,
}

impl Site {
    fn with(mut self, path: &str, body: impl Into<Vec<u8>>) -> Self {
        let file = File {
            body: body.into(),
            status: 200,
            ..File::default()
        };
        self.files.insert(path.into(), file);
        self
    }

    fn change(mut self, path: &str, change: impl Fn(&mut File)) -> Self {
        change(self.files.entry(path.into()).or_default());
        self
    }

    async fn start(self) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        self.port.store(listener.local_addr().unwrap().port().into(), Ordering::SeqCst);
        let site = Arc::new(self);
        let own = site.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, own.clone()));
            }
        });
        site
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port.load(Ordering::SeqCst))
    }

    fn asked(&self, path: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|asked| asked.as_str() == path).count()
    }
}

async fn serve(mut stream: TcpStream, site: Arc<Site>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        head.push(byte);
    }
    let head = String::from_utf8_lossy(&head).to_lowercase();
    let path = head.split([' ', '?']).nth(1).unwrap_or_default().to_owned();
    let number = {
        let mut asked = site.asked.lock().unwrap();
        asked.push(path.clone());
        asked.len()
    };
    let _gone = stream.write_all(&answer(&head, site.files.get(&path), number)).await;
    let _gone = stream.shutdown().await;
}

fn answer(head: &str, file: Option<&File>, number: usize) -> Vec<u8> {
    let Some(file) = file.filter(|file| file.status != 404) else {
        return b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_vec();
    };
    let range = head.lines().find_map(|line| line.strip_prefix("range: bytes="));
    let (mut start, mut end, mut status) = (0, file.body.len(), file.status.to_string());
    if let Some((first, last)) = range
        .filter(|_| !file.no_ranges && file.status == 200)
        .and_then(|range| range.split_once('-'))
    {
        start = first.parse().unwrap();
        if start >= file.body.len() {
            return b"HTTP/1.1 416 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_vec();
        }
        end = last.parse::<usize>().map_or(end, |last| end.min(last + 1));
        status = format!("206 Part\r\ncontent-range: bytes {start}-{}/{}", end - 1, file.body.len());
    }
    let etag = if file.changes { number } else { 0 };
    let body = &file.body[start..end];
    let text = format!(
        "HTTP/1.1 {status} x\r\ncontent-length: {}\r\nlocation: {}\r\netag: \"{etag}\"\r\nconnection: close\r\n\r\n",
        body.len(),
        file.location
    );
    let sent = file.cut.map_or(body.len(), |cut| cut.min(body.len()));
    [text.as_bytes(), &body[..sent]].concat()
}

/// A frame of AAC with a mark in it.
fn frame(mark: u8) -> Vec<u8> {
    let mut bytes = vec![0xff, 0xf1, 0x4c, 0x80, 0x0c, 0x9f, 0xfc];
    bytes.resize(100, mark);
    bytes
}

fn list(lines: &str) -> String {
    format!("#EXTM3U\n#EXT-X-TARGETDURATION:4\n{lines}\n#EXT-X-ENDLIST\n")
}

fn segment(uri: &str) -> String {
    format!("#EXTINF:1.5,\n{uri}\n")
}

fn config() -> FetchConfig {
    FetchConfig {
        connect_timeout: Duration::from_secs(1),
        stall_timeout: Duration::from_millis(500),
        tries: 3,
        first_pause: Duration::from_millis(1),
        deadline: Duration::from_secs(20),
        min_bytes_per_second: 0,
        rate_window: Duration::from_secs(5),
        max_redirects: 3,
    }
}

struct Wish {
    url: String,
    key: Option<String>,
    allow_private: bool,
    most_seconds: f64,
    sample: bool,
}

fn wish(site: &Site, path: &str) -> Wish {
    Wish {
        url: site.url(path),
        key: None,
        allow_private: true,
        most_seconds: 0.0,
        sample: false,
    }
}

/// Joined bytes and the playlist's length. What is signed is `/signed/{key}`.
async fn fetch_wish(site: &Arc<Site>, wish: Wish) -> Result<(Vec<u8>, f64), Failure> {
    let folder = tempfile::tempdir().unwrap();
    let config = config();
    let fetcher = Fetcher {
        http: Http::new(&config, Path::new("")).unwrap(),
        config,
    };
    let (own, asked) = (site.clone(), Arc::new(AtomicUsize::new(0)));
    let sign = move |keys: Vec<String>| -> BoxFuture<'static, Result<Vec<String>, Failure>> {
        let round = asked.fetch_add(1, Ordering::SeqCst);
        let urls = keys.iter().map(|key| own.url(&format!("/signed{round}/{key}"))).collect();
        Box::pin(std::future::ready(Ok(urls)))
    };
    let origin = Origin {
        url: wish.url,
        key: wish.key,
        allow_private: wish.allow_private,
        sign: Arc::new(sign),
    };
    let bounds = Bounds {
        folder: folder.path(),
        free: Arc::new(|| u64::MAX),
        most_seconds: wish.most_seconds,
        sample: wish.sample,
    };
    let joined = fetch(&fetcher, origin, bounds).await?;
    assert_eq!(joined.is_sample, wish.sample);
    Ok((std::fs::read(&joined.path).unwrap(), joined.seconds))
}

async fn fetch_from(site: &Arc<Site>, path: &str) -> Result<(Vec<u8>, f64), Failure> {
    fetch_wish(site, wish(site, path)).await
}

/// Reason and message.
fn refusal(failure: &Failure) -> (String, String) {
    let status = failure.status.as_ref().unwrap();
    let info = rpc::ErrorInfo::decode(status.details[0].value.as_slice()).unwrap();
    (info.reason, status.message.clone())
}

#[tokio::test]
async fn segments_are_found_beside_the_playlist_that_was_redirected_to() {
    let all = [frame(1), frame(2), frame(3), frame(4)].concat();
    let lines = [
        segment("one.aac"),
        "#EXT-X-BYTERANGE:100@100\n".to_owned() + &segment("../all.aac"),
        "#EXT-X-BYTERANGE:100\n".to_owned() + &segment("../all.aac"),
        "#EXT-X-DISCONTINUITY\n#EXT-X-KEY:METHOD=AES-128,URI=\"/keys/k\"\n".to_owned() + &segment("four.aac?x=1"),
    ];
    let site = Site::default()
        .with("/list", "")
        .change("/list", |file| (file.status, file.location) = (302, "/a/b/list.m3u8".into()))
        .with("/a/b/list.m3u8", list(&lines.concat()))
        .with("/a/b/one.aac", frame(1))
        .change("/a/b/one.aac", |file| file.cut = Some(60))
        .with("/a/all.aac", all.clone())
        .with("/keys/k", [7; 16])
        .with("/a/b/four.aac", encrypted(&frame(4), [7; 16], 3u128.to_be_bytes()));
    let site = site.start().await;
    let (bytes, seconds) = fetch_from(&site, "/list").await.unwrap();
    assert!(bytes == all);
    assert!((seconds - 6.0).abs() < 1e-9);
    assert!(site.asked("/a/b/one.aac") == 2, "a cut segment goes on where it was cut");
}

#[tokio::test]
async fn members_in_a_storage_are_signed_and_signed_again_when_denied() {
    let lines = [
        segment("s%20one.aac"),
        segment("sub/two.aac"),
        segment("http://127.0.0.1:9/three.aac"),
    ];
    let site = Site::default()
        .with("/signed0/films/list.m3u8", list(&lines[..2].concat()))
        .with("/signed1/films/s%20one.aac", frame(1))
        .with("/signed1/films/sub/two.aac", "")
        .change("/signed1/films/sub/two.aac", |file| file.status = 403)
        .with("/signed2/films/sub/two.aac", frame(2));
    let site = site.start().await;
    let mut wish = wish(&site, "/unused");
    wish.key = Some("films/list.m3u8".into());
    // what is signed is trusted: only what the playlist names on the web is not
    wish.allow_private = false;
    let (bytes, _) = fetch_wish(&site, wish).await.unwrap();
    assert!(bytes == [frame(1), frame(2)].concat());
}

#[tokio::test]
async fn probe_fetches_only_the_beginning() {
    let lines: String = (0..50).map(|number| segment(&format!("s{number}.aac"))).collect();
    let mut site = Site::default().with("/list.m3u8", list(&lines));
    for number in 0..50 {
        site = site.with(&format!("/s{number}.aac"), frame(number));
    }
    let site = site.start().await;
    let sample = Wish {
        sample: true,
        ..wish(&site, "/list.m3u8")
    };
    let (bytes, seconds) = fetch_wish(&site, sample).await.unwrap();
    assert_eq!((bytes.len(), seconds), (200, 75.0));
    assert_eq!(site.asked("/s2.aac"), 0);
}

#[tokio::test]
async fn bad_members_are_named_with_their_reason() {
    let key = |uri: &str| format!("#EXT-X-KEY:METHOD=AES-128,URI=\"{uri}\"\n");
    let good = segment("good.aac");
    let ranged = |range: &str, uri: &str| format!("#EXT-X-BYTERANGE:{range}\n{}", segment(uri));
    let master = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nagain.m3u8\n";
    let sound = |list: &str| {
        format!(
            "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"x\",URI=\"{list}\"\n#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"a\"\nlist.m3u8\n"
        )
    };
    let cases: [(String, &str, &str); 16] = [
        (
            list(&(good.clone() + &segment("gone.aac"))),
            "INPUT_NOT_FOUND",
            "segment 2 (/gone.aac)",
        ),
        (list(&segment("file:///etc/passwd")), "INPUT_FORBIDDEN", "file"),
        (list(&(good.clone() + &segment("data:audio/aac,x"))), "INPUT_FORBIDDEN", "data"),
        (list(&(key("nokey") + &good)), "INPUT_NOT_FOUND", "the key"),
        (list(&(key("short") + &good)), "INPUT_DAMAGED", "3 bytes"),
        (list(&(key("long") + &good)), "LIMIT_EXCEEDED", "the key"),
        (list(&(key("key") + &good)), "INPUT_DAMAGED", "multiple of 16"),
        (list(&(key("key") + &segment("sealed.aac"))), "INPUT_DAMAGED", "padding"),
        (list(&(key("file:///etc/passwd") + &good)), "INPUT_FORBIDDEN", "file"),
        (list(&ranged("100@50", "good.aac")), "INPUT_TRUNCATED", "segment 1"),
        (list(&ranged("100@500", "good.aac")), "INPUT_TRUNCATED", "segment 1"),
        (list(&ranged("100@0", "whole.aac")), "INPUT_UNAVAILABLE", "part"),
        (
            list(&(ranged("100@0", "changing.aac") + &ranged("100@100", "changing.aac"))),
            "INPUT_CHANGED",
            "ETag",
        ),
        (list(&segment("text.vtt")), "PLAYLIST_UNSUPPORTED", "segment 1"),
        (master.to_owned(), "PLAYLIST_UNSUPPORTED", "names playlists again"),
        (sound("two.m3u8"), "PLAYLIST_UNSUPPORTED", "1 discontinuities"),
    ];
    for (text, reason, word) in cases {
        let site = Site::default()
            .with("/master.m3u8", text)
            .with("/list.m3u8", list(&good))
            .with("/two.m3u8", list(&format!("{good}#EXT-X-DISCONTINUITY\n{good}")))
            .with("/again.m3u8", master)
            .with("/good.aac", frame(1))
            .with("/whole.aac", frame(1))
            .change("/whole.aac", |file| file.no_ranges = true)
            .with("/changing.aac", [frame(1), frame(2)].concat())
            .change("/changing.aac", |file| file.changes = true)
            .with("/text.vtt", "WEBVTT\n\n")
            .with("/key", [7; 16])
            .with("/short", "abc")
            .with("/long", [7; 17])
            .with("/sealed.aac", encrypted(&frame(1), [8; 16], [0; 16]));
        let site = site.start().await;
        let failure = fetch_from(&site, "/master.m3u8").await.expect_err(word);
        let (found, message) = refusal(&failure);
        assert!(found == reason && message.contains(word), "{word}: {found} {message}");
    }
}

#[tokio::test]
async fn addresses_of_members_are_guarded_like_the_playlists_own() {
    let site = Site::default()
        .with("/signed0/list.m3u8", list(&segment("http://127.0.0.1:9/one.aac")))
        .start()
        .await;
    let private = Wish {
        key: Some("list.m3u8".into()),
        allow_private: false,
        ..wish(&site, "/unused")
    };
    let (reason, message) = refusal(&fetch_wish(&site, private).await.unwrap_err());
    assert_eq!(reason, "INPUT_FORBIDDEN", "{message}");
    let untrusted = Wish {
        allow_private: false,
        ..wish(&site, "/signed0/list.m3u8")
    };
    assert_eq!(refusal(&fetch_wish(&site, untrusted).await.unwrap_err()).0, "INPUT_FORBIDDEN");
}

#[tokio::test]
async fn too_long_media_is_refused_before_it_is_fetched() {
    let site = Site::default().with("/list.m3u8", list(&segment("a.aac").repeat(10))).start().await;
    let bounded = Wish {
        most_seconds: 14.0,
        ..wish(&site, "/list.m3u8")
    };
    assert_eq!(refusal(&fetch_wish(&site, bounded).await.unwrap_err()).0, "LIMIT_EXCEEDED");
    assert_eq!(site.asked("/a.aac"), 0);
}
