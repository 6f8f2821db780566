//! Copies into every container: as many packets as the input has, decoding times that rise, clean from the first picture, in time.

mod pass_tools;
mod transcode_tools;

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use mps_proto::{
    v1::{self, AudioCodec, Container, VideoCodec},
    worker::v1::PlanNode,
};
use pass_tools::{ffmpeg, ffprobe};
use transcode_tools::{Film, node};

/// Sound and picture may be as far apart as in the input, and by this much more.
const SYNC_LIMIT: f64 = 0.005;

fn copy(container: Container) -> PlanNode {
    let settings = v1::TranscodeSettings {
        container: Some(container as i32),
        video: Some(v1::VideoSettings {
            codec: Some(VideoCodec::Copy as i32),
            ..Default::default()
        }),
        audio: Some(v1::AudioSettings {
            codec: Some(AudioCodec::Copy as i32),
            ..Default::default()
        }),
        ..Default::default()
    };
    node(&format!("{container:?}"), settings)
}

/// What ffmpeg finds in a file.
struct Found {
    packets: usize,
    /// Decoding times of the film's packets as far as the container has them, in seconds.
    decoded: Vec<f64>,
    /// What is said while all is decoded.
    complaints: String,
    /// Seconds by which the first beep is later than the first flash.
    offset: f64,
}

