//! Probing of odd inputs: right facts, or a typed failure with a hint, within the deadline.

mod odd_corpus;

use std::{path::Path, time::Duration};

use mps_media::probe::{InputFacts, probe};
use mps_proto::{
    rpc,
    v1::{MediaStream, VideoProperties},
    worker::v1::{Failure, FailureKind, InputLimits},
};
use odd_corpus::{Corpus, ffprobe, pseudo_random};
use prost::Message;

const DEADLINE: Duration = Duration::from_secs(20);

fn facts(path: &Path) -> InputFacts {
    probe(path, &InputLimits::default(), DEADLINE).unwrap_or_else(|failure| panic!("{}: {failure:?}", path.display()))
}

fn refused(path: &Path, limits: &InputLimits) -> (Failure, String, String) {
    let failure = probe(path, limits, DEADLINE).expect_err("the probe should refuse it");
    let status = failure.status.clone().unwrap();
    let info = rpc::ErrorInfo::decode(status.details[0].value.as_slice()).unwrap();
    let hint = info.metadata.get("hint").cloned().unwrap_or_default();
    assert!(!hint.is_empty(), "no hint: {failure:?}");
    (failure, info.reason, status.message)
}

fn video(facts: &InputFacts) -> VideoProperties {
    let mut videos = facts.media.streams.iter().filter_map(|stream| stream.video.clone());
    videos.next().expect("a video stream")
}

fn of_kind<'a>(facts: &'a InputFacts, kind: &str) -> Vec<&'a MediaStream> {
    facts.media.streams.iter().filter(|stream| stream.kind == kind).collect()
}

fn seconds(facts: &InputFacts) -> f64 {
    facts
        .media
        .duration
        .map_or(0.0, |duration| duration.seconds as f64 + f64::from(duration.nanos) / 1e9)
}

#[test]
fn what_is_no_media_is_refused_with_what_it_looks_like() {
    let corpus = Corpus::new();
    for (case, reason, words) in [
        ("empty", "INPUT_NOT_MEDIA", "empty"),
        ("text", "INPUT_NOT_MEDIA", "looks like text"),
        ("random", "INPUT_NOT_MEDIA", "no known media type"),
        ("cut_without_index", "INPUT_NOT_MEDIA", "without an index (moov)"),
    ] {
        let (failure, got, message) = refused(&corpus.make(case), &InputLimits::default());
        assert_eq!(got, reason, "{case}");
        assert_eq!(failure.kind(), FailureKind::Data, "{case}");
        assert!(message.contains(words), "{case}: {message}");
    }
}

#[test]
fn a_playlist_behind_a_tag_is_not_followed() {
    let corpus = Corpus::new();
    let mut bytes = b"ID3\x04\0\0\0\0\0\x0a0123456789".to_vec();
    bytes.extend_from_slice(b"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n");
    refused(&corpus.bytes("tagged.mp3", &bytes), &InputLimits::default());
}

#[test]
fn common_containers_are_described_as_ffprobe_describes_them() {
    let corpus = Corpus::new();
    for (case, container) in [
        ("plain", "mp4"),
        ("mkv", "matroska"),
        ("webm", "webm"),
        ("ts", "mpegts"),
        ("flv", "flv"),
        ("avi", "avi"),
        ("fragmented", "mp4"),
    ] {
        let path = corpus.make(case);
        let facts = facts(&path);
        assert_eq!(facts.media.container, container, "{case}");
        let streams = of_kind(&facts, "video");
        assert_eq!(
            streams[0].codec,
            ffprobe(&path, "-select_streams v:0 -show_entries stream=codec_name")
                .lines()
                .next()
                .unwrap(),
            "{case}"
        );
        if let Some(audio) = of_kind(&facts, "audio").first() {
            assert_eq!(
                audio.codec,
                ffprobe(&path, "-select_streams a:0 -show_entries stream=codec_name")
                    .lines()
                    .next()
                    .unwrap(),
                "{case}"
            );
            assert_eq!(audio.audio.unwrap().sample_rate_hz, 48_000, "{case}");
        }
        let properties = video(&facts);
        assert_eq!((properties.width_px, properties.height_px), (320, 180), "{case}");
        assert_eq!((properties.frame_rate_num, properties.frame_rate_den), (30, 1), "{case}");
        assert_eq!((properties.pixel_format.as_str(), properties.bit_depth), ("I420", 8), "{case}");
        assert!((seconds(&facts) - 2.0).abs() < 0.15, "{case}: {}", seconds(&facts));
        assert_eq!(facts.media.size_bytes as u64, std::fs::metadata(&path).unwrap().len(), "{case}");
        assert!(
            facts.undecodable.is_empty() && facts.truncated_bytes == 0 && !facts.edit_list_inside,
            "{case}: {facts:?}"
        );
    }
}

