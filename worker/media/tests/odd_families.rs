//! Families of odd inputs, each through one task of every kind of node: a file with all that ffmpeg shows of the input, at its times and in
//! its colours, or a failure with the right reason.

mod kinds_tools;
mod odd_corpus;
mod pass_tools;

use std::path::{Path, PathBuf};

use kinds_tools::{adaptive, animation, cover, hls, samples, snapshot, span, sprite, transcode, video};
use mps_media::failure::reason_of;
use mps_proto::{
    v1::{self, node_settings::Settings},
    worker::v1::{ChildResult, DamagePolicy, PlanNode},
};
use odd_corpus::{
    Corpus,
    families::TITLE,
    ffprobe,
    process::{self, is_typed},
    shown::{Picture, look, picture_of, sound_of},
};

/// Carries out orders for the other tests.
#[test]
#[ignore = "started by the other tests"]
fn carry_out_an_order() {
    process::carry_out_what_is_asked();
}

/// What a film shows: pictures, and seconds from the first one to the end of the last one.
struct Film {
    case: &'static str,
    pictures: usize,
    seconds: f64,
    sound: bool,
}

const fn film(case: &'static str, pictures: usize, seconds: f64, sound: bool) -> Film {
    Film {
        case,
        pictures,
        seconds,
        sound,
    }
}

const FILMS: [&[Film]; 2] = [
    &[
        film("slides", 3, 8.04, false),
        film("slides_b", 3, 8.04, false),
        film("last_of_zero", 19, 1.9, false),
        film("late_mkv", 20, 2.0, true),
        film("late_ts", 20, 2.0, true),
        film("late_mp4", 20, 2.0, true),
        film("late_fragments", 20, 2.0, true),
        film("two_edits", 20, 2.0, false),
        film("auxiliary", 20, 2.0, true),
    ],
    &[
        film("strange_boxes", 20, 2.0, true),
        film("empty_track", 20, 2.0, false),
        film("nameless_track", 20, 2.0, false),
        film("dts", 20, 2.0, true),
        film("mjpeg_440", 20, 2.0, false),
        film("decimated", 8, 2.0, true),
        film("interlaced_ts", 50, 2.0, true),
        film("interlaced_vob", 50, 2.0, true),
        film("emoji", 20, 2.0, true),
    ],
];
/// Copies that are not looked at: stamps of program streams stand at some pictures only, and of pictures that are decoded out of order the last
/// one does not tell how long it lasts.
const UNSTAMPED: [(&str, &str); 2] = [("interlaced_vob", "copy"), ("slides_b", "copy")];
/// Nodes that say why they make nothing.
const REFUSED: [(&str, &str, &str); 1] = [("two_edits", "copy", "UNSUPPORTED")];
const SOUNDS: [&str; 5] = ["piped_flac", "ipcm_24_be", "fpcm_32_le", "fpcm_64_be", "cover_mp3"];
const STILLS: [&str; 4] = ["tiff", "bmp", "heic", "one_jpg"];

fn sound(codec: v1::AudioCodec) -> v1::AudioSettings {
    v1::AudioSettings {
        codec: Some(codec.into()),
        ..Default::default()
    }
}

/// A transcode, or a copy into Matroska.
fn with(mut node: PlanNode, copy: bool, audio: Option<v1::AudioSettings>) -> PlanNode {
    let settings = node.settings.as_mut().and_then(|settings| settings.settings.as_mut());
    match settings {
        Some(Settings::Transcode(settings)) => {
            settings.audio = audio;
            if copy {
                settings.container = Some(v1::Container::Mkv.into());
                node.outputs[0].format = "mkv".into();
            }
        }
        Some(Settings::AdaptiveStream(settings)) => {
            let rendition = |audio| v1::AudioRendition {
                audio: Some(audio),
                ..Default::default()
            };
            settings.audio = audio.map(rendition).into_iter().collect();
        }
        _ => {}
    }
    node
}

/// Every kind of node; of a still picture a film of 2 s. `at`: seconds of snapshots.
fn nodes(has_sound: bool, is_still: bool, at: f64, interval: i64) -> Vec<PlanNode> {
    let audio = |codec| has_sound.then(|| sound(codec));
    let told = v1::VideoSettings {
        still_duration: if is_still { span(2000) } else { None },
        allow_upscale: Some(is_still),
        height_px: Some(90),
        width_px: is_still.then_some(160),
        ..video()
    };
    let copied = v1::VideoSettings {
        codec: Some(v1::VideoCodec::Copy.into()),
        ..Default::default()
    };
    let mut stream = adaptive("stream", 90);
    if let Some(Settings::AdaptiveStream(settings)) = stream.settings.as_mut().and_then(|settings| settings.settings.as_mut()) {
        settings.renditions[0].video = Some(told.clone());
    }
    vec![
        with(transcode("film", told.clone()), false, audio(v1::AudioCodec::Aac)),
        with(transcode("copy", copied), true, audio(v1::AudioCodec::Copy)),
        with(stream, false, audio(v1::AudioCodec::Aac)),
        with(hls("hls", told), false, audio(v1::AudioCodec::Aac)),
        snapshot("first", "0s"),
        snapshot("later", &format!("{at}s")),
        samples("samples"),
        sprite("sprite", interval, 40),
        animation("animation", 80),
        cover("cover"),
    ]
}

