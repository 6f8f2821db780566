//! The branch from decoded pictures to compressed video.

use std::sync::Arc;

use gst::prelude::*;
use gst_video::{VideoColorMatrix, VideoColorPrimaries, VideoColorRange, VideoColorimetry, VideoInfo, VideoTransferFunction};
use mps_proto::{
    v1::{EncoderSpeed, ErrorReason, VideoCodec},
    worker::v1::Failure,
};

use super::{
    clip::Window,
    counters::{self, Counters},
    elements::{branch, broken, caps_filter, link, make, pad, raw_queue},
};
use crate::{
    capabilities, failure,
    nodes::{Rate, VideoEncode},
    rules::Geometry,
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
    chain.extend(shape(pipeline, &format!("n{node}-video"), &job.geometry, "I420", Colour::OfInput)?);
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

/// What becomes of colours.
#[derive(Clone, Copy)]
pub enum Colour {
    /// Matrix, transfer and primaries stay; the range becomes limited.
    OfInput,
    /// A colorimetry in GStreamer's words.
    Fixed(&'static str),
}

/// Crop, scale and convert in one step to square pixels of the wanted size.
pub fn shape(
    pipeline: &gst::Pipeline,
    prefix: &str,
    geometry: &Geometry,
    format: &str,
    colour: Colour,
) -> Result<Vec<gst::Element>, Failure> {
    let mut chain = Vec::new();
    if geometry.crop != (0.0, 0.0) {
        chain.push(crop(pipeline, &format!("{prefix}-crop"), geometry.crop)?);
    }
    let scale = make(pipeline, "videoconvertscale", &format!("{prefix}-scale"))?;
    scale.set_property("add-borders", geometry.bars);
    scale.set_property_from_str("method", "bilinear");
    chain.push(scale.clone());
    let mut caps = gst::Caps::builder("video/x-raw")
        .field("format", format)
        .field("width", geometry.width)
        .field("height", geometry.height)
        .field("pixel-aspect-ratio", gst::Fraction::new(1, 1))
        .build();
    if let Colour::Fixed(colorimetry) = colour {
        caps.make_mut().set("colorimetry", colorimetry);
    }
    let filter = caps_filter(pipeline, &format!("{prefix}-size"), &caps)?;
    if matches!(colour, Colour::OfInput) {
        follow_colour(&pad(&scale, "sink")?, &filter, caps);
    }
    chain.push(filter);
    Ok(chain)
}

/// Lets a filter ask for the input's colours, which are known when its caps come. Left alone, the scaler guesses them by the size.
fn follow_colour(entry: &gst::Pad, filter: &gst::Element, caps: gst::Caps) {
    let weak = filter.downgrade();
    entry.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        if let Some(gst::EventView::Caps(event)) = info.event().map(|event| event.view())
            && let Ok(input) = VideoInfo::from_caps(event.caps())
            && let Some(filter) = weak.upgrade()
        {
            let mut caps = caps.clone();
            caps.make_mut().set("colorimetry", limited(&input).to_string());
            filter.set_property("caps", caps);
        }
        gst::PadProbeReturn::Ok
    });
}

/// The input's colours in limited range; RGB becomes BT.709.
fn limited(input: &VideoInfo) -> VideoColorimetry {
    let (colours, range) = (input.colorimetry(), VideoColorRange::Range16_235);
    if input.is_rgb() || colours.matrix() == VideoColorMatrix::Rgb {
        return VideoColorimetry::new(
            range,
            VideoColorMatrix::Bt709,
            VideoTransferFunction::Bt709,
            VideoColorPrimaries::Bt709,
        );
    }
    let matrix = match colours.matrix() {
        VideoColorMatrix::Unknown if input.height() > 576 => VideoColorMatrix::Bt709,
        VideoColorMatrix::Unknown => VideoColorMatrix::Bt601,
        known => known,
    };
    VideoColorimetry::new(range, matrix, colours.transfer(), colours.primaries())
}

/// Cuts shares of the picture once its size is known.
fn crop(pipeline: &gst::Pipeline, name: &str, shares: (f64, f64)) -> Result<gst::Element, Failure> {
    let crop = make(pipeline, "videocrop", name)?;
    let weak = crop.downgrade();
    pad(&crop, "sink")?.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        let caps = match info.event().map(|event| event.view()) {
            Some(gst::EventView::Caps(caps)) => caps.caps_owned(),
            _ => return gst::PadProbeReturn::Ok,
        };
        let structure = caps.structure(0);
        let side = |name: &str| structure.and_then(|structure| structure.get::<i32>(name).ok()).unwrap_or(0);
        if let Some(crop) = weak.upgrade() {
            let across = (f64::from(side("width")) * shares.0).round() as i32;
            let down = (f64::from(side("height")) * shares.1).round() as i32;
            for (property, pixels) in [("left", across), ("right", across), ("top", down), ("bottom", down)] {
                crop.set_property(property, pixels);
            }
        }
        gst::PadProbeReturn::Ok
    });
    Ok(crop)
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
