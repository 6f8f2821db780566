//! Not a sample is lost and none is added: lengths of outputs against what ffmpeg decodes of the input.

use mps_proto::{
    v1::{AudioCodec, AudioSettings, Container},
    worker::v1::PlanNode,
};

use crate::{
    pass_tools::ffprobe,
    tools::{bench, lossless, make, samples, sound},
    transcode_tools::{Film, audio},
};

/// Half a second of a tone, then silence, then a tone in the last 10 ms of 1.5 s.
const MARKED: &str = "-f lavfi -i aevalsrc=0.5*sin(2*PI*1000*t)*(lt(t\\,0.5)+gte(t\\,1.49)):s=48000:d=1.5";

/// Samples of the file that a node makes of an input.
fn through(film: &Film, input: &str, container: Container, settings: AudioSettings) -> Vec<Vec<f32>> {
    let file = film.transcode_of(input, vec![sound("a", container, settings)]).remove(0);
    samples(&file.unwrap_or_else(|message| panic!("{input}: {message}")))
}

/// Where a tone is first and last heard, in samples.
fn heard(samples: &[f32]) -> (usize, usize) {
    let loud = |sample: &f32| sample.abs() > 0.2;
    (samples.iter().position(loud).unwrap(), samples.iter().rposition(loud).unwrap())
}

