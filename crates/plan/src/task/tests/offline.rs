//! Sets, series, side inputs, templates of users and units.

use mps_proto::v1::{
    AdaptiveStreamNode, AnimatedImageNode, Container, HlsSettings, ImageSpriteNode, ImageWatermark, NodeSettings, NumberFormat,
    SampleSnapshotNode, SegmentFormat, Subtitle, Template, TextWatermark, VideoCodec, Watermark, WatermarkSettings, adaptive_stream_node,
    animated_image_node, image_sprite_node, image_watermark, node_settings::Settings, sample_snapshot_node, subtitle, watermark,
};
use prost_types::Duration;

use super::*;
use crate::{OutputKind, member_key, series_key, sub_stream_key};

fn adaptive(template: &str) -> AdaptiveStreamNode {
    AdaptiveStreamNode {
        source: Some(adaptive_stream_node::Source::Template(template.into())),
        ..Default::default()
    }
}

fn sprite() -> ImageSpriteNode {
    ImageSpriteNode {
        source: Some(image_sprite_node::Source::Template("10".into())),
        ..Default::default()
    }
}

fn sampled() -> SampleSnapshotNode {
    SampleSnapshotNode {
        source: Some(sample_snapshot_node::Source::Template("10".into())),
        ..Default::default()
    }
}

fn hls(settings: TranscodeSettings) -> TranscodeNode {
    TranscodeNode {
        source: Some(transcode_node::Source::Inline(TranscodeSettings {
            container: Some(Container::Hls.into()),
            ..settings
        })),
        ..Default::default()
    }
}

fn film() -> TranscodeSettings {
    TranscodeSettings {
        video: Some(VideoSettings::default()),
        audio: Some(mps_proto::v1::AudioSettings::default()),
        ..Default::default()
    }
}

fn with_input(key: &str, operations: Vec<Operation>) -> ProcessMediaRequest {
    ProcessMediaRequest {
        input: object("local", key),
        ..request(operations.into_iter().map(operation).collect())
    }
}

#[test]
fn an_adaptive_stream_is_a_set_with_a_manifest_for_each_format() {
    let plan = good(&with_input(
        "in/{x} é.mov",
        vec![Operation::AdaptiveStream(adaptive("preset-adaptive"))],
    ));
    assert_eq!(plan.nodes[0].key, "adaptive-stream-1");
    let stem = "in/{x} é_adaptiveDynamicStreaming_preset-adaptive";
    assert_eq!(keys(&plan), [format!("{stem}.m3u8"), format!("{stem}.mpd")]);
    assert!(plan.units[0].outputs.iter().all(|output| output.kind == OutputKind::Manifest));
    let node = &plan.units[0].media.nodes[0];
    let set = node.set.as_ref().expect("is a set");
    assert_eq!(
        (set.directory.as_str(), set.set_id.as_str()),
        ("in/", plan.units[0].outputs[0].id.as_str())
    );
    assert_eq!(set.manifests, node.outputs);
    assert_eq!(sub_stream_key(set, "2"), Ok(format!("{stem}_2.m3u8")));
    assert_eq!(member_key(set, 2, 5, "m4s", "a1"), Ok(format!("{stem}_2_5-a1.m4s")));
    assert_eq!(member_key(set, 0, -1, "mp4", "a1"), Ok(format!("{stem}_0_init-a1.mp4")));
}

