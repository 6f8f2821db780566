//! The segments of one rendition, fetched ahead of their use.

use std::{collections::VecDeque, path::PathBuf, sync::Arc};

use mps_media::failure;
use mps_proto::{v1::ErrorReason, worker::v1::Failure};
use tokio::task::JoinSet;

use super::{
    address::Address,
    document::{Entry, Piece},
    downloads::{Downloads, Place},
    refuse,
    signer::Signer,
};
use crate::join::Segment;

/// Segments that are fetched before they are needed.
const AHEAD: usize = 3;

/// A segment: where it is, and what stands in front of it.
#[derive(Debug, Clone)]
pub struct Member {
    place: Place,
    init: Option<Place>,
    pub begins_run: bool,
    /// For messages.
    name: String,
}

/// What playlists name, resolved against their own place; the keys of the storage are told to the signer.
pub fn members(entries: &[Entry], list: &Address, signer: &mut Signer) -> Result<Vec<Member>, Failure> {
    let mut members = Vec::with_capacity(entries.len());
    for (number, entry) in entries.iter().enumerate() {
        let init = match &entry.init {
            Some(piece) => Some(place(piece, list, signer)?),
            None => None,
        };
        let place = place(&entry.piece, list, signer)?;
        members.push(Member {
            name: format!("segment {} ({})", number + 1, place.address.name()),
            place,
            init,
            begins_run: number == 0 || entry.discontinuity,
        });
    }
    Ok(members)
}

fn place(piece: &Piece, list: &Address, signer: &mut Signer) -> Result<Place, Failure> {
    let mut member = |uri: &str| {
        let address = list.member(uri)?;
        if let Address::Key(key) = &address {
            signer.expect(key);
        }
        Ok(address)
    };
    let key = match &piece.key {
        Some(key) => Some((member(&key.uri)?, key.iv)),
        None => None,
    };
    Ok(Place {
        address: member(&piece.uri)?,
        span: piece.span,
        key,
    })
}

/// A segment that is on its way. Dropping it ends the transfer.
struct Coming {
    member: Member,
    transfer: JoinSet<Result<PathBuf, Failure>>,
}

/// The segments of a rendition in order.
pub struct Feed {
    downloads: Arc<Downloads>,
    waiting: VecDeque<Member>,
    coming: VecDeque<Coming>,
    init: Option<(Place, PathBuf)>,
    /// File of the segment that was given last.
    given: Option<PathBuf>,
    name: String,
}

impl Feed {
    pub fn new(downloads: Arc<Downloads>, members: Vec<Member>) -> Self {
        let mut feed = Self {
            downloads,
            waiting: members.into(),
            coming: VecDeque::new(),
            init: None,
            given: None,
            name: String::new(),
        };
        feed.fetch_ahead();
        feed
    }

    /// The name of the segment that was given last, for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether another segment of the same run comes.
    pub fn run_goes_on(&self) -> bool {
        self.coming.front().is_some_and(|coming| !coming.member.begins_run)
    }

    pub fn is_empty(&self) -> bool {
        self.coming.is_empty()
    }

    /// The next segment; the file of the one before goes.
    pub async fn next(&mut self) -> Result<Option<Segment>, Failure> {
        self.forget();
        let Some(mut coming) = self.coming.pop_front() else {
            return Ok(None);
        };
        self.fetch_ahead();
        let named = |failure| refuse::named(failure, &coming.member.name);
        let path = match coming.transfer.join_next().await {
            Some(Ok(fetched)) => fetched.map_err(named)?,
            _ => {
                let failure = failure::node(ErrorReason::Internal, "its transfer failed inside", "see the worker's log");
                return Err(named(failure));
            }
        };
        let init = match &coming.member.init {
            Some(place) => Some(
                self.section(place)
                    .await
                    .map_err(|failure| refuse::named(failure, &format!("the section in front of {}", coming.member.name)))?,
            ),
            None => None,
        };
        self.name.clone_from(&coming.member.name);
        self.given = Some(path.clone());
        Ok(Some(Segment {
            path,
            init,
            position: coming.member.place.span.map_or(0, |span| span.start),
            begins_run: coming.member.begins_run,
        }))
    }

    /// Removes the file of the segment that was given last: it is written.
    pub fn forget(&mut self) {
        if let Some(path) = self.given.take() {
            let _the_folder_goes_anyway = std::fs::remove_file(path);
        }
    }

    async fn section(&mut self, place: &Place) -> Result<PathBuf, Failure> {
        if let Some((known, path)) = &self.init
            && known == place
        {
            return Ok(path.clone());
        }
        let path = self.downloads.clone().section(place.clone()).await?;
        self.init = Some((place.clone(), path.clone()));
        Ok(path)
    }

    fn fetch_ahead(&mut self) {
        while self.coming.len() < AHEAD
            && let Some(member) = self.waiting.pop_front()
        {
            let mut transfer = JoinSet::new();
            transfer.spawn(self.downloads.clone().segment(member.place.clone()));
            self.coming.push_back(Coming { member, transfer });
        }
    }
}
