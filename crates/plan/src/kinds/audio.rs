//! Settings of an audio stream.

use mps_proto::v1::{AudioCodec, AudioSettings};

use crate::{
    overrides::{SettingsFaults, fields},
    tables::{ContainerRule, SAMPLE_RATES, max_audio_bitrate},
};

const DEFAULT_BITRATE: i64 = 128_000;
const LEAST_BITRATE: i64 = 16_000;

fields!(AudioSettings {
    codec,
    bitrate_bps,
    sample_rate_hz,
    channels,
    enhancement
});

/// Checks settings and fills in every default; sample rate and channels follow the input where they are unset.
pub(super) fn settle(settings: AudioSettings, rule: &ContainerRule, faults: &mut SettingsFaults) -> AudioSettings {
    let codec = faults.choice("audio.codec", settings.codec, rule.default_audio);
    if !rule.audio.contains(&codec) {
        let (codec, container) = (codec.as_str_name(), rule.container.as_str_name());
        let fitting: Vec<&str> = rule.audio.iter().map(AudioCodec::as_str_name).collect();
        faults.add(
            "audio.codec",
            format!("{codec} does not fit {container}, which takes {}", fitting.join(" and ")),
        );
    }
    if codec == AudioCodec::Copy {
        refuse_encoding(&settings, faults);
        return AudioSettings {
            codec: Some(codec.into()),
            ..Default::default()
        };
    }
    check_rates(&settings, codec, faults);
    let most = max_audio_bitrate(codec, settings.sample_rate_hz, settings.channels);
    AudioSettings {
        codec: Some(codec.into()),
        // The default gives way where the chosen rate and channels hold less.
        bitrate_bps: Some(settings.bitrate_bps.unwrap_or(DEFAULT_BITRATE.min(most))),
        ..settings
    }
}

fn refuse_encoding(settings: &AudioSettings, faults: &mut SettingsFaults) {
    const WHY: &str = "must be unset: AUDIO_CODEC_COPY keeps the stream as it is";
    faults.unset("audio.bitrate_bps", settings.bitrate_bps, WHY);
    faults.unset("audio.sample_rate_hz", settings.sample_rate_hz, WHY);
    faults.unset("audio.channels", settings.channels, WHY);
}

fn check_rates(settings: &AudioSettings, codec: AudioCodec, faults: &mut SettingsFaults) {
    let known_rate = settings.sample_rate_hz.filter(|rate| SAMPLE_RATES.contains(rate));
    if settings.sample_rate_hz.is_some() && known_rate.is_none() {
        let rates: Vec<String> = SAMPLE_RATES.iter().map(ToString::to_string).collect();
        faults.add("audio.sample_rate_hz", format!("must be one of {}", rates.join(", ")));
    }
    faults.range("audio.channels", settings.channels, 1, 2);
    let known_channels = settings.channels.filter(|channels| (1..=2).contains(channels));
    let most = max_audio_bitrate(codec, known_rate, known_channels);
    faults.range("audio.bitrate_bps", settings.bitrate_bps, LEAST_BITRATE, most);
}
