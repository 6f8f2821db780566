//! Fetching parts, for probes.

use std::{ops::Range, path::PathBuf};

use super::*;

const MIB: u64 = 1 << 20;
const MOST: u64 = 8 * MIB;

/// Bytes that look like no container.
fn body(mebibytes: u64) -> Vec<u8> {
    (0..mebibytes * MIB).map(|index| (index * 31 % 251) as u8 | 0x80).collect()
}

fn range(head: &str) -> Option<Range<usize>> {
    let (start, end) = head.lines().find_map(|line| line.strip_prefix("range: bytes="))?.split_once('-')?;
    Some(start.parse().ok()?..end.trim().parse::<usize>().ok()? + 1)
}

/// An answer with the range that was asked for, cut after `most` bytes.
fn between(head: &str, body: &[u8], etag: &str, most: usize) -> Vec<Step> {
    let Some(range) = range(head) else {
        return ranged(head, body, "", usize::MAX);
    };
    let end = range.end.min(body.len());
    let part = &body[range.start..end];
    let text = format!(
        "HTTP/1.1 206 Partial Content\r\ncontent-range: bytes {}-{}/{}\r\ncontent-length: {}\r\netag: \"{etag}\"\r\nconnection: close\r\n\r\n",
        range.start,
        end - 1,
        body.len(),
        part.len()
    );
    vec![Step::Send(text.into_bytes()), Step::Send(part[..most.min(part.len())].to_vec())]
}

struct Copy {
    _folder: tempfile::TempDir,
    path: PathBuf,
    fetcher: Fetcher,
    url: Source,
}

impl Copy {
    fn of(server: &Server) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = quick();
        Self {
            path: folder.path().join("input"),
            fetcher: Fetcher {
                http: Http::new(&config, Path::new("")).unwrap(),
                config,
            },
            url: source(&server.url, false),
            _folder: folder,
        }
    }

    fn urls(&self) -> impl Fn() -> BoxFuture<'static, Result<Source, Failure>> + Send + Sync + use<> {
        let url = self.url.clone();
        move || {
            let url = url.clone();
            Box::pin(async { Ok(url) })
        }
    }

    async fn parts(&self) -> Result<Fetched, Failure> {
        self.fetcher.fetch_parts(&self.urls(), &self.path, MOST).await
    }

    fn bytes(&self) -> Vec<u8> {
        std::fs::read(&self.path).unwrap()
    }
}

#[tokio::test]
async fn the_ends_of_a_large_file_are_fetched_and_then_the_rest() {
    let server = Server::with_body(|_, head, body| between(&head, &body, "a", usize::MAX), body(6)).await;
    let copy = Copy::of(&server);
    let fetched = copy.parts().await.unwrap();
    assert_eq!(server.requests(), 2);
    assert!(!fetched.is_whole() && !fetched.is_no_media);
    let found = copy.bytes();
    assert_eq!(found.len(), server.body.len(), "the copy has the length of the file");
    assert_eq!(found[..2 << 20], server.body[..2 << 20]);
    assert_eq!(found[5 << 20..], server.body[5 << 20..]);
    assert!(found[2 << 20..5 << 20].iter().all(|byte| *byte == 0));
    copy.fetcher.fetch_rest(&copy.urls(), &copy.path, MOST, fetched).await.unwrap();
    assert_eq!(copy.bytes(), *server.body);
}

#[tokio::test]
async fn a_part_that_was_cut_goes_on_where_it_was_cut() {
    let server = Server::with_body(|_, head, body| between(&head, &body, "a", 700_000), body(6)).await;
    let copy = Copy::of(&server);
    copy.parts().await.unwrap();
    assert_eq!(copy.bytes()[..2 << 20], server.body[..2 << 20]);
}

#[tokio::test]
async fn a_server_without_ranges_is_read_from_its_beginning() {
    let server = Server::with_body(|_, _, body| ranged("", &body, "", usize::MAX), body(6)).await;
    let copy = Copy::of(&server);
    assert!(copy.parts().await.unwrap().is_whole());
    assert_eq!((server.requests(), copy.bytes()), (1, server.body.to_vec()));
}

#[tokio::test]
async fn a_file_that_needs_more_than_a_probe_may_fetch_is_refused() {
    let server = Server::with_body(|_, _, body| ranged("", &body, "", usize::MAX), body(9)).await;
    let failure = Copy::of(&server).parts().await.unwrap_err();
    assert_eq!(reason(&failure), ErrorReason::LimitExceeded.reason());
    let server = Server::with_body(|_, head, body| between(&head, &body, "a", usize::MAX), body(9)).await;
    let copy = Copy::of(&server);
    let fetched = copy.parts().await.unwrap();
    let failure = copy.fetcher.fetch_rest(&copy.urls(), &copy.path, MOST, fetched).await.unwrap_err();
    assert_eq!(reason(&failure), ErrorReason::LimitExceeded.reason());
}

#[tokio::test]
async fn a_file_that_changes_between_its_parts_is_refused() {
    let habit: Habit = |number, head, body| between(&head, &body, if number == 0 { "a" } else { "b" }, usize::MAX);
    let server = Server::with_body(habit, body(6)).await;
    let failure = Copy::of(&server).parts().await.unwrap_err();
    assert_eq!(reason(&failure), ErrorReason::InputChanged.reason());
}

#[tokio::test]
async fn pages_and_empty_files_are_known_at_once() {
    let page = b"<html>no media</html>\n".repeat(200_000);
    let server = Server::with_body(|_, head, body| between(&head, &body, "a", usize::MAX), page).await;
    assert!(Copy::of(&server).parts().await.unwrap().is_no_media);
    assert_eq!(server.requests(), 1);
    let server = Server::start(|_, _, _| status("416 Range Not Satisfiable\r\ncontent-range: bytes */0")).await;
    let failure = Copy::of(&server).parts().await.unwrap_err();
    assert_eq!(reason(&failure), ErrorReason::InputNotMedia.reason());
}
