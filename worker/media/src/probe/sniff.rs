//! What a file looks like by its first bytes: the container's name, or why it is none.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

use crate::parse::{mp3, plain_sound::W64_MARK};

/// Bytes that are looked at.
const WINDOW_BYTES: u64 = 4096;
const TS_PACKET: usize = 188;

/// What a file looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    Empty,
    /// Plain text: subtitles, playlists, error pages. Playlists are never followed.
    Text,
    /// A known format that is not media, such as "a ZIP archive".
    Other(&'static str),
    /// A container or an elementary stream, by ffprobe's short name.
    Media(&'static str),
    Unknown,
}

/// Looks at a file's first bytes.
pub fn look(path: &Path) -> io::Result<Look> {
    let mut window = Vec::new();
    let mut file = File::open(path)?;
    file.by_ref().take(WINDOW_BYTES).read_to_end(&mut window)?;
    match recognize(&window) {
        Look::Unknown if is_targa(&window) || ends_as_targa(&mut file)? => Ok(Look::Media("tga")),
        look => Ok(look),
    }
}

/// What these first bytes look like.
pub fn recognize(bytes: &[u8]) -> Look {
    if bytes.is_empty() {
        return Look::Empty;
    }
    if let Some(name) = media_name(bytes) {
        return Look::Media(name);
    }
    if let Some(name) = other_name(bytes) {
        return Look::Other(name);
    }
    if is_text(bytes) { Look::Text } else { Look::Unknown }
}

type Magic = (usize, &'static [u8], &'static str);

const MEDIA: &[Magic] = &[
    (0, b"FLV", "flv"),
    (0, b"GIF87a", "gif"),
    (0, b"GIF89a", "gif"),
    (0, b"\xff\xd8\xff", "jpeg"),
    (0, b"\x89PNG\r\n\x1a\n", "png"),
    (0, b"OggS", "ogg"),
    (0, b"fLaC", "flac"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "asf"),
    (0, b"\x06\x0e\x2b\x34\x02\x05\x01\x01", "mxf"),
    (0, b"\x00\x00\x01\xba", "mpeg"),
    (0, b"\x00\x00\x01\xb3", "mpegvideo"),
    (0, b"#!AMR", "amr"),
    (0, b"caff", "caf"),
    (0, W64_MARK, "w64"),
    (0, b"\x0b\x77", "ac3"),
    (0, b".RMF", "rm"),
    (0, b"DKIF", "ivf"),
    (0, b"MAC ", "ape"),
    (0, b"wvpk", "wv"),
    (0, b"II*\0", "tiff"),
    (0, b"MM\0*", "tiff"),
    (0, b"\0\0\0\x0cjP  \r\n\x87\n", "jp2"),
];

const OTHER: &[Magic] = &[
    (0, b"PK\x03\x04", "a ZIP archive or an office document"),
    (0, b"%PDF", "a PDF document"),
    (0, b"\x1f\x8b", "gzip-compressed data"),
    (0, b"\xfd7zXZ", "xz-compressed data"),
    (0, b"7z\xbc\xaf", "a 7-Zip archive"),
    (0, b"Rar!", "a RAR archive"),
    (0, b"\x7fELF", "a program"),
    (0, b"MZ", "a program"),
];

fn by_magic(bytes: &[u8], table: &[Magic]) -> Option<&'static str> {
    table
        .iter()
        .find(|(at, magic, _)| bytes.get(*at..).is_some_and(|rest| rest.starts_with(magic)))
        .map(|(_, _, name)| *name)
}

fn other_name(bytes: &[u8]) -> Option<&'static str> {
    by_magic(bytes, OTHER)
}

fn media_name(bytes: &[u8]) -> Option<&'static str> {
    by_magic(bytes, MEDIA)
        .or_else(|| isobmff_name(bytes))
        .or_else(|| riff_name(bytes))
        .or_else(|| ebml_name(bytes))
        .or_else(|| bitmap_name(bytes))
        .or_else(|| transport_stream_name(bytes))
        .or_else(|| annex_b_name(bytes))
        .or_else(|| mpeg_audio_name(bytes))
}

