//! Settings of adaptive streams.

use mps_proto::v1::{
    AdaptiveStreamSettings, AudioCodec, AudioRendition, ManifestFormat, Rendition, SegmentFormat, VideoCodec, VideoSettings,
    node_settings::Settings,
};
use prost_types::Duration;

use crate::{
    fields::fields,
    kinds::{
        audio, offsets,
        tracks::{self, is_language, not_a_language},
        transcode::{LEAST_SEGMENT_MS, LONGEST_SEGMENT_MS},
        video,
    },
    overrides::{KindSettings, SettingsFaults},
};

const MOST: usize = 10;
const DEFAULT_SEGMENT: Duration = Duration { seconds: 4, nanos: 0 };

fields!(AdaptiveStreamSettings {
    manifests,
    segment_format,
    segment_duration,
    renditions,
    audio,
    allow_upscale,
    i_frame_playlists
});

impl KindSettings for AdaptiveStreamSettings {
    const KIND: &'static str = "adaptive_stream";

    fn settle(self, faults: &mut SettingsFaults) -> Self {
        let format = faults.choice("segment_format", self.segment_format, SegmentFormat::Fmp4);
        let manifests = settle_manifests(&self.manifests, format, faults);
        let duration = self.segment_duration.unwrap_or(DEFAULT_SEGMENT);
        offsets::check_length("segment_duration", &duration, LEAST_SEGMENT_MS, LONGEST_SEGMENT_MS, faults);
        if self.renditions.is_empty() && self.audio.is_empty() {
            faults.add("", "must have renditions, audio or both");
        }
        check_count("renditions", self.renditions.len(), faults);
        check_count("audio", self.audio.len(), faults);
        check_defaults(&self.audio, faults);
        check_frame_rates(&self.renditions, faults);
        check_still_durations(&self.renditions, faults);
        let i_frames = settle_i_frames(&self, format, &manifests, faults);
        let allow_upscale = self.allow_upscale.unwrap_or(false);
        let renditions = (0..)
            .zip(self.renditions)
            .take(MOST)
            .map(|(index, rendition): (usize, _)| Rendition {
                video: Some(settle_video(rendition, format, index, faults)),
            });
        let renditions = renditions.collect();
        let has_default = self.audio.iter().any(|rendition| rendition.is_default);
        let audio = (0..).zip(self.audio).take(MOST).map(|(index, rendition): (usize, _)| {
            let mut settled = settle_audio(rendition, format, &mut faults.below(&format!("audio[{index}]")));
            settled.is_default |= !has_default && index == 0;
            settled
        });
        Self {
            manifests,
            segment_format: Some(format.into()),
            segment_duration: Some(duration),
            audio: audio.collect(),
            renditions,
            allow_upscale: Some(allow_upscale),
            i_frame_playlists: Some(i_frames),
        }
    }

    fn forget_dependents(&mut self, path: &str, from: &Self) {
        if path == "segment_format" && from.segment_format() == SegmentFormat::Ts {
            self.i_frame_playlists = None;
            self.manifests.retain(|manifest| *manifest != i32::from(ManifestFormat::Dash));
        }
    }

    fn from_settings(settings: &Settings) -> Option<&Self> {
        match settings {
            Settings::AdaptiveStream(settings) => Some(settings),
            _ => None,
        }
    }
}

fn check_count(name: &str, count: usize, faults: &mut SettingsFaults) {
    if count > MOST {
        faults.add(name, format!("has {count} entries; at most {MOST} are allowed"));
    }
}

/// Each format once, in the caller's order.
fn settle_manifests(asked: &[i32], format: SegmentFormat, faults: &mut SettingsFaults) -> Vec<i32> {
    if asked.is_empty() {
        let both = [ManifestFormat::Hls, ManifestFormat::Dash];
        let fitting = both
            .iter()
            .filter(|manifest| **manifest == ManifestFormat::Hls || format == SegmentFormat::Fmp4);
        return fitting.map(|manifest| i32::from(*manifest)).collect();
    }
    for (index, manifest) in asked.iter().enumerate().take(MOST) {
        let name = format!("manifests[{index}]");
        match ManifestFormat::try_from(*manifest) {
            Err(_) | Ok(ManifestFormat::Unspecified) => faults.add(&name, format!("{manifest} is no manifest format")),
            Ok(_) if asked.iter().take(index).any(|earlier| earlier == manifest) => faults.add(&name, "stands there twice"),
            Ok(ManifestFormat::Dash) if format == SegmentFormat::Ts => faults.add(&name, "needs SEGMENT_FORMAT_FMP4: DASH has no TS here"),
            Ok(_) => {}
        }
    }
    asked.iter().copied().take(MOST).collect()
}

