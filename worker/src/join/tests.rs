//! Joined files, judged by ffprobe and ffmpeg.

use std::{path::Path, process::Command};

use super::*;

/// A film of so many seconds: black with a white flash, silence with a beep at the same time, both from 0.48 to 0.68 s of each second.
fn film(seconds: u32) -> String {
    format!(
        "-f lavfi -i color=black:s=160x96:r=25:d={seconds},drawbox=t=fill:c=white:enable=between(mod(t\\,1)\\,0.47\\,0.67) \
         -f lavfi -i aevalsrc=sin(2*PI*1000*t)*between(mod(t\\,1)\\,0.48\\,0.68):s=48000:d={seconds} \
         -c:v libx264 -preset ultrafast -bf 2 -g 25 -sc_threshold 0 -pix_fmt yuv420p -c:a aac"
    )
}

const SOUND: &str = "-map 1:a -c:a aac";
const HLS: &str = "-f hls -hls_time 1 -hls_playlist_type vod";

fn ffmpeg(folder: &Path, arguments: &str) -> String {
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-hide_banner", "-y", "-loglevel", "level+info"])
        .args(arguments.split_whitespace())
        .current_dir(folder)
        .output()
        .expect("ffmpeg is installed");
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments}: {log}");
    log
}

/// Segments of the playlists, one behind the other with a discontinuity between them: file, section, and whether a run begins.
fn segments(folder: &Path, playlists: &[&str]) -> Vec<Segment> {
    let mut found = Vec::new();
    for playlist in playlists {
        let text = std::fs::read_to_string(folder.join(playlist)).unwrap();
        let init = text.split("EXT-X-MAP:URI=\"").nth(1).and_then(|rest| rest.split('"').next());
        for (number, name) in text.lines().filter(|line| !line.starts_with('#')).enumerate() {
            found.push(Segment {
                path: folder.join(name),
                init: init.map(|init| folder.join(init)),
                position: 0,
                begins_run: number == 0,
            });
        }
    }
    found
}

/// Joins renditions, each given by what is taken of it and its segments.
fn join(folder: &Path, renditions: Vec<(Take, Vec<Segment>)>) -> Result<PathBuf, JoinError> {
    let rendition = |take: Take| Rendition {
        take,
        language: if take == Take::Sound { "deu".into() } else { String::new() },
    };
    let kinds = renditions
        .iter()
        .map(|(take, segments)| Ok((rendition(*take), Kind::of(&segments[0].path)?)));
    let (mut join, path) = create(folder, kinds.collect::<Result<_, JoinError>>()?)?;
    let mut lines: Vec<_> = renditions
        .into_iter()
        .map(|(_, segments)| segments.into_iter().peekable())
        .collect();
    while lines[0].peek().is_some() {
        for (number, line) in lines.iter_mut().enumerate() {
            join.open(number, &line.next().unwrap())?;
        }
        while let Some(number) = join.write()? {
            match lines[number].next_if(|segment| !segment.begins_run) {
                Some(segment) => join.open(number, &segment)?,
                None => join.end_run(number),
            }
        }
    }
    join.finish()?;
    Ok(path)
}

/// Times in a log behind a word.
fn times(log: &str, word: &str) -> Vec<f64> {
    let number = |rest: &str| {
        rest.split([' ', '\n', '|'])
            .find(|part| !part.is_empty())
            .and_then(|part| part.parse().ok())
    };
    log.split(word).skip(1).filter_map(number).collect()
}

struct Seen {
    frames: usize,
    flashes: Vec<f64>,
    beeps: Vec<f64>,
}

/// Decodes the film and a track of sound; nothing may be wrong in it.
fn watch(path: &Path, track: usize) -> Seen {
    let arguments = format!(
        "-i {} -map 0:v -map 0:a:{track} -vf blackdetect=d=0.01:pix_th=0.2,showinfo,settb=1/90000 -af silencedetect=n=-30dB:d=0.1 -fps_mode passthrough -f null -",
        path.display()
    );
    let log = ffmpeg(path.parent().unwrap(), &arguments);
    let wrong: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("[error]") || line.contains("[warning]"))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    Seen {
        frames: log.matches(" pts_time:").count(),
        flashes: times(&log, "black_end:"),
        beeps: times(&log, "silence_end: "),
    }
}

/// Each second has its flash and its beep, at the same time.
fn is_in_sync(seen: &Seen, seconds: usize) {
    let (flashes, beeps) = (&seen.flashes, &seen.beeps);
    // what is detected last may be the end of the film
    assert!(flashes.len() >= seconds && beeps.len() >= seconds, "{flashes:?} {beeps:?}");
    for (second, (flash, beep)) in flashes.iter().zip(beeps).take(seconds).enumerate() {
        assert!((flash - beep).abs() < 0.003, "{second}: {flash} {beep}");
        assert!((flash - flashes[0] - second as f64).abs() < 0.002, "{second}: {flashes:?}");
    }
}

