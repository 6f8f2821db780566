//! Tracks of a Matroska or WebM file, from its head: what no caps tell.

use std::time::Duration;

use super::{
    dolby_vision::DolbyVision,
    numbers::{be32, be64},
};

const EBML: u32 = 0x1a45_dfa3;
const SEGMENT: u32 = 0x1853_8067;
const TRACKS: u32 = 0x1654_ae6b;
const TRACK: u32 = 0xae;
const TRACK_NUMBER: u32 = 0xd7;
const TRACK_TYPE: u32 = 0x83;
const MAPPING: u32 = 0x41e4;
const MAPPING_TYPE: u32 = 0x41e7;
const MAPPING_DATA: u32 = 0x41ed;
const VIDEO: u8 = 1;
const INFORMATION: u32 = 0x1549_a966;
const DURATION: u32 = 0x4489;
const SCALE: u32 = 0x002a_d7b1;
const CHAPTERS: u32 = 0x1043_a770;
const EDITION: u32 = 0x45b9;
const CHAPTER: u32 = 0xb6;
const ATTACHMENTS: u32 = 0x1941_a469;
const ATTACHED_FILE: u32 = 0x61a7;
const MEDIA_TYPE: u32 = 0x4660;
const USUAL_SCALE_NS: u64 = 1_000_000;

/// What is read of a track of pictures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VideoTrack {
    pub number: u64,
    pub dolby_vision: Option<DolbyVision>,
}

/// The tracks of pictures in their order; `head`: as much of the file's beginning as is at hand.
pub fn video_tracks(head: &[u8]) -> Vec<VideoTrack> {
    let segment = elements(head)
        .skip_while(|found| found.id == EBML)
        .find(|found| found.id == SEGMENT);
    let tracks = segment.and_then(|segment| elements(segment.body).find(|found| found.id == TRACKS));
    let entries = tracks
        .into_iter()
        .flat_map(|tracks| elements(tracks.body))
        .filter(|found| found.id == TRACK);
    entries
        .filter(|entry| is_video(entry.body))
        .map(|entry| video_track(entry.body))
        .collect()
}

/// How many chapters it has, and how many attached files that are no pictures; `head`: as above.
pub fn beside(head: &[u8]) -> (usize, usize) {
    let segment = elements(head).find(|found| found.id == SEGMENT);
    let inside = |id: u32, part: u32| {
        let found = segment
            .iter()
            .flat_map(|segment| elements(segment.body))
            .filter(move |found| found.id == id);
        found.flat_map(|found| elements(found.body)).filter(move |found| found.id == part)
    };
    let chapters = inside(CHAPTERS, EDITION).map(|edition| elements(edition.body).filter(|found| found.id == CHAPTER).count());
    let is_picture = |file: &Element| elements(file.body).any(|found| found.id == MEDIA_TYPE && found.body.starts_with(b"image/"));
    let attached = inside(ATTACHMENTS, ATTACHED_FILE).filter(|file| !is_picture(file));
    (chapters.max().unwrap_or(0), attached.count())
}

/// How long the file lasts, as its head says; recordings that were never finished say nothing.
pub fn duration(head: &[u8]) -> Option<Duration> {
    let segment = elements(head).find(|found| found.id == SEGMENT)?;
    let information = elements(segment.body).find(|found| found.id == INFORMATION)?;
    let part = |id: u32| elements(information.body).find(|found| found.id == id).map(|found| found.body);
    let ticks = match part(DURATION)? {
        body if body.len() == 4 => f32::from_bits(be32(body, 0)?).into(),
        body => f64::from_bits(be64(body, 0)?),
    };
    let scale_ns = part(SCALE).map_or(USUAL_SCALE_NS, number);
    let length = Duration::try_from_secs_f64(ticks * scale_ns as f64 / 1e9).ok()?;
    (!length.is_zero()).then_some(length)
}

