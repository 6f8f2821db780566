//! Settings of a video stream.

mod frames;
mod level;
mod picture;
mod rate;

use mps_proto::v1::{Deinterlace, EncoderSpeed, Fit, Flip, VideoCodec, VideoEnhancement, VideoSettings};

use super::size::{self, LARGEST, Size};
use crate::{
    capabilities::ENHANCE_VIDEO,
    faults::shown,
    fields::{Fields, fields},
    overrides::SettingsFaults,
    tables::{self, VideoRule},
};

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
    enhancement: VideoEnhancement,
    still_duration
});

fields!(VideoEnhancement {
    denoise,
    sharpen,
    color,
    low_light,
    lanczos
});

/// What the place that the stream goes to takes.
#[derive(Clone, Copy)]
pub(super) struct Takes<'a> {
    /// The default first.
    pub codecs: &'a [VideoCodec],
    /// Name of the place in descriptions.
    pub place: &'a str,
    /// Whether key frames follow from segments.
    pub is_rendition: bool,
}

impl<'a> Takes<'a> {
    pub fn of_container(rule: &'a tables::ContainerRule) -> Self {
        Self {
            codecs: rule.video,
            place: rule.container.as_str_name(),
            is_rendition: false,
        }
    }
}

/// Checks settings and fills in every default; size and frame rate follow the input where they are unset.
pub(super) fn settle(settings: VideoSettings, takes: Takes, faults: &mut SettingsFaults) -> VideoSettings {
    let default = takes.codecs.first().copied().unwrap_or(VideoCodec::H264);
    let codec = faults.choice("codec", settings.codec, default);
    if !takes.codecs.is_empty() && !takes.codecs.contains(&codec) {
        let (codec, place) = (codec.as_str_name(), takes.place);
        let fitting: Vec<&str> = takes.codecs.iter().map(VideoCodec::as_str_name).collect();
        faults.add(
            "codec",
            format!("{codec} does not fit {place}, which takes {}", fitting.join(" and ")),
        );
    }
    let Some(rule) = tables::video_rule(codec) else {
        refuse_encoding(&settings, faults);
        return VideoSettings {
            codec: Some(codec.into()),
            ..Default::default()
        };
    };
    settle_encoded(settings, codec, rule, takes, faults)
}

fn settle_encoded(
    settings: VideoSettings,
    codec: VideoCodec,
    rule: &VideoRule,
    takes: Takes,
    faults: &mut SettingsFaults,
) -> VideoSettings {
    let rates = rate::check(&settings, codec, rule, faults);
    let fitting = size::check(&video_size(&settings), faults);
    frames::check_rate(&settings, faults);
    frames::check_still(&settings, faults);
    let gop_frames = frames::check_gop(&settings, takes.is_rendition, faults);
    let bit_depth = check_bit_depth(&settings, codec, rule, faults);
    let profile = check_profile(&settings, codec, rule, bit_depth, faults);
    let level = level::check(&settings, codec, faults);
    check_b_frames(&settings, codec, rule, profile.as_deref(), faults);
    let speed = faults.choice("speed", settings.speed, EncoderSpeed::Fast);
    picture::check_crop(settings.crop.as_ref(), faults);
    let hdr = picture::check_hdr(settings.hdr, codec, rule, bit_depth, faults);
    let flip = faults.choice("flip", settings.flip, Flip::None);
    let deinterlace = faults.choice("deinterlace", settings.deinterlace, Deinterlace::Auto);
    VideoSettings {
        codec: Some(codec.into()),
        rate_control: Some(rates.control.into()),
        crf: rates.crf,
        fit: fitting.fit,
        pad_fill: fitting.pad_fill,
        size_basis: size::basis(settings.size_basis, settings.width_px, settings.height_px, faults),
        allow_upscale: Some(settings.allow_upscale.unwrap_or(false)),
        frame_rate_den: settings.frame_rate_num.map(|_| settings.frame_rate_den.unwrap_or(1)),
        gop_frames,
        profile,
        level,
        speed: Some(speed.into()),
        scene_cuts: Some(settings.scene_cuts.unwrap_or(true)),
        bit_depth: Some(bit_depth),
        rotation_deg: Some(picture::check_rotation(settings.rotation_deg, faults)),
        flip: Some(flip.into()),
        hdr: Some(hdr.into()),
        deinterlace: Some(deinterlace.into()),
        enhancement: settings
            .enhancement
            .map(|enhancement| picture::settle_enhancement(enhancement, &mut faults.below("enhancement"))),
        ..settings
    }
}

fn video_size(settings: &VideoSettings) -> Size {
    Size {
        width: ("width_px", settings.width_px),
        height: ("height_px", settings.height_px),
        fit: settings.fit,
        default_fit: Fit::Contain,
        pad_fill: settings.pad_fill,
        least: 16,
        most: LARGEST,
        even: true,
    }
}

