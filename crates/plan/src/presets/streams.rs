//! Presets of adaptive streams.

use mps_proto::v1::{
    AdaptiveStreamSettings, AudioCodec, AudioRendition, AudioSettings, ManifestFormat, RateControl, Rendition, SegmentFormat, SizeBasis,
    Template, VideoCodec, VideoSettings, node_settings::Settings,
};

use super::{preset, stereo};

/// Height and most kbit/s, constant quality up to that.
const LADDER: &[(i32, i64)] = &[(1080, 5000), (720, 3000), (540, 1800), (360, 800)];
/// Height and kbit/s of the reference system's stream.
const CLASSIC: &[(i32, i64)] = &[(240, 256), (480, 512), (720, 512), (1080, 1024), (1440, 3072), (2160, 6144)];

pub(super) fn all() -> Vec<Template> {
    let ladder = "HLS and DASH, H.264 1080p to 360p of one quality, AAC 128 kbit/s";
    let classic = "HLS, H.264 240p to 2160p, AAC 48 kbit/s";
    vec![
        preset("adaptive", ladder, "adaptive_stream", &[], Settings::AdaptiveStream(quality())),
        preset(
            "adaptive-hls",
            classic,
            "adaptive_stream",
            &["10"],
            Settings::AdaptiveStream(reference()),
        ),
    ]
}

fn quality() -> AdaptiveStreamSettings {
    let renditions = LADDER.iter().map(|(height, most)| VideoSettings {
        rate_control: Some(RateControl::CappedCrf.into()),
        crf: Some(23),
        max_bitrate_bps: Some(most * 1000),
        ..h264(*height)
    });
    let audio = AudioSettings {
        codec: Some(AudioCodec::Aac.into()),
        bitrate_bps: Some(128_000),
        ..Default::default()
    };
    AdaptiveStreamSettings {
        manifests: vec![ManifestFormat::Hls.into(), ManifestFormat::Dash.into()],
        segment_format: Some(SegmentFormat::Fmp4.into()),
        renditions: each(renditions),
        audio: one(audio),
        allow_upscale: Some(false),
        ..Default::default()
    }
}

fn reference() -> AdaptiveStreamSettings {
    let renditions = CLASSIC.iter().map(|(height, kbps)| VideoSettings {
        rate_control: Some(RateControl::Vbr.into()),
        bitrate_bps: Some(kbps * 1000),
        frame_rate_num: Some(24),
        ..h264(*height)
    });
    AdaptiveStreamSettings {
        manifests: vec![ManifestFormat::Hls.into()],
        segment_format: Some(SegmentFormat::Ts.into()),
        renditions: each(renditions),
        audio: one(stereo(AudioCodec::Aac, 48)),
        allow_upscale: Some(false),
        ..Default::default()
    }
}

fn h264(height: i32) -> VideoSettings {
    VideoSettings {
        codec: Some(VideoCodec::H264.into()),
        height_px: Some(height),
        size_basis: Some(SizeBasis::LongShort.into()),
        ..Default::default()
    }
}

fn each(videos: impl Iterator<Item = VideoSettings>) -> Vec<Rendition> {
    videos.map(|video| Rendition { video: Some(video) }).collect()
}

fn one(audio: AudioSettings) -> Vec<AudioRendition> {
    vec![AudioRendition {
        audio: Some(audio),
        ..Default::default()
    }]
}
