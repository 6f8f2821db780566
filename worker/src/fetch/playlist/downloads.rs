//! Fetches playlists, keys and pieces of media, wherever they are: under the guards of every address, and a few at a time.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex as BlockingMutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use futures::future::BoxFuture;
use mps_media::failure;
use mps_proto::{v1::ErrorReason, worker::v1::Failure};
use tokio::{
    sync::{Mutex, Semaphore},
    task::spawn_blocking,
};

use super::{
    address::Address,
    decrypt::{self, DecryptError},
    document::Part,
    refuse,
    signer::Signer,
};
use crate::fetch::{Arrived, Fetcher, Room, Source, Wanted, resume::Identity};

/// Largest initialisation section: parameters and tables, without media.
const MOST_SECTION_BYTES: u64 = 4 << 20;
/// Largest playlist.
const MOST_LIST_BYTES: u64 = 16 << 20;
/// Bytes of a key.
const KEY_BYTES: u64 = 16;
const MOST_KEYS: usize = 1_000;
/// Files that are fetched at a time.
const AT_ONCE: usize = 4;

/// Fetches files of a playlist into a folder.
pub struct Downloads {
    fetcher: Fetcher,
    signer: Signer,
    allow_private: bool,
    folder: PathBuf,
    /// Bytes that are free on the disk.
    free: Arc<dyn Fn() -> u64 + Send + Sync>,
    turns: Semaphore,
    next_file: AtomicU64,
    keys: Mutex<HashMap<Address, [u8; 16]>>,
    /// Versions of files that parts were read of.
    versions: BlockingMutex<HashMap<Address, Identity>>,
}

/// A piece of media: where it is, and what opens it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub address: Address,
    pub span: Option<Part>,
    pub key: Option<(Address, [u8; 16])>,
}

impl Downloads {
    pub fn new(fetcher: Fetcher, signer: Signer, allow_private: bool, folder: &Path, free: Arc<dyn Fn() -> u64 + Send + Sync>) -> Self {
        Self {
            fetcher,
            signer,
            allow_private,
            folder: folder.to_owned(),
            free,
            turns: Semaphore::new(AT_ONCE),
            next_file: AtomicU64::new(0),
            keys: Mutex::default(),
            versions: BlockingMutex::default(),
        }
    }

    /// Fetches a section in front of segments, which is read into memory.
    pub async fn section(self: Arc<Self>, place: Place) -> Result<PathBuf, Failure> {
        self.piece(place, MOST_SECTION_BYTES).await
    }

    /// Fetches a segment.
    pub async fn segment(self: Arc<Self>, place: Place) -> Result<PathBuf, Failure> {
        self.piece(place, u64::MAX).await
    }

    /// Fetches a piece, opened; gives its file.
    async fn piece(self: Arc<Self>, place: Place, most: u64) -> Result<PathBuf, Failure> {
        let key = match &place.key {
            Some((address, iv)) => Some((self.clone().key(address).await?, *iv)),
            None => None,
        };
        let path = self.new_file();
        let arrived = self.clone().file(&place.address, place.span, &path, most).await?;
        self.same_version(&place, &arrived)?;
        if let Some((key, iv)) = key {
            let sealed = path.clone();
            let opened = spawn_blocking(move || decrypt::open(&sealed, key, iv)).await;
            opened.map_err(|_| inside())?.map_err(not_opened)?;
        }
        Ok(path)
    }

    /// Fetches a playlist; gives its text, and where it was found.
    pub async fn list(self: Arc<Self>, address: &Address) -> Result<(Vec<u8>, Address), Failure> {
        let path = self.new_file();
        let arrived = self.clone().file(address, None, &path, MOST_LIST_BYTES).await?;
        let found = match (address, arrived.url) {
            (Address::Url(_), Some(url)) => Address::Url(url),
            _ => address.clone(),
        };
        Ok((take_bytes(&path)?, found))
    }

    async fn key(self: Arc<Self>, address: &Address) -> Result<[u8; 16], Failure> {
        let mut keys = self.keys.lock().await;
        if let Some(key) = keys.get(address) {
            return Ok(*key);
        }
        if keys.len() >= MOST_KEYS {
            return Err(refuse::too_many("keys", MOST_KEYS));
        }
        let of_key = |failure| refuse::named(failure, "the key that EXT-X-KEY names");
        let path = self.new_file();
        self.clone().file(address, None, &path, KEY_BYTES).await.map_err(of_key)?;
        let bytes = take_bytes(&path)?;
        let key: [u8; 16] = bytes.as_slice().try_into().map_err(|_| {
            let message = format!("the key that EXT-X-KEY names has {} bytes, not 16", bytes.len());
            failure::data(ErrorReason::InputDamaged, message, "give the key of AES-128 itself, as 16 bytes")
        })?;
        keys.insert(address.clone(), key);
        Ok(key)
    }

    async fn file(self: Arc<Self>, address: &Address, span: Option<Part>, path: &Path, most: u64) -> Result<Arrived, Failure> {
        let _turn = self.turns.acquire().await.map_err(|_| inside())?;
        let (own, address, asked) = (self.clone(), address.clone(), Arc::new(AtomicBool::new(false)));
        let urls = move || -> BoxFuture<'static, Result<Source, Failure>> {
            let anew = asked.swap(true, Ordering::Relaxed);
            Box::pin(own.clone().source(address.clone(), anew))
        };
        let room = Room { free: (self.free)(), most };
        let wanted = Wanted {
            part: span,
            may_be_list: true,
        };
        self.fetcher.fetch_part(&urls, path, room, wanted).await
    }

    /// What the playlist names on the web is as little trusted as any URL of a user; what the server signs is its own.
    async fn source(self: Arc<Self>, address: Address, anew: bool) -> Result<Source, Failure> {
        let (url, untrusted) = match address {
            Address::Url(url) => (url.to_string(), true),
            Address::Key(key) => (self.signer.url(&key, anew).await?, false),
        };
        Ok(Source {
            url,
            untrusted,
            allow_private: self.allow_private,
        })
    }

    /// Parts of one file must be of one version.
    fn same_version(&self, place: &Place, arrived: &Arrived) -> Result<(), Failure> {
        if place.span.is_none() {
            return Ok(());
        }
        let mut versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        let known = versions.entry(place.address.clone()).or_insert_with(|| arrived.identity.clone());
        match known.difference(&arrived.identity) {
            None => Ok(()),
            Some(what) => Err(failure::data(
                ErrorReason::InputChanged,
                format!("the file changed while it was read: its {what} is another one"),
                "submit again when the input is no longer written to",
            )),
        }
    }

    fn new_file(&self) -> PathBuf {
        self.folder.join(format!("part{}", self.next_file.fetch_add(1, Ordering::Relaxed)))
    }
}

fn take_bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    let bytes = std::fs::read(path).map_err(|error| disk(&error))?;
    std::fs::remove_file(path).map_err(|error| disk(&error))?;
    Ok(bytes)
}

fn not_opened(error: DecryptError) -> Failure {
    match error {
        DecryptError::Disk(error) => disk(&error),
        error => failure::data(
            ErrorReason::InputDamaged,
            error.to_string(),
            "check that EXT-X-KEY names the key and the IV that the segment was encrypted with",
        ),
    }
}

fn disk(error: &std::io::Error) -> Failure {
    crate::fetch::error::FetchError::from(std::io::Error::new(error.kind(), error.to_string())).into_failure()
}

fn inside() -> Failure {
    failure::node(
        ErrorReason::Internal,
        "the fetch of a playlist failed inside",
        "see the worker's log",
    )
}