fn probe(path: &Path, what: &str) -> String {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-of", "csv=p=0", "-show_entries", what])
        .arg(path)
        .output()
        .expect("ffprobe is installed");
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn runs_of_transport_streams_follow_each_other_without_a_gap() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    ffmpeg(at, &format!("{} {HLS} -hls_segment_filename a%d.ts a.m3u8", film(3)));
    ffmpeg(
        at,
        &format!(
            "{} -output_ts_offset 95443 -streamid 0:300 -streamid 1:200 {HLS} -hls_segment_filename b%d.ts b.m3u8",
            film(2)
        ),
    );
    let path = join(at, vec![(Take::All, segments(at, &["a.m3u8", "b.m3u8", "a.m3u8"]))]).unwrap();
    let seen = watch(&path, 0);
    assert_eq!(seen.frames, 200);
    is_in_sync(&seen, 8);
    let stamps: Vec<i64> = probe(&path, "packet=pts")
        .split_whitespace()
        .filter_map(|line| line.parse().ok())
        .collect();
    assert!(stamps.iter().all(|pts| (90_000..11 * 90_000).contains(pts)), "the clock goes on");
}

#[test]
fn clock_that_begins_anew_in_each_segment_is_made_one() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    for number in 0..3 {
        ffmpeg(at, &format!("{} s{number}.ts", film(1)));
    }
    let segment = |number: usize| Segment {
        path: at.join(format!("s{number}.ts")),
        init: None,
        position: 0,
        begins_run: number == 0,
    };
    let path = join(at, vec![(Take::All, (0..3).map(segment).collect())]).unwrap();
    let seen = watch(&path, 0);
    assert_eq!(seen.frames, 75);
    is_in_sync(&seen, 3);
}

#[test]
fn sound_of_its_own_is_put_beside_its_film() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let film = film(3);
    for (name, form) in [("t", "mpegts"), ("m", "fmp4")] {
        let hls = |kind: &str| {
            format!(
                "{HLS} -hls_segment_type {form} -hls_fmp4_init_filename {name}{kind}.mp4 -hls_segment_filename {name}{kind}%d.seg {name}{kind}.m3u8"
            )
        };
        // later than zero: else ffmpeg moves each output by its own delay
        let later = "-output_ts_offset 7";
        ffmpeg(at, &format!("{film} {later} -map 0:v {} {SOUND} {later} {}", hls("v"), hls("a")));
        let segments = |kind: &str| segments(at, &[&format!("{name}{kind}.m3u8")]);
        let renditions = vec![
            (Take::Film, segments("v")),
            (Take::Sound, segments("a")),
            (Take::Sound, segments("a")),
        ];
        let path = join(at, renditions).unwrap();
        let languages = probe(&path, "stream_tags=language");
        assert_eq!(languages.matches("deu").count(), 2, "{form}: {languages}");
        for track in 0..2 {
            let seen = watch(&path, track);
            assert_eq!(seen.frames, 75, "{form}");
            is_in_sync(&seen, 3);
        }
    }
}

#[test]
fn runs_of_fragments_follow_each_other_without_a_gap() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let fmp4 = |name: &str, seconds: u32, more: &str| {
        let hls = format!("{HLS} -hls_segment_type fmp4 -hls_fmp4_init_filename {name}.mp4 -hls_segment_filename {name}%d.m4s {name}.m3u8");
        ffmpeg(at, &format!("{} {more} {hls}", film(seconds)));
    };
    fmp4("a", 3, "");
    fmp4("b", 2, "-output_ts_offset 5000");
    fmp4("c", 1, "-s 320x192");
    let path = join(at, vec![(Take::All, segments(at, &["a.m3u8", "b.m3u8", "a.m3u8"]))]).unwrap();
    let seen = watch(&path, 0);
    assert_eq!(seen.frames, 200);
    is_in_sync(&seen, 8);
    // Another section that says the same goes on where the one before ended, and a box of media may leave its size open.
    std::fs::copy(at.join("a.mp4"), at.join("again.mp4")).unwrap();
    let mut found = segments(at, &["a.m3u8"]);
    let count = found.len();
    for segment in &mut found[1..] {
        segment.init = Some(at.join("again.mp4"));
        let mut bytes = std::fs::read(&segment.path).unwrap();
        let place = bytes.windows(4).position(|kind| kind == b"mdat").unwrap() - 4;
        bytes[place..place + 4].fill(0);
        std::fs::write(&segment.path, bytes).unwrap();
    }
    assert!(count > 2);
    let seen = watch(&join(at, vec![(Take::All, found)]).unwrap(), 0);
    assert_eq!(seen.frames, 75);
    is_in_sync(&seen, 3);
    let mut found = segments(at, &["a.m3u8"]);
    found[1].init = Some(at.join("c.mp4"));
    let refused = join(at, vec![(Take::All, found.clone())]).unwrap_err();
    assert!(refused.to_string().contains("another initialisation section"), "{refused}");
    // Samples that last otherwise where fragments do not tell.
    let mut section = std::fs::read(at.join("a.mp4")).unwrap();
    let trex = section.windows(4).position(|kind| kind == b"trex").unwrap();
    section[trex + 19] ^= 1;
    std::fs::write(at.join("other.mp4"), section).unwrap();
    found[1].init = Some(at.join("other.mp4"));
    let refused = join(at, vec![(Take::All, found.clone())]).unwrap_err();
    assert!(refused.to_string().contains("another initialisation section"), "{refused}");
    let found = segments(at, &["b.m3u8"]);
    let mut bytes = std::fs::read(&found[1].path).unwrap();
    bytes.extend([0, 0, 0, 4, b'j', b'u', b'n', b'k', 0, 0, 0, 0]);
    std::fs::write(&found[1].path, bytes).unwrap();
    let refused = join(at, vec![(Take::All, found)]).unwrap_err();
    assert!(refused.to_string().contains("bytes that are no boxes"), "{refused}");
    let refused = join(at, vec![(Take::All, segments(at, &["a.m3u8", "c.m3u8"]))]).unwrap_err();
    assert!(refused.to_string().contains("another initialisation section"), "{refused}");
}

