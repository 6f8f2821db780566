//! How long an input lasts by its own word.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
    time::Duration,
};

use super::plain_sound;
use crate::{
    parse::{flac, lengths, matroska, mp3},
    walk::{Until, Walk},
};

/// Bytes of a file's beginning that are looked at; tags stand in front of what tells the length.
const HEAD_BYTES: u64 = 1 << 20;
/// Containers that nowhere tell how long they last, of which GStreamer guesses it from the first packets.
const GUESSED: &[&str] = &["aac", "ac3", "amr", "h264", "hevc", "mpegvideo", "ape", ""];

/// What a file says of its length.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Told {
    /// Of the whole, and of its streams where each has its own.
    Length(Duration, Vec<Option<Duration>>),
    /// It could, and does not; its packets were counted.
    Counted(Duration),
    /// It could, and does not: what is known before its end is a guess.
    Open,
    /// Its demuxer knows.
    #[default]
    ByDemuxer,
}

impl Told {
    pub fn length(&self) -> Option<Duration> {
        match self {
            Self::Length(length, _) => Some(*length),
            _ => None,
        }
    }

    fn from(length: Option<Duration>) -> Self {
        length.map_or(Self::Open, |length| Self::Length(length, Vec::new()))
    }
}

/// Bytes of MP3 whose frames are counted, where the whole file is there and where its beginning is.
const COUNTED_BYTES: u64 = 256 << 20;
const COUNTED_PART_BYTES: u64 = HEAD_BYTES;

/// Reads what a file of a container's name says. `is_whole`: whether more than its beginning and its end is there.
pub fn read(path: &Path, container: &str, is_whole: bool) -> io::Result<Told> {
    if GUESSED.contains(&container) {
        return Ok(Told::Open);
    }
    let parse: fn(&[u8]) -> Told = match container {
        "wav" => |head| Told::from(lengths::wav(head)),
        "aiff" => |head| Told::from(lengths::aiff(head)),
        "flv" => |head| Told::from(lengths::flv(head)),
        "asf" => |head| Told::from(lengths::asf(head)),
        "flac" => return flac(path),
        "matroska" | "webm" => |head| Told::from(matroska::duration(head)),
        "avi" => avi,
        "caf" | "w64" => return Ok(Told::from(plain_sound::length(path, container)?)),
        "mp3" => return mp3(path, if is_whole { COUNTED_BYTES } else { COUNTED_PART_BYTES }),
        _ => return Ok(Told::ByDemuxer),
    };
    Ok(parse(&head(path)?))
}

/// By its encoder's header, or by its frames.
fn mp3(path: &Path, most_bytes: u64) -> io::Result<Told> {
    if let Some(length) = mp3::read(path)?.and_then(|header| header.duration()) {
        return Ok(Told::from(Some(length)));
    }
    let counted = mp3::count(path, most_bytes)?;
    Ok(counted.map_or(Told::Open, |counted| Told::Counted(counted.duration)))
}

/// By its header, or by its last frame.
fn flac(path: &Path) -> io::Result<Told> {
    if let Some(length) = lengths::flac(&head(path)?) {
        return Ok(Told::from(Some(length)));
    }
    let Some(info) = flac::read(path)? else { return Ok(Told::Open) };
    let samples = flac::samples_by_frames(path, &info)?.unwrap_or(0);
    Ok(match info.sample_rate_hz {
        rate if rate > 0 && samples > 0 => Told::Counted(Duration::from_secs_f64(samples as f64 / f64::from(rate))),
        _ => Told::Open,
    })
}

fn avi(head: &[u8]) -> Told {
    let streams = lengths::avi(head);
    match streams.iter().flatten().max() {
        Some(longest) => Told::Length(*longest, streams),
        None => Told::Open,
    }
}

/// RIFF chunks of a file that are looked at; each holds 1 GB or more.
const MOST_RIFFS: usize = 4096;

/// Whether an AVI has every chunk to its end, as its writer closed it. Headers of streams count packets that are not there: of no bytes, where
/// sound begins late.
pub fn is_whole_riff(path: &Path) -> io::Result<bool> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    let mut at = 0;
    for _ in 0..MOST_RIFFS {
        if at + 8 > size {
            return Ok(at > 0);
        }
        let mut head = [0; 8];
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(&mut head)?;
        let [name @ .., a, b, c, d] = head;
        let length = u64::from(u32::from_le_bytes([a, b, c, d]));
        let end = at + 8 + length;
        if name != *b"RIFF" || length == 0 || end > size {
            // Bytes of another kind behind the last one do not matter.
            return Ok(at > 0 && name != *b"RIFF");
        }
        at = end + end % 2;
    }
    Ok(false)
}

