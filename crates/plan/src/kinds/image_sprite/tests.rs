//! Sprites.

use mps_proto::v1::{ImageSpriteNode, PadFill};

use super::*;
use crate::kinds::testing::{good, planned};

fn operation(settings: ImageSpriteSettings) -> Operation {
    Operation::ImageSprite(ImageSpriteNode {
        source: Some(image_sprite_node::Source::Inline(settings)),
        ..Default::default()
    })
}

fn settled(settings: ImageSpriteSettings) -> ImageSpriteSettings {
    match good(&operation(settings)).settings.settings {
        Some(Settings::ImageSprite(settings)) => settings,
        other => panic!("{other:?}"),
    }
}

#[test]
fn defaults_follow_the_sides_that_are_given() {
    let s = ImageSpriteSettings::default;
    let plain = settled(s());
    assert_eq!(
        (plain.tile_width_px, plain.tile_height_px, plain.rows, plain.columns),
        (Some(160), None, Some(10), Some(10))
    );
    assert_eq!((plain.fit(), plain.interval), (Fit::Contain, Some(DEFAULT_INTERVAL)));
    let boxed = settled(ImageSpriteSettings {
        tile_width_px: Some(142),
        tile_height_px: Some(80),
        ..s()
    });
    assert_eq!((boxed.fit(), boxed.pad_fill()), (Fit::Pad, PadFill::Black), "a box is filled up");
    assert_eq!(
        settled(ImageSpriteSettings {
            tile_height_px: Some(80),
            ..s()
        })
        .tile_width_px,
        None
    );
    assert_eq!(
        settled(ImageSpriteSettings {
            interval_percent: Some(1.0),
            ..s()
        })
        .interval,
        None
    );
}

#[test]
fn wrong_sheets_are_named() {
    let s = ImageSpriteSettings::default;
    let cases: Vec<(ImageSpriteSettings, &[&str])> = vec![
        (
            ImageSpriteSettings {
                tile_width_px: Some(4),
                ..s()
            },
            &["tile_width_px"],
        ),
        (ImageSpriteSettings { rows: Some(0), ..s() }, &["rows"]),
        (ImageSpriteSettings { columns: Some(101), ..s() }, &["columns"]),
        (ImageSpriteSettings { columns: Some(52), ..s() }, &["columns"]),
        (
            ImageSpriteSettings {
                tile_height_px: Some(820),
                tile_width_px: Some(8),
                ..s()
            },
            &["rows"],
        ),
        (
            ImageSpriteSettings {
                pad_fill: Some(PadFill::Blur.into()),
                ..s()
            },
            &["pad_fill"],
        ),
        (
            ImageSpriteSettings {
                fit: Some(Fit::Crop.into()),
                ..s()
            },
            &["fit"],
        ),
        (
            ImageSpriteSettings {
                format: Some(ImageFormat::Png.into()),
                quality: Some(5),
                ..s()
            },
            &["quality"],
        ),
    ];
    for (settings, names) in cases {
        let expected: Vec<String> = names.iter().map(|name| format!("n.inline.{name}")).collect();
        assert_eq!(planned(&operation(settings)).1, expected, "{settings:?}");
    }
    assert!(
        planned(&operation(ImageSpriteSettings { columns: Some(51), ..s() })).1.is_empty(),
        "8160 pixels fit"
    );
}
