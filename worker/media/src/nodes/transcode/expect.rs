//! What the file of a transcode must be.

use std::time::Duration;

use mps_proto::v1::VideoCodec;

use super::{Audio, Sound, Transcode, Video, audio::codec_name};
use crate::{
    check::Expectation,
    pass::counters::NodeCounters,
    probe::InputFacts,
    rules::{self, sounds},
};

/// What one packet of sound lasts at most, and a little.
const PACKET: Duration = Duration::from_millis(80);

pub fn expectation(job: &Transcode, counters: &NodeCounters, facts: &InputFacts) -> Expectation {
    let copied = matches!(job.video, Some(Video::Copy)) || job.sound.as_ref().is_some_and(|sound| sound.how == Audio::Copy);
    let counted = counters.video.end().max(counters.audio.end());
    let frame = rules::frame_rate(rules::film(facts)).map_or(Duration::from_millis(100), |(num, den)| {
        Duration::from_secs_f64(f64::from(den) / f64::from(num))
    });
    let mut expected = Expectation {
        // Nodes that share a sound encoder have its counters at the first of them.
        duration: (!counted.is_zero())
            .then_some(counted)
            .or_else(|| job.clip.length(rules::duration(facts))),
        duration_tolerance: frame.max(PACKET) + if copied { Duration::from_secs(1) } else { Duration::ZERO },
        copied,
        ..Expectation::default()
    };
    match &job.video {
        Some(Video::Encode(video)) => {
            expected.video_codec = Some(video_name(video.codec).to_owned());
            expected.width_px = video.look.geometry.width;
            expected.height_px = video.look.geometry.height;
            expected.video_frames = Some(counters.video.count());
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
    if let Some(sound) = &job.sound {
        let mut codecs = sound_codecs(sound, facts).into_iter();
        expected.audio_codec = codecs.next();
        expected.more_audio = codecs.collect();
    }
    let sound = counters.audio.end();
    expected.audio_duration = (expected.audio_codec.is_some() && !copied && !sound.is_zero()).then_some(sound);
    expected
}

/// Codecs of the tracks of sound that the file has.
fn sound_codecs(sound: &Sound, facts: &InputFacts) -> Vec<String> {
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
