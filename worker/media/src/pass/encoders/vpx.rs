//! libvpx (VP8, VP9), libaom (AV1), and mjpegtools' MPEG-2.

use gst::prelude::*;
use mps_proto::v1::{EncoderSpeed, VideoCodec};

use super::{BUFFER_MS, Gop, Rate, VideoEncode, bounds, crf, gop_frames, keys::Asks, threads};

/// Pictures that the encoders look ahead at.
const LOOKAHEAD: i32 = 25;
/// Time for a picture in microseconds that means good quality.
const GOOD_DEADLINE: i64 = 1_000_000;
/// A rate that constant quality never meets, in bit/s.
const NO_LIMIT_BPS: i32 = 100_000_000;
/// Scale of MPEG-2's quantisers, and of constant rate factors.
const MPEG2_QUANTISERS: f64 = 31.0;
const CRF_SCALE: f64 = 51.0;
/// The most that MPEG-2's encoder takes, in kbit/s and frames.
const MPEG2_KBPS: i32 = 40_000;
const MPEG2_GOP: i32 = 250;

pub fn vpx(encoder: &gst::Element, job: &VideoEncode) {
    let is_vp9 = job.codec == VideoCodec::Vp9;
    encoder.set_property("deadline", GOOD_DEADLINE);
    encoder.set_property("cpu-used", vpx_speed(job.speed));
    // A forced key frame is only that picture when the encoder does not look ahead.
    let forced = Asks::of(job).any();
    encoder.set_property("lag-in-frames", if forced { 0 } else { LOOKAHEAD });
    encoder.set_property("threads", threads(job));
    // With hidden pictures the element loses a frame where a key frame is forced.
    encoder.set_property("auto-alt-ref", false);
    encoder.set_property("keyframe-max-dist", gop_frames(job));
    encoder.set_property_from_str("keyframe-mode", if job.scene_cuts { "auto" } else { "disabled" });
    if job.frame_rate.is_none() {
        // Stamps of a variable rate would fall together in steps of the nominal one.
        encoder.set_property("timebase", gst::Fraction::new(1, 90_000));
    }
    if is_vp9 {
        encoder.set_property("row-mt", true);
        encoder.set_property("tile-columns", tile_columns(job));
        encoder.set_property("frame-parallel-decoding", false);
    }
    let (average, peak) = bounds(job.rate);
    let bps = |rate: i64| i32::try_from(rate).unwrap_or(NO_LIMIT_BPS);
    match crf(job.rate) {
        // With a high rate, constrained quality loses VP9's last frame: its quantiser is held instead, or its lowest value with a peak rate.
        Some(crf) if is_vp9 => {
            encoder.set_property_from_str("end-usage", "vbr");
            encoder.set_property("min-quantizer", crf.clamp(0, 63));
            encoder.set_property("max-quantizer", if peak.is_some() { 63 } else { crf.clamp(0, 63) });
            encoder.set_property("target-bitrate", peak.map_or(NO_LIMIT_BPS, bps));
        }
        Some(crf) => {
            encoder.set_property_from_str("end-usage", "cq");
            encoder.set_property("cq-level", crf.clamp(0, 63));
            encoder.set_property("target-bitrate", peak.map_or(NO_LIMIT_BPS, bps));
        }
        None => {
            let constant = matches!(job.rate, Rate::Constant { .. });
            encoder.set_property_from_str("end-usage", if constant { "cbr" } else { "vbr" });
            encoder.set_property("target-bitrate", bps(average.unwrap_or_default()));
        }
    }
    if let (Some(average), Some(peak)) = (average, peak) {
        let over = ((peak - average).max(0) * 100 / average.max(1)).min(100);
        encoder.set_property("overshoot", i32::try_from(over).unwrap_or(100));
        encoder.set_property("buffer-size", BUFFER_MS as i32);
        encoder.set_property("buffer-optimal-size", BUFFER_MS as i32 / 2);
        encoder.set_property("buffer-initial-size", BUFFER_MS as i32 / 2);
    }
}

fn vpx_speed(speed: EncoderSpeed) -> i32 {
    match speed {
        EncoderSpeed::Fastest => 5,
        EncoderSpeed::Medium => 2,
        EncoderSpeed::Slow => 1,
        _ => 4,
    }
}

/// Logarithm of the columns that a picture is cut into, each at least 256 pixels wide.
fn tile_columns(job: &VideoEncode) -> i32 {
    (job.look.geometry.width / 256).max(1).ilog2().min(4) as i32
}