#[test]
fn every_input_gives_as_many_samples_as_it_has() {
    let film = bench();
    let mut wrong = Vec::new();
    for (input, codec) in [
        ("aac.mp4", "-c:a aac -b:a 128k"),
        ("alac.m4a", "-c:a alac"),
        ("mp3.mp3", "-c:a libmp3lame -b:a 128k"),
        ("low.mp3", "-c:a libmp3lame -ar 22050 -b:a 64k"),
        ("flac.flac", "-c:a flac"),
        ("opus.ogg", "-c:a libopus -b:a 96k"),
        ("opus.webm", "-c:a libopus -b:a 96k"),
        ("vorbis.ogg", "-c:a libvorbis"),
        ("pcm.wav", "-c:a pcm_s24le"),
        ("ac3.mkv", "-c:a ac3"),
        ("aac.ts", "-c:a aac"),
    ] {
        let path = make(&film, input, &format!("{MARKED} {codec}"));
        let theirs = samples(&path).remove(0);
        // ffmpeg does not cut AAC where its edit list ends.
        let theirs = if input == "aac.mp4" { theirs[..72_000].to_vec() } else { theirs };
        let ours = through(&film, input, Container::Wav, lossless(1)).remove(0);
        let (length, marks) = (ours.len().abs_diff(theirs.len()), (heard(&ours), heard(&theirs)));
        let near = marks.0.0.abs_diff(marks.1.0) <= 4 && marks.0.1.abs_diff(marks.1.1) <= 4;
        if length > 1 || !near {
            wrong.push(format!(
                "{input}: {} samples of {}, heard {:?} of {:?}",
                ours.len(),
                theirs.len(),
                marks.0,
                marks.1
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_encoder_writes_the_last_sample() {
    let film = bench();
    make(&film, "pcm.wav", &format!("{MARKED} -c:a pcm_s16le"));
    // What a codec's first packet would have brought is missing from the others: it fades in.
    for (container, codec, fade) in [
        (Container::Mp4, AudioCodec::Aac, 600),
        (Container::Mp3, AudioCodec::Mp3, 10),
        (Container::Ts, AudioCodec::Mp2, 600),
        (Container::Mkv, AudioCodec::Ac3, 600),
        (Container::Mkv, AudioCodec::Eac3, 600),
        (Container::Ogg, AudioCodec::Opus, 10),
        (Container::Ogg, AudioCodec::Vorbis, 10),
    ] {
        let ours = through(&film, "pcm.wav", container, audio(codec)).remove(0);
        let (first, last) = heard(&ours);
        assert!(first < fade, "{codec:?} begins at {first}");
        assert!((71_900..72_100).contains(&last), "{codec:?} ends at {last} of {}", ours.len());
    }
}

#[test]
fn files_of_mp3_have_as_many_samples_as_the_input() {
    let film = bench();
    make(&film, "high.wav", &format!("{MARKED} -c:a pcm_s16le"));
    make(&film, "low.wav", &format!("{MARKED} -ar 22050 -c:a pcm_s16le"));
    for input in ["high.wav", "low.wav"] {
        let wanted = samples(&film.path(input)).remove(0);
        for (bitrate, channels) in [(128_000, 2), (100_000, 1)] {
            let settings = AudioSettings {
                bitrate_bps: Some(bitrate),
                channels: Some(channels),
                ..audio(AudioCodec::Mp3)
            };
            let ours = through(&film, input, Container::Mp3, settings).remove(0);
            assert_eq!(ours.len(), wanted.len(), "{input} {bitrate}");
            let (ours, wanted) = (heard(&ours), heard(&wanted));
            assert!(
                ours.0.abs_diff(wanted.0) <= 4 && ours.1.abs_diff(wanted.1) <= 4,
                "{input}: {ours:?} of {wanted:?}"
            );
        }
    }
}

#[test]
fn offsets_from_the_end_count_from_the_true_end() {
    let film = bench();
    let tone = "-f lavfi -i aevalsrc=0.5*sin(2*PI*1000*t)*gte(t\\,3):s=44100:d=4";
    // None of them says how long it is.
    make(
        &film,
        "variable.mp3",
        &format!("{tone} -c:a libmp3lame -q:a 6 -write_xing 0 -id3v2_version 3"),
    );
    make(&film, "raw.aac", &format!("{tone} -c:a aac -b:a 96k"));
    let piped = make(&film, "piped.flac", &format!("{tone} -c:a flac"));
    let mut bytes = std::fs::read(&piped).unwrap();
    bytes[21] &= 0xf0;
    bytes[22..26].fill(0);
    std::fs::write(&piped, bytes).unwrap();
    for input in ["variable.mp3", "raw.aac", "piped.flac"] {
        let mut node = sound("a", Container::Wav, lossless(1));
        node.start_offset = Some(prost_types::Duration { seconds: -1, nanos: 0 });
        let file = film
            .transcode_of(input, vec![node])
            .remove(0)
            .unwrap_or_else(|message| panic!("{input}: {message}"));
        let ours = samples(&file).remove(0);
        assert!(ours.len().abs_diff(44_100) < 100, "{input}: {} samples", ours.len());
        let (first, _) = heard(&ours);
        assert!(first < 3000, "{input}: heard from {first} on");
    }
}

#[test]
fn aac_of_three_seconds_has_all_its_packets() {
    let film = bench();
    make(&film, "three.mp4", "-f lavfi -i sine=440:r=48000:d=3 -c:a aac");
    let file = film
        .transcode_of("three.mp4", vec![sound("a", Container::M4a, audio(AudioCodec::Aac))])
        .remove(0);
    let packets = ffprobe(
        &file.unwrap(),
        "-select_streams a:0 -count_packets -show_entries stream=nb_read_packets",
    );
    assert_eq!(packets, "141");
}

/// Writes what iTunes says of the sound's length into the index, which is the last box.
fn tell_as_itunes(file: &std::path::Path, text: &str) {
    let boxed = |kind: &[u8], body: &[u8]| [&(body.len() as u32 + 8).to_be_bytes(), kind, body].concat();
    let mut bytes = std::fs::read(file).unwrap();
    let at = bytes.windows(4).rposition(|four| four == b"moov").unwrap() - 4;
    let name = boxed(b"name", b"\0\0\0\0iTunSMPB");
    let data = boxed(b"data", &[b"\0\0\0\x01\0\0\0\0", text.as_bytes()].concat());
    let more = boxed(b"udta", &boxed(b"ilst", &boxed(b"----", &[name, data].concat())));
    bytes.extend(&more);
    let size = (bytes.len() - at) as u32;
    bytes[at..at + 4].copy_from_slice(&size.to_be_bytes());
    std::fs::write(file, bytes).unwrap();
}

#[test]
fn what_itunes_says_of_the_length_is_heeded() {
    let film = bench();
    let file = make(
        &film,
        "itunes.m4a",
        &format!("{MARKED} -c:a aac -b:a 128k -use_editlist 0 -map_metadata -1 -fflags +bitexact"),
    );
    let plain = through(&film, "itunes.m4a", Container::Wav, lossless(1)).remove(0);
    assert!(heard(&plain).0 > 1000, "without it the encoder's delay is sound");
    tell_as_itunes(&file, " 00000000 00000400 000000C0 0000000000011940 00000000");
    let ours = through(&film, "itunes.m4a", Container::Wav, lossless(1)).remove(0);
    let (first, last) = heard(&ours);
    assert!(ours.len().abs_diff(72_000) <= 1, "{} samples", ours.len());
    assert!(first < 10 && last.abs_diff(71_996) < 10, "{first} to {last}");
}

#[test]
fn a_clip_has_its_sound_to_its_end() {
    let film = bench();
    make(&film, "long.mp4", "-f lavfi -i aevalsrc=0.5*sin(2*PI*1000*t):s=48000:d=4 -c:a aac");
    for milliseconds in [2950, 2967] {
        let clip = PlanNode {
            end_offset: Some(prost_types::Duration {
                seconds: 2,
                nanos: (milliseconds - 2000) * 1_000_000,
            }),
            ..sound("a", Container::Wav, lossless(1))
        };
        let ours = samples(film.transcode_of("long.mp4", vec![clip])[0].as_ref().unwrap()).remove(0);
        let wanted = 48 * milliseconds as usize;
        assert!(ours.len().abs_diff(wanted) <= 1, "{} samples of {wanted}", ours.len());
        assert!(wanted - heard(&ours).1 < 48, "heard until {} of {wanted}", heard(&ours).1);
    }
}
