//! The reference system's first table of video presets: VBR, key frames every 240 frames, sound of 48 kbit/s.

use mps_proto::v1::{
    AudioCodec, Container, HlsSettings, RateControl, SegmentFormat, SizeBasis, Template, TranscodeSettings, VideoCodec, VideoSettings,
};

use super::{stereo, transcode};

#[derive(Clone, Copy)]
enum Side {
    Width(i32),
    Height(i32),
}

/// Size, kbit/s, frames per second, numbers of the MP4, HLS and FLV preset.
type Row = (Side, i64, i32, [&'static str; 3]);

const H264: &[Row] = &[
    (Side::Width(320), 256, 24, ["10", "210", "10046"]),
    (Side::Width(640), 512, 24, ["20", "220", "10047"]),
    (Side::Width(1280), 1024, 24, ["30", "230", "10048"]),
    (Side::Width(1920), 2500, 24, ["40", "240", "10049"]),
    (Side::Height(1440), 3072, 30, ["70", "270", "370"]),
    (Side::Height(2160), 6144, 30, ["80", "280", "380"]),
];

/// Without FLV, which holds no H.265 here.
const H265: &[Row] = &[
    (Side::Height(240), 250, 15, ["510", "610", ""]),
    (Side::Height(480), 600, 24, ["520", "620", ""]),
    (Side::Height(720), 800, 25, ["530", "630", ""]),
    (Side::Height(1080), 1400, 30, ["540", "640", ""]),
    (Side::Height(1440), 2048, 30, ["570", "670", ""]),
    (Side::Height(2160), 4096, 30, ["580", "680", ""]),
];

const CONTAINERS: [(Container, &str); 3] = [(Container::Mp4, "mp4"), (Container::Hls, "hls"), (Container::Flv, "flv")];

pub(super) fn all() -> Vec<Template> {
    let mut made = Vec::new();
    for (codec, codec_name, table) in [(VideoCodec::H264, "H.264", H264), (VideoCodec::H265, "H.265", H265)] {
        for (column, (container, suffix)) in (0..).zip(CONTAINERS) {
            let rows = table.iter().filter_map(|row| Some((row, row.3.get::<usize>(column)?)));
            for (row, number) in rows.filter(|(_, number)| !number.is_empty()) {
                let (side, kbps, ..) = *row;
                let size = match side {
                    Side::Width(width) => format!("{width}w"),
                    Side::Height(height) => format!("{height}p"),
                };
                let id = format!("v1-{}-{suffix}-{size}", codec_name.replace('.', "").to_lowercase());
                let name = format!("{}, {codec_name} {size} {kbps} kbit/s (first table)", suffix.to_uppercase());
                made.push(transcode(&id, &name, &[number], settings(container, codec, row)));
            }
        }
    }
    made
}

fn settings(container: Container, codec: VideoCodec, (side, kbps, fps, _): &Row) -> TranscodeSettings {
    let is_h265 = codec == VideoCodec::H265;
    let (width, height) = match side {
        Side::Width(width) => (Some(*width), None),
        Side::Height(height) => (None, Some(*height)),
    };
    let video = VideoSettings {
        codec: Some(codec.into()),
        profile: Some(if is_h265 { "main" } else { "high" }.into()),
        rate_control: Some(RateControl::Vbr.into()),
        bitrate_bps: Some(kbps * 1000),
        width_px: width,
        height_px: height,
        size_basis: Some(SizeBasis::LongShort.into()),
        allow_upscale: Some(false),
        frame_rate_num: Some(*fps),
        gop_frames: Some(240),
        ..Default::default()
    };
    // H.265 needs fragmented MP4 in HLS.
    let hls = (container == Container::Hls && is_h265).then(|| HlsSettings {
        segment_format: Some(SegmentFormat::Fmp4.into()),
        ..Default::default()
    });
    let audio = if container == Container::Flv {
        AudioCodec::Mp3
    } else {
        AudioCodec::Aac
    };
    TranscodeSettings {
        container: Some(container.into()),
        video: Some(video),
        audio: Some(stereo(audio, 48)),
        hls,
        ..Default::default()
    }
}
