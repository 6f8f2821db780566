//! What becomes of the picture: settings and the input's film resolved into an encoding. Used by every kind that encodes video.

use std::time::Duration;

use mps_proto::{
    v1::{CropArea, Deinterlace, ErrorReason, HdrPolicy, MediaStream, PadFill, RateControl, VideoCodec, VideoSettings},
    worker::v1::Failure,
};

use crate::{
    failure,
    pass::{
        encoders::{Gop, Rate, VideoEncode},
        picture::{Area, Hdr, Look},
    },
    probe::InputFacts,
    rules::{Frame, Geometry, frame_rate, levels},
};

/// Frames per second of a still picture.
const STILL_RATE: (i32, i32) = (25, 1);
const USUAL_GOP: i32 = 250;
/// Pixels that encoders and containers want at each side.
const LEAST_SIDE: i32 = 16;
/// Frames per second of a film whose own rate varies, where it must not.
const USUAL_RATE: (i32, i32) = (30, 1);

/// How long a picture of a stream stands before it is told again.
const LONGEST_STAND: Duration = Duration::from_millis(500);

impl VideoEncode {
    /// `stream`: the input's film; `still`: how long it is shown where it is a still picture.
    pub fn resolve(settings: &VideoSettings, stream: &MediaStream, facts: &InputFacts, still: Option<Duration>) -> Result<Self, Failure> {
        let frame_rate = frame_rate_of(settings, stream)?.or(still.map(|_| STILL_RATE));
        let bit_depth = settings.bit_depth.unwrap_or(8);
        let resolved = Self {
            codec: settings.codec(),
            rate: rate(settings),
            look: look(settings, stream, bit_depth)?,
            frame_rate,
            stand: None,
            still,
            begin: Duration::ZERO,
            gop: counted(
                gop(settings),
                settings.codec(),
                frame_rate.or_else(|| crate::rules::frame_rate(Some(stream))),
            ),
            cuts: None,
            scene_cuts: settings.scene_cuts.unwrap_or(true),
            b_frames: settings.b_frames,
            bit_depth,
            profile: settings.profile().to_owned(),
            level: settings.level().to_owned(),
            speed: settings.speed(),
            fields: settings.deinterlace() == Deinterlace::Off,
        };
        levels::unless_exceeded(&resolved, stream, facts.of_stream(stream.index).and_then(|told| told.pace))?;
        let size = &resolved.look.geometry;
        unless_too_small(size.width, size.height)?;
        Ok(resolved)
    }

    /// Key frames where segments begin: at each multiple of a span. A picture may stand longer than a segment lasts, and every segment must
    /// be there.
    pub fn cut_every(&mut self, span: Duration, stream: &MediaStream) -> Result<(), Failure> {
        let own_rate = crate::rules::frame_rate(Some(stream));
        let rate = self.frame_rate.or(own_rate.map(lively)).unwrap_or(USUAL_RATE);
        unless_slower(self.frame_rate, span)?;
        // Who counts frames needs every one of them.
        let counts = matches!(self.codec, VideoCodec::Av1 | VideoCodec::H265);
        if own_rate.is_none() || counts {
            self.frame_rate = Some(rate);
        }
        self.stand = Some(steady(rate));
        if self.codec != VideoCodec::Av1 {
            self.cuts = (self.gop != Gop::Time(span)).then_some(span);
            return Ok(());
        }
        // Its encoder takes no request for a key frame, and counts anew from those of its own.
        let frames = whole_frames(span, rate)?;
        self.scene_cuts = false;
        self.gop = Gop::Frames(match self.gop {
            Gop::Frames(most) => (1..=most.min(frames)).rev().find(|gop| frames % gop == 0).unwrap_or(1),
            Gop::Time(_) => frames,
        });
        Ok(())
    }
}

fn unless_too_small(width: i32, height: i32) -> Result<(), Failure> {
    if width >= LEAST_SIDE && height >= LEAST_SIDE {
        return Ok(());
    }
    Err(failure::data(
        ErrorReason::Unsupported,
        format!("a film cannot have pictures of {width}x{height} pixels"),
        "set width_px and height_px to 16 or more, with allow_upscale and fit PAD, or take a snapshot instead",
    ))
}

