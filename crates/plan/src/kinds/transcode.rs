//! Transcode nodes: one file out of the input, encoded or as it is.

use mps_proto::{
    v1::{
        AudioCodec, AudioSettings, Container, HlsSettings, MetadataPolicy, SegmentFormat, TranscodeNode, TranscodeSettings, VideoCodec,
        VideoSettings, node::Operation, node_settings::Settings, transcode_node,
    },
    worker::v1::PlanNode,
};
use prost_types::Duration;

use super::{Draft, FilePath, Kind, Outputs, SetPaths, audio, offsets, subtitle, tracks, video, watermark};
use crate::{
    faults::Faults,
    fields::fields,
    overrides::{KindSettings, Scope, SettingsFaults, asked, resolve},
    tables::{self, ContainerRule, container_rule},
};

const DEFAULT_PATH: &str = "{inputName}_transcode_{definition}.{format}";
const DEFAULT_SEGMENT_PATH: &str = "{inputName}_transcode_{definition}_{segmentNumber}.{format}";
/// Where an HLS output has several tracks.
const DEFAULT_SUB_STREAM_PATH: &str = "{inputName}_transcode_{definition}_{subStreamNumber}.{format}";
const DEFAULT_TRACK_SEGMENT_PATH: &str = "{inputName}_transcode_{definition}_{subStreamNumber}_{segmentNumber}.{format}";
pub(super) const LEAST_SEGMENT_MS: i128 = 1000;
pub(super) const LONGEST_SEGMENT_MS: i128 = 10_000;
const DEFAULT_SEGMENT: Duration = Duration { seconds: 6, nanos: 0 };
/// What streams cost against one 720-line H.264 transcode.
const COST_OF_COPY: f64 = 0.05;
const COST_OF_AUDIO: f64 = 0.1;

pub(super) struct Transcode;

impl Kind for Transcode {
    fn name(&self) -> &'static str {
        "transcode"
    }

    fn is_kind_of(&self, operation: &Operation) -> bool {
        matches!(operation, Operation::Transcode(_))
    }

    fn draft(&self, operation: &Operation, field: &str, scope: &Scope, faults: &mut Faults) -> Option<Draft> {
        let Operation::Transcode(node) = operation else {
            return None;
        };
        offsets::check_clip(node.start_offset.as_ref(), node.end_offset.as_ref(), field, faults);
        let watermarks = watermark::on_video(&node.watermarks, field, scope, faults);
        tracks::check_all(&node.audio_tracks, &format!("{field}.audio_tracks"), faults);
        let settings = resolve::<TranscodeSettings>(&asked!(node, field, transcode_node), scope, faults);
        let Some(resolved) = settings else {
            // The settings are missing; what is wrong with the subtitles themselves is told all the same.
            subtitle::check_all(&node.subtitles, field, subtitle::Takes::ANY, scope.project, faults);
            return None;
        };
        let settings = resolved.settings;
        let rule = rule_of(&settings);
        if !watermarks.is_empty() && !encodes_video(&settings) {
            faults.add(format!("{field}.watermarks"), NO_PICTURE);
        }
        check_tracks(node, &settings, rule, field, faults);
        let subtitles = subtitle::check_all(&node.subtitles, field, subtitles_taken(&settings, rule), scope.project, faults);
        let outputs = outputs(node, &settings, rule, field, faults);
        Some(Draft {
            start_offset: node.start_offset,
            end_offset: node.end_offset,
            watermarks,
            subtitles,
            audio_tracks: node.audio_tracks.clone(),
            mix_audio_tracks: node.mix_audio_tracks,
            ..Draft::new(Settings::Transcode(settings), resolved.template, outputs)
        })
    }

    fn requirements(&self, settings: &Settings) -> Option<Vec<&'static str>> {
        let Settings::Transcode(settings) = settings else {
            return None;
        };
        let video = settings.video.iter().flat_map(video::requirements);
        let audio = settings.audio.iter().flat_map(audio::requirements);
        Some(video.chain(audio).chain(rule_of(settings).muxer).collect())
    }

    fn decodes(&self, settings: &Settings) -> bool {
        let Settings::Transcode(settings) = settings else { return true };
        let video = settings.video.as_ref().is_some_and(|video| video.codec() != VideoCodec::Copy);
        let audio = settings.audio.as_ref().is_some_and(|audio| audio.codec() != AudioCodec::Copy);
        video || audio
    }

    fn cost(&self, settings: &Settings, _node: &PlanNode) -> Option<f64> {
        let Settings::Transcode(settings) = settings else {
            return None;
        };
        let video = settings.video.as_ref().map_or(0.0, |video| match video.codec() {
            VideoCodec::Copy => COST_OF_COPY,
            _ => video::cost(video),
        });
        let audio = settings.audio.as_ref().map_or(0.0, |audio| match audio.codec() {
            AudioCodec::Copy => COST_OF_COPY,
            _ => COST_OF_AUDIO,
        });
        // Sound beside an encoded picture is lost in its cost.
        Some(video.max(audio))
    }
}

