//! From a plan's rules to figures, once the input is known: percent, negative offsets, sizes, frame rates, missing streams. Pure.

pub mod decoders;
mod geometry;
pub mod language;
pub mod levels;
pub mod offsets;

use std::time::Duration;

use mps_proto::{
    rpc::Status,
    v1::{ErrorReason, Fit, MediaStream, VideoCodec, VideoSettings},
    worker::v1::Failure,
};

use crate::{failure, finish::Turn, probe::InputFacts};

pub use geometry::{Frame, Geometry, pixels};
pub use offsets::Clip;

/// The film, or the still picture: never an attached picture.
pub fn film(facts: &InputFacts) -> Option<&MediaStream> {
    facts.media.streams.iter().find(|stream| stream.kind == "video").or_else(|| {
        let pictures_are_all = facts.still_picture || facts.own_pictures;
        facts.media.streams.iter().find(|stream| pictures_are_all && stream.kind == "image")
    })
}

/// The first track of sound.
pub fn sound(facts: &InputFacts) -> Option<&MediaStream> {
    facts.media.streams.iter().find(|stream| stream.kind == "audio")
}

/// What the input lasts; `None` when nobody knows before it is read.
pub fn duration(facts: &InputFacts) -> Option<Duration> {
    let span = facts.media.duration.as_ref()?;
    let duration = Duration::try_from(*span).ok()?;
    (!duration.is_zero()).then_some(duration)
}

/// When a stream ends, as far as the input says; `None`: a still picture, or nobody knows.
pub fn stream_end(facts: &InputFacts, stream: &MediaStream) -> Option<Duration> {
    let whole = duration(facts)?;
    let own = stream.duration.and_then(|duration| Duration::try_from(duration).ok());
    // Tracks of an MP4 count from the zero of its clock: what is empty in front of all of them is no part of the input's own time.
    let before = if facts.media.container == "mp4" {
        facts.zero
    } else {
        Duration::ZERO
    };
    let own = own.map(|own| own.saturating_sub(before));
    Some(own.filter(|own| !own.is_zero()).map_or(whole, |own| own.min(whole)))
}

/// Less sound than this makes no packet of most codecs.
const LEAST_SOUND: Duration = Duration::from_millis(50);

/// Whether a stream of sound has anything to speak of inside a clip, as far as the input says.
pub fn reaches(facts: &InputFacts, stream: &MediaStream, clip: Clip) -> bool {
    let first = facts.of_stream(stream.index).and_then(|stream| stream.first);
    let begins = first.unwrap_or(facts.zero).saturating_sub(facts.zero);
    let is_in_time = clip.end.is_none_or(|end| begins + LEAST_SOUND.min(end / 2) < end);
    let is_over = !clip.start.is_zero() && stream_end(facts, stream).is_some_and(|end| end <= clip.start + LEAST_SOUND);
    is_in_time && !is_over
}

/// Frames per second of the film; `None` when variable or unknown.
pub fn frame_rate(stream: Option<&MediaStream>) -> Option<(i32, i32)> {
    let video = stream?.video.as_ref()?;
    (video.frame_rate_num > 0 && video.frame_rate_den > 0).then_some((video.frame_rate_num, video.frame_rate_den))
}

/// How the input's picture is turned for display.
pub fn turn(facts: &InputFacts) -> Turn {
    let video = film(facts).and_then(|stream| stream.video.as_ref());
    video.map_or_else(Turn::default, |video| Turn {
        mirrored: video.mirrored,
        rotation_deg: video.rotation_deg,
    })
}

/// Refuses a stream that no decoder on this machine takes, or none as it should be shown.
pub fn unless_undecodable(stream: &MediaStream, facts: &InputFacts) -> Result<(), Failure> {
    if let Some(profile) = facts.dolby_vision_alone.get(&stream.index) {
        return Err(failure::data(
            ErrorReason::DecoderMissing,
            format!("no decoder for Dolby Vision profile {profile} is installed, and its pictures are green and purple without one"),
            "give a file of profile 7 or 8, or without Dolby Vision; sound and copies are made of this one, too",
        ));
    }
    if !facts.undecodable.contains(&stream.index) {
        return Ok(());
    }
    Err(failure::data(
        ErrorReason::DecoderMissing,
        format!("no decoder for {} ({}) is installed", stream.codec, stream.kind),
        &decoders::hint(&stream.codec, &facts.media.container),
    ))
}

