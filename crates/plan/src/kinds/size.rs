//! Picture sizes: what video and pictures share.

use mps_proto::v1::{Fit, PadFill, SizeBasis};

use crate::overrides::SettingsFaults;

pub(super) const LARGEST: i32 = 8192;

/// Size settings of a picture.
pub(super) struct Size {
    /// Name and value of each side.
    pub width: (&'static str, Option<i32>),
    pub height: (&'static str, Option<i32>),
    pub fit: Option<i32>,
    pub default_fit: Fit,
    pub pad_fill: Option<i32>,
    pub least: i32,
    pub most: i32,
    /// 4:2:0 video has no odd sides.
    pub even: bool,
}

/// Fit and fill of the bars, with defaults; bars are there with `FIT_PAD` only.
pub(super) struct Fitting {
    pub fit: Option<i32>,
    pub pad_fill: Option<i32>,
}

/// Checks both sides, the fit and the fill.
pub(super) fn check(size: &Size, faults: &mut SettingsFaults) -> Fitting {
    for (name, side) in [size.width, size.height] {
        faults.range(name, side, size.least, size.most);
        if size.even && side.is_some_and(|side| side % 2 != 0) {
            faults.add(name, "must be even");
        }
    }
    let has_box = size.width.1.is_some() && size.height.1.is_some();
    // A default that needs a box gives way where there is none.
    let default = if has_box { size.default_fit } else { Fit::Contain };
    let fit = faults.choice("fit", size.fit, default);
    if fit != Fit::Contain && !has_box {
        let (width, height) = (size.width.0, size.height.0);
        faults.add("fit", format!("needs both {width} and {height}"));
    }
    let fill = faults.choice("pad_fill", size.pad_fill, PadFill::Black);
    if fit != Fit::Pad {
        faults.unset(
            "pad_fill",
            size.pad_fill.filter(|fill| *fill != 0),
            "needs FIT_PAD: without it there are no bars",
        );
    }
    Fitting {
        fit: Some(fit.into()),
        pad_fill: (fit == Fit::Pad).then_some(fill.into()),
    }
}

/// What width and height mean, with its default.
pub(super) fn basis(basis: Option<i32>, width: Option<i32>, height: Option<i32>, faults: &mut SettingsFaults) -> Option<i32> {
    let chosen = faults.choice("size_basis", basis, SizeBasis::WidthHeight);
    if let (SizeBasis::LongShort, Some(width), Some(height)) = (chosen, width, height)
        && width < height
    {
        faults.add(
            "width_px",
            "is the long side with SIZE_BASIS_LONG_SHORT; it must not be less than height_px",
        );
    }
    Some(chosen.into())
}