#[test]
fn a_cut_mp4_with_its_index_in_front_is_told_from_a_whole_one() {
    let corpus = Corpus::new();
    let whole = facts(&corpus.make("faststart"));
    assert!(whole.index_first && whole.truncated_bytes == 0);
    assert_eq!(whole.promised_video_frames, Some(60));
    let cut = facts(&corpus.make("cut_with_index"));
    assert!(cut.truncated_bytes > 0);
    assert!((cut.promised_duration.unwrap().as_secs_f64() - 2.0).abs() < 0.1);
    assert!(!facts(&corpus.make("plain")).index_first);
}

#[test]
fn a_clip_cut_by_stream_copy_has_its_edit_list_inside() {
    let corpus = Corpus::new();
    let facts = facts(&corpus.make("stream_copied"));
    assert!(facts.edit_list_inside);
    assert!((facts.promised_duration.unwrap().as_secs_f64() - 2.7).abs() < 0.1);
}

#[test]
fn odd_pictures_are_described() {
    let corpus = Corpus::new();
    let odd = video(&facts(&corpus.make("odd_size")));
    assert_eq!((odd.width_px, odd.height_px), (1279, 719));
    let variable = video(&facts(&corpus.make("variable_rate")));
    assert_eq!(variable.frame_rate_num, 0);
    assert!(video(&facts(&corpus.make("interlaced"))).interlaced);
    assert!(video(&facts(&corpus.make("interlaced_h264"))).interlaced);
    assert!(!video(&facts(&corpus.make("faststart"))).interlaced);
    let one = facts(&corpus.make("one_frame"));
    assert_eq!(one.promised_video_frames, Some(1));
    let hdr = video(&facts(&corpus.make("hdr")));
    assert_eq!(
        (hdr.hdr.as_str(), hdr.bit_depth, hdr.pixel_format.as_str()),
        ("pq", 10, "I420_10LE")
    );
}

#[test]
fn rotation_is_what_turns_the_picture_upright() {
    let corpus = Corpus::new();
    let path = corpus.make("rotated");
    // ffprobe tells the angle counter-clockwise.
    let side_data = ffprobe(&path, "-select_streams v:0 -show_entries side_data=rotation");
    let counter_clockwise: i32 = side_data.lines().next().unwrap().trim_end_matches(',').parse().unwrap();
    assert_eq!(video(&facts(&path)).rotation_deg, (-counter_clockwise).rem_euclid(360));
}

#[test]
fn tracks_and_covers_are_listed() {
    let corpus = Corpus::new();
    let two = facts(&corpus.make("two_languages"));
    let languages: Vec<_> = of_kind(&two, "audio").iter().map(|stream| stream.language.clone()).collect();
    assert_eq!(languages, ["en", "fr"]);
    for case in ["cover_m4a", "cover_mp3"] {
        let covered = facts(&corpus.make(case));
        assert_eq!(covered.attached_pictures, 1, "{case}");
        assert!(of_kind(&covered, "video").is_empty(), "{case}");
        assert_eq!(of_kind(&covered, "image")[0].codec, "mjpeg", "{case}");
    }
}