/// How long a video of a still picture is to be; `None`: the input is no still picture.
pub fn still_length(settings: &VideoSettings, facts: &InputFacts) -> Result<Option<Duration>, Failure> {
    if !facts.still_picture {
        return Ok(None);
    }
    let told = settings.still_duration.and_then(|length| Duration::try_from(length).ok());
    match told.filter(|_| settings.codec() != VideoCodec::Copy) {
        Some(length) => Ok(Some(length)),
        None => Err(failure::data(
            ErrorReason::Unsupported,
            "the input is a still picture, and nothing says how long a video of it is to be",
            "set still_duration in the video settings, with a codec other than VIDEO_CODEC_COPY; or take a snapshot instead",
        )),
    }
}

/// What is said where a length for still pictures is set and the input is none.
pub fn idle_still_length(settings: &VideoSettings, facts: &InputFacts) -> Option<Status> {
    let idle = settings.still_duration.is_some() && !facts.still_picture;
    idle.then(|| {
        failure::warning(
            ErrorReason::Unsupported,
            "still_duration changed nothing: the input is no still picture",
            &[("hint", "end_offset cuts a video".to_owned())],
        )
    })
}

/// Whether a fit asks for bars.
pub fn wants_bars(fit: Fit) -> bool {
    fit == Fit::Pad
}

/// The input lacks a stream that the node needs.
pub fn stream_missing(message: &str, hint: &str) -> Failure {
    failure::data(ErrorReason::StreamMissing, message, hint)
}

/// What a worker of another version would know.
pub fn unsupported(message: &str) -> Failure {
    failure::data(ErrorReason::Unsupported, message, "upgrade the worker to the server's version")
}

/// Tracks of sound, in the order of the input.
pub fn sounds(facts: &InputFacts) -> Vec<&MediaStream> {
    facts.media.streams.iter().filter(|stream| stream.kind == "audio").collect()
}

#[cfg(test)]
mod tests {
    use mps_proto::v1::MediaInfo;

    use super::*;
    use crate::probe::StreamFacts;

    #[test]
    fn sound_reaches_a_clip_when_a_packet_of_it_lies_inside() {
        let ms = Duration::from_millis;
        let sound = MediaStream {
            kind: "audio".into(),
            duration: ms(3000).try_into().ok(),
            ..MediaStream::default()
        };
        let reaches = |begins: u64, start: u64, end: Option<u64>| {
            let facts = InputFacts {
                media: MediaInfo {
                    duration: ms(9000).try_into().ok(),
                    streams: vec![sound.clone()],
                    ..MediaInfo::default()
                },
                streams: vec![StreamFacts {
                    first: Some(ms(begins)),
                    ..StreamFacts::default()
                }],
                ..InputFacts::default()
            };
            let clip = Clip {
                start: ms(start),
                end: end.map(ms),
            };
            super::reaches(&facts, &sound, clip)
        };
        assert!(reaches(0, 0, None) && reaches(0, 2000, Some(4000)) && reaches(600, 0, Some(700)));
        assert!(!reaches(0, 3000, None) && !reaches(600, 0, Some(601)) && !reaches(600, 0, Some(500)));
        // Of a clip that is shorter itself, half is enough.
        assert!(reaches(7, 0, Some(40)) && !reaches(45, 0, Some(40)));
    }

    #[test]
    fn what_is_empty_in_front_of_all_tracks_is_no_part_of_a_stream() {
        let span = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
        let film = MediaStream {
            kind: "video".into(),
            duration: span(13),
            ..MediaStream::default()
        };
        let of = |container: &str| InputFacts {
            media: MediaInfo {
                container: container.into(),
                duration: span(5),
                ..MediaInfo::default()
            },
            zero: Duration::from_secs(10),
            ..InputFacts::default()
        };
        assert_eq!(stream_end(&of("mp4"), &film), Some(Duration::from_secs(3)));
        assert_eq!(stream_end(&of("avi"), &film), Some(Duration::from_secs(5)));
    }
}
