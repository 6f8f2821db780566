//! Inputs that are HLS playlists: their segments are fetched one after the other and joined into one file, which the child reads as any other.
//!
//! Taken are playlists of whole media (VOD): transport streams, fragmented MP4 and packed sound; byte ranges, AES-128, discontinuities; of a master
//! the best variant with its sounds. Everything else is refused by name.

mod address;
mod choose;
mod decrypt;
mod document;
mod downloads;
mod feed;
mod read;
pub mod refuse;
mod signer;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use mps_media::rules::language;
use mps_proto::worker::v1::Failure;
use tokio::{task::spawn_blocking, time::timeout};
use url::Url;

use self::{
    address::Address,
    document::{Document, Media},
    downloads::Downloads,
    feed::Feed,
    signer::Signer,
};
pub use self::{document::Part, signer::Sign};
use super::{Fetcher, error::FetchError};
use crate::join::{self, Join, JoinError, Kind, Rendition, Segment, Take};

/// Most sounds beside a film.
const MOST_SOUNDS: usize = 16;
/// Seconds of media that a probe looks at, and segments.
const SAMPLE_SECONDS: f64 = 2.0;
const SAMPLE_SEGMENTS: usize = 3;

/// Where a playlist lies, and how its members are reached.
#[derive(Clone)]
pub struct Origin {
    /// Its URL as the server gives it; where it lies in a storage, a presigned one.
    pub url: String,
    /// Its key, where it lies in a storage.
    pub key: Option<String>,
    /// Whether private addresses are allowed.
    pub allow_private: bool,
    /// Presigns keys of its storage.
    pub sign: Arc<Sign>,
}

/// What may be fetched, and where to.
pub struct Bounds<'a> {
    pub folder: &'a Path,
    /// Bytes that are free on the disk.
    pub free: Arc<dyn Fn() -> u64 + Send + Sync>,
    /// Longest media in seconds; 0: not bounded.
    pub most_seconds: f64,
    /// Only the beginning is wanted.
    pub sample: bool,
}

/// A playlist that was joined.
#[derive(Debug, Clone, PartialEq)]
pub struct Joined {
    pub path: PathBuf,
    /// Length by the playlist, in seconds.
    pub seconds: f64,
    /// Whether only its beginning is there.
    pub is_sample: bool,
}

/// Fetches a playlist's media into one file.
pub async fn fetch(fetcher: &Fetcher, origin: Origin, bounds: Bounds<'_>) -> Result<Joined, Failure> {
    let deadline = fetcher.config.deadline;
    let all = Box::pin(fetch_all(fetcher, origin, &bounds));
    let ended = timeout(deadline, all).await;
    ended.unwrap_or_else(|_| Err(FetchError::Deadline(deadline).into_failure()))
}

async fn fetch_all(fetcher: &Fetcher, origin: Origin, bounds: &Bounds<'_>) -> Result<Joined, Failure> {
    let downloads = |signer| {
        Arc::new(Downloads::new(
            fetcher.clone(),
            signer,
            origin.allow_private,
            bounds.folder,
            bounds.free.clone(),
        ))
    };
    let lists = read_lists(&origin, &downloads(Signer::new(origin.sign.clone()))).await?;
    check(&lists, bounds)?;
    let seconds = lists.iter().map(|list| list.media.seconds()).fold(0.0, f64::max);
    let mut signer = Signer::new(origin.sign.clone());
    let mut lines = Vec::new();
    for list in lists {
        let mut members = feed::members(&list.media.segments, &list.address, &mut signer)?;
        if bounds.sample {
            members.truncate(sample(&list.media));
        }
        lines.push((list.rendition, members));
    }
    let downloads = downloads(signer);
    let feeds = lines
        .into_iter()
        .map(|(rendition, members)| (rendition, Feed::new(downloads.clone(), members)));
    Ok(Joined {
        path: join_all(bounds.folder, feeds.collect()).await?,
        seconds,
        is_sample: bounds.sample,
    })
}

/// A playlist of segments.
struct List {
    media: Media,
    address: Address,
    rendition: Rendition,
}

/// Reads the playlist, and where it is a master, those of the variant that is read and of its sounds.
async fn read_lists(origin: &Origin, downloads: &Arc<Downloads>) -> Result<Vec<List>, Failure> {
    let first = match &origin.key {
        Some(key) => Address::Key(key.clone()),
        None => Address::Url(Url::parse(&origin.url).map_err(|error| refuse::forbidden(format!("the URL is malformed: {error}")))?),
    };
    let (text, address) = downloads.clone().list(&first).await?;
    let master = match read::read(&text)? {
        Document::Media(media) => {
            return Ok(vec![List {
                media,
                address,
                rendition: rendition(Take::All, ""),
            }]);
        }
        Document::Master(master) => master,
    };
    let choice = choose::choose(&master).ok_or_else(|| refuse::not_media("the playlist names no variants"))?;
    if choice.sounds.len() > MOST_SOUNDS {
        return Err(refuse::too_many("sounds", MOST_SOUNDS));
    }
    let mut lists = vec![read_media(downloads, &address, &choice.variant.uri, rendition(choice.take, "")).await?];
    for (uri, language) in choice.sounds {
        lists.push(read_media(downloads, &address, uri, rendition(Take::Sound, language)).await?);
    }
    Ok(lists)
}

fn rendition(take: Take, language: &str) -> Rendition {
    Rendition {
        take,
        language: language::three_letters(language).unwrap_or_default(),
    }
}