/// What is known of an input's length.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Length {
    pub measured: Option<Duration>,
    /// What the header promises; guesses are no promises.
    pub promised: Option<Duration>,
    /// Whether they count from the first packet, and not from the zero of the file's clock.
    pub from_first: bool,
}

impl Length {
    /// `counted`: by a transport stream's clock.
    pub fn of(container: &str, told: &Told, walk: &Walk, counted: Option<Duration>) -> Self {
        let promised = told.length();
        let (measured, from_first) = match (container, told) {
            ("mpegts", _) => (of_transport(walk.length().or(walk.duration), counted), true),
            ("mp3", Told::Length(..)) => (promised, true),
            (_, Told::Counted(counted)) => (Some(*counted), true),
            (_, Told::Length(..)) => (walk.duration.filter(|_| container != "wav").or(promised), false),
            _ => match walk.length() {
                Some(walked) => (Some(walked), true),
                None => (walk.duration, BY_CLOCK.contains(&container)),
            },
        };
        Self {
            measured,
            promised,
            from_first,
        }
    }

    /// The same of a Matroska file that begins late: some writers count its length from there, others from zero. `walked`: what its packets tell.
    pub fn beginning_late(self, late: Duration, walked: Option<Duration>) -> Self {
        let without = |length: Duration| if length > late { length - late } else { length };
        Self {
            measured: walked.or(self.measured.map(without)),
            promised: self.promised.map(without),
            from_first: true,
        }
    }

    /// One of the lengths, counted from the first presentation, at `zero` of the file's clock.
    pub fn behind(&self, length: Duration, zero: Duration) -> Duration {
        length.saturating_sub(if self.from_first { Duration::ZERO } else { zero })
    }
}

/// Two ways to a duration agree within this share, or this time.
const AGREEMENT: f64 = 0.03;
const AGREEMENT_FLOOR: Duration = Duration::from_millis(250);

/// The clock counts where GStreamer's guess from the first and last time stamps does not agree with it: in joined recordings.
fn of_transport(guessed: Option<Duration>, counted: Option<Duration>) -> Option<Duration> {
    let (Some(guessed), Some(counted)) = (guessed, counted) else {
        return counted.or(guessed);
    };
    let apart = guessed.abs_diff(counted);
    let agree = apart < AGREEMENT_FLOOR || apart.as_secs_f64() < counted.as_secs_f64() * AGREEMENT;
    Some(if agree { guessed } else { counted })
}

/// Containers that nowhere tell how long they last, and whose demuxers ask for the last time stamp: small files are read through.
const BY_CLOCK: &[&str] = &["mpegts", "mpeg"];
const SMALL_BYTES: u64 = 64 << 20;

/// A Matroska file whose clock begins this much behind zero begins late.
const LATE: Duration = Duration::from_millis(500);

/// By how much a file begins late that does not say from where its length counts.
pub fn late(container: &str, walk: &Walk) -> Option<Duration> {
    let late = Some(walk.late()).filter(|_| ["matroska", "webm"].contains(&container));
    late.filter(|late| *late > LATE)
}

/// How far a file is walked.
pub fn until(path: &Path, container: &str, told: &Told) -> Until {
    let is_small = std::fs::metadata(path).is_ok_and(|metadata| metadata.len() <= SMALL_BYTES);
    match told {
        Told::Open => Until::End,
        _ if BY_CLOCK.contains(&container) && is_small => Until::End,
        _ => Until::FirstPackets,
    }
}

/// The beginning of a file, without a tag in front.
fn head(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let mut tag = [0; 10];
    let start = if file.read_exact(&mut tag).is_ok() {
        mp3::id3_length(&tag)
    } else {
        0
    };
    file.seek(SeekFrom::Start(start))?;
    let mut head = Vec::new();
    file.take(HEAD_BYTES).read_to_end(&mut head)?;
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_riff_file_is_whole_when_each_of_its_chunks_is() {
        let whole = |bytes: &[u8]| {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), bytes).unwrap();
            is_whole_riff(file.path()).unwrap()
        };
        let two = b"RIFF\x06\0\0\0AVI ..RIFF\x04\0\0\0AVIX";
        assert!(whole(two));
        assert!(!whole(&two[..two.len() - 1]), "the second one was cut");
        assert!(!whole(b"RIFF\0\0\0\0AVI "), "written to a pipe");
        assert!(!whole(b""));
    }
}
