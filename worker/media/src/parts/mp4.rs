//! MP4 and QuickTime: the index, wherever it stands, and the first packet of each track.

use super::{AHEAD_BYTES, Parts, Stop};
use crate::isobmff::{self, be32, be64, children, descendant};

/// Boxes at the top of the file that are stepped over; each may cost a request.
const MAX_BOXES: usize = 64;
/// Fragments that are looked up.
const FRAGMENTS: usize = 2;
/// Tracks whose first packet is looked up.
const MAX_TRACKS: usize = 64;
const SAMPLE_TABLE: [&[u8; 4]; 3] = [b"mdia", b"minf", b"stbl"];

pub(super) fn look(parts: &mut Parts) -> Result<(), Stop> {
    let mut at = 0;
    let mut index = None;
    let mut fragments = 0;
    for _ in 0..MAX_BOXES {
        if at >= parts.total {
            break;
        }
        let head = parts.header(at, 16)?;
        let Some((size, kind, header)) = isobmff::parse_header(&head) else {
            break;
        };
        let end = if size == 0 { parts.total } else { at.saturating_add(size) };
        match &kind {
            b"moov" => {
                if end.saturating_sub(at) > isobmff::MAX_INDEX_BYTES {
                    break;
                }
                index = Some(parts.read(at + header..end)?);
            }
            // What a fragment describes follows it. The second one is read before the first packet is shown.
            b"moof" => {
                parts.index(at..end)?;
                parts.packets(end, 0)?;
                fragments += 1;
            }
            _ => {}
        }
        if fragments == FRAGMENTS {
            break;
        }
        let is_fragmented = index.as_deref().is_some_and(|index| isobmff::child(index, b"mvex").is_some());
        if (index.is_some() && !is_fragmented) || end <= at {
            break;
        }
        at = end;
    }
    if let Some(index) = &index {
        first_packets(parts, index)?;
    }
    // An index of fragments stands at the end; and where there is no index so far, the end is the likeliest place.
    if fragments > 0 || index.is_none() {
        parts.tail()?;
    }
    Ok(())
}

fn first_packets(parts: &Parts, index: &[u8]) -> Result<(), Stop> {
    let tracks = children(index).filter(|found| found.kind == *b"trak");
    for track in tracks.take(MAX_TRACKS) {
        let Some(table) = descendant(track.body, &SAMPLE_TABLE) else {
            continue;
        };
        let Some(offset) = first_chunk(table) else { continue };
        if offset < parts.total {
            parts.packets(offset, u64::from(first_size(table)))?;
        }
    }
    Ok(())
}

fn first_chunk(table: &[u8]) -> Option<u64> {
    let narrow = isobmff::child(table, b"stco").and_then(|body| be32(body, 8).map(u64::from));
    narrow.or_else(|| isobmff::child(table, b"co64").and_then(|body| be64(body, 8)))
}

/// Bytes of the first packet: one size for all, or the first of the table.
fn first_size(table: &[u8]) -> u32 {
    let Some(sizes) = isobmff::child(table, b"stsz") else {
        return AHEAD_BYTES as u32;
    };
    match be32(sizes, 4) {
        Some(size) if size > 0 => size,
        _ => be32(sizes, 12).unwrap_or(0),
    }
}