fn number(body: &[u8]) -> u64 {
    body.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn is_video(entry: &[u8]) -> bool {
    elements(entry).any(|found| found.id == TRACK_TYPE && found.body == [VIDEO])
}

fn video_track(entry: &[u8]) -> VideoTrack {
    let mappings = elements(entry).filter(|found| found.id == MAPPING);
    let track = elements(entry).find(|found| found.id == TRACK_NUMBER);
    VideoTrack {
        number: track.map_or(0, |track| number(track.body)),
        dolby_vision: mappings.filter_map(|mapping| dolby_vision(mapping.body)).next(),
    }
}

fn dolby_vision(mapping: &[u8]) -> Option<DolbyVision> {
    let part = |id: u32| elements(mapping).find(|found| found.id == id).map(|found| found.body);
    [b"dvcC", b"dvvC", b"dvwC"]
        .contains(&part(MAPPING_TYPE)?.try_into().ok()?)
        .then(|| DolbyVision::read(part(MAPPING_DATA)?))?
}

struct Element<'a> {
    id: u32,
    body: &'a [u8],
}

/// The elements directly in a body; one that goes over its end, or whose length is unknown, ends there.
fn elements(body: &[u8]) -> impl Iterator<Item = Element<'_>> {
    let mut rest = body;
    std::iter::from_fn(move || {
        let (id, after_id) = id(rest)?;
        let (length, after_length) = length(after_id)?;
        let length = length.and_then(|length| usize::try_from(length).ok()).unwrap_or(usize::MAX);
        let (body, following) = after_length.split_at(length.min(after_length.len()));
        rest = following;
        Some(Element { id, body })
    })
}

/// An identifier with its marker, and what follows it.
fn id(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let width = bytes.first()?.leading_zeros() as usize + 1;
    let (id, rest) = bytes.split_at_checked(width).filter(|_| width <= 4)?;
    Some((id.iter().fold(0, |id, byte| id << 8 | u32::from(*byte)), rest))
}

/// A length, `None`: unknown; and what follows it.
fn length(bytes: &[u8]) -> Option<(Option<u64>, &[u8])> {
    let width = bytes.first()?.leading_zeros() as usize + 1;
    let (length, rest) = bytes.split_at_checked(width).filter(|_| width <= 8)?;
    let value = length.iter().fold(0u64, |length, byte| length << 8 | u64::from(*byte));
    let most = (1u64 << (7 * width)) - 1;
    Some(((value & most != most).then_some(value & most), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(id: &[u8], body: &[u8]) -> Vec<u8> {
        [id, &[0x80 | body.len() as u8], body].concat()
    }

    #[test]
    fn a_length_is_told_in_ticks_of_a_scale() {
        let ticks = element(&[0x44, 0x89], &2000f64.to_be_bytes());
        let scale = element(&[0x2a, 0xd7, 0xb1], &500_000u32.to_be_bytes());
        let head = |parts: &[Vec<u8>]| element(&[0x18, 0x53, 0x80, 0x67], &element(&[0x15, 0x49, 0xa9, 0x66], &parts.concat()));
        assert_eq!(duration(&head(&[scale, ticks.clone()])), Some(Duration::from_secs(1)));
        assert_eq!(duration(&head(&[ticks])), Some(Duration::from_secs(2)));
        assert_eq!(duration(&head(&[])), None);
    }

    #[test]
    fn a_mapping_tells_of_dolby_vision() {
        let mapping = [
            element(&[0x41, 0xe7], b"dvcC"),
            element(&[0x41, 0xed], &[1, 0, 5 << 1, 0b11_0101, 0, 0]),
        ]
        .concat();
        let sound = element(&[0xae], &element(&[0x83], &[2]));
        let plain = element(&[0xae], &element(&[0x83], &[1]));
        let dolby = element(
            &[0xae],
            &[element(&[0xd7], &[3]), element(&[0x83], &[1]), element(&[0x41, 0xe4], &mapping)].concat(),
        );
        let tracks = element(&[0x16, 0x54, 0xae, 0x6b], &[sound, plain, dolby].concat());
        let head = [
            element(&[0x1a, 0x45, 0xdf, 0xa3], &[]),
            // Of unknown length, as in live recordings.
            vec![0x18, 0x53, 0x80, 0x67, 0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            tracks,
        ]
        .concat();
        let found = video_tracks(&head);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].dolby_vision, found[1].number), (None, 3));
        assert_eq!(found[1].dolby_vision, Some(DolbyVision { profile: 5, base: 0 }));
        for length in 0..head.len() {
            video_tracks(&head[..length]);
        }
    }
}
