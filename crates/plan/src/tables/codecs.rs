//! What codecs can do: profiles, bit depths, rates.

use mps_proto::v1::{AudioCodec, VideoCodec};

use crate::capabilities::*;

/// What an encoder of a video codec is asked for.
#[derive(Debug)]
pub(crate) struct VideoRule {
    /// Profiles of 8 and of 10 bit, the default first; empty where there is nothing to choose.
    pub profiles: &'static [&'static str],
    pub profiles_10: &'static [&'static str],
    /// Encoder for 8 and for 10 bit.
    pub encoder: &'static str,
    pub encoder_10: Option<&'static str>,
    /// Largest and default constant rate factor; `None` where there is no constant quality.
    pub crf: Option<(i32, i32)>,
    /// Whether HDR can be said in the stream.
    pub holds_hdr: bool,
    pub has_b_frames: bool,
    /// Cost against H.264.
    pub cost: f64,
}

const H264: VideoRule = VideoRule {
    profiles: &["high", "main", "baseline"],
    profiles_10: &["high-10"],
    encoder: ENCODE_H264,
    encoder_10: Some(ENCODE_H264_10),
    crf: Some((51, 23)),
    holds_hdr: false,
    has_b_frames: true,
    cost: 1.0,
};
const H265: VideoRule = VideoRule {
    profiles: &["main"],
    profiles_10: &["main-10"],
    encoder: ENCODE_H265,
    encoder_10: Some(ENCODE_H265_10),
    crf: Some((51, 28)),
    holds_hdr: true,
    has_b_frames: true,
    cost: 3.0,
};
const AV1: VideoRule = VideoRule {
    profiles: &[],
    profiles_10: &[],
    encoder: ENCODE_AV1,
    encoder_10: Some(ENCODE_AV1_10),
    crf: Some((63, 32)),
    holds_hdr: true,
    has_b_frames: false,
    cost: 6.0,
};
const VP9: VideoRule = VideoRule {
    encoder: ENCODE_VP9,
    encoder_10: Some(ENCODE_VP9_10),
    crf: Some((63, 33)),
    cost: 4.0,
    ..AV1
};
const VP8: VideoRule = VideoRule {
    encoder: ENCODE_VP8,
    encoder_10: None,
    crf: Some((63, 16)),
    holds_hdr: false,
    cost: 2.0,
    ..AV1
};
const MPEG2: VideoRule = VideoRule {
    encoder: ENCODE_MPEG2,
    encoder_10: None,
    crf: None,
    holds_hdr: false,
    cost: 0.7,
    ..AV1
};

/// The rule of a codec that encodes; `None` for a copy.
pub(crate) fn video_rule(codec: VideoCodec) -> Option<&'static VideoRule> {
    match codec {
        VideoCodec::H264 => Some(&H264),
        VideoCodec::H265 => Some(&H265),
        VideoCodec::Av1 => Some(&AV1),
        VideoCodec::Vp9 => Some(&VP9),
        VideoCodec::Vp8 => Some(&VP8),
        VideoCodec::Mpeg2 => Some(&MPEG2),
        VideoCodec::Copy | VideoCodec::Unspecified => None,
    }
}

/// Encoder that a worker needs; none for copies and for PCM.
pub(crate) fn audio_encoder(codec: AudioCodec) -> Option<&'static str> {
    match codec {
        AudioCodec::Aac => Some(ENCODE_AAC),
        AudioCodec::Mp3 => Some(ENCODE_MP3),
        AudioCodec::Mp2 => Some(ENCODE_MP2),
        AudioCodec::Ac3 => Some(ENCODE_AC3),
        AudioCodec::Eac3 => Some(ENCODE_EAC3),
        AudioCodec::Opus => Some(ENCODE_OPUS),
        AudioCodec::Vorbis => Some(ENCODE_VORBIS),
        AudioCodec::Flac => Some(ENCODE_FLAC),
        AudioCodec::Pcm16 | AudioCodec::Pcm24 | AudioCodec::Copy | AudioCodec::Unspecified => None,
    }
}

