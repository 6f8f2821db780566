//! What decodes a codec, and the Debian package that brings it: what an error says where a decoder is missing.

use crate::own_pictures::heif;

const BASE: &str = "gstreamer1.0-plugins-base";
const GOOD: &str = "gstreamer1.0-plugins-good";
const BAD: &str = "gstreamer1.0-plugins-bad";
const LIBAV: &str = "gstreamer1.0-libav";
const HEIF: &str = "libheif-examples";

/// What to do where GStreamer alone knows what is missing.
pub const INSTALL_ALL: &str = "install the Debian packages gstreamer1.0-plugins-good, gstreamer1.0-plugins-bad and gstreamer1.0-libav on the workers; \
                               where they are there, convert the input";

/// Codecs as `MediaStream.codec` says them, elements that decode them, and their packages.
const DECODERS: &[(&[&str], &str, &str)] = &[
    (&["av1"], "av1dec", BAD),
    (&["vp8"], "vp8dec", GOOD),
    (&["vp9"], "vp9dec", GOOD),
    (&["theora"], "theoradec", BASE),
    (&["opus"], "opusdec", BASE),
    (&["vorbis"], "vorbisdec", BASE),
    (&["speex"], "speexdec", GOOD),
    (&["webp"], "webpdec", BAD),
    (&["jpeg2000"], "openjpegdec", BAD),
    (&["h264"], "avdec_h264", LIBAV),
    (&["hevc"], "avdec_h265", LIBAV),
    (&["mpeg4"], "avdec_mpeg4", LIBAV),
    (&["mpeg1video", "mpeg2video"], "avdec_mpeg2video", LIBAV),
    (&["prores"], "avdec_prores", LIBAV),
    (&["dnxhd"], "avdec_dnxhd", LIBAV),
    (&["ffv1"], "avdec_ffv1", LIBAV),
    (&["dvvideo"], "avdec_dvvideo", LIBAV),
    (&["h263"], "avdec_h263", LIBAV),
    (&["vc1", "wmv3"], "avdec_vc1", LIBAV),
    (&["wmv1"], "avdec_wmv1", LIBAV),
    (&["wmv2"], "avdec_wmv2", LIBAV),
    (&["mjpeg"], "avdec_mjpeg", LIBAV),
    (&["png"], "avdec_png", LIBAV),
    (&["aac"], "avdec_aac", LIBAV),
    (&["mp1", "mp2", "mp3"], "avdec_mp3", LIBAV),
    (&["ac3"], "avdec_ac3", LIBAV),
    (&["eac3"], "avdec_eac3", LIBAV),
    (&["dts"], "avdec_dca", LIBAV),
    (&["truehd"], "avdec_truehd", LIBAV),
    (&["flac"], "avdec_flac", LIBAV),
    (&["alac"], "avdec_alac", LIBAV),
    (&["wavpack"], "wavpackdec", GOOD),
    (&["wmav1"], "avdec_wmav1", LIBAV),
    (&["wmav2"], "avdec_wmav2", LIBAV),
    (&["wmapro"], "avdec_wmapro", LIBAV),
    (&["amr_nb"], "avdec_amrnb", LIBAV),
    (&["amr_wb"], "avdec_amrwb", LIBAV),
];

/// What to do about a stream that nothing installed decodes.
pub fn hint(codec: &str, container: &str) -> String {
    if container == "caf" {
        return "packets in CAF are not read: put them into M4A as they are (ffmpeg -i in.caf -c copy out.m4a), or convert the input"
            .to_owned();
    }
    let package = if heif::CONTAINERS.contains(&container) {
        heif::decodes(codec).then_some(HEIF)
    } else {
        let known = DECODERS.iter().find(|(codecs, _, _)| codecs.contains(&codec));
        // One that is there and does not take the stream would not do so when it is installed again.
        known
            .filter(|(_, element, _)| gst::ElementFactory::find(element).is_none())
            .map(|(_, _, package)| *package)
    };
    match package {
        Some(package) => format!("install the Debian package {package} on the workers, or convert the input"),
        None => "convert the input: no Debian package brings a decoder that takes it".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_named_only_where_it_would_help() {
        gst::init().unwrap();
        assert!(hint("hevc", "heif").contains("package libheif-examples"));
        assert!(hint("mjpeg", "heif").starts_with("convert"));
        assert!(hint("indeo5", "avi").starts_with("convert"));
        assert!(hint("h264", "mp4").starts_with("convert"), "its decoder is there");
    }

    #[test]
    fn every_element_of_the_table_exists_where_its_package_is_installed() {
        gst::init().unwrap();
        let missing: Vec<_> = DECODERS
            .iter()
            .filter(|(_, element, _)| gst::ElementFactory::find(element).is_none())
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
