//! What becomes of the sound: which tracks, and how each is encoded.

use mps_proto::{
    rpc::Status,
    v1::{AudioCodec, AudioSettings, AudioTrackSelector, Container, ErrorReason, MediaStream},
    worker::v1::Failure,
};

use super::tracks::{Selected, select};
use crate::{
    enhance::sound,
    failure,
    pass::{audio::AudioEncode, containers::ContainerRule, file::Kept},
    probe::InputFacts,
    rules::{Clip, reaches, sounds, unless_undecodable},
};

/// The sound of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sound {
    /// Positions among the input's tracks of sound, in the order of the output.
    pub tracks: Vec<usize>,
    pub how: Audio,
    /// Whether the tracks become one.
    pub mix: bool,
}

/// Whether sound is encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Audio {
    Copy,
    Encode(AudioEncode),
}

/// Sample rates that encoders take, in Hz.
const SAMPLE_RATES: &[i32] = &[16_000, 22_050, 24_000, 32_000, 44_100, 48_000];
const OPUS_RATES: &[i32] = &[16_000, 24_000, 48_000];
const DOLBY_RATES: &[i32] = &[32_000, 44_100, 48_000];
/// Codecs of input that may hold more than 16 bits a sample.
const LOSSLESS: &[&str] = &["flac", "alac", "wavpack", "truehd"];

impl AudioEncode {
    /// `stream`: the track that is encoded, or the first of those that are mixed.
    pub fn resolve(settings: &AudioSettings, stream: &MediaStream) -> Self {
        let properties = stream.audio.unwrap_or_default();
        let mut encode = Self {
            codec: settings.codec(),
            bitrate_bps: settings.bitrate_bps.unwrap_or(128_000),
            sample_rate_hz: nearest_rate(settings.codec(), settings.sample_rate_hz.unwrap_or(properties.sample_rate_hz)),
            channels: settings.channels.unwrap_or_else(|| properties.channels.clamp(1, 2)),
            wide: LOSSLESS.contains(&stream.codec.as_str()) || stream.codec.starts_with("pcm_"),
            treatment: sound::asked_for(settings.enhancement.as_ref()).0,
            filled: false,
            says_delay: false,
            own_tags: None,
        };
        encode.fit_bitrate();
        encode
    }

    /// The nearest bit rate that sample rate and channels hold.
    fn fit_bitrate(&mut self) {
        let (least, most) = mps_plan::audio_bitrates(self.codec, Some(self.sample_rate_hz), Some(self.channels));
        self.bitrate_bps = self.bitrate_bps.clamp(least, most.max(least));
    }

    /// The same where every segment must be there, also where the input is silent.
    pub fn filled(&self) -> Self {
        Self {
            filled: true,
            ..self.clone()
        }
    }
}

/// Encoders that write tags and pictures into their own headers.
const TAG_WRITERS: &[AudioCodec] = &[AudioCodec::Flac, AudioCodec::Opus, AudioCodec::Vorbis];

/// Which of the input's tags an encoder may write; `None`: it writes none, and the muxer is asked.
pub fn own_tags(codec: AudioCodec, kept: Kept) -> Option<Kept> {
    TAG_WRITERS.contains(&codec).then_some(kept)
}

/// MP3's sample rates in Flash video.
const FLV_RATES: &[i32] = &[22_050, 44_100];

/// Keeps to the sample rates of a container and codec, and to what the container can say; `asked`: what the settings want.
pub fn fit(encode: &mut AudioEncode, asked: Option<i32>, rule: &ContainerRule) -> Result<(), Failure> {
    let container = rule.container;
    // The muxers of MP4 and MOV refuse samples that do not follow each other.
    let is_plain = matches!(encode.codec, AudioCodec::Pcm16 | AudioCodec::Pcm24);
    encode.filled |= !rule.says_gaps || is_plain && rule.index_first;
    encode.says_delay = container == Container::Mp3;
    if container == Container::Flv && encode.codec == AudioCodec::Mp3 {
        let distance = |rate: &i32| (rate - encode.sample_rate_hz).abs();
        encode.sample_rate_hz = FLV_RATES.iter().copied().min_by_key(distance).unwrap_or(44_100);
        encode.fit_bitrate();
    }
    match asked {
        Some(asked) if asked != encode.sample_rate_hz => Err(failure::data(
            ErrorReason::Unsupported,
            format!(
                "{} in {} has no sample rate of {asked} Hz",
                encode.codec.as_str_name(),
                container.as_str_name()
            ),
            &format!("leave sample_rate_hz out, or choose {}", encode.sample_rate_hz),
        )),
        _ => Ok(()),
    }
}

