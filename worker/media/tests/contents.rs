//! What inputs contain: which of their streams are film and sound, in which order, and what is said of those that cannot be read.

mod pass_tools;
mod transcode_tools;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use mps_media::probe::{InputFacts, probe};
use mps_proto::{
    v1::{AudioCodec, Container, ImageFormat, NodeSettings, SnapshotSettings, TranscodeSettings, VideoCodec, node_settings::Settings},
    worker::v1::{InputLimits, PlanNode, PlanOutput},
};
use pass_tools::{carry_out, ffmpeg, ffprobe, filtered, frames, number, order, seconds};
use transcode_tools::{audio, node, video};

const PICTURE: &str = "-f lavfi -i testsrc2=s=160x90:r=30:d=1";
/// The same without edges: programs fill colours between those of coarser planes in different ways.
const SMOOTH: &str = "-f lavfi -i testsrc2=s=160x90:r=30:d=1 -vf gblur=sigma=4";
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

    /// Written to a pipe, so that nothing can be put right at its beginning.
    fn piped(&self, name: &str, arguments: &str) -> PathBuf {
        let path = self.0.path().join(name);
        let mut command = std::process::Command::new("ffmpeg");
        command
            .args(["-v", "error", "-nostdin"])
            .args(arguments.split_whitespace())
            .arg("pipe:1");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        std::fs::write(&path, output.stdout).unwrap();
        path
    }

    fn transcoded(&self, input: &Path) -> Result<PathBuf, String> {
        self.run(input, film())
    }

    fn run(&self, input: &Path, node: PlanNode) -> Result<PathBuf, String> {
        let outputs = tempfile::tempdir_in(self.0.path()).unwrap().keep();
        let result = carry_out(&order(input, vec![node], &outputs));
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

fn sound() -> PlanNode {
    let settings = TranscodeSettings {
        container: Some(Container::M4a.into()),
        audio: Some(audio(AudioCodec::Aac)),
        ..TranscodeSettings::default()
    };
    node("sound", settings)
}

fn snapshot(offset: &str) -> PlanNode {
    let settings = SnapshotSettings {
        format: Some(ImageFormat::Png.into()),
        ..SnapshotSettings::default()
    };
    let output = PlanOutput {
        output_id: "snapshot".into(),
        format: "png".into(),
        ..PlanOutput::default()
    };
    PlanNode {
        key: "snapshot".into(),
        settings: Some(NodeSettings {
            settings: Some(Settings::Snapshot(settings)),
        }),
        offsets: vec![offset.into()],
        outputs: vec![output],
        ..PlanNode::default()
    }
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

/// How much a picture differs from a snapshot of it, in dB; infinite where it does not.
fn likeness(picture: &Path, snapshot: &Path) -> f64 {
    let exact = "scale=flags=bilinear+full_chroma_int+accurate_rnd,format=rgb24";
    let compared = filtered(&[picture, snapshot], &format!("-lavfi [0]{exact}[a];[1]{exact}[b];[a][b]psnr"));
    let average = compared.split("average:").nth(1).and_then(|rest| rest.split(' ').next());
    number(average.unwrap_or_else(|| panic!("nothing to compare in {}", picture.display())))
}

#[test]
fn still_pictures_of_every_kind_are_read() {
    let inputs = Inputs::new();
    let stills = [
        ("a.bmp", ""),
        ("pal.bmp", "-pix_fmt pal8"),
        ("a.tga", ""),
        ("yuv.tif", "-pix_fmt yuv420p"),
        ("deep.tif", "-pix_fmt rgb48be -compression_algo lzw"),
        ("a.jp2", "-pix_fmt rgb24"),
        // Its components have factors that jpegdec takes for halved chroma.
        ("dense.jpg", "-pix_fmt yuvj444p -q:v 1"),
    ];
    for (name, options) in stills {
        let path = inputs.make(name, &format!("{SMOOTH} -frames:v 1 {options}"));
        let facts = facts(&path);
        assert!(facts.still_picture && facts.media.duration.is_none(), "{name}");
        let video = facts.media.streams[0].video.clone().unwrap();
        assert_eq!((video.width_px, video.height_px), (160, 90), "{name}");
        let snapshot = inputs
            .run(&path, snapshot("0s"))
            .unwrap_or_else(|problem| panic!("{name}: {problem}"));
        assert!(likeness(&path, &snapshot) > 40.0, "{name}: {}", likeness(&path, &snapshot));
    }
}

/// Recordings begin in the middle of a packet of several frames of sound, which has no stamp then.
#[test]
fn recordings_begin_with_the_first_sound_whose_time_is_known() {
    let inputs = Inputs::new();
    let whole = inputs.make(
        "whole.ts",
        "-f lavfi -i testsrc2=s=160x90:r=25:d=3 -f lavfi -i sine=440:r=48000:d=3 -c:v libx264 -preset ultrafast -g 45 -bf 2 -pix_fmt yuv420p -c:a mp2 -b:a 96k -muxdelay 0 -muxpreload 0",
    );
    let packets = std::fs::read(&whole).unwrap();
    let of = |pid: u8| move |packet: &&[u8]| (u16::from(packet[1] & 0x1f) << 8) | u16::from(packet[2]) == u16::from(pid) << 8;
    let begins = |packet: &[u8]| packet[1] & 0x40 != 0;
    let all = || packets.chunks_exact(188);
    let tables = [all().find(of(0)).unwrap(), all().find(of(0x10)).unwrap()].concat();
    // The tables stay; of the pictures 25 are gone, and the next key frame comes later than the sound.
    let mut pictures = all().enumerate().filter(|(_, packet)| of(1)(packet) && begins(packet));
    let (from, _) = pictures.nth(25).unwrap();
    let cut = inputs.0.path().join("cut.ts");
    std::fs::write(&cut, [&tables, &packets[from * 188..]].concat()).unwrap();
    let output = inputs.transcoded(&cut).unwrap();
    assert!(frames(&output) >= 25, "{}", frames(&output));
    let stamps = ffprobe(&output, "-select_streams a:0 -show_entries packet=pts_time");
    let stamps: Vec<f64> = stamps.split([',', '\n']).filter(|text| !text.is_empty()).map(number).collect();
    assert!(stamps.windows(2).all(|pair| pair[1] - pair[0] > 0.015), "{stamps:?}");
}

/// The demuxer gives its pictures without stamps.
#[test]
fn prores_in_matroska_is_in_time() {
    let inputs = Inputs::new();
    let path = inputs.make("prores.mkv", &format!("{PICTURE} {SOUND} -c:v prores -profile:v 0 -c:a flac"));
    let output = inputs.transcoded(&path).unwrap();
    assert_eq!((frames(&output), seconds(&output)), (30, 1.0));
    let shown = inputs.run(&path, snapshot("0.9s")).unwrap();
    let reference = inputs.make("frame.png", &format!("-i {} -vf select=eq(n\\,27) -frames:v 1", path.display()));
    assert!(likeness(&reference, &shown) > 30.0, "{}", likeness(&reference, &shown));
}

/// Their decoder gives all of them the stamp of the last one that changed.
#[test]
fn pictures_without_a_change_are_shown_at_their_times() {
    let inputs = Inputs::new();
    let path = inputs.make(
        "still.mov",
        "-f lavfi -i testsrc2=s=160x90:r=10:d=1 -vf select=eq(n\\,0)+eq(n\\,6),fps=10,tpad=stop_mode=clone:stop_duration=1 -g 12 -c:v qtrle",
    );
    let count = frames(&path);
    let output = inputs.transcoded(&path).unwrap();
    assert_eq!(frames(&output), count);
    assert!((seconds(&output) - count as f64 / 10.0).abs() < 0.01, "{} s", seconds(&output));
    let stamps = ffprobe(&output, "-select_streams v:0 -show_entries frame=pts_time");
    let stamps: Vec<f64> = stamps.split([',', '\n']).filter(|text| !text.is_empty()).map(number).collect();
    let steps = stamps.windows(2).map(|pair| pair[1] - pair[0]);
    assert!(steps.clone().all(|step| (step - 0.1).abs() < 0.002), "{stamps:?}");
}

#[test]
fn an_animated_webp_is_a_film() {
    let inputs = Inputs::new();
    let path = inputs.make("a.webp", "-f lavfi -i testsrc2=s=160x90:r=10:d=1 -c:v libwebp -loop 0");
    let facts = facts(&path);
    assert_eq!(facts.promised_duration, Some(Duration::from_secs(1)));
    assert!(!facts.still_picture);
    let output = inputs.transcoded(&path).unwrap();
    assert_eq!((frames(&output), seconds(&output)), (10, 1.0));
}

#[test]
fn pictures_of_few_pixels_are_pictures_and_no_film() {
    let inputs = Inputs::new();
    let path = inputs.make(
        "dot.jpg",
        "-f lavfi -i color=red:s=8x8 -vf crop=1:1:exact=1,format=yuvj444p -frames:v 1",
    );
    assert!(inputs.run(&path, snapshot("0s")).is_ok());
    let mut short = film();
    if let Some(Settings::Transcode(settings)) = short.settings.as_mut().and_then(|settings| settings.settings.as_mut()) {
        settings.video.as_mut().unwrap().still_duration = Some(Duration::from_secs(1).try_into().unwrap());
    }
    let refused = inputs.run(&path, short).unwrap_err();
    assert!(refused.contains("cannot have pictures of 2x2 pixels"), "{refused}");
}

#[test]
fn a_picture_with_a_film_behind_it_is_a_picture() {
    let inputs = Inputs::new();
    let picture = inputs.make("still.jpg", &format!("{SMOOTH} -q:v 1 -frames:v 1"));
    let film = inputs.make("film.mp4", &format!("{PICTURE} {H264}"));
    let motion = inputs.0.path().join("motion.jpg");
    std::fs::write(&motion, [std::fs::read(&picture).unwrap(), std::fs::read(film).unwrap()].concat()).unwrap();
    assert!(facts(&motion).still_picture);
    let snapshot = inputs.run(&motion, snapshot("0s")).unwrap();
    assert!(likeness(&picture, &snapshot) > 38.0, "{}", likeness(&picture, &snapshot));
}

/// Files that nobody went back to finish: how long they last is known, and promised by nothing.
#[test]
fn lengths_that_headers_leave_open_are_no_promises() {
    let inputs = Inputs::new();
    let film = inputs.make("whole.mkv", &format!("{PICTURE} {SOUND} {H264} -c:a aac"));
    for (name, options) in [
        ("open.flac", "-vn -c:a flac -f flac"),
        ("open.wav", "-vn -c:a pcm_s16le -f wav"),
        ("open.flv", "-c copy -f flv"),
        ("open.mkv", "-c copy -f matroska -live 1"),
        ("open.mp3", "-vn -c:a libmp3lame -write_xing 0 -f mp3"),
    ] {
        let path = inputs.piped(name, &format!("-i {} {options}", film.display()));
        let facts = facts(&path);
        assert_eq!(facts.promised_duration, None, "{name}");
        let told = facts
            .media
            .duration
            .map(|span| Duration::try_from(span).unwrap())
            .unwrap_or_default();
        assert!(
            told.abs_diff(Duration::from_secs(1)) < Duration::from_millis(120),
            "{name}: {told:?}"
        );
        let output = inputs.run(&path, sound()).unwrap_or_else(|problem| panic!("{name}: {problem}"));
        assert!((seconds(&output) - 1.0).abs() < 0.1, "{name}: {}", seconds(&output));
    }
    // What GStreamer stamps wrongly is refused by name.
    let path = inputs.make("adpcm.wav", &format!("{SOUND} -c:a adpcm_ima_wav"));
    let refused = inputs.run(&path, sound()).unwrap_err();
    assert!(refused.contains("no decoder for adpcm"), "{refused}");
}

/// Position of the so-manieth occurrence of four letters.
fn place(bytes: &[u8], name: &[u8; 4], number: usize) -> usize {
    let mut places = (0..bytes.len() - 4).filter(|at| bytes[*at..*at + 4] == *name);
    places.nth(number).unwrap_or_else(|| panic!("no {}", String::from_utf8_lossy(name)))
}

type Damage = fn(&mut Vec<u8>);

#[test]
fn a_track_that_cannot_be_read_costs_itself() {
    let inputs = Inputs::new();
    let whole = inputs.make(
        "whole.mp4",
        &format!("{PICTURE} {SOUND} {SOUND} -map 0 -map 1 -map 2 {H264} -c:a aac"),
    );
    let whole = std::fs::read(whole).unwrap();
    let damages: [(&str, Damage); 4] = [
        ("no description", |bytes| rename(bytes, b"stsd", b"free")),
        ("no times", |bytes| rename(bytes, b"stts", b"free")),
        ("no media", |bytes| rename(bytes, b"mdia", b"free")),
        ("no clock", |bytes| {
            let at = place(bytes, b"mdhd", 2) + 16;
            bytes[at..at + 4].fill(0);
        }),
    ];
    for (name, damage) in damages {
        let mut bytes = whole.clone();
        damage(&mut bytes);
        let path = inputs.0.path().join("damaged.mp4");
        std::fs::write(&path, &bytes).unwrap();
        let facts = facts(&path);
        assert_eq!(facts.media.streams.len(), 2, "{name}");
        // Without its media nobody knows what the track was.
        assert_eq!(
            facts.warnings.len(),
            usize::from(name != "no media"),
            "{name}: {:?}",
            facts.warnings
        );
        let output = inputs.transcoded(&path).unwrap_or_else(|problem| panic!("{name}: {problem}"));
        assert_eq!(frames(&output), 30, "{name}");
    }
}

/// In the third track.
fn rename(bytes: &mut [u8], name: &[u8; 4], other: &[u8; 4]) {
    let at = place(bytes, name, 2);
    bytes[at..at + 4].copy_from_slice(other);
}

#[test]
fn parts_of_a_fragmented_file_say_what_they_are() {
    let inputs = Inputs::new();
    let whole = inputs.make("whole.mp4", &format!("{PICTURE} {H264} -movflags empty_moov+frag_keyframe"));
    let bytes = std::fs::read(&whole).unwrap();
    assert!(facts(&whole).media.duration.is_some());
    let media = place(&bytes, b"moof", 0) - 4;
    for (part, words) in [
        (&bytes[..media], "an initialisation section without media"),
        (&bytes[media..], "a media segment without"),
    ] {
        let path = inputs.0.path().join("part.mp4");
        std::fs::write(&path, part).unwrap();
        let refused = probe(&path, &InputLimits::default(), Duration::from_secs(20)).unwrap_err();
        let message = refused.status.unwrap().message;
        assert!(message.contains(words), "{message}");
    }
}

#[test]
fn codecs_under_names_that_the_demuxer_does_not_know_are_read() {
    let inputs = Inputs::new();
    let film = inputs.make(
        "a.mov",
        "-f lavfi -i testsrc2=s=256x144:r=30:d=1 -c:v dnxhd -profile:v dnxhr_lb -pix_fmt yuv422p",
    );
    assert_eq!(frames(&inputs.transcoded(&film).unwrap()), 30);
    let dolby = inputs.make("a.mp4", &format!("{SOUND} -ac 2 -strict -2 -c:a truehd"));
    let heard = inputs.run(&dolby, sound()).unwrap();
    assert!((loudness(&heard) - loudness(&dolby)).abs() < 1.0);
    // QuickTime's PCM under the name of ISO/IEC 23003-5, whose box stands where that of the channels stood.
    let whole = inputs.make("pcm.mov", &format!("{SOUND} -ac 2 -c:a pcm_s16le"));
    let mut bytes = std::fs::read(&whole).unwrap();
    let name = place(&bytes, b"sowt", 0);
    bytes[name..name + 4].copy_from_slice(b"ipcm");
    let channels = place(&bytes, b"chan", 0) - 4;
    bytes[channels..channels + 24].copy_from_slice(b"\0\0\0\x0epcmC\0\0\0\0\x01\x10\0\0\0\x0afree\0\0");
    let path = inputs.0.path().join("pcm.mp4");
    std::fs::write(&path, bytes).unwrap();
    let heard = inputs.run(&path, sound()).unwrap();
    assert!((loudness(&heard) - loudness(&whole)).abs() < 1.0 && (seconds(&heard) - 1.0).abs() < 0.05);
}

#[test]
fn what_a_cut_file_lacks_is_known_by_its_samples() {
    let inputs = Inputs::new();
    let whole = inputs.make("whole.mp4", &format!("{PICTURE} {SOUND} {H264} -c:a aac -movflags +faststart"));
    let bytes = std::fs::read(&whole).unwrap();
    let path = inputs.0.path().join("other.mp4");
    // A box that claims more than the file has, of which no sample needs it.
    let mut longer = bytes.clone();
    let media = place(&longer, b"mdat", 0) - 4;
    let claimed = u32::from_be_bytes(longer[media..media + 4].try_into().unwrap()) + 1000;
    longer[media..media + 4].copy_from_slice(&claimed.to_be_bytes());
    std::fs::write(&path, &longer).unwrap();
    assert!(facts(&path).is_all_there);
    let half = media + (bytes.len() - media) / 2;
    std::fs::write(&path, &bytes[..half]).unwrap();
    let cut = facts(&path);
    assert_eq!(cut.truncated_bytes, (bytes.len() - half) as u64);
    for stream in &cut.streams {
        let available = stream.available.unwrap().as_secs_f64();
        assert!((0.2..0.8).contains(&available), "{available}");
    }
}