#[test]
fn an_hls_output_has_tracks_of_its_own_only_where_it_must() {
    let fmp4 = TranscodeSettings {
        hls: Some(HlsSettings {
            segment_format: Some(SegmentFormat::Fmp4.into()),
            ..Default::default()
        }),
        ..film()
    };
    let titled = TranscodeNode {
        subtitles: vec![Subtitle {
            source: Some(subtitle::Source::Url("http://h/a.vtt".into())),
            language: "en".into(),
            ..Default::default()
        }],
        ..hls(film())
    };
    let silent = TranscodeSettings {
        audio: None,
        ..fmp4.clone()
    };
    for (node, has_tracks) in [(hls(film()), false), (hls(fmp4), true), (titled, true), (hls(silent), false)] {
        let plan = good(&with_input("clip.mov", vec![Operation::Transcode(node)]));
        assert_eq!(keys(&plan), ["clip_transcode_inline.m3u8"]);
        let set = plan.units[0].media.nodes[0].set.as_ref().expect("is a set");
        assert_eq!(!set.sub_stream_path.is_empty(), has_tracks, "{set:?}");
        assert_eq!(set.segment_path.contains("{subStreamNumber}"), has_tracks);
    }
}

#[test]
fn wrong_paths_of_sets_are_refused() {
    let a = || adaptive("preset-adaptive");
    let text = str::to_owned;
    for (node, field) in [
        (
            AdaptiveStreamNode {
                output_path: text("same.m3u8"),
                ..a()
            },
            "output_path",
        ),
        (
            AdaptiveStreamNode {
                output_path: text("{number}.{format}"),
                ..a()
            },
            "output_path",
        ),
        (
            AdaptiveStreamNode {
                sub_stream_path: text("one.m3u8"),
                ..a()
            },
            "sub_stream_path",
        ),
        (
            AdaptiveStreamNode {
                sub_stream_path: text("/{subStreamNumber}"),
                ..a()
            },
            "sub_stream_path",
        ),
        (
            AdaptiveStreamNode {
                segment_path: text("{segmentNumber}"),
                ..a()
            },
            "segment_path",
        ),
        (
            AdaptiveStreamNode {
                segment_path: text("{subStreamNumber}"),
                ..a()
            },
            "segment_path",
        ),
        (
            AdaptiveStreamNode {
                segment_path: text("../{subStreamNumber}_{segmentNumber}"),
                ..a()
            },
            "segment_path",
        ),
        (
            AdaptiveStreamNode {
                segment_path: "é".repeat(500) + "{subStreamNumber}_{segmentNumber}",
                ..a()
            },
            "segment_path",
        ),
    ] {
        let wanted = with_input("clip.mov", vec![Operation::AdaptiveStream(node)]);
        assert_eq!(fields(&wanted), [format!("nodes[0].adaptive_stream.{field}")]);
    }
    let twice = with_input(
        "clip.mov",
        vec![
            Operation::AdaptiveStream(a()),
            Operation::AdaptiveStream(AdaptiveStreamNode {
                output_path: text("other.{format}"),
                ..a()
            }),
        ],
    );
    assert_eq!(
        fields(&twice),
        ["nodes[1].adaptive_stream.segment_path", "nodes[1].adaptive_stream.sub_stream_path"],
        "segments of two streams would overwrite each other"
    );
}

#[test]
fn a_sprite_is_a_series_with_a_file_beside_it() {
    let plan = good(&with_input("a/clip.mov", vec![Operation::ImageSprite(sprite())]));
    let stem = "a/clip_imageSprite_preset-sprite-jpeg";
    assert_eq!(keys(&plan), [format!("{stem}_0.jpg"), format!("{stem}.vtt")]);
    let outputs = &plan.units[0].outputs;
    assert_eq!((outputs[0].kind, outputs[0].number), (OutputKind::Series, 0));
    assert_eq!(
        (outputs[1].kind, outputs[1].number, outputs[1].content_type.as_str()),
        (OutputKind::File, -1, "text/vtt")
    );
    let series = plan.units[0].media.nodes[0].series.as_ref().expect("is a series");
    assert_eq!(series_key(series, 3), Ok(format!("{stem}_3.jpg")));
    let one = ImageSpriteNode {
        output_path: "sheet.jpg".into(),
        ..sprite()
    };
    let plan = good(&with_input("a/clip.mov", vec![Operation::ImageSprite(one)]));
    assert_eq!(plan.units[0].media.nodes[0].series.as_ref().map(|series| series.max_files), Some(1));
}

