//! Transcodes whose container is HLS: one playlist's segments, encoded or as they are.

use std::{fs, path::Path, time::Duration};

use mps_proto::{
    v1::{
        AudioCodec, AudioSettings, Container, HlsSettings, NodeSettings, SegmentFormat, TranscodeSettings, VideoCodec, VideoSettings,
        node_settings::Settings,
    },
    worker::v1::{PlanNode, PlanSet, SetResume},
};

use crate::{
    pass_tools::{ffmpeg, ffprobe, frames, number},
    tools::{Film, Told, ffmpeg_log, seconds},
};

const SPAN: Duration = Duration::from_secs(2);

pub fn encoded() -> (Option<VideoSettings>, Option<AudioSettings>) {
    let video = VideoSettings {
        codec: Some(VideoCodec::H264.into()),
        gop_frames: Some(45),
        scene_cuts: Some(false),
        ..VideoSettings::default()
    };
    let audio = AudioSettings {
        codec: Some(AudioCodec::Aac.into()),
        ..AudioSettings::default()
    };
    (Some(video), Some(audio))
}

pub fn copied() -> (Option<VideoSettings>, Option<AudioSettings>) {
    let video = VideoSettings {
        codec: Some(VideoCodec::Copy.into()),
        ..VideoSettings::default()
    };
    let audio = AudioSettings {
        codec: Some(AudioCodec::Copy.into()),
        ..AudioSettings::default()
    };
    (Some(video), Some(audio))
}

/// TS has one playlist here, fragmented MP4 one for each track.
pub fn node(format: SegmentFormat, (video, audio): (Option<VideoSettings>, Option<AudioSettings>)) -> PlanNode {
    let tracks = if format == SegmentFormat::Fmp4 {
        "{subStreamNumber}.m3u8"
    } else {
        ""
    };
    PlanNode {
        key: "hls".into(),
        settings: Some(NodeSettings {
            settings: Some(Settings::Transcode(TranscodeSettings {
                container: Some(Container::Hls.into()),
                video,
                audio,
                hls: Some(HlsSettings {
                    segment_duration: Some(SPAN.try_into().unwrap()),
                    segment_format: Some(format.into()),
                }),
                ..TranscodeSettings::default()
            })),
        }),
        set: Some(PlanSet {
            set_id: "set".into(),
            sub_stream_path: tracks.into(),
            segment_duration: Some(SPAN.try_into().unwrap()),
            segment_format: format.into(),
            ..PlanSet::default()
        }),
        ..PlanNode::default()
    }
}

/// Begins and ends of a track's segments, which follow each other without a gap.
fn times(told: &Told, track: i32) -> Vec<f64> {
    let members: Vec<_> = told.members.iter().filter(|((of, index), _)| *of == track && *index >= 0).collect();
    let mut times = vec![0.0];
    for (place, ((_, index), (member, _))) in members.into_iter().enumerate() {
        assert_eq!(*index, place as i32, "segments are numbered without a gap");
        let start = seconds(member.start);
        assert!(
            (start - times.last().unwrap()).abs() < 0.03,
            "track {track}: {index} begins at {start} after {times:?}"
        );
        times.push(start + seconds(member.duration));
    }
    times
}

fn near(times: &[f64], expected: &[f64]) {
    let same = times.len() == expected.len() && times.iter().zip(expected).all(|(time, expected)| (time - expected).abs() < 0.05);
    assert!(same, "{times:?} instead of {expected:?}");
}

fn joined(film: &Film, told: &Told, track: i32, name: &str) -> std::path::PathBuf {
    let path = film.path(name);
    fs::write(&path, told.joined(track)).unwrap();
    path
}

/// The pictures, whatever their container.
fn pictures(file: &Path) -> String {
    let log = ffmpeg_log_of(&format!(
        "-i {} -map 0:v:0 -fps_mode passthrough -f framehash -hash md5 -",
        file.display()
    ));
    let hashes: Vec<&str> = log
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.rsplit(',').next())
        .collect();
    hashes.join("\n")
}

