//! Size of a still picture from its header, before anything decodes it.

use std::{fs::File, io::Read, path::Path};

/// JPEGs carry thumbnails and profiles in front of their size.
const WINDOW_BYTES: u64 = 1 << 20;

/// Width and height in pixels; `None` when the header does not tell.
pub fn size(path: &Path) -> Option<(u32, u32)> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(WINDOW_BYTES).read_to_end(&mut bytes).ok()?;
    png_size(&bytes)
        .or_else(|| jpeg_size(&bytes))
        .or_else(|| webp_size(&bytes))
        .or_else(|| gif_size(&bytes))
}

fn png_size(bytes: &[u8]) -> Option<(u32, u32)> {
    let is_header = bytes.starts_with(b"\x89PNG") && bytes.get(12..16)? == b"IHDR";
    is_header.then(|| Some((crate::isobmff::be32(bytes, 16)?, crate::isobmff::be32(bytes, 20)?)))?
}

fn gif_size(bytes: &[u8]) -> Option<(u32, u32)> {
    bytes.starts_with(b"GIF8").then(|| Some((le16(bytes, 6)?, le16(bytes, 8)?)))?
}

fn jpeg_size(bytes: &[u8]) -> Option<(u32, u32)> {
    let mut at = bytes.starts_with(b"\xff\xd8").then_some(2)?;
    loop {
        let marker = *bytes.get(at + 1)?;
        if *bytes.get(at)? != 0xff {
            return None;
        }
        match marker {
            0xff => at += 1,
            0xd8 | 0x01 | 0xd0..=0xd7 => at += 2,
            0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => return Some((be16(bytes, at + 7)?, be16(bytes, at + 5)?)),
            _ => at += 2 + usize::try_from(be16(bytes, at + 2)?.max(2)).ok()?,
        }
    }
}

fn webp_size(bytes: &[u8]) -> Option<(u32, u32)> {
    if !bytes.starts_with(b"RIFF") || bytes.get(8..12)? != b"WEBP" {
        return None;
    }
    match bytes.get(12..16)? {
        b"VP8 " => Some((le16(bytes, 26)? & 0x3fff, le16(bytes, 28)? & 0x3fff)),
        b"VP8L" => {
            let packed = le16(bytes, 21)? | le16(bytes, 23)? << 16;
            Some(((packed & 0x3fff) + 1, (packed >> 14 & 0x3fff) + 1))
        }
        b"VP8X" => Some((le24(bytes, 24)? + 1, le24(bytes, 27)? + 1)),
        _ => None,
    }
}

fn byte(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at).map(|value| u32::from(*value))
}

fn be16(bytes: &[u8], at: usize) -> Option<u32> {
    Some(byte(bytes, at)? << 8 | byte(bytes, at + 1)?)
}

fn le16(bytes: &[u8], at: usize) -> Option<u32> {
    Some(byte(bytes, at + 1)? << 8 | byte(bytes, at)?)
}

fn le24(bytes: &[u8], at: usize) -> Option<u32> {
    Some(byte(bytes, at + 2)? << 16 | le16(bytes, at)?)
}
