//! What workers must be able to do: the one table of the names that plans require and workers advertise after a trial.

/// Names and what a worker has that advertises them. Encoders: an encoder that passed its trial; muxers: an element (or code of
/// our own) that writes the container.
pub const CAPABILITIES: &[(&str, &str)] = &[
    (ENCODE_H264, "H.264, 8 bit"),
    (ENCODE_H264_10, "H.264, 10 bit (High 10)"),
    (ENCODE_H265, "H.265, 8 bit"),
    (ENCODE_H265_10, "H.265, 10 bit (Main 10)"),
    (ENCODE_AV1, "AV1, 8 bit"),
    (ENCODE_AV1_10, "AV1, 10 bit"),
    (ENCODE_VP8, "VP8"),
    (ENCODE_VP9, "VP9, 8 bit"),
    (ENCODE_VP9_10, "VP9, 10 bit (profile 2)"),
    (ENCODE_MPEG2, "MPEG-2 video"),
    (ENCODE_AAC, "AAC-LC"),
    (ENCODE_MP3, "MP3"),
    (ENCODE_MP2, "MPEG-1 layer II"),
    (ENCODE_AC3, "AC-3"),
    (ENCODE_EAC3, "E-AC-3"),
    (ENCODE_OPUS, "Opus"),
    (ENCODE_VORBIS, "Vorbis"),
    (ENCODE_FLAC, "FLAC"),
    (ENCODE_JPEG, "JPEG pictures"),
    (ENCODE_PNG, "PNG pictures"),
    (ENCODE_WEBP, "WebP pictures"),
    (ENCODE_GIF, "animated GIF"),
    (ENCODE_ANIMATED_WEBP, "animated WebP"),
    (MUX_MP4, "MP4 and M4A"),
    (MUX_MOV, "QuickTime"),
    (MUX_MKV, "Matroska"),
    (MUX_WEBM, "WebM"),
    (MUX_TS, "MPEG-2 transport stream, also HLS segments"),
    (MUX_FLV, "Flash video"),
    (MUX_OGG, "Ogg"),
    (MUX_WAV, "WAVE"),
    (MUX_FMP4, "fragmented MP4 (CMAF) segments"),
    (OVERLAY_IMAGE, "picture watermarks: PNG, JPEG, animated PNG, GIF"),
    (OVERLAY_TEXT, "text watermarks (Pango)"),
    (OVERLAY_SVG, "SVG watermarks"),
    (SUBTITLE_BURN_IN, "subtitles drawn into the picture: SRT, WebVTT, ASS"),
    (SUBTITLE_SOFT, "subtitles as tracks: SRT, WebVTT"),
    (ENHANCE_VIDEO, "video.enhancement: denoise, sharpen, color, low_light"),
    (DENOISE_AUDIO, "audio.enhancement.denoise (RNNoise)"),
    (LOUDNESS, "audio.enhancement.loudness_lufs (EBU R 128)"),
];

pub(crate) const ENCODE_H264: &str = "encode.h264";
pub(crate) const ENCODE_H264_10: &str = "encode.h264-10";
pub(crate) const ENCODE_H265: &str = "encode.h265";
pub(crate) const ENCODE_H265_10: &str = "encode.h265-10";
pub(crate) const ENCODE_AV1: &str = "encode.av1";
pub(crate) const ENCODE_AV1_10: &str = "encode.av1-10";
pub(crate) const ENCODE_VP8: &str = "encode.vp8";
pub(crate) const ENCODE_VP9: &str = "encode.vp9";
pub(crate) const ENCODE_VP9_10: &str = "encode.vp9-10";
pub(crate) const ENCODE_MPEG2: &str = "encode.mpeg2";
pub(crate) const ENCODE_AAC: &str = "encode.aac";
pub(crate) const ENCODE_MP3: &str = "encode.mp3";
pub(crate) const ENCODE_MP2: &str = "encode.mp2";
pub(crate) const ENCODE_AC3: &str = "encode.ac3";
pub(crate) const ENCODE_EAC3: &str = "encode.eac3";
pub(crate) const ENCODE_OPUS: &str = "encode.opus";
pub(crate) const ENCODE_VORBIS: &str = "encode.vorbis";
pub(crate) const ENCODE_FLAC: &str = "encode.flac";
pub(crate) const ENCODE_JPEG: &str = "encode.jpeg";
pub(crate) const ENCODE_PNG: &str = "encode.png";
pub(crate) const ENCODE_WEBP: &str = "encode.webp";
pub(crate) const ENCODE_GIF: &str = "encode.gif";
pub(crate) const ENCODE_ANIMATED_WEBP: &str = "encode.animated-webp";
pub(crate) const MUX_MP4: &str = "mux.mp4";
pub(crate) const MUX_MOV: &str = "mux.mov";
pub(crate) const MUX_MKV: &str = "mux.mkv";
pub(crate) const MUX_WEBM: &str = "mux.webm";
pub(crate) const MUX_TS: &str = "mux.ts";
pub(crate) const MUX_FLV: &str = "mux.flv";
pub(crate) const MUX_OGG: &str = "mux.ogg";
pub(crate) const MUX_WAV: &str = "mux.wav";
pub(crate) const MUX_FMP4: &str = "mux.fmp4";
pub(crate) const OVERLAY_IMAGE: &str = "overlay.image";
pub(crate) const OVERLAY_TEXT: &str = "overlay.text";
pub(crate) const OVERLAY_SVG: &str = "overlay.svg";
pub(crate) const SUBTITLE_BURN_IN: &str = "subtitle.burn-in";
pub(crate) const SUBTITLE_SOFT: &str = "subtitle.soft";
pub(crate) const ENHANCE_VIDEO: &str = "enhance.video";
pub(crate) const DENOISE_AUDIO: &str = "denoise.audio";
pub(crate) const LOUDNESS: &str = "loudness";

#[cfg(test)]
mod tests {
    use super::CAPABILITIES;

    #[test]
    fn every_name_stands_once_in_the_table() {
        for (index, (name, means)) in CAPABILITIES.iter().enumerate() {
            assert!(!means.is_empty());
            assert!(CAPABILITIES.iter().skip(index + 1).all(|(other, _)| other != name), "{name}");
        }
    }
}
