//! x264 and x265.

use gst::prelude::*;

use super::{BUFFER_MS, bounds, crf, gop_frames, gop_frames_at_rate, kbps, preset, threads};
use super::{Rate, VideoEncode};

/// Every key frame can be sought to: by itself x265 lets pictures around it need earlier ones, and its element marks those I-frames as
/// key frames.
const CLOSED_GOPS: &str = "open-gop=0:min-keyint=1";
/// Every I-frame can be sought to: the parser takes each for a key frame, also those that are none near another. And no algorithm is chosen by
/// the processor: by itself it estimates what later pictures need in another way with each instruction set.
const X264_ALWAYS: [&str; 2] = ["min-keyint=1", "cpu-independent=1"];
/// Pictures that x265 works on at once: its output depends on it, and by itself it counts the machine's cores.
const FRAME_THREADS: i32 = 2;

pub fn x264(encoder: &gst::Element, job: &VideoEncode) {
    encoder.set_property_from_str("speed-preset", preset(job.speed));
    encoder.set_property("key-int-max", gop_frames(job).unsigned_abs());
    encoder.set_property("threads", threads(job).unsigned_abs());
    let mut options: Vec<String> = X264_ALWAYS.iter().map(|option| (*option).to_owned()).collect();
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

/// What x265 is told where nobody knows how many pictures a second there are: without a rate it does not start.
const UNKNOWN_RATE: (i32, i32) = (25, 1);

pub fn x265(encoder: &gst::Element, job: &VideoEncode) {
    if let Some(entry) = encoder.static_pad("sink") {
        tell_rate(&entry);
    }
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

/// Puts a rate where the input has none, as MPEG-4 in transport streams; stamps stay as they are.
fn tell_rate(entry: &gst::Pad) {
    entry.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, |_, info| {
        if let Some(gst::PadProbeData::Event(event)) = &mut info.data
            && let gst::EventView::Caps(told) = event.view()
            && let Some(caps) = told.caps().structure(0)
            && caps.get::<gst::Fraction>("framerate").is_ok_and(|rate| rate.numer() == 0)
        {
            let mut caps = told.caps_owned();
            caps.make_mut().set("framerate", gst::Fraction::from(UNKNOWN_RATE));
            *event = gst::event::Caps::builder(&caps).seqnum(told.seqnum()).build();
        }
        gst::PadProbeReturn::Ok
    });
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use gst::prelude::*;

    use super::X264_ALWAYS;
    use crate::pass::elements::{caps_filter, link, make, pad};

    /// What the encoder makes of a moving picture with only some of the processor's instructions.
    fn encoded(instructions: &str) -> Vec<u8> {
        let pipeline = gst::Pipeline::new();
        let source = make(&pipeline, "videotestsrc", "source").unwrap();
        source.set_property("num-buffers", 40);
        source.set_property_from_str("pattern", "ball");
        let caps = gst::Caps::builder("video/x-raw")
            .field("format", "I420")
            .field("width", 320)
            .field("height", 180)
            .build();
        let filter = caps_filter(&pipeline, "size", &caps).unwrap();
        let encoder = make(&pipeline, "x264enc", "encode").unwrap();
        encoder.set_property_from_str("speed-preset", "veryfast");
        encoder.set_property_from_str("pass", "qual");
        encoder.set_property("vbv-buf-capacity", 0u32);
        encoder.set_property("option-string", format!("{}{instructions}", X264_ALWAYS.join(":")));
        let sink = make(&pipeline, "fakesink", "sink").unwrap();
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let written = bytes.clone();
        let take = move |_: &gst::Pad, info: &mut gst::PadProbeInfo| {
            written
                .lock()
                .unwrap()
                .extend_from_slice(&info.buffer().unwrap().map_readable().unwrap());
            gst::PadProbeReturn::Ok
        };
        pad(&sink, "sink").unwrap().add_probe(gst::PadProbeType::BUFFER, take);
        link(&[&source, &filter, &encoder, &sink]).unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        let ends = [gst::MessageType::Eos, gst::MessageType::Error];
        let end = pipeline.bus().unwrap().timed_pop_filtered(gst::ClockTime::from_seconds(60), &ends);
        assert_eq!(end.unwrap().type_(), gst::MessageType::Eos);
        pipeline.set_state(gst::State::Null).unwrap();
        std::mem::take(&mut *bytes.lock().unwrap())
    }

    #[test]
    fn processors_with_fewer_instructions_give_the_same_bytes() {
        gst::init().unwrap();
        let whole = encoded("");
        assert!(whole.len() > 1000);
        assert!(whole == encoded(":asm=sse2"), "the bytes differ");
    }
}
