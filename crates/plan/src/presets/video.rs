//! Video presets: constant quality, the reference system's current table, and streams as they are.
//!
//! A preset `h264-720p` is a box of 16:9 with that height which the picture is fitted into whole, and never enlarged. A portrait
//! picture therefore ends with that height too (1080×1920 becomes 404×720), and a picture wider than 16:9 with that width: no
//! picture has more pixels than the box. In the reference system's presets the height is the short side.

use mps_proto::v1::{
    AudioCodec, AudioSettings, Container, EncoderSpeed, Fit, RateControl, SizeBasis, Template, TranscodeSettings, VideoCodec, VideoSettings,
};

use super::{stereo, transcode};

/// Width and height of the boxes.
const BOXES: &[(i32, i32)] = &[(640, 360), (960, 540), (1280, 720), (1920, 1080), (2560, 1440), (3840, 2160)];

/// Height, kbit/s of video and of sound, numbers of the MP4 and HLS preset.
const CURRENT: &[(i32, i64, i64, &str, &str)] = &[
    (360, 400, 64, "100010", "100210"),
    (540, 1000, 64, "100020", "100220"),
    (720, 1800, 128, "100030", "100230"),
    (1080, 2500, 128, "100040", "100240"),
    (1440, 3000, 160, "100070", "100270"),
    (2160, 6000, 160, "100080", "100280"),
];

/// Height, most kbit/s of video, kbit/s of sound, number of the reference system's quality-driven preset.
const CAPPED: &[(i32, i64, i64, &str)] = &[
    (360, 400, 64, "100810"),
    (540, 1000, 64, "100820"),
    (720, 1800, 128, "100830"),
    (1080, 2500, 128, "100840"),
];
/// What looks good enough to the reference system's eyes ("TESHD") at about half the bits of its plain presets.
const CAPPED_CRF: i32 = 26;

pub(super) fn all() -> Vec<Template> {
    let quality = BOXES.iter().map(|(width, height)| {
        let name = format!("MP4, H.264 {height}p, AAC 128 kbit/s");
        transcode(&format!("h264-{height}p"), &name, &[], h264(*width, *height))
    });
    let mp4 = CURRENT.iter().map(|(height, video, audio, number, _)| {
        let name = format!("MP4, H.264 {height}p {video} kbit/s, AAC {audio} kbit/s");
        transcode(
            &format!("mp4-{height}p"),
            &name,
            &[number],
            current(Container::Mp4, *height, *video, *audio),
        )
    });
    let hls = CURRENT.iter().map(|(height, video, audio, _, number)| {
        let name = format!("HLS, H.264 {height}p {video} kbit/s, AAC {audio} kbit/s");
        transcode(
            &format!("hls-{height}p"),
            &name,
            &[number],
            current(Container::Hls, *height, *video, *audio),
        )
    });
    let capped = CAPPED.iter().map(|(height, most, audio, number)| {
        let name = format!("MP4, H.264 {height}p up to {most} kbit/s, AAC {audio} kbit/s");
        transcode(&format!("capped-{height}p"), &name, &[number], capped(*height, *most, *audio))
    });
    let others = [
        transcode(
            "capped-source",
            "MP4, H.264 in the input's size, AAC 128 kbit/s",
            &["100800"],
            same_size(),
        ),
        transcode("remux", "MP4, streams as they are", &["875", "9"], remux(Container::Mp4)),
        transcode("remux-hls", "HLS, streams as they are", &["876", "6"], remux(Container::Hls)),
    ];
    quality.chain(mp4).chain(hls).chain(capped).chain(others).collect()
}

fn h264(width: i32, height: i32) -> TranscodeSettings {
    let video = VideoSettings {
        codec: Some(VideoCodec::H264.into()),
        rate_control: Some(RateControl::Crf.into()),
        crf: Some(23),
        width_px: Some(width),
        height_px: Some(height),
        fit: Some(Fit::Contain.into()),
        allow_upscale: Some(false),
        gop_frames: Some(250),
        profile: Some("high".into()),
        speed: Some(EncoderSpeed::Fast.into()),
        ..Default::default()
    };
    let audio = AudioSettings {
        codec: Some(AudioCodec::Aac.into()),
        bitrate_bps: Some(128_000),
        ..Default::default()
    };
    with(Container::Mp4, video, audio)
}

fn with(container: Container, video: VideoSettings, audio: AudioSettings) -> TranscodeSettings {
    TranscodeSettings {
        container: Some(container.into()),
        video: Some(video),
        audio: Some(audio),
        ..Default::default()
    }
}

/// H.264 High of 25 frames per second.
fn at_25(height: Option<i32>) -> VideoSettings {
    VideoSettings {
        codec: Some(VideoCodec::H264.into()),
        profile: Some("high".into()),
        height_px: height,
        size_basis: height.map(|_| SizeBasis::LongShort.into()),
        allow_upscale: Some(false),
        frame_rate_num: Some(25),
        ..Default::default()
    }
}

fn current(container: Container, height: i32, video_kbps: i64, audio_kbps: i64) -> TranscodeSettings {
    let video = VideoSettings {
        rate_control: Some(RateControl::Vbr.into()),
        bitrate_bps: Some(video_kbps * 1000),
        ..at_25(Some(height))
    };
    with(container, video, stereo(AudioCodec::Aac, audio_kbps))
}

fn capped(height: i32, most_kbps: i64, audio_kbps: i64) -> TranscodeSettings {
    let video = VideoSettings {
        rate_control: Some(RateControl::CappedCrf.into()),
        crf: Some(CAPPED_CRF),
        max_bitrate_bps: Some(most_kbps * 1000),
        ..at_25(Some(height))
    };
    with(Container::Mp4, video, stereo(AudioCodec::Aac, audio_kbps))
}

fn same_size() -> TranscodeSettings {
    let video = VideoSettings {
        rate_control: Some(RateControl::Crf.into()),
        crf: Some(CAPPED_CRF),
        ..at_25(None)
    };
    with(Container::Mp4, video, stereo(AudioCodec::Aac, 128))
}

fn remux(container: Container) -> TranscodeSettings {
    let video = VideoSettings {
        codec: Some(VideoCodec::Copy.into()),
        ..Default::default()
    };
    let audio = AudioSettings {
        codec: Some(AudioCodec::Copy.into()),
        ..Default::default()
    };
    with(container, video, audio)
}