const NO_PICTURE: &str = "needs video that is encoded";

fn rule_of(settings: &TranscodeSettings) -> &'static ContainerRule {
    container_rule(settings.container(), segment_format(settings))
}

/// TS unless the settings say otherwise.
fn segment_format(settings: &TranscodeSettings) -> SegmentFormat {
    match settings.hls.as_ref().map(HlsSettings::segment_format) {
        Some(SegmentFormat::Fmp4) => SegmentFormat::Fmp4,
        _ => SegmentFormat::Ts,
    }
}

fn encodes_video(settings: &TranscodeSettings) -> bool {
    settings.video.as_ref().is_some_and(|video| video.codec() != VideoCodec::Copy)
}

fn subtitles_taken<'a>(settings: &TranscodeSettings, rule: &ContainerRule) -> subtitle::Takes<'a> {
    subtitle::Takes {
        no_tracks: (!rule.holds.soft_subtitles).then_some("must be MODE_BURN_IN: tracks need MP4, MOV, MKV or HLS"),
        no_picture: (!encodes_video(settings)).then_some(NO_PICTURE),
    }
}

/// Whether the output may get more than one audio track.
fn has_many_tracks(node: &TranscodeNode) -> bool {
    !node.mix_audio_tracks && tracks::may_be_several(&node.audio_tracks)
}

fn check_tracks(node: &TranscodeNode, settings: &TranscodeSettings, rule: &ContainerRule, field: &str, faults: &mut Faults) {
    let place = format!("{field}.audio_tracks");
    if settings.audio.is_none() {
        if !node.audio_tracks.is_empty() {
            faults.add(&*place, "must be unset: the output has no audio");
        }
    } else if has_many_tracks(node) && !rule.holds.many_audio_tracks {
        let name = rule.container.as_str_name();
        faults.add(
            &*place,
            format!("must be one index: {name} holds one audio track; mix_audio_tracks makes one of several"),
        );
    }
    if !node.mix_audio_tracks {
        return;
    }
    let mix = format!("{field}.mix_audio_tracks");
    match &settings.audio {
        None => faults.add(mix, "must be false: the output has no audio"),
        Some(audio) if audio.codec() == AudioCodec::Copy => faults.add(mix, "needs audio that is encoded"),
        Some(_) if node.audio_tracks.is_empty() => faults.add(mix, "needs audio_tracks that say what is mixed"),
        Some(_) => {}
    }
}

fn outputs(node: &TranscodeNode, settings: &TranscodeSettings, rule: &ContainerRule, field: &str, faults: &mut Faults) -> Outputs {
    let content_type = if settings.video.is_some() {
        rule.video_type
    } else {
        rule.audio_type
    };
    let file = FilePath::new("output_path", &node.output_path, DEFAULT_PATH, (rule.suffix, content_type));
    if rule.container == Container::Hls {
        if node.number_format.is_some() {
            faults.add(
                format!("{field}.number_format"),
                "must be unset with CONTAINER_HLS: segments are numbered from 0",
            );
        }
        return Outputs::Set(set_paths(node, settings, file));
    }
    if !node.segment_path.is_empty() {
        faults.add(format!("{field}.segment_path"), "must be unset: only CONTAINER_HLS has segments");
    }
    Outputs::Files {
        file,
        count: 1,
        numbers: node.number_format.clone(),
    }
}

