//! Settings of snapshot nodes.

use mps_proto::v1::{Fit, ImageFormat, SnapshotNode};

use super::*;
use crate::kinds::testing::planned;

fn inline(settings: SnapshotSettings, offsets: &[&str]) -> SnapshotNode {
    SnapshotNode {
        source: Some(snapshot_node::Source::Inline(settings)),
        offsets: offsets.iter().map(ToString::to_string).collect(),
        ..Default::default()
    }
}

fn plan(node: SnapshotNode) -> (Option<Draft>, Vec<String>) {
    planned(&Operation::Snapshot(node))
}

fn file_type(draft: &Draft) -> (&'static str, &'static str) {
    match &draft.outputs {
        Outputs::Files { file, .. } => (file.format, file.content_type),
        other => panic!("{other:?}"),
    }
}

fn settings_of(draft: Option<Draft>) -> SnapshotSettings {
    match draft.expect("a draft was made").settings.settings {
        Some(Settings::Snapshot(settings)) => settings,
        other => panic!("{other:?}"),
    }
}

#[test]
fn defaults_are_filled_in_and_png_has_no_quality() {
    let (draft, fields) = plan(inline(SnapshotSettings::default(), &["1s"]));
    assert!(fields.is_empty());
    let settings = settings_of(draft);
    assert_eq!(
        (settings.format(), settings.fit(), settings.quality),
        (ImageFormat::Jpeg, Fit::Contain, Some(85))
    );

    let png = SnapshotSettings {
        format: Some(ImageFormat::Png.into()),
        ..Default::default()
    };
    assert_eq!(settings_of(plan(inline(png, &["1s"])).0).quality, None);

    let mut node = inline(SnapshotSettings::default(), &["1s"]);
    node.source = Some(snapshot_node::Source::Template("preset-snapshot-jpeg".into()));
    node.overrides = Some(png);
    let (draft, fields) = plan(node);
    assert!(fields.is_empty(), "{fields:?}");
    assert_eq!(draft.as_ref().map(file_type), Some(("png", "image/png")));
    assert_eq!(settings_of(draft).quality, None, "the template's quality goes with its format");
}

#[test]
fn wrong_settings_are_named() {
    let s = SnapshotSettings::default;
    let png = Some(ImageFormat::Png.into());
    for (settings, field) in [
        (SnapshotSettings { format: Some(8), ..s() }, "format"),
        (SnapshotSettings { width_px: Some(7), ..s() }, "width_px"),
        (
            SnapshotSettings {
                height_px: Some(8193),
                ..s()
            },
            "height_px",
        ),
        (
            SnapshotSettings {
                fit: Some(Fit::Crop.into()),
                height_px: Some(90),
                ..s()
            },
            "fit",
        ),
        (SnapshotSettings { quality: Some(0), ..s() }, "quality"),
        (SnapshotSettings { quality: Some(101), ..s() }, "quality"),
        (
            SnapshotSettings {
                quality: Some(80),
                format: png,
                ..s()
            },
            "quality",
        ),
    ] {
        assert_eq!(plan(inline(settings, &["1s"])).1, [format!("n.inline.{field}")], "{settings:?}");
    }
    let odd = SnapshotSettings { width_px: Some(99), ..s() };
    assert!(plan(inline(odd, &["1s"])).1.is_empty(), "pictures may have odd sides");
}

#[test]
fn offsets_are_counted_and_each_is_checked() {
    assert_eq!(plan(inline(SnapshotSettings::default(), &[])).1, ["n.offsets"]);
    assert_eq!(plan(inline(SnapshotSettings::default(), &["1s"; 101])).1, ["n.offsets"]);
    assert!(plan(inline(SnapshotSettings::default(), &["1s"; 100])).1.is_empty());
    let (_, fields) = plan(inline(SnapshotSettings::default(), &["1s", "x", "10%", "101%"]));
    assert_eq!(fields, ["n.offsets[1]", "n.offsets[3]"]);
}

#[test]
fn a_broken_template_does_not_hide_broken_offsets() {
    let mut node = inline(SnapshotSettings::default(), &["x"]);
    node.source = Some(snapshot_node::Source::Template("preset-remux".into()));
    assert_eq!(plan(node).1, ["n.offsets[0]", "n.template"]);
}
