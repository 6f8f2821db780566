//! What inputs contain: which of their streams are film and sound, in which order, and what is said of those that cannot be read.

mod pass_tools;
mod transcode_tools;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use mps_media::probe::{InputFacts, probe};
use mps_proto::{
    v1::{AudioCodec, Container, TranscodeSettings, VideoCodec},
    worker::v1::{InputLimits, PlanNode},
};
use pass_tools::{carry_out, ffmpeg, filtered, frames, number, order};
use transcode_tools::{audio, node, video};

const PICTURE: &str = "-f lavfi -i testsrc2=s=160x90:r=30:d=1";
const SOUND: &str = "-f lavfi -i sine=440:r=48000:d=1";
const H264: &str = "-c:v libx264 -preset ultrafast -g 30 -pix_fmt yuv420p";

/// A folder of inputs, gone at the end of the test.
struct Inputs(tempfile::TempDir);

impl Inputs {
    fn new() -> Self {
        mps_media::init().unwrap();
        Self(tempfile::tempdir().unwrap())
    }

    fn make(&self, name: &str, arguments: &str) -> PathBuf {
        let path = self.0.path().join(name);
        ffmpeg(arguments, &path);
        path
    }

    fn transcoded(&self, input: &Path) -> Result<PathBuf, String> {
        let outputs = tempfile::tempdir_in(self.0.path()).unwrap().keep();
        let result = carry_out(&order(input, vec![film()], &outputs));
        let failure = result.failure.or_else(|| result.nodes[0].failure.clone());
        match failure {
            Some(failure) => Err(failure.status.map(|status| status.message).unwrap_or_default()),
            None => Ok(PathBuf::from(&result.nodes[0].files[0].path)),
        }
    }
}

fn film() -> PlanNode {
    let settings = TranscodeSettings {
        container: Some(Container::Mp4.into()),
        video: Some(video(VideoCodec::H264)),
        audio: Some(audio(AudioCodec::Aac)),
        ..TranscodeSettings::default()
    };
    node("film", settings)
}

fn facts(path: &Path) -> InputFacts {
    probe(path, &InputLimits::default(), Duration::from_secs(20)).unwrap_or_else(|failure| panic!("{}: {failure:?}", path.display()))
}

fn languages(facts: &InputFacts) -> Vec<&str> {
    let sound = facts.media.streams.iter().filter(|stream| stream.kind == "audio");
    sound.map(|stream| stream.language.as_str()).collect()
}

#[test]
fn tracks_are_numbered_as_the_programme_lists_them() {
    let inputs = Inputs::new();
    let pids = "-streamid 0:0x100 -streamid 1:0x1f0 -streamid 2:0x110 -metadata:s:a:0 language=eng -metadata:s:a:1 language=fra";
    let path = inputs.make(
        "pids.ts",
        &format!("{PICTURE} {SOUND} {SOUND} -map 0 -map 1 -map 2 {H264} -c:a aac {pids}"),
    );
    assert_eq!(languages(&facts(&path)), ["en", "fr"]);
}

#[test]
fn pictures_in_quicktime_are_film() {
    let inputs = Inputs::new();
    for codec in ["png", "jpeg2000"] {
        let path = inputs.make(&format!("{codec}.mov"), &format!("{PICTURE} -frames:v 10 -c:v {codec}"));
        let output = inputs.transcoded(&path).unwrap_or_else(|problem| panic!("{codec}: {problem}"));
        assert_eq!(frames(&output), 10, "{codec}");
    }
}

#[test]
fn dts_of_discs_is_heard() {
    let inputs = Inputs::new();
    for (name, options) in [("dts.ts", ""), ("dts.m2ts", "-mpegts_m2ts_mode 1")] {
        let path = inputs.make(name, &format!("{PICTURE} {SOUND} {H264} -strict -2 -c:a dca -ac 2 {options}"));
        let output = inputs.transcoded(&path).unwrap_or_else(|problem| panic!("{name}: {problem}"));
        assert!((loudness(&output) - loudness(&path)).abs() < 1.0, "{name}");
    }
}

/// Mean level of the sound, in dB.
fn loudness(file: &Path) -> f64 {
    let heard = filtered(&[file], "-vn -af volumedetect");
    let level = heard.split("mean_volume: ").nth(1).and_then(|rest| rest.split(' ').next());
    number(level.unwrap_or_else(|| panic!("no sound in {}", file.display())))
}

#[test]
fn of_several_programmes_the_one_with_a_film_is_read_and_the_others_are_said() {
    let inputs = Inputs::new();
    let programs = "-program title=radio:st=0 -program title=film:st=1:st=2";
    let path = inputs.make(
        "programmes.ts",
        &format!("{SOUND} {PICTURE} {SOUND} -map 0 -map 1 -map 2 {H264} -c:a aac {programs}"),
    );
    let facts = facts(&path);
    let kinds: Vec<_> = facts.media.streams.iter().map(|stream| stream.kind.as_str()).collect();
    assert_eq!(kinds, ["video", "audio"]);
    assert!(
        facts.warnings[0].message.contains("number 2 was read, and not 1"),
        "{:?}",
        facts.warnings
    );
    assert_eq!(frames(&inputs.transcoded(&path).unwrap()), 30);
}