#[test]
fn packed_sound_is_joined_alone_and_beside_a_film() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let film = film(3).replace("-bf 2", "-bf 0");
    ffmpeg(
        at,
        &format!("{film} -map 0:v {HLS} -hls_segment_filename v%d.ts v.m3u8 {SOUND} all.aac"),
    );
    let sound = std::fs::read(at.join("all.aac")).unwrap();
    let (mut rest, mut frames, mut packed) = (sound.as_slice(), 0u64, Vec::new());
    while !rest.is_empty() {
        let mut bytes = adts::tests::tag(126_000 + frames * 1920);
        for _ in 0..40 {
            let length = adts::Head::read(rest).map_or(0, |head| head.length);
            bytes.extend_from_slice(&rest[..length]);
            rest = &rest[length..];
            frames += u64::from(length > 0);
        }
        let path = at.join(format!("p{frames}.aac"));
        std::fs::write(&path, bytes).unwrap();
        packed.push(Segment {
            path,
            init: None,
            position: 0,
            begins_run: packed.is_empty(),
        });
    }
    let alone = join(at, vec![(Take::All, packed.clone())]).unwrap();
    assert!(std::fs::read(alone).unwrap() == sound);
    let path = join(at, vec![(Take::Film, segments(at, &["v.m3u8"])), (Take::Sound, packed)]).unwrap();
    let seen = watch(&path, 0);
    assert_eq!(seen.frames, 75);
    // the encoder's delay of 1,024 samples is in frames of AAC
    let apart = seen.beeps[0] - seen.flashes[0];
    assert!((0.0..0.035).contains(&apart), "{apart}");
}

#[test]
fn what_cannot_be_joined_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    ffmpeg(
        at,
        &format!(
            "{0} {HLS} -hls_segment_filename a%d.ts a.m3u8 -map 0:v {HLS} -hls_segment_filename v%d.ts v.m3u8 -c:v libx264 whole.mp4",
            film(1)
        ),
    );
    let whole = |name: &str| {
        vec![Segment {
            path: at.join(name),
            init: None,
            position: 0,
            begins_run: true,
        }]
    };
    std::fs::write(at.join("text.ts"), "WEBVTT\n\n").unwrap();
    std::fs::write(at.join("noise.ts"), [0x47; 188 * 20]).unwrap();
    for (renditions, word) in [
        (vec![(Take::All, whole("whole.mp4"))], "whole MP4"),
        (vec![(Take::All, whole("text.ts"))], "neither"),
        (vec![(Take::All, whole("noise.ts"))], "name no streams"),
        (
            vec![(Take::Film, whole("a0.ts")), (Take::Sound, whole("whole.mp4"))],
            "cannot be joined",
        ),
        (vec![(Take::Film, whole("a0.ts")), (Take::Sound, whole("v0.ts"))], "hold no sound"),
    ] {
        let refused = join(at, renditions).unwrap_err().to_string();
        assert!(refused.contains(word), "{refused}");
    }
}

#[test]
fn page_in_place_of_a_segment_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    ffmpeg(at, &format!("{} {HLS} -hls_segment_filename b%d.ts b.m3u8", film(6)));
    std::fs::write(at.join("b1.ts"), "<html>not found</html>\n".repeat(200)).unwrap();
    let refused = join(at, vec![(Take::All, segments(at, &["b.m3u8"]))]).unwrap_err().to_string();
    assert!(refused.contains("holds no video"), "{refused}");
}
