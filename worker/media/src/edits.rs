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
    lengthen_movie(&mut file, index.start + index.header, &body)?;
    file.sync_data()?;
    Ok(starts)
}

/// Without its edit lists the film lasts as long as its longest track; the demuxer stops where the movie header says.
fn lengthen_movie(file: &mut File, body_at: u64, body: &[u8]) -> io::Result<()> {
    let Some(header) = children(body).find(|found| &found.kind == b"mvhd") else {
        return Ok(());
    };
    let wide = header.body.first() == Some(&1);
    let (scale_at, length_at) = if wide { (20, 24) } else { (12, 16) };
    let (Some(scale), Some(seconds)) = (be32(header.body, scale_at), longest_track(body)) else {
        return Ok(());
    };
    let length = (seconds * f64::from(scale)).ceil() as u64;
    let bytes = match u32::try_from(length) {
        Ok(short) if !wide => short.to_be_bytes().to_vec(),
        Err(_) if !wide => u32::MAX.to_be_bytes().to_vec(),
        _ => length.to_be_bytes().to_vec(),
    };
    if header.body.len() < length_at + bytes.len() {
        return Ok(());
    }
    file.seek(SeekFrom::Start(body_at + (header.offset + length_at) as u64))?;
    file.write_all(&bytes)
}

fn longest_track(movie: &[u8]) -> Option<f64> {
    let tracks = children(movie).filter(|found| &found.kind == b"trak");
    tracks
        .filter_map(|track| media_seconds(child(child(track.body, b"mdia")?, b"mdhd")?))
        .reduce(f64::max)
}

fn media_seconds(header: &[u8]) -> Option<f64> {
    let wide = header.first() == Some(&1);
    let scale = be32(header, if wide { 20 } else { 12 })?;
    let length = if wide { be64(header, 24)? } else { u64::from(be32(header, 16)?) };
    (scale > 0).then(|| length as f64 / f64::from(scale))
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
