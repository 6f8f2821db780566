//! Settings of pictures: what snapshots, sampled snapshots and covers share.

use mps_proto::v1::{Fit, ImageFormat, SnapshotSettings, node_settings::Settings};

use super::size::{self, LARGEST, Size};
use crate::{
    fields::fields,
    overrides::{KindSettings, SettingsFaults},
};

const DEFAULT_QUALITY: i32 = 85;
const LEAST_SIDE: i32 = 8;

fields!(SnapshotSettings {
    format,
    width_px,
    height_px,
    fit,
    quality,
    pad_fill,
    size_basis
});

impl KindSettings for SnapshotSettings {
    const KIND: &'static str = "snapshot";

    fn settle(self, faults: &mut SettingsFaults) -> Self {
        let format = faults.choice("format", self.format, ImageFormat::Jpeg);
        let size = Size {
            width: ("width_px", self.width_px),
            height: ("height_px", self.height_px),
            fit: self.fit,
            default_fit: Fit::Contain,
            pad_fill: self.pad_fill,
            least: LEAST_SIDE,
            most: LARGEST,
            even: false,
        };
        let fitting = size::check(&size, faults);
        Self {
            format: Some(format.into()),
            fit: fitting.fit,
            pad_fill: fitting.pad_fill,
            size_basis: size::basis(self.size_basis, self.width_px, self.height_px, faults),
            quality: quality(format, self.quality, faults),
            ..self
        }
    }

    fn forget_dependents(&mut self, path: &str, from: &Self) {
        match path {
            "format" if from.format() == ImageFormat::Png => self.quality = None,
            "fit" if from.fit() != Fit::Pad => self.pad_fill = None,
            _ => {}
        }
    }

    fn from_settings(settings: &Settings) -> Option<&Self> {
        match settings {
            Settings::Snapshot(settings) => Some(settings),
            _ => None,
        }
    }
}

/// Quality of a lossy format.
pub(super) fn quality(format: ImageFormat, quality: Option<i32>, faults: &mut SettingsFaults) -> Option<i32> {
    faults.range("quality", quality, 1, 100);
    if format == ImageFormat::Png {
        faults.unset("quality", quality, "must be unset: PNG is lossless");
        return None;
    }
    Some(quality.unwrap_or(DEFAULT_QUALITY))
}
