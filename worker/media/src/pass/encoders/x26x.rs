//! x264 and x265.

use gst::prelude::*;

use super::{BUFFER_MS, bounds, crf, gop_frames, gop_frames_at_rate, kbps, preset, threads};
use super::{Rate, VideoEncode};

/// Every key frame can be sought to: by itself x265 lets pictures around it need earlier ones, and its element marks those I-frames as
/// key frames.
const CLOSED_GOPS: &str = "open-gop=0:min-keyint=1";
/// Pictures that x265 works on at once: its output depends on it, and by itself it counts the machine's cores.
const FRAME_THREADS: i32 = 2;

pub fn x264(encoder: &gst::Element, job: &VideoEncode) {
    encoder.set_property_from_str("speed-preset", preset(job.speed));
    encoder.set_property("key-int-max", gop_frames(job).unsigned_abs());
    encoder.set_property("threads", threads(job).unsigned_abs());
    // Every I-frame can be sought to: the parser takes each for a key frame, also those that are none near another.
    let mut options = vec!["min-keyint=1".to_owned()];
    if let Some(frames) = job.b_frames {
        encoder.set_property("bframes", frames.unsigned_abs());
    }
    if !job.scene_cuts {
        options.push("scenecut=0".to_owned());
    }
    if !job.level.is_empty() {
        options.push(format!("level={}", job.level));
    }
    // Without a buffer model the element's own bit rate would cap constant quality.
    let (average, peak) = bounds(job.rate);
    encoder.set_property("vbv-buf-capacity", if peak.is_some() { BUFFER_MS as u32 } else { 0 });
    match crf(job.rate) {
        Some(crf) => {
            encoder.set_property_from_str("pass", "qual");
            encoder.set_property("quantizer", crf.max(0).unsigned_abs());
            encoder.set_property("bitrate", peak.map_or(2048, kbps));
        }
        None => {
            encoder.set_property_from_str("pass", "cbr");
            encoder.set_property("bitrate", kbps(average.unwrap_or_default()));
            if let Some(peak) = peak {
                options.push(format!(
                    "vbv-maxrate={0}:vbv-bufsize={1}",
                    kbps(peak),
                    kbps(peak * BUFFER_MS / 1000)
                ));
            }
        }
    }
    if matches!(job.rate, Rate::Constant { .. }) {
        options.push("nal-hrd=cbr:filler=1".to_owned());
    }
    encoder.set_property("option-string", options.join(":"));
}

pub fn x265(encoder: &gst::Element, job: &VideoEncode) {
    encoder.set_property_from_str("speed-preset", preset(job.speed));
    // By itself the element tunes for a figure, not for the eye.
    encoder.set_property_from_str("tune", "0");
    // Under load it now and then passes over a key frame that it is asked for: where it can, it counts besides.
    encoder.set_property("key-int-max", gop_frames_at_rate(job));
    let mut options = vec![CLOSED_GOPS.to_owned(), format!("frame-threads={FRAME_THREADS}")];
    if let Some(frames) = job.b_frames {
        options.push(format!("bframes={frames}"));
    }
    if !job.scene_cuts {
        options.push("scenecut=0".to_owned());
    }
    if !job.level.is_empty() {
        options.push(format!("level-idc={}", job.level));
    }
    let (average, peak) = bounds(job.rate);
    if let Some(peak) = peak {
        options.push(format!("vbv-maxrate={}:vbv-bufsize={}", kbps(peak), kbps(peak * BUFFER_MS / 1000)));
    }
    match crf(job.rate) {
        Some(crf) => options.push(format!("crf={crf}")),
        None => encoder.set_property("bitrate", kbps(average.unwrap_or_default())),
    }
    if matches!(job.rate, Rate::Constant { .. }) {
        options.push("strict-cbr=1".to_owned());
    }
    encoder.set_property("option-string", options.join(":"));
}
