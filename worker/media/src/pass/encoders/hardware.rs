//! Encoders of graphics cards, and others that are not told apart: what they have of the common properties.

use gst::prelude::*;
use mps_proto::worker::v1::Failure;

use super::{Rate, VideoEncode, bounds, crf, gop_frames, kbps};
use crate::pass::elements::broken;

/// Hardware and other encoders: what they have of the common properties.
pub fn set_up(encoder: &gst::Element, job: &VideoEncode) -> Result<(), Failure> {
    let set = |names: &[&str], value: &str| {
        let known = names.iter().find(|name| encoder.find_property(name).is_some());
        known.inspect(|name| encoder.set_property_from_str(name, value)).is_some()
    };
    set(
        &["gop-size", "key-int-max", "gop-length", "keyframe-period"],
        &gop_frames(job).min(1 << 20).to_string(),
    );
    if let Some(frames) = job.b_frames {
        set(&["bframes", "b-frames", "max-bframes"], &frames.to_string());
    }
    let (average, peak) = bounds(job.rate);
    if let Some(peak) = peak {
        set(&["max-bitrate"], &kbps(peak).to_string());
    }
    if encoder.find_property("rate-control").is_some() {
        let constant = matches!(job.rate, Rate::Constant { .. });
        let mode = match (crf(job.rate), constant) {
            (Some(_), _) => "cqp",
            (None, true) => "cbr",
            (None, false) => "vbr",
        };
        let known = encoder
            .find_property("rate-control")
            .and_then(|property| gst::glib::EnumClass::with_type(property.value_type()));
        if known.is_some_and(|values| values.value_by_nick(mode).is_some()) {
            encoder.set_property_from_str("rate-control", mode);
        }
    }
    let done = match crf(job.rate) {
        Some(crf) => set(&["const-quality", "qp-const-i", "qpi", "qp"], &crf.to_string()),
        None => set(&["bitrate"], &kbps(average.unwrap_or_default()).to_string()),
    };
    if done {
        return Ok(());
    }
    Err(broken(&format!("{} cannot be told its rate", encoder.name())))
}
