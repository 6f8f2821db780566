//! Adaptive streams.

use mps_proto::v1::{AudioCodec, AudioTrackSelector, VideoCodec, audio_track_selector::Selector};
use prost_types::Duration;

use super::*;
use crate::kinds::testing::{good, planned};

fn rendition(video: VideoSettings) -> Rendition {
    Rendition { video: Some(video) }
}

fn high(height: i32) -> VideoSettings {
    VideoSettings {
        height_px: Some(height),
        ..Default::default()
    }
}

fn sound(audio: AudioSettings) -> AudioRendition {
    AudioRendition {
        audio: Some(audio),
        ..Default::default()
    }
}

fn stream(heights: &[i32]) -> AdaptiveStreamSettings {
    AdaptiveStreamSettings {
        renditions: heights.iter().map(|height| rendition(high(*height))).collect(),
        audio: vec![sound(AudioSettings::default())],
        ..Default::default()
    }
}

fn operation(settings: AdaptiveStreamSettings) -> Operation {
    Operation::AdaptiveStream(AdaptiveStreamNode {
        source: Some(adaptive_stream_node::Source::Inline(settings)),
        ..Default::default()
    })
}

fn settled(settings: AdaptiveStreamSettings) -> AdaptiveStreamSettings {
    match good(&operation(settings)).settings.settings {
        Some(Settings::AdaptiveStream(settings)) => settings,
        other => panic!("{other:?}"),
    }
}

#[test]
fn defaults_follow_the_segments() {
    let cmaf = settled(stream(&[720, 360]));
    assert_eq!(cmaf.manifests, [i32::from(ManifestFormat::Hls), ManifestFormat::Dash.into()]);
    assert_eq!(
        (cmaf.i_frame_playlists, cmaf.segment_format(), cmaf.allow_upscale),
        (Some(true), SegmentFormat::Fmp4, Some(false))
    );
    assert_eq!(cmaf.segment_duration, Some(Duration { seconds: 4, nanos: 0 }));
    assert!(cmaf.audio[0].is_default);
    let first = cmaf.renditions[0].video.as_ref().expect("has video");
    assert_eq!(
        (first.codec(), first.gop_frames, first.gop_duration, first.crf),
        (VideoCodec::H264, None, None, Some(23))
    );

    let ts = settled(AdaptiveStreamSettings {
        segment_format: Some(SegmentFormat::Ts.into()),
        ..stream(&[720])
    });
    assert_eq!(
        (ts.manifests.as_slice(), ts.i_frame_playlists),
        ([i32::from(ManifestFormat::Hls)].as_slice(), Some(false))
    );
    let sound_only = settled(stream(&[]));
    assert_eq!(sound_only.i_frame_playlists, Some(false));
}

#[test]
fn wrong_streams_are_named() {
    let v = VideoSettings::default;
    let with = |video: VideoSettings| AdaptiveStreamSettings {
        renditions: vec![rendition(high(720)), rendition(video)],
        ..stream(&[])
    };
    let ts = |settings: AdaptiveStreamSettings| AdaptiveStreamSettings {
        segment_format: Some(SegmentFormat::Ts.into()),
        ..settings
    };
    let h265 = || VideoSettings {
        codec: Some(VideoCodec::H265.into()),
        ..v()
    };
    let audio = |rendition: AudioRendition| AdaptiveStreamSettings {
        audio: vec![rendition],
        ..Default::default()
    };
    let all = Some(AudioTrackSelector {
        selector: Some(Selector::All(true)),
    });
    let opus = AudioSettings {
        codec: Some(AudioCodec::Opus.into()),
        ..Default::default()
    };
    let default = || AudioRendition {
        is_default: true,
        ..Default::default()
    };
    let dash = i32::from(ManifestFormat::Dash);
    let cases: Vec<(AdaptiveStreamSettings, &[&str])> = vec![
        (AdaptiveStreamSettings::default(), &[""]),
        (stream(&[360; 11]), &[".renditions"]),
        (
            with(VideoSettings {
                gop_frames: Some(60),
                ..v()
            }),
            &[".renditions[1].video.gop_frames"],
        ),
        (
            with(VideoSettings {
                frame_rate_num: Some(25),
                ..v()
            }),
            &[".renditions[1].video.frame_rate_num"],
        ),
        (
            with(VideoSettings {
                allow_upscale: Some(true),
                ..v()
            }),
            &[".renditions[1].video.allow_upscale"],
        ),
        (
            with(VideoSettings {
                codec: Some(VideoCodec::Vp9.into()),
                ..v()
            }),
            &[".renditions[1].video.codec"],
        ),
        (
            with(VideoSettings {
                codec: Some(VideoCodec::Copy.into()),
                ..v()
            }),
            &[".renditions[1].video.codec"],
        ),
        (ts(with(h265())), &[".renditions[1].video.codec"]),
        (
            AdaptiveStreamSettings {
                renditions: vec![Rendition { video: None }],
                ..stream(&[])
            },
            &[".renditions[0].video"],
        ),
        (
            ts(AdaptiveStreamSettings {
                manifests: vec![dash],
                ..stream(&[360])
            }),
            &[".manifests[0]"],
        ),
        (
            AdaptiveStreamSettings {
                manifests: vec![dash, dash],
                ..stream(&[360])
            },
            &[".manifests[1]"],
        ),
        (
            AdaptiveStreamSettings {
                manifests: vec![dash],
                i_frame_playlists: Some(true),
                ..stream(&[360])
            },
            &[".i_frame_playlists"],
        ),
        (
            AdaptiveStreamSettings {
                segment_duration: Some(Duration { seconds: 11, nanos: 0 }),
                ..stream(&[360])
            },
            &[".segment_duration"],
        ),
        (audio(sound(opus)), &[".audio[0].audio.codec"]),
        (
            audio(AudioRendition {
                track: all,
                ..Default::default()
            }),
            &[".audio[0].track.all"],
        ),
        (
            audio(AudioRendition {
                language: "!".into(),
                ..Default::default()
            }),
            &[".audio[0].language"],
        ),
        (
            AdaptiveStreamSettings {
                audio: vec![default(), default()],
                ..Default::default()
            },
            &[".audio[1].is_default"],
        ),
    ];
    for (settings, names) in cases {
        let expected: Vec<String> = names.iter().map(|name| format!("n.inline{name}")).collect();
        assert_eq!(planned(&operation(settings.clone())).1, expected, "{settings:?}");
    }
    let rates = [(25, 1), (50, 2)].map(|(num, den)| {
        rendition(VideoSettings {
            frame_rate_num: Some(num),
            frame_rate_den: Some(den),
            ..v()
        })
    });
    settled(AdaptiveStreamSettings {
        renditions: rates.to_vec(),
        ..stream(&[])
    });
}

#[test]
fn requirements_and_cost_sum_up_the_ladder() {
    let settings = Settings::AdaptiveStream(settled(stream(&[1080, 720])));
    let mut needs = AdaptiveStream.requirements(&settings).expect("is a stream");
    needs.dedup();
    assert_eq!(needs, ["encode.h264", "encode.aac", "mux.fmp4"]);
    let cost = AdaptiveStream.cost(&settings, &PlanNode::default()).expect("is a stream");
    assert!((3.2..3.3).contains(&cost), "{cost}");
}