/// A copied stream cannot be changed: every other setting would be ignored.
fn refuse_encoding(settings: &VideoSettings, faults: &mut SettingsFaults) {
    for name in settings.set_names().into_iter().filter(|name| *name != "codec") {
        faults.add(name, "must be unset: VIDEO_CODEC_COPY keeps the stream as it is");
    }
}

fn check_bit_depth(settings: &VideoSettings, codec: VideoCodec, rule: &VideoRule, faults: &mut SettingsFaults) -> i32 {
    match settings.bit_depth {
        None | Some(8) => 8,
        Some(10) => {
            if rule.encoder_10.is_none() {
                faults.add("bit_depth", format!("must be 8: {} has no 10 bit", codec.as_str_name()));
            }
            10
        }
        Some(other) => {
            faults.add("bit_depth", format!("is {other}; 8 and 10 are allowed"));
            8
        }
    }
}

/// Gives the effective profile; a codec without choice has none.
fn check_profile(
    settings: &VideoSettings,
    codec: VideoCodec,
    rule: &VideoRule,
    bit_depth: i32,
    faults: &mut SettingsFaults,
) -> Option<String> {
    let profiles = if bit_depth == 10 { rule.profiles_10 } else { rule.profiles };
    let Some(profile) = settings.profile.as_deref() else {
        return profiles.first().map(ToString::to_string);
    };
    if !profiles.contains(&profile) {
        let (codec, profile) = (codec.as_str_name(), shown(profile));
        let why = match profiles {
            [] => format!("must be unset: {codec} has no profile to choose"),
            _ => format!(
                "{profile} does not fit {codec} of {bit_depth} bit, which has {}",
                profiles.join(", ")
            ),
        };
        faults.add("profile", why);
    }
    Some(profile.to_owned())
}

fn check_b_frames(settings: &VideoSettings, codec: VideoCodec, rule: &VideoRule, profile: Option<&str>, faults: &mut SettingsFaults) {
    faults.range("b_frames", settings.b_frames, 0, 16);
    if !rule.has_b_frames {
        let why = format!("must be unset: {} has no B-frames to set", codec.as_str_name());
        faults.unset("b_frames", settings.b_frames, &why);
    }
    if profile == Some("baseline") && settings.b_frames.is_some_and(|frames| frames > 0) {
        faults.add("b_frames", "must be 0 or unset: the baseline profile has none");
    }
}

/// Forgets what stands or falls with `name`, which is about to be replaced.
pub(super) fn forget_dependents(video: &mut VideoSettings, name: &str, from: Option<&VideoSettings>) {
    let wanted = from.cloned().unwrap_or_default();
    match name {
        "codec" if wanted.codec() == VideoCodec::Copy => *video = VideoSettings::default(),
        "codec" if wanted.codec() != video.codec() => {
            (video.crf, video.profile, video.level, video.b_frames, video.hdr) = (None, None, None, None, None);
        }
        "bit_depth" if wanted.bit_depth() != video.bit_depth.unwrap_or(8) => (video.profile, video.hdr) = (None, None),
        "rate_control" => (video.crf, video.bitrate_bps, video.max_bitrate_bps) = (None, None, None),
        "gop_frames" => video.gop_duration = None,
        "gop_duration" => video.gop_frames = None,
        "frame_rate_num" => video.frame_rate_den = None,
        "fit" if wanted.fit() != Fit::Pad => video.pad_fill = None,
        _ => {}
    }
}

/// What a worker must be able to do.
pub(super) fn requirements(video: &VideoSettings) -> Vec<&'static str> {
    let Some(rule) = tables::video_rule(video.codec()) else {
        return Vec::new();
    };
    let encoder = match rule.encoder_10 {
        Some(encoder_10) if video.bit_depth() == 10 => encoder_10,
        _ => rule.encoder,
    };
    let enhancement = video.enhancement.unwrap_or_default();
    let is_enhanced = enhancement.denoise.is_some()
        || enhancement.sharpen.is_some()
        || enhancement.color.is_some()
        || enhancement.low_light.unwrap_or(false);
    [Some(encoder), is_enhanced.then_some(ENHANCE_VIDEO)]
        .into_iter()
        .flatten()
        .collect()
}

/// Cost of encoding, by area, codec and speed.
pub(super) fn cost(video: &VideoSettings) -> f64 {
    const LINES: f64 = 720.0;
    const WIDTH: f64 = 1280.0;
    let lines = match (video.width_px, video.height_px) {
        (_, Some(height)) => f64::from(height) / LINES,
        (Some(width), None) => f64::from(width) / WIDTH,
        // The input's size, which nobody has looked at yet.
        (None, None) => 1.0,
    };
    let speed = match video.speed() {
        EncoderSpeed::Fastest => 0.7,
        EncoderSpeed::Medium => 2.0,
        EncoderSpeed::Slow => 4.0,
        EncoderSpeed::Fast | EncoderSpeed::Unspecified => 1.0,
    };
    let codec = tables::video_rule(video.codec()).map_or(1.0, |rule| rule.cost);
    (lines * lines).clamp(0.2, 10.0) * codec * speed
}
