//! Fetches a unit's input into its folder: resumed where it was cut, refused where it changed, bounded in time and size. Probes fetch parts.

mod error;
mod guard;
mod http;
mod parts;
mod playlist;
mod resume;
mod sniff;

use std::{io::SeekFrom, path::Path, time::Duration};

use futures::future::BoxFuture;
use mps_proto::worker::v1::Failure;
use reqwest::{Response, header::CONTENT_TYPE};
use tokio::{
    fs::File,
    io::{AsyncSeekExt, AsyncWriteExt, BufWriter},
    time::{Instant, sleep, timeout},
};
use url::Url;

use self::{
    error::FetchError,
    http::Ask,
    playlist::Part,
    resume::{Answer, Identity, Place},
    sniff::{List, Sniffer},
};
pub use self::{
    http::{Http, Source},
    parts::Fetched,
    playlist::{Bounds, Joined, Origin, fetch as fetch_playlist},
};
use crate::config::FetchConfig;

const BUFFER: usize = 1 << 20;
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Gives the input's URL; asked once more when the first is denied, since presigned URLs end.
pub type UrlSource = dyn Fn() -> BoxFuture<'static, Result<Source, Failure>> + Send + Sync;

/// How many bytes a file may have.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// What is free on the disk.
    pub free: u64,
    /// What the plan allows.
    pub most: u64,
}

impl Room {
    fn check(self, bytes: u64) -> Result<(), FetchError> {
        if bytes > self.most {
            return Err(FetchError::TooLarge(self.most));
        }
        if bytes > self.free {
            return Err(FetchError::DiskFull);
        }
        Ok(())
    }
}

/// What is fetched.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted {
    /// A part of the file; unset: all of it.
    pub part: Option<Part>,
    /// Whether it may be a playlist.
    pub may_be_list: bool,
}

/// What has arrived.
#[derive(Debug, Clone)]
pub struct Arrived {
    pub length: u64,
    /// Where it came from, behind all redirects.
    pub url: Option<Url>,
    pub identity: Identity,
}

/// A file, or that it is a playlist.
#[derive(Debug)]
pub enum Input {
    File(u64),
    Playlist,
}

/// Fetches inputs.
#[derive(Clone)]
pub struct Fetcher {
    pub http: Http,
    pub config: FetchConfig,
}

impl Fetcher {
    /// Fetches a file into `path`, at most `room` bytes; gives its length.
    pub async fn fetch(&self, urls: &UrlSource, path: &Path, room: Room) -> Result<u64, Failure> {
        let arrived = self.transfer(urls, path, room, Wanted::default()).await;
        arrived.map(|arrived| arrived.length).map_err(FetchError::into_failure)
    }

    /// As `fetch`, but an HLS playlist is none of the failures.
    pub async fn fetch_input(&self, urls: &UrlSource, path: &Path, room: Room) -> Result<Input, Failure> {
        match self.transfer(urls, path, room, Wanted::default()).await {
            Ok(arrived) => Ok(Input::File(arrived.length)),
            Err(FetchError::Playlist(List::Hls)) => Ok(Input::Playlist),
            Err(error) => Err(error.into_failure()),
        }
    }

    /// Fetches a file or a part of one into `path`.
    pub async fn fetch_part(&self, urls: &UrlSource, path: &Path, room: Room, wanted: Wanted) -> Result<Arrived, Failure> {
        self.transfer(urls, path, room, wanted).await.map_err(FetchError::into_failure)
    }

    async fn transfer(&self, urls: &UrlSource, path: &Path, room: Room, wanted: Wanted) -> Result<Arrived, FetchError> {
        let transfer = async {
            let source = urls().await.map_err(|failure| FetchError::NoUrl(Box::new(failure)))?;
            let mut transfer = Transfer::create(&self.config, path, room, wanted).await?;
            self.try_until_whole(urls, source, &mut transfer).await?;
            transfer.finish().await
        };
        let ended = timeout(self.config.deadline, transfer).await;
        ended.unwrap_or(Err(FetchError::Deadline(self.config.deadline)))
    }

    async fn try_until_whole(&self, urls: &UrlSource, mut source: Source, transfer: &mut Transfer<'_>) -> Result<(), FetchError> {
        let (mut tries, mut asked_again) = (0, false);
        loop {
            let farthest = transfer.farthest;
            let Err(error) = self.try_once(&source, transfer).await else {
                return Ok(());
            };
            if matches!(error, FetchError::Denied(_)) && !source.untrusted && !asked_again {
                asked_again = true;
                source = urls().await.map_err(|failure| FetchError::NoUrl(Box::new(failure)))?;
                continue;
            }
            if transfer.farthest > farthest {
                // A URL that has served may run out again.
                (tries, asked_again) = (0, false);
            }
            tries += 1;
            if !error.is_retryable() || tries >= self.config.tries {
                return Err(error);
            }
            tracing::debug!(%error, offset = transfer.offset, "the input was interrupted; trying again");
            sleep((self.config.first_pause * 2u32.saturating_pow(tries - 1)).min(LONGEST_PAUSE)).await;
        }
    }

