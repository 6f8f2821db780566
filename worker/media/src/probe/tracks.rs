//! Tracks of an MP4 that its demuxer must read otherwise than they stand: one that cannot be read would cost all others, one that lasts less
//! than a fifth of the film would be left out, and some codecs are known under another name.

use super::mp4::seconds;
use crate::isobmff::{Child, be32, child, children, descendant};

/// Least bytes of headers that the demuxer wants.
const LEAST_TRACK_HEADER: usize = 84;
const LEAST_PICTURE_ENTRY: usize = 86;
const LEAST_ENTRY: usize = 8;
/// Bytes of a sample description of sound before its boxes.
const SOUND_ENTRY_BYTES: usize = 36;

/// What is read otherwise, at positions of the index's body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mended {
    pub patches: Vec<(usize, Vec<u8>)>,
    /// Kinds of those tracks that cannot be read: `vide`, `soun`, or nothing that is known.
    pub unreadable: Vec<[u8; 4]>,
    /// Sample formats of PCM by the tracks' numbers, in GStreamer's words.
    pub formats: Vec<(u32, &'static str)>,
}

/// Looks at all tracks of an index.
pub fn mend(moov: &[u8]) -> Mended {
    let mut mended = Mended::default();
    let in_fragments = child(moov, b"mvex").is_some();
    // In fragments all tracks are kept, however short.
    let movie = child(moov, b"mvhd").and_then(super::mp4::timed_header).filter(|_| !in_fragments);
    for track in children(moov).filter(|found| found.kind == *b"trak") {
        let handler = handler(track.body);
        let is_readable = readable(track.body, in_fragments).is_some();
        if !is_readable || handler == Some(*b"auxv") {
            // Depths and gain maps belong to a picture, and no one else can use them.
            mended.unreadable.extend(Some(handler.unwrap_or_default()).filter(|_| !is_readable));
            mended.patches.extend(name_of(moov, &track).map(|at| (at, b"free".to_vec())));
            continue;
        }
        if let Some((movie_scale, Some(length))) = movie {
            mended.patches.extend(lengthened(&track, movie_scale, length));
        }
        rename_pcm(&track, &mut mended);
    }
    mended
}

fn handler(trak: &[u8]) -> Option<[u8; 4]> {
    descendant(trak, &[b"mdia", b"hdlr"])?.get(8..12)?.try_into().ok()
}

/// What the demuxer wants of a track before it takes the file; in fragments samples have no table.
pub fn readable(trak: &[u8], in_fragments: bool) -> Option<()> {
    child(trak, b"tkhd").filter(|header| header.len() >= LEAST_TRACK_HEADER)?;
    let media = child(trak, b"mdia")?;
    let (scale, _) = child(media, b"mdhd").and_then(super::mp4::timed_header)?;
    let handler = handler(trak)?;
    let table = descendant(media, &[b"minf", b"stbl"])?;
    let descriptions = child(table, b"stsd")?;
    let count = usize::try_from(be32(descriptions, 4)?).ok()?;
    let length = usize::try_from(be32(descriptions, 8)?).ok()?;
    let least = if handler == *b"vide" { LEAST_PICTURE_ENTRY } else { LEAST_ENTRY };
    let has = |kinds: &[&[u8; 4]]| kinds.iter().any(|kind| child(table, kind).is_some());
    let is_whole = has(&[b"stts"]) && has(&[b"stsc"]) && has(&[b"stsz", b"stz2"]) && has(&[b"stco", b"co64"]);
    let fits = length >= least && length <= descriptions.len() - 8;
    (scale > 0 && count > 0 && count <= descriptions.len() / LEAST_ENTRY && fits && (in_fragments || is_whole)).then_some(())
}

/// Where a box's name stands, which a short header of 8 bytes precedes.
fn name_of(parent: &[u8], found: &Child<'_>) -> Option<usize> {
    let at = found.offset.checked_sub(4)?;
    (parent.get(at..at + 4)? == found.kind).then_some(at)
}

/// A track that lasts less than a fifth of the movie is said to last as long.
fn lengthened(track: &Child<'_>, movie_scale: u32, movie_length: u64) -> Option<(usize, Vec<u8>)> {
    let media = children(track.body).find(|found| found.kind == *b"mdia")?;
    let header = children(media.body).find(|found| found.kind == *b"mdhd")?;
    let (scale, length) = super::mp4::timed_header(header.body)?;
    let (own, whole) = (seconds(length?, scale)?, seconds(movie_length, movie_scale)?);
    if own * 5 >= whole {
        return None;
    }
    let ticks = (whole.as_secs_f64() * f64::from(scale)) as u64;
    let at = track.offset + media.offset + header.offset;
    Some(match header.body.first() {
        Some(1) => (at + 24, ticks.to_be_bytes().to_vec()),
        _ => (at + 16, u32::try_from(ticks).ok()?.to_be_bytes().to_vec()),
    })
}

/// PCM of ISO/IEC 23003-5 under the names that QuickTime has for it.
fn rename_pcm(track: &Child<'_>, mended: &mut Mended) -> Option<()> {
    let path: [&[u8; 4]; 4] = [b"mdia", b"minf", b"stbl", b"stsd"];
    let (mut body, mut at) = (track.body, track.offset);
    for kind in path {
        let found = children(body).find(|found| found.kind == *kind)?;
        (body, at) = (found.body, at + found.offset);
    }
    let entry = body.get(8..)?;
    let is_float = match entry.get(4..8)? {
        b"ipcm" => false,
        b"fpcm" => true,
        _ => return None,
    };
    let length = usize::try_from(be32(entry, 0)?).ok()?;
    let configuration = child(entry.get(SOUND_ENTRY_BYTES..length)?, b"pcmC")?;
    let (is_little, bits) = (configuration.get(4)? & 1 != 0, configuration.get(5)?);
    let (name, format) = match (is_float, bits, is_little) {
        (false, 16, true) => (b"sowt", "S16LE"),
        (false, 16, false) => (b"twos", "S16BE"),
        (false, 24, true) => (b"in24", "S24LE"),
        (false, 24, false) => (b"in24", "S24BE"),
        (false, 32, true) => (b"in32", "S32LE"),
        (false, 32, false) => (b"in32", "S32BE"),
        (true, 32, true) => (b"fl32", "F32LE"),
        (true, 32, false) => (b"fl32", "F32BE"),
        (true, 64, true) => (b"fl64", "F64LE"),
        (true, 64, false) => (b"fl64", "F64BE"),
        _ => return None,
    };
    let header = child(track.body, b"tkhd")?;
    let id = be32(header, if header.first() == Some(&1) { 20 } else { 12 })?;
    mended.patches.push((at + 8 + 4, name.to_vec()));
    mended.formats.push((id, format));
    Some(())
}
