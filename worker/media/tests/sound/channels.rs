//! Channels: which is heard where, and how loud, whatever a file says of them.

use std::path::PathBuf;

use mps_proto::v1::{AudioCodec, AudioSettings, Container, VideoCodec};

use crate::{
    pass_tools::ffprobe,
    tools::{amplitude, bench, lossless, make, peak, samples, sound, tones},
    transcode_tools::{Film, audio, node, video},
};

/// Frequencies of the channels: the fourth is low, as that of the low frequencies.
const HERTZ: [u32; 8] = [300, 400, 500, 60, 700, 800, 900, 1000];
const LEVEL: f64 = 0.2;

/// Outputs with one, two and six channels.
fn mixed(film: &Film, input: &str) -> [Vec<Vec<f32>>; 3] {
    let nodes = [1, 2, 6].map(|channels| sound(&format!("c{channels}"), Container::Wav, lossless(channels)));
    let files: Vec<PathBuf> = film
        .transcode_of(input, nodes.to_vec())
        .into_iter()
        .map(|file| file.unwrap_or_else(|message| panic!("{input}: {message}")))
        .collect();
    [0, 1, 2].map(|at| samples(&files[at]))
}

/// Shares of the input's channels in an output's one, in thousandths.
fn shares(channel: &[f32], count: usize) -> Vec<i32> {
    let share = |hertz: &u32| (amplitude(channel, *hertz) / LEVEL * 1000.0).round() as i32;
    HERTZ[..count].iter().map(share).collect()
}

#[track_caller]
fn near(found: &[i32], expected: &[i32], what: &str) {
    let fits = found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| (a - b).abs() <= 12 + b / 20);
    assert!(fits, "{what}: {found:?}, expected {expected:?}");
}

/// ITU-R BS.775-3: left and centre and surround at −3 dB, without the low frequencies, scaled to full scale.
const LEFT_OF_SURROUND: [i32; 6] = [414, 0, 293, 0, 293, 0];
const MONO_OF_SURROUND: [i32; 6] = [207, 207, 293, 0, 146, 146];

#[test]
fn surround_is_mixed_by_the_standard_and_kept_whole() {
    let film = bench();
    let source = tones(&HERTZ[..6], LEVEL, "5.1(side)", 1.0);
    make(&film, "eac3.mkv", &format!("{source} -c:a eac3 -b:a 640k"));
    make(&film, "ac3.ts", &format!("{source} -c:a ac3 -b:a 640k"));
    // Its layout is one that AAC only describes channel by channel.
    make(&film, "aac.mp4", &format!("{source} -c:a aac -b:a 384k"));
    make(&film, "pcm.mkv", &format!("{source} -c:a pcm_s24le"));
    make(
        &film,
        "unnamed.mov",
        &format!("{} -c:a pcm_s16be", tones(&HERTZ[..6], LEVEL, "5.1", 1.0)),
    );
    for input in ["eac3.mkv", "ac3.ts", "aac.mp4", "pcm.mkv", "unnamed.mov"] {
        let [mono, stereo, surround] = mixed(&film, input);
        near(&shares(&mono[0], 6), &MONO_OF_SURROUND, input);
        near(&shares(&stereo[0], 6), &LEFT_OF_SURROUND, input);
        near(&shares(&stereo[1], 6), &[0, 414, 293, 0, 0, 293], input);
        for (number, channel) in surround.iter().enumerate() {
            let alone: Vec<i32> = (0..6).map(|other| if other == number { 1000 } else { 0 }).collect();
            near(&shares(channel, 6), &alone, &format!("{input} {number}"));
        }
    }
}

