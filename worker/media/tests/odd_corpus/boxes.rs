//! Boxes of MP4, found and put in.

use std::ops::Range;

const CONTAINERS: [&[u8; 4]; 8] = [b"moov", b"trak", b"edts", b"mdia", b"minf", b"stbl", b"moof", b"traf"];

/// A box with its kind: 32-bit sizes only.
pub fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(body.len() + 8).unwrap();
    [&size.to_be_bytes(), kind.as_slice(), body].concat()
}

/// The boxes in a part of a file, one after the other.
fn inside(bytes: &[u8], part: Range<usize>) -> Vec<([u8; 4], Range<usize>)> {
    let mut found = Vec::new();
    let mut at = part.start;
    while at + 8 <= part.end {
        let size = number(bytes, at) as usize;
        assert!(size >= 8, "a box of {size} bytes");
        found.push((bytes[at + 4..at + 8].try_into().unwrap(), at..at + size));
        at += size;
    }
    found
}

/// The outermost boxes of a file.
pub fn outermost(bytes: &[u8]) -> Vec<([u8; 4], Range<usize>)> {
    inside(bytes, 0..bytes.len())
}

/// All boxes of a kind, in the order of the file.
pub fn all(bytes: &[u8], kind: &[u8; 4]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut parts: Vec<_> = std::iter::once(0..bytes.len()).collect();
    while let Some(part) = parts.pop() {
        for (found_kind, range) in inside(bytes, part) {
            if found_kind == *kind {
                found.push(range.clone());
            }
            if CONTAINERS.contains(&&found_kind) {
                parts.push(range.start + 8..range.end);
            }
        }
    }
    found.sort_by_key(|range| range.start);
    found
}

/// Puts bytes at the end of a box; those around it grow.
pub fn append(bytes: &mut Vec<u8>, to: &Range<usize>, new: &[u8]) {
    let mut part = 0..bytes.len();
    while let Some((_, range)) = inside(bytes, part).into_iter().find(|(_, range)| range.contains(&to.start)) {
        let size = number(bytes, range.start) + new.len() as u32;
        bytes[range.start..range.start + 4].copy_from_slice(&size.to_be_bytes());
        if range == *to {
            break;
        }
        part = range.start + 8..range.end;
    }
    bytes.splice(to.end..to.end, new.iter().copied());
}

pub fn rename(bytes: &mut [u8], place: &Range<usize>, kind: &[u8; 4]) {
    bytes[place.start + 4..place.start + 8].copy_from_slice(kind);
}

pub fn number(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
}
