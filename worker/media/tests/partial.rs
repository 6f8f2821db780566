//! Probes of sparse copies: the parts that are fetched must tell the same as the whole file.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use mps_media::{
    parts::{HEAD_BYTES, Ranges, Verdict, judge},
    probe::{InputFacts, probe, probe_parts},
};
use mps_proto::{v1::MediaInfo, worker::v1::InputLimits};

const DEADLINE: Duration = Duration::from_secs(20);
/// Of a file of any size: head, tail, an index, and packets.
const MOST_BYTES: u64 = 6 << 20;

fn ffmpeg(arguments: &str, output: &Path) {
    let status = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-y"])
        .args(arguments.split_whitespace())
        .arg(output)
        .status()
        .unwrap();
    assert!(status.success(), "{arguments}");
}

/// A copy of a file that has only the parts that are asked for, and how many bytes these are.
fn sparse(whole: &Path) -> (PathBuf, u64) {
    let path = whole.with_file_name(format!("sparse-{}", whole.file_name().unwrap().to_string_lossy()));
    let mut source = File::open(whole).unwrap();
    let total = source.metadata().unwrap().len();
    let mut copy = File::create(&path).unwrap();
    copy.set_len(total).unwrap();
    let (mut have, mut fetched, mut wanted) = (Ranges::default(), 0, 0..HEAD_BYTES);
    for _ in 0..100 {
        let range = wanted.start..wanted.end.min(total);
        source.seek(SeekFrom::Start(range.start)).unwrap();
        copy.seek(SeekFrom::Start(range.start)).unwrap();
        let mut bytes = vec![0; (range.end - range.start) as usize];
        source.read_exact(&mut bytes).unwrap();
        copy.write_all(&bytes).unwrap();
        fetched += range.end - range.start;
        have.add(range);
        match judge(&path, &have, total).unwrap() {
            Verdict::Missing(range) => wanted = range,
            Verdict::Enough => return (path, fetched),
            Verdict::NoMedia => panic!("{}: no media", whole.display()),
        }
    }
    panic!("{}: there was always more to ask for", whole.display());
}

fn facts(path: &Path, is_whole: bool) -> InputFacts {
    let look = if is_whole { probe } else { probe_parts };
    look(path, &InputLimits::default(), DEADLINE).unwrap_or_else(|failure| panic!("{}: {failure:?}", path.display()))
}

/// What must be told alike: streams with their codecs, sizes and rates.
fn streams(media: &MediaInfo) -> Vec<String> {
    let describe = |stream: &mps_proto::v1::MediaStream| {
        let video = stream.video.as_ref().map(|video| (video.width_px, video.height_px));
        let audio = stream.audio.as_ref().map(|audio| (audio.sample_rate_hz, audio.channels));
        format!("{} {} {video:?} {audio:?}", stream.kind, stream.codec)
    };
    media.streams.iter().map(describe).collect()
}

fn seconds(media: &MediaInfo) -> f64 {
    media
        .duration
        .map_or(0.0, |duration| duration.seconds as f64 + f64::from(duration.nanos) / 1e9)
}

fn unless_alike(whole: &Path) {
    let (copy, fetched) = sparse(whole);
    let total = whole.metadata().unwrap().len();
    assert!(total > 2 * MOST_BYTES, "{}: {total} bytes are no test", whole.display());
    assert!(fetched < MOST_BYTES, "{}: {fetched} of {total} bytes were fetched", whole.display());
    let (wanted, found) = (facts(whole, true).media, facts(&copy, false).media);
    let name = whole.display();
    assert_eq!(streams(&found), streams(&wanted), "{name}");
    assert_eq!(
        (&found.container, found.size_bytes),
        (&wanted.container, wanted.size_bytes),
        "{name}"
    );
    let apart = (seconds(&found) - seconds(&wanted)).abs();
    assert!(
        apart < 0.25,
        "{name}: {} s, and {} s by the whole file",
        seconds(&found),
        seconds(&wanted)
    );
}

/// A film of 2 s and about 25 MB.
fn film(folder: &Path) -> PathBuf {
    let path = folder.join("film.mkv");
    ffmpeg(
        "-f lavfi -i testsrc2=s=640x360:r=25:d=2,noise=alls=80:allf=t -f lavfi -i sine=440:r=48000:d=2 -c:v libx264 -preset ultrafast \
         -qp 2 -g 25 -pix_fmt yuv420p -c:a aac",
        &path,
    );
    path
}

#[test]
fn parts_of_a_file_tell_what_the_whole_tells() {
    mps_media::init().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let film = film(folder.path());
    let cases = [
        ("index-behind.mp4", ""),
        ("index-first.mp4", "-movflags faststart"),
        ("fragments.mp4", "-movflags empty_moov+default_base_moof -frag_duration 500000"),
        ("film.mov", ""),
        ("cues-first.mkv", "-reserve_index_space 4096"),
        ("film.ts", "-muxrate 40M"),
        ("film.flv", ""),
        ("film.avi", "-bsf:v h264_mp4toannexb"),
    ];
    unless_alike(&film);
    for (name, options) in cases {
        let path = folder.path().join(name);
        ffmpeg(&format!("-i {} -c copy {options}", film.display()), &path);
        unless_alike(&path);
    }
}

#[test]
fn sound_alone_is_told_by_its_parts() {
    mps_media::init().unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (name, options) in [
        ("sound.wav", "-c:a pcm_s24le"),
        ("sound.aiff", "-c:a pcm_s24be"),
        ("sound.flac", "-c:a flac -compression_level 0"),
    ] {
        let path = folder.path().join(name);
        let noise = "anoisesrc=r=96000:d=60:a=0.9";
        ffmpeg(&format!("-f lavfi -i {noise} -ac 2 {options}"), &path);
        unless_alike(&path);
    }
}

#[test]
fn a_text_is_known_by_its_first_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("page.html");
    std::fs::write(&path, "<p>no media</p>\n".repeat(200_000)).unwrap();
    let mut have = Ranges::default();
    have.add(0..HEAD_BYTES);
    assert_eq!(judge(&path, &have, path.metadata().unwrap().len()).unwrap(), Verdict::NoMedia);
}
