//! What is known of an MP4 by its index, together with what a walk saw.

use std::{path::Path, time::Instant};

use mps_proto::{
    rpc,
    v1::{ErrorReason, MediaInfo, MediaStream, VideoProperties},
    worker::v1::Failure,
};

use super::{
    Extent, InputFacts, StreamFacts,
    descriptions::{self, Description},
    mp4::{self, IndexTrack, Pace},
    refuse, shape, to_proto,
    trim::Trim,
    walked_facts,
};
use crate::{
    failure,
    reading::{Patches, Reading},
    rules,
};

pub fn facts(path: &Path, extent: Extent, ends: Instant) -> Result<InputFacts, Failure> {
    let index = mp4::read(path).map_err(|error| refuse::damaged_index(&error))?;
    refuse::unless_indexed(&index)?;
    let mut facts = walked_facts(path, "mp4", reading(&index), extent, ends)?;
    facts.truncated_bytes = index.truncated_bytes;
    facts.is_all_there = index.truncated_bytes == 0 && !index.fragmented;
    facts.edit_list_inside = index.edit_list_inside;
    facts.index_first = index.first;
    let sound_rate = rules::sound(&facts)
        .and_then(|stream| stream.audio.as_ref())
        .map_or(0, |audio| audio.sample_rate_hz);
    facts.trim = Trim::of_mp4(&index, sound_rate);
    facts.sound_edit = !index.fragmented && index.only_sound().is_some_and(|track| track.skips);
    facts.fragmented = index.fragmented;
    facts.beside = index.beside;
    let by_index = index.duration.map(|duration| duration.saturating_sub(facts.zero));
    facts.promised_duration = by_index.or(facts.promised_duration.filter(|_| !index.fragmented));
    if let Some(duration) = by_index.or(index.measured) {
        facts.media.duration = to_proto(duration);
    }
    facts.left_out_tracks = hidden(&index, &facts.streams).count();
    facts.warnings.extend(unreadable(&index));
    descriptions::fill(&mut facts, &Description::of_mp4(&index));
    descriptions::name(&mut facts, &index);
    fill(&mut facts, &index);
    Ok(facts)
}

fn reading(index: &mp4::Index) -> Reading {
    let formats = index.formats.iter().map(|(track, format)| (id_of(*track), *format));
    Reading {
        patches: Patches {
            bytes: index.patches.clone(),
            ..Patches::default()
        },
        formats: formats.collect(),
        ..Reading::default()
    }
}

/// How the demuxer calls a track.
fn id_of(track: u32) -> String {
    format!("{track:03}")
}

fn is_media(track: &IndexTrack) -> bool {
    matches!(&track.handler, b"vide" | b"soun")
}

/// Tracks of film or sound that the index has and the demuxer does not show.
fn hidden<'a>(index: &'a mp4::Index, streams: &[StreamFacts]) -> impl Iterator<Item = &'a IndexTrack> {
    let is_shown = |track: &IndexTrack| streams.iter().any(|stream| stream.id.as_deref() == Some(&id_of(track.id)));
    index
        .tracks
        .iter()
        .filter(move |track| track.samples > 0 && is_media(track) && !is_shown(track))
}

fn unreadable(index: &mp4::Index) -> impl Iterator<Item = rpc::Status> {
    let kinds = index.unreadable.iter().filter_map(|handler| match handler {
        b"vide" => Some("film"),
        b"soun" => Some("sound"),
        _ => None,
    });
    let hint = || ("hint", "upload the original file again, if the track is wanted".to_owned());
    kinds.map(move |kind| {
        let text = format!("a track of {kind} cannot be read and was left out: its description in the index is damaged");
        failure::warning(ErrorReason::StreamMissing, text, &[hint()])
    })
}

/// Durations and paces of tracks, which the walk does not tell; and what the index promises.
fn fill(facts: &mut InputFacts, index: &mp4::Index) {
    let mut film: Option<&IndexTrack> = None;
    for (stream, known) in facts.media.streams.iter_mut().zip(&mut facts.streams) {
        let Some(track) = index.tracks.iter().find(|track| known.id.as_deref() == Some(&id_of(track.id))) else {
            continue;
        };
        known.available = track.available;
        known.pace = track.quickest.filter(|_| known.pace.is_some()).or(known.pace);
        describe(stream, track);
        if stream.kind == "video" {
            film = film.or(Some(track));
        }
    }
    if let Some(track) = film {
        shape::by_index(facts, &track.shown);
        facts.promised_video_frames = Some(track.samples).filter(|frames| *frames > 0 && !index.edit_list_inside);
    }
}

fn describe(stream: &mut MediaStream, track: &IndexTrack) {
    stream.duration = track.duration.and_then(to_proto);
    // Samples are fields there.
    let comes_in_fields = stream.codec == "hevc" && stream.video.as_ref().is_some_and(|video| video.interlaced);
    if let Some(video) = &mut stream.video {
        if !comes_in_fields {
            set_pace(video, track.pace);
        }
        (video.mirrored, video.rotation_deg) = (track.shown.turn.mirrored, track.shown.turn.rotation_deg);
    }
}

fn set_pace(video: &mut VideoProperties, pace: Pace) {
    match pace {
        Pace::Constant(num, den) => {
            if let (Ok(num), Ok(den)) = (i32::try_from(num), i32::try_from(den)) {
                (video.frame_rate_num, video.frame_rate_den) = (num, den);
            }
        }
        Pace::Variable => (video.frame_rate_num, video.frame_rate_den) = (0, 1),
        Pace::Rounded | Pace::Unknown => {}
    }
}

/// Completes what is said of a finished MP4 by its index, which must be whole; the duration that it promises. Nothing for others.
pub(crate) fn complete_by_index(path: &Path, media: &mut MediaInfo) -> Result<Option<std::time::Duration>, String> {
    if media.container != "mp4" {
        return Ok(None);
    }
    let index = mp4::read(path).map_err(|error| format!("its index cannot be read: {error}"))?;
    if !index.present || index.truncated_bytes > 0 {
        return Err(format!(
            "its index is missing, or promises {} bytes more than there are",
            index.truncated_bytes
        ));
    }
    for (kind, handler) in [("video", b"vide"), ("audio", b"soun")] {
        let tracks: Vec<_> = index.tracks.iter().filter(|track| track.handler == *handler).collect();
        if !media.streams.iter().any(|stream| stream.kind == kind) {
            // The demuxer shows none that lasts less than a fifth of the file.
            for track in tracks.iter().filter(|track| track.samples > 0) {
                media.streams.push(MediaStream {
                    index: i32::try_from(media.streams.len()).unwrap_or(i32::MAX),
                    kind: kind.to_owned(),
                    codec: track.codec().to_owned(),
                    ..MediaStream::default()
                });
            }
        }
        let streams: Vec<_> = media.streams.iter_mut().filter(|stream| stream.kind == kind).collect();
        if tracks.len() == streams.len() {
            streams.into_iter().zip(tracks).for_each(|(stream, track)| describe(stream, track));
        }
    }
    Ok(index.duration)
}