fn isobmff_name(bytes: &[u8]) -> Option<&'static str> {
    let kind = bytes.get(4..8)?;
    let brand = bytes.get(8..12).unwrap_or_default();
    match kind {
        b"ftyp" if [&b"heic"[..], b"heix", b"mif1", b"msf1", b"heim", b"heis", b"hevc", b"hevx", b"hevm"].contains(&brand) => Some("heif"),
        b"ftyp" if [&b"avif"[..], b"avis"].contains(&brand) => Some("avif"),
        b"ftyp" | b"moov" | b"mdat" | b"free" | b"skip" | b"wide" | b"pnot" | b"styp" | b"moof" | b"sidx" => Some("mp4"),
        _ => None,
    }
}

fn riff_name(bytes: &[u8]) -> Option<&'static str> {
    match (bytes.get(..4)?, bytes.get(8..12)?) {
        (b"RIFF", b"AVI ") => Some("avi"),
        (b"RIFF" | b"RF64" | b"BW64", b"WAVE") => Some("wav"),
        (b"RIFF", b"WEBP") => Some("webp"),
        (b"FORM", b"AIFF" | b"AIFC") => Some("aiff"),
        _ => None,
    }
}

/// BMP: two letters, and the length of a header that there is.
fn bitmap_name(bytes: &[u8]) -> Option<&'static str> {
    let header = bytes.strip_prefix(b"BM")?.get(12..16)?;
    let known = [12u32, 16, 40, 52, 56, 64, 108, 124]
        .iter()
        .any(|length| header == length.to_le_bytes());
    known.then_some("bmp")
}

/// The mark behind newer TGA pictures.
const TARGA_MARK: &[u8] = b"TRUEVISION-XFILE.\0";

fn ends_as_targa(file: &mut File) -> io::Result<bool> {
    let length = file.metadata()?.len();
    let mut tail = Vec::new();
    file.seek(SeekFrom::Start(length.saturating_sub(TARGA_MARK.len() as u64)))?;
    file.take(TARGA_MARK.len() as u64).read_to_end(&mut tail)?;
    Ok(tail == TARGA_MARK)
}

/// Older ones have no mark: a head of 18 bytes in which all that is written makes sense.
pub fn is_targa(bytes: &[u8]) -> bool {
    let Some(&[_, map, kind, m0, m1, m2, m3, map_bits, _, _, _, _, w0, w1, h0, h1, bits, order]) = bytes.get(..18) else {
        return false;
    };
    let has_pixels = (w0 | w1) != 0 && (h0 | h1) != 0 && order & 0xc0 == 0;
    match kind {
        1 | 9 => map == 1 && matches!(map_bits, 15 | 16 | 24 | 32) && bits == 8 && has_pixels,
        2 | 3 | 10 | 11 => map == 0 && [m0, m1, m2, m3, map_bits] == [0; 5] && matches!(bits, 8 | 15 | 16 | 24 | 32) && has_pixels,
        _ => false,
    }
}

fn ebml_name(bytes: &[u8]) -> Option<&'static str> {
    if !bytes.starts_with(b"\x1a\x45\xdf\xa3") {
        return None;
    }
    let head = bytes.get(..bytes.len().min(128))?;
    let webm = head.windows(4).any(|window| window == b"webm");
    Some(if webm { "webm" } else { "matroska" })
}

/// Packets of 188 bytes, or of 192 with a time stamp in front (M2TS); three of them must start with the sync byte.
fn transport_stream_name(bytes: &[u8]) -> Option<&'static str> {
    let synced = |first: usize, step: usize| (0..3).all(|packet| bytes.get(first + packet * step) == Some(&0x47));
    let found = (0..TS_PACKET).any(|first| synced(first, TS_PACKET)) || synced(4, TS_PACKET + 4);
    found.then_some("mpegts")
}