async fn read_media(downloads: &Arc<Downloads>, master: &Address, uri: &str, rendition: Rendition) -> Result<List, Failure> {
    let address = master.member(uri)?;
    let name = format!("playlist {}", address.name());
    let named = |failure| refuse::named(failure, &name);
    let (text, address) = downloads.clone().list(&address).await.map_err(named)?;
    match read::read(&text).map_err(named)? {
        Document::Media(media) => Ok(List { media, address, rendition }),
        Document::Master(_) => Err(named(refuse::unsupported(
            "it names playlists again, where one of segments is expected",
            "give a master playlist whose variants are playlists of segments",
        ))),
    }
}

/// What can be known to be too much, or not to fit together, before anything is fetched.
fn check(lists: &[List], bounds: &Bounds) -> Result<(), Failure> {
    let count: usize = lists.iter().map(|list| list.media.segments.len()).sum();
    if count > read::MOST_SEGMENTS {
        return Err(refuse::too_many("segments", read::MOST_SEGMENTS));
    }
    let seconds = lists.iter().map(|list| list.media.seconds()).fold(0.0, f64::max);
    if bounds.most_seconds > 0.0 && seconds > bounds.most_seconds {
        return Err(refuse::too_long(seconds, bounds.most_seconds));
    }
    let runs = lists.first().map_or(1, |list| list.media.runs());
    match lists.iter().find(|list| list.media.runs() != runs) {
        None => Ok(()),
        Some(other) => Err(refuse::unsupported(
            format!(
                "a rendition of sound has {} discontinuities and its film {}: nothing tells which belong together",
                other.media.runs() - 1,
                runs - 1
            ),
            "mark the same discontinuities in all renditions with EXT-X-DISCONTINUITY",
        )),
    }
}

/// How many segments a probe looks at.
fn sample(media: &Media) -> usize {
    let mut seconds = 0.0;
    let enough = |(number, entry): &(usize, &document::Entry)| {
        let is_enough = *number > 0 && (seconds >= SAMPLE_SECONDS || entry.discontinuity || *number >= SAMPLE_SEGMENTS);
        seconds += entry.seconds;
        is_enough
    };
    media
        .segments
        .iter()
        .enumerate()
        .find(enough)
        .map_or(media.segments.len(), |(number, _)| number)
}

/// Joins the segments of all renditions, run by run; gives the file.
async fn join_all(folder: &Path, renditions: Vec<(Rendition, Feed)>) -> Result<PathBuf, Failure> {
    let (mut feeds, mut first, mut kinds) = (Vec::new(), Vec::new(), Vec::new());
    for (rendition, mut feed) in renditions {
        let segment = feed.next().await?;
        let segment = segment.ok_or_else(|| refuse::not_media("the playlist names no segments"))?;
        let kind = Kind::of(&segment.path).map_err(|error| refuse::named(error.into_failure(), feed.name()))?;
        kinds.push((rendition, kind));
        first.push(Some(segment));
        feeds.push(feed);
    }
    let (join, path) = join::create(folder, kinds).map_err(JoinError::into_failure)?;
    let mut joining = Joining(Some(join));
    loop {
        for (number, feed) in feeds.iter_mut().enumerate() {
            let segment = match first.get_mut(number).and_then(Option::take) {
                Some(segment) => Some(segment),
                None => feed.next().await?,
            };
            if let Some(segment) = segment {
                joining.open(number, segment, feed).await?;
            }
        }
        joining.run(&mut feeds).await?;
        if feeds.iter().all(Feed::is_empty) {
            break;
        }
    }
    joining.step(|join| join.finish()).await.map_err(JoinError::into_failure)?;
    Ok(path)
}

/// A joined file that is written by threads that may block.
struct Joining(Option<Box<dyn Join>>);

impl Joining {
    /// Writes a run whose first segments are open.
    async fn run(&mut self, feeds: &mut [Feed]) -> Result<(), Failure> {
        let failed = |error: JoinError, feeds: &[Feed]| {
            let names: Vec<&str> = feeds.iter().map(Feed::name).collect();
            refuse::named(error.into_failure(), &names.join(", "))
        };
        while let Some(number) = self.step(|join| join.write()).await.map_err(|error| failed(error, feeds))? {
            let Some(feed) = feeds.get_mut(number) else { continue };
            match feed.run_goes_on() {
                true => {
                    if let Some(segment) = feed.next().await? {
                        self.open(number, segment, feed).await?;
                    }
                }
                false => {
                    feed.forget();
                    self.step(move |join| {
                        join.end_run(number);
                        Ok(())
                    })
                    .await
                    .map_err(JoinError::into_failure)?;
                }
            }
        }
        Ok(())
    }

    async fn open(&mut self, number: usize, segment: Segment, feed: &Feed) -> Result<(), Failure> {
        let opened = self.step(move |join| join.open(number, &segment)).await;
        opened.map_err(|error| refuse::named(error.into_failure(), feed.name()))
    }

    async fn step<T: Send + 'static>(
        &mut self,
        step: impl FnOnce(&mut Box<dyn Join>) -> Result<T, JoinError> + Send + 'static,
    ) -> Result<T, JoinError> {
        let gone = || JoinError::Disk(std::io::Error::other("the joining thread failed inside"));
        let mut join = self.0.take().ok_or_else(gone)?;
        let stepped = spawn_blocking(move || {
            let done = step(&mut join);
            (join, done)
        });
        let (join, done) = stepped.await.map_err(|_| gone())?;
        self.0 = Some(join);
        done
    }
}

#[cfg(test)]
mod tests;
