//! What fits together: containers and codecs, suffixes and MIME types.

mod codecs;
mod levels;
mod pictures;

use mps_proto::v1::{AudioCodec, Container, SegmentFormat, VideoCodec};

pub use codecs::audio_bitrates;
pub(crate) use codecs::*;
pub(crate) use levels::{Level, levels};
pub(crate) use pictures::*;

use crate::capabilities::{MUX_FLV, MUX_FMP4, MUX_MKV, MUX_MOV, MUX_MP4, MUX_OGG, MUX_TS, MUX_WAV, MUX_WEBM};

/// What a container holds and how its files are named. Codecs are those that the muxers of GStreamer 1.22 take.
#[derive(Debug)]
pub(crate) struct ContainerRule {
    pub container: Container,
    pub suffix: &'static str,
    /// MIME type with and without a picture.
    pub video_type: &'static str,
    pub audio_type: &'static str,
    /// The default first; empty for what holds audio only.
    pub video: &'static [VideoCodec],
    /// The default first.
    pub audio: &'static [AudioCodec],
    /// Muxer that a worker needs; `None` for elementary streams.
    pub muxer: Option<&'static str>,
    pub holds: Holds,
}

/// What a container holds besides one video and one audio stream.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Holds {
    pub many_audio_tracks: bool,
    pub soft_subtitles: bool,
    pub cover_art: bool,
}

const ONE_TRACK: Holds = Holds {
    many_audio_tracks: false,
    soft_subtitles: false,
    cover_art: false,
};
const EVERYTHING: Holds = Holds {
    many_audio_tracks: true,
    soft_subtitles: true,
    cover_art: true,
};

const CONTAINERS: &[ContainerRule] = &[
    ContainerRule {
        container: Container::Mp4,
        suffix: "mp4",
        video_type: "video/mp4",
        audio_type: "audio/mp4",
        video: &[
            VideoCodec::H264,
            VideoCodec::H265,
            VideoCodec::Av1,
            VideoCodec::Vp9,
            VideoCodec::Copy,
        ],
        audio: &[
            AudioCodec::Aac,
            AudioCodec::Mp3,
            AudioCodec::Mp2,
            AudioCodec::Ac3,
            AudioCodec::Opus,
            AudioCodec::Copy,
        ],
        muxer: Some(MUX_MP4),
        holds: EVERYTHING,
    },
    ContainerRule {
        container: Container::Mov,
        suffix: "mov",
        video_type: "video/quicktime",
        audio_type: "video/quicktime",
        video: &[VideoCodec::H264, VideoCodec::H265, VideoCodec::Copy],
        audio: &[
            AudioCodec::Aac,
            AudioCodec::Mp3,
            AudioCodec::Ac3,
            AudioCodec::Pcm16,
            AudioCodec::Pcm24,
            AudioCodec::Copy,
        ],
        muxer: Some(MUX_MOV),
        holds: EVERYTHING,
    },
    ContainerRule {
        container: Container::Mkv,
        suffix: "mkv",
        video_type: "video/x-matroska",
        audio_type: "audio/x-matroska",
        video: &[
            VideoCodec::H264,
            VideoCodec::H265,
            VideoCodec::Av1,
            VideoCodec::Vp8,
            VideoCodec::Vp9,
            VideoCodec::Mpeg2,
            VideoCodec::Copy,
        ],
        audio: &[
            AudioCodec::Aac,
            AudioCodec::Mp3,
            AudioCodec::Mp2,
            AudioCodec::Ac3,
            AudioCodec::Eac3,
            AudioCodec::Opus,
            AudioCodec::Vorbis,
            AudioCodec::Flac,
            AudioCodec::Pcm16,
            AudioCodec::Pcm24,
            AudioCodec::Copy,
        ],
        muxer: Some(MUX_MKV),
        // Its muxer writes no attachments.
        holds: Holds {
            cover_art: false,
            ..EVERYTHING
        },
    },
    ContainerRule {
        container: Container::Webm,
        suffix: "webm",
        video_type: "video/webm",
        audio_type: "audio/webm",
        video: &[VideoCodec::Vp9, VideoCodec::Vp8, VideoCodec::Av1, VideoCodec::Copy],
        audio: &[AudioCodec::Opus, AudioCodec::Vorbis, AudioCodec::Copy],
        muxer: Some(MUX_WEBM),
        // WebM's text is WebVTT in a form of its own, which its muxer does not write.
        holds: Holds {
            many_audio_tracks: true,
            ..ONE_TRACK
        },
    },
    ContainerRule {
        container: Container::Ts,
        suffix: "ts",
        video_type: "video/mp2t",
        audio_type: "video/mp2t",
        video: &[VideoCodec::H264, VideoCodec::H265, VideoCodec::Mpeg2, VideoCodec::Copy],
        audio: &[AudioCodec::Aac, AudioCodec::Mp3, AudioCodec::Mp2, AudioCodec::Ac3, AudioCodec::Copy],
        muxer: Some(MUX_TS),
        holds: Holds {
            many_audio_tracks: true,
            ..ONE_TRACK
        },
    },
    ContainerRule {
        container: Container::Flv,
        suffix: "flv",
        video_type: "video/x-flv",
        audio_type: "video/x-flv",
        video: &[VideoCodec::H264, VideoCodec::Copy],
        audio: &[AudioCodec::Aac, AudioCodec::Mp3, AudioCodec::Copy],
        muxer: Some(MUX_FLV),
        holds: ONE_TRACK,
    },
    ContainerRule {
        container: Container::M4a,
        suffix: "m4a",
        video_type: "audio/mp4",
        audio_type: "audio/mp4",
        video: &[],
        audio: &[AudioCodec::Aac, AudioCodec::Ac3, AudioCodec::Copy],
        muxer: Some(MUX_MP4),
        holds: Holds {
            cover_art: true,
            ..ONE_TRACK
        },
    },
    ContainerRule {
        container: Container::Mp3,
        suffix: "mp3",
        video_type: "audio/mpeg",
        audio_type: "audio/mpeg",
        video: &[],
        audio: &[AudioCodec::Mp3, AudioCodec::Copy],
        muxer: None,
        holds: Holds {
            cover_art: true,
            ..ONE_TRACK
        },
    },
    ContainerRule {
        container: Container::Flac,
        suffix: "flac",
        video_type: "audio/flac",
        audio_type: "audio/flac",
        video: &[],
        audio: &[AudioCodec::Flac, AudioCodec::Copy],
        muxer: None,
        holds: Holds {
            cover_art: true,
            ..ONE_TRACK
        },
    },
    ContainerRule {
        container: Container::Ogg,
        suffix: "ogg",
        video_type: "audio/ogg",
        audio_type: "audio/ogg",
        video: &[],
        audio: &[AudioCodec::Opus, AudioCodec::Vorbis, AudioCodec::Flac, AudioCodec::Copy],
        muxer: Some(MUX_OGG),
        // In the headers of its codecs.
        holds: Holds {
            cover_art: true,
            ..ONE_TRACK
        },
    },
    ContainerRule {
        container: Container::Wav,
        suffix: "wav",
        video_type: "audio/wav",
        audio_type: "audio/wav",
        video: &[],
        audio: &[AudioCodec::Pcm16, AudioCodec::Pcm24, AudioCodec::Copy],
        muxer: Some(MUX_WAV),
        holds: ONE_TRACK,
    },
    HLS_TS,
];