    async fn try_once(&self, source: &Source, transfer: &mut Transfer<'_>) -> Result<(), FetchError> {
        let offset = transfer.resume_offset();
        let ask = Ask {
            offset,
            part: transfer.wanted.part,
        };
        let asking = self.http.get(source, ask.span(), transfer.known.as_ref());
        let response = timeout(self.config.connect_timeout + self.config.stall_timeout, asking)
            .await
            .map_err(|_| FetchError::Interrupted("the server does not answer".into()))??;
        transfer.take(ask, response).await
    }
}

/// What has arrived so far.
struct Transfer<'a> {
    config: &'a FetchConfig,
    file: BufWriter<File>,
    offset: u64,
    /// Most that ever arrived; a try that starts again from the beginning brings something new only beyond it.
    farthest: u64,
    room: Room,
    wanted: Wanted,
    known: Option<Identity>,
    url: Option<Url>,
    sniffer: Sniffer,
    rate: Rate,
}

impl<'a> Transfer<'a> {
    async fn create(config: &'a FetchConfig, path: &Path, room: Room, wanted: Wanted) -> Result<Self, FetchError> {
        Ok(Self {
            config,
            file: BufWriter::with_capacity(BUFFER, File::create(path).await?),
            offset: 0,
            farthest: 0,
            room,
            wanted,
            known: None,
            url: None,
            sniffer: Sniffer::default(),
            rate: Rate::default(),
        })
    }

    /// A version that cannot be recognised again is read from its beginning.
    fn resume_offset(&self) -> u64 {
        match &self.known {
            Some(known) if known.can_be_checked() => self.offset,
            _ => 0,
        }
    }

    /// Writes the body of an answer to where it belongs.
    async fn take(&mut self, ask: Ask, response: Response) -> Result<(), FetchError> {
        let answer = Answer::read(response.status(), response.headers());
        match resume::place(ask, self.known.as_ref(), &answer)? {
            Place::Complete => return Ok(()),
            Place::Append => {}
            Place::Start => self.start_again().await?,
        }
        if !self.wanted.may_be_list {
            sniff::check_type(response.headers().get(CONTENT_TYPE), response.url().path())?;
        }
        self.url = Some(response.url().clone());
        let total = self.known.get_or_insert(answer.identity).total;
        let expected = self.wanted.part.map(|part| part.length).or(total);
        if let Some(expected) = expected {
            self.room.check(expected)?;
        }
        self.read_body(response).await?;
        match expected {
            Some(expected) if expected > self.offset => Err(FetchError::Interrupted(format!(
                "it ended after {} of {expected} bytes",
                self.offset
            ))),
            Some(expected) if expected < self.offset => Err(FetchError::Changed("length")),
            _ => Ok(()),
        }
    }

    async fn start_again(&mut self) -> Result<(), FetchError> {
        if self.offset > 0 {
            self.file.flush().await?;
            self.file.get_mut().set_len(0).await?;
            self.file.seek(SeekFrom::Start(0)).await?;
            self.offset = 0;
            self.sniffer = Sniffer::default();
        }
        Ok(())
    }

    async fn read_body(&mut self, mut response: Response) -> Result<(), FetchError> {
        loop {
            let asked = Instant::now();
            let chunk = match timeout(self.config.stall_timeout, response.chunk()).await {
                Err(_) => return Err(FetchError::Interrupted("the server sends nothing more".into())),
                Ok(Err(error)) => return Err(http::error_of(&error)),
                Ok(Ok(None)) => return Ok(()),
                Ok(Ok(Some(chunk))) => chunk,
            };
            let waited = asked.elapsed();
            if !self.wanted.may_be_list {
                self.sniffer.look(&chunk)?;
            }
            self.file.write_all(&chunk).await?;
            self.offset += chunk.len() as u64;
            self.farthest = self.farthest.max(self.offset);
            self.room.check(self.offset)?;
            self.rate.count(chunk.len() as u64, waited, self.config)?;
        }
    }

    async fn finish(mut self) -> Result<Arrived, FetchError> {
        self.file.flush().await?;
        if self.offset == 0 {
            return Err(FetchError::Empty);
        }
        if !self.wanted.may_be_list {
            self.sniffer.end()?;
        }
        Ok(Arrived {
            length: self.offset,
            url: self.url,
            identity: self.known.unwrap_or_default(),
        })
    }
}

/// Bytes per second over windows of time spent on waiting for the server, over all tries.
#[derive(Default)]
struct Rate {
    bytes: u64,
    waited: Duration,
}

impl Rate {
    fn count(&mut self, bytes: u64, waited: Duration, config: &FetchConfig) -> Result<(), FetchError> {
        self.bytes += bytes;
        self.waited += waited;
        if self.waited < config.rate_window {
            return Ok(());
        }
        if (self.bytes as f64) < config.min_bytes_per_second as f64 * self.waited.as_secs_f64() {
            return Err(FetchError::TooSlow(config.min_bytes_per_second));
        }
        *self = Self::default();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
