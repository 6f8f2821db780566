//! Fetches of a file only what tells what it contains, into a sparse copy of its length. What those parts are, `mps_media::parts` says.

use std::{ops::Range, path::Path};

use mps_media::parts::{self, HEAD_BYTES, Ranges, Verdict};
use mps_proto::worker::v1::Failure;
use reqwest::{Response, StatusCode, header::CONTENT_TYPE};
use tokio::{
    fs::File,
    io::{AsyncSeekExt, AsyncWriteExt, SeekFrom},
    time::{sleep, timeout},
};

use super::{
    Fetcher, LONGEST_PAUSE, UrlSource,
    error::FetchError,
    http::{self, Source, Span},
    resume::{self, Answer, Identity},
    sniff::{self, List, Sniffer},
};

/// Questions to the server about one file.
const MAX_REQUESTS: u32 = 100;

/// A file of which parts were fetched.
#[derive(Debug, Default)]
pub struct Fetched {
    total: u64,
    have: Ranges,
    known: Option<Identity>,
    spent: u64,
    /// Its first bytes show that it is no media: more of it would tell nothing else.
    pub is_no_media: bool,
    /// It is an HLS playlist, which is read in another way.
    pub is_playlist: bool,
}

impl Fetched {
    /// Whether every byte is there.
    pub fn is_whole(&self) -> bool {
        self.have.contain(0..self.total)
    }
}

impl Fetcher {
    /// Fetches what tells what a file contains, at most `max_bytes`. Where the server answers no ranges, it is read from its beginning on.
    pub async fn fetch_parts(&self, urls: &UrlSource, path: &Path, max_bytes: u64) -> Result<Fetched, Failure> {
        let mut parts = Parts::start(self, urls, path, max_bytes, Fetched::default()).await?;
        match parts.until_enough().await {
            Err(FetchError::Playlist(List::Hls)) => parts.fetched.is_playlist = true,
            ended => ended.map_err(FetchError::into_failure)?,
        }
        Ok(parts.fetched)
    }

    /// Fetches the rest of a file, if all of it is no more than `max_bytes`.
    pub async fn fetch_rest(&self, urls: &UrlSource, path: &Path, max_bytes: u64, fetched: Fetched) -> Result<(), Failure> {
        if fetched.total > max_bytes {
            return Err(FetchError::TooMuchToProbe(max_bytes).into_failure());
        }
        let mut parts = Parts::start(self, urls, path, u64::MAX, fetched).await?;
        let all = 0..parts.fetched.total;
        parts.get(all).await.map_err(FetchError::into_failure)
    }
}

struct Parts<'a> {
    fetcher: &'a Fetcher,
    urls: &'a UrlSource,
    path: &'a Path,
    source: Source,
    asked_again: bool,
    file: File,
    max_bytes: u64,
    requests: u32,
    fetched: Fetched,
    sniffer: Sniffer,
}

impl<'a> Parts<'a> {
    async fn start(fetcher: &'a Fetcher, urls: &'a UrlSource, path: &'a Path, max_bytes: u64, fetched: Fetched) -> Result<Self, Failure> {
        let source = urls().await?;
        let opened = File::options().write(true).create(true).truncate(false).open(path).await;
        Ok(Self {
            fetcher,
            urls,
            path,
            source,
            asked_again: false,
            file: opened.map_err(|error| FetchError::from(error).into_failure())?,
            max_bytes,
            requests: 0,
            fetched,
            sniffer: Sniffer::default(),
        })
    }

    async fn until_enough(&mut self) -> Result<(), FetchError> {
        let mut wanted = 0..HEAD_BYTES;
        loop {
            self.get(wanted).await?;
            self.sniffer.end()?;
            wanted = match self.judge().await? {
                Verdict::Missing(range) => range,
                Verdict::Enough => return Ok(()),
                Verdict::NoMedia => {
                    self.fetched.is_no_media = true;
                    return Ok(());
                }
            };
        }
    }

    /// Reads what was fetched so far.
    async fn judge(&self) -> Result<Verdict, FetchError> {
        let (path, have, total) = (self.path.to_owned(), self.fetched.have.clone(), self.fetched.total);
        let judging = tokio::task::spawn_blocking(move || parts::judge(&path, &have, total));
        Ok(judging.await.map_err(std::io::Error::other)??)
    }

    /// Fetches what is missing in a range, as far as the file goes.
    async fn get(&mut self, range: Range<u64>) -> Result<(), FetchError> {
        let (mut tries, config) = (0, self.fetcher.config.clone());
        while let Some(gap) = self.gap(&range) {
            let before = self.fetched.spent;
            let Err(error) = self.ask(gap).await else { continue };
            if matches!(error, FetchError::Denied(_)) && !self.source.untrusted && !self.asked_again {
                self.asked_again = true;
                self.source = (self.urls)().await.map_err(|failure| FetchError::NoUrl(Box::new(failure)))?;
                continue;
            }
            if self.fetched.spent > before {
                (tries, self.asked_again) = (0, false);
            }
            tries += 1;
            if !error.is_retryable() || tries >= config.tries {
                return Err(error);
            }
            tracing::debug!(%error, "a part of the input was interrupted; trying again");
            sleep((config.first_pause * 2u32.saturating_pow(tries - 1)).min(LONGEST_PAUSE)).await;
        }
        Ok(())
    }

