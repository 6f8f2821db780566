//! Adaptive streams: renditions in aligned segments, with HLS and DASH manifests over them.

mod settings;

use mps_proto::{
    v1::{
        AdaptiveStreamNode, AdaptiveStreamSettings, AudioRendition, AudioSettings, ManifestFormat, Rendition, SegmentFormat, VideoSettings,
        adaptive_stream_node, node::Operation, node_settings::Settings,
    },
    worker::v1::PlanNode,
};

use super::{Draft, FilePath, Kind, Outputs, SetPaths, audio, offsets, subtitle, video, watermark};
use crate::{
    faults::Faults,
    overrides::{Scope, asked, resolve},
    tables,
};

const DEFAULT_PATH: &str = "{inputName}_adaptiveDynamicStreaming_{definition}.{format}";
const DEFAULT_SUB_STREAM_PATH: &str = "{inputName}_adaptiveDynamicStreaming_{definition}_{subStreamNumber}.{format}";
const DEFAULT_SEGMENT_PATH: &str = "{inputName}_adaptiveDynamicStreaming_{definition}_{subStreamNumber}_{segmentNumber}.{format}";
const NO_PICTURE: &str = "needs renditions: the stream is sound only";
const COST_OF_AUDIO: f64 = 0.1;

pub(super) struct AdaptiveStream;

impl Kind for AdaptiveStream {
    fn name(&self) -> &'static str {
        "adaptive_stream"
    }

    fn is_kind_of(&self, operation: &Operation) -> bool {
        matches!(operation, Operation::AdaptiveStream(_))
    }

    fn draft(&self, operation: &Operation, field: &str, scope: &Scope, faults: &mut Faults) -> Option<Draft> {
        let Operation::AdaptiveStream(node) = operation else {
            return None;
        };
        offsets::check_clip(node.start_offset.as_ref(), node.end_offset.as_ref(), field, faults);
        let watermarks = watermark::on_video(&node.watermarks, field, scope, faults);
        let settings = resolve::<AdaptiveStreamSettings>(&asked!(node, field, adaptive_stream_node), scope, faults);
        let takes = subtitle::Takes {
            no_tracks: None,
            no_picture: settings
                .as_ref()
                .is_some_and(|resolved| resolved.settings.renditions.is_empty())
                .then_some(NO_PICTURE),
        };
        if takes.no_picture.is_some() && !watermarks.is_empty() {
            faults.add(format!("{field}.watermarks"), NO_PICTURE);
        }
        let subtitles = subtitle::check_all(&node.subtitles, field, takes, scope.project, faults);
        let resolved = settings?;
        let outputs = Outputs::Set(set_paths(node, &resolved.settings));
        Some(Draft {
            start_offset: node.start_offset,
            end_offset: node.end_offset,
            watermarks,
            subtitles,
            ..Draft::new(Settings::AdaptiveStream(resolved.settings), resolved.template, outputs)
        })
    }

    fn requirements(&self, settings: &Settings) -> Option<Vec<&'static str>> {
        let Settings::AdaptiveStream(settings) = settings else {
            return None;
        };
        let video = videos(settings).flat_map(video::requirements);
        let audio = audios(settings).flat_map(audio::requirements);
        let muxer = tables::segment_muxer(settings.segment_format());
        Some(video.chain(audio).chain([muxer]).collect())
    }

    fn cost(&self, settings: &Settings, _node: &PlanNode) -> Option<f64> {
        let Settings::AdaptiveStream(settings) = settings else {
            return None;
        };
        let video: f64 = videos(settings).map(video::cost).sum();
        let audio: f64 = audios(settings).map(|_| COST_OF_AUDIO).sum();
        Some(video.max(audio))
    }
}

fn videos(settings: &AdaptiveStreamSettings) -> impl Iterator<Item = &VideoSettings> {
    settings
        .renditions
        .iter()
        .filter_map(|rendition: &Rendition| rendition.video.as_ref())
}

fn audios(settings: &AdaptiveStreamSettings) -> impl Iterator<Item = &AudioSettings> {
    settings
        .audio
        .iter()
        .filter_map(|rendition: &AudioRendition| rendition.audio.as_ref())
}

fn set_paths(node: &AdaptiveStreamNode, settings: &AdaptiveStreamSettings) -> SetPaths {
    let hls = ("m3u8", tables::HLS_TYPE);
    let manifests = settings.manifests.iter().map(|format| {
        let file_type = match ManifestFormat::try_from(*format) {
            Ok(ManifestFormat::Dash) => ("mpd", tables::DASH_TYPE),
            _ => hls,
        };
        FilePath::new("output_path", &node.output_path, DEFAULT_PATH, file_type)
    });
    let format = SegmentFormat::try_from(settings.segment_format.unwrap_or_default()).unwrap_or(SegmentFormat::Fmp4);
    SetPaths {
        manifests: manifests.collect(),
        sub_streams: Some(FilePath::new(
            "sub_stream_path",
            &node.sub_stream_path,
            DEFAULT_SUB_STREAM_PATH,
            hls,
        )),
        segments: FilePath::new(
            "segment_path",
            &node.segment_path,
            DEFAULT_SEGMENT_PATH,
            tables::segment_type(format),
        ),
        segment_duration: settings.segment_duration,
        segment_format: format,
        keep_partial: node.keep_partial,
    }
}

#[cfg(test)]
mod tests;
