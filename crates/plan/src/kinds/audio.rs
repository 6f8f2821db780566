//! Settings of an audio stream.

use mps_proto::v1::{AudioCodec, AudioEnhancement, AudioSettings, Container};

use crate::{
    capabilities::{DENOISE_AUDIO, LOUDNESS},
    fields::{Fields, fields},
    overrides::SettingsFaults,
    tables::{self, audio_bitrates},
};

const DEFAULT_BITRATE: i64 = 128_000;
const DEFAULT_TRUE_PEAK: f64 = -1.0;

fields!(AudioSettings {
    codec,
    bitrate_bps,
    sample_rate_hz,
    channels,
    enhancement: AudioEnhancement
});

fields!(AudioEnhancement {
    denoise,
    loudness_lufs,
    true_peak_dbtp
});

/// What the place that the stream goes to takes.
#[derive(Clone, Copy)]
pub(super) struct Takes<'a> {
    /// The default first.
    pub codecs: &'a [AudioCodec],
    /// Name of the place in descriptions.
    pub place: &'a str,
    /// FLV: at most two channels, MP3 at 22,050 and 44,100 Hz only (Adobe FLV 10.1, §E.4.2).
    pub is_flv: bool,
}

impl<'a> Takes<'a> {
    pub fn of_container(rule: &'a tables::ContainerRule) -> Self {
        Self {
            codecs: rule.audio,
            place: rule.container.as_str_name(),
            is_flv: rule.container == Container::Flv,
        }
    }
}

/// Checks settings and fills in every default; sample rate and channels follow the input where they are unset.
pub(super) fn settle(settings: AudioSettings, takes: Takes, faults: &mut SettingsFaults) -> AudioSettings {
    let default = takes.codecs.first().copied().unwrap_or(AudioCodec::Aac);
    let codec = faults.choice("codec", settings.codec, default);
    if !takes.codecs.contains(&codec) {
        let (codec, place) = (codec.as_str_name(), takes.place);
        let fitting: Vec<&str> = takes.codecs.iter().map(AudioCodec::as_str_name).collect();
        faults.add(
            "codec",
            format!("{codec} does not fit {place}, which takes {}", fitting.join(" and ")),
        );
    }
    if codec == AudioCodec::Copy {
        refuse_encoding(&settings, faults);
        return AudioSettings {
            codec: Some(codec.into()),
            ..Default::default()
        };
    }
    let (rates, counts) = allowed(codec, takes);
    let rate = check_listed("sample_rate_hz", settings.sample_rate_hz, &rates, faults);
    let channels = check_listed("channels", settings.channels, &counts, faults);
    // FLV names no other rates than these, so the input's cannot be kept.
    let flv_rate = (takes.is_flv && codec == AudioCodec::Mp3).then_some(44_100);
    AudioSettings {
        codec: Some(codec.into()),
        bitrate_bps: check_bitrate(settings.bitrate_bps, codec, rate, channels, faults),
        sample_rate_hz: settings.sample_rate_hz.or(flv_rate),
        enhancement: settings
            .enhancement
            .map(|enhancement| settle_enhancement(enhancement, &mut faults.below("enhancement"))),
        ..settings
    }
}

fn refuse_encoding(settings: &AudioSettings, faults: &mut SettingsFaults) {
    for name in settings.set_names().into_iter().filter(|name| *name != "codec") {
        faults.add(name, "must be unset: AUDIO_CODEC_COPY keeps the stream as it is");
    }
}

/// Sample rates and channel counts.
fn allowed(codec: AudioCodec, takes: Takes) -> (Vec<i32>, Vec<i32>) {
    let (rates, counts) = (tables::sample_rates(codec), tables::channel_counts(codec));
    if !takes.is_flv {
        return (rates.to_vec(), counts.to_vec());
    }
    let rates = rates
        .iter()
        .copied()
        .filter(|rate| codec != AudioCodec::Mp3 || [22_050, 44_100].contains(rate));
    (rates.collect(), counts.iter().copied().filter(|count| *count <= 2).collect())
}

/// The value where it is one of the list.
fn check_listed(name: &str, value: Option<i32>, list: &[i32], faults: &mut SettingsFaults) -> Option<i32> {
    let value = value?;
    if list.contains(&value) {
        return Some(value);
    }
    let shown: Vec<String> = list.iter().map(ToString::to_string).collect();
    faults.add(name, format!("is {value}; must be one of {}", shown.join(", ")));
    None
}

fn check_bitrate(
    bitrate: Option<i64>,
    codec: AudioCodec,
    rate: Option<i32>,
    channels: Option<i32>,
    faults: &mut SettingsFaults,
) -> Option<i64> {
    if tables::is_lossless(codec) {
        let why = format!("must be unset: {} is lossless", codec.as_str_name());
        faults.unset("bitrate_bps", bitrate, &why);
        return None;
    }
    let (least, most) = audio_bitrates(codec, rate, channels);
    faults.range("bitrate_bps", bitrate, least, most);
    // The default gives way where the chosen rate and channels hold less, or need more.
    Some(bitrate.unwrap_or(DEFAULT_BITRATE.clamp(least, most.max(least))))
}

fn settle_enhancement(settings: AudioEnhancement, faults: &mut SettingsFaults) -> AudioEnhancement {
    faults.range("loudness_lufs", settings.loudness_lufs, -70.0, -5.0);
    faults.range("true_peak_dbtp", settings.true_peak_dbtp, -9.0, 0.0);
    if settings.loudness_lufs.is_none() {
        faults.unset("true_peak_dbtp", settings.true_peak_dbtp, "needs loudness_lufs");
    }
    let peak = settings.true_peak_dbtp.unwrap_or(DEFAULT_TRUE_PEAK);
    AudioEnhancement {
        denoise: Some(settings.denoise.unwrap_or(false)),
        loudness_lufs: settings.loudness_lufs,
        true_peak_dbtp: settings.loudness_lufs.map(|_| peak),
    }
}

/// Forgets what stands or falls with `name`, which is about to be replaced.
pub(super) fn forget_dependents(audio: &mut AudioSettings, name: &str, from: Option<&AudioSettings>) {
    if name != "codec" {
        return;
    }
    let codec = from.map_or(AudioCodec::Unspecified, AudioSettings::codec);
    if codec == AudioCodec::Copy {
        *audio = AudioSettings::default();
    } else if tables::is_lossless(codec) {
        audio.bitrate_bps = None;
    }
}

/// What a worker must be able to do.
pub(super) fn requirements(audio: &AudioSettings) -> Vec<&'static str> {
    let enhancement = audio.enhancement.unwrap_or_default();
    let denoise = enhancement.denoise.unwrap_or(false).then_some(DENOISE_AUDIO);
    let loudness = enhancement.loudness_lufs.map(|_| LOUDNESS);
    [tables::audio_encoder(audio.codec()), denoise, loudness]
        .into_iter()
        .flatten()
        .collect()
}
