//! The tables hold together.

use super::*;

#[test]
fn every_container_has_a_rule_of_its_own() {
    for number in 1..=12 {
        let container = Container::try_from(number).expect("containers are numbered 1 to 12");
        for segments in [SegmentFormat::Ts, SegmentFormat::Fmp4] {
            let rule = container_rule(container, segments);
            assert_eq!(rule.container, container);
            assert!(rule.audio.contains(&AudioCodec::Copy), "{container:?}");
            assert!(rule.video.is_empty() || rule.video.contains(&VideoCodec::Copy), "{container:?}");
            assert!(rule.audio.first() != Some(&AudioCodec::Copy), "the default encodes");
        }
    }
}

#[test]
fn every_codec_fits_somewhere() {
    for number in 1..=7 {
        let codec = VideoCodec::try_from(number).expect("codecs are numbered 1 to 7");
        assert!(CONTAINERS.iter().any(|rule| rule.video.contains(&codec)), "{codec:?}");
    }
    for number in 1..=11 {
        let codec = AudioCodec::try_from(number).expect("codecs are numbered 1 to 11");
        assert!(CONTAINERS.iter().any(|rule| rule.audio.contains(&codec)), "{codec:?}");
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
        (AudioCodec::Mp2, Some(48_000), Some(1), 192_000),
        (AudioCodec::Mp2, None, None, 384_000),
        (AudioCodec::Opus, None, Some(1), 256_000),
        (AudioCodec::Vorbis, Some(22_050), Some(1), 86_000),
        (AudioCodec::Vorbis, None, None, 250_000),
        (AudioCodec::Ac3, Some(48_000), Some(6), 512_000),
    ] {
        assert_eq!(audio_bitrates(codec, rate, channels).1, most, "{codec:?} {rate:?} {channels:?}");
    }
}

#[test]
fn levels_grow() {
    for codec in [VideoCodec::H264, VideoCodec::H265] {
        for pair in levels(codec).windows(2) {
            assert!(pair[0].samples <= pair[1].samples && pair[0].samples_per_second <= pair[1].samples_per_second);
        }
    }
}