#[test]
fn any_number_of_channels_without_places_is_heard() {
    let film = bench();
    // QuickTime's tracks name no places to the decoder.
    for count in [1, 2, 3, 4, 5, 7, 8, 16] {
        let hertz: Vec<u32> = HERTZ.iter().cycle().take(count).copied().collect();
        let input = format!("{count}.mov");
        make(&film, &input, &format!("{} -c:a pcm_s16be", tones(&hertz, LEVEL, "", 1.0)));
        let [mono, stereo, _] = mixed(&film, &input);
        let expected: (&[i32], &[i32]) = match count {
            1 => (&[1000], &[1000]),
            2 => (&[1000, 0], &[500, 500]),
            3 => (&[586, 0, 414], &[293, 293, 414]),
            4 => (&[453, 0, 320, 227], &[227, 227, 320, 227]),
            5 => (&[414, 0, 293, 293, 0], &[207, 207, 293, 146, 146]),
            7 => (&[343, 0, 242, 0, 172, 242, 0], &[175, 175, 247, 0, 175, 124, 124]),
            8 => (&[320, 0, 227, 0, 227, 0, 227, 0], &[160, 160, 227, 0, 113, 113, 113, 113]),
            // Eight pairs, of which two have each tone.
            _ => (&[250, 0, 250, 0, 250, 0, 250, 0], &[125; 8]),
        };
        near(&shares(&stereo[0], count.min(8)), expected.0, &input);
        near(&shares(&mono[0], count.min(8)), expected.1, &input);
    }
}

#[test]
fn loud_channels_do_not_clip_in_a_mix() {
    let film = bench();
    make(&film, "loud.mkv", &format!("{} -c:a pcm_s16le", tones(&[500; 6], 0.99, "5.1", 0.5)));
    for outputs in mixed(&film, "loud.mkv") {
        let peak = peak(&outputs);
        assert!((0.97..0.995).contains(&peak), "{peak}");
    }
}

#[test]
fn sound_that_changes_its_channels_on_the_way_goes_on() {
    let film = bench();
    let part = |name: &str, hertz: &[u32], layout: &str, offset: u32| {
        let source = tones(hertz, LEVEL, layout, 1.0);
        std::fs::read(make(
            &film,
            name,
            &format!("{source} -c:a ac3 -b:a 448k -output_ts_offset {offset}"),
        ))
        .unwrap()
    };
    let joined = [part("a.ts", &HERTZ[..6], "5.1(side)", 0), part("b.ts", &HERTZ[..2], "stereo", 1)].concat();
    std::fs::write(film.path("joined.ts"), joined).unwrap();
    let [_, stereo, surround] = mixed(&film, "joined.ts");
    for outputs in [&stereo, &surround] {
        let length = outputs[0].len();
        assert!((94_000..98_500).contains(&length), "{length} samples");
    }
    near(&shares(&stereo[0][..48_000], 6), &LEFT_OF_SURROUND, "first part");
    near(&shares(&stereo[0][48_000..], 6), &[1000, 0, 0, 0, 0, 0], "second part");
}

#[test]
fn films_with_such_sound_are_made_of_every_kind() {
    let film = bench();
    let picture = "-f lavfi -i testsrc2=s=160x90:r=10:d=1 -c:v libx264 -preset ultrafast -pix_fmt yuv420p -map 1 -map 0";
    make(
        &film,
        "four.mov",
        &format!("{} {picture} -c:a pcm_s24be", tones(&HERTZ[..4], LEVEL, "", 1.0)),
    );
    let aac = v1_film(Container::Mp4, audio(AudioCodec::Aac));
    let kept = v1_film(
        Container::Mkv,
        AudioSettings {
            channels: Some(6),
            ..audio(AudioCodec::Ac3)
        },
    );
    let files = film.transcode_of("four.mov", vec![node("a", aac), node("b", kept)]);
    for (file, channels) in files.into_iter().zip(["2", "6"]) {
        let told = ffprobe(&file.unwrap(), "-select_streams a -show_entries stream=channels");
        assert_eq!(told, channels);
    }
}

fn v1_film(container: Container, sound: AudioSettings) -> mps_proto::v1::TranscodeSettings {
    mps_proto::v1::TranscodeSettings {
        container: Some(container as i32),
        video: Some(video(VideoCodec::H264)),
        audio: Some(sound),
        ..Default::default()
    }
}
