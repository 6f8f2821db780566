//! MP4s whose edit list leaves out parts of the media: clips cut by stream copy, trimmed recordings, sound with its codec's delay. The demuxer
//! drops the end of such a file's sound and knows one part only, so it does not see the list, and the pass shows what it says.

use std::{fs::File, io, path::Path, time::Duration};

use crate::{
    isobmff::{Child, be32, be64, child, children, read_body, top_level},
    timeline::{Piece, Timeline},
};

/// What edit lists say, by kind of stream; `None`: no list, or one that plays its media out of order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Edits {
    pub video: Option<Timeline>,
    pub audio: Option<Timeline>,
    /// A list plays parts of its media twice, or out of their order.
    pub out_of_order: bool,
    /// What the demuxer must read instead, at positions of the file.
    pub patches: Vec<(u64, Vec<u8>)>,
}

/// Reads the edit lists of tracks with these handlers, and hides them from the demuxer.
pub fn read(path: &Path, handlers: &[&[u8; 4]]) -> io::Result<Edits> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    let boxes = top_level(&mut file, size)?;
    let Some(index) = boxes.iter().find(|found| &found.kind == b"moov") else {
        return Ok(Edits::default());
    };
    let body = read_body(&mut file, index)?;
    let movie_timescale = child(&body, b"mvhd").and_then(timescale_of).unwrap_or(0);
    let mut edits = Edits::default();
    for track in children(&body).filter(|found| &found.kind == b"trak") {
        let Some(list) = children(track.body).find(|found| &found.kind == b"edts") else {
            continue;
        };
        let place = match handler(&track).filter(|found| handlers.contains(found)) {
            Some(b"vide") => &mut edits.video,
            Some(b"soun") => &mut edits.audio,
            _ => continue,
        };
        if let Some(pieces) = pieces(&track, &list, movie_timescale) {
            let timeline = Timeline::of_pieces(pieces);
            edits.out_of_order |= timeline.is_none();
            if place.is_none() {
                *place = timeline;
            }
        }
        // The kind stands in front of the body, which a short header of 8 bytes precedes.
        let kind_at = track.offset + list.offset - 4;
        if body.get(kind_at..kind_at + 4) == Some(b"edts") {
            edits.patches.push((kind_at as u64, b"free".to_vec()));
        }
    }
    if !edits.patches.is_empty() {
        lengthen(&body, &mut edits.patches);
    }
    for (at, _) in &mut edits.patches {
        *at += index.start + index.header;
    }
    Ok(edits)
}

/// Reordered pictures are shown later than the track's duration says.
const REORDERING: Duration = Duration::from_secs(1);

/// The demuxer stops at the durations of movie and track, which edit lists and reordering make too short, and leaves out tracks that last less than
/// a fifth of the longest.
fn lengthen(body: &[u8], patches: &mut Vec<(u64, Vec<u8>)>) {
    let headers: Vec<_> = children(body)
        .filter(|found| &found.kind == b"trak")
        .filter_map(|track| {
            let media = children(track.body).find(|found| &found.kind == b"mdia")?;
            let header = children(media.body).find(|found| &found.kind == b"mdhd")?;
            let whole = media_duration(header.body).unwrap_or_default().saturating_add(REORDERING);
            Some((track.offset + media.offset + header.offset, header.body, whole))
        })
        .collect();
    let longest = headers.iter().map(|(_, _, whole)| *whole).max().unwrap_or_default();
    for (at, header, whole) in headers {
        let shown = if whole.saturating_mul(5) < longest { longest } else { whole };
        patches.extend(duration_patch(at, header, shown));
    }
    if let Some(header) = children(body).find(|found| &found.kind == b"mvhd") {
        patches.extend(duration_patch(header.offset, header.body, longest));
    }
}