/// H.264 or H.265 without a container: a start code and a parameter set.
fn annex_b_name(bytes: &[u8]) -> Option<&'static str> {
    let rest = bytes.strip_prefix(b"\0").unwrap_or(bytes).strip_prefix(b"\0\0\x01")?;
    match rest.first()? {
        0x67 | 0x27 | 0x09 => Some("h264"),
        0x40 | 0x42 | 0x46 => Some("hevc"),
        _ => None,
    }
}

fn mpeg_audio_name(bytes: &[u8]) -> Option<&'static str> {
    let head: [u8; 10] = bytes.get(..10)?.try_into().ok()?;
    let tag = usize::try_from(mp3::id3_length(&head)).ok()?;
    if tag > 0 {
        return Some(bytes.get(tag..).and_then(frame_name).unwrap_or("mp3"));
    }
    frame_name(bytes)
}

fn frame_name(bytes: &[u8]) -> Option<&'static str> {
    let &[sync, second, third, ..] = bytes else { return None };
    if bytes.starts_with(b"fLaC") {
        return Some("flac");
    }
    let valid = sync == 0xff && second & 0xe0 == 0xe0 && second >> 3 & 3 != 1;
    match second & 0x06 {
        0 if valid && second & 0xf0 == 0xf0 => Some("aac"),
        2 | 4 | 6 if valid && !matches!(third >> 4, 0 | 15) && third >> 2 & 3 != 3 => Some("mp3"),
        _ => None,
    }
}

/// Text: UTF-16 with its mark, or UTF-8 without control characters.
fn is_text(bytes: &[u8]) -> bool {
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return true;
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        // The window may end inside a character.
        Err(error) if error.error_len().is_none() => std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default(),
        Err(_) => return false,
    };
    !text.is_empty()
        && text
            .chars()
            .all(|found| !found.is_control() || matches!(found, '\n' | '\r' | '\t' | '\u{c}'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_playlists_are_told_from_media() {
        assert_eq!(recognize(b""), Look::Empty);
        assert_eq!(recognize(b"#EXTM3U\nfile:///etc/passwd\n"), Look::Text);
        assert_eq!(recognize("Grüße\n".as_bytes()), Look::Text);
        assert_eq!(recognize(b"<?xml version=\"1.0\"?><MPD/>"), Look::Text);
        assert_eq!(recognize(b"PK\x03\x04abcd"), Look::Other("a ZIP archive or an office document"));
        assert_eq!(recognize(b"\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c"), Look::Unknown);
    }

    #[test]
    fn containers_are_named_as_ffprobe_names_them() {
        assert_eq!(recognize(b"\0\0\0\x18ftypisom"), Look::Media("mp4"));
        assert_eq!(recognize(b"\x1a\x45\xdf\xa3\x9fB\x82\x84webm"), Look::Media("webm"));
        assert_eq!(recognize(b"\x1a\x45\xdf\xa3\x9fB\x82\x88matroska"), Look::Media("matroska"));
        assert_eq!(recognize(b"RIFF\0\0\0\0WEBPVP8 "), Look::Media("webp"));
        assert_eq!(recognize(b"\xff\xfb\x90\x64\0\0\0\0\0\0"), Look::Media("mp3"));
        assert_eq!(recognize(b"\xff\xf1\x4c\x80\0\0\0\0\0\0"), Look::Media("aac"));
        assert_eq!(recognize(b"BM\x36\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0"), Look::Media("bmp"));
        assert_eq!(recognize(b"BMW is a make of cars\n"), Look::Text);
        assert_eq!(recognize(b"\0\0\0\x0cjP  \r\n\x87\n\0"), Look::Media("jp2"));
        assert!(is_targa(b"\0\0\x0a\0\0\0\0\0\0\0\0\0\x40\x01\xb4\0\x18\x20"));
        let mut packets = vec![0u8; 600];
        for packet in 0..3 {
            packets[packet * 188] = 0x47;
        }
        assert_eq!(recognize(&packets), Look::Media("mpegts"));
    }
}
