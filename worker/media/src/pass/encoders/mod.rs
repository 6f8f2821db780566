//! Encoders of video: what each is told of codec, rate, key frames, speed. All give the same bytes whenever and wherever they are run: threads
//! are fixed by the picture's size where the output depends on them. One exception: under a peak rate x264's threads look at how far the others
//! are, so that two runs differ by some bytes.

mod hardware;
mod keys;
mod lengths;
mod vpx;
mod x26x;

use std::time::Duration;

use mps_proto::{
    v1::{EncoderSpeed, ErrorReason, VideoCodec},
    worker::v1::Failure,
};

use super::{
    elements::{caps_filter, make, pad},
    picture::Look,
};
use crate::{capabilities, failure};

/// How a film is encoded, with nothing left open.
#[derive(Debug, Clone)]
pub struct VideoEncode {
    pub codec: VideoCodec,
    pub rate: Rate,
    pub look: Look,
    /// Constant frame rate; `None`: time stamps are kept.
    pub frame_rate: Option<(i32, i32)>,
    /// The rate at which a picture that stands for long is told again; `None`: it is told once.
    pub stand: Option<(i32, i32)>,
    /// How long the only picture is shown, where the input is one.
    pub still: Option<Duration>,
    /// Where running time is zero, from the beginning of the output.
    pub begin: Duration,
    pub gop: Gop,
    /// Key frames besides, at each multiple of it: where segments begin.
    pub cuts: Option<Duration>,
    /// Whether scene cuts get key frames besides.
    pub scene_cuts: bool,
    /// B-frames between two others; `None`: as the encoder likes.
    pub b_frames: Option<i32>,
    pub bit_depth: i32,
    pub profile: String,
    /// Empty: the lowest that fits.
    pub level: String,
    pub speed: EncoderSpeed,
    /// Whether it takes the fields of an interlaced film as they are.
    pub fields: bool,
}

/// How bits are spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rate {
    Crf(i32),
    CappedCrf { crf: i32, max_bps: i64 },
    Average { bps: i64, max_bps: Option<i64> },
    Constant { bps: i64 },
}

/// Longest distance between key frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gop {
    Frames(i32),
    /// A key frame at each multiple of it, whatever the frame rate.
    Time(Duration),
}

/// No key frames but those that are asked for.
const NEVER: i32 = 1 << 30;
/// How long a decoder's buffer holds at the peak rate, in milliseconds.
const BUFFER_MS: i64 = 2_000;

/// Encoder, parser and a filter that fixes profile and form, to be linked in order. `byte_stream`: with start codes, as transport streams
/// want it.
pub fn chain(pipeline: &gst::Pipeline, prefix: &str, job: &VideoEncode, byte_stream: bool) -> Result<Vec<gst::Element>, Failure> {
    let name = |part: &str| format!("{prefix}-{part}");
    let encoder = encoder(pipeline, &name("encode"), job)?;
    keys::force(&encoder, job)?;
    let mut chain = vec![encoder.clone()];
    if let Some(parser) = parser(job.codec) {
        chain.push(make(pipeline, parser, &name("parse"))?);
    }
    let last = caps_filter(pipeline, &name("caps"), &compressed_caps(job, byte_stream))?;
    lengths::keep(&pad(&encoder, "sink")?, &pad(&last, "src")?);
    chain.push(last);
    Ok(chain)
}

fn encoder(pipeline: &gst::Pipeline, name: &str, job: &VideoEncode) -> Result<gst::Element, Failure> {
    let factory = capabilities::video_encoder(job.codec, job.bit_depth).ok_or_else(|| missing(job))?;
    let encoder = make(pipeline, factory, name)?;
    match factory {
        "x264enc" => x26x::x264(&encoder, job),
        "x265enc" => x26x::x265(&encoder, job),
        "av1enc" => vpx::av1(&encoder, job),
        "vp8enc" | "vp9enc" => vpx::vpx(&encoder, job),
        "mpeg2enc" => vpx::mpeg2(&encoder, job),
        _ => hardware::set_up(&encoder, job)?,
    }
    Ok(encoder)
}

