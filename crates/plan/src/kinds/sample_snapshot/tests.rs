//! Sampled snapshots.

use mps_proto::v1::SampleSnapshotNode;
use prost_types::FieldMask;

use super::*;
use crate::kinds::testing::{good, planned};

fn node(settings: SampleSnapshotSettings) -> SampleSnapshotNode {
    SampleSnapshotNode {
        source: Some(sample_snapshot_node::Source::Inline(settings)),
        ..Default::default()
    }
}

fn settled(node: SampleSnapshotNode) -> SampleSnapshotSettings {
    match good(&Operation::SampleSnapshot(node)).settings.settings {
        Some(Settings::SampleSnapshot(settings)) => settings,
        other => panic!("{other:?}"),
    }
}

fn every(seconds: i64, nanos: i32) -> SampleSnapshotSettings {
    SampleSnapshotSettings {
        interval: Some(Duration { seconds, nanos }),
        ..Default::default()
    }
}

#[test]
fn ten_percent_is_the_default_and_time_takes_its_place() {
    let settings = settled(node(SampleSnapshotSettings::default()));
    assert_eq!((settings.interval, settings.interval_percent), (None, Some(10.0)));
    assert_eq!(settings.picture.as_ref().and_then(|picture| picture.quality), Some(85));
    assert_eq!(settled(node(every(2, 0))).interval_percent, None);

    let from_preset = SampleSnapshotNode {
        source: Some(sample_snapshot_node::Source::Template("10".into())),
        overrides: Some(every(5, 0)),
        override_mask: Some(FieldMask {
            paths: vec!["interval".into()],
        }),
        ..Default::default()
    };
    assert_eq!(settled(from_preset).interval_percent, None, "the template's percent gives way");
}

#[test]
fn wrong_distances_and_pictures_are_named() {
    let percent = |percent: f64| SampleSnapshotSettings {
        interval_percent: Some(percent),
        ..Default::default()
    };
    let picture = SnapshotSettings {
        quality: Some(101),
        ..Default::default()
    };
    for (settings, field) in [
        (every(0, 99_999_999), "interval"),
        (every(86_401, 0), "interval"),
        (every(-1, 0), "interval"),
        (percent(0.05), "interval_percent"),
        (percent(100.5), "interval_percent"),
        (
            SampleSnapshotSettings {
                interval_percent: Some(5.0),
                ..every(1, 0)
            },
            "interval_percent",
        ),
        (
            SampleSnapshotSettings {
                picture: Some(picture),
                ..every(1, 0)
            },
            "picture.quality",
        ),
    ] {
        assert_eq!(planned(&Operation::SampleSnapshot(node(settings))).1, [format!("n.inline.{field}")]);
    }
}