fn settle_i_frames(settings: &AdaptiveStreamSettings, format: SegmentFormat, manifests: &[i32], faults: &mut SettingsFaults) -> bool {
    let fits = format == SegmentFormat::Fmp4 && !settings.renditions.is_empty() && manifests.contains(&ManifestFormat::Hls.into());
    if settings.i_frame_playlists == Some(true) && !fits {
        faults.add("i_frame_playlists", "needs MANIFEST_FORMAT_HLS, SEGMENT_FORMAT_FMP4 and renditions");
    }
    settings.i_frame_playlists.unwrap_or(fits)
}

/// All renditions have one frame rate, so that key frames fall together.
fn check_frame_rates(renditions: &[Rendition], faults: &mut SettingsFaults) {
    let rate = |rendition: &Rendition| {
        let video = rendition.video.clone().unwrap_or_default();
        let num = i64::from(video.frame_rate_num?);
        Some((num, i64::from(video.frame_rate_den.unwrap_or(1))))
    };
    let Some(first) = renditions.first().map(rate) else {
        return;
    };
    for (index, rendition) in renditions.iter().enumerate().skip(1) {
        let is_same = match (first, rate(rendition)) {
            (Some((num, den)), Some((other_num, other_den))) => num * other_den == other_num * den,
            (None, None) => true,
            _ => false,
        };
        if !is_same {
            faults.add(
                &format!("renditions[{index}].video.frame_rate_num"),
                "differs from that of the first rendition; all must have one frame rate",
            );
        }
    }
}

/// All renditions of a still picture last as long.
fn check_still_durations(renditions: &[Rendition], faults: &mut SettingsFaults) {
    let length = |rendition: &Rendition| rendition.video.as_ref().and_then(|video| video.still_duration);
    let mut lengths = renditions.iter().map(length);
    let Some(first) = lengths.next() else { return };
    for (index, _) in lengths.enumerate().filter(|(_, length)| *length != first) {
        faults.add(
            &format!("renditions[{}].video.still_duration", index + 1),
            "differs from that of the first rendition; all must have the same",
        );
    }
}

fn settle_video(rendition: Rendition, format: SegmentFormat, index: usize, faults: &mut SettingsFaults) -> VideoSettings {
    let takes = video::Takes {
        codecs: match format {
            SegmentFormat::Ts => &[VideoCodec::H264],
            _ => &[VideoCodec::H264, VideoCodec::H265, VideoCodec::Av1],
        },
        place: match format {
            SegmentFormat::Ts => "a rendition in TS",
            _ => "a rendition",
        },
        is_rendition: true,
    };
    let name = format!("renditions[{index}]");
    let Some(video) = rendition.video else {
        faults.add(&format!("{name}.video"), "must be set");
        return VideoSettings::default();
    };
    let mut faults = faults.below(&name);
    let mut settled = video::settle(video.clone(), takes, &mut faults.below("video"));
    if video.allow_upscale.is_some() {
        faults.add(
            "video.allow_upscale",
            "must be unset: allow_upscale of the stream says so for all renditions",
        );
    }
    settled.allow_upscale = None;
    settled
}

fn settle_audio(rendition: AudioRendition, format: SegmentFormat, faults: &mut SettingsFaults) -> AudioRendition {
    let takes = audio::Takes {
        codecs: match format {
            SegmentFormat::Ts => &[AudioCodec::Aac, AudioCodec::Ac3],
            _ => &[AudioCodec::Aac, AudioCodec::Ac3, AudioCodec::Eac3],
        },
        place: match format {
            SegmentFormat::Ts => "an audio rendition in TS",
            _ => "an audio rendition",
        },
        is_flv: false,
    };
    let field = faults.path("track");
    match &rendition.track {
        Some(track) if matches!(track.selector, Some(mps_proto::v1::audio_track_selector::Selector::All(_))) => {
            faults.add("track.all", "must be unset: a rendition has one track");
        }
        Some(track) => tracks::check(track, &field, faults.faults),
        None => {}
    }
    let name_field = faults.path("display_name");
    faults.faults.length(&name_field, &rendition.display_name, 64);
    if !rendition.language.is_empty() && !is_language(&rendition.language) {
        faults.add("language", not_a_language(&rendition.language));
    }
    let settings = rendition.audio.unwrap_or_default();
    AudioRendition {
        audio: Some(audio::settle(settings, takes, &mut faults.below("audio"))),
        ..rendition
    }
}

fn check_defaults(audio: &[AudioRendition], faults: &mut SettingsFaults) {
    let defaults = audio.iter().enumerate().filter(|(_, rendition)| rendition.is_default);
    for (index, _) in defaults.skip(1) {
        faults.add(
            &format!("audio[{index}].is_default"),
            "is the second default; at most one is allowed",
        );
    }
}