fn missing(job: &VideoEncode) -> Failure {
    let codec = job.codec.as_str_name();
    let depth = job.bit_depth;
    if job.codec == VideoCodec::Av1 && depth > 8 {
        return failure::data(
            ErrorReason::Unsupported,
            "GStreamer 1.22's av1enc takes 8 bits only",
            "choose bit_depth 8, or H.265 or VP9 for 10 bits",
        );
    }
    failure::data(
        ErrorReason::Unsupported,
        format!("this worker has no encoder for {codec} with {depth} bits"),
        &format!("install the Debian package {}", capabilities::video_package(job.codec)),
    )
}

/// Frames between key frames at most, for encoders that count them.
fn gop_frames(job: &VideoEncode) -> i32 {
    match job.gop {
        Gop::Frames(frames) => frames.max(1),
        Gop::Time(_) => NEVER,
    }
}

/// The same, counting also where key frames come by time and the frame rate is constant.
fn gop_frames_at_rate(job: &VideoEncode) -> i32 {
    let span = match job.gop {
        Gop::Time(span) => Some(span),
        Gop::Frames(_) => None,
    };
    match (span.into_iter().chain(job.cuts).min(), job.frame_rate) {
        (Some(span), Some((num, den))) => {
            let frames = (span.as_secs_f64() * f64::from(num) / f64::from(den.max(1))).ceil() as i32;
            frames.clamp(1, gop_frames(job))
        }
        _ => gop_frames(job),
    }
}

/// Threads of an encoder, by the picture's height alone.
fn threads(job: &VideoEncode) -> i32 {
    (job.look.geometry.height / 128).clamp(1, 16)
}

fn kbps(bits: i64) -> u32 {
    u32::try_from((bits / 1000).max(1)).unwrap_or(u32::MAX)
}

fn parser(codec: VideoCodec) -> Option<&'static str> {
    match codec {
        VideoCodec::H265 => Some("h265parse"),
        VideoCodec::Av1 => Some("av1parse"),
        VideoCodec::Vp9 => Some("vp9parse"),
        VideoCodec::Mpeg2 => Some("mpegvideoparse"),
        VideoCodec::Vp8 => None,
        _ => Some("h264parse"),
    }
}

fn compressed_caps(job: &VideoEncode, byte_stream: bool) -> gst::Caps {
    let plain = |media: &str| gst::Caps::builder(media).build();
    let (media, format) = match job.codec {
        VideoCodec::H265 => ("video/x-h265", "hvc1"),
        VideoCodec::Av1 => return plain("video/x-av1"),
        VideoCodec::Vp8 => return plain("video/x-vp8"),
        VideoCodec::Vp9 => return plain("video/x-vp9"),
        VideoCodec::Mpeg2 => return plain("video/mpeg"),
        _ => ("video/x-h264", "avc"),
    };
    let caps = gst::Caps::builder(media)
        .field("stream-format", if byte_stream { "byte-stream" } else { format })
        .field("alignment", "au");
    match job.profile.as_str() {
        "" => caps.build(),
        "baseline" => caps.field("profile", gst::List::new(["baseline", "constrained-baseline"])).build(),
        profile => caps.field("profile", profile).build(),
    }
}

/// Average and peak of a rate in bit/s, where it has them.
fn bounds(rate: Rate) -> (Option<i64>, Option<i64>) {
    match rate {
        Rate::Crf(_) => (None, None),
        Rate::CappedCrf { max_bps, .. } => (None, Some(max_bps)),
        Rate::Average { bps, max_bps } => (Some(bps), max_bps),
        Rate::Constant { bps } => (Some(bps), Some(bps)),
    }
}

fn crf(rate: Rate) -> Option<i32> {
    match rate {
        Rate::Crf(crf) | Rate::CappedCrf { crf, .. } => Some(crf),
        _ => None,
    }
}

fn preset(speed: EncoderSpeed) -> &'static str {
    match speed {
        EncoderSpeed::Fastest => "ultrafast",
        EncoderSpeed::Medium => "medium",
        EncoderSpeed::Slow => "slow",
        _ => "veryfast",
    }
}
