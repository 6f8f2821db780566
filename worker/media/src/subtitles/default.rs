//! Which track of subtitles players show by themselves: muxers of GStreamer 1.22 mark all of them, so the finished file is corrected in place.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::Path,
};

use crate::isobmff::{children, descendant, read_body, top_level};

/// Handlers of subtitles in MP4 and QuickTime.
const TEXT_HANDLERS: [&[u8]; 3] = [b"sbtl", b"text", b"subt"];
/// The bit of a track's flags that says it is shown.
const ENABLED: u8 = 1;
/// How far into a Matroska file its tracks lie at most, and how long its end is in which tags lie.
const HEAD: u64 = 1 << 20;
/// Track type of subtitles, then the head of the track's eight-byte UID, as the muxer writes them.
const SUBTITLE_TYPE: [u8; 3] = [0x83, 0x81, 0x11];
const UID_HEAD: [u8; 3] = [0x73, 0xc5, 0x88];
/// The same UID in tags.
const TAG_UID_HEAD: [u8; 3] = [0x63, 0xc5, 0x88];

/// Takes the mark from those tracks of subtitles, in their order, that are no default.
pub fn mark(path: &Path, defaults: &[bool]) -> io::Result<()> {
    if defaults.iter().all(|default| *default) {
        return Ok(());
    }
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    let mut start = [0u8; 4];
    file.read_exact(&mut start)?;
    if start == [0x1a, 0x45, 0xdf, 0xa3] {
        return mark_matroska(&mut file, defaults);
    }
    mark_mp4(&mut file, defaults)
}

fn mark_mp4(file: &mut File, defaults: &[bool]) -> io::Result<()> {
    let length = file.metadata()?.len();
    let index = top_level(file, length)?.into_iter().find(|found| found.kind == *b"moov");
    let Some(index) = index else { return Err(missing()) };
    let body = read_body(file, &index)?;
    let mut defaults = defaults.iter();
    for track in children(&body).filter(|found| found.kind == *b"trak") {
        let handler = descendant(track.body, &[b"mdia", b"hdlr"]).and_then(|handler| handler.get(8..12));
        if !handler.is_some_and(|handler| TEXT_HANDLERS.contains(&handler)) {
            continue;
        }
        let header = children(track.body).find(|found| found.kind == *b"tkhd").ok_or_else(missing)?;
        let (Some(false), Some(flags)) = (defaults.next(), header.body.get(3)) else {
            continue;
        };
        // Version, then three bytes of flags.
        let place = index.start + index.header + (track.offset + header.offset + 3) as u64;
        write_at(file, place, &[flags & !ENABLED])?;
    }
    Ok(())
}

/// The muxer writes no flag, which means yes. Three bytes of the random UID make room for one.
fn mark_matroska(file: &mut File, defaults: &[bool]) -> io::Result<()> {
    let length = file.metadata()?.len();
    let head = read_at(file, 0, HEAD.min(length))?;
    let tail_start = length.saturating_sub(HEAD);
    let tail = read_at(file, tail_start, length - tail_start)?;
    let typed = [&SUBTITLE_TYPE[..], &UID_HEAD].concat();
    let tracks: Vec<usize> = positions(&head, &typed).map(|at| at + typed.len()).collect();
    if tracks.len() < defaults.len() {
        return Err(missing());
    }
    for (at, default) in tracks.into_iter().zip(defaults) {
        let Some(uid) = head.get(at..at + 8).filter(|_| !default) else {
            continue;
        };
        // Never zero, which is no UID.
        let short = [uid[3], uid[4], uid[5], uid[6], uid[7] | 1];
        let [a, b, c, d, e] = short;
        write_at(file, (at - 1) as u64, &[0x85, a, b, c, d, e, 0x88, 0x81, 0x00])?;
        let tagged = [&TAG_UID_HEAD[..], uid].concat();
        for (from, part) in [(0, &head), (tail_start, &tail)] {
            for tag in positions(part, &tagged) {
                write_at(file, from + (tag + TAG_UID_HEAD.len()) as u64, &[0, 0, 0, a, b, c, d, e])?;
            }
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

fn missing() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a track of subtitles is missing")
}
