//! Snapshot nodes: pictures at given offsets.

use mps_proto::{
    v1::{SnapshotSettings, node::Operation, node_settings::Settings, snapshot_node},
    worker::v1::PlanNode,
};

use super::{Draft, FilePath, Kind, Outputs, offsets::check_offset, watermark};
use crate::{
    faults::Faults,
    overrides::{Scope, asked, resolve},
    tables,
};

const DEFAULT_PATH: &str = "{inputName}_snapshotByTimeOffset_{definition}_{number}.{format}";
const MAX_OFFSETS: usize = 100;
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

    fn draft(&self, operation: &Operation, field: &str, scope: &Scope, faults: &mut Faults) -> Option<Draft> {
        let Operation::Snapshot(node) = operation else {
            return None;
        };
        check_offsets(&node.offsets, field, faults);
        let watermarks = watermark::on_pictures(&node.watermarks, field, scope, faults);
        let resolved = resolve::<SnapshotSettings>(&asked!(node, field, snapshot_node), scope, faults)?;
        let outputs = Outputs::Files {
            file: FilePath::new(
                "output_path",
                &node.output_path,
                DEFAULT_PATH,
                tables::image_type(resolved.settings.format()),
            ),
            count: node.offsets.len().min(MAX_OFFSETS),
            numbers: node.number_format.clone(),
        };
        Some(Draft {
            offsets: node.offsets.clone(),
            watermarks,
            ..Draft::new(Settings::Snapshot(resolved.settings), resolved.template, outputs)
        })
    }

    fn requirements(&self, settings: &Settings) -> Option<Vec<&'static str>> {
        let Settings::Snapshot(settings) = settings else {
            return None;
        };
        Some(vec![tables::image_encoder(settings.format())])
    }

    fn cost(&self, settings: &Settings, node: &PlanNode) -> Option<f64> {
        let count = u32::try_from(node.offsets.len()).unwrap_or(u32::MAX);
        matches!(settings, Settings::Snapshot(_)).then_some(COST_OF_PICTURE * f64::from(count))
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

#[cfg(test)]
mod tests;