/// What ffmpeg writes to its output.
fn ffmpeg_log_of(arguments: &str) -> String {
    let output = std::process::Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error"])
        .args(arguments.split_whitespace())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

pub fn decodes(file: &Path) {
    let log = ffmpeg_log(&format!("-v warning -xerror -i {} -f null -", file.display()));
    assert_eq!(log.trim(), "", "{}", file.display());
}

/// Times of key frames.
fn keys(file: &Path) -> Vec<f64> {
    let packets = ffprobe(file, "-select_streams v:0 -show_entries packet=pts_time,flags");
    let keys = packets.lines().filter(|line| line.contains('K'));
    let mut times: Vec<f64> = keys.map(|line| number(line.split(',').next().unwrap_or_default())).collect();
    let first = times.first().copied().unwrap_or_default();
    times.iter_mut().for_each(|time| *time -= first);
    times
}

pub fn sound_length(file: &Path) -> f64 {
    let packets = ffprobe(file, "-select_streams a:0 -show_entries packet=pts_time,duration_time");
    let mut ends = packets.lines().filter_map(|line| {
        let mut fields = line.split(',').map(|field| field.parse::<f64>());
        Some((fields.next()?.ok()?, fields.next()?.ok()?))
    });
    let (first, length) = ends.next().unwrap();
    ends.next_back().map_or(length, |(start, length)| start + length - first)
}

#[test]
fn picture_and_sound_share_segments_that_begin_with_key_frames() {
    let film = Film::new();
    let told = film.stream(node(SegmentFormat::Ts, encoded()), Vec::new());
    assert_eq!(told.tracks.len(), 1);
    let track = &told.tracks[0];
    assert!(
        track.codecs.starts_with("avc1.") && track.codecs.ends_with(",mp4a.40.2"),
        "{}",
        track.codecs
    );
    assert_eq!((track.kind.as_str(), track.width_px, track.sample_rate_hz), ("video", 640, 48_000));
    near(&times(&told, 0), &[0.0, 2.0, 4.0, 6.0, 8.0, 9.0]);
    let whole = joined(&film, &told, 0, "whole.ts");
    decodes(&whole);
    assert_eq!(frames(&whole), 270);
    assert!((sound_length(&whole) - 9.0).abs() < 0.05, "{}", sound_length(&whole));
    // Of their own every 45 frames, and where segments begin; none twice.
    near(&keys(&whole), &[0.0, 1.5, 2.0, 3.5, 4.0, 5.5, 6.0, 7.5, 8.0]);
    for ((_, index), (_, bytes)) in &told.members {
        let path = film.path(&format!("{index}.ts"));
        fs::write(&path, bytes).unwrap();
        assert_eq!(
            frames(&path),
            if *index == 4 { 30 } else { 60 },
            "segment {index} stands for itself"
        );
        assert!(
            ffprobe(&path, "-show_entries stream=codec_name").starts_with("h264\naac"),
            "segment {index}"
        );
    }
}

#[test]
fn fragmented_mp4_has_a_playlist_for_each_track() {
    let film = Film::new();
    let told = film.stream(node(SegmentFormat::Fmp4, encoded()), Vec::new());
    let kinds: Vec<_> = told.tracks.iter().map(|track| track.kind.as_str()).collect();
    assert_eq!(kinds, ["video", "audio"]);
    near(&times(&told, 0), &[0.0, 2.0, 4.0, 6.0, 8.0, 9.0]);
    near(&times(&told, 1), &[0.0, 2.0, 4.0, 6.0, 8.0, 9.0]);
    let picture = joined(&film, &told, 0, "picture.mp4");
    decodes(&picture);
    assert_eq!(frames(&picture), 270);
    decodes(&joined(&film, &told, 1, "sound.mp4"));
}

#[test]
fn every_codec_of_hls_is_written() {
    let film = Film::of("30", 3);
    let codecs = |video: VideoCodec, audio: AudioCodec| {
        let (mut settings, mut sound) = encoded();
        if let (Some(settings), Some(sound)) = (&mut settings, &mut sound) {
            settings.codec = Some(video.into());
            settings.height_px = Some(120);
            sound.codec = Some(audio.into());
        }
        (settings, sound)
    };
    for (format, video, audio, names) in [
        (SegmentFormat::Ts, VideoCodec::H264, AudioCodec::Mp3, ["h264", "mp3"]),
        (SegmentFormat::Ts, VideoCodec::H264, AudioCodec::Ac3, ["h264", "ac3"]),
        (SegmentFormat::Fmp4, VideoCodec::H265, AudioCodec::Ac3, ["hevc", "ac3"]),
        (SegmentFormat::Fmp4, VideoCodec::Av1, AudioCodec::Eac3, ["av1", "eac3"]),
    ] {
        let told = film.stream(node(format, codecs(video, audio)), Vec::new());
        near(&times(&told, 0), &[0.0, 2.0, 3.0]);
        let mut made = Vec::new();
        for track in 0..told.tracks.len() {
            let path = joined(&film, &told, track as i32, &format!("{video:?}-{audio:?}-{track}.mp4"));
            decodes(&path);
            let streams = ffprobe(&path, "-show_entries stream=codec_name");
            made.extend(
                streams
                    .lines()
                    .take_while(|line| !line.is_empty())
                    .map(str::to_owned)
                    .collect::<Vec<_>>(),
            );
        }
        assert_eq!(made, names);
        assert_eq!(frames(&film.path(&format!("{video:?}-{audio:?}-0.mp4"))), 90);
    }
}

#[test]
fn av1_with_scenes_that_change_has_its_key_frames_where_segments_begin() {
    let film = Film::made(
        "-f lavfi -i color=red:s=160x120:r=30:d=1.3 -f lavfi -i mandelbrot=s=160x120:r=30 -filter_complex [0][1]concat=n=2 -t 5 \
         -c:v libx264 -preset veryfast -pix_fmt yuv420p",
    );
    let (mut settings, _) = encoded();
    if let Some(settings) = &mut settings {
        settings.codec = Some(VideoCodec::Av1.into());
        settings.scene_cuts = Some(true);
    }
    let told = film.stream(node(SegmentFormat::Fmp4, (settings, None)), Vec::new());
    near(&times(&told, 0), &[0.0, 2.0, 4.0, 5.0]);
    // 45 frames are the most between two of them, and 30 are what fits into a segment.
    near(&keys(&joined(&film, &told, 0, "scenes.mp4")), &[0.0, 1.0, 2.0, 3.0, 4.0]);
}

#[test]
fn every_codec_of_fragmented_mp4_is_copied() {
    for (arguments, names) in [
        ("-c:v libx265 -x265-params log-level=none -c:a ac3", ["hevc", "ac3"]),
        ("-c:v libaom-av1 -cpu-used 8 -c:a eac3", ["av1", "eac3"]),
    ] {
        let film = Film::named(
            &format!("-f lavfi -i testsrc2=s=160x120:r=30:d=3 -f lavfi -i sine=f=440:r=48000:d=3 -g 30 -pix_fmt yuv420p {arguments}"),
            "film.mkv",
        );
        let told = film.stream(node(SegmentFormat::Fmp4, copied()), Vec::new());
        let picture = joined(&film, &told, 0, "copy.mp4");
        assert_eq!(pictures(&picture), pictures(&film.path("film.mkv")), "{names:?}");
        let sound = joined(&film, &told, 1, "sound.mp4");
        decodes(&sound);
        let codec = |file: &Path| ffprobe(file, "-show_entries stream=codec_name");
        assert_eq!([codec(&picture), codec(&sound)], names);
    }
}

#[test]
fn av1_needs_segments_of_whole_frames() {
    let film = Film::of("30000/1001", 1);
    let (mut settings, sound) = encoded();
    settings.as_mut().unwrap().codec = Some(VideoCodec::Av1.into());
    let refused = film.refused(node(SegmentFormat::Fmp4, (settings, sound)));
    assert!(
        refused.contains("segments of 2 s are not whole frames") && refused.contains("2.002 s are"),
        "{refused}"
    );
}

#[test]
fn copies_are_cut_at_their_own_key_frames_and_lose_nothing() {
    let film = Film::new();
    let source = pictures(&film.path("film.mp4"));
    let told = film.stream(node(SegmentFormat::Ts, copied()), Vec::new());
    near(&times(&told, 0), &[0.0, 2.5, 5.0, 7.5, 9.0]);
    let whole = joined(&film, &told, 0, "copy.ts");
    decodes(&whole);
    assert_eq!(pictures(&whole), source);
    assert!((sound_length(&whole) - 9.0).abs() < 0.05, "{}", sound_length(&whole));

    let told = film.stream(node(SegmentFormat::Fmp4, copied()), Vec::new());
    near(&times(&told, 0), &[0.0, 2.5, 5.0, 7.5, 9.0]);
    let picture = joined(&film, &told, 0, "copy.mp4");
    decodes(&picture);
    assert_eq!(pictures(&picture), source);
    let sound = joined(&film, &told, 1, "copied-sound.mp4");
    decodes(&sound);
    assert!((sound_length(&sound) - 9.0).abs() < 0.05, "{}", sound_length(&sound));
}

#[test]
fn copies_of_clips_begin_with_the_key_frame_before_them() {
    let film = Film::new();
    let source = pictures(&film.path("film.mp4"));
    let clip = |mut node: PlanNode| {
        node.start_offset = Duration::from_secs(3).try_into().ok();
        node.end_offset = Duration::from_secs(7).try_into().ok();
        node
    };
    for (format, sound) in [
        (SegmentFormat::Ts, copied().1),
        (SegmentFormat::Fmp4, copied().1),
        (SegmentFormat::Fmp4, encoded().1),
    ] {
        let told = film.stream(clip(node(format, (copied().0, sound))), Vec::new());
        // Pictures that are decoded before the last one of the clip come along.
        let cuts = times(&told, 0);
        near(&cuts[..2], &[0.0, 2.5]);
        assert!(cuts.len() == 3 && (4.49..4.65).contains(&cuts[2]), "{cuts:?}");
        let is_ts = format == SegmentFormat::Ts;
        let picture = joined(&film, &told, 0, if is_ts { "clip.ts" } else { "clip.mp4" });
        decodes(&picture);
        // The first picture is that of 2.5 s, and every one up to the end is there.
        let wanted: Vec<&str> = source.lines().skip(75).take(135).collect();
        assert!(pictures(&picture).starts_with(&wanted.join("\n")), "{} pictures", frames(&picture));
        let heard = if is_ts {
            picture
        } else {
            joined(&film, &told, 1, "clip-sound.mp4")
        };
        assert!((4.44..4.65).contains(&sound_length(&heard)), "{}", sound_length(&heard));
    }
}

#[test]
fn copies_with_open_gops_and_from_other_containers_lose_nothing() {
    for (arguments, name) in [
        ("-x264-params open-gop=1:keyint=50:min-keyint=50:bframes=3:scenecut=0", "film.mp4"),
        ("-bf 2 -g 50", "film.mkv"),
        ("-bf 2 -g 50", "film.ts"),
    ] {
        let film = Film::named(
            &format!(
                "-f lavfi -i testsrc2=s=320x240:r=25:d=8 -f lavfi -i sine=f=440:r=44100:d=8 -c:v libx264 -preset veryfast {arguments} \
                 -pix_fmt yuv420p -c:a aac"
            ),
            name,
        );
        let source = pictures(&film.path(name));
        for format in [SegmentFormat::Ts, SegmentFormat::Fmp4] {
            let told = film.stream(node(format, copied()), Vec::new());
            near(&times(&told, 0), &[0.0, 2.0, 4.0, 6.0, 8.0]);
            let whole = joined(&film, &told, 0, if format == SegmentFormat::Ts { "copy.ts" } else { "copy.mp4" });
            assert_eq!(pictures(&whole), source, "{name} {arguments} {format:?}");
        }
    }
}

#[test]
fn sound_that_lasts_longer_than_the_picture_is_kept_in_segments_of_its_own() {
    let film = Film::made(
        "-f lavfi -i testsrc2=s=320x240:r=30:d=3 -f lavfi -i sine=f=440:r=48000:d=9 -c:v libx264 -preset veryfast -pix_fmt yuv420p -c:a aac",
    );
    let told = film.stream(node(SegmentFormat::Ts, encoded()), Vec::new());
    near(&times(&told, 0), &[0.0, 2.0, 4.0, 6.0, 8.0, 9.0]);
    let whole = joined(&film, &told, 0, "whole.ts");
    assert_eq!(frames(&whole), 90);
    assert!((sound_length(&whole) - 9.0).abs() < 0.05, "{}", sound_length(&whole));
}

#[test]
fn sound_alone_and_picture_alone_are_streams() {
    let film = Film::new();
    // Packets of the copy last 21 ms, and no segment is longer than it was asked for.
    for (what, ends) in [
        (encoded(), [0.0, 2.0, 4.0, 6.0, 8.0, 9.0]),
        (copied(), [0.0, 1.98, 3.97, 5.95, 7.94, 9.0]),
    ] {
        let told = film.stream(node(SegmentFormat::Ts, (None, what.1)), Vec::new());
        assert_eq!((told.tracks.len(), told.tracks[0].kind.as_str()), (1, "audio"));
        near(&times(&told, 0), &ends);
        decodes(&joined(&film, &told, 0, "sound.ts"));
        let told = film.stream(node(SegmentFormat::Ts, (what.0, None)), Vec::new());
        assert_eq!((told.tracks.len(), told.tracks[0].codecs.contains(',')), (1, false));
        assert_eq!(frames(&joined(&film, &told, 0, "picture.ts")), 270);
    }
}

#[test]
fn an_attempt_that_goes_on_makes_the_same_bytes() {
    let film = Film::new();
    for (what, segments) in [(encoded(), 5), (copied(), 4)] {
        let whole = film.stream(node(SegmentFormat::Ts, what.clone()), Vec::new());
        let resume = SetResume {
            set_id: "set".into(),
            segments: vec![2],
            init_sha256: vec![String::new()],
        };
        let rest = film.stream(node(SegmentFormat::Ts, what), vec![resume]);
        assert_eq!(rest.indices(0), (2..segments).collect::<Vec<_>>());
        for index in 2..segments {
            let (made, again) = (&whole.members[&(0, index)].0, &rest.members[&(0, index)].0);
            assert_eq!((made.start, made.duration), (again.start, again.duration), "segment {index}");
        }
        let mut bytes: Vec<u8> = (0..2).flat_map(|index| whole.members[&(0, index)].1.clone()).collect();
        bytes.extend(rest.joined(0));
        let path = film.path("resumed.ts");
        fs::write(&path, bytes).unwrap();
        decodes(&path);
        assert_eq!(frames(&path), 270);
        assert!((sound_length(&path) - 9.0).abs() < 0.05, "{}", sound_length(&path));
    }
}

/// What an attempt makes that goes on behind four segments is what one without a break makes.
fn goes_on_as_it_was(film: &Film, pictures: u64) {
    let whole = film.stream(node(SegmentFormat::Ts, encoded()), Vec::new());
    let resume = SetResume {
        set_id: "set".into(),
        segments: vec![4],
        init_sha256: vec![String::new()],
    };
    let rest = film.stream(node(SegmentFormat::Ts, encoded()), vec![resume]);
    assert_eq!(rest.indices(0), [4], "{pictures} pictures");
    let mut bytes: Vec<u8> = (0..4).flat_map(|index| whole.members[&(0, index)].1.clone()).collect();
    bytes.extend(rest.joined(0));
    let path = film.keep("resumed.ts", &bytes);
    decodes(&path);
    assert_eq!(frames(&path), pictures);
    let [before, after] = [joined(film, &whole, 0, "whole.ts"), path].map(|file| sound_length(&file));
    assert!((before - after).abs() < 0.05, "{before} {after}");
}

#[test]
fn an_attempt_goes_on_behind_the_end_of_sound_or_picture() {
    for (picture, sound) in [(9, 3), (3, 9)] {
        let film = Film::made(&format!(
            "-f lavfi -i testsrc2=s=320x240:r=30:d={picture} -f lavfi -i sine=f=440:r=48000:d={sound} -c:v libx264 -preset veryfast \
             -pix_fmt yuv420p -c:a aac"
        ));
        goes_on_as_it_was(&film, 30 * picture);
    }
    // A clip cut by copy: six seconds in front of it are hidden.
    let film = Film::made(
        "-f lavfi -i testsrc2=s=320x240:r=30:d=15 -f lavfi -i sine=f=440:r=48000:d=9 -c:v libx264 -preset veryfast -bf 0 -g 900 \
         -sc_threshold 0 -pix_fmt yuv420p -c:a aac",
    );
    let whole = film.path("whole.mp4");
    fs::rename(film.path("film.mp4"), &whole).unwrap();
    ffmpeg(&format!("-ss 6 -i {} -c copy", whole.display()), &film.path("film.mp4"));
    goes_on_as_it_was(&film, 270);
}

#[test]
fn sound_that_ends_before_a_clip_is_left_out() {
    let film = Film::made(
        "-f lavfi -i testsrc2=s=320x240:r=30:d=8 -f lavfi -i sine=f=440:r=48000:d=2 -c:v libx264 -preset veryfast -pix_fmt yuv420p -c:a aac",
    );
    let mut clip = node(SegmentFormat::Ts, encoded());
    clip.start_offset = Duration::from_secs(4).try_into().ok();
    let told = film.stream(clip, Vec::new());
    assert!(!told.tracks[0].codecs.contains(','), "{:?}", told.tracks);
    assert_eq!(frames(&joined(&film, &told, 0, "clip.ts")), 120);
}
