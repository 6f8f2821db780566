//! Which of GStreamer's elements are picked by themselves, and which never.

use std::sync::Once;

use gst::prelude::*;

/// Playlists name files and addresses of this machine. Elements that follow them are never picked for a file, wherever in it they are found.
const FOLLOW_PLAYLISTS: &[&str] = &[
    "hlsdemux",
    "hlsdemux2",
    "dashdemux",
    "dashdemux2",
    "mssdemux",
    "mssdemux2",
    "sdpdemux",
    "rtspsrc",
];
/// Elements that refuse media which another one takes: (the better one, the worse one).
const BETTER: &[(&str, &str)] = &[
    // The second takes no subsampled chroma where the header says RGB, as ffmpeg's encoder writes it.
    ("avdec_jpeg2000", "openjpegdec"),
    // The second gives nothing from a damaged picture to the next key frame, which may be minutes away.
    ("avdec_vp8", "vp8dec"),
    ("avdec_vp9", "vp9dec"),
];

/// Sets the ranks of this process, once.
pub fn set() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let registry = gst::Registry::get();
        let never = |name: &str| {
            if let Some(feature) = registry.lookup_feature(name) {
                feature.set_rank(gst::Rank::NONE);
            }
        };
        FOLLOW_PLAYLISTS.iter().for_each(|name| never(name));
        let replaced = BETTER.iter().filter(|(better, _)| registry.lookup_feature(better).is_some());
        replaced.for_each(|(_, worse)| never(worse));
    });
}
