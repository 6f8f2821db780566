//! Settings of transcode nodes: ranges, combinations, defaults, templates and overrides.

use mps_proto::v1::{Deinterlace, EncoderSpeed, Fit, Flip, HdrPolicy, RateControl, SizeBasis, Template};
use prost_types::{Duration, FieldMask};

use super::*;
use crate::{fields::Fields, kinds::testing::planned, presets::presets};

mod offline;
mod wrong;

fn node(settings: TranscodeSettings) -> TranscodeNode {
    TranscodeNode {
        source: Some(transcode_node::Source::Inline(settings)),
        ..Default::default()
    }
}

fn from_template(name: &str) -> TranscodeNode {
    TranscodeNode {
        source: Some(transcode_node::Source::Template(name.into())),
        ..Default::default()
    }
}

fn plan(node: TranscodeNode) -> (Option<TranscodeSettings>, Vec<String>) {
    let (draft, fields) = planned(&Operation::Transcode(node));
    let settings = draft.and_then(|draft| match draft.settings.settings {
        Some(Settings::Transcode(settings)) => Some(settings),
        _ => None,
    });
    (settings, fields)
}

fn good(node: TranscodeNode) -> TranscodeSettings {
    let (settings, fields) = plan(node);
    assert_eq!(fields, Vec::<String>::new());
    settings.expect("settings were made")
}

fn video(video: VideoSettings) -> TranscodeSettings {
    TranscodeSettings {
        video: Some(video),
        ..Default::default()
    }
}

fn audio(audio: AudioSettings) -> TranscodeSettings {
    TranscodeSettings {
        audio: Some(audio),
        ..Default::default()
    }
}

fn mask(paths: &[&str]) -> Option<FieldMask> {
    Some(FieldMask {
        paths: paths.iter().map(ToString::to_string).collect(),
    })
}

#[test]
fn every_default_is_filled_in() {
    let settings = good(node(TranscodeSettings {
        video: Some(VideoSettings::default()),
        audio: Some(AudioSettings::default()),
        ..Default::default()
    }));
    let expected = TranscodeSettings {
        container: Some(Container::Mp4.into()),
        video: Some(VideoSettings {
            codec: Some(VideoCodec::H264.into()),
            rate_control: Some(RateControl::Crf.into()),
            crf: Some(23),
            fit: Some(Fit::Contain.into()),
            allow_upscale: Some(false),
            gop_frames: Some(250),
            profile: Some("high".into()),
            speed: Some(EncoderSpeed::Fast.into()),
            scene_cuts: Some(true),
            bit_depth: Some(8),
            size_basis: Some(SizeBasis::WidthHeight.into()),
            rotation_deg: Some(0),
            flip: Some(Flip::None.into()),
            hdr: Some(HdrPolicy::ToneMap.into()),
            deinterlace: Some(Deinterlace::Auto.into()),
            ..Default::default()
        }),
        audio: Some(AudioSettings {
            codec: Some(AudioCodec::Aac.into()),
            bitrate_bps: Some(128_000),
            ..Default::default()
        }),
        metadata: Some(MetadataPolicy::Keep.into()),
        cover_art: Some(MetadataPolicy::Keep.into()),
        hls: None,
    };
    assert_eq!(settings, expected);
}

#[test]
fn defaults_follow_codec_and_container() {
    let h265 = good(node(video(VideoSettings {
        codec: Some(VideoCodec::H265.into()),
        frame_rate_num: Some(25),
        ..Default::default()
    })));
    let h265 = h265.video.expect("has video");
    assert_eq!(
        (h265.crf, h265.profile.as_deref(), h265.frame_rate_den),
        (Some(28), Some("main"), Some(1))
    );

    let settings = good(node(audio(AudioSettings::default())));
    assert_eq!(settings.container(), Container::M4a);

    let settings = good(node(TranscodeSettings {
        container: Some(Container::Mp3.into()),
        ..audio(AudioSettings::default())
    }));
    assert_eq!(settings.audio.expect("has audio").codec(), AudioCodec::Mp3);

    let low = good(node(audio(AudioSettings {
        sample_rate_hz: Some(16_000),
        channels: Some(1),
        ..Default::default()
    })));
    assert_eq!(
        low.audio.expect("has audio").bitrate_bps,
        Some(96_000),
        "128k does not fit 16 kHz mono"
    );
}

