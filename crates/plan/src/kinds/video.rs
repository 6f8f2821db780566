//! Settings of a video stream.

use mps_proto::v1::{EncoderSpeed, RateControl, VideoCodec, VideoSettings};

use super::{
    offsets,
    size::{self, Size},
};
use crate::{
    faults::shown,
    overrides::{Fields, SettingsFaults, fields},
    tables,
};

const DEFAULT_GOP_FRAMES: i32 = 250;
const MAX_GOP_FRAMES: i32 = 1000;
const MAX_FRAME_RATE: i64 = 240;
const NANOS: i128 = 1_000_000_000;

fields!(VideoSettings {
    codec,
    rate_control,
    crf,
    bitrate_bps,
    width_px,
    height_px,
    fit,
    allow_upscale,
    frame_rate_num,
    frame_rate_den,
    gop_frames,
    gop_duration,
    profile,
    speed,
    max_bitrate_bps,
    level,
    b_frames,
    scene_cuts,
    bit_depth,
    size_basis,
    pad_fill,
    crop,
    rotation_deg,
    flip,
    hdr,
    deinterlace,
    enhancement
});

/// Checks settings and fills in every default; size and frame rate follow the input where they are unset.
pub(super) fn settle(settings: VideoSettings, faults: &mut SettingsFaults) -> VideoSettings {
    let codec = faults.choice("video.codec", settings.codec, VideoCodec::H264);
    if codec == VideoCodec::Copy {
        refuse_encoding(&settings, faults);
        return VideoSettings {
            codec: Some(codec.into()),
            ..Default::default()
        };
    }
    let rate_control = faults.choice("video.rate_control", settings.rate_control, RateControl::Crf);
    let crf = check_rate(&settings, codec, rate_control, faults);
    let fit = size::check(
        &Size {
            prefix: "video.",
            width: settings.width_px,
            height: settings.height_px,
            fit: settings.fit,
            least: 16,
            even: true,
        },
        faults,
    );
    check_frame_rate(&settings, faults);
    check_gop(&settings, faults);
    let profile = check_profile(&settings, codec, faults);
    let speed = faults.choice("video.speed", settings.speed, EncoderSpeed::Fast);
    let gop_default = settings.gop_duration.is_none().then_some(DEFAULT_GOP_FRAMES);
    VideoSettings {
        codec: Some(codec.into()),
        rate_control: Some(rate_control.into()),
        crf,
        fit: Some(fit.into()),
        allow_upscale: Some(settings.allow_upscale.unwrap_or(false)),
        frame_rate_den: settings.frame_rate_num.map(|_| settings.frame_rate_den.unwrap_or(1)),
        gop_frames: settings.gop_frames.or(gop_default),
        profile: Some(profile),
        speed: Some(speed.into()),
        ..settings
    }
}

/// A copied stream cannot be changed: every other setting would be ignored.
fn refuse_encoding(settings: &VideoSettings, faults: &mut SettingsFaults) {
    for name in settings.set_names().into_iter().filter(|name| *name != "codec") {
        faults.add(
            &format!("video.{name}"),
            "must be unset: VIDEO_CODEC_COPY keeps the stream as it is",
        );
    }
}

/// Gives the effective CRF.
fn check_rate(settings: &VideoSettings, codec: VideoCodec, rate_control: RateControl, faults: &mut SettingsFaults) -> Option<i32> {
    faults.range("video.crf", settings.crf, 0, 51);
    faults.range("video.bitrate_bps", settings.bitrate_bps, 10_000, 100_000_000);
    if rate_control == RateControl::Vbr {
        faults.unset("video.crf", settings.crf, "must be unset with RATE_CONTROL_VBR");
        if settings.bitrate_bps.is_none() {
            faults.add("video.bitrate_bps", "must be set with RATE_CONTROL_VBR");
        }
        return None;
    }
    let why = "must be unset with RATE_CONTROL_CRF; set video.rate_control to RATE_CONTROL_VBR to use it";
    faults.unset("video.bitrate_bps", settings.bitrate_bps, why);
    Some(settings.crf.unwrap_or(tables::default_crf(codec)))
}