struct Made<'a> {
    case: &'a str,
    input: PathBuf,
    folder: tempfile::TempDir,
    result: ChildResult,
    faults: Vec<String>,
}

impl<'a> Made<'a> {
    fn new(corpus: &Corpus, case: &'a str, nodes: Vec<PlanNode>) -> Self {
        let input = corpus.make(case);
        let folder = tempfile::tempdir().unwrap();
        let result = process::carry_out(case, &input, nodes, DamagePolicy::Warn, &[], folder.path());
        let truth = corpus.folder().join(format!("{case}.truth.mov"));
        Self {
            case,
            input: if truth.exists() { truth } else { input },
            folder,
            result,
            faults: Vec::new(),
        }
    }

    fn expect(&mut self, right: bool, what: impl FnOnce() -> String) {
        if !right {
            self.faults.push(format!("{}: {}", self.case, what()));
        }
    }

    /// The files of a node, of a stream its first track.
    fn files(&mut self, key: &str) -> Vec<PathBuf> {
        let node = self.result.nodes.iter().find(|node| node.key == key);
        let failure = self.result.failure.as_ref().or(node.and_then(|node| node.failure.as_ref()));
        if let Some(failure) = failure {
            is_typed(self.case, failure);
            let told = failure.status.as_ref().unwrap().message.clone();
            let fault = format!("{}: {key}: {}: {told}", self.case, reason_of(failure));
            self.faults.push(fault);
            return Vec::new();
        }
        let node = node.unwrap();
        if let Some(set) = node.complete_sets.first() {
            let members = process::members(self.folder.path())
                .into_iter()
                .filter(|member| member.set_id == *set);
            let mut parts: Vec<_> = members
                .filter_map(|told| Some((told.member.filter(|member| member.track == 0)?.index, told.path)))
                .collect();
            parts.sort();
            let bytes: Vec<u8> = parts.into_iter().flat_map(|(_, path)| std::fs::read(path).unwrap()).collect();
            let path = self.folder.path().join(format!("{key}.bin"));
            std::fs::write(&path, bytes).unwrap();
            return vec![path];
        }
        let series = node.series.iter().map(|file| &file.path);
        let files = node.files.iter().map(|file| &file.path).chain(series);
        files.filter(|path| !path.ends_with(".vtt")).map(PathBuf::from).collect()
    }

    /// Why a node made nothing.
    fn refused(&mut self, key: &str, reason: &str) {
        let node = self.result.nodes.iter().find(|node| node.key == key);
        let failure = self.result.failure.as_ref().or(node.and_then(|node| node.failure.as_ref()));
        let found = failure.map(|failure| {
            is_typed(self.case, failure);
            reason_of(failure)
        });
        self.expect(found.as_deref() == Some(reason), || format!("{key}: {found:?}, and not {reason}"));
    }

    fn hears(&mut self, key: &str) {
        let Some(file) = self.files(key).into_iter().next() else { return };
        let (wanted, found) = (sound_of(&self.input), sound_of(&file));
        // A copy begins with the first picture; a transport stream's sound with what its encoder put in front.
        let most = if key == "copy" && self.case == "late_ts" { 0.045 } else { 0.03 };
        self.expect((wanted.0 - found.0).abs() < most, || {
            format!("{key}: {} s of sound, and not {}", found.0, wanted.0)
        });
        self.expect((wanted.1 - found.1).abs() < 0.5, || {
            format!("{key}: sound of {} dB, and not {}", found.1, wanted.1)
        });
    }

    fn warns(&self) -> String {
        let warnings = self.result.nodes.iter().flat_map(|node| &node.warnings);
        warnings.map(|warning| warning.message.clone()).collect::<Vec<_>>().join("; ")
    }
}

/// What is on show at a time.
fn at(shown: &[Picture], time: f64) -> &Picture {
    shown.iter().rev().find(|picture| picture.time <= time + 0.002).unwrap_or(&shown[0])
}