pub(crate) fn is_lossless(codec: AudioCodec) -> bool {
    matches!(codec, AudioCodec::Flac | AudioCodec::Pcm16 | AudioCodec::Pcm24)
}

/// Sample rates of a codec in Hz.
pub(crate) fn sample_rates(codec: AudioCodec) -> &'static [i32] {
    match codec {
        // ETSI TS 102 366; lower ones are for E-AC-3 alone, and decoders often lack them.
        AudioCodec::Ac3 | AudioCodec::Eac3 => &[32_000, 44_100, 48_000],
        // RFC 6716, §2.1.3.
        AudioCodec::Opus => &[16_000, 24_000, 48_000],
        _ => &[16_000, 22_050, 24_000, 32_000, 44_100, 48_000],
    }
}

/// Channel counts of a codec.
pub(crate) fn channel_counts(codec: AudioCodec) -> &'static [i32] {
    match codec {
        AudioCodec::Mp3 | AudioCodec::Mp2 => &[1, 2],
        _ => &[1, 2, 6],
    }
}

/// Least and most bit/s of an audio stream. Where rate or channels are not set, they follow the input: then every figure counts that some
/// input allows.
pub fn audio_bitrates(codec: AudioCodec, sample_rate_hz: Option<i32>, channels: Option<i32>) -> (i64, i64) {
    let rates = sample_rate_hz.map_or_else(|| sample_rates(codec).to_vec(), |rate| vec![rate]);
    let counts = channels.map_or_else(|| vec![1, 2], |count| vec![count]);
    let all = rates
        .iter()
        .flat_map(|rate| counts.iter().map(|count| bitrates_of(codec, *rate, i64::from(*count))));
    let widest = |(least, most): (i64, i64), (other_least, other_most): (i64, i64)| (least.min(other_least), most.max(other_most));
    all.reduce(widest).unwrap_or((LEAST, MOST))
}

const LEAST: i64 = 16_000;
const MOST: i64 = 512_000;

fn bitrates_of(codec: AudioCodec, rate: i32, channels: i64) -> (i64, i64) {
    let is_low = rate <= 24_000;
    match codec {
        // MPEG-2 layers II and III, used up to 24 kHz, end at 160 kbit/s (ISO/IEC 13818-3).
        AudioCodec::Mp2 if is_low => (32_000, 160_000),
        AudioCodec::Mp3 if is_low => (LEAST, 160_000),
        // Layer II holds at most 192 kbit/s in one channel (ISO/IEC 11172-3, §2.4.2.3).
        AudioCodec::Mp2 => (32_000, 192_000 * channels),
        AudioCodec::Mp3 => (LEAST, 320_000),
        // What describes six channels alone fills a frame of 32 kbit/s.
        AudioCodec::Ac3 | AudioCodec::Eac3 if channels > 2 => (96_000, MOST),
        AudioCodec::Ac3 | AudioCodec::Eac3 => (32_000, MOST),
        // libopus takes at most 256 kbit/s a channel.
        AudioCodec::Opus => (LEAST, (256_000 * channels).min(510_000)),
        AudioCodec::Vorbis => vorbis_bitrates(rate, channels),
        // A frame of 1,024 samples holds at most 6,144 bits a channel (ISO/IEC 14496-3): 6 bit a sample.
        AudioCodec::Aac => (LEAST, (6 * i64::from(rate) * channels).min(MOST)),
        _ => (LEAST, MOST),
    }
}

/// The tables of libvorbis are for a range of rates, for stereo, for 5.1 and for single channels; its encoder element takes no more than
/// 250 kbit/s in all.
fn vorbis_bitrates(rate: i32, channels: i64) -> (i64, i64) {
    let (least, most) = match (rate, channels) {
        (..=18_999, 2) => (12_000, 86_000),
        (..=25_999, 2) => (15_000, 86_000),
        (..=25_999, _) => (16_000, 86_000),
        (..=39_999, 2) => (18_000, 190_000),
        (..=39_999, _) => (30_000, 190_000),
        (_, 1) => (32_000, 240_000),
        (_, 2) => (22_500, 250_000),
        _ => (14_000, 240_000),
    };
    ((least * channels).max(LEAST), (most * channels).min(250_000))
}
