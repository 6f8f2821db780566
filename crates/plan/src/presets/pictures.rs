//! Presets of pictures.

use mps_proto::v1::{
    AnimatedFormat, AnimatedImageSettings, Fit, ImageFormat, ImageSpriteSettings, SampleSnapshotSettings, SnapshotSettings, Template,
    node_settings::Settings,
};
use prost_types::Duration;

use super::preset;

pub(super) fn all() -> Vec<Template> {
    let sampled = SampleSnapshotSettings {
        picture: Some(jpeg()),
        interval: None,
        interval_percent: Some(10.0),
    };
    vec![
        preset(
            "snapshot-jpeg",
            "JPEG pictures in the input's size",
            "snapshot",
            &["10"],
            Settings::Snapshot(jpeg()),
        ),
        preset(
            "sample-10-percent",
            "JPEG pictures every 10 % in the input's size",
            "sample_snapshot",
            &["10"],
            Settings::SampleSnapshot(sampled),
        ),
        preset(
            "sprite-jpeg",
            "JPEG sheets of 10 × 10 tiles of 142 × 80, one every 10 s",
            "image_sprite",
            &["10"],
            Settings::ImageSprite(sprite()),
        ),
        animated("gif", "GIF of 2 pictures per second", "20000", AnimatedFormat::Gif, None),
        animated(
            "webp",
            "WebP of 2 pictures per second, 320 wide",
            "20001",
            AnimatedFormat::Webp,
            Some(320),
        ),
    ]
}

fn jpeg() -> SnapshotSettings {
    SnapshotSettings {
        format: Some(ImageFormat::Jpeg.into()),
        fit: Some(Fit::Contain.into()),
        quality: Some(85),
        ..Default::default()
    }
}

fn sprite() -> ImageSpriteSettings {
    ImageSpriteSettings {
        format: Some(ImageFormat::Jpeg.into()),
        tile_width_px: Some(142),
        tile_height_px: Some(80),
        rows: Some(10),
        columns: Some(10),
        interval: Some(Duration { seconds: 10, nanos: 0 }),
        ..Default::default()
    }
}

fn animated(id: &str, display_name: &str, number: &str, format: AnimatedFormat, width: Option<i32>) -> Template {
    let settings = AnimatedImageSettings {
        format: Some(format.into()),
        fps: Some(2),
        width_px: width,
        ..Default::default()
    };
    preset(id, display_name, "animated_image", &[number], Settings::AnimatedImage(settings))
}