/// A multiple of a frame rate at which no picture stands too long.
fn lively((num, den): (i32, i32)) -> (i32, i32) {
    let step = Duration::from_secs_f64(f64::from(den.max(1)) / f64::from(num.max(1)));
    let times = step.as_nanos().div_ceil(LONGEST_STAND.as_nanos());
    (num.saturating_mul(i32::try_from(times).unwrap_or(1).max(1)), den)
}

/// A frame rate that no header tells wrong: not more than usual, and not so little that pictures stand too long.
fn steady((num, den): (i32, i32)) -> (i32, i32) {
    if num / den.max(1) >= USUAL_RATE.0 {
        USUAL_RATE
    } else {
        lively((num, den))
    }
}

/// A wanted frame rate must give each segment a picture.
fn unless_slower(rate: Option<(i32, i32)>, span: Duration) -> Result<(), Failure> {
    let step = rate.map_or(0.0, |(num, den)| f64::from(den) / f64::from(num.max(1)));
    if step <= span.as_secs_f64() {
        return Ok(());
    }
    Err(failure::data(
        ErrorReason::Unsupported,
        format!(
            "at this frame rate a picture lasts {step:.3} s, and a segment {:.3} s",
            span.as_secs_f64()
        ),
        "choose a higher frame_rate, longer segments, or no frame rate",
    ))
}

/// Frames of a span, for an encoder that counts them.
fn whole_frames(span: Duration, (num, den): (i32, i32)) -> Result<i32, Failure> {
    let (num, den) = (i64::from(num.max(1)), i64::from(den.max(1)));
    let per_second = num as f64 / den as f64;
    let frames = span.as_secs_f64() * per_second;
    if (frames - frames.round()).abs() < 0.001 {
        return Ok((frames.round() as i32).max(1));
    }
    // The fewest frames that last whole milliseconds.
    let step = (num / gcd(num, den * 1000)) as f64;
    let good = (frames / step).round().max(1.0) * step / per_second;
    Err(failure::data(
        ErrorReason::Unsupported,
        format!(
            "segments of {} s are not whole frames at {per_second:.3} frames per second, which AV1's encoder needs: {good:.3} s are",
            span.as_secs_f64()
        ),
        &format!("set segment_duration to {good:.3}s"),
    ))
}

fn gcd(one: i64, other: i64) -> i64 {
    if other == 0 { one } else { gcd(other, one % other) }
}

/// Frame rates that MPEG-2 has (ISO/IEC 13818-2, table 6-4).
const MPEG2_RATES: &[(i32, i32)] = &[
    (24_000, 1_001),
    (24, 1),
    (25, 1),
    (30_000, 1_001),
    (30, 1),
    (50, 1),
    (60_000, 1_001),
    (60, 1),
];

fn frame_rate_of(settings: &VideoSettings, stream: &MediaStream) -> Result<Option<(i32, i32)>, Failure> {
    let wanted = settings
        .frame_rate_num
        .map(|num| (num, settings.frame_rate_den.unwrap_or(1).max(1)));
    if settings.codec() != VideoCodec::Mpeg2 {
        return Ok(wanted);
    }
    let per_second = |(num, den): (i32, i32)| f64::from(num) / f64::from(den.max(1));
    let rate = per_second(wanted.or_else(|| frame_rate(Some(stream))).unwrap_or((25, 1)));
    let distance = |known: &(i32, i32)| (per_second(*known) - rate).abs();
    let nearest = MPEG2_RATES
        .iter()
        .copied()
        .min_by(|one, other| distance(one).total_cmp(&distance(other)));
    if wanted.is_some() && nearest.is_none_or(|known| distance(&known) > 0.01) {
        return Err(failure::data(
            ErrorReason::Unsupported,
            format!("MPEG-2 has no {rate:.3} frames per second"),
            "choose 24, 25, 30, 50 or 60, or 1001 as the denominator of 24000, 30000 or 60000",
        ));
    }
    Ok(nearest)
}

/// Constant rate factor that looks about alike in all codecs.
fn usual_crf(codec: VideoCodec) -> i32 {
    match codec {
        VideoCodec::H265 => 28,
        VideoCodec::Av1 | VideoCodec::Vp9 => 32,
        VideoCodec::Vp8 => 20,
        VideoCodec::Mpeg2 => 8,
        _ => 23,
    }
}

