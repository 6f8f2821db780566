//! What the file of a transcode must be.

use std::time::Duration;

use mps_proto::{
    rpc::Status,
    v1::{ErrorReason, VideoCodec},
};

use super::{Audio, Transcode, Video, audio::codec_name};
use crate::{
    check::{Expectation, Sound, Span},
    failure,
    pass::{counters::Stretch, file::Entered},
    probe::InputFacts,
    rules::{self, sounds},
};

/// What one packet of sound lasts at most, and a little.
const PACKET: Duration = Duration::from_millis(80);

/// `entered`: what went into the file.
pub fn expectation(job: &Transcode, entered: &Entered, facts: &InputFacts) -> Expectation {
    let is_copied = matches!(job.video, Some(Video::Copy));
    let frame = rules::frame_rate(rules::film(facts)).map_or(Duration::from_millis(100), |(num, den)| {
        Duration::from_secs_f64(f64::from(den) / f64::from(num))
    });
    let mut expected = Expectation {
        duration: Some(length(entered)),
        duration_tolerance: frame.max(PACKET),
        last_picture: entered.video.as_ref().map(|video| video.last_length()).unwrap_or_default(),
        copied: is_copied || job.sound.as_ref().is_some_and(|sound| sound.how == Audio::Copy),
        hides_end: is_copied && job.clip.end.is_some(),
        video_frames: entered.video.as_ref().map(|video| video.count()),
        video_span: entered.video.as_deref().and_then(span),
        sound: sound(job, entered, facts),
        ..Expectation::default()
    };
    match &job.video {
        Some(Video::Encode(video)) => {
            expected.video_codec = Some(video_name(video.codec).to_owned());
            expected.width_px = video.look.geometry.width;
            expected.height_px = video.look.geometry.height;
        }
        Some(Video::Copy) => {
            let stream = rules::film(facts);
            expected.video_codec = stream.map(|stream| stream.codec.clone());
            if let Some(video) = stream.and_then(|stream| stream.video.as_ref()) {
                (expected.width_px, expected.height_px) = (video.width_px, video.height_px);
            }
        }
        None => {}
    }
    expected
}

fn span(stretch: &Stretch) -> Option<Span> {
    (stretch.count() > 0).then(|| Span {
        first: stretch.first(),
        end: stretch.end(),
    })
}

/// From the first packet of all streams to the end of the last.
fn length(entered: &Entered) -> Duration {
    let all = || entered.video.iter().chain(&entered.sound).filter_map(|stretch| span(stretch));
    let first = all().map(|span| span.first).min().unwrap_or_default();
    let end = all().map(|span| span.end).max().unwrap_or_default();
    end.saturating_sub(first)
}

/// Tracks of sound, as the file must have them.
fn sound(job: &Transcode, entered: &Entered, facts: &InputFacts) -> Vec<Sound> {
    let codecs = job.sound.as_ref().map(|sound| codecs(sound, facts)).unwrap_or_default();
    let mut spans = entered.sound.iter().map(|stretch| span(stretch));
    let track = |codec| Sound {
        codec,
        span: spans.next().flatten(),
    };
    codecs.into_iter().map(track).collect()
}

/// Codecs of the tracks of sound that the file has.
fn codecs(sound: &super::Sound, facts: &InputFacts) -> Vec<String> {
    match &sound.how {
        Audio::Copy => {
            let streams = sounds(facts);
            let codec = |track: &usize| streams.get(*track).map(|stream| stream.codec.clone());
            sound.tracks.iter().filter_map(codec).collect()
        }
        Audio::Encode(settings) => {
            let count = if sound.mix { 1 } else { sound.tracks.len() };
            vec![codec_name(settings.codec).to_owned(); count]
        }
    }
}

/// What a copy of all streams leaves out, since it takes one film and its sound alone.
pub fn left_out(facts: &InputFacts) -> Option<Status> {
    let count = |kind: &str| facts.media.streams.iter().filter(|stream| stream.kind == kind).count();
    let words = facts.beside.in_words(count("subtitle"), count("video").saturating_sub(1))?;
    let hint = "keep the input if they are needed; subtitles can be given to the node";
    Some(failure::warning(
        ErrorReason::Unsupported,
        format!("the copy takes the picture and its sound, and leaves out {words} of the input"),
        &[("hint", hint.to_owned())],
    ))
}

fn video_name(codec: VideoCodec) -> &'static str {
    match codec {
        VideoCodec::H265 => "hevc",
        VideoCodec::Av1 => "av1",
        VideoCodec::Vp8 => "vp8",
        VideoCodec::Vp9 => "vp9",
        VideoCodec::Mpeg2 => "mpeg2video",
        _ => "h264",
    }
}
