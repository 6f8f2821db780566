//! Transcode nodes: one file out of the input, encoded or as it is.

use mps_proto::{
    v1::{
        AudioCodec, AudioSettings, Container, NodeSettings, TranscodeNode, TranscodeSettings, VideoCodec, VideoSettings, node::Operation,
        node_settings::Settings, transcode_node,
    },
    worker::v1::PlanNode,
};

use super::{Draft, Kind, audio, offsets::check_clip, path_or, video};
use crate::{
    faults::Faults,
    overrides::{Asked, Fields, Overridable, SettingsFaults, Source, fields, resolve},
    tables::{self, ContainerRule, container_rule},
};

const DEFAULT_PATH: &str = "{inputName}_transcode_{definition}.{format}";
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

    fn draft(&self, operation: &Operation, field: &str, project: &str, faults: &mut Faults) -> Option<Draft> {
        let Operation::Transcode(node) = operation else {
            return None;
        };
        check_clip(node.start_offset.as_ref(), node.end_offset.as_ref(), field, faults);
        let resolved = resolve(&asked(node, field), project, faults)?;
        let mut settings_faults = SettingsFaults {
            origin: &resolved.origin,
            faults,
        };
        let settings = settle(resolved.settings, &mut settings_faults);
        let rule = container_rule(settings.container());
        let content_type = if settings.video.is_some() {
            rule.video_type
        } else {
            rule.audio_type
        };
        Some(Draft {
            settings: NodeSettings {
                settings: Some(Settings::Transcode(settings)),
            },
            template: resolved.template,
            start_offset: node.start_offset,
            end_offset: node.end_offset,
            offsets: Vec::new(),
            files: 1,
            format: rule.suffix,
            content_type,
            output_path: path_or(&node.output_path, DEFAULT_PATH),
        })
    }

    fn requirements(&self, settings: &Settings) -> Option<Vec<&'static str>> {
        let Settings::Transcode(settings) = settings else {
            return None;
        };
        let video = settings.video.as_ref().and_then(|video| tables::video_encoder(video.codec()));
        let audio = settings.audio.as_ref().and_then(|audio| tables::audio_encoder(audio.codec()));
        let muxer = container_rule(settings.container()).muxer;
        Some([video, audio, muxer].into_iter().flatten().collect())
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

fn asked<'a>(node: &'a TranscodeNode, field: &'a str) -> Asked<'a, TranscodeSettings> {
    Asked {
        field,
        kind: "transcode",
        source: node.source.as_ref().map(|source| match source {
            transcode_node::Source::Template(name) => Source::Template(name),
            transcode_node::Source::Inline(settings) => Source::Inline(settings),
        }),
        overrides: node.overrides.as_ref(),
        mask: node.override_mask.as_ref(),
    }
}

/// Checks settings and fills in every default.
fn settle(settings: TranscodeSettings, faults: &mut SettingsFaults) -> TranscodeSettings {
    if settings.video.is_none() && settings.audio.is_none() {
        faults.add("", "must have video, audio or both");
    }
    let default = if settings.video.is_none() { Container::M4a } else { Container::Mp4 };
    let container = faults.choice("container", settings.container, default);
    let rule = container_rule(container);
    TranscodeSettings {
        container: Some(container.into()),
        video: settings.video.map(|settings| settle_video(settings, rule, faults)),
        audio: settings.audio.map(|settings| audio::settle(settings, rule, faults)),
        ..settings
    }
}

fn settle_video(settings: VideoSettings, rule: &ContainerRule, faults: &mut SettingsFaults) -> VideoSettings {
    if rule.video.is_empty() {
        let name = rule.container.as_str_name();
        faults.add("video", format!("must be unset: {name} holds audio only"));
    }
    video::settle(settings, faults)
}

fields!(TranscodeSettings {
    container,
    video,
    audio,
    metadata,
    cover_art,
    hls
});

impl Overridable for TranscodeSettings {
    fn paths() -> Vec<String> {
        let video = VideoSettings::NAMES.iter().map(|name| format!("video.{name}"));
        let audio = AudioSettings::NAMES.iter().map(|name| format!("audio.{name}"));
        Self::NAMES.iter().map(ToString::to_string).chain(video).chain(audio).collect()
    }

    /// A stream that is set without any field is turned on with its defaults where the source has none.
    fn set_paths(&self) -> Vec<String> {
        let mut paths: Vec<String> = self.container.iter().map(|_| "container".to_owned()).collect();
        paths.extend(self.video.iter().flat_map(|video| stream_paths("video", video)));
        paths.extend(self.audio.iter().flat_map(|audio| stream_paths("audio", audio)));
        paths
    }

    fn replace(&mut self, path: &str, from: &Self) {
        match path.split_once('.') {
            Some(("video", name)) => replace_in(&mut self.video, name, from.video.as_ref()),
            Some(("audio", name)) => replace_in(&mut self.audio, name, from.audio.as_ref()),
            _ => self.replace_field(path, from),
        }
    }

    fn forget_dependents(&mut self, path: &str, from: &Self) {
        match (path.split_once('.'), &mut self.video, &mut self.audio) {
            (Some(("video", name)), Some(video), _) => video::forget_dependents(video, name, from.video.as_ref()),
            (Some(("audio", "codec")), _, Some(audio)) => {
                let codec = from.audio.as_ref().map(AudioSettings::codec);
                if codec == Some(AudioCodec::Copy) {
                    *audio = AudioSettings::default();
                }
            }
            _ => {}
        }
    }

    fn from_template(settings: &Settings) -> Option<&Self> {
        match settings {
            Settings::Transcode(settings) => Some(settings),
            _ => None,
        }
    }
}

fn stream_paths(stream: &str, settings: &impl Fields) -> Vec<String> {
    let names = settings.set_names();
    if names.is_empty() {
        // Switches the stream on and changes nothing of one that is on: see `replace_in`.
        return vec![format!("{stream}.")];
    }
    names.into_iter().map(|name| format!("{stream}.{name}")).collect()
}

fn replace_in<S: Fields + Default + Clone>(stream: &mut Option<S>, name: &str, from: Option<&S>) {
    let replacement = from.cloned().unwrap_or_default();
    let is_set = name.is_empty() || replacement.set_names().contains(&name);
    if stream.is_some() || is_set {
        stream.get_or_insert_default().replace_field(name, &replacement);
    }
}

#[cfg(test)]
mod tests;
