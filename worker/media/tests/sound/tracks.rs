//! Which of several tracks comes out, and what is said of those that do not.

use std::path::Path;

use mps_proto::{
    v1::{self, AudioCodec, AudioSettings, AudioTrackSelector, Container, VideoCodec, audio_track_selector::Selector},
    worker::v1::{NodeResult, PlanNode},
};

use crate::{
    pass_tools::{carry_out, order},
    tools::{amplitude, bench, lossless, make, peak, samples, sound, tones},
    transcode_tools::{Film, audio, node, video},
};

fn result(film: &Film, input: &str, nodes: Vec<PlanNode>) -> Vec<NodeResult> {
    let result = carry_out(&order(&film.path(input), nodes, &film.path("outputs")));
    assert!(result.failure.is_none(), "{input}: {:?}", result.failure);
    result.nodes
}

fn file(result: &NodeResult) -> &Path {
    assert!(result.failure.is_none(), "{:?}", result.failure);
    Path::new(&result.files[0].path)
}

fn warnings(result: &NodeResult) -> String {
    result.warnings.iter().map(|warning| warning.message.as_str()).collect()
}

fn all(node: PlanNode) -> PlanNode {
    PlanNode {
        audio_tracks: vec![AudioTrackSelector {
            selector: Some(Selector::All(true)),
        }],
        ..node
    }
}

/// Which of the tracks' tones are in a file.
fn heard(file: &Path) -> Vec<u32> {
    let left = samples(file).remove(0);
    [300, 500, 900]
        .into_iter()
        .filter(|hertz| amplitude(&left, *hertz) > 0.05)
        .collect()
}

const THREE: [u32; 3] = [300, 500, 900];

/// Three tracks, each with its own tone.
fn three(more: &str) -> String {
    let sources: Vec<_> = THREE.iter().map(|hertz| tones(&[*hertz], 0.6, "", 1.0)).collect();
    format!("{} -map 0 -map 1 -map 2 {more}", sources.join(" "))
}

/// Makes the codec of MP4's tracks one that nobody decodes.
fn disguise(path: &Path, tracks: &[usize]) {
    let mut bytes = std::fs::read(path).unwrap();
    for (kind, disguised) in [(b"mp4a", b"apac"), (b"esds", b"dapa")] {
        let places: Vec<usize> = bytes
            .windows(4)
            .enumerate()
            .filter(|(_, four)| *four == kind)
            .map(|(at, _)| at)
            .collect();
        for track in tracks {
            bytes[places[*track]..places[*track] + 4].copy_from_slice(disguised);
        }
    }
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn the_track_that_the_file_prefers_is_taken() {
    let film = bench();
    make(
        &film,
        "marked.mkv",
        &three("-c:a flac -disposition:a:0 0 -disposition:a:1 default -disposition:a:2 0"),
    );
    make(&film, "plain.mkv", &three("-c:a flac -disposition:a 0"));
    make(
        &film,
        "marked.mp4",
        &three("-c:a aac -disposition:a:0 0 -disposition:a:1 0 -disposition:a:2 default"),
    );
    for (input, expected) in [("marked.mkv", 500), ("plain.mkv", 300), ("marked.mp4", 900)] {
        let results = result(&film, input, vec![sound("a", Container::Wav, lossless(1))]);
        assert_eq!(heard(file(&results[0])), [expected], "{input}");
    }
}

#[test]
fn tracks_without_a_decoder_are_passed_over_and_named() {
    let film = bench();
    for (input, hidden, first) in [("first.mp4", 0, 500), ("second.mp4", 1, 300)] {
        disguise(&make(&film, input, &three("-c:a aac -movflags +faststart")), &[hidden]);
        let every = AudioSettings {
            channels: None,
            ..audio(AudioCodec::Aac)
        };
        let nodes = vec![
            sound("one", Container::Wav, lossless(1)),
            all(node(
                "all",
                v1::TranscodeSettings {
                    container: Some(Container::Mkv as i32),
                    audio: Some(every),
                    ..Default::default()
                },
            )),
            sound("copy", Container::M4a, copied()),
        ];
        let results = result(&film, input, nodes);
        assert_eq!(heard(file(&results[0])), [first], "{input}");
        assert_eq!(heard(file(&results[2])), [first], "{input}");
        let tracks = crate::pass_tools::ffprobe(file(&results[1]), "-select_streams a -show_entries stream=codec_name");
        assert_eq!(tracks.split_whitespace().count(), 2, "{input}: {tracks}");
        let said = warnings(&results[1]);
        assert!(said.contains(&format!("index {hidden} (apac)")), "{input}: {said}");
        assert_eq!(
            warnings(&results[0]).contains("apac"),
            hidden == 0,
            "{input}: only what would have been taken is named"
        );
    }
}

fn copied() -> AudioSettings {
    AudioSettings {
        codec: Some(AudioCodec::Copy as i32),
        ..Default::default()
    }
}

#[test]
fn an_input_with_no_decoder_at_all_says_so() {
    let film = bench();
    disguise(&make(&film, "none.mp4", &three("-c:a aac -movflags +faststart")), &[0, 1, 2]);
    let results = result(&film, "none.mp4", vec![sound("a", Container::Wav, lossless(1))]);
    let message = results[0].failure.clone().and_then(|failure| failure.status).unwrap().message;
    assert!(message.contains("no decoder for apac"), "{message}");
}

#[test]
fn a_mix_has_every_track_and_does_not_clip() {
    let film = bench();
    let sources: Vec<_> = THREE.iter().map(|hertz| tones(&[*hertz, *hertz], 0.99, "stereo", 1.0)).collect();
    let picture = "-f lavfi -i color=gray:s=64x64:r=10:d=1 -c:v libx264 -preset ultrafast";
    let arguments = format!("{} {picture} -map 0 -map 1 -map 2 -map 3 -c:a pcm_s16le", sources.join(" "));
    make(&film, "loud.mkv", &arguments);
    let mixed = PlanNode {
        mix_audio_tracks: true,
        ..all(node(
            "a",
            v1::TranscodeSettings {
                container: Some(Container::Mkv as i32),
                video: Some(video(VideoCodec::H264)),
                audio: Some(lossless(2)),
                ..Default::default()
            },
        ))
    };
    let results = result(&film, "loud.mkv", vec![mixed]);
    let found = samples(file(&results[0]));
    for hertz in THREE {
        let share = amplitude(&found[0], hertz);
        assert!((share - 0.33).abs() < 0.02, "{hertz}: {share}");
    }
    assert!(peak(&found) < 0.999, "{}", peak(&found));
    assert!((47_900..48_100).contains(&found[0].len()), "{} samples", found[0].len());
}
