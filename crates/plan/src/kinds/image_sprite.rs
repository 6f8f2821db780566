//! Sprites: sheets of small pictures with a WebVTT file that says which tile shows which time.

use mps_proto::{
    v1::{Fit, ImageFormat, ImageSpriteSettings, image_sprite_node, node::Operation, node_settings::Settings},
    worker::v1::PlanNode,
};
use prost_types::Duration;

use super::{
    Draft, FilePath, Kind, Outputs, picture,
    sample_snapshot::{check_distance, forget_other_distance},
    size::{self, Size},
};
use crate::{
    faults::Faults,
    fields::fields,
    overrides::{KindSettings, Scope, SettingsFaults, asked, resolve},
    tables,
};

const DEFAULT_PATH: &str = "{inputName}_imageSprite_{definition}_{number}.{format}";
const DEFAULT_VTT_PATH: &str = "{inputName}_imageSprite_{definition}.vtt";
const MAX_SHEETS: i32 = 1000;
const DEFAULT_TILE_WIDTH: i32 = 160;
const MAX_TILE: i32 = 4096;
const MAX_SHEET: i32 = 8192;
const DEFAULT_LINES: i32 = 10;
const DEFAULT_INTERVAL: Duration = Duration { seconds: 10, nanos: 0 };
/// The whole input is decoded; tiles are small.
const COST_OF_SPRITE: f64 = 0.3;

pub(super) struct ImageSprite;

impl Kind for ImageSprite {
    fn name(&self) -> &'static str {
        "image_sprite"
    }

    fn is_kind_of(&self, operation: &Operation) -> bool {
        matches!(operation, Operation::ImageSprite(_))
    }

    fn draft(&self, operation: &Operation, field: &str, scope: &Scope, faults: &mut Faults) -> Option<Draft> {
        let Operation::ImageSprite(node) = operation else {
            return None;
        };
        let resolved = resolve::<ImageSpriteSettings>(&asked!(node, field, image_sprite_node), scope, faults)?;
        let outputs = Outputs::Series {
            file: FilePath::new(
                "output_path",
                &node.output_path,
                DEFAULT_PATH,
                tables::image_type(resolved.settings.format()),
            ),
            needs_number: false,
            max_files: MAX_SHEETS,
            numbers: node.number_format.clone(),
            extra: Some(FilePath::new("vtt_path", &node.vtt_path, DEFAULT_VTT_PATH, ("vtt", "text/vtt"))),
        };
        Some(Draft::new(Settings::ImageSprite(resolved.settings), resolved.template, outputs))
    }

    fn requirements(&self, settings: &Settings) -> Option<Vec<&'static str>> {
        match settings {
            Settings::ImageSprite(settings) => Some(vec![tables::image_encoder(settings.format())]),
            _ => None,
        }
    }

    fn cost(&self, settings: &Settings, _node: &PlanNode) -> Option<f64> {
        matches!(settings, Settings::ImageSprite(_)).then_some(COST_OF_SPRITE)
    }
}

fields!(ImageSpriteSettings {
    format,
    tile_width_px,
    tile_height_px,
    rows,
    columns,
    fit,
    pad_fill,
    quality,
    interval,
    interval_percent
});

impl KindSettings for ImageSpriteSettings {
    const KIND: &'static str = "image_sprite";

    fn settle(self, faults: &mut SettingsFaults) -> Self {
        let format = faults.choice("format", self.format, ImageFormat::Jpeg);
        let width = self.tile_width_px.or(self.tile_height_px.is_none().then_some(DEFAULT_TILE_WIDTH));
        let size = Size {
            width: ("tile_width_px", width),
            height: ("tile_height_px", self.tile_height_px),
            fit: self.fit,
            default_fit: Fit::Pad,
            pad_fill: self.pad_fill,
            least: 8,
            most: MAX_TILE,
            even: false,
        };
        let fitting = size::check(&size, faults);
        let rows = check_lines("rows", self.rows, ("tile_height_px", self.tile_height_px), faults);
        let columns = check_lines("columns", self.columns, ("tile_width_px", width), faults);
        check_distance(self.interval.as_ref(), self.interval_percent, faults);
        let interval_default = self.interval_percent.is_none().then_some(DEFAULT_INTERVAL);
        Self {
            format: Some(format.into()),
            tile_width_px: width,
            rows: Some(rows),
            columns: Some(columns),
            fit: fitting.fit,
            pad_fill: fitting.pad_fill,
            quality: picture::quality(format, self.quality, faults),
            interval: self.interval.or(interval_default),
            ..self
        }
    }

    fn forget_dependents(&mut self, path: &str, from: &Self) {
        match path {
            "format" if from.format() == ImageFormat::Png => self.quality = None,
            "fit" if from.fit() != Fit::Pad => self.pad_fill = None,
            _ => forget_other_distance(&mut self.interval, &mut self.interval_percent, path),
        }
    }

    fn from_settings(settings: &Settings) -> Option<&Self> {
        match settings {
            Settings::ImageSprite(settings) => Some(settings),
            _ => None,
        }
    }
}

/// Rows or columns: their number, and that the sheet does not grow too large. A side that follows from the input's aspect is
/// checked by the worker.
fn check_lines(name: &str, lines: Option<i32>, side: (&str, Option<i32>), faults: &mut SettingsFaults) -> i32 {
    faults.range(name, lines, 1, 100);
    let count = lines.unwrap_or(DEFAULT_LINES);
    if let (1..=100, (side_name, Some(side @ 8..=MAX_TILE))) = (count, side)
        && count * side > MAX_SHEET
    {
        let sheet = count * side;
        faults.add(
            name,
            format!("times {side_name} gives a sheet of {sheet} pixels; at most {MAX_SHEET} are allowed"),
        );
    }
    count
}

#[cfg(test)]
mod tests;
