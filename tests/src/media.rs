//! Sample clips made by ffmpeg, and facts of files read by ffprobe: tools that are not ours.

use std::{path::Path, process::Command};

use serde_json::Value;

/// Runs ffmpeg with `arguments` split at spaces, then the output path.
pub fn ffmpeg(arguments: &str, output: &Path) {
    let mut command = Command::new("ffmpeg");
    command
        .args(["-nostdin", "-v", "error", "-y"])
        .args(arguments.split(' ').filter(|a| !a.is_empty()))
        .arg(output);
    let result = command.output().expect("ffmpeg is installed: make test installs it");
    assert!(result.status.success(), "{command:?}: {}", String::from_utf8_lossy(&result.stderr));
}

/// A clip with picture and sound: H.264 with B-frames, AAC, 30 fps.
pub fn clip(path: &Path, seconds: u32, size: &str) {
    ffmpeg(
        &format!(
            "-f lavfi -i testsrc2=s={size}:r=30:d={seconds} -f lavfi -i sine=f=440:r=48000:d={seconds} \
             -c:v libx264 -preset ultrafast -bf 2 -pix_fmt yuv420p -g 60 -c:a aac -shortest"
        ),
        path,
    );
}

/// A clip that takes long to encode: noise.
pub fn slow_clip(path: &Path, seconds: u32) {
    ffmpeg(
        &format!(
            "-f lavfi -i testsrc2=s=1280x720:r=30:d={seconds} -f lavfi -i sine=f=440:r=48000:d={seconds} -vf noise=alls=60:allf=t \
             -c:v libx264 -preset ultrafast -qp 30 -pix_fmt yuv420p -g 60 -c:a aac -shortest"
        ),
        path,
    );
}

/// Everything that ffprobe says, with packets counted.
pub fn ffprobe(path: &Path) -> Value {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-count_packets", "-show_format", "-show_streams", "-of", "json"])
        .arg(path)
        .output()
        .expect("ffprobe is installed");
    assert!(
        output.status.success(),
        "{}: {}",
        path.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).expect("ffprobe writes JSON")
}

/// The first stream of a kind.
pub fn stream<'a>(probe: &'a Value, kind: &str) -> Option<&'a Value> {
    probe["streams"].as_array()?.iter().find(|stream| stream["codec_type"] == kind)
}

/// Duration of the file in seconds.
pub fn duration(probe: &Value) -> f64 {
    probe["format"]["duration"]
        .as_str()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0.0)
}

/// Decodes the whole file; gives the number of video frames. Any error line fails.
pub fn decode_fully(path: &Path) -> u64 {
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-i"])
        .arg(path)
        .args(["-map", "0", "-f", "null", "-progress", "pipe:1", "-"])
        .output()
        .expect("ffmpeg is installed");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.trim().is_empty(), "{}: {errors}", path.display());
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| line.strip_prefix("frame=")?.trim().parse().ok())
        .next_back()
        .unwrap_or(0)
}