/// One track where sound and picture share TS segments or there is but one of them; else a playlist for each track.
fn set_paths(node: &TranscodeNode, settings: &TranscodeSettings, manifest: FilePath) -> SetPaths {
    let format = segment_format(settings);
    let has_soft = node
        .subtitles
        .iter()
        .any(|subtitle| subtitle.mode() != mps_proto::v1::subtitle::Mode::BurnIn);
    let shares_segments = format == SegmentFormat::Ts || settings.video.is_none() || settings.audio.is_none();
    let is_one_track = shares_segments && !has_soft && !has_many_tracks(node);
    let default = if is_one_track {
        DEFAULT_SEGMENT_PATH
    } else {
        DEFAULT_TRACK_SEGMENT_PATH
    };
    let sub_streams = FilePath::new("output_path", "", DEFAULT_SUB_STREAM_PATH, ("m3u8", tables::HLS_TYPE));
    SetPaths {
        manifests: vec![manifest],
        sub_streams: (!is_one_track).then_some(sub_streams),
        segments: FilePath::new("segment_path", &node.segment_path, default, tables::segment_type(format)),
        segment_duration: settings.hls.as_ref().and_then(|hls| hls.segment_duration),
        segment_format: format,
        keep_partial: false,
    }
}

fields!(TranscodeSettings {
    container,
    video: VideoSettings,
    audio: AudioSettings,
    metadata,
    cover_art,
    hls: HlsSettings
});

fields!(HlsSettings {
    segment_duration,
    segment_format
});

impl KindSettings for TranscodeSettings {
    const KIND: &'static str = "transcode";

    fn settle(self, faults: &mut SettingsFaults) -> Self {
        if self.video.is_none() && self.audio.is_none() {
            faults.add("", "must have video, audio or both");
        }
        let default = if self.video.is_none() { Container::M4a } else { Container::Mp4 };
        let container = faults.choice("container", self.container, default);
        let hls = settle_hls(self.hls, container, faults);
        let rule = container_rule(container, hls.as_ref().map_or(SegmentFormat::Ts, HlsSettings::segment_format));
        if self.video.is_some() && rule.video.is_empty() {
            let name = rule.container.as_str_name();
            faults.add("video", format!("must be unset: {name} holds audio only"));
        }
        let video_takes = video::Takes::of_container(rule);
        let audio_takes = audio::Takes::of_container(rule);
        let metadata = faults.choice("metadata", self.metadata, MetadataPolicy::Keep);
        Self {
            container: Some(container.into()),
            video: self
                .video
                .map(|video| video::settle(video, video_takes, &mut faults.below("video"))),
            audio: self
                .audio
                .map(|audio| audio::settle(audio, audio_takes, &mut faults.below("audio"))),
            metadata: Some(metadata.into()),
            cover_art: Some(settle_cover_art(self.cover_art, rule, faults)),
            hls,
        }
    }

    fn forget_dependents(&mut self, path: &str, from: &Self) {
        match (path.split_once('.'), &mut self.video, &mut self.audio) {
            (Some(("video", name)), Some(video), _) => video::forget_dependents(video, name, from.video.as_ref()),
            (Some(("audio", name)), _, Some(audio)) => audio::forget_dependents(audio, name, from.audio.as_ref()),
            (None, ..) if path == "container" && from.container() != Container::Hls => self.hls = None,
            _ => {}
        }
    }

    fn from_settings(settings: &Settings) -> Option<&Self> {
        match settings {
            Settings::Transcode(settings) => Some(settings),
            _ => None,
        }
    }
}

fn settle_hls(hls: Option<HlsSettings>, container: Container, faults: &mut SettingsFaults) -> Option<HlsSettings> {
    if container != Container::Hls {
        faults.unset("hls", hls.as_ref(), "must be unset: only CONTAINER_HLS has segments");
        return None;
    }
    let hls = hls.unwrap_or_default();
    let mut faults = faults.below("hls");
    let duration = hls.segment_duration.unwrap_or(DEFAULT_SEGMENT);
    offsets::check_length("segment_duration", &duration, LEAST_SEGMENT_MS, LONGEST_SEGMENT_MS, &mut faults);
    let format = faults.choice("segment_format", hls.segment_format, SegmentFormat::Ts);
    Some(HlsSettings {
        segment_duration: Some(duration),
        segment_format: Some(format.into()),
    })
}

fn settle_cover_art(cover_art: Option<i32>, rule: &ContainerRule, faults: &mut SettingsFaults) -> i32 {
    let default = if rule.holds.cover_art {
        MetadataPolicy::Keep
    } else {
        MetadataPolicy::Strip
    };
    let policy = faults.choice("cover_art", cover_art, default);
    if policy == MetadataPolicy::Keep && !rule.holds.cover_art {
        let name = rule.container.as_str_name();
        faults.add("cover_art", format!("must not be METADATA_POLICY_KEEP: {name} holds no cover"));
    }
    policy.into()
}

#[cfg(test)]
mod tests;
