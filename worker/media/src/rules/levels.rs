//! Levels of H.264 and H.265: what a picture of a size and rate needs at least.

use mps_proto::{
    v1::{ErrorReason, MediaStream, VideoCodec},
    worker::v1::Failure,
};

use super::frame_rate;
use crate::{failure, pass::encoders::VideoEncode};

/// A level, its largest picture, and its most per second: macroblocks (H.264, table A-1) or luma samples (H.265, tables A.8 and A.9).
type Level = (&'static str, u64, u64);

const H264: &[Level] = &[
    ("1", 99, 1_485),
    ("1.1", 396, 3_000),
    ("1.2", 396, 6_000),
    ("1.3", 396, 11_880),
    ("2", 396, 11_880),
    ("2.1", 792, 19_800),
    ("2.2", 1_620, 20_250),
    ("3", 1_620, 40_500),
    ("3.1", 3_600, 108_000),
    ("3.2", 5_120, 216_000),
    ("4", 8_192, 245_760),
    ("4.1", 8_192, 245_760),
    ("4.2", 8_704, 522_240),
    ("5", 22_080, 589_824),
    ("5.1", 36_864, 983_040),
    ("5.2", 36_864, 2_073_600),
    ("6", 139_264, 4_177_920),
    ("6.1", 139_264, 8_355_840),
    ("6.2", 139_264, 16_711_680),
];
const H265: &[Level] = &[
    ("1", 36_864, 552_960),
    ("2", 122_880, 3_686_400),
    ("2.1", 245_760, 7_372_800),
    ("3", 552_960, 16_588_800),
    ("3.1", 983_040, 33_177_600),
    ("4", 2_228_224, 66_846_720),
    ("4.1", 2_228_224, 133_693_440),
    ("5", 8_912_896, 267_386_880),
    ("5.1", 8_912_896, 534_773_760),
    ("5.2", 8_912_896, 1_069_547_520),
    ("6", 35_651_584, 1_069_547_520),
    ("6.1", 35_651_584, 2_139_095_040),
    ("6.2", 35_651_584, 4_278_190_080),
];

/// Refuses a level that the picture does not fit in. `pace`: pictures per second of a film without a rate, where they come quickest.
pub fn unless_exceeded(job: &VideoEncode, stream: &MediaStream, pace: Option<i32>) -> Result<(), Failure> {
    if job.level.is_empty() {
        return Ok(());
    }
    let levels = match job.codec {
        VideoCodec::H264 => H264,
        VideoCodec::H265 => H265,
        _ => return Ok(()),
    };
    let (width, height) = (job.look.geometry.width, job.look.geometry.height);
    let size = picture_size(job.codec, width, height);
    let (num, den) = job
        .frame_rate
        .or_else(|| frame_rate(Some(stream)))
        .unwrap_or((pace.unwrap_or(0), 1));
    let per_second = (size as f64 * f64::from(num) / f64::from(den.max(1))) as u64;
    let named = job.level.trim_end_matches(".0");
    let fits = |level: &&Level| size <= level.1 && per_second <= level.2;
    let wanted = levels.iter().find(|level| level.0 == named);
    if wanted.is_some_and(|level| fits(&level)) {
        return Ok(());
    }
    let least = levels.iter().find(fits).map_or("none", |level| level.0);
    Err(failure::data(
        ErrorReason::Unsupported,
        format!(
            "a picture of {width}x{height} at {num}/{den} frames per second does not fit in level {}",
            job.level
        ),
        &format!("choose level {least} or above, a smaller picture, or fewer frames"),
    ))
}

fn picture_size(codec: VideoCodec, width: i32, height: i32) -> u64 {
    let side = |pixels: i32| u64::try_from(pixels).unwrap_or(0);
    match codec {
        VideoCodec::H264 => side(width).div_ceil(16) * side(height).div_ceil(16),
        _ => side(width) * side(height),
    }
}
