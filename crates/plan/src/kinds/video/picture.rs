//! What is done to the picture before it is encoded.

use mps_proto::v1::{CropArea, HdrPolicy, VideoCodec, VideoEnhancement, video_enhancement::Strength};

use crate::{kinds::size::LARGEST, overrides::SettingsFaults, tables::VideoRule};

const LEAST_CROP: i32 = 16;

pub(super) fn check_crop(crop: Option<&CropArea>, faults: &mut SettingsFaults) {
    let Some(crop) = crop else {
        return;
    };
    let mut faults = faults.below("crop");
    faults.range("left_px", Some(crop.left_px), 0, LARGEST);
    faults.range("top_px", Some(crop.top_px), 0, LARGEST);
    faults.range("width_px", Some(crop.width_px), LEAST_CROP, LARGEST);
    faults.range("height_px", Some(crop.height_px), LEAST_CROP, LARGEST);
}

pub(super) fn check_rotation(rotation: Option<i32>, faults: &mut SettingsFaults) -> i32 {
    let degrees = rotation.unwrap_or(0);
    if ![0, 90, 180, 270].contains(&degrees) {
        faults.add("rotation_deg", format!("is {degrees}; 0, 90, 180 and 270 are allowed"));
    }
    degrees
}

/// Gives the effective policy.
pub(super) fn check_hdr(hdr: Option<i32>, codec: VideoCodec, rule: &VideoRule, bit_depth: i32, faults: &mut SettingsFaults) -> HdrPolicy {
    let can_keep = rule.holds_hdr && bit_depth == 10;
    let default = if can_keep { HdrPolicy::Keep } else { HdrPolicy::ToneMap };
    let policy = faults.choice("hdr", hdr, default);
    if policy == HdrPolicy::Keep && !can_keep {
        let codec = codec.as_str_name();
        faults.add(
            "hdr",
            format!("HDR_POLICY_KEEP needs bit_depth 10 with H.265, AV1 or VP9, not {codec} of {bit_depth} bit"),
        );
    }
    policy
}

pub(super) fn settle_enhancement(settings: VideoEnhancement, faults: &mut SettingsFaults) -> VideoEnhancement {
    let denoise = strength("denoise", settings.denoise, faults);
    let color = strength("color", settings.color, faults);
    if settings.sharpen.is_some_and(|sharpen| !(sharpen > 0.0 && sharpen <= 1.0)) {
        faults.add("sharpen", "must be above 0 and at most 1");
    }
    VideoEnhancement {
        denoise,
        sharpen: settings.sharpen,
        color,
        low_light: Some(settings.low_light.unwrap_or(false)),
        lanczos: Some(settings.lanczos.unwrap_or(false)),
    }
}

/// Unset means not.
fn strength(name: &str, value: Option<i32>, faults: &mut SettingsFaults) -> Option<i32> {
    let value = value.filter(|value| *value != 0)?;
    Some(faults.choice(name, Some(value), Strength::Normal).into())
}
