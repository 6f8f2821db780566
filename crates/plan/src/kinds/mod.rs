//! The kinds of nodes. A new kind is a file here and its line in `ALL`.

mod adaptive_stream;
mod animated_image;
mod audio;
mod cover;
mod image_sprite;
mod offsets;
mod picture;
mod sample_snapshot;
mod size;
mod snapshot;
mod subtitle;
#[cfg(test)]
mod testing;
mod tracks;
mod transcode;
mod video;
mod watermark;

use mps_proto::{
    v1::{AudioTrackSelector, NodeSettings, NumberFormat, SegmentFormat, Watermark, node::Operation, node_settings::Settings},
    worker::v1::PlanNode,
};
use prost_types::Duration;

use crate::{
    faults::Faults,
    overrides::{Scope, Used},
    path::Values,
};

pub(crate) use offsets::{nanos, seconds_of};
pub(crate) use subtitle::SubtitleDraft;
pub(crate) use watermark::{WatermarkDraft, requirement as watermark_requirement};

pub(crate) const ALL: &[&dyn Kind] = &[
    &transcode::Transcode,
    &snapshot::Snapshot,
    &sample_snapshot::SampleSnapshot,
    &image_sprite::ImageSprite,
    &cover::Cover,
    &animated_image::AnimatedImage,
    &adaptive_stream::AdaptiveStream,
];

/// What one kind of node knows about itself.
pub(crate) trait Kind: Sync {
    /// Name in templates and field paths; keys have "-" for "_".
    fn name(&self) -> &'static str;

    fn is_kind_of(&self, operation: &Operation) -> bool;

    /// Checks a node of this kind; `field` is the operation's path. `None` when it is too broken to go on; violations say why.
    fn draft(&self, operation: &Operation, field: &str, scope: &Scope, faults: &mut Faults) -> Option<Draft>;

    /// What a worker must be able to do besides watermarks and subtitles; `None` when the settings are of another kind.
    fn requirements(&self, settings: &Settings) -> Option<Vec<&'static str>>;

    /// Whether a node with these settings, which are of this kind, needs the input decoded.
    fn decodes(&self, _settings: &Settings) -> bool {
        true
    }

    /// Rough cost, 1 being one 720-line H.264 transcode; `None` when the settings are of another kind.
    fn cost(&self, settings: &Settings, node: &PlanNode) -> Option<f64>;
}

/// A checked node before its output keys are known.
pub(crate) struct Draft {
    pub settings: NodeSettings,
    pub template: Used,
    pub start_offset: Option<Duration>,
    pub end_offset: Option<Duration>,
    pub offsets: Vec<String>,
    pub watermarks: Vec<WatermarkDraft>,
    pub subtitles: Vec<SubtitleDraft>,
    pub audio_tracks: Vec<AudioTrackSelector>,
    pub mix_audio_tracks: bool,
    pub outputs: Outputs,
}

impl Draft {
    /// A node over the whole input with nothing besides its settings.
    fn new(settings: Settings, template: Used, outputs: Outputs) -> Self {
        Self {
            settings: NodeSettings { settings: Some(settings) },
            template,
            start_offset: None,
            end_offset: None,
            offsets: Vec::new(),
            watermarks: Vec::new(),
            subtitles: Vec::new(),
            audio_tracks: Vec::new(),
            mix_audio_tracks: false,
            outputs,
        }
    }
}

impl Draft {
    /// Replaces variables in the text of watermarks.
    pub fn fill_in_text(&mut self, values: &Values) {
        let texts = self
            .watermarks
            .iter_mut()
            .filter_map(|mark| mark.settings.text.as_mut()?.text.as_mut());
        for text in texts {
            *text = watermark::replace_variables(text, values);
        }
    }
}

/// Files that a node makes.
#[derive(Debug, Clone)]
pub(crate) enum Outputs {
    /// So many, known beforehand.
    Files {
        file: FilePath,
        count: usize,
        numbers: Option<NumberFormat>,
    },
    /// As many as follow from the input; `extra` is one file beside them.
    Series {
        file: FilePath,
        needs_number: bool,
        max_files: i32,
        numbers: Option<NumberFormat>,
        extra: Option<FilePath>,
    },
    Set(SetPaths),
}

/// Paths of a set. Those of playlists and segments are relative to the manifest's directory.
#[derive(Debug, Clone)]
pub(crate) struct SetPaths {
    /// One for each format; all have the same path.
    pub manifests: Vec<FilePath>,
    /// `None` where the set has one track.
    pub sub_streams: Option<FilePath>,
    pub segments: FilePath,
    pub segment_duration: Option<Duration>,
    pub segment_format: SegmentFormat,
    pub keep_partial: bool,
}

/// Path of files with variables.
#[derive(Debug, Clone)]
pub(crate) struct FilePath {
    /// Name of the field that sets the path.
    pub field: &'static str,
    /// The caller's path, or the kind's default.
    pub path: String,
    /// Suffix, without a dot.
    pub format: &'static str,
    pub content_type: &'static str,
}

impl FilePath {
    fn new(field: &'static str, asked: &str, default: &str, (format, content_type): (&'static str, &'static str)) -> Self {
        Self {
            field,
            path: if asked.is_empty() { default } else { asked }.to_owned(),
            format,
            content_type,
        }
    }
}

pub(crate) fn of_operation(operation: &Operation) -> Option<&'static dyn Kind> {
    ALL.iter().copied().find(|kind| kind.is_kind_of(operation))
}

/// Marks that a node asks for.
pub(crate) fn watermarks_of(operation: &Operation) -> &[Watermark] {
    match operation {
        Operation::Transcode(node) => &node.watermarks,
        Operation::Snapshot(node) => &node.watermarks,
        Operation::SampleSnapshot(node) => &node.watermarks,
        Operation::Cover(node) => &node.watermarks,
        Operation::AdaptiveStream(node) => &node.watermarks,
        Operation::ImageSprite(_) | Operation::AnimatedImage(_) => &[],
    }
}

/// Name of the template that a node asks for.
pub(crate) fn template_of(operation: &Operation) -> Option<&str> {
    use mps_proto::v1::{
        adaptive_stream_node, animated_image_node, cover_node, image_sprite_node, sample_snapshot_node, snapshot_node, transcode_node,
    };
    macro_rules! template {
        ($node:ident, $module:ident) => {
            match $node.source.as_ref()? {
                $module::Source::Template(name) => Some(name.as_str()),
                $module::Source::Inline(_) => None,
            }
        };
    }
    match operation {
        Operation::Transcode(node) => template!(node, transcode_node),
        Operation::Snapshot(node) => template!(node, snapshot_node),
        Operation::SampleSnapshot(node) => template!(node, sample_snapshot_node),
        Operation::ImageSprite(node) => template!(node, image_sprite_node),
        Operation::Cover(node) => template!(node, cover_node),
        Operation::AnimatedImage(node) => template!(node, animated_image_node),
        Operation::AdaptiveStream(node) => template!(node, adaptive_stream_node),
    }
}
