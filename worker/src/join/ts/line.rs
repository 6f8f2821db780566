//! One rendition on its way into a joined transport stream, whatever its segments are.

use std::path::{Path, PathBuf};

use super::{
    packed::{self, Packed},
    packet::Packet,
    source::{Chunk, Looked, Source},
    tables::{Entry, Program},
    track::Track,
};
use crate::join::{JoinError, Kind, Rendition};

/// A clock that goes ahead or back by more between two segments has begun anew, whatever the playlist says.
const LARGEST_AHEAD: i64 = 10 * 90_000;
const LARGEST_BACK: i64 = 9_000;

/// One rendition.
pub struct Line {
    pub rendition: Rendition,
    pub media: Media,
    /// The next chunk.
    pub head: Option<Chunk>,
    /// The segment that a run begins with.
    pub first: Option<(PathBuf, Vec<Packet>)>,
    /// Whether the run has no more segments of it.
    pub ended: bool,
}

pub enum Media {
    Stream(Box<Source>),
    Packed(Packed),
}

impl Line {
    pub fn new(rendition: Rendition, kind: Kind) -> Self {
        Self {
            media: match kind {
                Kind::PackedAac => Media::Packed(Packed::default()),
                _ => Media::Stream(Box::new(Source::new(rendition.take))),
            },
            rendition,
            head: None,
            first: None,
            ended: false,
        }
    }

    /// Whether the clock begins anew with a segment.
    pub fn jumps(&self, path: &Path) -> Result<bool, JoinError> {
        let Media::Stream(source) = &self.media else { return Ok(false) };
        let step = source.step_to(path)?.unwrap_or_default();
        Ok(!(-LARGEST_BACK..=LARGEST_AHEAD).contains(&step))
    }

    pub fn time(&self) -> i64 {
        self.head.as_ref().map_or(i64::MAX, |chunk| chunk.time)
    }

    pub fn look(&mut self, reference: &mut Option<i64>) -> Result<Looked, JoinError> {
        let Some((path, prefix)) = &self.first else {
            return Ok(Looked::default());
        };
        match &mut self.media {
            Media::Stream(source) => source.look(path, prefix, reference),
            Media::Packed(_) => {
                let start = Packed::look(path, reference)?;
                let entry = Entry {
                    stream_type: packed::STREAM_TYPE,
                    pid: 0,
                    descriptors: Vec::new(),
                };
                Ok(Looked {
                    program: Program {
                        descriptors: Vec::new(),
                        entries: vec![entry],
                    },
                    starts: vec![Some(start)],
                })
            }
        }
    }

    pub fn fill(&mut self, fills: Vec<(usize, u8)>) {
        match &mut self.media {
            Media::Stream(source) => source.fill(fills),
            Media::Packed(packed) => packed.fill(fills.first().map_or(usize::MAX, |(track, _)| *track)),
        }
    }

    pub fn tracks_of(&self, program: &Program) -> Result<Vec<usize>, JoinError> {
        match &self.media {
            Media::Stream(source) => source.tracks_of(program),
            Media::Packed(packed) => Ok(vec![packed.track()]),
        }
    }

    /// Opens the first segment of a run.
    pub fn begin_run(&mut self, reference: i64, tracks: &mut [Track]) -> Result<(), JoinError> {
        match &mut self.media {
            Media::Stream(source) => source.begin_run(reference, tracks),
            Media::Packed(packed) => packed.begin_run(reference, tracks),
        }
        match self.first.take() {
            Some((path, prefix)) => self.open(&path, &prefix, tracks),
            None => Ok(()),
        }
    }

    pub fn open(&mut self, path: &Path, prefix: &[Packet], tracks: &mut [Track]) -> Result<(), JoinError> {
        match &mut self.media {
            Media::Stream(source) => source.open(path, prefix, tracks),
            Media::Packed(packed) => packed.open(path),
        }
    }

    pub fn next(&mut self, tracks: &mut [Track], offset: i64) -> Result<Option<Chunk>, JoinError> {
        match &mut self.media {
            Media::Stream(source) => source.next(tracks, offset),
            Media::Packed(packed) => Ok(packed.next(tracks, offset)),
        }
    }
}