/// The element has no constant quality of its own: the quantiser is held instead, or its lowest value with a peak rate.
pub fn av1(encoder: &gst::Element, job: &VideoEncode) {
    encoder.set_property("cpu-used", av1_speed(job.speed));
    encoder.set_property("lag-in-frames", LOOKAHEAD.unsigned_abs());
    encoder.set_property("threads", threads(job).unsigned_abs());
    encoder.set_property("tile-columns", tile_columns(job).unsigned_abs());
    encoder.set_property("keyframe-max-dist", gop_frames(job));
    encoder.set_property_from_str("keyframe-mode", if job.scene_cuts { "auto" } else { "disabled" });
    let (average, peak) = bounds(job.rate);
    let kbps = super::kbps;
    match job.rate {
        Rate::Crf(crf) => {
            encoder.set_property_from_str("end-usage", "q");
            encoder.set_property("min-quantizer", crf.clamp(0, 63).unsigned_abs());
            encoder.set_property("max-quantizer", crf.clamp(0, 63).unsigned_abs());
        }
        Rate::CappedCrf { crf, max_bps } => {
            encoder.set_property_from_str("end-usage", "vbr");
            encoder.set_property("min-quantizer", crf.clamp(0, 63).unsigned_abs());
            encoder.set_property("max-quantizer", 63u32);
            encoder.set_property("target-bitrate", kbps(max_bps));
        }
        Rate::Average { .. } | Rate::Constant { .. } => {
            let constant = matches!(job.rate, Rate::Constant { .. });
            encoder.set_property_from_str("end-usage", if constant { "cbr" } else { "vbr" });
            encoder.set_property("max-quantizer", 63u32);
            encoder.set_property("target-bitrate", kbps(average.unwrap_or_default()));
        }
    }
    if let (Some(average), Some(peak)) = (average, peak) {
        let over = ((peak - average).max(0) * 100 / average.max(1)).min(100);
        encoder.set_property("overshoot-pct", u32::try_from(over).unwrap_or(100));
    }
}

fn av1_speed(speed: EncoderSpeed) -> i32 {
    match speed {
        EncoderSpeed::Fastest => 9,
        EncoderSpeed::Medium => 5,
        EncoderSpeed::Slow => 4,
        _ => 6,
    }
}

/// mjpegtools' encoder: ffmpeg's cannot be told the frame rate through GStreamer 1.22.
pub fn mpeg2(encoder: &gst::Element, job: &VideoEncode) {
    let gop = mpeg2_gop(job);
    encoder.set_property_from_str("format", "3");
    encoder.set_property("constraints", false);
    encoder.set_property("closed-gop", true);
    encoder.set_property("max-gop-size", gop);
    if !job.scene_cuts {
        encoder.set_property("min-gop-size", gop);
    }
    // The element stamps pictures in the order of coding.
    encoder.set_property("b-per-refframe", 0);
    let (average, peak) = bounds(job.rate);
    let kbps = |bps: i64| i32::try_from(bps / 1000).unwrap_or(MPEG2_KBPS).clamp(1, MPEG2_KBPS);
    // Its library ends the process over a buffer that is too small for the rate.
    let rate = peak.or(average).map_or(MPEG2_KBPS, kbps);
    encoder.set_property("bufsize", (rate * BUFFER_MS as i32 / 1000 / 8).clamp(20, 4_000));
    match crf(job.rate) {
        Some(crf) => {
            let quantiser = (f64::from(crf) * MPEG2_QUANTISERS / CRF_SCALE).round().clamp(1.0, MPEG2_QUANTISERS);
            encoder.set_property("quantisation", quantiser as i32);
            // With a quantiser, the rate is the peak.
            encoder.set_property("bitrate", peak.map_or(MPEG2_KBPS, kbps));
        }
        None => {
            encoder.set_property("quantisation", -1);
            encoder.set_property("bitrate", kbps(average.unwrap_or_default()));
        }
    }
}

/// The encoder counts frames and is not asked for key frames.
fn mpeg2_gop(job: &VideoEncode) -> i32 {
    let frames = match (job.gop, job.frame_rate) {
        (Gop::Time(span), Some((num, den))) => (span.as_secs_f64() * f64::from(num) / f64::from(den.max(1))).round() as i32,
        _ => gop_frames(job),
    };
    frames.clamp(1, MPEG2_GOP)
}
