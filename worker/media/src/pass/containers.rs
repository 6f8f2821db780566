//! Muxers, container by container, and which streams they take as they are: tried one by one with GStreamer 1.22. Which codecs are encoded
//! for a container is the planner's table.

use mps_proto::v1::{Container, SegmentFormat};

/// A container, its muxer, and what that takes.
#[derive(Debug)]
pub struct ContainerRule {
    pub container: Container,
    pub capability: Option<&'static str>,
    /// Muxer; `None`: the encoder's packets are the file.
    pub muxer: Option<&'static str>,
    /// Names of its pads for pictures and sound; `%u` and `%d` are left to it.
    pub video_pad: &'static str,
    pub audio_pad: &'static str,
    /// Codecs that it takes as they are, by the names of `MediaStream.codec`; a star stands for any end.
    pub copied_video: &'static [&'static str],
    pub copied_audio: &'static [&'static str],
    /// Whether it holds more than one track of sound.
    pub many_tracks: bool,
    /// Whether it can say that there is no sound for a while; else silence is written.
    pub says_gaps: bool,
    /// Whether H.264 and H.265 stand in it with start codes.
    pub byte_stream: bool,
    /// Whether its index is moved to the front.
    pub index_first: bool,
    /// Whether its muxer takes names of tracks from tags.
    pub named_by_tags: bool,
}

const MP4_VIDEO: &[&str] = &["h264", "hevc", "mpeg4", "av1", "vp9"];
const MP4_AUDIO: &[&str] = &["aac", "mp3", "ac3", "alac", "opus"];

/// One track of sound and nothing else.
const fn sound_file(
    container: Container,
    capability: Option<&'static str>,
    muxer: Option<&'static str>,
    audio_pad: &'static str,
    copied_audio: &'static [&'static str],
) -> ContainerRule {
    ContainerRule {
        container,
        capability,
        muxer,
        video_pad: "",
        audio_pad,
        copied_video: &[],
        copied_audio,
        many_tracks: false,
        says_gaps: false,
        byte_stream: false,
        index_first: false,
        named_by_tags: false,
    }
}

const MP4: ContainerRule = ContainerRule {
    container: Container::Mp4,
    capability: Some("mux.mp4"),
    muxer: Some("mp4mux"),
    video_pad: "video_%u",
    audio_pad: "audio_%u",
    copied_video: MP4_VIDEO,
    copied_audio: MP4_AUDIO,
    many_tracks: true,
    says_gaps: true,
    byte_stream: false,
    index_first: true,
    named_by_tags: false,
};

const RULES: &[ContainerRule] = &[
    MP4,
    ContainerRule {
        container: Container::M4a,
        ..MP4
    },
    ContainerRule {
        container: Container::Mov,
        capability: Some("mux.mov"),
        muxer: Some("qtmux"),
        copied_video: &["h264", "hevc", "mpeg4", "prores", "mjpeg"],
        copied_audio: &["aac", "mp3", "ac3", "alac", "pcm_s16le", "pcm_s24le", "pcm_s16be", "pcm_s24be"],
        ..MP4
    },
    ContainerRule {
        container: Container::Mkv,
        capability: Some("mux.mkv"),
        muxer: Some("matroskamux"),
        copied_video: &[
            "h264",
            "hevc",
            "mpeg4",
            "av1",
            "vp8",
            "vp9",
            "mpeg1video",
            "mpeg2video",
            "theora",
            "prores",
            "mjpeg",
            "ffv1",
        ],
        copied_audio: &[
            "aac",
            "mp3",
            "mp2",
            "ac3",
            "eac3",
            "opus",
            "vorbis",
            "flac",
            "dts",
            "pcm_s16le",
            "pcm_s24le",
            "pcm_s16be",
            "pcm_s24be",
        ],
        index_first: false,
        named_by_tags: true,
        ..MP4
    },
    ContainerRule {
        container: Container::Webm,
        capability: Some("mux.webm"),
        muxer: Some("webmmux"),
        copied_video: &["vp8", "vp9", "av1"],
        copied_audio: &["opus", "vorbis"],
        index_first: false,
        named_by_tags: true,
        ..MP4
    },
    ContainerRule {
        container: Container::Ts,
        capability: Some("mux.ts"),
        muxer: Some("mpegtsmux"),
        video_pad: "sink_%d",
        audio_pad: "sink_%d",
        copied_video: &["h264", "hevc", "mpeg1video", "mpeg2video", "mpeg4"],
        copied_audio: &["aac", "mp3", "mp2", "ac3", "opus"],
        many_tracks: true,
        says_gaps: true,
        byte_stream: true,
        index_first: false,
        named_by_tags: false,
    },
    ContainerRule {
        container: Container::Flv,
        capability: Some("mux.flv"),
        muxer: Some("flvmux"),
        video_pad: "video",
        audio_pad: "audio",
        copied_video: &["h264"],
        copied_audio: &["aac", "mp3"],
        many_tracks: false,
        says_gaps: true,
        byte_stream: false,
        index_first: false,
        named_by_tags: false,
    },
    sound_file(Container::Mp3, None, Some("id3v2mux"), "sink", &["mp3"]),
    sound_file(Container::Flac, None, None, "sink", &["flac"]),
    sound_file(
        Container::Ogg,
        Some("mux.ogg"),
        Some("oggmux"),
        "audio_%u",
        &["opus", "vorbis", "flac"],
    ),
    sound_file(Container::Wav, Some("mux.wav"), Some("wavenc"), "sink", &["pcm_s16le", "pcm_s24le"]),
];

/// Segments of HLS, which the worker writes itself; Apple's players take H.265 and AV1 in fragmented MP4 alone.
const HLS_TS: ContainerRule = ContainerRule {
    container: Container::Hls,
    capability: None,
    muxer: None,
    video_pad: "",
    audio_pad: "",
    copied_video: &["h264"],
    copied_audio: &["aac", "mp3", "ac3", "eac3"],
    many_tracks: true,
    says_gaps: true,
    byte_stream: false,
    index_first: false,
    named_by_tags: false,
};

const HLS_FMP4: ContainerRule = ContainerRule {
    copied_video: &["h264", "hevc", "av1"],
    ..HLS_TS
};

/// The rule of HLS segments.
pub fn hls(format: SegmentFormat) -> &'static ContainerRule {
    match format {
        SegmentFormat::Fmp4 => &HLS_FMP4,
        _ => &HLS_TS,
    }
}

/// The rule of a container; `None` for those that other nodes write.
pub fn rule(container: Container) -> Option<&'static ContainerRule> {
    let container = if container == Container::Unspecified {
        Container::Mp4
    } else {
        container
    };
    RULES.iter().find(|rule| rule.container == container)
}

/// Muxers by the capability that they bring.
pub fn muxers() -> impl Iterator<Item = (&'static str, &'static str)> {
    RULES.iter().filter_map(|rule| rule.capability.zip(rule.muxer))
}