#[test]
fn gop_duration_replaces_the_default_distance() {
    let settings = good(node(video(VideoSettings {
        frame_rate_num: Some(30_000),
        frame_rate_den: Some(1001),
        gop_duration: Some(Duration { seconds: 2, nanos: 0 }),
        ..Default::default()
    })));
    let video = settings.video.expect("has video");
    assert_eq!(
        (video.gop_frames, video.gop_duration),
        (None, Some(Duration { seconds: 2, nanos: 0 }))
    );
}

#[test]
fn a_still_picture_lasts_a_tenth_of_a_second_to_an_hour() {
    let still = |seconds, nanos| {
        node(video(VideoSettings {
            still_duration: Some(Duration { seconds, nanos }),
            ..Default::default()
        }))
    };
    for (seconds, nanos) in [(0, 100_000_000), (3600, 0)] {
        let settings = good(still(seconds, nanos)).video.expect("has video");
        assert_eq!(settings.still_duration, Some(Duration { seconds, nanos }));
    }
    for (seconds, nanos) in [(0, 99_999_999), (3600, 1), (-1, 0)] {
        assert_eq!(plan(still(seconds, nanos)).1, ["n.inline.video.still_duration"], "{seconds}");
    }
    let copied = video(VideoSettings {
        codec: Some(VideoCodec::Copy.into()),
        still_duration: Some(Duration { seconds: 1, nanos: 0 }),
        ..Default::default()
    });
    assert_eq!(plan(node(copied)).1, ["n.inline.video.still_duration"]);
}

#[test]
fn containers_and_streams_must_fit() {
    assert_eq!(plan(node(TranscodeSettings::default())).1, ["n.inline"]);
    assert_eq!(plan(TranscodeNode::default()).1, ["n"]);
    for container in [Container::M4a, Container::Mp3] {
        let settings = TranscodeSettings {
            container: Some(container.into()),
            ..video(VideoSettings {
                codec: Some(VideoCodec::Copy.into()),
                ..Default::default()
            })
        };
        assert_eq!(plan(node(settings)).1, ["n.inline.video"]);
    }
    let unknown = TranscodeSettings {
        container: Some(50),
        ..video(VideoSettings::default())
    };
    assert_eq!(plan(node(unknown)).1, ["n.inline.container"]);
}

#[test]
fn every_preset_passes_as_it_is_and_by_each_form_of_its_name() {
    let is_transcode = |preset: &&Template| preset.kind == "transcode";
    for preset in presets().iter().filter(is_transcode) {
        let id = crate::presets::id_of(preset);
        for name in [id.to_owned(), preset.name.clone(), format!("projects/p/templates/{id}")] {
            let settings = good(from_template(&name));
            let Some(Settings::Transcode(kept)) = preset.settings.as_ref().and_then(|settings| settings.settings.as_ref()) else {
                panic!("{id} has no transcode settings");
            };
            let mut again = settings.clone();
            for path in kept.set_paths() {
                again.replace(&path, kept);
            }
            assert_eq!(settings, again, "{id}: defaults are filled in beside what it sets");
        }
    }
    for wrong in [
        "preset-nothing",
        "projects/other/templates/preset-remux",
        "templates/preset-remux",
        "",
        "preset-snapshot-jpeg",
    ] {
        assert_eq!(plan(from_template(wrong)).1, ["n.template"], "{wrong}");
    }
}

