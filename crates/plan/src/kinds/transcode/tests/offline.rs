//! Containers and codecs, rate control, pictures, tracks and segments.

use mps_proto::v1::{
    AudioEnhancement, AudioTrackSelector, CropArea, NumberFormat, PadFill, Subtitle, VideoEnhancement, Watermark,
    audio_track_selector::Selector, subtitle,
};

use super::*;

fn encoded(container: Container, codec: VideoCodec) -> TranscodeSettings {
    let bitrate = (codec == VideoCodec::Mpeg2).then_some(4_000_000);
    TranscodeSettings {
        container: Some(container.into()),
        ..video(VideoSettings {
            codec: Some(codec.into()),
            bitrate_bps: bitrate,
            ..Default::default()
        })
    }
}

#[test]
fn containers_take_their_codecs_and_no_others() {
    use VideoCodec::*;
    let all = [H264, H265, Av1, Vp8, Vp9, Mpeg2];
    for (container, fitting) in [
        (Container::Mp4, vec![H264, H265, Av1, Vp9]),
        (Container::Mov, vec![H264, H265]),
        (Container::Mkv, all.to_vec()),
        (Container::Webm, vec![Av1, Vp8, Vp9]),
        (Container::Ts, vec![H264, H265, Mpeg2]),
        (Container::Flv, vec![H264]),
        (Container::Hls, vec![H264]),
    ] {
        for codec in all {
            let fields = plan(node(encoded(container, codec))).1;
            assert_eq!(fields.is_empty(), fitting.contains(&codec), "{container:?} {codec:?} {fields:?}");
        }
    }
    for codec in [H265, Av1] {
        let fmp4 = TranscodeSettings {
            hls: Some(HlsSettings {
                segment_format: Some(SegmentFormat::Fmp4.into()),
                ..Default::default()
            }),
            ..encoded(Container::Hls, codec)
        };
        good(node(fmp4));
    }
}

#[test]
fn sound_has_the_containers_default_and_lossless_no_bit_rate() {
    for (container, codec, bitrate) in [
        (Container::Webm, AudioCodec::Opus, Some(128_000)),
        (Container::Ogg, AudioCodec::Opus, Some(128_000)),
        (Container::Flac, AudioCodec::Flac, None),
        (Container::Wav, AudioCodec::Pcm16, None),
    ] {
        let settings = TranscodeSettings {
            container: Some(container.into()),
            ..audio(AudioSettings::default())
        };
        let settled = good(node(settings)).audio.expect("has audio");
        assert_eq!((settled.codec(), settled.bitrate_bps), (codec, bitrate), "{container:?}");
    }
    let flv = TranscodeSettings {
        container: Some(Container::Flv.into()),
        ..audio(AudioSettings {
            codec: Some(AudioCodec::Mp3.into()),
            ..Default::default()
        })
    };
    assert_eq!(good(node(flv)).audio.and_then(|audio| audio.sample_rate_hz), Some(44_100));
}

#[test]
fn wrong_sound_is_named() {
    let a = AudioSettings::default;
    let of = |codec: AudioCodec| Some(i32::from(codec));
    let enhanced = |loudness_lufs: Option<f64>, true_peak_dbtp: Option<f64>| AudioSettings {
        enhancement: Some(AudioEnhancement {
            denoise: None,
            loudness_lufs,
            true_peak_dbtp,
        }),
        ..a()
    };
    let cases: Vec<(Container, AudioSettings, &str)> = vec![
        (
            Container::Mkv,
            AudioSettings {
                codec: of(AudioCodec::Flac),
                bitrate_bps: Some(128_000),
                ..a()
            },
            "bitrate_bps",
        ),
        (
            Container::Mkv,
            AudioSettings {
                codec: of(AudioCodec::Ac3),
                sample_rate_hz: Some(24_000),
                ..a()
            },
            "sample_rate_hz",
        ),
        (
            Container::Mkv,
            AudioSettings {
                codec: of(AudioCodec::Opus),
                sample_rate_hz: Some(44_100),
                ..a()
            },
            "sample_rate_hz",
        ),
        (
            Container::Mkv,
            AudioSettings {
                codec: of(AudioCodec::Mp2),
                channels: Some(6),
                ..a()
            },
            "channels",
        ),
        (Container::Flv, AudioSettings { channels: Some(6), ..a() }, "channels"),
        (
            Container::Mp4,
            AudioSettings {
                codec: of(AudioCodec::Eac3),
                ..a()
            },
            "codec",
        ),
        (
            Container::Ts,
            AudioSettings {
                codec: of(AudioCodec::Opus),
                ..a()
            },
            "codec",
        ),
        (Container::Mp4, enhanced(Some(-71.0), None), "enhancement.loudness_lufs"),
        (Container::Mp4, enhanced(None, Some(-1.0)), "enhancement.true_peak_dbtp"),
        (Container::Mp4, enhanced(Some(-23.0), Some(0.5)), "enhancement.true_peak_dbtp"),
        (
            Container::Mp4,
            AudioSettings {
                codec: of(AudioCodec::Copy),
                ..enhanced(None, None)
            },
            "enhancement",
        ),
    ];
    for (container, settings, name) in cases {
        let asked = TranscodeSettings {
            container: Some(container.into()),
            ..audio(settings)
        };
        assert_eq!(
            plan(node(asked)).1,
            [format!("n.inline.audio.{name}")],
            "{container:?} {settings:?}"
        );
    }
}

