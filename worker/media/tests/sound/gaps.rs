//! Holes of the input, and sound that begins late: where an output cannot say them, silence lasts as long.

use mps_proto::v1::{AudioCodec, AudioSettings, Container};

use crate::{
    tools::{bench, make, samples, sound},
    transcode_tools::audio,
};

/// Where beeps begin, in hundredths of a second.
fn beeps(samples: &[f32], rate: usize) -> Vec<usize> {
    let step = rate / 100;
    let loud: Vec<bool> = samples
        .chunks(step)
        .map(|part| part.iter().any(|sample| sample.abs() > 0.2))
        .collect();
    (0..loud.len()).filter(|at| loud[*at] && (*at == 0 || !loud[at - 1])).collect()
}

fn lossless(codec: AudioCodec) -> AudioSettings {
    AudioSettings {
        bitrate_bps: None,
        ..audio(codec)
    }
}

#[test]
fn holes_and_late_beginnings_are_filled_with_silence() {
    let film = bench();
    let beep = "aevalsrc=0.5*sin(2*PI*1000*t)*(between(t\\,0.3\\,0.4)+between(t\\,2.5\\,2.6)):s=48000:d=3";
    make(&film, "whole.mkv", &format!("-f lavfi -i {beep} -c:a libopus -b:a 96k -ac 2"));
    let whole = film.path("whole.mkv").display().to_string();
    make(
        &film,
        "hole.mkv",
        &format!("-i {whole} -c copy -bsf:a noise=drop='between(pts*tb\\,1\\,2)'"),
    );
    let picture = "-f lavfi -i color=gray:s=64x64:r=10:d=4";
    make(
        &film,
        "late.mkv",
        &format!("{picture} -itsoffset 0.8 -i {whole} -c:v libx264 -preset ultrafast -c:a copy"),
    );
    for (input, expected, seconds) in [("hole.mkv", [30, 250], 3.0), ("late.mkv", [110, 330], 3.8)] {
        let nodes = vec![
            sound("mp3", Container::Mp3, audio(AudioCodec::Mp3)),
            sound("wav", Container::Wav, lossless(AudioCodec::Pcm16)),
            sound("flac", Container::Flac, lossless(AudioCodec::Flac)),
            sound("opus", Container::Ogg, audio(AudioCodec::Opus)),
            sound("vorbis", Container::Ogg, audio(AudioCodec::Vorbis)),
            sound("oggflac", Container::Ogg, lossless(AudioCodec::Flac)),
        ];
        let keys: Vec<_> = nodes.iter().map(|node| node.key.clone()).collect();
        for (key, file) in keys.into_iter().zip(film.transcode_of(input, nodes)) {
            let file = file.unwrap_or_else(|message| panic!("{key} of {input}: {message}"));
            let left = samples(&file).remove(0);
            let found = beeps(&left, 48_000);
            let near = found.len() == 2 && found.iter().zip(expected).all(|(found, wanted)| found.abs_diff(wanted) <= 3);
            assert!(near, "{input} {}: {found:?}", file.display());
            let length = left.len() as f64 / 48_000.0;
            assert!((length - seconds).abs() < 0.06, "{input} {}: {length} s", file.display());
        }
    }
}
