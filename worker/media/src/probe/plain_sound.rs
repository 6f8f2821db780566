//! CAF and Wave64, which no demuxer of GStreamer 1.22 reads: plain samples are read as WAV or AIFF, of all others it is said what they are.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
    time::{Duration, Instant},
};

use mps_proto::{
    v1::{AudioProperties, MediaInfo, MediaStream},
    worker::v1::Failure,
};

use super::{Extent, InputFacts, StreamFacts, refuse, sniff::Look, walked_facts};
use crate::{
    parse::plain_sound::PlainSound,
    reading::{Patches, Reading},
};

/// Chunks before the samples are looked for in so many bytes.
const HEAD_BYTES: u64 = 1 << 20;

/// What a file of one of the containers holds.
pub fn read(path: &Path, container: &str) -> io::Result<Option<PlainSound>> {
    let mut head = Vec::new();
    File::open(path)?.take(HEAD_BYTES).read_to_end(&mut head)?;
    Ok(match container {
        "caf" => PlainSound::of_caf(&head),
        _ => PlainSound::of_w64(&head),
    })
}

/// How long the file says that it lasts.
pub fn length(path: &Path, container: &str) -> io::Result<Option<Duration>> {
    let seconds = read(path, container)?.and_then(|sound| sound.seconds());
    Ok(seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()))
}

pub fn facts(path: &Path, container: &'static str, extent: Extent, ends: Instant) -> Result<InputFacts, Failure> {
    let unreadable = |error: &io::Error| refuse::unreadable(error);
    let sound = read(path, container).map_err(|error| unreadable(&error))?;
    let sound = sound.ok_or_else(|| refuse::not_media(Look::Media(container), "its samples are not described"))?;
    let file_bytes = std::fs::metadata(path).map_err(|error| unreadable(&error))?.len();
    let Some(beginning) = sound.beginning(file_bytes) else {
        return Ok(unread(&sound, container));
    };
    let reading = Reading {
        patches: Patches {
            bytes: vec![(0, beginning)],
            ..Patches::default()
        },
        ..Reading::default()
    };
    walked_facts(path, container, reading, extent, ends)
}

fn unread(sound: &PlainSound, container: &str) -> InputFacts {
    let stream = MediaStream {
        kind: "audio".to_owned(),
        codec: sound.codec.clone(),
        audio: Some(AudioProperties {
            sample_rate_hz: i32::try_from(sound.sample_rate_hz).unwrap_or(0),
            channels: sound.channels.into(),
        }),
        ..MediaStream::default()
    };
    InputFacts {
        media: MediaInfo {
            container: container.to_owned(),
            streams: vec![stream],
            ..MediaInfo::default()
        },
        streams: vec![StreamFacts::default()],
        undecodable: vec![0],
        ..InputFacts::default()
    }
}