#[test]
fn wrong_rates_and_pictures_are_named() {
    let v = VideoSettings::default;
    let rate = |control: RateControl| VideoSettings {
        rate_control: Some(control.into()),
        ..v()
    };
    let codec = |codec: VideoCodec| VideoSettings {
        codec: Some(codec.into()),
        ..v()
    };
    let h265_10 = || VideoSettings {
        bit_depth: Some(10),
        ..codec(VideoCodec::H265)
    };
    let keep = Some(HdrPolicy::Keep.into());
    let cases: Vec<(VideoSettings, &[&str])> = vec![
        (rate(RateControl::Cbr), &["bitrate_bps"]),
        (rate(RateControl::CappedCrf), &["max_bitrate_bps"]),
        (
            VideoSettings {
                max_bitrate_bps: Some(1_000_000),
                ..v()
            },
            &["max_bitrate_bps"],
        ),
        (
            VideoSettings {
                bitrate_bps: Some(2_000_000),
                max_bitrate_bps: Some(1_000_000),
                ..rate(RateControl::Vbr)
            },
            &["max_bitrate_bps"],
        ),
        (
            VideoSettings {
                bitrate_bps: Some(20_000),
                max_bitrate_bps: Some(20_000),
                ..rate(RateControl::Cbr)
            },
            &["max_bitrate_bps"],
        ),
        (
            VideoSettings {
                crf: Some(63),
                ..codec(VideoCodec::Av1)
            },
            &[],
        ),
        (
            VideoSettings {
                crf: Some(64),
                ..codec(VideoCodec::Vp9)
            },
            &["crf"],
        ),
        (
            VideoSettings {
                rate_control: Some(RateControl::Crf.into()),
                ..codec(VideoCodec::Mpeg2)
            },
            &["rate_control"],
        ),
        (
            VideoSettings {
                bit_depth: Some(12),
                ..v()
            },
            &["bit_depth"],
        ),
        (
            VideoSettings {
                bit_depth: Some(10),
                ..codec(VideoCodec::Vp8)
            },
            &["bit_depth"],
        ),
        (
            VideoSettings {
                profile: Some("high".into()),
                bit_depth: Some(10),
                ..v()
            },
            &["profile"],
        ),
        (
            VideoSettings {
                profile: Some("main".into()),
                ..codec(VideoCodec::Vp9)
            },
            &["profile"],
        ),
        (
            VideoSettings {
                profile: Some("baseline".into()),
                b_frames: Some(2),
                ..v()
            },
            &["b_frames"],
        ),
        (VideoSettings { b_frames: Some(17), ..v() }, &["b_frames"]),
        (
            VideoSettings {
                b_frames: Some(0),
                ..codec(VideoCodec::Av1)
            },
            &["b_frames"],
        ),
        (
            VideoSettings {
                level: Some("4.0".into()),
                width_px: Some(1920),
                height_px: Some(1080),
                ..v()
            },
            &[],
        ),
        (
            VideoSettings {
                level: Some("3.1".into()),
                width_px: Some(1920),
                height_px: Some(1080),
                ..v()
            },
            &["level"],
        ),
        (
            VideoSettings {
                level: Some("4".into()),
                width_px: Some(1920),
                height_px: Some(1080),
                frame_rate_num: Some(60),
                ..v()
            },
            &["level"],
        ),
        (
            VideoSettings {
                level: Some("3".into()),
                bitrate_bps: Some(20_000_000),
                ..rate(RateControl::Vbr)
            },
            &["level"],
        ),
        (
            VideoSettings {
                level: Some("7".into()),
                ..v()
            },
            &["level"],
        ),
        (
            VideoSettings {
                level: Some("4".into()),
                ..codec(VideoCodec::Vp9)
            },
            &["level"],
        ),
        (VideoSettings { hdr: keep, ..h265_10() }, &[]),
        (VideoSettings { hdr: keep, ..v() }, &["hdr"]),
        (
            VideoSettings {
                hdr: keep,
                bit_depth: Some(10),
                ..v()
            },
            &["hdr"],
        ),
        (
            VideoSettings {
                rotation_deg: Some(45),
                ..v()
            },
            &["rotation_deg"],
        ),
        (VideoSettings { flip: Some(9), ..v() }, &["flip"]),
        (
            VideoSettings {
                crop: Some(CropArea {
                    left_px: -1,
                    top_px: 0,
                    width_px: 8,
                    height_px: 16,
                }),
                ..v()
            },
            &["crop.left_px", "crop.width_px"],
        ),
        (
            VideoSettings {
                pad_fill: Some(PadFill::White.into()),
                ..v()
            },
            &["pad_fill"],
        ),
        (
            VideoSettings {
                size_basis: Some(SizeBasis::LongShort.into()),
                width_px: Some(360),
                height_px: Some(640),
                ..v()
            },
            &["width_px"],
        ),
        (
            VideoSettings {
                enhancement: Some(VideoEnhancement {
                    sharpen: Some(0.0),
                    denoise: Some(9),
                    ..Default::default()
                }),
                ..v()
            },
            &["enhancement.denoise", "enhancement.sharpen"],
        ),
    ];
    for (settings, names) in cases {
        let expected: Vec<String> = names.iter().map(|name| format!("n.inline.video.{name}")).collect();
        let shown = format!("{settings:?}");
        let asked = TranscodeSettings {
            container: Some(Container::Mkv.into()),
            ..video(settings)
        };
        assert_eq!(plan(node(asked)).1, expected, "{shown}");
    }
}

