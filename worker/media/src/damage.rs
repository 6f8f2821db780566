//! Counts damage that is reported only in the log, by decoders (category `libav`, level ERROR) and by the demuxer of transport streams, which
//! leaves out the frames that packets are lost of: GStreamer ends green over damaged input.

use std::sync::{
    Once,
    atomic::{AtomicU64, Ordering},
};

const DECODER_CATEGORY: &str = "libav";
const DEMUXER_CATEGORY: &str = "tsdemux";
/// What the demuxer says where packets are lost inside of a frame; joints between frames are none.
const LOST_PACKETS: &str = "CONTINUITY: Mismatch";

static DAMAGE: AtomicU64 = AtomicU64::new(0);
static INSTALLED: Once = Once::new();

/// Starts counting; once per process, after `gst::init`. Without GST_DEBUG nothing is printed.
pub fn install() {
    INSTALLED.call_once(|| {
        if std::env::var_os("GST_DEBUG").is_none() {
            gst::log::remove_default_log_function();
        }
        gst::log::set_active(true);
        gst::log::set_threshold_for_name(DECODER_CATEGORY, gst::DebugLevel::Error);
        gst::log::set_threshold_for_name(DEMUXER_CATEGORY, gst::DebugLevel::Warning);
        gst::log::add_log_function(|category, level, _file, _function, _line, _object, message| {
            let is_damage = match (level, category.name()) {
                (gst::DebugLevel::Error, DECODER_CATEGORY) => true,
                (gst::DebugLevel::Warning, DEMUXER_CATEGORY) => message.get().is_some_and(|text| text.contains(LOST_PACKETS)),
                _ => false,
            };
            if is_damage {
                DAMAGE.fetch_add(1, Ordering::Relaxed);
            }
        });
    });
}

/// Damage so far.
pub fn count() -> u64 {
    DAMAGE.load(Ordering::Relaxed)
}
