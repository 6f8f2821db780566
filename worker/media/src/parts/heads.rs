//! Files whose packets follow a head of a length that it tells: tags of MP3 and AAC, FLAC, ASF.

use super::{MAX_INDEX_BYTES, PACKET_BYTES, Parts, Stop};
use crate::parse::mp3;

/// Blocks of FLAC's metadata that are stepped over.
const MAX_BLOCKS: usize = 128;

/// An ID3 tag may carry a large picture.
pub(super) fn tagged(parts: &Parts, head: &[u8]) -> Result<(), Stop> {
    let tag = head.first_chunk().map_or(0, mp3::id3_length);
    packets_behind(parts, tag)?;
    parts.tail()
}

pub(super) fn flac(parts: &mut Parts, head: &[u8]) -> Result<(), Stop> {
    // Behind "fLaC", or behind an ID3 tag that some writers put in front of it.
    let mut at = head.first_chunk().map_or(0, mp3::id3_length) + 4;
    for _ in 0..MAX_BLOCKS {
        let block = parts.header(at, 4)?;
        let &[kind, high, middle, low] = block.as_slice() else { break };
        at += 4 + u64::from(u32::from_be_bytes([0, high, middle, low]));
        if kind & 0x80 != 0 {
            break;
        }
    }
    packets_behind(parts, at)?;
    parts.tail()
}

/// The header object tells its length behind its name.
pub(super) fn asf(parts: &Parts, head: &[u8]) -> Result<(), Stop> {
    let length = head
        .get(16..24)
        .and_then(|bytes| bytes.try_into().ok())
        .map_or(0, u64::from_le_bytes);
    packets_behind(parts, length)?;
    parts.tail()
}

/// A head, and where the packets behind it begin.
fn packets_behind(parts: &Parts, head_bytes: u64) -> Result<(), Stop> {
    if head_bytes > MAX_INDEX_BYTES {
        return Ok(());
    }
    parts.need(0..head_bytes + PACKET_BYTES)
}