#[test]
fn set_overrides_apply_without_a_mask_and_bring_their_own_dependents() {
    let mut node = from_template("preset-h264-720p");
    node.overrides = Some(video(VideoSettings {
        rate_control: Some(RateControl::Vbr.into()),
        bitrate_bps: Some(2_000_000),
        ..Default::default()
    }));
    let video_now = good(node).video.expect("has video");
    assert_eq!((video_now.crf, video_now.bitrate_bps), (None, Some(2_000_000)));
    assert_eq!(video_now.height_px, Some(720), "the rest is the template's");

    let mut node = from_template("preset-h264-720p");
    node.overrides = Some(video(VideoSettings {
        codec: Some(VideoCodec::H265.into()),
        ..Default::default()
    }));
    let video_now = good(node).video.expect("has video");
    assert_eq!((video_now.crf, video_now.profile.as_deref()), (Some(28), Some("main")));

    let mut node = from_template("preset-h264-720p");
    node.overrides = Some(video(VideoSettings {
        codec: Some(VideoCodec::Copy.into()),
        ..Default::default()
    }));
    assert_eq!(good(node).video.expect("has video").height_px, None);

    let mut node = from_template("preset-m4a-96k");
    node.overrides = Some(TranscodeSettings {
        container: Some(Container::Mp4.into()),
        ..video(VideoSettings::default())
    });
    assert!(good(node).video.is_some(), "an empty message turns the stream on");
}

#[test]
fn a_mask_names_what_applies_and_clears_what_is_unset() {
    let overrides = TranscodeSettings {
        audio: Some(AudioSettings {
            bitrate_bps: Some(64_000),
            ..Default::default()
        }),
        ..video(VideoSettings {
            crf: Some(30),
            height_px: Some(480),
            ..Default::default()
        })
    };
    let mut node = from_template("preset-h264-720p");
    node.overrides = Some(overrides.clone());
    node.override_mask = mask(&["video.crf", "video.width_px"]);
    let settings = good(node);
    let video_now = settings.video.expect("has video");
    assert_eq!(
        (video_now.crf, video_now.width_px, video_now.height_px),
        (Some(30), None, Some(720))
    );
    assert_eq!(settings.audio.expect("has audio").bitrate_bps, Some(128_000));

    let mut node = from_template("preset-h264-720p");
    node.override_mask = mask(&["audio"]);
    assert_eq!(good(node).audio, None, "an unset message is taken away");

    let mut node = from_template("preset-h264-720p");
    node.override_mask = mask(&["video.crf", "video.colour", "*", "videocrf"]);
    node.overrides = Some(overrides);
    let expected: Vec<String> = (1..4).map(|index| format!("n.override_mask.paths[{index}]")).collect();
    assert_eq!(plan(node).1, expected);
}

#[test]
fn violations_point_at_the_place_that_can_repair_them() {
    let mut from_preset = from_template("preset-h264-720p");
    from_preset.overrides = Some(video(VideoSettings {
        crf: Some(99),
        ..Default::default()
    }));
    assert_eq!(plan(from_preset).1, ["n.overrides.video.crf"]);

    let mut over_inline = node(video(VideoSettings {
        height_px: Some(3),
        ..Default::default()
    }));
    over_inline.overrides = Some(video(VideoSettings {
        crf: Some(99),
        ..Default::default()
    }));
    let fields = plan(over_inline).1;
    assert!(fields.contains(&"n.overrides.video.crf".to_owned()), "{fields:?}");
    assert!(fields.contains(&"n.inline.video.height_px".to_owned()), "{fields:?}");
}

#[test]
fn requirements_and_costs_follow_the_settings() {
    let cases = [
        ("preset-h264-720p", vec!["encode.h264", "encode.aac", "mux.mp4"]),
        ("preset-remux", vec!["mux.mp4"]),
        ("preset-m4a-48k", vec!["encode.aac", "mux.mp4"]),
        ("preset-mp3-320k", vec!["encode.mp3"]),
    ];
    let mut costs = Vec::new();
    for (name, expected) in cases {
        let settings = Settings::Transcode(good(from_template(name)));
        assert_eq!(Transcode.requirements(&settings), Some(expected), "{name}");
        costs.extend(Transcode.cost(&settings, &PlanNode::default()));
    }
    assert_eq!(costs[0], 1.0);
    assert!(costs[1] < costs[2] && costs[2] < costs[0], "{costs:?}");
}