#[test]
fn series_are_numbered_as_asked_and_clash_as_wholes() {
    let numbers = NumberFormat {
        initial_value: Some(1),
        min_length: Some(4),
        ..Default::default()
    };
    let node = SampleSnapshotNode {
        output_path: "/コマ/{inputDir}/{number}.{format}".into(),
        number_format: Some(numbers.clone()),
        ..sampled()
    };
    let plan = good(&with_input("in/x/clip.mov", vec![Operation::SampleSnapshot(node.clone())]));
    assert_eq!(keys(&plan), ["コマ/in/x/0001.jpg"]);
    let later = SampleSnapshotNode {
        number_format: Some(NumberFormat {
            initial_value: Some(7),
            ..numbers
        }),
        ..node.clone()
    };
    let clash = with_input("clip.mov", vec![Operation::SampleSnapshot(node), Operation::SampleSnapshot(later)]);
    assert_eq!(fields(&clash), ["nodes[1].sample_snapshot.output_path"]);
    let plain = SampleSnapshotNode {
        output_path: "a.jpg".into(),
        ..sampled()
    };
    assert_eq!(
        fields(&with_input("clip.mov", vec![Operation::SampleSnapshot(plain)])),
        ["nodes[0].sample_snapshot.output_path"]
    );
    let wrong = NumberFormat {
        initial_value: Some(-1),
        increment: Some(0),
        min_length: Some(17),
        place_holder: "1".into(),
    };
    let node = SampleSnapshotNode {
        number_format: Some(wrong),
        ..sampled()
    };
    let found = fields(&with_input("clip.mov", vec![Operation::SampleSnapshot(node)]));
    let expected = ["initial_value", "increment", "min_length", "place_holder"];
    assert_eq!(found, expected.map(|name| format!("nodes[0].sample_snapshot.number_format.{name}")));
}

fn logo(url: &str) -> Watermark {
    Watermark {
        source: Some(watermark::Source::Inline(WatermarkSettings {
            image: Some(ImageWatermark {
                source: Some(image_watermark::Source::Url(url.into())),
                ..Default::default()
            }),
            ..Default::default()
        })),
        ..Default::default()
    }
}

#[test]
fn side_inputs_are_listed_once() {
    let node = |url: &str, path: &str| TranscodeNode {
        output_path: path.into(),
        watermarks: vec![logo(url)],
        subtitles: vec![Subtitle {
            source: Some(subtitle::Source::Object(StorageObject {
                storage: "projects/-/storages/texts".into(),
                key: "a.srt".into(),
            })),
            mode: Some(subtitle::Mode::BurnIn.into()),
            ..Default::default()
        }],
        source: Some(transcode_node::Source::Inline(film())),
        ..Default::default()
    };
    let first = node("http://h/a.png", "1.mp4");
    let plan = good(&with_input(
        "clip.mov",
        vec![Operation::Transcode(first), Operation::Transcode(node("http://h/b.png", "2.mp4"))],
    ));
    let unit = &plan.units[0];
    let ids: Vec<&str> = unit.media.side_inputs.iter().map(|input| input.id.as_str()).collect();
    assert_eq!(ids, ["s0", "s1", "s2"]);
    assert_eq!(
        unit.side_input_fields,
        [
            "nodes[0].transcode.watermarks[0].inline.image.url",
            "nodes[0].transcode.subtitles[0].object",
            "nodes[1].transcode.watermarks[0].inline.image.url",
        ]
    );
    let used = unit
        .media
        .nodes
        .iter()
        .map(|node| (&*node.watermarks[0].side_input_id, &*node.subtitles[0].side_input_id));
    assert_eq!(used.collect::<Vec<_>>(), [("s0", "s1"), ("s2", "s1")]);
    let needs = crate::requirements(&unit.media);
    assert_eq!(needs, ["encode.aac", "encode.h264", "mux.mp4", "overlay.image", "subtitle.burn-in"]);
}

