//! Animated images: a GIF or WebP of a clip.

use mps_proto::{
    v1::{AnimatedFormat, AnimatedImageSettings, Fit, animated_image_node, node::Operation, node_settings::Settings},
    worker::v1::PlanNode,
};

use super::{
    Draft, FilePath, Kind, Outputs, offsets,
    size::{self, Size},
};
use crate::{
    faults::Faults,
    fields::fields,
    overrides::{KindSettings, Scope, SettingsFaults, asked, resolve},
    tables,
};

const DEFAULT_PATH: &str = "{inputName}_animatedGraphic_{definition}.{format}";
const DEFAULT_FPS: i32 = 10;
const DEFAULT_QUALITY: i32 = 75;
const MAX_PICTURES: i128 = 3000;
const MAX_LOOPS: i32 = 65_535;
const COST_OF_ANIMATION: f64 = 0.3;

pub(super) struct AnimatedImage;

impl Kind for AnimatedImage {
    fn name(&self) -> &'static str {
        "animated_image"
    }

    fn is_kind_of(&self, operation: &Operation) -> bool {
        matches!(operation, Operation::AnimatedImage(_))
    }

    fn draft(&self, operation: &Operation, field: &str, scope: &Scope, faults: &mut Faults) -> Option<Draft> {
        let Operation::AnimatedImage(node) = operation else {
            return None;
        };
        let (start, end) = (node.start_offset.as_ref(), node.end_offset.as_ref());
        offsets::check_clip(start, end, field, faults);
        let resolved = resolve::<AnimatedImageSettings>(&asked!(node, field, animated_image_node), scope, faults)?;
        let pictures = offsets::known_length(start, end).map(|nanos| nanos * i128::from(resolved.settings.fps()) / 1_000_000_000);
        if let Some(pictures) = pictures.filter(|pictures| *pictures > MAX_PICTURES) {
            faults.add(
                format!("{field}.end_offset"),
                format!("gives {pictures} pictures; at most {MAX_PICTURES} are allowed: shorten the clip or lower fps"),
            );
        }
        let outputs = Outputs::Files {
            file: FilePath::new(
                "output_path",
                &node.output_path,
                DEFAULT_PATH,
                tables::animated_type(resolved.settings.format()),
            ),
            count: 1,
            numbers: None,
        };
        Some(Draft {
            start_offset: node.start_offset,
            end_offset: node.end_offset,
            ..Draft::new(Settings::AnimatedImage(resolved.settings), resolved.template, outputs)
        })
    }

    fn requirements(&self, settings: &Settings) -> Option<Vec<&'static str>> {
        match settings {
            Settings::AnimatedImage(settings) => Some(vec![tables::animated_encoder(settings.format())]),
            _ => None,
        }
    }

    fn cost(&self, settings: &Settings, _node: &PlanNode) -> Option<f64> {
        matches!(settings, Settings::AnimatedImage(_)).then_some(COST_OF_ANIMATION)
    }
}

fields!(AnimatedImageSettings {
    format,
    fps,
    width_px,
    height_px,
    fit,
    pad_fill,
    quality,
    loop_count
});

impl KindSettings for AnimatedImageSettings {
    const KIND: &'static str = "animated_image";

    fn settle(self, faults: &mut SettingsFaults) -> Self {
        let format = faults.choice("format", self.format, AnimatedFormat::Gif);
        let size = Size {
            width: ("width_px", self.width_px),
            height: ("height_px", self.height_px),
            fit: self.fit,
            default_fit: Fit::Contain,
            pad_fill: self.pad_fill,
            least: 8,
            most: 4096,
            even: false,
        };
        let fitting = size::check(&size, faults);
        faults.range("fps", self.fps, 1, 30);
        faults.range("loop_count", self.loop_count, 0, MAX_LOOPS);
        faults.range("quality", self.quality, 1, 100);
        let is_gif = format == AnimatedFormat::Gif;
        if is_gif {
            faults.unset("quality", self.quality, "must be unset: GIF has none");
        }
        Self {
            format: Some(format.into()),
            fps: Some(self.fps.unwrap_or(DEFAULT_FPS)),
            fit: fitting.fit,
            pad_fill: fitting.pad_fill,
            quality: (!is_gif).then_some(self.quality.unwrap_or(DEFAULT_QUALITY)),
            loop_count: Some(self.loop_count.unwrap_or(0)),
            ..self
        }
    }

    fn forget_dependents(&mut self, path: &str, from: &Self) {
        match path {
            "format" if from.format() != AnimatedFormat::Webp => self.quality = None,
            "fit" if from.fit() != Fit::Pad => self.pad_fill = None,
            _ => {}
        }
    }

    fn from_settings(settings: &Settings) -> Option<&Self> {
        match settings {
            Settings::AnimatedImage(settings) => Some(settings),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
