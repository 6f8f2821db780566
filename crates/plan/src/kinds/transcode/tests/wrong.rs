//! Settings out of range.

use super::*;

#[test]
fn wrong_video_settings_are_named() {
    let v = VideoSettings::default;
    let vbr = Some(RateControl::Vbr.into());
    let copy = Some(VideoCodec::Copy.into());
    let second = Some(Duration { seconds: 1, nanos: 0 });
    let cases: Vec<(VideoSettings, &[&str])> = vec![
        (VideoSettings { codec: Some(9), ..v() }, &["codec"]),
        (
            VideoSettings {
                rate_control: Some(9),
                ..v()
            },
            &["rate_control"],
        ),
        (VideoSettings { crf: Some(52), ..v() }, &["crf"]),
        (VideoSettings { crf: Some(-1), ..v() }, &["crf"]),
        (
            VideoSettings {
                bitrate_bps: Some(1_000_000),
                ..v()
            },
            &["bitrate_bps"],
        ),
        (VideoSettings { rate_control: vbr, ..v() }, &["bitrate_bps"]),
        (
            VideoSettings {
                rate_control: vbr,
                bitrate_bps: Some(9_999),
                ..v()
            },
            &["bitrate_bps"],
        ),
        (
            VideoSettings {
                rate_control: vbr,
                bitrate_bps: Some(100_000_001),
                ..v()
            },
            &["bitrate_bps"],
        ),
        (
            VideoSettings {
                rate_control: vbr,
                bitrate_bps: Some(10_000),
                crf: Some(20),
                ..v()
            },
            &["crf"],
        ),
        (VideoSettings { width_px: Some(14), ..v() }, &["width_px"]),
        (
            VideoSettings {
                width_px: Some(8194),
                ..v()
            },
            &["width_px"],
        ),
        (
            VideoSettings {
                height_px: Some(719),
                ..v()
            },
            &["height_px"],
        ),
        (
            VideoSettings {
                fit: Some(Fit::Pad.into()),
                width_px: Some(640),
                ..v()
            },
            &["fit"],
        ),
        (VideoSettings { fit: Some(77), ..v() }, &["fit"]),
        (
            VideoSettings {
                frame_rate_num: Some(0),
                ..v()
            },
            &["frame_rate_num"],
        ),
        (
            VideoSettings {
                frame_rate_num: Some(241),
                ..v()
            },
            &["frame_rate_num"],
        ),
        (
            VideoSettings {
                frame_rate_den: Some(1),
                ..v()
            },
            &["frame_rate_den"],
        ),
        (
            VideoSettings {
                frame_rate_num: Some(30),
                frame_rate_den: Some(0),
                ..v()
            },
            &["frame_rate_den"],
        ),
        (
            VideoSettings {
                gop_frames: Some(0),
                ..v()
            },
            &["gop_frames"],
        ),
        (
            VideoSettings {
                gop_frames: Some(1001),
                ..v()
            },
            &["gop_frames"],
        ),
        (
            VideoSettings {
                gop_duration: second,
                ..v()
            },
            &["gop_duration"],
        ),
        (
            VideoSettings {
                gop_duration: second,
                frame_rate_num: Some(25),
                gop_frames: Some(25),
                ..v()
            },
            &["gop_frames"],
        ),
        (
            VideoSettings {
                gop_duration: Some(Duration::default()),
                frame_rate_num: Some(25),
                ..v()
            },
            &["gop_duration"],
        ),
        (
            VideoSettings {
                gop_duration: Some(Duration { seconds: 60, nanos: 0 }),
                frame_rate_num: Some(25),
                ..v()
            },
            &["gop_duration"],
        ),
        (
            VideoSettings {
                profile: Some("high10".into()),
                ..v()
            },
            &["profile"],
        ),
        (
            VideoSettings {
                codec: Some(VideoCodec::H265.into()),
                profile: Some("high".into()),
                ..v()
            },
            &["profile"],
        ),
        (VideoSettings { speed: Some(-3), ..v() }, &["speed"]),
        (
            VideoSettings {
                codec: copy,
                width_px: Some(640),
                crf: Some(20),
                ..v()
            },
            &["crf", "width_px"],
        ),
        (
            VideoSettings {
                codec: copy,
                allow_upscale: Some(false),
                ..v()
            },
            &["allow_upscale"],
        ),
    ];
    for (settings, names) in cases {
        let shown = format!("{settings:?}");
        let expected: Vec<String> = names.iter().map(|name| format!("n.inline.video.{name}")).collect();
        assert_eq!(plan(node(video(settings))).1, expected, "{shown}");
    }
}

#[test]
fn wrong_audio_settings_are_named() {
    let a = AudioSettings::default;
    let mp3 = Some(AudioCodec::Mp3.into());
    let copy = Some(AudioCodec::Copy.into());
    let cases: Vec<(Container, AudioSettings, &[&str])> = vec![
        (Container::M4a, AudioSettings { codec: Some(42), ..a() }, &["codec"]),
        (Container::M4a, AudioSettings { codec: mp3, ..a() }, &["codec"]),
        (
            Container::Mp3,
            AudioSettings {
                codec: Some(AudioCodec::Aac.into()),
                ..a()
            },
            &["codec"],
        ),
        (
            Container::M4a,
            AudioSettings {
                bitrate_bps: Some(15_999),
                ..a()
            },
            &["bitrate_bps"],
        ),
        (
            Container::M4a,
            AudioSettings {
                bitrate_bps: Some(512_001),
                ..a()
            },
            &["bitrate_bps"],
        ),
        (
            Container::Mp3,
            AudioSettings {
                bitrate_bps: Some(320_001),
                ..a()
            },
            &["bitrate_bps"],
        ),
        (
            Container::Mp3,
            AudioSettings {
                bitrate_bps: Some(192_000),
                sample_rate_hz: Some(22_050),
                ..a()
            },
            &["bitrate_bps"],
        ),
        (
            Container::M4a,
            AudioSettings {
                bitrate_bps: Some(128_000),
                sample_rate_hz: Some(16_000),
                channels: Some(1),
                ..a()
            },
            &["bitrate_bps"],
        ),
        (
            Container::M4a,
            AudioSettings {
                sample_rate_hz: Some(96_000),
                ..a()
            },
            &["sample_rate_hz"],
        ),
        (Container::M4a, AudioSettings { channels: Some(0), ..a() }, &["channels"]),
        (Container::M4a, AudioSettings { channels: Some(5), ..a() }, &["channels"]),
        (Container::Mp3, AudioSettings { channels: Some(6), ..a() }, &["channels"]),
        (
            Container::M4a,
            AudioSettings {
                codec: copy,
                bitrate_bps: Some(1),
                sample_rate_hz: Some(1),
                channels: Some(1),
                ..Default::default()
            },
            &["bitrate_bps", "sample_rate_hz", "channels"],
        ),
    ];
    for (container, settings, names) in cases {
        let shown = format!("{container:?} {settings:?}");
        let expected: Vec<String> = names.iter().map(|name| format!("n.inline.audio.{name}")).collect();
        let settings = TranscodeSettings {
            container: Some(container.into()),
            ..audio(settings)
        };
        assert_eq!(plan(node(settings)).1, expected, "{shown}");
    }
}
