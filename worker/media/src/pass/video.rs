//! The branch from decoded pictures to compressed video.

use std::sync::Arc;

use gst::prelude::*;
use mps_proto::{
    v1::{EncoderSpeed, ErrorReason, VideoCodec},
    worker::v1::Failure,
};

use super::{
    clip::Window,
    counters::{self, Counters},
    elements::{branch, broken, caps_filter, link, make, pad, raw_queue},
    picture::{Colour, Look},
};
use crate::{
    capabilities, failure,
    nodes::{Rate, VideoEncode},
};

/// Builds the branch of a node; gives its last element.
pub fn encode(
    pipeline: &gst::Pipeline,
    tee: &gst::Element,
    node: usize,
    job: &VideoEncode,
    window: &Window,
    counters: &Arc<Counters>,
) -> Result<gst::Element, Failure> {
    let name = |part: &str| format!("n{node}-video-{part}");
    let (branch_pad, guard) = branch(pipeline, tee, &name("guard"))?;
    window.apply_to_video(tee, &branch_pad);
    let mut chain = vec![guard, raw_queue(pipeline, &name("queue"))?];
    if let Some((num, den)) = job.frame_rate {
        chain.push(make(pipeline, "videorate", &name("rate"))?);
        let caps = gst::Caps::builder("video/x-raw")
            .field("framerate", gst::Fraction::new(num, den))
            .build();
        chain.push(caps_filter(pipeline, &name("rate-caps"), &caps)?);
    }
    chain.extend(Look::plain(job.geometry, "I420", Colour::OfInput).elements(pipeline, &format!("n{node}-video"))?);
    let encoder = encoder(pipeline, &name("encode"), job)?;
    counters::count(&pad(&encoder, "sink")?, counters, move |counters| {
        counters.nodes.get(node).map(|node| &node.video)
    });
    chain.push(encoder);
    chain.push(make(pipeline, parser(job.codec), &name("parse"))?);
    let last = caps_filter(pipeline, &name("caps"), &compressed_caps(job))?;
    chain.push(last.clone());
    link(&chain.iter().collect::<Vec<_>>())?;
    Ok(last)
}

fn encoder(pipeline: &gst::Pipeline, name: &str, job: &VideoEncode) -> Result<gst::Element, Failure> {
    let factory = capabilities::video_encoder(job.codec).ok_or_else(|| {
        failure::data(
            ErrorReason::Unsupported,
            format!("this worker has no encoder for {}", job.codec.as_str_name()),
            "install one, such as gstreamer1.0-plugins-ugly for H.264 or gstreamer1.0-plugins-bad for H.265",
        )
    })?;
    let encoder = make(pipeline, factory, name)?;
    match factory {
        "x264enc" => x264(&encoder, job),
        "x265enc" => x265(&encoder, job),
        _ => generic(&encoder, job)?,
    }
    Ok(encoder)
}

fn x264(encoder: &gst::Element, job: &VideoEncode) {
    encoder.set_property_from_str("speed-preset", preset(job.speed));
    encoder.set_property("key-int-max", job.gop_frames.max(1) as u32);
    // Without a buffer model: it would cap constant quality at the default bit rate.
    encoder.set_property("vbv-buf-capacity", 0u32);
    match job.rate {
        Rate::Crf(crf) => {
            encoder.set_property_from_str("pass", "qual");
            encoder.set_property("quantizer", crf.max(0) as u32);
        }
        Rate::AverageBps(rate) => {
            encoder.set_property_from_str("pass", "cbr");
            encoder.set_property("bitrate", kbps(rate));
        }
    }
}

/// Every key frame can be sought to: by itself x265 lets pictures around it need earlier ones, and its element marks those I-frames as key frames.
const CLOSED_GOPS: &str = "open-gop=0:min-keyint=1";

fn x265(encoder: &gst::Element, job: &VideoEncode) {
    encoder.set_property_from_str("speed-preset", preset(job.speed));
    encoder.set_property("key-int-max", job.gop_frames.max(1));
    match job.rate {
        Rate::Crf(crf) => encoder.set_property("option-string", format!("crf={crf}:{CLOSED_GOPS}")),
        Rate::AverageBps(rate) => {
            encoder.set_property("option-string", CLOSED_GOPS);
            encoder.set_property("bitrate", kbps(rate));
        }
    }
}

/// Hardware and other encoders: what they have of the common properties.
fn generic(encoder: &gst::Element, job: &VideoEncode) -> Result<(), Failure> {
    let set = |names: &[&str], value: i64| {
        names.iter().any(|name| {
            let Some(property) = encoder.find_property(name) else {
                return false;
            };
            encoder.set_property_from_str(property.name(), &value.to_string());
            true
        })
    };
    set(
        &["gop-size", "key-int-max", "gop-length", "keyframe-period"],
        i64::from(job.gop_frames),
    );
    let done = match job.rate {
        Rate::Crf(crf) => set(&["const-quality", "qp-const-i", "qpi", "qp"], i64::from(crf)),
        Rate::AverageBps(rate) => set(&["bitrate"], i64::from(kbps(rate))),
    };
    if done {
        return Ok(());
    }
    Err(broken(&format!("{} cannot be told its rate", encoder.name())))
}

fn kbps(bits: i64) -> u32 {
    u32::try_from((bits / 1000).max(1)).unwrap_or(u32::MAX)
}

fn preset(speed: EncoderSpeed) -> &'static str {
    match speed {
        EncoderSpeed::Fastest => "ultrafast",
        EncoderSpeed::Medium => "medium",
        EncoderSpeed::Slow => "slow",
        _ => "veryfast",
    }
}

fn parser(codec: VideoCodec) -> &'static str {
    match codec {
        VideoCodec::H265 => "h265parse",
        _ => "h264parse",
    }
}

fn compressed_caps(job: &VideoEncode) -> gst::Caps {
    let (media, format) = match job.codec {
        VideoCodec::H265 => ("video/x-h265", "hvc1"),
        _ => ("video/x-h264", "avc"),
    };
    let caps = gst::Caps::builder(media).field("stream-format", format).field("alignment", "au");
    match job.profile.as_str() {
        "" => caps.build(),
        "baseline" => caps.field("profile", gst::List::new(["baseline", "constrained-baseline"])).build(),
        profile => caps.field("profile", profile).build(),
    }
}
