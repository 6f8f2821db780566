//! MP4s whose edit list starts inside the media: a clip cut by stream copy. The demuxer drops the end of such a file's sound, so the list is
//! taken out of the unit's own copy of the input, and the pass skips what it skipped.

use std::{
    fs::File,
    io::{self, Seek, SeekFrom, Write},
    path::Path,
    time::Duration,
};

use crate::isobmff::{Child, be32, be64, child, children, read_body, top_level};

/// Media time at which each kind of stream begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Starts {
    pub video: Duration,
    pub audio: Duration,
}

/// Takes the edit lists out, in place; gives what they skipped. The second call finds none.
pub fn strip(path: &Path) -> io::Result<Starts> {
    let mut file = File::options().read(true).write(true).open(path)?;
    let size = file.metadata()?.len();
    let boxes = top_level(&mut file, size)?;
    let Some(index) = boxes.iter().find(|found| &found.kind == b"moov") else {
        return Ok(Starts::default());
    };
    let body = read_body(&mut file, index)?;
    let mut starts = Starts::default();
    for track in children(&body).filter(|found| &found.kind == b"trak") {
        let Some(list) = children(track.body).find(|found| &found.kind == b"edts") else {
            continue;
        };
        match handler(&track) {
            Some(b"vide") => starts.video = start(&track, &list),
            Some(b"soun") => starts.audio = start(&track, &list),
            _ => continue,
        }
        // The kind stands in front of the body, which a short header of 8 bytes precedes.
        let kind_at = track.offset + list.offset - 4;
        if body.get(kind_at..kind_at + 4) == Some(b"edts") {
            file.seek(SeekFrom::Start(index.start + index.header + kind_at as u64))?;
            file.write_all(b"free")?;
        }
    }
    if starts != Starts::default() {
        lengthen(&mut file, index.start + index.header, &body)?;
    }
    file.sync_data()?;
    Ok(starts)
}

/// Reordered pictures are shown later than the track's duration says.
const REORDERING: Duration = Duration::from_secs(1);

/// The demuxer stops at the durations of movie and track, which edit lists and reordering make too short.
fn lengthen(file: &mut File, index_body_at: u64, body: &[u8]) -> io::Result<()> {
    let mut longest = Duration::ZERO;
    for track in children(body).filter(|found| &found.kind == b"trak") {
        let Some(media) = children(track.body).find(|found| &found.kind == b"mdia") else {
            continue;
        };
        let Some(header) = children(media.body).find(|found| &found.kind == b"mdhd") else {
            continue;
        };
        let whole = media_duration(header.body).unwrap_or_default() + REORDERING;
        longest = longest.max(whole);
        set_duration(
            file,
            index_body_at + (track.offset + media.offset + header.offset) as u64,
            header.body,
            whole,
        )?;
    }
    match children(body).find(|found| &found.kind == b"mvhd") {
        Some(header) => set_duration(file, index_body_at + header.offset as u64, header.body, longest),
        None => Ok(()),
    }
}

/// Writes the duration of an mvhd or mdhd, which stand alike.
fn set_duration(file: &mut File, body_at: u64, header: &[u8], duration: Duration) -> io::Result<()> {
    let is_wide = header.first() == Some(&1);
    let Some(timescale) = be32(header, if is_wide { 20 } else { 12 }) else {
        return Ok(());
    };
    let ticks = duration.as_secs_f64() * f64::from(timescale);
    let (at, bytes) = if is_wide {
        (24, (ticks as u64).to_be_bytes().to_vec())
    } else {
        (16, (ticks as u32).to_be_bytes().to_vec())
    };
    if header.len() < at + bytes.len() {
        return Ok(());
    }
    file.seek(SeekFrom::Start(body_at + at as u64))?;
    file.write_all(&bytes)
}

fn media_duration(header: &[u8]) -> Option<Duration> {
    let (timescale, ticks) = match header.first() {
        Some(1) => (be32(header, 20)?, be64(header, 24)?),
        _ => (be32(header, 12)?, u64::from(be32(header, 16)?)),
    };
    (timescale > 0).then(|| Duration::from_secs_f64(ticks as f64 / f64::from(timescale)))
}

fn handler<'a>(track: &Child<'a>) -> Option<&'a [u8; 4]> {
    child(child(track.body, b"mdia")?, b"hdlr")?.get(8..12)?.try_into().ok()
}

/// Media time of the first edit that shows media.
fn start(track: &Child<'_>, list: &Child<'_>) -> Duration {
    let read = || -> Option<Duration> {
        let header = child(child(track.body, b"mdia")?, b"mdhd")?;
        let timescale = be32(header, if header.first() == Some(&1) { 20 } else { 12 })?;
        let elst = child(list.body, b"elst")?;
        let wide = elst.first() == Some(&1);
        let entries = elst.get(8..)?.chunks_exact(if wide { 20 } else { 12 });
        let mut times = entries.filter_map(|entry| {
            if wide {
                Some(be64(entry, 8)? as i64)
            } else {
                Some(i64::from(be32(entry, 4)? as i32))
            }
        });
        let ticks = times.find(|time| *time >= 0)?;
        (timescale > 0).then(|| Duration::from_secs_f64(ticks as f64 / f64::from(timescale)))
    };
    read().unwrap_or_default()
}
