//! The presets are all there and right.

use std::collections::HashSet;

use super::*;

/// Numbers of the reference system that are presets here, by kind.
const NUMBERS: &[(&str, &[&str])] = &[
    (
        "transcode",
        &[
            "100010", "100020", "100030", "100040", "100070", "100080", "100210", "100220", "100230", "100240", "100270", "100280",
            "100800", "100810", "100820", "100830", "100840", "1100", "1110", "1120", "1130", "1140", "1010", "1020", "875", "876", "6",
            "9", "10", "20", "30", "40", "70", "80", "210", "220", "230", "240", "270", "280", "10046", "10047", "10048", "10049", "370",
            "380", "510", "520", "530", "540", "570", "580", "610", "620", "630", "640", "670", "680",
        ],
    ),
    ("snapshot", &["10"]),
    ("sample_snapshot", &["10"]),
    ("image_sprite", &["10"]),
    ("animated_image", &["20000", "20001"]),
    ("adaptive_stream", &["10"]),
];

const FIRST_IDS: &[&str] = &[
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
    "preset-mp4-720p",
    "preset-hls-720p",
    "preset-v1-h265-mp4-720p",
    "preset-v1-h264-flv-640w",
];

#[test]
fn every_number_names_one_preset_of_its_kind() {
    let mut expected = 0;
    for (kind, numbers) in NUMBERS {
        for number in *numbers {
            let found = find_preset(number, Some(kind)).map(|preset| preset.kind.as_str());
            assert_eq!(found, Some(*kind), "{number}");
            expected += 1;
        }
    }
    let aliases: Vec<(&str, &str)> = presets()
        .iter()
        .flat_map(|preset| preset.aliases.iter().map(|alias| (preset.kind.as_str(), alias.as_str())))
        .collect();
    let distinct: HashSet<_> = aliases.iter().collect();
    assert_eq!((aliases.len(), distinct.len()), (expected, expected));
    assert_eq!(find_preset("710", None), None, "H.265 in FLV is left out");
}

#[test]
fn ids_stay_and_are_distinct() {
    for id in FIRST_IDS {
        assert!(find_preset(id, None).is_some(), "{id}");
    }
    let ids: HashSet<&str> = presets().iter().map(id_of).collect();
    assert_eq!(ids.len(), presets().len());
    for preset in presets() {
        assert!(mps_proto::name::is_valid_id(id_of(preset)), "{}", preset.name);
        assert!(preset.preset && preset.revision == 1 && !preset.display_name.is_empty());
        assert!(preset.display_name.chars().count() <= 64, "{}", preset.display_name);
    }
}

#[test]
fn every_preset_is_right_and_of_the_kind_it_says() {
    for preset in presets() {
        let settings = preset.settings.as_ref().expect("has settings");
        let checked = crate::check_template(settings, "p");
        assert_eq!(checked.map(|(_, kind)| kind), Ok(preset.kind.as_str()), "{}", preset.name);
    }
}

#[test]
fn no_preset_scales_up() {
    for preset in presets() {
        match preset.settings.as_ref().and_then(|settings| settings.settings.as_ref()) {
            Some(Settings::Transcode(settings)) => {
                let upscale = settings.video.as_ref().and_then(|video| video.allow_upscale);
                assert_ne!(upscale, Some(true), "{}", preset.name);
            }
            Some(Settings::AdaptiveStream(settings)) => assert_eq!(settings.allow_upscale, Some(false)),
            _ => {}
        }
    }
}
