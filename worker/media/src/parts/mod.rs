//! Which parts of a file tell what it contains: of an input that lies elsewhere a probe fetches these, and never the whole. No GStreamer.
//!
//! Each container has a function that reads what it needs, as far as it is there, and ends at the first bytes that are not: these are
//! fetched, and it is asked again. What demuxers of GStreamer read before they show the first packet of each stream was the measure.

mod chunks;
mod heads;
mod matroska;
mod mp4;
mod ranges;

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    ops::Range,
    path::Path,
};

pub use ranges::Ranges;

use crate::probe::{Look, PICTURES, recognize};

/// From the beginning: containers tell there what they hold, and streams show their first packets.
pub const HEAD_BYTES: u64 = 2 << 20;
/// At the end: indices, and time stamps that tell how long it lasts.
pub const TAIL_BYTES: u64 = 1 << 20;
/// Behind a header that was looked up: the next one is often near.
const AHEAD_BYTES: u64 = 64 << 10;
/// Where the packets of a stream begin.
const PACKET_BYTES: u64 = 256 << 10;
/// Largest index or list of tags that is fetched for itself.
const MAX_INDEX_BYTES: u64 = 32 << 20;

/// What is there of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Enough to tell what it contains.
    Enough,
    /// Its first bytes show that it is no media.
    NoMedia,
    /// These bytes are missing.
    Missing(Range<u64>),
}

/// Why a parser ends early.
enum Stop {
    Missing(Range<u64>),
    Unreadable(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Unreadable(error)
    }
}

/// Looks at a file of `total` bytes, of which those of `have` are in `path`.
pub fn judge(path: &Path, have: &Ranges, total: u64) -> io::Result<Verdict> {
    let mut parts = Parts {
        file: File::open(path)?,
        have,
        total,
    };
    match parts.judge() {
        Ok(verdict) => Ok(verdict),
        Err(Stop::Missing(range)) => Ok(Verdict::Missing(range)),
        Err(Stop::Unreadable(error)) => Err(error),
    }
}

/// A file of which parts are there.
struct Parts<'a> {
    file: File,
    have: &'a Ranges,
    total: u64,
}

impl Parts<'_> {
    fn judge(&mut self) -> Result<Verdict, Stop> {
        self.need(0..HEAD_BYTES)?;
        let head = self.read(0..HEAD_BYTES)?;
        let Look::Media(container) = recognize(&head) else {
            return match recognize(&head) {
                Look::Unknown => self.tail().map(|()| Verdict::Enough),
                _ => Ok(Verdict::NoMedia),
            };
        };
        match container {
            "mp4" => mp4::look(self)?,
            "matroska" | "webm" => matroska::look(self)?,
            "avi" => chunks::avi(self)?,
            "wav" => chunks::walk(self, chunks::Order::Little)?,
            "aiff" => chunks::walk(self, chunks::Order::Big)?,
            "mp3" | "aac" => heads::tagged(self, &head)?,
            "flac" => heads::flac(self, &head)?,
            "asf" => heads::asf(self, &head)?,
            // A packet of theirs is a whole picture.
            _ if PICTURES.contains(&container) => self.need(0..self.total)?,
            _ => self.tail()?,
        }
        Ok(Verdict::Enough)
    }

    /// Ends the search where these bytes are not there. What lies behind the end of the file is not needed.
    fn need(&self, range: Range<u64>) -> Result<(), Stop> {
        let range = range.start..range.end.min(self.total);
        match self.have.missing(range).into_iter().next() {
            Some(gap) => Err(Stop::Missing(gap)),
            None => Ok(()),
        }
    }

    fn tail(&self) -> Result<(), Stop> {
        self.need(self.total.saturating_sub(TAIL_BYTES)..self.total)
    }

    /// These bytes, fewer at the end of the file.
    fn read(&mut self, range: Range<u64>) -> Result<Vec<u8>, Stop> {
        self.need(range.clone())?;
        self.file.seek(SeekFrom::Start(range.start))?;
        let mut bytes = Vec::new();
        self.file
            .by_ref()
            .take(range.end.saturating_sub(range.start))
            .read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// A header of up to so many bytes; where it is not there, a little more is asked for.
    fn header(&mut self, at: u64, length: u64) -> Result<Vec<u8>, Stop> {
        let wanted = at..at.saturating_add(length);
        if self.have.contain(wanted.start..wanted.end.min(self.total)) {
            return self.read(wanted);
        }
        self.need(at..at.saturating_add(AHEAD_BYTES))?;
        self.read(wanted)
    }

    /// The beginning of a stream's packets, with at least the first one of them where its size is known.
    fn packets(&self, at: u64, first_bytes: u64) -> Result<(), Stop> {
        self.need(at..at.saturating_add(first_bytes.clamp(PACKET_BYTES, MAX_INDEX_BYTES)))
    }

    /// A whole index, unless it is too large to be one.
    fn index(&self, range: Range<u64>) -> Result<(), Stop> {
        if range.end.saturating_sub(range.start) > MAX_INDEX_BYTES {
            return Ok(());
        }
        self.need(range)
    }
}

#[cfg(test)]
mod tests;
