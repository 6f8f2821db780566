//! What containers say of how films are coded, besides what demuxers make of it.

use std::{fs::File, io::Read, path::Path};

use super::{InputFacts, mp4::Index, streams::with_range};
use crate::parse::{dolby_vision::DolbyVision, matroska};

/// Bytes at the beginning of a Matroska file in which its tracks are looked for.
const HEAD_BYTES: u64 = 1 << 20;

/// What a container says of a track of pictures.
#[derive(Debug, Clone, Copy)]
pub struct Description {
    /// The number by which demuxers call it, too.
    track: u64,
    dolby_vision: Option<DolbyVision>,
    full_range: Option<bool>,
}

impl Description {
    /// Of the tracks of an MP4.
    pub fn of_mp4(index: &Index) -> Vec<Self> {
        let tracks = index.tracks.iter().filter(|track| track.handler == *b"vide");
        let described = tracks.map(|track| Self {
            track: track.id.into(),
            dolby_vision: track.entry.dolby_vision,
            full_range: track.entry.full_range,
        });
        described.collect()
    }

    /// Of the tracks of a Matroska or WebM file; what cannot be read tells nothing.
    pub fn of_matroska(head: &[u8]) -> Vec<Self> {
        let described = matroska::video_tracks(head).into_iter().map(|track| Self {
            track: track.number,
            dolby_vision: track.dolby_vision,
            full_range: None,
        });
        described.collect()
    }
}

/// The beginning of a Matroska or WebM file; empty where it cannot be read.
pub fn head(path: &Path) -> Vec<u8> {
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(HEAD_BYTES).read_to_end(&mut head));
    read.map(|_| head).unwrap_or_default()
}

/// Completes what is known of streams.
pub fn fill(facts: &mut InputFacts, descriptions: &[Description]) {
    for (stream, known) in facts.media.streams.iter_mut().zip(&facts.streams) {
        let track = known.id.as_deref().and_then(track_number);
        let described = descriptions.iter().find(|described| Some(described.track) == track);
        let (Some(described), Some(video)) = (described, &mut stream.video) else {
            continue;
        };
        if let Some(film) = described.dolby_vision.filter(|film| !film.has_common_base()) {
            facts.dolby_vision_alone.insert(stream.index, film.profile);
        }
        if let Some(full) = described.full_range.filter(|_| !known.tells_range) {
            video.colorimetry = with_range(&video.colorimetry, full);
        }
    }
}

/// Names of an MP4's tracks, which its demuxer does not tell.
pub fn name(facts: &mut InputFacts, index: &Index) {
    for known in facts.streams.iter_mut().filter(|known| known.title.is_empty()) {
        let number = known.id.as_deref().and_then(track_number);
        let track = index.tracks.iter().find(|track| Some(u64::from(track.id)) == number);
        known.title = track.map(|track| track.title.clone()).unwrap_or_default();
    }
}

/// Of an id such as `001` or `001:1807313420`.
fn track_number(id: &str) -> Option<u64> {
    id.split(':').next()?.parse().ok()
}
