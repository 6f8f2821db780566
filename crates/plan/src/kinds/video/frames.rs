//! Frame rate, distance of key frames, and length of a still picture.

use mps_proto::v1::VideoSettings;

use crate::{
    kinds::{nanos, offsets},
    overrides::SettingsFaults,
};

const DEFAULT_GOP_FRAMES: i32 = 250;
const MAX_GOP_FRAMES: i32 = 1000;
const MAX_FRAME_RATE: i64 = 240;
const LEAST_STILL_MS: i128 = 100;
const LONGEST_STILL_MS: i128 = 3_600_000;
const NANOS: i128 = 1_000_000_000;

pub(super) fn check_rate(settings: &VideoSettings, faults: &mut SettingsFaults) {
    let den = settings.frame_rate_den;
    if den.is_some_and(|den| den < 1) {
        faults.add("frame_rate_den", "must be at least 1");
    }
    let Some(num) = settings.frame_rate_num else {
        faults.unset("frame_rate_den", den, "needs frame_rate_num");
        return;
    };
    if num < 1 {
        faults.add("frame_rate_num", "must be at least 1");
    } else if i64::from(num) > MAX_FRAME_RATE * i64::from(den.unwrap_or(1).max(1)) {
        faults.add("frame_rate_num", format!("gives more than {MAX_FRAME_RATE} frames per second"));
    }
}

pub(super) fn check_still(settings: &VideoSettings, faults: &mut SettingsFaults) {
    if let Some(length) = &settings.still_duration {
        offsets::check_length("still_duration", length, LEAST_STILL_MS, LONGEST_STILL_MS, faults);
    }
}

/// Gives the effective distance in frames, where it is not set in time.
pub(super) fn check_gop(settings: &VideoSettings, is_rendition: bool, faults: &mut SettingsFaults) -> Option<i32> {
    if is_rendition {
        const WHY: &str = "must be unset: key frames follow from segment_duration";
        faults.unset("gop_frames", settings.gop_frames, WHY);
        faults.unset("gop_duration", settings.gop_duration, WHY);
        return None;
    }
    faults.range("gop_frames", settings.gop_frames, 1, MAX_GOP_FRAMES);
    if settings.gop_duration.is_some() {
        check_gop_duration(settings, faults);
        return settings.gop_frames;
    }
    Some(settings.gop_frames.unwrap_or(DEFAULT_GOP_FRAMES))
}

fn check_gop_duration(settings: &VideoSettings, faults: &mut SettingsFaults) {
    let Some(duration) = &settings.gop_duration else {
        return;
    };
    faults.unset("gop_frames", settings.gop_frames, "excludes gop_duration: set one of them");
    let nanos = match nanos(duration) {
        Ok(nanos) if nanos > 0 => nanos,
        Ok(_) => return faults.add("gop_duration", "must be longer than 0"),
        Err(fault) => return faults.add("gop_duration", fault),
    };
    let Some(num) = settings.frame_rate_num else {
        return faults.add("gop_duration", "needs a frame rate: set frame_rate_num");
    };
    let den = i128::from(settings.frame_rate_den.unwrap_or(1).max(1));
    let frames = nanos.saturating_mul(num.into()) / (NANOS * den);
    if !(1..=i128::from(MAX_GOP_FRAMES)).contains(&frames) {
        faults.add("gop_duration", format!("is {frames} frames; 1 to {MAX_GOP_FRAMES} is allowed"));
    }
}
