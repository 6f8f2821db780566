//! Files of chunks (RIFF and IFF): AVI with its indices, WAV and AIFF with what stands behind the samples.

use super::{Parts, Stop};

/// Chunks that are stepped over; each may cost a request.
const MAX_CHUNKS: usize = 64;
/// Parts of an index that are looked up in an AVI of more than 1 GB.
const MAX_INDEX_PARTS: usize = 256;
/// Larger chunks are samples, not descriptions.
const MAX_DESCRIPTION_BYTES: u64 = 1 << 20;

/// Order of the bytes of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Little,
    Big,
}

/// A chunk by position: its name, where its body begins, and where it ends.
struct Chunk {
    name: [u8; 4],
    body: u64,
    end: u64,
}

fn chunk_at(parts: &mut Parts, at: u64, order: Order) -> Result<Option<Chunk>, Stop> {
    let head = parts.header(at, 8)?;
    let &[a, b, c, d, e, f, g, h] = head.as_slice() else {
        return Ok(None);
    };
    let length = match order {
        Order::Little => u32::from_le_bytes([e, f, g, h]),
        Order::Big => u32::from_be_bytes([e, f, g, h]),
    };
    let body = at + 8;
    Ok(Some(Chunk {
        name: [a, b, c, d],
        body,
        end: body + u64::from(length),
    }))
}

/// The chunks inside a body, in order; each begins at an even place.
fn chunks_between(parts: &mut Parts, from: u64, to: u64, order: Order) -> Result<Vec<Chunk>, Stop> {
    let (mut at, mut found) = (from, Vec::new());
    while at + 8 <= to.min(parts.total) && found.len() < MAX_CHUNKS {
        let Some(chunk) = chunk_at(parts, at, order)? else { break };
        // A recorder that was cut off left a length of zero, or of everything.
        if chunk.end <= chunk.body {
            break;
        }
        at = chunk.end + chunk.end % 2;
        found.push(chunk);
    }
    Ok(found)
}

/// WAV and AIFF: small chunks whole.
pub(super) fn walk(parts: &mut Parts, order: Order) -> Result<(), Stop> {
    for chunk in chunks_between(parts, 12, parts.total, order)? {
        if chunk.end - chunk.body <= MAX_DESCRIPTION_BYTES {
            parts.need(chunk.body..chunk.end)?;
        }
    }
    parts.tail()
}

/// The index behind the film, and of a large file the parts of its index that lie between.
pub(super) fn avi(parts: &mut Parts) -> Result<(), Stop> {
    for chunk in chunks_between(parts, 12, parts.total, Order::Little)? {
        let is_small = chunk.end - chunk.body <= MAX_DESCRIPTION_BYTES;
        if chunk.name == *b"idx1" {
            parts.index(chunk.body..chunk.end)?;
        } else if chunk.name == *b"LIST" && is_small && parts.read(chunk.body..chunk.body + 4)? == b"hdrl" {
            streams(parts, &chunk)?;
        }
    }
    parts.tail()
}

fn streams(parts: &mut Parts, header: &Chunk) -> Result<(), Stop> {
    for list in chunks_between(parts, header.body + 4, header.end, Order::Little)? {
        if list.name != *b"LIST" || parts.read(list.body..list.body + 4)? != b"strl" {
            continue;
        }
        for chunk in chunks_between(parts, list.body + 4, list.end, Order::Little)? {
            if chunk.name == *b"indx" {
                index_parts(parts, &chunk)?;
            }
        }
    }
    Ok(())
}

/// An index of indices: behind 24 bytes, of each its place and its length.
fn index_parts(parts: &mut Parts, index: &Chunk) -> Result<(), Stop> {
    let body = parts.read(index.body..index.end)?;
    let is_index_of_indices = body.get(3) == Some(&0);
    if !is_index_of_indices {
        return Ok(());
    }
    let count = body.get(4..8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes);
    let entries = body.get(24..).unwrap_or_default().chunks_exact(16);
    for entry in entries.take((count as usize).min(MAX_INDEX_PARTS)) {
        let (place, rest) = entry.split_at(8);
        let place = place.try_into().map_or(0, u64::from_le_bytes);
        let length = rest.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        parts.index(place..place.saturating_add(u64::from(length)))?;
    }
    Ok(())
}