#[test]
fn templates_of_the_project_are_used_and_told() {
    let settings = Settings::Watermark(WatermarkSettings {
        text: Some(TextWatermark {
            text: Some("{taskId} {inputName} {definition}".into()),
            ..Default::default()
        }),
        ..Default::default()
    });
    let own = |id: &str, kind: &str, revision: i32, settings: Settings| Template {
        name: format!("projects/p/templates/{id}"),
        kind: kind.into(),
        revision,
        settings: Some(NodeSettings { settings: Some(settings) }),
        ..Default::default()
    };
    let context = PlanContext {
        templates: vec![
            own("mine", "transcode", 3, Settings::Transcode(film())),
            own("text", "watermark", 1, settings),
        ],
        ..context()
    };
    let node = TranscodeNode {
        source: Some(transcode_node::Source::Template("mine".into())),
        watermarks: vec![Watermark {
            source: Some(watermark::Source::Template("text".into())),
            ..Default::default()
        }],
        ..Default::default()
    };
    let wanted = with_input("clip.mov", vec![Operation::Transcode(node)]);
    let plan = plan_task(&wanted, &context).expect("the request is right");
    assert_eq!(
        (plan.statuses[0].template.as_str(), plan.statuses[0].template_revision),
        ("mine", 3)
    );
    assert_eq!(keys(&plan), ["clip_transcode_mine.mp4"]);
    let mark = plan.units[0].media.nodes[0].watermarks[0].settings.clone().unwrap_or_default();
    assert_eq!(mark.text.and_then(|text| text.text).as_deref(), Some("t1 clip mine"));
    let fields: Vec<String> = plan_task(&wanted, &super::context())
        .unwrap_err()
        .into_iter()
        .map(|fault| fault.field)
        .collect();
    assert_eq!(fields, ["nodes[0].transcode.watermarks[0].template", "nodes[0].transcode.template"]);
}

#[test]
fn clips_far_apart_become_units_of_their_own() {
    let clip = |start: i64, end: Option<i64>, path: &str| {
        let at = |seconds: i64| Some(Duration { seconds, nanos: 0 });
        Operation::AnimatedImage(AnimatedImageNode {
            source: Some(animated_image_node::Source::Template("20000".into())),
            start_offset: at(start),
            end_offset: end.and_then(at),
            output_path: path.into(),
            ..Default::default()
        })
    };
    let far = |end| vec![clip(0, Some(10), "a"), clip(3600, end, "b"), clip(5, Some(20), "c")];
    let plan = good(&with_input("clip.mov", far(Some(3610))));
    let of_unit = |unit: &crate::UnitPlan| unit.media.nodes.iter().map(|node| node.key.clone()).collect::<Vec<_>>();
    let units: Vec<Vec<String>> = plan.units.iter().map(of_unit).collect();
    assert_eq!(units, [vec!["animated-image-1", "animated-image-3"], vec!["animated-image-2"]]);
    assert_eq!(plan.statuses.len(), 3);
    assert_eq!(
        good(&with_input("clip.mov", far(None))).units.len(),
        1,
        "nobody knows where the second ends"
    );
}

#[test]
fn codecs_that_do_not_fit_say_what_fits() {
    let mut settings = film();
    settings.container = Some(Container::Webm.into());
    settings.video = Some(VideoSettings {
        codec: Some(VideoCodec::H264.into()),
        ..Default::default()
    });
    let node = TranscodeNode {
        source: Some(transcode_node::Source::Inline(settings)),
        ..Default::default()
    };
    let faults = plan_task(&with_input("clip.mov", vec![Operation::Transcode(node)]), &context()).unwrap_err();
    assert!(faults[0].description.contains("VIDEO_CODEC_VP9"), "{faults:?}");
}
