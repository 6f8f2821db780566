//! Counts damage that decoders report only in the log (category `libav`, level ERROR): GStreamer ends green over damaged input.

use std::sync::{
    Once,
    atomic::{AtomicU64, Ordering},
};

const DECODER_CATEGORY: &str = "libav";

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
        gst::log::add_log_function(|category, level, _file, _function, _line, _object, _message| {
            if level == gst::DebugLevel::Error && category.name() == DECODER_CATEGORY {
                DAMAGE.fetch_add(1, Ordering::Relaxed);
            }
        });
    });
}

/// Damage so far.
pub fn count() -> u64 {
    DAMAGE.load(Ordering::Relaxed)
}
