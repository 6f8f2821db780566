//! Decoding times of Flash video: they begin at zero, and the muxer of GStreamer 1.22 makes zero of all that lie before it.

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use gst::prelude::*;

use super::clip::running_ns_at;

/// Distance of pictures that do not say how long they last, in nanoseconds.
const USUAL: i64 = 33_000_000;

/// Moves the decoding times of pictures in front of zero between zero and the next one, so that they rise.
pub fn begin_at_zero(pad: &gst::Pad) {
    let lead = AtomicI64::new(-1);
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let Some(gst::PadProbeData::Buffer(buffer)) = &mut info.data else {
            return gst::PadProbeReturn::Ok;
        };
        let Some((stamp, decoded)) = buffer.dts().and_then(|stamp| Some((stamp, running_ns_at(pad, stamp)?))) else {
            return gst::PadProbeReturn::Ok;
        };
        let _ = lead.compare_exchange(-1, (-decoded).max(0), Relaxed, Relaxed);
        let length = buffer.duration().and_then(|length| i64::try_from(length.nseconds()).ok());
        let moved = moved(decoded, lead.load(Relaxed), length.unwrap_or(USUAL)) - decoded;
        if let Some(stamp) = stamp.nseconds().checked_add_signed(moved).filter(|_| moved != 0) {
            buffer.make_mut().set_dts(gst::ClockTime::from_nseconds(stamp));
        }
        gst::PadProbeReturn::Ok
    });
}

/// Where a picture is decoded. `lead`: how far before zero the first one was.
fn moved(decoded: i64, lead: i64, length: i64) -> i64 {
    if decoded > 0 || lead <= 0 {
        return decoded;
    }
    // The next one stands a length behind zero, and nothing is shown before that but the first.
    let room = i128::from(length) * 3 / 4;
    i64::try_from(i128::from(decoded + lead) * room / i128::from(lead)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_zero_rise_up_to_the_first_picture_behind_it() {
        let times: Vec<i64> = [-80, -40, 0, 40, 80].iter().map(|time| moved(*time, 80, 40)).collect();
        assert_eq!(times, [0, 15, 30, 40, 80]);
        assert_eq!(moved(0, 0, 40), 0);
    }
}
