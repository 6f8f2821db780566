//! Size of a still picture from its header, before anything decodes it.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::Path,
};

use crate::{
    isobmff::be32,
    own_pictures::heif,
    parse::{
        jpeg,
        numbers::{be16, le16, le24, le32},
    },
};

/// JPEGs carry thumbnails and profiles in front of their size.
const WINDOW_BYTES: u64 = 1 << 20;

/// Width and height in pixels; `None` when the header does not tell.
pub fn size(path: &Path) -> Option<(u32, u32)> {
    let mut bytes = Vec::new();
    let mut file = File::open(path).ok()?;
    file.by_ref().take(WINDOW_BYTES).read_to_end(&mut bytes).ok()?;
    png_size(&bytes)
        .or_else(|| jpeg_size(&bytes))
        .or_else(|| webp_size(&bytes))
        .or_else(|| gif_size(&bytes))
        .or_else(|| jp2_size(&bytes))
        .or_else(|| bitmap_size(&bytes))
        .or_else(|| tiff_size(&bytes, &mut file))
        .or_else(|| targa_size(&bytes))
        .or_else(|| heif_size(&bytes, path))
}

fn heif_size(bytes: &[u8], path: &Path) -> Option<(u32, u32)> {
    (bytes.get(4..8)? == b"ftyp").then_some(())?;
    let main = heif::main_picture(path).ok()?;
    Some((main.width, main.height))
}

/// A height below zero stands for rows from top to bottom; the oldest headers have sides of 16 bits.
fn bitmap_size(bytes: &[u8]) -> Option<(u32, u32)> {
    if !bytes.starts_with(b"BM") {
        return None;
    }
    match le32(bytes, 14)? {
        12 => Some((le16(bytes, 18)?.into(), le16(bytes, 20)?.into())),
        _ => Some((le32(bytes, 18)?, le32(bytes, 22)?.cast_signed().unsigned_abs())),
    }
}

/// TGA has no mark in front: it is what no other picture is, and makes sense as one.
fn targa_size(bytes: &[u8]) -> Option<(u32, u32)> {
    let known = super::sniff::is_targa(bytes);
    known.then(|| Some((le16(bytes, 12)?.into(), le16(bytes, 14)?.into())))?
}

/// Tags of a TIFF's width and height, and the bytes of its table of tags that are looked at.
const TIFF_SIDES: [u32; 2] = [256, 257];
const TIFF_TABLE_BYTES: u64 = 64 << 10;

fn tiff_size(bytes: &[u8], file: &mut File) -> Option<(u32, u32)> {
    let is_little = bytes.starts_with(b"II*\0");
    if !is_little && !bytes.starts_with(b"MM\0*") {
        return None;
    }
    let short = |bytes: &[u8], at| if is_little { le16(bytes, at) } else { be16(bytes, at) }.map(u32::from);
    let long = |bytes: &[u8], at| if is_little { le32(bytes, at) } else { be32(bytes, at) };
    let mut table = Vec::new();
    file.seek(SeekFrom::Start(long(bytes, 4)?.into())).ok()?;
    file.take(TIFF_TABLE_BYTES).read_to_end(&mut table).ok()?;
    let side = |tag: u32| {
        let entry = table.get(2..)?.chunks_exact(12).find(|entry| short(entry, 0) == Some(tag))?;
        // A number of 16 bits stands in front of its field.
        if short(entry, 2)? == 3 { short(entry, 8) } else { long(entry, 8) }
    };
    let [width, height] = TIFF_SIDES;
    Some((side(width)?, side(height)?))
}

fn png_size(bytes: &[u8]) -> Option<(u32, u32)> {
    let is_header = bytes.starts_with(b"\x89PNG") && bytes.get(12..16)? == b"IHDR";
    is_header.then(|| Some((be32(bytes, 16)?, be32(bytes, 20)?)))?
}

fn gif_size(bytes: &[u8]) -> Option<(u32, u32)> {
    bytes
        .starts_with(b"GIF8")
        .then(|| Some((le16(bytes, 6)?.into(), le16(bytes, 8)?.into())))?
}

fn jp2_size(bytes: &[u8]) -> Option<(u32, u32)> {
    bytes.starts_with(b"\0\0\0\x0cjP").then_some(())?;
    let header = bytes.windows(4).position(|window| window == b"ihdr")? + 4;
    Some((be32(bytes, header + 4)?, be32(bytes, header)?))
}

fn jpeg_size(bytes: &[u8]) -> Option<(u32, u32)> {
    let frame = jpeg::frame(bytes)?;
    Some((frame.width.into(), frame.height.into()))
}

fn webp_size(bytes: &[u8]) -> Option<(u32, u32)> {
    if !bytes.starts_with(b"RIFF") || bytes.get(8..12)? != b"WEBP" {
        return None;
    }
    match bytes.get(12..16)? {
        b"VP8 " => Some(((le16(bytes, 26)? & 0x3fff).into(), (le16(bytes, 28)? & 0x3fff).into())),
        b"VP8L" => {
            let packed = le32(bytes, 21)?;
            Some(((packed & 0x3fff) + 1, (packed >> 14 & 0x3fff) + 1))
        }
        b"VP8X" => Some((le24(bytes, 24)? + 1, le24(bytes, 27)? + 1)),
        _ => None,
    }
}
