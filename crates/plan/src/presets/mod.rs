//! The presets: templates that the system ships, with the numbers by which the reference system knows them as aliases.
//!
//! Three families of video: `preset-h264-…` (constant quality, the input's frame rate), `preset-mp4-…` and `preset-hls-…` (bit
//! rates of the reference system's current table), `preset-v1-…` (its first table). H.265 in FLV (710 to 780) is left out: no
//! muxer here writes it.

mod audio;
mod pictures;
mod streams;
mod v1;
mod video;

use std::sync::LazyLock;

use mps_proto::v1::{AudioCodec, AudioSettings, NodeSettings, Template, TranscodeSettings, node_settings::Settings};

static PRESETS: LazyLock<Vec<Template>> =
    LazyLock::new(|| [video::all(), audio::all(), v1::all(), streams::all(), pictures::all()].concat());

/// Every preset. Names have `-` for the project: a preset belongs to each.
pub fn presets() -> &'static [Template] {
    &PRESETS
}

/// A preset by its id, or by a number of the reference system. A number may stand for presets of several kinds: `kind` says
/// of which; without it the first one is found.
pub fn find_preset(id: &str, kind: Option<&str>) -> Option<&'static Template> {
    let is_named = |preset: &&Template| id_of(preset) == id || preset.aliases.iter().any(|alias| alias == id);
    let is_kind = |preset: &&Template| kind.is_none_or(|kind| preset.kind == kind);
    presets().iter().filter(is_kind).find(is_named)
}

/// Id of a template, without its parents.
pub(crate) fn id_of(template: &Template) -> &str {
    template.name.rsplit('/').next().unwrap_or_default()
}

fn preset(id: &str, display_name: &str, kind: &str, aliases: &[&str], settings: Settings) -> Template {
    Template {
        name: mps_proto::name::full("-", "templates", &format!("preset-{id}")),
        display_name: display_name.to_owned(),
        kind: kind.to_owned(),
        settings: Some(NodeSettings { settings: Some(settings) }),
        revision: 1,
        preset: true,
        aliases: aliases.iter().map(ToString::to_string).collect(),
        ..Default::default()
    }
}

fn transcode(id: &str, display_name: &str, aliases: &[&str], settings: TranscodeSettings) -> Template {
    preset(id, display_name, "transcode", aliases, Settings::Transcode(settings))
}

/// Stereo of 44.1 kHz, as all sound of the reference system's presets.
fn stereo(codec: AudioCodec, kbps: i64) -> AudioSettings {
    AudioSettings {
        codec: Some(codec.into()),
        bitrate_bps: Some(kbps * 1000),
        sample_rate_hz: Some(44_100),
        channels: Some(2),
        enhancement: None,
    }
}

#[cfg(test)]
mod tests;