#[test]
fn ten_bit_brings_its_own_profile_policy_and_encoder() {
    for (codec, profile, hdr, encoder) in [
        (VideoCodec::H264, Some("high-10"), HdrPolicy::ToneMap, "encode.h264-10"),
        (VideoCodec::H265, Some("main-10"), HdrPolicy::Keep, "encode.h265-10"),
        (VideoCodec::Vp9, None, HdrPolicy::Keep, "encode.vp9-10"),
    ] {
        let mut asked = encoded(Container::Mkv, codec);
        asked.video.as_mut().expect("has video").bit_depth = Some(10);
        let settled = good(node(asked));
        let video = settled.video.as_ref().expect("has video");
        assert_eq!((video.profile.as_deref(), video.hdr()), (profile, hdr));
        let needs = Transcode.requirements(&Settings::Transcode(settled)).expect("is a transcode");
        assert_eq!(needs, [encoder, "mux.mkv"]);
    }
}

#[test]
fn metadata_covers_and_segments_follow_the_container() {
    let ts = good(node(encoded(Container::Ts, VideoCodec::H264)));
    assert_eq!((ts.metadata(), ts.cover_art()), (MetadataPolicy::Keep, MetadataPolicy::Strip));
    for container in [Container::Flv, Container::Mkv] {
        let keep = TranscodeSettings {
            cover_art: Some(MetadataPolicy::Keep.into()),
            ..encoded(container, VideoCodec::H264)
        };
        assert_eq!(plan(node(keep)).1, ["n.inline.cover_art"]);
    }
    let hls = good(node(encoded(Container::Hls, VideoCodec::H264))).hls.expect("has segments");
    assert_eq!(
        (hls.segment_format(), hls.segment_duration),
        (SegmentFormat::Ts, Some(DEFAULT_SEGMENT))
    );
    let wrong = TranscodeSettings {
        hls: Some(HlsSettings::default()),
        ..encoded(Container::Mp4, VideoCodec::H264)
    };
    assert_eq!(plan(node(wrong)).1, ["n.inline.hls"]);
    let long = HlsSettings {
        segment_duration: Some(Duration { seconds: 0, nanos: 1 }),
        ..Default::default()
    };
    let wrong = TranscodeSettings {
        hls: Some(long),
        ..encoded(Container::Hls, VideoCodec::H264)
    };
    assert_eq!(plan(node(wrong)).1, ["n.inline.hls.segment_duration"]);
}

