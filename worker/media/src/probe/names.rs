//! Names of codecs, as ffprobe says them, from GStreamer's caps.

use gst::StructureRef;

/// Caps names that have one codec each.
const PLAIN: &[(&str, &str)] = &[
    ("video/x-h264", "h264"),
    ("video/x-h265", "hevc"),
    ("video/x-h263", "h263"),
    ("video/x-vp8", "vp8"),
    ("video/x-vp9", "vp9"),
    ("video/x-av1", "av1"),
    ("video/x-theora", "theora"),
    ("video/x-prores", "prores"),
    ("video/x-dnxhd", "dnxhd"),
    ("video/x-flash-video", "flv1"),
    ("video/x-ffv", "ffv1"),
    ("video/x-dv", "dvvideo"),
    ("video/x-raw", "rawvideo"),
    ("video/x-dirac", "dirac"),
    ("video/x-cinepak", "cinepak"),
    ("image/jpeg", "mjpeg"),
    ("image/png", "png"),
    ("image/webp", "webp"),
    ("image/gif", "gif"),
    ("image/gst-libav-gif", "gif"),
    ("image/bmp", "bmp"),
    ("image/tiff", "tiff"),
    ("image/x-jpc", "jpeg2000"),
    ("audio/x-ac3", "ac3"),
    ("audio/x-eac3", "eac3"),
    ("audio/x-dts", "dts"),
    ("audio/x-opus", "opus"),
    ("audio/x-vorbis", "vorbis"),
    ("audio/x-flac", "flac"),
    ("audio/x-alac", "alac"),
    ("audio/x-speex", "speex"),
    ("audio/x-mulaw", "pcm_mulaw"),
    ("audio/x-alaw", "pcm_alaw"),
    ("audio/AMR", "amr_nb"),
    ("audio/AMR-WB", "amr_wb"),
    ("audio/x-true-hd", "truehd"),
    ("audio/x-wavpack", "wavpack"),
    ("text/x-raw", "text"),
    ("application/x-ass", "ass"),
    ("application/x-ssa", "ssa"),
    ("application/x-subtitle-vtt", "webvtt"),
    ("subpicture/x-dvd", "dvd_subtitle"),
    ("subpicture/x-dvb", "dvb_subtitle"),
    ("subpicture/x-pgs", "hdmv_pgs_subtitle"),
    ("closedcaption/x-cea-608", "eia_608"),
    ("closedcaption/x-cea-708", "eia_708"),
];

/// Name of the codec that caps describe.
pub fn codec(caps: &StructureRef) -> String {
    let name = caps.name().as_str();
    match name {
        "video/mpeg" => mpeg_video(integer(caps, "mpegversion")).to_owned(),
        "audio/mpeg" => mpeg_audio(integer(caps, "mpegversion"), integer(caps, "layer")).to_owned(),
        "video/x-wmv" => windows_video(caps).to_owned(),
        "audio/x-wma" => windows_audio(integer(caps, "wmaversion")).to_owned(),
        "audio/x-raw" => raw_audio(caps),
        _ => plain(name),
    }
}

fn plain(name: &str) -> String {
    match PLAIN.iter().find(|(caps_name, _)| *caps_name == name) {
        Some((_, codec)) => (*codec).to_owned(),
        // What the demuxer does not know it names by the file's four letters.
        None => {
            let name = name.rsplit('/').next().unwrap_or(name).trim_start_matches("x-");
            name.trim_start_matches("gst-fourcc-").to_lowercase()
        }
    }
}

fn integer(caps: &StructureRef, field: &str) -> i32 {
    caps.get::<i32>(field).unwrap_or(0)
}

fn mpeg_video(version: i32) -> &'static str {
    match version {
        1 => "mpeg1video",
        2 => "mpeg2video",
        _ => "mpeg4",
    }
}

fn mpeg_audio(version: i32, layer: i32) -> &'static str {
    match (version, layer) {
        (1, 1) => "mp1",
        (1, 2) => "mp2",
        (1, _) => "mp3",
        _ => "aac",
    }
}

fn windows_video(caps: &StructureRef) -> &'static str {
    match (integer(caps, "wmvversion"), caps.get::<&str>("format")) {
        (_, Ok("WVC1" | "WMVA")) => "vc1",
        (1, _) => "wmv1",
        (2, _) => "wmv2",
        _ => "wmv3",
    }
}

fn windows_audio(version: i32) -> &'static str {
    match version {
        1 => "wmav1",
        2 => "wmav2",
        3 => "wmapro",
        _ => "wmalossless",
    }
}

/// `S16LE` is ffprobe's `pcm_s16le`.
fn raw_audio(caps: &StructureRef) -> String {
    let format = caps.get::<&str>("format").unwrap_or("unknown").to_lowercase();
    format!("pcm_{format}")
}