fn rate(settings: &VideoSettings) -> Rate {
    let crf = settings.crf.unwrap_or(usual_crf(settings.codec()));
    let bps = settings.bitrate_bps();
    match (settings.rate_control(), settings.max_bitrate_bps) {
        (RateControl::Vbr, max_bps) => Rate::Average { bps, max_bps },
        (RateControl::Cbr, _) => Rate::Constant { bps },
        (RateControl::CappedCrf, Some(max_bps)) => Rate::CappedCrf { crf, max_bps },
        _ => Rate::Crf(crf),
    }
}

fn gop(settings: &VideoSettings) -> Gop {
    match settings.gop_duration.and_then(|span| Duration::try_from(span).ok()) {
        Some(span) if !span.is_zero() => Gop::Time(span),
        _ => Gop::Frames(settings.gop_frames.unwrap_or(USUAL_GOP).max(1)),
    }
}

/// Two encoders take no request for a key frame: for them time becomes frames.
fn counted(gop: Gop, codec: VideoCodec, rate: Option<(i32, i32)>) -> Gop {
    match (gop, codec) {
        (Gop::Time(span), VideoCodec::Av1 | VideoCodec::Mpeg2) => {
            let (num, den) = rate.unwrap_or((25, 1));
            Gop::Frames(((span.as_secs_f64() * f64::from(num) / f64::from(den.max(1))).round() as i32).max(1))
        }
        _ => gop,
    }
}

/// The shape of the picture that video settings ask for.
fn look(settings: &VideoSettings, stream: &MediaStream, bit_depth: i32) -> Result<Look, Failure> {
    let frame = match &settings.crop {
        Some(area) => Frame::of(stream).cut_to(stream, area).ok_or_else(|| outside(area, stream))?,
        None => Frame::of(stream),
    };
    let rotation_deg = settings.rotation_deg.unwrap_or(0);
    let frame = frame.turned(rotation_deg);
    let (width, height) = frame.sides(settings.size_basis(), settings.width_px, settings.height_px);
    let geometry = Geometry::resolve(frame, width, height, settings.fit(), settings.allow_upscale(), 2);
    let progressive = stream.video.as_ref().is_none_or(|video| !video.interlaced);
    let format = if bit_depth > 8 { "I420_10LE" } else { "I420" };
    Ok(Look {
        deinterlace: settings.deinterlace() == Deinterlace::On && progressive,
        crop: settings.crop.map(|area| Area {
            area,
            of: crate::rules::pixels(stream),
        }),
        rotation_deg,
        flip: settings.flip(),
        lanczos: settings.enhancement.as_ref().is_some_and(|wanted| wanted.lanczos()),
        fill: match settings.pad_fill() {
            PadFill::Unspecified => PadFill::Black,
            fill => fill,
        },
        tone_map: tone_map(settings, stream, bit_depth)?,
        ..Look::plain(geometry, format)
    })
}

fn outside(area: &CropArea, stream: &MediaStream) -> Failure {
    let (width, height) = crate::rules::pixels(stream);
    failure::data(
        ErrorReason::Unsupported,
        format!(
            "the area {}x{} at ({}, {}) does not lie in the input's picture of {width}x{height}",
            area.width_px, area.height_px, area.left_px, area.top_px
        ),
        "choose crop within the upright picture, or leave it out",
    )
}

/// What is mapped, by the policy for high dynamic range.
fn tone_map(settings: &VideoSettings, stream: &MediaStream, bit_depth: i32) -> Result<Option<Hdr>, Failure> {
    let Some(hdr) = Hdr::of(stream) else { return Ok(None) };
    let policy = match settings.hdr() {
        HdrPolicy::Unspecified if bit_depth > 8 => HdrPolicy::Keep,
        HdrPolicy::Unspecified => HdrPolicy::ToneMap,
        policy => policy,
    };
    match policy {
        HdrPolicy::Keep if bit_depth > 8 => Ok(None),
        HdrPolicy::Keep => Err(failure::data(
            ErrorReason::Unsupported,
            "8 bits cannot keep the input's high dynamic range",
            "set bit_depth to 10, or hdr to TONE_MAP",
        )),
        HdrPolicy::Refuse => Err(failure::data(
            ErrorReason::Unsupported,
            "the input has high dynamic range, which the settings refuse",
            "set hdr to TONE_MAP or KEEP to take it",
        )),
        _ => Ok(Some(hdr)),
    }
}
