//! The branch from decoded sound to compressed audio. Nodes that want the same sound share one encoder.

use std::sync::Arc;

use gst::prelude::*;
use mps_proto::{v1::AudioCodec, worker::v1::Failure};

use super::{
    clip::Window,
    counters::{self, Counters},
    elements::{branch, caps_filter, link, make, pad, sound_queue},
};
use crate::nodes::AudioEncode;

/// Samples by which avenc_aac delays sound: exactly one packet.
const AAC_PRIMING_SAMPLES: i64 = 1024;
/// Samples by which LAME (576) and every decoder (529) delay sound: a little less than one packet.
const MP3_PRIMING_SAMPLES: i64 = 1105;
/// Bit rates in kbit/s that MP3 has; any other is an average.
const MP3_KBPS: [i32; 14] = [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];

/// Builds an encoder and a tee of its packets. `node` is the first of those that use it.
pub fn encode(
    pipeline: &gst::Pipeline,
    tee: &gst::Element,
    node: usize,
    job: &AudioEncode,
    window: &Window,
    counters: &Arc<Counters>,
) -> Result<gst::Element, Failure> {
    let name = |part: &str| format!("n{node}-audio-{part}");
    let (branch_pad, guard) = branch(pipeline, tee, &name("guard"))?;
    window.apply_to_audio(tee, &branch_pad);
    let caps = gst::Caps::builder("audio/x-raw")
        .field("rate", job.sample_rate_hz)
        .field("channels", job.channels)
        .build();
    let encoder = encoder(pipeline, &name("encode"), job)?;
    counters::count(&pad(&encoder, "sink")?, counters, move |counters| {
        counters.nodes.get(node).map(|node| &node.audio)
    });
    let parser = make(pipeline, parser(job.codec), &name("parse"))?;
    let priming_samples = match job.codec {
        AudioCodec::Mp3 => MP3_PRIMING_SAMPLES,
        _ => AAC_PRIMING_SAMPLES,
    };
    drop_priming(&pad(&parser, "src")?, priming_samples, job.sample_rate_hz);
    let packets = make(pipeline, "tee", &name("packets"))?;
    link(&[
        &guard,
        &sound_queue(pipeline, &name("queue"))?,
        &make(pipeline, "audioconvert", &name("convert"))?,
        &make(pipeline, "audioresample", &name("resample"))?,
        &caps_filter(pipeline, &name("format"), &caps)?,
        &encoder,
        &parser,
        &packets,
    ])?;
    Ok(packets)
}

fn encoder(pipeline: &gst::Pipeline, name: &str, job: &AudioEncode) -> Result<gst::Element, Failure> {
    if job.codec == AudioCodec::Mp3 {
        let encoder = make(pipeline, "lamemp3enc", name)?;
        encoder.set_property_from_str("target", "bitrate");
        let kbps = i32::try_from(job.bitrate_bps / 1000).unwrap_or(128).clamp(8, 320);
        encoder.set_property("cbr", MP3_KBPS.contains(&kbps));
        encoder.set_property("bitrate", kbps);
        return Ok(encoder);
    }
    let encoder = make(pipeline, "avenc_aac", name)?;
    encoder.set_property("bitrate", i32::try_from(job.bitrate_bps).unwrap_or(128_000));
    Ok(encoder)
}

fn parser(codec: AudioCodec) -> &'static str {
    match codec {
        AudioCodec::Mp3 => "mpegaudioparse",
        _ => "aacparse",
    }
}

/// No muxer writes an edit list for the encoder's delay, so sound would be late by it: the first packet goes, the rest moves up.
fn drop_priming(pad: &gst::Pad, priming_samples: i64, sample_rate_hz: i32) {
    let first = std::sync::atomic::AtomicBool::new(true);
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        if first.swap(false, std::sync::atomic::Ordering::Relaxed) {
            return gst::PadProbeReturn::Drop;
        }
        gst::PadProbeReturn::Ok
    });
    pad.set_offset(-(priming_samples * 1_000_000_000 / i64::from(sample_rate_hz.max(1))));
}
