//! The presets: templates that the system ships.
//!
//! A preset of so many lines is a box of 16:9 with that height which the picture is fitted into whole, and never enlarged. A
//! portrait picture therefore ends with that height too (1080×1920 becomes 404×720 in the 720-line preset), and a picture wider
//! than 16:9 with that width: no picture has more pixels than the box.

use std::sync::LazyLock;

use mps_proto::v1::{
    AudioCodec, AudioSettings, Container, EncoderSpeed, Fit, ImageFormat, NodeSettings, RateControl, SnapshotSettings, Template,
    TranscodeSettings, VideoCodec, VideoSettings, node_settings::Settings,
};

/// Width and height of the video presets' boxes.
const BOXES: &[(i32, i32)] = &[(640, 360), (960, 540), (1280, 720), (1920, 1080), (2560, 1440), (3840, 2160)];
const M4A_KBPS: &[i64] = &[48, 96, 192];
const MP3_KBPS: &[i64] = &[128, 320];

static PRESETS: LazyLock<Vec<Template>> = LazyLock::new(|| {
    let video = BOXES.iter().map(|(width, height)| {
        let name = format!("MP4, H.264 {height}p, AAC 128 kbit/s");
        transcode(&format!("h264-{height}p"), &name, h264(*width, *height))
    });
    let m4a = M4A_KBPS.iter().map(|kbps| {
        let settings = audio_only(Container::M4a, AudioCodec::Aac, *kbps);
        transcode(&format!("m4a-{kbps}k"), &format!("M4A, AAC {kbps} kbit/s"), settings)
    });
    let mp3 = MP3_KBPS.iter().map(|kbps| {
        let settings = audio_only(Container::Mp3, AudioCodec::Mp3, *kbps);
        transcode(&format!("mp3-{kbps}k"), &format!("MP3 {kbps} kbit/s"), settings)
    });
    let others = [transcode("remux", "MP4, streams as they are", remux()), snapshot_jpeg()];
    video.chain(m4a).chain(mp3).chain(others).collect()
});

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

fn preset(id: &str, display_name: &str, kind: &str, settings: Settings) -> Template {
    Template {
        name: mps_proto::name::full("-", "templates", &format!("preset-{id}")),
        display_name: display_name.to_owned(),
        kind: kind.to_owned(),
        settings: Some(NodeSettings { settings: Some(settings) }),
        revision: 1,
        preset: true,
        ..Default::default()
    }
}

fn transcode(id: &str, display_name: &str, settings: TranscodeSettings) -> Template {
    preset(id, display_name, "transcode", Settings::Transcode(settings))
}

fn h264(width: i32, height: i32) -> TranscodeSettings {
    TranscodeSettings {
        container: Some(Container::Mp4.into()),
        video: Some(VideoSettings {
            codec: Some(VideoCodec::H264.into()),
            rate_control: Some(RateControl::Crf.into()),
            crf: Some(23),
            width_px: Some(width),
            height_px: Some(height),
            fit: Some(Fit::Contain.into()),
            allow_upscale: Some(false),
            gop_frames: Some(250),
            profile: Some("high".into()),
            speed: Some(EncoderSpeed::Fast.into()),
            ..Default::default()
        }),
        audio: Some(audio(AudioCodec::Aac, 128)),
        ..Default::default()
    }
}

fn audio(codec: AudioCodec, kbps: i64) -> AudioSettings {
    AudioSettings {
        codec: Some(codec.into()),
        bitrate_bps: Some(kbps * 1000),
        ..Default::default()
    }
}

fn audio_only(container: Container, codec: AudioCodec, kbps: i64) -> TranscodeSettings {
    TranscodeSettings {
        container: Some(container.into()),
        video: None,
        audio: Some(audio(codec, kbps)),
        ..Default::default()
    }
}

fn remux() -> TranscodeSettings {
    TranscodeSettings {
        container: Some(Container::Mp4.into()),
        video: Some(VideoSettings {
            codec: Some(VideoCodec::Copy.into()),
            ..Default::default()
        }),
        audio: Some(AudioSettings {
            codec: Some(AudioCodec::Copy.into()),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn snapshot_jpeg() -> Template {
    let settings = SnapshotSettings {
        format: Some(ImageFormat::Jpeg.into()),
        fit: Some(Fit::Contain.into()),
        quality: Some(85),
        ..Default::default()
    };
    preset(
        "snapshot-jpeg",
        "JPEG pictures in the input's size",
        "snapshot",
        Settings::Snapshot(settings),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_are_all_there_and_never_scale_up() {
        let ids: Vec<&str> = presets().iter().map(id_of).collect();
        assert_eq!(
            ids,
            [
                "preset-h264-360p",
                "preset-h264-540p",
                "preset-h264-720p",
                "preset-h264-1080p",
                "preset-h264-1440p",
                "preset-h264-2160p",
                "preset-m4a-48k",
                "preset-m4a-96k",
                "preset-m4a-192k",
                "preset-mp3-128k",
                "preset-mp3-320k",
                "preset-remux",
                "preset-snapshot-jpeg",
            ]
        );
        for preset in presets() {
            assert!(preset.preset && preset.revision == 1 && !preset.display_name.is_empty());
            let Some(Settings::Transcode(settings)) = preset.settings.as_ref().and_then(|settings| settings.settings.as_ref()) else {
                continue;
            };
            let scales = settings.video.as_ref().and_then(|video| video.width_px).is_some();
            let upscale = settings.video.as_ref().and_then(|video| video.allow_upscale);
            assert_eq!(upscale, scales.then_some(false), "{}", preset.name);
        }
    }
}
