//! Presets of sound alone.

use mps_proto::v1::{AudioCodec, Container, Template, TranscodeSettings};

use super::{stereo, transcode};

/// kbit/s and number of the reference system.
const M4A: &[(i64, &str)] = &[(24, "1100"), (48, "1110"), (96, "1120"), (192, "1130"), (256, "1140")];
const MP3: &[(i64, &str)] = &[(128, "1010"), (320, "1020")];

pub(super) fn all() -> Vec<Template> {
    let m4a = M4A.iter().map(|(kbps, number)| {
        let settings = audio_only(Container::M4a, AudioCodec::Aac, *kbps);
        transcode(&format!("m4a-{kbps}k"), &format!("M4A, AAC {kbps} kbit/s"), &[number], settings)
    });
    let mp3 = MP3.iter().map(|(kbps, number)| {
        let settings = audio_only(Container::Mp3, AudioCodec::Mp3, *kbps);
        transcode(&format!("mp3-{kbps}k"), &format!("MP3 {kbps} kbit/s"), &[number], settings)
    });
    m4a.chain(mp3).collect()
}

fn audio_only(container: Container, codec: AudioCodec, kbps: i64) -> TranscodeSettings {
    TranscodeSettings {
        container: Some(container.into()),
        audio: Some(stereo(codec, kbps)),
        ..Default::default()
    }
}