/// The duration of an mvhd or mdhd, which stand alike.
fn duration_patch(body_at: usize, header: &[u8], duration: Duration) -> Option<(u64, Vec<u8>)> {
    let is_wide = header.first() == Some(&1);
    let timescale = be32(header, if is_wide { 20 } else { 12 })?;
    let ticks = duration.as_secs_f64() * f64::from(timescale);
    let (at, bytes) = if is_wide {
        (24, (ticks as u64).to_be_bytes().to_vec())
    } else {
        (16, (ticks as u32).to_be_bytes().to_vec())
    };
    (header.len() >= at + bytes.len()).then_some(((body_at + at) as u64, bytes))
}

fn media_duration(header: &[u8]) -> Option<Duration> {
    let (timescale, ticks) = match header.first() {
        Some(1) => (be32(header, 20)?, be64(header, 24)?),
        _ => (be32(header, 12)?, u64::from(be32(header, 16)?)),
    };
    Duration::try_from_secs_f64(ticks as f64 / f64::from(timescale)).ok()
}

fn handler<'a>(track: &Child<'a>) -> Option<&'a [u8; 4]> {
    child(child(track.body, b"mdia")?, b"hdlr")?.get(8..12)?.try_into().ok()
}

fn timescale_of(header: &[u8]) -> Option<u32> {
    be32(header, if header.first() == Some(&1) { 20 } else { 12 }).filter(|timescale| *timescale > 0)
}

/// The edits that show media; what is empty only moves the next ones (ISO/IEC 14496-12, 8.6.6).
fn pieces(track: &Child<'_>, list: &Child<'_>, movie_timescale: u32) -> Option<Vec<Piece>> {
    let timescale = timescale_of(child(child(track.body, b"mdia")?, b"mdhd")?)?;
    let elst = child(list.body, b"elst")?;
    let wide = elst.first() == Some(&1);
    let entries = elst.get(8..)?.chunks_exact(if wide { 20 } else { 12 });
    let ns = |ticks: i128, timescale: u32| i64::try_from(ticks * 1_000_000_000 / i128::from(timescale.max(1))).unwrap_or(i64::MAX);
    let (mut own, mut pieces) = (0i128, Vec::new());
    for entry in entries.take(be32(elst, 4).unwrap_or(0) as usize) {
        let (length, media) = match wide {
            true => (i128::from(be64(entry, 0)?), i128::from(be64(entry, 8)? as i64)),
            false => (i128::from(be32(entry, 0)?), i128::from(be32(entry, 4)? as i32)),
        };
        if media >= 0 {
            pieces.push(Piece {
                media: ns(media, timescale),
                own: ns(own, movie_timescale),
                length: (length > 0).then(|| ns(length, movie_timescale)),
            });
        }
        own += length;
    }
    Some(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
        let mut bytes = (body.len() as u32 + 8).to_be_bytes().to_vec();
        bytes.extend_from_slice(kind);
        bytes.extend_from_slice(body);
        bytes
    }

    #[test]
    fn empty_edits_move_those_behind_them() {
        let mut header = [0u8; 24];
        header[12..16].copy_from_slice(&10_000u32.to_be_bytes());
        let track = boxed(b"mdia", &boxed(b"mdhd", &header));
        let mut entries = vec![0, 0, 0, 0, 0, 0, 0, 3];
        for (length, media) in [(500u32, -1i32), (2000, 10_000), (1000, 50_000)] {
            entries.extend(length.to_be_bytes());
            entries.extend(media.to_be_bytes());
            entries.extend(0x0001_0000u32.to_be_bytes());
        }
        let list = boxed(b"elst", &entries);
        let of = |body| Child {
            kind: *b"test",
            offset: 0,
            body,
        };
        let found = pieces(&of(&track), &of(&list), 1000).unwrap();
        let seen: Vec<_> = found
            .iter()
            .map(|piece| {
                (
                    piece.media / 1_000_000,
                    piece.own / 1_000_000,
                    piece.length.map(|length| length / 1_000_000),
                )
            })
            .collect();
        assert_eq!(seen, [(1000, 500, Some(2000)), (5000, 2500, Some(1000))]);
    }
}
