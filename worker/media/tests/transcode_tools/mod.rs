//! Films with flashes and beeps, orders of one transcode, and how far sound and picture are apart.
#![allow(dead_code)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use mps_proto::{
    v1::{self, AudioCodec, Container, VideoCodec, node_settings::Settings},
    worker::v1::{Failure, PlanNode, PlanOutput},
};

use crate::pass_tools::{carry_out, ffmpeg, order};

/// A folder with a film of 2 s, 320x180 at 30 frames per second: at 0.5 s and 1.5 s a white flash of 2 frames with a beep.
pub struct Film {
    pub folder: tempfile::TempDir,
}

impl Film {
    pub fn new() -> Self {
        let film = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let flash = "drawbox=t=fill:c=white:enable='between(mod(n,30),15,16)'";
        let beep = "aevalsrc=0.8*sin(2*PI*1000*t)*between(mod(t\\,1)\\,0.5\\,0.5666):s=48000:d=2";
        let arguments = format!(
            "-f lavfi -i testsrc2=s=320x180:r=30:d=2,eq=brightness=-0.4,{flash} -f lavfi -i {beep} \
             -c:v libx264 -preset veryfast -bf 2 -g 30 -pix_fmt yuv420p -c:a pcm_s16le -metadata title=Flashes"
        );
        ffmpeg(&arguments, &film.path("film.mkv"));
        film
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The files of the nodes, or why there are none.
    pub fn transcode(&self, nodes: Vec<PlanNode>) -> Vec<Result<PathBuf, String>> {
        self.transcode_of("film.mkv", nodes)
    }

    pub fn transcode_of(&self, input: &str, nodes: Vec<PlanNode>) -> Vec<Result<PathBuf, String>> {
        let outputs = tempfile::tempdir_in(self.folder.path()).unwrap().keep();
        let copy = outputs.join(input);
        fs::copy(self.path(input), &copy).unwrap();
        let result = carry_out(&order(&copy, nodes, &outputs));
        if let Some(failure) = &result.failure {
            return vec![Err(message(failure))];
        }
        let file = |node: &mps_proto::worker::v1::NodeResult| match &node.failure {
            Some(failure) => Err(message(failure)),
            None => Ok(PathBuf::from(&node.files[0].path)),
        };
        result.nodes.iter().map(file).collect()
    }
}

fn message(failure: &Failure) -> String {
    failure.status.as_ref().map(|status| status.message.clone()).unwrap_or_default()
}

pub fn suffix(container: Container) -> &'static str {
    match container {
        Container::Mp4 => "mp4",
        Container::M4a => "m4a",
        Container::Mp3 => "mp3",
        Container::Mov => "mov",
        Container::Mkv => "mkv",
        Container::Webm => "webm",
        Container::Ts => "ts",
        Container::Flv => "flv",
        Container::Flac => "flac",
        Container::Ogg => "ogg",
        Container::Wav => "wav",
        _ => "bin",
    }
}

pub fn node(key: &str, settings: v1::TranscodeSettings) -> PlanNode {
    let format = suffix(settings.container()).to_owned();
    PlanNode {
        key: key.into(),
        settings: Some(v1::NodeSettings {
            settings: Some(Settings::Transcode(settings)),
        }),
        outputs: vec![PlanOutput {
            output_id: format!("out-{key}"),
            format,
            ..Default::default()
        }],
        ..Default::default()
    }
}

pub fn video(codec: VideoCodec) -> v1::VideoSettings {
    v1::VideoSettings {
        codec: Some(codec as i32),
        rate_control: Some(v1::RateControl::Crf as i32),
        gop_frames: Some(30),
        speed: Some(v1::EncoderSpeed::Fastest as i32),
        ..Default::default()
    }
}

pub fn audio(codec: AudioCodec) -> v1::AudioSettings {
    v1::AudioSettings {
        codec: Some(codec as i32),
        bitrate_bps: Some(128_000),
        channels: Some(2),
        ..Default::default()
    }
}

/// When the picture first gets bright, in seconds.
fn first_flash(file: &Path) -> f64 {
    let text = filter_lines(
        file,
        &["-an", "-vf", "signalstats,metadata=print:key=lavfi.signalstats.YAVG:file=-"],
    );
    let mut time = 0.0;
    for line in text.lines() {
        if let Some(stamp) = line.split("pts_time:").nth(1) {
            time = stamp.trim().parse().unwrap_or(0.0);
        }
        if let Some(value) = line.strip_prefix("lavfi.signalstats.YAVG=")
            && value.parse::<f64>().unwrap_or(0.0) > 200.0
        {
            return time;
        }
    }
    panic!("no flash in {}", file.display());
}

/// When sound is first heard, in seconds.
pub fn first_sound(file: &Path) -> f64 {
    let text = filter_lines(file, &["-vn", "-af", "silencedetect=n=-30dB:d=0.2"]);
    let end = text.lines().find_map(|line| line.split("silence_end: ").nth(1));
    let end = end.unwrap_or_else(|| panic!("no beep in {}: {text}", file.display()));
    end.split_whitespace().next().unwrap().parse().unwrap()
}

fn filter_lines(file: &Path, arguments: &[&str]) -> String {
    let output = Command::new("ffmpeg")
        .args(["-hide_banner", "-nostdin", "-copyts", "-i"])
        .arg(file)
        .args(arguments)
        .args(["-f", "null", "-"])
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Sound minus picture in seconds: above zero the sound is late.
pub fn av_offset(file: &Path) -> f64 {
    first_sound(file) - first_flash(file)
}