fn both(container: Container) -> TranscodeSettings {
    TranscodeSettings {
        audio: Some(AudioSettings::default()),
        ..encoded(container, VideoCodec::H264)
    }
}

fn track(index: i32) -> AudioTrackSelector {
    AudioTrackSelector {
        selector: Some(Selector::Index(index)),
    }
}

#[test]
fn tracks_marks_and_subtitles_need_what_they_go_to() {
    let subtitle = |mode: subtitle::Mode, language: &str| Subtitle {
        source: Some(subtitle::Source::Url("http://h/a.srt".into())),
        mode: Some(mode.into()),
        language: language.into(),
        ..Default::default()
    };
    let (soft, burnt) = (subtitle(subtitle::Mode::Soft, "en"), subtitle(subtitle::Mode::BurnIn, ""));
    let two = vec![track(0), track(1)];
    let copy = || TranscodeSettings {
        container: Some(Container::Mp4.into()),
        ..video(VideoSettings {
            codec: Some(VideoCodec::Copy.into()),
            ..Default::default()
        })
    };
    let copied_sound = || TranscodeSettings {
        audio: Some(AudioSettings {
            codec: Some(AudioCodec::Copy.into()),
            ..Default::default()
        }),
        ..both(Container::Mp4)
    };
    let mark = Watermark {
        source: Some(mps_proto::v1::watermark::Source::Template("preset-remux".into())),
        ..Default::default()
    };
    let cases: Vec<(TranscodeNode, &[&str])> = vec![
        (
            TranscodeNode {
                audio_tracks: two.clone(),
                ..node(both(Container::Mkv))
            },
            &[],
        ),
        (
            TranscodeNode {
                audio_tracks: two.clone(),
                ..node(both(Container::Flv))
            },
            &["audio_tracks"],
        ),
        (
            TranscodeNode {
                audio_tracks: two.clone(),
                mix_audio_tracks: true,
                ..node(both(Container::Flv))
            },
            &[],
        ),
        (
            TranscodeNode {
                audio_tracks: two.clone(),
                ..node(copy())
            },
            &["audio_tracks"],
        ),
        (
            TranscodeNode {
                mix_audio_tracks: true,
                ..node(both(Container::Mp4))
            },
            &["mix_audio_tracks"],
        ),
        (
            TranscodeNode {
                audio_tracks: two,
                mix_audio_tracks: true,
                ..node(copied_sound())
            },
            &["mix_audio_tracks"],
        ),
        (
            TranscodeNode {
                subtitles: vec![soft.clone()],
                ..node(both(Container::Ts))
            },
            &["subtitles[0].mode"],
        ),
        (
            TranscodeNode {
                subtitles: vec![soft.clone()],
                ..node(encoded(Container::Webm, VideoCodec::Vp9))
            },
            &["subtitles[0].mode"],
        ),
        (
            TranscodeNode {
                subtitles: vec![burnt],
                ..node(copy())
            },
            &["subtitles[0].mode"],
        ),
        (
            TranscodeNode {
                subtitles: vec![soft],
                ..node(copy())
            },
            &[],
        ),
        (
            TranscodeNode {
                segment_path: "a".into(),
                ..node(both(Container::Mp4))
            },
            &["segment_path"],
        ),
        (
            TranscodeNode {
                number_format: Some(NumberFormat::default()),
                ..node(both(Container::Hls))
            },
            &["number_format"],
        ),
        (
            TranscodeNode {
                watermarks: vec![mark],
                ..node(both(Container::Mp4))
            },
            &["watermarks[0].template"],
        ),
    ];
    for (node, names) in cases {
        let expected: Vec<String> = names.iter().map(|name| format!("n.{name}")).collect();
        assert_eq!(plan(node).1, expected);
    }
}