const HLS_TS: ContainerRule = ContainerRule {
    container: Container::Hls,
    suffix: "m3u8",
    video_type: HLS_TYPE,
    audio_type: HLS_TYPE,
    video: &[VideoCodec::H264, VideoCodec::Copy],
    audio: &[AudioCodec::Aac, AudioCodec::Mp3, AudioCodec::Ac3, AudioCodec::Copy],
    muxer: Some(MUX_TS),
    holds: Holds {
        cover_art: false,
        ..EVERYTHING
    },
};

/// HLS takes H.265 and AV1 in fragmented MP4 alone (RFC 8216 bis, §3.1).
const HLS_FMP4: ContainerRule = ContainerRule {
    video: &[VideoCodec::H264, VideoCodec::H265, VideoCodec::Av1, VideoCodec::Copy],
    audio: &[AudioCodec::Aac, AudioCodec::Ac3, AudioCodec::Eac3, AudioCodec::Copy],
    muxer: Some(MUX_FMP4),
    ..HLS_TS
};

pub(crate) const HLS_TYPE: &str = "application/vnd.apple.mpegurl";
pub(crate) const DASH_TYPE: &str = "application/dash+xml";

/// The rule of a container; that of MP4 where none is known. `segments` counts for HLS only.
pub(crate) fn container_rule(container: Container, segments: SegmentFormat) -> &'static ContainerRule {
    const MP4: &ContainerRule = &CONTAINERS[0];
    if container == Container::Hls && segments == SegmentFormat::Fmp4 {
        return &HLS_FMP4;
    }
    CONTAINERS.iter().find(|rule| rule.container == container).unwrap_or(MP4)
}

/// Suffix and MIME type of segments.
pub(crate) fn segment_type(format: SegmentFormat) -> (&'static str, &'static str) {
    match format {
        SegmentFormat::Ts => ("ts", "video/mp2t"),
        SegmentFormat::Fmp4 | SegmentFormat::Unspecified => ("m4s", "video/iso.segment"),
    }
}

pub(crate) fn segment_muxer(format: SegmentFormat) -> &'static str {
    if format == SegmentFormat::Ts { MUX_TS } else { MUX_FMP4 }
}

#[cfg(test)]
mod tests;