#[test]
fn the_sound_of_an_mp3_is_as_long_as_it_was() {
    let corpus = Corpus::new();
    let facts = facts(&corpus.make("mp3"));
    assert_eq!(facts.trim.start.as_micros(), 1105 * 1_000_000 / 48_000);
    assert_eq!(facts.trim.length.unwrap().as_millis(), 2000);
    assert!((facts.promised_duration.unwrap().as_secs_f64() - 2.0).abs() < 0.001);
}

#[test]
fn pictures_are_told_from_film() {
    let corpus = Corpus::new();
    for (case, codec) in [("still_png", "png"), ("still_jpg", "mjpeg"), ("still_webp", "webp")] {
        let facts = facts(&corpus.make(case));
        assert!(facts.still_picture && facts.media.duration.is_none(), "{case}");
        assert_eq!(facts.media.streams[0].codec, codec);
        assert_eq!((video(&facts).width_px, video(&facts).height_px), (160, 90), "{case}");
    }
    let gif = facts(&corpus.make("animated_gif"));
    assert!(gif.own_pictures && !gif.still_picture);
    assert_eq!(gif.promised_duration.unwrap().as_millis(), 2000);
    assert_eq!(video(&gif).frame_rate_num, 10);
}

#[test]
fn limits_are_kept() {
    let corpus = Corpus::new();
    let path = corpus.make("two_languages");
    let over = [
        InputLimits {
            max_pixels: 1000,
            ..InputLimits::default()
        },
        InputLimits {
            max_streams: 2,
            ..InputLimits::default()
        },
        InputLimits {
            max_duration: prost_types::Duration::try_from(Duration::from_secs(1)).ok(),
            ..InputLimits::default()
        },
    ];
    for limits in over {
        assert_eq!(refused(&path, &limits).1, "LIMIT_EXCEEDED");
    }
    let picture = InputLimits {
        max_pixels: 1000,
        ..InputLimits::default()
    };
    assert_eq!(refused(&corpus.make("still_png"), &picture).1, "LIMIT_EXCEEDED");
}

#[test]
fn joined_transport_streams_last_as_long_as_their_parts() {
    let corpus = Corpus::new();
    let first = std::fs::read(corpus.make("ts")).unwrap();
    let later = corpus.ffmpeg("later.ts", "-i {}/ts.ts -c copy -output_ts_offset 5000");
    let path = corpus.bytes("joined.ts", &[first, std::fs::read(later).unwrap()].concat());
    let facts = facts(&path);
    assert!((seconds(&facts) - 4.0).abs() < 0.3, "{} s", seconds(&facts));
    assert_eq!(facts.promised_duration, None);
}

/// Headers cut and flipped at many places: whatever comes back, it comes back in time.
#[test]
fn damaged_headers_end_in_facts_or_failures() {
    let corpus = Corpus::new();
    let index_end = 3000;
    for case in [
        "faststart",
        "fragmented",
        "mkv",
        "webm",
        "ts",
        "flv",
        "avi",
        "mp3",
        "animated_gif",
        "still_png",
        "still_jpg",
        "still_webp",
        "cover_m4a",
    ] {
        let whole = std::fs::read(corpus.make(case)).unwrap();
        let noise = pseudo_random(4 * 10);
        for (round, four) in noise.chunks_exact(4).enumerate() {
            let mut bytes = whole.clone();
            let at = (usize::from(four[0]) << 8 | usize::from(four[1])) % index_end.min(bytes.len());
            bytes[at] ^= four[2] | 1;
            bytes[(at * 7 + 3) % index_end.min(whole.len())] ^= four[3] | 0x80;
            if round % 3 == 0 {
                bytes.truncate(bytes.len() / 2 + at % 100);
            }
            let path = corpus.bytes("damaged", &bytes);
            let started = std::time::Instant::now();
            if let Err(failure) = probe(&path, &InputLimits::default(), DEADLINE) {
                assert_eq!(failure.kind(), FailureKind::Data, "{failure:?}");
            }
            assert!(
                started.elapsed() < Duration::from_secs(15),
                "{case} {round} took {:?}",
                started.elapsed()
            );
        }
    }
}
