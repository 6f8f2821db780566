//! Which tracks of a finished Matroska file players play by themselves. The muxer writes no flag, which means all of them.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
};

use super::{Kind, Track};

/// How far into a file its tracks lie at most, and how long its end is in which tags lie.
const HEAD: u64 = 1 << 20;
/// Head of the track's eight-byte UID, behind its type, as the muxer writes them.
const UID_HEAD: [u8; 3] = [0x73, 0xc5, 0x88];
/// The same UID in tags.
const TAG_UID_HEAD: [u8; 3] = [0x63, 0xc5, 0x88];

/// Types of tracks, as their elements stand.
fn track_type(kind: Kind) -> [u8; 3] {
    [
        0x83,
        0x81,
        match kind {
            Kind::Film => 1,
            Kind::Sound => 2,
            Kind::Text => 0x11,
        },
    ]
}

/// Takes the mark from tracks that are no default. Three bytes of the random UID make room for one.
pub fn mark(file: &mut File, tracks: &[Track]) -> io::Result<()> {
    if tracks.iter().all(|track| track.enabled) {
        return Ok(());
    }
    let length = file.metadata()?.len();
    let head = read_at(file, 0, HEAD.min(length))?;
    let tail_start = length.saturating_sub(HEAD);
    let tail = read_at(file, tail_start, length - tail_start)?;
    for kind in [Kind::Sound, Kind::Text] {
        let typed = [&track_type(kind)[..], &UID_HEAD].concat();
        let places: Vec<usize> = positions(&head, &typed).map(|at| at + typed.len()).collect();
        let told: Vec<&Track> = tracks.iter().filter(|track| track.kind == kind).collect();
        if places.len() < told.len() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a track is missing"));
        }
        for (at, _) in places.into_iter().zip(told).filter(|(_, track)| !track.enabled) {
            unmark(file, at, &head, (tail_start, &tail))?;
        }
    }
    Ok(())
}

/// `at`: where the UID stands.
fn unmark(file: &mut File, at: usize, head: &[u8], (tail_start, tail): (u64, &[u8])) -> io::Result<()> {
    let Some(uid) = head.get(at..at + 8) else { return Ok(()) };
    // Never zero, which is no UID.
    let [a, b, c, d, e] = [uid[3], uid[4], uid[5], uid[6], uid[7] | 1];
    write_at(file, (at - 1) as u64, &[0x85, a, b, c, d, e, 0x88, 0x81, 0x00])?;
    let tagged = [&TAG_UID_HEAD[..], uid].concat();
    for (from, part) in [(0, head), (tail_start, tail)] {
        for tag in positions(part, &tagged) {
            write_at(file, from + (tag + TAG_UID_HEAD.len()) as u64, &[0, 0, 0, a, b, c, d, e])?;
        }
    }
    Ok(())
}

fn positions<'a>(bytes: &'a [u8], pattern: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    let found = bytes.windows(pattern.len()).enumerate();
    found.filter(move |(_, window)| *window == pattern).map(|(at, _)| at)
}

fn read_at(file: &mut File, at: u64, length: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(at))?;
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn write_at(file: &mut File, at: u64, bytes: &[u8]) -> io::Result<()> {
    file.seek(SeekFrom::Start(at))?;
    file.write_all(bytes)
}
