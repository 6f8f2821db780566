//! Subtitles as people have them, whole passes: what ffmpeg reads out of the track of an output.

mod improve_tools;
mod pass_tools;

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use improve_tools::{Bench, h264};
use mps_proto::{
    v1::{self, Container, subtitle::Mode},
    worker::v1::{ChildMember, ChildResult, PlanNode, PlanSet, PlanSubtitle},
};
use pass_tools::ffmpeg;

fn soft(id: &str, language: &str) -> PlanSubtitle {
    PlanSubtitle {
        subtitle: Some(v1::Subtitle {
            mode: Some(Mode::Soft as i32),
            language: language.into(),
            ..Default::default()
        }),
        side_input_id: id.into(),
    }
}

fn film(bench: &Bench, subtitle: PlanSubtitle) -> PlanNode {
    let mut node = bench.node(Container::Mkv, Some(h264(64)), None);
    node.subtitles = vec![subtitle];
    node
}

/// The track as SubRip.
fn read_back(bench: &Bench, file: &Path) -> String {
    let back = bench.path("back.srt");
    ffmpeg(&format!("-i {} -map 0:s:0", file.display()), &back);
    std::fs::read_to_string(back).unwrap().replace('\r', "")
}

fn warnings(result: &ChildResult) -> Vec<String> {
    result.nodes[0].warnings.iter().map(|warning| warning.message.clone()).collect()
}

const CUES: &str =
    "1\r\n00:00:00,500 --> 00:00:01,000\r\nCafé für “Zoë” – 1\r\n\r\n2\r\n00:00:01,200 --> 00:00:01,800\r\n<i>Naïve</i> façade\r\n\r\n";

#[test]
fn letters_are_right_whatever_they_are_encoded_in() {
    let bench = Bench::new("color=gray:s=64x64:r=10:d=2");
    let utf_16: Vec<u8> = format!("\u{feff}{CUES}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    // Windows-1252 has one byte for each of these letters.
    let western: Vec<u8> = CUES
        .chars()
        .map(|letter| match letter {
            '“' => 0x93,
            '”' => 0x94,
            '–' => 0x96,
            other => u8::try_from(u32::from(other)).unwrap(),
        })
        .collect();
    let marked = format!("\u{feff}{CUES}").into_bytes();
    for (bytes, guessed) in [(utf_16, None), (marked, None), (western, Some("windows-1252"))] {
        std::fs::write(bench.path("subs.srt"), bytes).unwrap();
        let result = bench.run(vec![film(&bench, soft("srt", "fr"))], &[("srt", "subs.srt")]);
        let text = read_back(&bench, &bench.file(&result));
        assert!(text.contains("00:00:00,500 --> 00:00:01,000\nCafé für “Zoë” – 1\n"), "{text}");
        assert!(text.contains("Naïve façade"), "{text}");
        let warned = warnings(&result);
        assert_eq!(
            warned.iter().any(|warning| warning.contains("were read as")),
            guessed.is_some(),
            "{warned:?}"
        );
        assert!(guessed.is_none_or(|name| warned.concat().contains(name)), "{warned:?}");
    }
}

#[test]
fn no_cue_swallows_another() {
    let bench = Bench::new("color=gray:s=64x64:r=10:d=2");
    let sloppy = "1\n00:00:00.100 --> 00:00:00.400\nFirst AT&T <\n \n2\n00:00:00,500 --> 00:00:00,900\nSecond\n\nwith a gap\n\n3\n00:00:01,000 --> 00:00:00,950\nbackwards\n\n4\n0:00:01,2 --> 0:00:01,5\n{\\an8}Above > all\n";
    std::fs::write(bench.path("subs.srt"), sloppy).unwrap();
    let result = bench.run(vec![film(&bench, soft("srt", "en"))], &[("srt", "subs.srt")]);
    let text = read_back(&bench, &bench.file(&result));
    let expected = "1\n00:00:00,100 --> 00:00:00,400\nFirst AT&T <\n\n2\n00:00:00,500 --> 00:00:00,900\nSecond\nwith a gap\n\n3\n00:00:01,200 --> 00:00:01,500\nAbove > all\n\n";
    assert_eq!(text, expected);
}

#[test]
fn cues_of_streams_lie_where_their_file_says() {
    let bench = Bench::new("color=gray:s=64x64:r=10:d=2");
    let captions = "WEBVTT\n\n00:00.500 --> 00:01.000 line:0 align:start region:x\nUp & <b>left</b>\n\n00:01.200 --> 00:01.800\nDown\n";
    std::fs::write(bench.path("subs.vtt"), captions).unwrap();
    let settings = v1::AdaptiveStreamSettings {
        segment_format: Some(v1::SegmentFormat::Fmp4 as i32),
        segment_duration: Some(prost_types::Duration { seconds: 2, nanos: 0 }),
        renditions: vec![v1::Rendition { video: Some(h264(64)) }],
        ..Default::default()
    };
    let node = PlanNode {
        key: "node".into(),
        settings: Some(v1::NodeSettings {
            settings: Some(v1::node_settings::Settings::AdaptiveStream(settings)),
        }),
        subtitles: vec![soft("vtt", "en")],
        set: Some(PlanSet {
            set_id: "set".into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let told: Arc<Mutex<Vec<ChildMember>>> = Arc::default();
    let sink = told.clone();
    let result = bench.run_telling(
        vec![node],
        &[("vtt", "subs.vtt")],
        Vec::new(),
        Arc::new(move |member| sink.lock().unwrap().push(member)),
    );
    assert!(result.nodes[0].failure.is_none(), "{:?}", result.nodes[0].failure);
    let told = told.lock().unwrap();
    let text = told
        .iter()
        .find(|told| told.member.as_ref().is_some_and(|member| member.track == 1))
        .unwrap();
    let text = std::fs::read_to_string(&text.path).unwrap();
    assert!(text.contains("00:00:01.000 line:0 align:start\nUp &amp; <b>left</b>\n"), "{text}");
    assert!(text.contains("00:00:01.800\nDown\n"), "{text}");
}