    /// The first part of a range that is not there; before the first answer nobody knows where the file ends.
    fn gap(&self, range: &Range<u64>) -> Option<Range<u64>> {
        let end = if self.fetched.known.is_some() {
            range.end.min(self.fetched.total)
        } else {
            range.end
        };
        self.fetched.have.missing(range.start..end).into_iter().next()
    }

    async fn ask(&mut self, gap: Range<u64>) -> Result<(), FetchError> {
        let bytes = gap.end - gap.start;
        self.requests += 1;
        if self.requests > MAX_REQUESTS || self.fetched.spent.saturating_add(bytes) > self.max_bytes {
            return Err(FetchError::TooMuchToProbe(self.max_bytes));
        }
        let config = &self.fetcher.config;
        let asking = self
            .fetcher
            .http
            .get(&self.source, Span::Between(gap.clone()), self.fetched.known.as_ref());
        let response = timeout(config.connect_timeout + config.stall_timeout, asking)
            .await
            .map_err(|_| FetchError::Interrupted("the server does not answer".into()))??;
        let answer = Answer::read(response.status(), response.headers());
        resume::unless_changed(self.fetched.known.as_ref(), &answer)?;
        sniff::check_type(response.headers().get(CONTENT_TYPE), response.url().path())?;
        let total = answer.identity.total;
        match answer.status {
            StatusCode::PARTIAL_CONTENT if answer.range_start == Some(gap.start) => {
                let total = total.ok_or_else(|| FetchError::Interrupted("the server does not tell how long the input is".into()))?;
                self.know(answer.identity, total).await?;
                self.read(response, gap).await
            }
            StatusCode::OK => self.read_from_start(response, answer.identity, gap).await,
            StatusCode::RANGE_NOT_SATISFIABLE if gap.start == 0 => Err(FetchError::Empty),
            _ => Err(resume::refusal(&answer)),
        }
    }

    async fn know(&mut self, identity: Identity, total: u64) -> Result<(), FetchError> {
        if self.fetched.known.is_none() {
            self.fetched.known = Some(identity);
            self.fetched.total = total;
            self.file.set_len(total).await?;
        }
        Ok(())
    }

    /// The server answers no ranges. A file that may be fetched whole is, since each further question would begin anew.
    async fn read_from_start(&mut self, response: Response, identity: Identity, gap: Range<u64>) -> Result<(), FetchError> {
        let Some(total) = identity.total else {
            let read = self.read(response, 0..self.max_bytes).await;
            let total = self.fetched.have.missing(0..u64::MAX).first().map_or(0, |gap| gap.start);
            if total >= self.max_bytes {
                return Err(FetchError::TooMuchToProbe(self.max_bytes));
            }
            self.know(identity, total).await?;
            return read;
        };
        self.know(identity, total).await?;
        let whole = self.fetched.spent.saturating_add(total) <= self.max_bytes;
        let end = if whole { total } else { gap.end.min(total) };
        if self.fetched.spent.saturating_add(end) > self.max_bytes {
            return Err(FetchError::TooMuchToProbe(self.max_bytes));
        }
        self.read(response, 0..end).await
    }

    /// Writes a body that begins where the range does, up to the range's end.
    async fn read(&mut self, mut response: Response, range: Range<u64>) -> Result<(), FetchError> {
        let mut at = range.start;
        self.file.seek(SeekFrom::Start(at)).await?;
        while at < range.end {
            let chunk = match timeout(self.fetcher.config.stall_timeout, response.chunk()).await {
                Err(_) => return Err(FetchError::Interrupted("the server sends nothing more".into())),
                Ok(Err(error)) => return Err(http::error_of(&error)),
                Ok(Ok(None)) => break,
                Ok(Ok(Some(chunk))) => chunk,
            };
            let wanted = usize::try_from(range.end - at).unwrap_or(usize::MAX);
            let chunk = chunk.get(..wanted.min(chunk.len())).unwrap_or_default();
            if at == 0 {
                self.sniffer = Sniffer::default();
            }
            if range.start == 0 {
                self.sniffer.look(chunk)?;
            }
            self.file.write_all(chunk).await?;
            let end = at + chunk.len() as u64;
            self.fetched.have.add(at..end);
            self.fetched.spent += chunk.len() as u64;
            at = end;
        }
        // What is read from the file next must be in it.
        self.file.flush().await?;
        Ok(())
    }
}