fn check_frame_rate(settings: &VideoSettings, faults: &mut SettingsFaults) {
    let den = settings.frame_rate_den;
    if den.is_some_and(|den| den < 1) {
        faults.add("video.frame_rate_den", "must be at least 1");
    }
    let Some(num) = settings.frame_rate_num else {
        faults.unset("video.frame_rate_den", den, "needs frame_rate_num");
        return;
    };
    if num < 1 {
        faults.add("video.frame_rate_num", "must be at least 1");
    } else if i64::from(num) > MAX_FRAME_RATE * i64::from(den.unwrap_or(1).max(1)) {
        faults.add(
            "video.frame_rate_num",
            format!("gives more than {MAX_FRAME_RATE} frames per second"),
        );
    }
}

fn check_gop(settings: &VideoSettings, faults: &mut SettingsFaults) {
    faults.range("video.gop_frames", settings.gop_frames, 1, MAX_GOP_FRAMES);
    let Some(duration) = &settings.gop_duration else {
        return;
    };
    faults.unset("video.gop_frames", settings.gop_frames, "excludes gop_duration: set one of them");
    let nanos = match offsets::nanos(duration) {
        Ok(nanos) if nanos > 0 => nanos,
        Ok(_) => return faults.add("video.gop_duration", "must be longer than 0"),
        Err(fault) => return faults.add("video.gop_duration", fault),
    };
    let Some(num) = settings.frame_rate_num else {
        return faults.add("video.gop_duration", "needs a frame rate: set frame_rate_num");
    };
    let den = i128::from(settings.frame_rate_den.unwrap_or(1).max(1));
    let frames = nanos.saturating_mul(num.into()) / (NANOS * den);
    if !(1..=i128::from(MAX_GOP_FRAMES)).contains(&frames) {
        faults.add(
            "video.gop_duration",
            format!("is {frames} frames; 1 to {MAX_GOP_FRAMES} is allowed"),
        );
    }
}

/// Gives the effective profile.
fn check_profile(settings: &VideoSettings, codec: VideoCodec, faults: &mut SettingsFaults) -> String {
    let profiles = tables::profiles(codec);
    let default = profiles.first().copied().unwrap_or_default();
    let profile = settings.profile.as_deref().unwrap_or(default);
    if !profiles.contains(&profile) {
        let codec = codec.as_str_name();
        let fitting = profiles.join(", ");
        faults.add(
            "video.profile",
            format!("{} does not fit {codec}, which has {fitting}", shown(profile)),
        );
    }
    profile.to_owned()
}

/// Forgets what stands or falls with `name`, which is about to be replaced.
pub(super) fn forget_dependents(video: &mut VideoSettings, name: &str, from: Option<&VideoSettings>) {
    match name {
        "codec" => {
            let codec = from.map_or(VideoCodec::Unspecified, VideoSettings::codec);
            if codec == VideoCodec::Copy {
                *video = VideoSettings::default();
            } else if codec != video.codec() {
                (video.crf, video.profile) = (None, None);
            }
        }
        "rate_control" => (video.crf, video.bitrate_bps) = (None, None),
        "gop_frames" => video.gop_duration = None,
        "gop_duration" => video.gop_frames = None,
        "frame_rate_num" => video.frame_rate_den = None,
        _ => {}
    }
}

/// Cost of encoding, by area and codec.
pub(super) fn cost(video: &VideoSettings) -> f64 {
    const LINES: f64 = 720.0;
    const WIDTH: f64 = 1280.0;
    let lines = match (video.width_px, video.height_px) {
        (_, Some(height)) => f64::from(height) / LINES,
        (Some(width), None) => f64::from(width) / WIDTH,
        // The input's size, which nobody has looked at yet.
        (None, None) => 1.0,
    };
    let codec = if video.codec() == VideoCodec::H265 { 3.0 } else { 1.0 };
    (lines * lines).clamp(0.2, 10.0) * codec
}