fn look(file: &Path) -> Found {
    let text = ffprobe(file, "-select_streams v:0 -show_entries packet=dts_time,flags");
    let packets: Vec<&str> = text.lines().filter(|line| line.contains("__") || line.contains("K_")).collect();
    let output = Command::new("ffmpeg")
        .args(["-hide_banner", "-nostdin", "-nostats", "-v", "level+info", "-copyts", "-i"])
        .arg(file)
        .args(["-vf", "signalstats,metadata=print:key=lavfi.signalstats.YAVG:file=-"])
        .args(["-af", "silencedetect=n=-30dB:d=0.2", "-f", "null", "-"])
        .output()
        .unwrap();
    let (flashes, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let complains = |line: &&str| line.contains("[warning]") || line.contains("[error]");
    Found {
        packets: packets.len(),
        decoded: packets.iter().filter_map(|line| line.split(',').next()?.parse().ok()).collect(),
        complaints: told.lines().filter(complains).collect::<Vec<_>>().join("; "),
        offset: first_beep(&told) - first_flash(&flashes),
    }
}

fn first_flash(text: &str) -> f64 {
    let mut time = f64::NAN;
    for line in text.lines() {
        if let Some(stamp) = line.split("pts_time:").nth(1) {
            time = stamp.trim().parse().unwrap_or(f64::NAN);
        }
        if line
            .strip_prefix("lavfi.signalstats.YAVG=")
            .is_some_and(|value| value.parse::<f64>().is_ok_and(|value| value > 200.0))
        {
            return time;
        }
    }
    f64::NAN
}

fn first_beep(text: &str) -> f64 {
    let end = text.lines().find_map(|line| line.split("silence_end: ").nth(1));
    end.and_then(|end| end.split_whitespace().next()?.parse().ok()).unwrap_or(f64::NAN)
}

/// What is wrong with a copy.
fn faults(name: &str, input: &Found, output: &Result<PathBuf, String>) -> Vec<String> {
    let output = match output {
        Ok(output) => look(output),
        Err(failure) => return vec![format!("{name}: {failure}")],
    };
    let mut faults = Vec::new();
    let mut expect = |what: &str, right: bool, found: String| {
        if !right {
            faults.push(format!("{name}: {what} {found}"));
        }
    };
    expect(
        "packets",
        output.packets == input.packets,
        format!("{}, input {}", output.packets, input.packets),
    );
    let rise = output.decoded.windows(2).all(|pair| pair[0] < pair[1]);
    // Matroska has no decoding times; what ffprobe says is its guess.
    expect("decoding times", rise || name.ends_with("Mkv"), format!("{:?}", output.decoded));
    expect("complaints", output.complaints.is_empty(), output.complaints.clone());
    let offset = output.offset - input.offset;
    expect("A/V offset", offset.abs() <= SYNC_LIMIT, format!("{:.1} ms", offset * 1000.0));
    faults
}

fn remade(film: &Film, name: &str, options: &str) -> PathBuf {
    let file = film.path(name);
    ffmpeg(&format!("-i {} {options}", film.path("film.mkv").display()), &file);
    file
}

fn copied(film: &Film, input: &Path, containers: &[Container]) -> Vec<String> {
    let name = input.file_name().unwrap().to_str().unwrap();
    let outputs = film.transcode_of(name, containers.iter().map(|container| copy(*container)).collect());
    let named = containers.iter().map(|container| format!("{name} as {container:?}"));
    let input = look(input);
    named
        .zip(&outputs)
        .flat_map(|(named, output)| faults(&named, &input, output))
        .collect()
}

#[test]
fn film_goes_from_every_container_into_every_other() {
    let film = Film::new();
    remade(&film, "whole.mp4", "-c:v copy -c:a aac");
    let of_whole = |name: &str, options: &str| {
        let file = film.path(name);
        ffmpeg(&format!("-i {} -c copy {options}", film.path("whole.mp4").display()), &file);
        file
    };
    let inputs = [
        film.path("whole.mp4"),
        of_whole("fragments.mp4", "-movflags empty_moov+frag_keyframe+default_base_moof"),
        of_whole("input.mov", ""),
        of_whole("input.mkv", ""),
        of_whole("input.ts", ""),
        of_whole("input.flv", ""),
    ];
    let containers = [Container::Mp4, Container::Mov, Container::Mkv, Container::Ts, Container::Flv];
    let faults: Vec<String> = inputs.iter().flat_map(|input| copied(&film, input, &containers)).collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn other_codecs_stay_whole() {
    let film = Film::new();
    let inputs = [
        (
            remade(
                &film,
                "hevc.mp4",
                "-c:v libx265 -preset ultrafast -x265-params log-level=error:bframes=3 -tag:v hev1 -c:a aac",
            ),
            vec![Container::Mp4, Container::Mov, Container::Mkv, Container::Ts],
        ),
        (
            remade(
                &film,
                "hevc.mkv",
                "-c:v libx265 -preset ultrafast -x265-params log-level=error:bframes=3 -c:a aac",
            ),
            vec![Container::Mp4, Container::Ts],
        ),
        (
            remade(&film, "mpeg2.ts", "-c:v mpeg2video -bf 2 -g 15 -b:v 1M -c:a mp2"),
            vec![Container::Mkv, Container::Ts],
        ),
        (
            remade(
                &film,
                "dvd.vob",
                "-c:v mpeg2video -bf 2 -g 15 -b:v 1M -maxrate 2M -bufsize 900k -c:a mp2",
            ),
            vec![Container::Mkv, Container::Ts],
        ),
        (
            remade(&film, "xvid.avi", "-c:v mpeg4 -bf 2 -vtag XVID -c:a libmp3lame"),
            vec![Container::Mp4, Container::Mkv],
        ),
        (
            remade(&film, "plain.avi", "-c:v mpeg4 -bf 0 -vtag XVID -c:a libmp3lame"),
            vec![Container::Mp4, Container::Mkv],
        ),
        (
            remade(
                &film,
                "vp9.webm",
                "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 500k -c:a libopus",
            ),
            vec![Container::Mp4, Container::Mkv, Container::Webm],
        ),
        (remade(&film, "lossless.mkv", "-c:v ffv1 -c:a flac"), vec![Container::Mkv]),
    ];
    let faults: Vec<String> = inputs
        .iter()
        .flat_map(|(input, containers)| copied(&film, input, containers))
        .collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn h265_in_a_movie_is_called_as_players_want_it() {
    let film = Film::new();
    let options = "-frames:v 10 -c:v libx265 -preset ultrafast -x265-params log-level=error -tag:v hev1 -an";
    remade(&film, "hev1.mp4", options);
    let nodes = [Container::Mp4, Container::Mov].map(copy).to_vec();
    for output in film.transcode_of("hev1.mp4", nodes) {
        let tag = ffprobe(&output.unwrap(), "-select_streams v:0 -show_entries stream=codec_tag_string");
        assert_eq!(tag, "hvc1");
    }
}
