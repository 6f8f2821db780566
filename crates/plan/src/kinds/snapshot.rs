//! Snapshot nodes: pictures at given offsets.

use mps_proto::{
    v1::{ImageFormat, NodeSettings, SnapshotNode, SnapshotSettings, node::Operation, node_settings::Settings, snapshot_node},
    worker::v1::PlanNode,
};

use super::{
    Draft, Kind,
    offsets::check_offset,
    path_or,
    size::{self, Size},
};
use crate::{
    faults::Faults,
    overrides::{Asked, Fields, Overridable, SettingsFaults, Source, fields, resolve},
    tables,
};

const DEFAULT_PATH: &str = "{inputName}_snapshotByTimeOffset_{definition}_{number}.{format}";
const MAX_OFFSETS: usize = 100;
const DEFAULT_QUALITY: i32 = 85;
/// A picture costs this part of a transcode.
const COST_OF_PICTURE: f64 = 0.02;

pub(super) struct Snapshot;

impl Kind for Snapshot {
    fn name(&self) -> &'static str {
        "snapshot"
    }

    fn is_kind_of(&self, operation: &Operation) -> bool {
        matches!(operation, Operation::Snapshot(_))
    }

    fn draft(&self, operation: &Operation, field: &str, project: &str, faults: &mut Faults) -> Option<Draft> {
        let Operation::Snapshot(node) = operation else {
            return None;
        };
        check_offsets(&node.offsets, field, faults);
        let resolved = resolve(&asked(node, field), project, faults)?;
        let mut settings_faults = SettingsFaults {
            origin: &resolved.origin,
            faults,
        };
        let settings = settle(resolved.settings, &mut settings_faults);
        let (format, content_type, _) = tables::image_rule(settings.format());
        Some(Draft {
            settings: NodeSettings {
                settings: Some(Settings::Snapshot(settings)),
            },
            template: resolved.template,
            start_offset: None,
            end_offset: None,
            offsets: node.offsets.clone(),
            files: node.offsets.len().min(MAX_OFFSETS),
            format,
            content_type,
            output_path: path_or(&node.output_path, DEFAULT_PATH),
        })
    }

    fn requirements(&self, settings: &Settings) -> Option<Vec<&'static str>> {
        let Settings::Snapshot(settings) = settings else {
            return None;
        };
        Some(vec![tables::image_rule(settings.format()).2])
    }

    fn cost(&self, settings: &Settings, node: &PlanNode) -> Option<f64> {
        let count = u32::try_from(node.offsets.len()).unwrap_or(u32::MAX);
        matches!(settings, Settings::Snapshot(_)).then_some(COST_OF_PICTURE * f64::from(count))
    }
}

fn asked<'a>(node: &'a SnapshotNode, field: &'a str) -> Asked<'a, SnapshotSettings> {
    Asked {
        field,
        kind: "snapshot",
        source: node.source.as_ref().map(|source| match source {
            snapshot_node::Source::Template(name) => Source::Template(name),
            snapshot_node::Source::Inline(settings) => Source::Inline(settings),
        }),
        overrides: node.overrides.as_ref(),
        mask: node.override_mask.as_ref(),
    }
}

fn check_offsets(offsets: &[String], field: &str, faults: &mut Faults) {
    if offsets.is_empty() || offsets.len() > MAX_OFFSETS {
        let count = offsets.len();
        faults.add(
            format!("{field}.offsets"),
            format!("has {count} offsets; 1 to {MAX_OFFSETS} are allowed"),
        );
    }
    for (index, offset) in offsets.iter().enumerate().take(MAX_OFFSETS) {
        if let Err(fault) = check_offset(offset) {
            faults.add(format!("{field}.offsets[{index}]"), fault);
        }
    }
}

/// Checks settings and fills in every default.
fn settle(settings: SnapshotSettings, faults: &mut SettingsFaults) -> SnapshotSettings {
    let format = faults.choice("format", settings.format, ImageFormat::Jpeg);
    let fit = size::check(
        &Size {
            prefix: "",
            width: settings.width_px,
            height: settings.height_px,
            fit: settings.fit,
            least: 8,
            even: false,
        },
        faults,
    );
    faults.range("quality", settings.quality, 1, 100);
    let is_lossless = format == ImageFormat::Png;
    if is_lossless {
        faults.unset("quality", settings.quality, "must be unset: PNG is lossless");
    }
    SnapshotSettings {
        format: Some(format.into()),
        fit: Some(fit.into()),
        quality: (!is_lossless).then_some(settings.quality.unwrap_or(DEFAULT_QUALITY)),
        ..settings
    }
}

fields!(SnapshotSettings {
    format,
    width_px,
    height_px,
    fit,
    quality,
    pad_fill,
    size_basis
});

impl Overridable for SnapshotSettings {
    fn paths() -> Vec<String> {
        Self::NAMES.iter().map(ToString::to_string).collect()
    }

    fn set_paths(&self) -> Vec<String> {
        self.set_names().into_iter().map(str::to_owned).collect()
    }

    fn replace(&mut self, path: &str, from: &Self) {
        self.replace_field(path, from);
    }

    fn forget_dependents(&mut self, path: &str, from: &Self) {
        if path == "format" && from.format() == ImageFormat::Png {
            self.quality = None;
        }
    }

    fn from_template(settings: &Settings) -> Option<&Self> {
        match settings {
            Settings::Snapshot(settings) => Some(settings),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
