//! Watermarks on nodes.

use mps_proto::v1::{
    ImageWatermark, SnapshotNode, SnapshotSettings, StorageObject, SvgWatermark, TextWatermark, image_watermark::Source, node::Operation,
    snapshot_node,
};

use super::*;
use crate::kinds::testing::{good, planned};

const PNG: &[u8] = b"\x89PNG\r\n\x1a\nrest";

fn mark(settings: WatermarkSettings) -> Watermark {
    Watermark {
        source: Some(watermark::Source::Inline(settings)),
        ..Default::default()
    }
}

fn image(source: Option<Source>) -> WatermarkSettings {
    WatermarkSettings {
        image: Some(ImageWatermark {
            source,
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn text(text: TextWatermark) -> WatermarkSettings {
    WatermarkSettings {
        text: Some(text),
        ..Default::default()
    }
}

fn saying(words: &str) -> TextWatermark {
    TextWatermark {
        text: Some(words.into()),
        ..Default::default()
    }
}

fn snapshot(watermarks: Vec<Watermark>) -> Operation {
    Operation::Snapshot(SnapshotNode {
        source: Some(snapshot_node::Source::Inline(SnapshotSettings::default())),
        offsets: vec!["1s".into()],
        watermarks,
        ..Default::default()
    })
}

#[test]
fn defaults_are_filled_in() {
    let draft = good(&snapshot(vec![mark(image(Some(Source::Data(PNG.to_vec()))))]));
    let settings = &draft.watermarks[0].settings;
    let image = settings.image.as_ref().expect("has a picture");
    assert_eq!(
        (image.width.as_deref(), image.height.as_deref(), image.repeat()),
        (Some("10%"), Some("0px"), mps_proto::v1::image_watermark::Repeat::Repeat)
    );
    assert_eq!(
        (settings.origin(), settings.x.as_deref(), settings.y.as_deref(), settings.opacity),
        (WatermarkOrigin::TopLeft, Some("0px"), Some("0px"), Some(1.0))
    );
    assert!(
        draft.watermarks[0].source.is_none() && image.source.is_some(),
        "small pictures stay in the settings"
    );

    let draft = good(&snapshot(vec![mark(text(saying("hi")))]));
    let text = draft.watermarks[0].settings.text.as_ref().expect("has text");
    assert_eq!(
        (
            text.font.as_deref(),
            text.font_size.as_deref(),
            text.color.as_deref(),
            text.outline_px
        ),
        (Some("Sans"), Some("5%"), Some("#FFFFFF"), Some(0))
    );
}

#[test]
fn pictures_elsewhere_become_side_inputs() {
    let object = StorageObject {
        storage: "projects/p/storages/local".into(),
        key: "logo.png".into(),
    };
    let draft = good(&snapshot(vec![mark(image(Some(Source::Object(object))))]));
    let source = draft.watermarks[0].source.as_ref().expect("has a source");
    assert_eq!(source.field, "n.watermarks[0].inline.image.object");
    assert!(matches!(&source.source, mps_proto::v1::task_input::Source::Object(object) if object.storage == "local"));
    assert!(
        draft.watermarks[0]
            .settings
            .image
            .as_ref()
            .is_some_and(|image| image.source.is_none())
    );
}

#[test]
fn wrong_settings_are_named() {
    let t = TextWatermark::default;
    let url = |url: &str| image(Some(Source::Url(url.into())));
    let sized = |width: &str, height: &str| WatermarkSettings {
        svg: Some(SvgWatermark {
            svg: Some("<svg/>".into()),
            width: Some(width.into()),
            height: Some(height.into()),
        }),
        ..Default::default()
    };
    let hi = || text(saying("hi"));
    let cases: Vec<(WatermarkSettings, &[&str])> = vec![
        (WatermarkSettings::default(), &[""]),
        (
            WatermarkSettings {
                svg: sized("10%", "0px").svg,
                ..hi()
            },
            &[""],
        ),
        (image(None), &[".image"]),
        (image(Some(Source::Data(b"hello".to_vec()))), &[".image.data"]),
        (image(Some(Source::Data([PNG, &vec![0; 1024 * 1024]].concat()))), &[".image.data"]),
        (url("ftp://h/a.png"), &[".image.url"]),
        (text(t()), &[".text.text"]),
        (text(saying(&"é".repeat(101))), &[".text.text"]),
        (text(saying("a\u{7}")), &[".text.text"]),
        (
            text(TextWatermark {
                color: Some("red".into()),
                font_size: Some("7px".into()),
                outline_px: Some(21),
                ..saying("x")
            }),
            &[".text.outline_px", ".text.font_size", ".text.color"],
        ),
        (sized("0px", "0px"), &[".svg.height"]),
        (sized("5px", "101%"), &[".svg.width", ".svg.height"]),
        (
            WatermarkSettings {
                opacity: Some(0.0),
                ..hi()
            },
            &[".opacity"],
        ),
        (
            WatermarkSettings {
                opacity: Some(f64::NAN),
                ..hi()
            },
            &[".opacity"],
        ),
        (
            WatermarkSettings {
                x: Some("101%".into()),
                y: Some("-1px".into()),
                ..hi()
            },
            &[".x", ".y"],
        ),
        (WatermarkSettings { origin: Some(9), ..hi() }, &[".origin"]),
    ];
    for (settings, names) in cases {
        let expected: Vec<String> = names.iter().map(|name| format!("n.watermarks[0].inline{name}")).collect();
        assert_eq!(planned(&snapshot(vec![mark(settings)])).1, expected);
    }
}

#[test]
fn marks_are_few_and_pictures_have_no_time() {
    let hi = || mark(text(saying("hi")));
    assert_eq!(planned(&snapshot((0..11).map(|_| hi()).collect())).1, ["n.watermarks"]);
    let timed = Watermark {
        start_offset: Some(Duration { seconds: 1, nanos: 0 }),
        ..hi()
    };
    assert_eq!(planned(&snapshot(vec![timed])).1, ["n.watermarks[0].start_offset"]);
    assert_eq!(planned(&snapshot(vec![Watermark::default()])).1, ["n.watermarks[0]"]);
}

#[test]
fn overrides_may_change_what_a_mark_shows() {
    let mut wanted = mark(image(Some(Source::Data(PNG.to_vec()))));
    wanted.overrides = Some(text(saying("instead")));
    let draft = good(&snapshot(vec![wanted]));
    let settings = &draft.watermarks[0].settings;
    assert!(settings.image.is_none() && settings.text.is_some());
}

#[test]
fn variables_in_text_are_replaced_and_other_braces_stay() {
    let values = crate::path::Values {
        input_name: "clip",
        input_dir: "",
        input_format: "mov",
        definition: "d",
        task_id: "{nodeKey}",
        node_key: "n1",
    };
    for (text, wanted) in [
        ("{taskId} {inputName}-{nodeKey}/{definition}", "{nodeKey} clip-n1/d"),
        ("{other} {", "{other} {"),
        ("{{taskId}}", "{{nodeKey}}"),
        ("漢字", "漢字"),
    ] {
        assert_eq!(replace_variables(text, &values), wanted);
    }
}
