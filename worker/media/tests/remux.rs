//! What a copy keeps besides its packets: how the picture stands, names of tracks, what an edit list hides; and what it says where it cannot.

mod pass_tools;
mod transcode_tools;

use std::{fs, path::Path};

use mps_proto::{
    v1::{self, AudioCodec, Container, VideoCodec, audio_track_selector::Selector},
    worker::v1::{NodeResult, PlanNode},
};
use pass_tools::{carry_out, ffmpeg, ffprobe, order};
use transcode_tools::{Film, av_offset, first_sound, node};

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

fn all_tracks(mut node: PlanNode) -> PlanNode {
    node.audio_tracks = vec![v1::AudioTrackSelector {
        selector: Some(Selector::All(true)),
    }];
    node
}

fn remade(film: &Film, name: &str, options: &str) {
    ffmpeg(&format!("-i {} {options}", film.path("film.mkv").display()), &film.path(name));
}

fn run(film: &Film, input: &str, nodes: Vec<PlanNode>) -> Vec<NodeResult> {
    let outputs = tempfile::tempdir_in(film.folder.path()).unwrap().keep();
    let input_copy = outputs.join(input);
    fs::copy(film.path(input), &input_copy).unwrap();
    let result = carry_out(&order(&input_copy, nodes, &outputs));
    assert!(result.failure.is_none(), "{input}: {:?}", result.failure);
    for node in &result.nodes {
        assert!(node.failure.is_none(), "{input} {}: {:?}", node.key, node.failure);
    }
    result.nodes
}

fn file(node: &NodeResult) -> &Path {
    Path::new(&node.files[0].path)
}

fn warnings(node: &NodeResult) -> String {
    node.warnings
        .iter()
        .map(|warning| warning.message.as_str())
        .collect::<Vec<_>>()
        .join("; ")
}

#[test]
fn a_picture_that_is_turned_for_display_stays_turned_or_is_told_of() {
    let film = Film::new();
    remade(&film, "plain.mp4", "-c:v copy -an");
    ffmpeg(
        &format!("-i {} -c copy -metadata:s:v rotate=90", film.path("plain.mp4").display()),
        &film.path("portrait.mp4"),
    );
    let mut nodes = vec![
        copy(Container::Mp4),
        copy(Container::Mov),
        copy(Container::Mkv),
        copy(Container::Ts),
    ];
    for node in &mut nodes {
        if let Some(v1::node_settings::Settings::Transcode(settings)) =
            node.settings.as_mut().and_then(|settings| settings.settings.as_mut())
        {
            settings.audio = None;
        }
    }
    let made = run(&film, "portrait.mp4", nodes);
    let rotation = |path: &Path| ffprobe(path, "-show_entries stream_side_data=rotation");
    assert!(rotation(&film.path("portrait.mp4")).contains("90"));
    for node in &made[..2] {
        assert_eq!(rotation(file(node)), rotation(&film.path("portrait.mp4")), "{}", node.key);
        assert_eq!(warnings(node), "");
    }
    for node in &made[2..] {
        assert!(warnings(node).contains("turned"), "{}: {}", node.key, warnings(node));
    }
}

#[test]
fn one_of_several_tracks_is_on_and_all_keep_their_names() {
    let film = Film::new();
    remade(
        &film,
        "tracks.mkv",
        "-map 0 -map 0:a -map 0:a -c:v copy -c:a aac -metadata:s:a:0 title=Mix -metadata:s:a:1 title=Second -metadata:s:a:1 \
         language=deu -metadata:s:a:2 title=Third",
    );
    ffmpeg(
        &format!("-i {} -map 0 -c copy", film.path("tracks.mkv").display()),
        &film.path("tracks.mp4"),
    );
    for input in ["tracks.mkv", "tracks.mp4"] {
        let containers = [Container::Mp4, Container::Mov, Container::Mkv];
        let made = run(&film, input, containers.map(|container| all_tracks(copy(container))).to_vec());
        for node in &made {
            let told = |entries: &str| ffprobe(file(node), &format!("-select_streams a -show_entries {entries}"));
            assert_eq!(
                told("stream_disposition=default").lines().collect::<Vec<_>>(),
                ["1", "0", "0"],
                "{input} {}",
                node.key
            );
            let names = told("stream_tags=title,handler_name");
            let named = |name: &str| names.lines().any(|line| line.contains(name));
            assert!(
                ["Mix", "Second", "Third"].iter().all(|name| named(name)),
                "{input} {}: {names}",
                node.key
            );
        }
    }
}

