//! How bits are spent.

use mps_proto::v1::{RateControl, VideoCodec, VideoSettings};

use crate::{overrides::SettingsFaults, tables::VideoRule};

const LEAST: i64 = 10_000;
const MOST: i64 = 100_000_000;

/// Effective rate control.
pub(super) struct Rates {
    pub control: RateControl,
    pub crf: Option<i32>,
}

pub(super) fn check(settings: &VideoSettings, codec: VideoCodec, rule: &VideoRule, faults: &mut SettingsFaults) -> Rates {
    let default = if rule.crf.is_some() { RateControl::Crf } else { RateControl::Vbr };
    let control = faults.choice("rate_control", settings.rate_control, default);
    let is_quality = matches!(control, RateControl::Crf | RateControl::CappedCrf);
    if is_quality && rule.crf.is_none() {
        let codec = codec.as_str_name();
        faults.add(
            "rate_control",
            format!("must be RATE_CONTROL_VBR or RATE_CONTROL_CBR: {codec} has no constant quality"),
        );
    }
    faults.range("bitrate_bps", settings.bitrate_bps, LEAST, MOST);
    faults.range("max_bitrate_bps", settings.max_bitrate_bps, LEAST, MOST);
    check_bitrates(settings, control, faults);
    let crf = check_crf(settings.crf, rule, control, is_quality, faults);
    Rates { control, crf }
}

fn check_crf(crf: Option<i32>, rule: &VideoRule, control: RateControl, is_quality: bool, faults: &mut SettingsFaults) -> Option<i32> {
    let (most, default) = rule.crf.unwrap_or((51, 0));
    faults.range("crf", crf, 0, most);
    if is_quality {
        return rule.crf.map(|_| crf.unwrap_or(default));
    }
    faults.unset("crf", crf, &format!("must be unset with {}", control.as_str_name()));
    None
}

fn check_bitrates(settings: &VideoSettings, control: RateControl, faults: &mut SettingsFaults) {
    let name = control.as_str_name();
    let (average, peak) = (settings.bitrate_bps, settings.max_bitrate_bps);
    let takes_average = matches!(control, RateControl::Vbr | RateControl::Cbr);
    let takes_peak = matches!(control, RateControl::Vbr | RateControl::CappedCrf);
    if takes_average && average.is_none() {
        faults.add("bitrate_bps", format!("must be set with {name}"));
    }
    if !takes_average {
        let why = format!("must be unset with {name}; set rate_control to RATE_CONTROL_VBR to use it");
        faults.unset("bitrate_bps", average, &why);
    }
    if control == RateControl::CappedCrf && peak.is_none() {
        faults.add("max_bitrate_bps", format!("must be set with {name}"));
    }
    if !takes_peak {
        let why = format!("must be unset with {name}; RATE_CONTROL_CAPPED_CRF and RATE_CONTROL_VBR use it");
        faults.unset("max_bitrate_bps", peak, &why);
    }
    if let (RateControl::Vbr, Some(average), Some(peak)) = (control, average, peak)
        && peak < average
    {
        faults.add("max_bitrate_bps", "must not be less than bitrate_bps");
    }
}
