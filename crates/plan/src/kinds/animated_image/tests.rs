//! Animated images.

use mps_proto::v1::AnimatedImageNode;
use prost_types::Duration;

use super::*;
use crate::kinds::testing::{good, planned};

fn node(settings: AnimatedImageSettings, end_seconds: Option<i64>) -> Operation {
    Operation::AnimatedImage(AnimatedImageNode {
        source: Some(animated_image_node::Source::Inline(settings)),
        end_offset: end_seconds.map(|seconds| Duration { seconds, nanos: 0 }),
        ..Default::default()
    })
}

#[test]
fn gif_has_no_quality_and_webp_has() {
    let a = AnimatedImageSettings::default;
    let webp = Some(AnimatedFormat::Webp.into());
    for (settings, quality) in [(a(), None), (AnimatedImageSettings { format: webp, ..a() }, Some(75))] {
        let Some(Settings::AnimatedImage(settled)) = good(&node(settings, None)).settings.settings else {
            panic!("has settings of an animated image");
        };
        assert_eq!((settled.quality, settled.fps, settled.loop_count), (quality, Some(10), Some(0)));
    }
}

#[test]
fn wrong_animations_are_named() {
    let a = AnimatedImageSettings::default;
    for (settings, end, field) in [
        (AnimatedImageSettings { fps: Some(31), ..a() }, None, "n.inline.fps"),
        (AnimatedImageSettings { quality: Some(50), ..a() }, None, "n.inline.quality"),
        (
            AnimatedImageSettings {
                loop_count: Some(-1),
                ..a()
            },
            None,
            "n.inline.loop_count",
        ),
        (
            AnimatedImageSettings {
                width_px: Some(5000),
                ..a()
            },
            None,
            "n.inline.width_px",
        ),
        (a(), Some(301), "n.end_offset"),
        (AnimatedImageSettings { fps: Some(30), ..a() }, Some(101), "n.end_offset"),
    ] {
        assert_eq!(planned(&node(settings, end)).1, [field], "{settings:?} {end:?}");
    }
    assert!(planned(&node(a(), Some(300))).1.is_empty(), "3,000 pictures are allowed");
}
