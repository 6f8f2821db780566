//! Picture sizes: what video and pictures share.

use mps_proto::v1::Fit;

use crate::overrides::SettingsFaults;

pub(super) const LARGEST: i32 = 8192;

/// Size settings by the paths of their fields.
pub(super) struct Size<'a> {
    /// `video.` or empty.
    pub prefix: &'a str,
    pub width: Option<i32>,
    pub height: Option<i32>,
    pub fit: Option<i32>,
    pub least: i32,
    /// 4:2:0 video has no odd sides.
    pub even: bool,
}

/// Checks both sides and gives the fit.
pub(super) fn check(size: &Size, faults: &mut SettingsFaults) -> Fit {
    let path = |name: &str| format!("{}{name}", size.prefix);
    for (name, side) in [("width_px", size.width), ("height_px", size.height)] {
        faults.range(&path(name), side, size.least, LARGEST);
        if size.even && side.is_some_and(|side| side % 2 != 0) {
            faults.add(&path(name), "must be even");
        }
    }
    let fit = faults.choice(&path("fit"), size.fit, Fit::Contain);
    if fit != Fit::Contain && (size.width.is_none() || size.height.is_none()) {
        faults.add(&path("fit"), "needs both width_px and height_px");
    }
    fit
}
