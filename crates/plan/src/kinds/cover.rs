//! Cover nodes: the best picture of the input.

use mps_proto::{
    v1::{SnapshotSettings, cover_node, node::Operation, node_settings::Settings},
    worker::v1::PlanNode,
};

use super::{Draft, FilePath, Kind, Outputs, watermark};
use crate::{
    faults::Faults,
    overrides::{Scope, asked, resolve},
    tables,
};

const DEFAULT_PATH: &str = "{inputName}_cover_{definition}.{format}";
/// Candidates from the whole input are decoded and rated.
const COST_OF_COVER: f64 = 0.1;

pub(super) struct Cover;

impl Kind for Cover {
    fn name(&self) -> &'static str {
        "cover"
    }

    fn is_kind_of(&self, operation: &Operation) -> bool {
        matches!(operation, Operation::Cover(_))
    }

    fn draft(&self, operation: &Operation, field: &str, scope: &Scope, faults: &mut Faults) -> Option<Draft> {
        let Operation::Cover(node) = operation else {
            return None;
        };
        let watermarks = watermark::on_pictures(&node.watermarks, field, scope, faults);
        let resolved = resolve::<SnapshotSettings>(&asked!(node, field, cover_node), scope, faults)?;
        let outputs = Outputs::Files {
            file: FilePath::new(
                "output_path",
                &node.output_path,
                DEFAULT_PATH,
                tables::image_type(resolved.settings.format()),
            ),
            count: 1,
            numbers: None,
        };
        Some(Draft {
            watermarks,
            ..Draft::new(Settings::Cover(resolved.settings), resolved.template, outputs)
        })
    }

    fn requirements(&self, settings: &Settings) -> Option<Vec<&'static str>> {
        match settings {
            Settings::Cover(settings) => Some(vec![tables::image_encoder(settings.format())]),
            _ => None,
        }
    }

    fn cost(&self, settings: &Settings, _node: &PlanNode) -> Option<f64> {
        matches!(settings, Settings::Cover(_)).then_some(COST_OF_COVER)
    }
}

#[cfg(test)]
mod tests;
