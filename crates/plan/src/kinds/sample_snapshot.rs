//! Sampled snapshots: pictures at regular distances.

use mps_proto::{
    v1::{SampleSnapshotSettings, SnapshotSettings, node::Operation, node_settings::Settings, sample_snapshot_node},
    worker::v1::PlanNode,
};
use prost_types::Duration;

use super::{Draft, FilePath, Kind, Outputs, offsets, watermark};
use crate::{
    faults::Faults,
    fields::fields,
    overrides::{KindSettings, Scope, SettingsFaults, asked, resolve},
    tables,
};

const DEFAULT_PATH: &str = "{inputName}_sampleSnapshot_{definition}_{number}.{format}";
const MAX_PICTURES: i32 = 10_000;
const DEFAULT_PERCENT: f64 = 10.0;
const LEAST_PERCENT: f64 = 0.1;
const LEAST_INTERVAL_MS: i128 = 100;
const LONGEST_INTERVAL_MS: i128 = 24 * 60 * 60 * 1000;
/// The whole input is decoded, and pictures are encoded now and then.
const COST_OF_SAMPLES: f64 = 0.3;

pub(super) struct SampleSnapshot;

impl Kind for SampleSnapshot {
    fn name(&self) -> &'static str {
        "sample_snapshot"
    }

    fn is_kind_of(&self, operation: &Operation) -> bool {
        matches!(operation, Operation::SampleSnapshot(_))
    }

    fn draft(&self, operation: &Operation, field: &str, scope: &Scope, faults: &mut Faults) -> Option<Draft> {
        let Operation::SampleSnapshot(node) = operation else {
            return None;
        };
        offsets::check_clip(node.start_offset.as_ref(), node.end_offset.as_ref(), field, faults);
        let watermarks = watermark::on_pictures(&node.watermarks, field, scope, faults);
        let resolved = resolve::<SampleSnapshotSettings>(&asked!(node, field, sample_snapshot_node), scope, faults)?;
        let format = resolved.settings.picture.as_ref().map(SnapshotSettings::format);
        let outputs = Outputs::Series {
            file: FilePath::new(
                "output_path",
                &node.output_path,
                DEFAULT_PATH,
                tables::image_type(format.unwrap_or_default()),
            ),
            needs_number: true,
            max_files: MAX_PICTURES,
            numbers: node.number_format.clone(),
            extra: None,
        };
        Some(Draft {
            start_offset: node.start_offset,
            end_offset: node.end_offset,
            watermarks,
            ..Draft::new(Settings::SampleSnapshot(resolved.settings), resolved.template, outputs)
        })
    }

    fn requirements(&self, settings: &Settings) -> Option<Vec<&'static str>> {
        let Settings::SampleSnapshot(settings) = settings else {
            return None;
        };
        let picture = settings.picture.as_ref()?;
        Some(vec![tables::image_encoder(picture.format())])
    }

    fn cost(&self, settings: &Settings, _node: &PlanNode) -> Option<f64> {
        matches!(settings, Settings::SampleSnapshot(_)).then_some(COST_OF_SAMPLES)
    }
}

fields!(SampleSnapshotSettings {
    picture: SnapshotSettings,
    interval,
    interval_percent
});

impl KindSettings for SampleSnapshotSettings {
    const KIND: &'static str = "sample_snapshot";

    fn settle(self, faults: &mut SettingsFaults) -> Self {
        check_distance(self.interval.as_ref(), self.interval_percent, faults);
        let percent = self.interval_percent.unwrap_or(DEFAULT_PERCENT);
        Self {
            picture: Some(self.picture.unwrap_or_default().settle(&mut faults.below("picture"))),
            interval_percent: self.interval.is_none().then_some(percent),
            ..self
        }
    }

    fn forget_dependents(&mut self, path: &str, from: &Self) {
        match (path.split_once('.'), &mut self.picture) {
            (Some(("picture", name)), Some(picture)) => picture.forget_dependents(name, &from.picture.unwrap_or_default()),
            _ => forget_other_distance(&mut self.interval, &mut self.interval_percent, path),
        }
    }

    fn from_settings(settings: &Settings) -> Option<&Self> {
        match settings {
            Settings::SampleSnapshot(settings) => Some(settings),
            _ => None,
        }
    }
}

/// Distance of two pictures or tiles: in time or in percent of the duration.
pub(super) fn check_distance(interval: Option<&Duration>, percent: Option<f64>, faults: &mut SettingsFaults) {
    if let Some(interval) = interval {
        offsets::check_length("interval", interval, LEAST_INTERVAL_MS, LONGEST_INTERVAL_MS, faults);
        faults.unset("interval_percent", percent, "excludes interval: set one of them");
    }
    faults.range("interval_percent", percent, LEAST_PERCENT, 100.0);
}

/// The distance in percent replaces that in time, and the other way round.
pub(super) fn forget_other_distance(interval: &mut Option<Duration>, percent: &mut Option<f64>, path: &str) {
    match path {
        "interval" => *percent = None,
        "interval_percent" => *interval = None,
        _ => {}
    }
}

#[cfg(test)]
mod tests;
