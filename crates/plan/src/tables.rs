//! What fits together: containers, codecs, profiles, suffixes and MIME types.

use mps_proto::v1::{AudioCodec, Container, ImageFormat, VideoCodec};

/// What a container holds and how its files are named.
pub(crate) struct ContainerRule {
    pub container: Container,
    pub suffix: &'static str,
    /// MIME type with and without a picture.
    pub video_type: &'static str,
    pub audio_type: &'static str,
    pub video: &'static [VideoCodec],
    pub audio: &'static [AudioCodec],
    pub default_audio: AudioCodec,
    /// Muxer that a worker needs; `None` for elementary streams.
    pub muxer: Option<&'static str>,
}

const CONTAINERS: &[ContainerRule] = &[
    ContainerRule {
        container: Container::Mp4,
        suffix: "mp4",
        video_type: "video/mp4",
        audio_type: "audio/mp4",
        video: &[VideoCodec::H264, VideoCodec::H265, VideoCodec::Copy],
        audio: &[AudioCodec::Aac, AudioCodec::Copy],
        default_audio: AudioCodec::Aac,
        muxer: Some("mux.mp4"),
    },
    ContainerRule {
        container: Container::M4a,
        suffix: "m4a",
        video_type: "audio/mp4",
        audio_type: "audio/mp4",
        video: &[],
        audio: &[AudioCodec::Aac, AudioCodec::Copy],
        default_audio: AudioCodec::Aac,
        muxer: Some("mux.mp4"),
    },
    ContainerRule {
        container: Container::Mp3,
        suffix: "mp3",
        video_type: "audio/mpeg",
        audio_type: "audio/mpeg",
        video: &[],
        audio: &[AudioCodec::Mp3, AudioCodec::Copy],
        default_audio: AudioCodec::Mp3,
        muxer: None,
    },
];

/// The rule of a container; that of MP4 where none is known.
pub(crate) fn container_rule(container: Container) -> &'static ContainerRule {
    const MP4: &ContainerRule = &CONTAINERS[0];
    CONTAINERS.iter().find(|rule| rule.container == container).unwrap_or(MP4)
}

/// Profiles of a codec, the default first; none for a copy.
pub(crate) fn profiles(codec: VideoCodec) -> &'static [&'static str] {
    match codec {
        VideoCodec::H264 => &["high", "main", "baseline"],
        VideoCodec::H265 => &["main"],
        _ => &[],
    }
}

/// Constant rate factor that looks about alike in both codecs.
pub(crate) fn default_crf(codec: VideoCodec) -> i32 {
    if codec == VideoCodec::H265 { 28 } else { 23 }
}

/// Encoder that a worker needs.
pub(crate) fn video_encoder(codec: VideoCodec) -> Option<&'static str> {
    match codec {
        VideoCodec::H264 => Some("encode.h264"),
        VideoCodec::H265 => Some("encode.h265"),
        _ => None,
    }
}

/// Encoder that a worker needs.
pub(crate) fn audio_encoder(codec: AudioCodec) -> Option<&'static str> {
    match codec {
        AudioCodec::Aac => Some("encode.aac"),
        AudioCodec::Mp3 => Some("encode.mp3"),
        _ => None,
    }
}

/// Sample rates that both audio encoders take, in Hz.
pub(crate) const SAMPLE_RATES: &[i32] = &[16_000, 22_050, 24_000, 32_000, 44_100, 48_000];

/// Most bit/s of an audio stream; rate and channels are those of the settings, where set.
pub(crate) fn max_audio_bitrate(codec: AudioCodec, sample_rate: Option<i32>, channels: Option<i32>) -> i64 {
    match codec {
        // MPEG-2 layer III, used up to 24 kHz, ends at 160 kbit/s (ISO/IEC 13818-3).
        AudioCodec::Mp3 if sample_rate.is_some_and(|rate| rate <= 24_000) => 160_000,
        AudioCodec::Mp3 => 320_000,
        // A frame of 1,024 samples holds at most 6,144 bits a channel (ISO/IEC 14496-3): 6 bit a sample.
        _ => sample_rate.map_or(512_000, |rate| {
            (6 * i64::from(rate) * i64::from(channels.unwrap_or(2))).min(512_000)
        }),
    }
}

/// Suffix, MIME type and encoder of a picture format.
pub(crate) fn image_rule(format: ImageFormat) -> (&'static str, &'static str, &'static str) {
    match format {
        ImageFormat::Png => ("png", "image/png", "encode.png"),
        ImageFormat::Webp => ("webp", "image/webp", "encode.webp"),
        ImageFormat::Jpeg | ImageFormat::Unspecified => ("jpg", "image/jpeg", "encode.jpeg"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_container_has_a_rule_of_its_own_that_takes_its_default() {
        for container in [Container::Mp4, Container::M4a, Container::Mp3] {
            let rule = container_rule(container);
            assert_eq!(rule.container, container);
            assert!(rule.audio.contains(&rule.default_audio));
        }
    }

    #[test]
    fn audio_bit_rates_end_where_the_standards_end() {
        for (codec, rate, channels, most) in [
            (AudioCodec::Aac, None, None, 512_000),
            (AudioCodec::Aac, Some(48_000), Some(2), 512_000),
            (AudioCodec::Aac, Some(16_000), Some(1), 96_000),
            (AudioCodec::Aac, Some(44_100), Some(1), 264_600),
            (AudioCodec::Mp3, None, None, 320_000),
            (AudioCodec::Mp3, Some(24_000), None, 160_000),
            (AudioCodec::Mp3, Some(32_000), None, 320_000),
        ] {
            assert_eq!(max_audio_bitrate(codec, rate, channels), most, "{codec:?} {rate:?} {channels:?}");
        }
    }
}