fn nearest_rate(codec: AudioCodec, wanted_hz: i32) -> i32 {
    let rates = match codec {
        AudioCodec::Opus => OPUS_RATES,
        AudioCodec::Ac3 | AudioCodec::Eac3 => DOLBY_RATES,
        _ => SAMPLE_RATES,
    };
    if wanted_hz <= 0 {
        return 48_000;
    }
    let distance = |rate: &i32| (rate - wanted_hz).abs();
    rates.iter().copied().min_by_key(distance).unwrap_or(48_000)
}

impl Sound {
    /// For each track of the output, the tracks of the input that become it.
    pub fn outputs(&self) -> Vec<Vec<usize>> {
        match self.mix {
            true => vec![self.tracks.clone()],
            false => self.tracks.iter().map(|track| vec![*track]).collect(),
        }
    }

    /// `None`: the output has no sound, since the input has none and nobody asked for a certain track. Gives besides what is to be said of
    /// tracks that were passed over.
    pub fn resolve(
        settings: &AudioSettings,
        selectors: &[AudioTrackSelector],
        mix: bool,
        facts: &InputFacts,
    ) -> Result<(Option<Self>, Vec<Status>), Failure> {
        let Selected { tracks, left_out } = select(selectors, facts)?;
        let streams = sounds(facts);
        let Some(first) = tracks.first().and_then(|track| streams.get(*track)) else {
            return Ok((None, left_out));
        };
        if settings.codec() == AudioCodec::Copy {
            let copied = Self {
                tracks,
                how: Audio::Copy,
                mix: false,
            };
            return Ok((Some(copied), left_out));
        }
        for stream in tracks.iter().filter_map(|track| streams.get(*track)) {
            unless_undecodable(stream, facts)?;
        }
        let encoded = Self {
            mix: mix && tracks.len() > 1,
            how: Audio::Encode(AudioEncode::resolve(settings, first)),
            tracks,
        };
        Ok((Some(encoded), left_out))
    }

    /// Leaves out tracks that have no sound inside a clip: muxers make broken files of tracks without a packet.
    pub fn leave_silent_out(&mut self, clip: Clip, facts: &InputFacts) -> Option<Status> {
        let streams = sounds(facts);
        let count = self.tracks.len();
        self.tracks
            .retain(|track| streams.get(*track).is_none_or(|stream| reaches(facts, stream, clip)));
        (self.tracks.len() < count).then(silent)
    }
}

/// What is said of a track that has nothing inside a clip.
pub fn silent() -> Status {
    failure::warning(
        ErrorReason::StreamMissing,
        "a track of sound begins behind the clip's end or ends before its beginning, and was left out",
        &[("hint", "choose other offsets to have its sound".to_owned())],
    )
}

/// The codec's name as `MediaStream.codec` says it.
pub fn codec_name(codec: AudioCodec) -> &'static str {
    match codec {
        AudioCodec::Mp3 => "mp3",
        AudioCodec::Mp2 => "mp2",
        AudioCodec::Ac3 => "ac3",
        AudioCodec::Eac3 => "eac3",
        AudioCodec::Opus => "opus",
        AudioCodec::Vorbis => "vorbis",
        AudioCodec::Flac => "flac",
        AudioCodec::Pcm16 => "pcm_s16le",
        AudioCodec::Pcm24 => "pcm_s24le",
        _ => "aac",
    }
}

/// Refuses a copy that a container cannot hold.
pub fn unless_copyable(stream: &MediaStream, codecs: &[&str]) -> Result<(), Failure> {
    if codecs
        .iter()
        .any(|codec| *codec == stream.codec || (codec.ends_with('*') && stream.codec.starts_with(codec.trim_end_matches('*'))))
    {
        return Ok(());
    }
    Err(failure::data(
        ErrorReason::Unsupported,
        format!("the container cannot hold {} as it is", stream.codec),
        "encode the stream instead of copying it, or choose another container",
    ))
}
