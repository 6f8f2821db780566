//! Joins the segments of a playlist into one file that demuxers read as any other: one clock over all discontinuities, and renditions of sound
//! beside their film. Reads and writes local files; knows nothing of playlists and addresses.

mod adts;
mod error;
mod kind;
mod mp4;
mod packed;
mod place;
mod ts;

use std::path::{Path, PathBuf};

pub use self::{error::JoinError, kind::Kind};
use self::{mp4::Mp4Join, packed::PackedJoin, ts::TsJoin};

/// What is taken of a rendition's streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Take {
    /// Film and sound.
    All,
    /// Film alone: its sound comes from other renditions.
    Film,
    /// The first track of sound.
    Sound,
}

/// A rendition that is joined.
#[derive(Debug, Clone)]
pub struct Rendition {
    pub take: Take,
    /// ISO 639-2, three letters; empty where it is not known. Only of sound that is taken alone.
    pub language: String,
}

/// A segment that has arrived.
#[derive(Debug, Clone)]
pub struct Segment {
    pub path: PathBuf,
    /// What is in front of the media: the boxes of MP4, the tables of a transport stream.
    pub init: Option<PathBuf>,
    /// Where the segment begins in the file that it is a part of, in bytes.
    pub position: u64,
    /// Whether it is its rendition's first behind a discontinuity, or the first of all.
    pub begins_run: bool,
}

/// A file that grows by segments. Each run of segments is written for all renditions before the next one begins.
pub trait Join: Send {
    /// Takes the next segment of a rendition. A run begins when each rendition has its first segment.
    fn open(&mut self, rendition: usize, segment: &Segment) -> Result<(), JoinError>;

    /// The rendition has no more segments in this run.
    fn end_run(&mut self, rendition: usize);

    /// Writes in order of time, until a rendition needs its next segment; `None`: all of the run is written.
    fn write(&mut self) -> Result<Option<usize>, JoinError>;

    /// All runs are written.
    fn finish(&mut self) -> Result<(), JoinError>;
}

/// Begins a joined file for renditions, the film's first, whose kinds are those of their first segments; gives its path.
pub fn create(folder: &Path, renditions: Vec<(Rendition, Kind)>) -> Result<(Box<dyn Join>, PathBuf), JoinError> {
    let kinds: Vec<Kind> = renditions.iter().map(|(_, kind)| *kind).collect();
    let of_ts = |kind: &Kind| matches!(kind, Kind::Ts | Kind::PackedAac);
    match kinds.as_slice() {
        [Kind::PackedAac | Kind::Packed(_)] => {
            let path = folder.join(format!("input.{}", kinds.first().map_or("", |kind| kind.suffix())));
            Ok((Box::new(PackedJoin::create(&path)?), path))
        }
        [Kind::Ts, others @ ..] if others.iter().all(of_ts) => {
            let path = folder.join("input.ts");
            Ok((Box::new(TsJoin::create(&path, renditions)?), path))
        }
        [Kind::Mp4, others @ ..] if others.iter().all(|kind| *kind == Kind::Mp4) => {
            let path = folder.join("input.mp4");
            Ok((Box::new(Mp4Join::create(&path, renditions)?), path))
        }
        _ => Err(mixed(&kinds)),
    }
}

fn mixed(kinds: &[Kind]) -> JoinError {
    let names: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
    JoinError::unsupported(
        format!(
            "the playlist's renditions have segments that cannot be joined: {}",
            names.join(", ")
        ),
        "give renditions of one kind: all transport streams, or all fragmented MP4",
    )
}

/// A clock that begins anew in one of several renditions: nothing tells where it does in the others.
fn unmarked() -> JoinError {
    JoinError::unsupported(
        "the clock of a rendition begins anew where the playlist marks no discontinuity",
        "mark it in all renditions with EXT-X-DISCONTINUITY",
    )
}

/// What is named as a rendition of sound and is none: left out, it would be missed without a word.
fn without_sound() -> JoinError {
    JoinError::damaged("the segments of a rendition of sound hold no sound")
}

#[cfg(test)]
mod tests;
