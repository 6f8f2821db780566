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

/// Decodes each stream of a manifest; gives its kind and frames, and fails at any error line. One at a time: ffmpeg's reader of DASH ends
/// all streams with the first one that ends.
pub fn frames_of_streams(manifest: &Path) -> Vec<(String, u64)> {
    let probe = ffprobe(manifest);
    let streams = probe["streams"].as_array().cloned().unwrap_or_default();
    let kinds = streams.iter().filter_map(|stream| stream["codec_type"].as_str());
    (0..)
        .zip(kinds)
        .map(|(index, kind)| (kind.to_owned(), frames_of_stream(manifest, index)))
        .collect()
}

fn frames_of_stream(path: &Path, index: usize) -> u64 {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-count_frames", "-select_streams", &index.to_string()])
        .args(["-show_entries", "stream=nb_read_frames", "-of", "json"])
        .arg(path)
        .output()
        .expect("ffprobe is installed");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.trim().is_empty(), "{}: {errors}", path.display());
    let probe: Value = serde_json::from_slice(&output.stdout).expect("ffprobe writes JSON");
    let frames = probe["streams"][0]["nb_read_frames"].as_str();
    frames.and_then(|frames| frames.parse().ok()).unwrap_or(0)
}

/// When each packet of a file with one stream is decoded, in its time base.
pub fn decoding_times(path: &Path) -> Vec<i64> {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-show_entries", "packet=dts", "-of", "csv=p=0"])
        .arg(path)
        .output()
        .expect("ffprobe is installed");
    let text = String::from_utf8_lossy(&output.stdout);
    let read = |line: &str| line.trim_end_matches(',').parse().ok();
    text.lines()
        .filter(|line| !line.is_empty())
        .map(|line| read(line).unwrap_or_else(|| panic!("{} has a packet without a time: {line}", path.display())))
        .collect()
}

/// The likeness of the picture that differs most between two films, in dB, paired in order.
pub fn worst_psnr(one: &Path, other: &Path, size: &str) -> f64 {
    let each = format!("settb=1/30,setpts=N,scale={size}");
    let filter = format!("[0:v:0]{each}[a];[1:v:0]{each}[b];[a][b]psnr");
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-hide_banner", "-i"])
        .arg(one)
        .arg("-i")
        .arg(other)
        .args(["-lavfi", &filter, "-f", "null", "-"])
        .output()
        .expect("ffmpeg is installed");
    let log = String::from_utf8_lossy(&output.stderr);
    let worst = log.rsplit_once(" min:").and_then(|(_, rest)| rest.split(' ').next());
    worst.and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{log}"))
}

/// The peak of what a low tone does not hold, in dB, but for the first and the last second: where packets do not fit there is a click.
pub fn loudest_click(path: &Path, seconds: u32) -> f64 {
    let steep = ["highpass=f=3000"; 3].join(",");
    let filter = format!("{steep},atrim=start=1:end={},astats=measure_perchannel=none", seconds - 1);
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-hide_banner", "-i"])
        .arg(path)
        .args(["-map", "0:a:0", "-af", &filter, "-f", "null", "-"])
        .output()
        .expect("ffmpeg is installed");
    let log = String::from_utf8_lossy(&output.stderr);
    let peak = log.rsplit_once("Peak level dB: ").and_then(|(_, rest)| rest.lines().next());
    peak.and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{log}"))
}

/// The cues of a file of subtitles: when, as SubRip writes it, and what.
pub fn cues(path: &Path) -> Vec<(String, String)> {
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-i"])
        .arg(path)
        .args(["-f", "srt", "-"])
        .output()
        .expect("ffmpeg is installed");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.trim().is_empty(), "{}: {errors}", path.display());
    let text = String::from_utf8_lossy(&output.stdout);
    let cue = |block: &str| {
        let (_number, rest) = block.trim().split_once('\n')?;
        let (time, text) = rest.split_once('\n')?;
        Some((time.to_owned(), text.to_owned()))
    };
    text.split("\n\n").filter_map(cue).collect()
}
