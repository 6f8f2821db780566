//! Settings that follow the input, where the input holds less than they ask for.

use mps_proto::v1::{AudioCodec, AudioSettings, Container};

use crate::{
    pass_tools::{ffprobe, seconds},
    tools::{bench, make, sound},
    transcode_tools::audio,
};

#[test]
fn bit_rates_give_way_to_what_the_input_holds() {
    let film = bench();
    make(&film, "low.wav", "-f lavfi -i sine=440:r=16000:d=1 -ac 1");
    let asked = |codec, bitrate_bps| AudioSettings {
        bitrate_bps: Some(bitrate_bps),
        channels: None,
        ..audio(codec)
    };
    let nodes = vec![
        sound("vorbis", Container::Ogg, asked(AudioCodec::Vorbis, 240_000)),
        sound("aac", Container::M4a, asked(AudioCodec::Aac, 512_000)),
        sound("mp3", Container::Mp3, asked(AudioCodec::Mp3, 320_000)),
        sound("opus", Container::Ogg, asked(AudioCodec::Opus, 510_000)),
    ];
    for file in film.transcode_of("low.wav", nodes) {
        let file = file.unwrap();
        let told = ffprobe(&file, "-select_streams a -show_entries stream=channels");
        assert_eq!(told, "1", "{}", file.display());
        assert!((0.99..1.15).contains(&seconds(&file)), "{}", file.display());
    }
}