/// What ffmpeg says that a file's film begins later than its earliest stream.
fn lead(file: &Path) -> f64 {
    let told = ffprobe(file, "-show_entries stream=codec_type,start_time");
    let starts = |kind: &str| {
        let of_kind = told
            .lines()
            .filter_map(|line| line.strip_prefix(kind)?.trim_end_matches(',').parse::<f64>().ok());
        of_kind.fold(f64::MAX, f64::min)
    };
    (starts("video,") - starts("audio,")).clamp(0.0, 1.0)
}

/// Films show each picture at its time; streams and animations may tell it again and stamp it a little aside.
fn is_the_film(made: &mut Made, key: &str, wanted: &[Picture], film: &Film) {
    let Some(file) = made.files(key).into_iter().next() else { return };
    let found = look(&file);
    let frame = film.seconds / film.pictures as f64;
    if ["film", "copy"].contains(&key) {
        made.expect(found.len() == wanted.len(), || {
            format!("{key}: {} pictures, and not {}", found.len(), wanted.len())
        });
        let lasts: f64 = ffprobe(&file, "-show_entries format=duration").parse().unwrap_or(0.0);
        made.expect((lasts - film.seconds).abs() < frame.min(0.1) + 0.03, || {
            format!("{key}: it lasts {lasts} s, and not {}", film.seconds)
        });
    }
    let wrong = found.iter().find(|picture| {
        let near = [-0.06, 0.0, 0.06].map(|step| at(wanted, picture.time + step));
        !near.iter().any(|wanted| wanted.is_like(picture))
    });
    made.expect(wrong.is_none(), || format!("{key}: {wrong:?}; of {found:?}, and not {wanted:?}"));
    // Animations have 10 pictures a second and last 10 s at most.
    let leaves_out = |picture: &&Picture| key == "animation" && (frame < 0.1 || picture.time > 1.75);
    let mut left = wanted.iter().filter(|picture| !leaves_out(picture));
    let missing = left.find(|wanted| !found.iter().any(|picture| picture.is_like(wanted)));
    made.expect(missing.is_none(), || format!("{key}: it lacks {missing:?} in {found:?}"));
}

fn shows(made: &mut Made, key: &str, wanted: &[Picture]) {
    let Some(file) = made.files(key).into_iter().next() else { return };
    let found = picture_of(&file, (0, 1));
    made.expect(wanted.iter().any(|wanted| wanted.is_like(&found)), || {
        format!("{key}: {found:?}, and not {wanted:?}")
    });
}

fn judge(corpus: &Corpus, film: &Film) -> Vec<String> {
    let later = film.seconds / 2.0 + 0.05;
    let interval = (film.seconds * 250.0) as i64 + 30;
    let nodes = nodes(film.sound, false, later, interval);
    let mut made = Made::new(corpus, film.case, nodes);
    let (wanted, lead) = (look(&made.input), lead(&made.input));
    made.expect(wanted.len() == film.pictures, || {
        format!("the input has {} pictures: {wanted:?}", wanted.len())
    });
    let refused = REFUSED.iter().filter(|(case, _, _)| *case == film.case);
    for (_, key, reason) in refused.clone() {
        made.refused(key, reason);
    }
    let is_right = |key: &&str| {
        !refused.clone().any(|(_, refused, _)| refused == key) && !UNSTAMPED.iter().any(|(case, node)| *case == film.case && node == key)
    };
    for key in ["film", "copy", "stream", "hls", "animation"].into_iter().filter(is_right) {
        is_the_film(&mut made, key, &wanted, film);
    }
    for key in ["film", "copy", "hls"].into_iter().filter(|key| film.sound && is_right(key)) {
        made.hears(key);
    }
    shows(&mut made, "first", &wanted[..1]);
    shows(&mut made, "later", std::slice::from_ref(at(&wanted, later - lead)));
    shows(&mut made, "samples", &wanted[..1]);
    shows(&mut made, "cover", &wanted);
    if let Some(sheet) = made.files("sprite").into_iter().next() {
        for tile in 0..4 {
            let (found, wanted) = (
                picture_of(&sheet, (tile, 4)),
                at(&wanted, f64::from(tile) * interval as f64 / 1000.0 - lead),
            );
            made.expect(wanted.is_like(&found), || {
                format!("sprite: tile {tile}: {found:?}, and not {wanted:?}")
            });
        }
    }
    for key in ["film", "copy"].into_iter().filter(|_| film.case == "emoji") {
        let title = made.files(key).first().map(|file| ffprobe(file, "-show_entries format_tags=title"));
        made.expect(title.as_deref() == Some(TITLE), || format!("{key}: its title is {title:?}"));
    }
    let warnings = made.warns();
    let is_told = film.case == "nameless_track" && warnings.contains("a track of sound cannot be read");
    made.expect(is_told || warnings.is_empty(), || format!("it warns: {warnings}"));
    made.faults
}

