//! MP4s in fragments: how long they last, and how much of the last fragment is there. Their index tells neither.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
};

use super::mp4::{fragment_header, fragment_run};
use crate::isobmff::{self, FileBox, be32, be64, child, children};

/// Fragments at the end that are looked at: each may hold one track alone.
const LAST: usize = 64;
/// Where the last fragments are looked for in a file of which the middle is not there.
const TAIL_BYTES: u64 = 1 << 20;

/// Times of a track's fragments, in ticks of its clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Times {
    pub first: u64,
    pub end: u64,
    /// Where a fragment begins whose media are not whole in the file.
    pub missing_from: Option<u64>,
    /// Length of its first fragment.
    usual: u64,
}

/// Times of all tracks, by their numbers; `usual`: lengths of their samples where fragments tell none.
pub fn times(file: &mut File, boxes: &[FileBox], size: u64, usual: &BTreeMap<u32, u32>) -> io::Result<BTreeMap<u32, Times>> {
    let mut found: BTreeMap<u32, Times> = BTreeMap::new();
    let fragments: Vec<&FileBox> = boxes.iter().filter(|found| found.kind == *b"moof" && found.end <= size).collect();
    let first = fragments.iter().take(LAST);
    for fragment in first {
        for (id, start, length) in tracks(&isobmff::read_body(file, fragment)?, usual) {
            let times = found.entry(id).or_insert(Times {
                first: start,
                usual: length,
                ..Times::default()
            });
            times.first = times.first.min(start);
        }
    }
    for fragment in fragments.iter().rev().take(LAST) {
        let body = isobmff::read_body(file, fragment)?;
        note_ends(&mut found, &body, usual, is_whole(boxes, fragment, size));
    }
    // Zeros stand where a copy has no bytes.
    if boxes.last().is_some_and(|last| last.end < size || last.kind == [0; 4]) {
        let tail = tail(file, size)?;
        for body in named(&tail, b"moof") {
            note_ends(&mut found, body, usual, true);
        }
        for (id, start) in named(&tail, b"tfra").filter_map(last_start) {
            // The last fragment is taken to be as long as the first ones.
            if let Some(times) = found.get_mut(&id) {
                times.end = times.end.max(start.saturating_add(times.usual));
            }
        }
    }
    Ok(found)
}

/// Number of a track and when its last fragment begins, from the index of fragments at the end.
fn last_start(tfra: &[u8]) -> Option<(u32, u64)> {
    let wide = tfra.first() == Some(&1);
    let widths = be32(tfra, 8)?;
    let numbers: u32 = (0..3).map(|place| (widths >> (place * 2) & 3) + 1).sum();
    let entry = if wide { 16 } else { 8 } + usize::try_from(numbers).ok()?;
    let last = usize::try_from(be32(tfra, 12)?).ok()?.checked_sub(1)?;
    let at = last.checked_mul(entry)?.checked_add(16)?;
    let time = if wide { be64(tfra, at)? } else { be32(tfra, at)?.into() };
    Some((be32(tfra, 4)?, time))
}

fn note_ends(found: &mut BTreeMap<u32, Times>, moof: &[u8], usual: &BTreeMap<u32, u32>, is_whole: bool) {
    for (id, start, length) in tracks(moof, usual) {
        let Some(times) = found.get_mut(&id) else { continue };
        times.end = times.end.max(start.saturating_add(length));
        if !is_whole {
            times.missing_from = Some(times.missing_from.map_or(start, |missing| missing.min(start)));
        }
    }
}

/// Whether the media behind a fragment are there.
fn is_whole(boxes: &[FileBox], fragment: &FileBox, size: u64) -> bool {
    let media = boxes.iter().find(|found| found.kind == *b"mdat" && found.start >= fragment.end);
    media.is_some_and(|media| media.end <= size)
}

/// Number, first decoding time and length of each track in a fragment.
fn tracks(moof: &[u8], usual: &BTreeMap<u32, u32>) -> Vec<(u32, u64, u64)> {
    let of_track = |traf: &[u8]| {
        let (id, length) = child(traf, b"tfhd").and_then(fragment_header)?;
        let length = if length > 0 { length } else { usual.get(&id).copied().unwrap_or(0) };
        let time = child(traf, b"tfdt")?;
        let start = if time.first() == Some(&1) {
            be64(time, 4)?
        } else {
            be32(time, 4)?.into()
        };
        let runs = children(traf).filter(|found| found.kind == *b"trun");
        let runs = runs.flat_map(|found| fragment_run(found.body, length).unwrap_or_default());
        Some((id, start, runs.map(|(count, length)| count * u64::from(length)).sum()))
    };
    let trafs = children(moof).filter(|found| found.kind == *b"traf");
    trafs.filter_map(|found| of_track(found.body)).collect()
}

fn tail(file: &mut File, size: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(size.saturating_sub(TAIL_BYTES)))?;
    let mut tail = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut tail)?;
    Ok(tail)
}

/// Bodies of boxes wherever they stand, found by their names.
fn named<'a>(bytes: &'a [u8], name: &'static [u8; 4]) -> impl Iterator<Item = &'a [u8]> {
    let starts = (0..bytes.len().saturating_sub(8)).filter(move |at| bytes.get(at + 4..at + 8) == Some(name));
    starts.filter_map(move |at| {
        let length = usize::try_from(be32(bytes, at)?).ok()?;
        bytes.get(at + 8..at.checked_add(length)?)
    })
}
