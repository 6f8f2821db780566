//! Templates: names in requests, checks, masks.

use mps_proto::v1::{
    AudioSettings, Node, SnapshotSettings, TextWatermark, TranscodeNode, TranscodeSettings, VideoSettings, WatermarkSettings,
    node::Operation, transcode_node,
};

use super::*;

fn settings(settings: Settings) -> NodeSettings {
    NodeSettings { settings: Some(settings) }
}

fn video(crf: i32, width: Option<i32>) -> NodeSettings {
    settings(Settings::Transcode(TranscodeSettings {
        video: Some(VideoSettings {
            crf: Some(crf),
            width_px: width,
            ..Default::default()
        }),
        ..Default::default()
    }))
}

fn fields_of<T: std::fmt::Debug>(result: Result<T, Vec<Violation>>) -> Vec<String> {
    result.map_or_else(|found| found.into_iter().map(|violation| violation.field).collect(), |_| Vec::new())
}

#[test]
fn own_templates_of_nodes_and_watermarks_are_named_once() {
    let mark = |name: &str| Watermark {
        source: Some(watermark::Source::Template(name.into())),
        ..Default::default()
    };
    let node = |template: &str, marks: Vec<Watermark>| Node {
        key: String::new(),
        operation: Some(Operation::Transcode(TranscodeNode {
            source: Some(transcode_node::Source::Template(template.into())),
            watermarks: marks,
            ..Default::default()
        })),
    };
    let request = ProcessMediaRequest {
        nodes: vec![
            node("mine", vec![mark("logo"), mark("projects/-/templates/logo")]),
            node("preset-h264-720p", vec![]),
            node("100010", vec![]),
            node("projects/p/templates/mine", vec![mark("a/b")]),
        ],
        ..Default::default()
    };
    assert_eq!(template_names(&request), ["logo", "mine"]);
}

#[test]
fn impossible_settings_are_told_all_at_once() {
    let wrong = settings(Settings::Transcode(TranscodeSettings {
        container: Some(mps_proto::v1::Container::Webm.into()),
        video: Some(VideoSettings {
            codec: Some(mps_proto::v1::VideoCodec::H264.into()),
            crf: Some(99),
            ..Default::default()
        }),
        audio: Some(AudioSettings {
            codec: Some(mps_proto::v1::AudioCodec::Aac.into()),
            ..Default::default()
        }),
        ..Default::default()
    }));
    assert_eq!(
        fields_of(check_template(&wrong, "p")),
        [
            "template.settings.transcode.video.codec",
            "template.settings.transcode.video.crf",
            "template.settings.transcode.audio.codec",
        ]
    );
    for (settings, fields) in [
        (NodeSettings { settings: None }, "template.settings"),
        (settings(Settings::Cover(SnapshotSettings::default())), "template.settings.cover"),
        (
            settings(Settings::Watermark(WatermarkSettings::default())),
            "template.settings.watermark",
        ),
    ] {
        assert_eq!(fields_of(check_template(&settings, "p")), [fields]);
    }
    let right = video(20, None);
    assert_eq!(
        check_template(&right, "p"),
        Ok((right.clone(), "transcode")),
        "settings stay as they are"
    );
    let mark = settings(Settings::Watermark(WatermarkSettings {
        text: Some(TextWatermark {
            text: Some("{taskId}".into()),
            ..Default::default()
        }),
        ..Default::default()
    }));
    assert_eq!(check_template(&mark, "p").map(|(_, kind)| kind), Ok("watermark"));
}

#[test]
fn masks_lay_settings_over() {
    let mask = |paths: &[&str]| paths.iter().map(ToString::to_string).collect::<Vec<_>>();
    let (old, new) = (video(20, Some(640)), video(30, None));
    for (paths, wanted) in [
        (vec![], video(30, Some(640))),
        (vec!["display_name"], old.clone()),
        (vec!["settings"], new.clone()),
        (vec!["settings.transcode"], new.clone()),
        (vec!["comment", "settings.transcode.video.crf"], video(30, Some(640))),
        (vec!["settings.transcode.video.width_px"], video(20, None)),
    ] {
        assert_eq!(lay_settings(&old, &new, &mask(&paths)), Ok(wanted), "{paths:?}");
    }
    let wrong = mask(&["display_name", "settings.transcode.video.nothing", "settings.snapshot.format"]);
    assert_eq!(
        fields_of(lay_settings(&old, &new, &wrong)),
        ["update_mask.paths[1]", "update_mask.paths[2]"]
    );
    let other = settings(Settings::Snapshot(SnapshotSettings::default()));
    assert_eq!(fields_of(lay_settings(&old, &other, &mask(&["settings"]))), ["template.settings"]);
    let nothing = NodeSettings { settings: None };
    assert_eq!(lay_settings(&old, &nothing, &mask(&["comment"])), Ok(old.clone()));
    assert_eq!(fields_of(lay_settings(&old, &nothing, &mask(&["settings"]))), ["template.settings"]);
}