fn unless_right(faults: &[String]) {
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn films(number: usize) {
    let corpus = Corpus::new();
    let faults: Vec<_> = FILMS[number].iter().flat_map(|film| judge(&corpus, film)).collect();
    unless_right(&faults);
}

#[test]
fn films_of_odd_times_and_tracks_are_right_in_every_kind() {
    films(0);
}

#[test]
fn films_of_odd_boxes_codecs_and_rates_are_right_in_every_kind() {
    films(1);
}

#[test]
fn odd_sound_is_heard_and_has_no_picture() {
    let corpus = Corpus::new();
    let mut faults = Vec::new();
    for case in SOUNDS {
        let mut nodes = nodes(true, false, 1.0, 1000);
        for node in &mut nodes {
            if let Some(Settings::Transcode(settings)) = node.settings.as_mut().and_then(|settings| settings.settings.as_mut()) {
                settings.video = None;
            }
        }
        let mut made = Made::new(&corpus, case, nodes);
        for key in ["film", "hls"] {
            made.hears(key);
        }
        // Matroska's muxer takes no floating point, and what an MP3's encoder added cannot be left out of a copy.
        match case {
            _ if case.starts_with("fpcm") => made.refused("copy", "UNSUPPORTED"),
            "cover_mp3" => drop(made.files("copy")),
            _ => made.hears("copy"),
        }
        for key in ["stream", "first", "later", "samples", "sprite", "animation", "cover"] {
            made.refused(key, "STREAM_MISSING");
        }
        faults.append(&mut made.faults);
    }
    unless_right(&faults);
}

#[test]
fn odd_stills_are_a_picture_to_every_kind() {
    let corpus = Corpus::new();
    let mut faults = Vec::new();
    for case in STILLS {
        let mut made = Made::new(&corpus, case, nodes(false, true, 0.0, 1000));
        let wanted = look(&corpus.make("bmp"));
        let film = film("", 50, 2.0, false);
        for key in ["stream", "hls", "film"] {
            if let Some(file) = made.files(key).into_iter().next() {
                let found = look(&file);
                made.expect(found.len() == film.pictures, || format!("{key}: {} pictures", found.len()));
                let wrong = found.iter().find(|picture| !picture.is_like(&wanted[0]));
                made.expect(wrong.is_none(), || format!("{key}: {wrong:?}, and not {:?}", wanted[0]));
            }
        }
        for key in ["first", "later", "samples", "sprite", "animation", "cover"] {
            shows(&mut made, key, &wanted);
        }
        made.refused("copy", "UNSUPPORTED");
        faults.append(&mut made.faults);
    }
    unless_right(&faults);
}

#[test]
fn parts_of_fragmented_files_are_refused_whole() {
    let corpus = Corpus::new();
    for case in ["init", "segment"] {
        let mut made = Made::new(&corpus, case, nodes(true, false, 1.0, 1000));
        made.expect(made.result.failure.is_some(), || "it is taken".into());
        made.refused("film", "INPUT_NOT_MEDIA");
        unless_right(&made.faults);
    }
}

/// What was lost cannot be shown right, but all the rest is there and the loss is told.
#[test]
fn lost_packets_cost_little_and_are_told() {
    let corpus = Corpus::new();
    let mut made = Made::new(&corpus, "lost_packets", nodes(true, false, 1.0, 500));
    for key in ["film", "copy", "stream", "hls", "animation"] {
        if let Some(file) = made.files(key).into_iter().next() {
            let found = look(&file);
            let last = found.last().unwrap().time;
            made.expect((1.85..2.0).contains(&last), || {
                format!("{key}: its last picture begins at {last} s")
            });
        }
    }
    for key in ["first", "later", "samples", "sprite", "cover"] {
        made.files(key);
    }
    let untold = made
        .result
        .nodes
        .iter()
        .find(|node| node.warnings.is_empty())
        .map(|node| node.key.clone());
    made.expect(untold.is_none(), || format!("{untold:?} has no warning"));
    unless_right(&made.faults);
}

/// Its decoder would leave the chroma as it finds the memory.
#[test]
fn motion_jpeg_of_quarter_chroma_is_refused_where_it_is_decoded() {
    let corpus = Corpus::new();
    let mut made = Made::new(&corpus, "mjpeg_411", nodes(false, false, 1.0, 500));
    for key in ["film", "stream", "hls", "first", "later", "samples", "sprite", "animation", "cover"] {
        made.refused(key, "DECODER_MISSING");
    }
    unless_right(&made.faults);
}
