//! Tones in, tones out.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use mps_proto::{
    v1::{self, AudioCodec, Container},
    worker::v1::PlanNode,
};

use crate::{
    pass_tools::{ffmpeg, ffprobe, number},
    transcode_tools::{Film, node},
};

/// An empty folder.
pub fn bench() -> Film {
    Film {
        folder: tempfile::tempdir().unwrap(),
    }
}

/// A source of ffmpeg's with a tone in each channel.
pub fn tones(hertz: &[u32], amplitude: f64, layout: &str, seconds: f64) -> String {
    let waves: Vec<_> = hertz.iter().map(|hertz| format!("{amplitude}*sin(2*PI*{hertz}*t)")).collect();
    let layout = if layout.is_empty() { String::new() } else { format!(":c={layout}") };
    format!("-f lavfi -i aevalsrc={}:s=48000:d={seconds}{layout}", waves.join("|"))
}

pub fn make(film: &Film, name: &str, arguments: &str) -> PathBuf {
    let path = film.path(name);
    ffmpeg(arguments, &path);
    path
}

/// A node that makes a file of sound alone.
pub fn sound(key: &str, container: Container, audio: v1::AudioSettings) -> PlanNode {
    let settings = v1::TranscodeSettings {
        container: Some(container as i32),
        audio: Some(audio),
        ..Default::default()
    };
    node(key, settings)
}

pub fn lossless(channels: i32) -> v1::AudioSettings {
    v1::AudioSettings {
        codec: Some(AudioCodec::Pcm16 as i32),
        channels: Some(channels),
        ..Default::default()
    }
}

/// Samples of a file's first track of sound as ffmpeg decodes them, by channel.
pub fn samples(file: &Path) -> Vec<Vec<f32>> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-i"])
        .arg(file)
        .args(["-map", "0:a:0", "-f", "f32le", "-"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told = ffprobe(file, "-select_streams a:0 -show_entries stream=channels");
    let channels = number(told.lines().next().unwrap_or_default()) as usize;
    let all: Vec<f32> = output
        .stdout
        .as_chunks::<4>()
        .0
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes))
        .collect();
    (0..channels)
        .map(|channel| all[channel..].iter().step_by(channels).copied().collect())
        .collect()
}

/// Amplitude of a tone at 48 kHz, over half a second in the middle of a second.
pub fn amplitude(samples: &[f32], hertz: u32) -> f64 {
    let part = &samples[samples.len() / 4..samples.len() * 3 / 4];
    let step = std::f64::consts::TAU * f64::from(hertz) / 48_000.0;
    let (mut real, mut imaginary) = (0.0, 0.0);
    for (number, sample) in part.iter().enumerate() {
        let angle = step * number as f64;
        real += f64::from(*sample) * angle.cos();
        imaginary += f64::from(*sample) * angle.sin();
    }
    2.0 * real.hypot(imaginary) / part.len() as f64
}

/// The highest sample.
pub fn peak(samples: &[Vec<f32>]) -> f32 {
    samples.iter().flatten().fold(0.0, |peak, sample| peak.max(sample.abs()))
}
