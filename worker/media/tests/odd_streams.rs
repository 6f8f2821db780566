//! Odd inputs as adaptive streams, in a process of its own: a whole set, or a typed failure with a hint; never a hang.

mod odd_corpus;

use std::time::Duration;

use mps_proto::{
    v1::{self, node_settings::Settings},
    worker::v1::{DamagePolicy, PlanNode, PlanSet},
};
use odd_corpus::{
    Corpus,
    process::{self, is_typed},
};

/// Films that must become whole streams.
const RIGHT: [&str; 29] = [
    "plain",
    "faststart",
    "bit_flips",
    "no_audio",
    "odd_size",
    "variable_rate",
    "rotated",
    "interlaced",
    "interlaced_h264",
    "hdr",
    "two_languages",
    "stream_copied",
    "animated_gif",
    "fragmented",
    "mkv",
    "webm",
    "ts",
    "flv",
    "avi",
    "late_sound",
    "long_sound",
    "short_sound",
    "surround",
    "subtitles",
    "changing_size",
    "prores",
    "wmv",
    "wide_pixels",
    "four_four_four",
];
/// Inputs of which anything may come but a hang.
const ANY: [&str; 15] = [
    "one_frame",
    "still_png",
    "still_jpg",
    "still_webp",
    "still_gif",
    "empty",
    "text",
    "random",
    "cut_without_index",
    "cut_with_index",
    "no_video",
    "mp3",
    "cover_m4a",
    "cover_mp3",
    "tiny_sound",
];

/// Carries out orders for the other tests.
#[test]
#[ignore = "started by the other tests"]
fn carry_out_an_order() {
    process::carry_out_what_is_asked();
}

fn stream() -> PlanNode {
    let rendition = |height: i32| v1::Rendition {
        video: Some(v1::VideoSettings {
            codec: Some(v1::VideoCodec::H264.into()),
            crf: Some(28),
            height_px: Some(height),
            speed: Some(v1::EncoderSpeed::Fastest.into()),
            ..Default::default()
        }),
    };
    let audio = v1::AudioRendition {
        audio: Some(v1::AudioSettings {
            codec: Some(v1::AudioCodec::Aac.into()),
            ..Default::default()
        }),
        ..Default::default()
    };
    PlanNode {
        key: "stream".into(),
        settings: Some(v1::NodeSettings {
            settings: Some(Settings::AdaptiveStream(v1::AdaptiveStreamSettings {
                segment_duration: Some(Duration::from_secs(1).try_into().unwrap()),
                renditions: vec![rendition(180), rendition(90)],
                audio: vec![audio],
                ..Default::default()
            })),
        }),
        set: Some(PlanSet {
            set_id: "set".into(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

#[test]
fn odd_films_become_whole_streams_or_fail_with_a_reason() {
    let corpus = Corpus::new();
    for (case, must) in RIGHT.map(|case| (case, true)).into_iter().chain(ANY.map(|case| (case, false))) {
        let folder = tempfile::tempdir().unwrap();
        let result = process::carry_out(case, &corpus.make(case), vec![stream()], DamagePolicy::Warn, &[], folder.path());
        let node = result.nodes.first();
        match result.failure.as_ref().or(node.and_then(|node| node.failure.as_ref())) {
            Some(failure) => {
                is_typed(case, failure);
                assert!(!must, "{case}: {failure:?}");
            }
            None => assert_eq!(node.unwrap().complete_sets, ["set"], "{case}"),
        }
    }
}
