//! Levels: whether the settings fit the one that is asked for.

use mps_proto::v1::{VideoCodec, VideoSettings};

use crate::{
    faults::shown,
    overrides::SettingsFaults,
    tables::{Level, levels},
};

/// Gives the level in the table's writing ("4.0" is "4").
pub(super) fn check(settings: &VideoSettings, codec: VideoCodec, faults: &mut SettingsFaults) -> Option<String> {
    let asked = settings.level.as_deref()?;
    let table = levels(codec);
    let written = asked.strip_suffix(".0").unwrap_or(asked);
    let Some(level) = table.iter().find(|level| level.name == written) else {
        let (codec, asked) = (codec.as_str_name(), shown(asked));
        let names: Vec<&str> = table.iter().map(|level| level.name).collect();
        let why = match names.as_slice() {
            [] => format!("must be unset: {codec} has no level to choose"),
            _ => format!("{asked} is no level of {codec}, which has {}", names.join(", ")),
        };
        faults.add("level", why);
        return settings.level.clone();
    };
    if let Some(fault) = fault_of(settings, level) {
        faults.add("level", fault);
    }
    Some(level.name.to_owned())
}

/// What of the settings is more than the level holds. What follows from the input the worker checks.
fn fault_of(settings: &VideoSettings, level: &Level) -> Option<String> {
    let name = level.name;
    let bitrate = settings.max_bitrate_bps.or(settings.bitrate_bps);
    if let Some(bitrate) = bitrate.filter(|bitrate| *bitrate > level.bitrate_bps) {
        return Some(format!("{name} holds {} bit/s, not {bitrate}", level.bitrate_bps));
    }
    // Smaller pictures may come out of a box unless it is filled, but then the box should be smaller too.
    let (width, height) = (i64::from(settings.width_px?), i64::from(settings.height_px?));
    if width.saturating_mul(height) > level.samples {
        return Some(format!("{name} holds {} samples a picture, not {width}×{height}", level.samples));
    }
    let (num, den) = (i64::from(settings.frame_rate_num?), i64::from(settings.frame_rate_den.unwrap_or(1)));
    if width.saturating_mul(height).saturating_mul(num) > level.samples_per_second.saturating_mul(den.max(1)) {
        return Some(format!("{name} does not hold {width}×{height} at {num}/{den} frames per second"));
    }
    None
}