#[test]
fn what_an_edit_list_hides_stays_hidden_or_is_told_of() {
    let film = Film::new();
    remade(
        &film,
        "whole.mp4",
        "-c:v libx264 -preset veryfast -bf 2 -g 250 -pix_fmt yuv420p -c:a aac",
    );
    // Begins between key frames: the media from the one before stay, and the list hides them.
    ffmpeg(
        &format!("-ss 0.3 -i {} -c copy", film.path("whole.mp4").display()),
        &film.path("trimmed.mp4"),
    );
    let made = run(
        &film,
        "trimmed.mp4",
        vec![copy(Container::Mp4), copy(Container::Mov), copy(Container::Mkv)],
    );
    let frames = |path: &Path| ffprobe(path, "-select_streams v -count_frames -show_entries stream=nb_read_frames");
    for node in &made[..2] {
        assert_eq!(frames(file(node)), frames(&film.path("trimmed.mp4")), "{}", node.key);
        let beep = first_sound(file(node));
        assert!((beep - 0.2).abs() < 0.01, "{}: first beep at {beep}", node.key);
        assert_eq!(warnings(node), "");
    }
    assert!(warnings(&made[2]).contains("before its start"), "{}", warnings(&made[2]));
    for node in &made {
        let offset = av_offset(file(node));
        assert!(offset.abs() < 0.005, "{}: sound is {:.1} ms late", node.key, offset * 1000.0);
    }
}

#[test]
fn clips_are_copied_from_the_key_frame_before_them() {
    let film = Film::new();
    remade(
        &film,
        "whole.mp4",
        "-c:v libx264 -preset veryfast -bf 2 -g 12 -pix_fmt yuv420p -c:a aac",
    );
    for name in ["whole.mkv", "whole.ts"] {
        ffmpeg(&format!("-i {} -c copy", film.path("whole.mp4").display()), &film.path(name));
    }
    for input in ["whole.mp4", "whole.mkv", "whole.ts"] {
        let span = |millis: i32| {
            Some(prost_types::Duration {
                seconds: 0,
                nanos: millis * 1_000_000,
            })
        };
        let clip = |container| PlanNode {
            start_offset: span(233),
            end_offset: span(900),
            ..copy(container)
        };
        let made = run(
            &film,
            input,
            [Container::Mp4, Container::Mov, Container::Mkv, Container::Ts].map(clip).to_vec(),
        );
        for node in &made {
            let offset = av_offset(file(node));
            assert!(
                offset.abs() < 0.006,
                "{input} {}: sound is {:.1} ms late",
                node.key,
                offset * 1000.0
            );
        }
        let frames = |path: &Path| ffprobe(path, "-select_streams v -count_frames -show_entries stream=nb_read_frames");
        for node in &made[..2] {
            let beep = first_sound(file(node));
            assert!((beep - 0.267).abs() < 0.035, "{input} {}: first beep at {beep}", node.key);
            let shown: usize = frames(file(node)).parse().unwrap();
            assert!((20..=21).contains(&shown), "{input} {}: {shown} frames", node.key);
        }
        assert!(warnings(&made[2]).contains("the key frame at 0.0"), "{}", warnings(&made[2]));
    }
}

#[test]
fn sound_of_cameras_and_colours_of_av1_are_kept() {
    let film = Film::new();
    remade(&film, "camera.mov", "-c:v copy -c:a pcm_s16be");
    let made = run(&film, "camera.mov", vec![copy(Container::Mov), copy(Container::Mkv)]);
    for node in &made {
        let sound = ffprobe(file(node), "-select_streams a -show_entries stream=codec_name");
        assert_eq!(sound, "pcm_s16be", "{}", node.key);
    }
    remade(
        &film,
        "wide.mkv",
        "-c:v libaom-av1 -cpu-used 8 -row-mt 1 -t 0.5 -color_primaries bt2020 -color_trc smpte2084 -colorspace bt2020nc -an",
    );
    let mut node = copy(Container::Mp4);
    if let Some(v1::node_settings::Settings::Transcode(settings)) = node.settings.as_mut().and_then(|settings| settings.settings.as_mut()) {
        settings.audio = None;
    }
    let made = run(&film, "wide.mkv", vec![node]);
    let bytes = fs::read(file(&made[0])).unwrap();
    let nclx = [&b"colrnclx"[..], &[0, 9, 0, 16, 0, 9, 0]].concat();
    assert!(bytes.windows(nclx.len()).any(|window| window == nclx));
}

#[test]
fn what_a_copy_leaves_out_is_told_once() {
    let film = Film::new();
    let chapters = ";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=1000\ntitle=One\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=1000\nEND=2000\ntitle=Two\n";
    fs::write(film.path("chapters.txt"), chapters).unwrap();
    fs::write(film.path("words.srt"), "1\n00:00:00,000 --> 00:00:02,000\nWords\n").unwrap();
    let [told, words] = ["chapters.txt", "words.srt"].map(|name| film.path(name).display().to_string());
    let more = format!("-i {words} -i {told} -map 0:v -map 0:v -map 0:a -map 1 -map_metadata 2 -c:v copy -timecode 01:00:00:00");
    remade(&film, "more.mp4", &format!("{more} -c:a aac -c:s mov_text"));
    remade(&film, "more.mkv", &format!("{more} -c:a aac -c:s srt"));
    for (input, wanted) in [
        (
            "more.mp4",
            "1 further video track, 1 subtitle track, 2 chapters, 2 timecode tracks of the input",
        ),
        ("more.mkv", "1 further video track, 1 subtitle track, 2 chapters of the input"),
    ] {
        let made = run(&film, input, vec![copy(Container::Mp4)]);
        let told = warnings(&made[0]);
        assert!(told.contains(wanted) && !told.contains(';'), "{input}: {told}");
    }
}
