//! Watermarks: marks on a node's pictures, and their settings as templates.

use mps_proto::{
    v1::{
        ImageWatermark, SvgWatermark, TextWatermark, Watermark, WatermarkOrigin, WatermarkSettings, image_watermark,
        node_settings::Settings, watermark,
    },
    worker::v1::PlanWatermark,
};
use prost_types::Duration;

use super::offsets;
use crate::{
    capabilities::{OVERLAY_IMAGE, OVERLAY_SVG, OVERLAY_TEXT},
    faults::Faults,
    fields::fields,
    overrides::{KindSettings, Scope, SettingsFaults, asked, resolve},
    side::SideSource,
};

mod image;
mod length;
mod svg;
pub(super) mod text;

pub(crate) use text::replace_variables;

const MOST: usize = 10;
const FARTHEST: f64 = 8192.0;

/// A checked watermark whose picture has no id yet.
#[derive(Debug, Clone)]
pub(crate) struct WatermarkDraft {
    pub settings: WatermarkSettings,
    /// Where its picture is, unless the settings carry it.
    pub source: Option<SideSource>,
    pub start_offset: Option<Duration>,
    pub end_offset: Option<Duration>,
}

/// Marks on video.
pub(super) fn on_video(marks: &[Watermark], field: &str, scope: &Scope, faults: &mut Faults) -> Vec<WatermarkDraft> {
    let each = listed(marks, field, faults).filter_map(|(mark, place)| {
        offsets::check_clip(mark.start_offset.as_ref(), mark.end_offset.as_ref(), &place, faults);
        draft(mark, &place, scope, faults)
    });
    each.collect()
}

/// Marks on pictures, which have no time.
pub(super) fn on_pictures(marks: &[Watermark], field: &str, scope: &Scope, faults: &mut Faults) -> Vec<WatermarkDraft> {
    let each = listed(marks, field, faults).filter_map(|(mark, place)| {
        for (name, offset) in [("start_offset", mark.start_offset), ("end_offset", mark.end_offset)] {
            if offset.is_some() {
                faults.add(format!("{place}.{name}"), "must be unset: pictures have no time");
            }
        }
        draft(mark, &place, scope, faults)
    });
    each.collect()
}

/// The marks that are looked at, and the path of each.
fn listed<'a>(marks: &'a [Watermark], field: &str, faults: &mut Faults) -> impl Iterator<Item = (&'a Watermark, String)> + use<'a> {
    let field = format!("{field}.watermarks");
    if marks.len() > MOST {
        let count = marks.len();
        faults.add(&*field, format!("has {count} watermarks; at most {MOST} are allowed"));
    }
    let each = marks.iter().take(MOST).enumerate();
    each.map(move |(index, mark)| (mark, format!("{field}[{index}]")))
}

fn draft(mark: &Watermark, field: &str, scope: &Scope, faults: &mut Faults) -> Option<WatermarkDraft> {
    let resolved = resolve::<WatermarkSettings>(&asked!(mark, field, watermark), scope, faults)?;
    let mut settings = resolved.settings;
    let place = resolved.origin.path("image");
    let source = settings.image.as_mut().and_then(|image| image::take_source(image, &place));
    Some(WatermarkDraft {
        settings,
        source,
        start_offset: mark.start_offset,
        end_offset: mark.end_offset,
    })
}

/// What a worker must be able to do for a mark.
pub(crate) fn requirement(mark: &PlanWatermark) -> Option<&'static str> {
    let settings = mark.settings.as_ref()?;
    if settings.image.is_some() {
        return Some(OVERLAY_IMAGE);
    }
    settings
        .text
        .as_ref()
        .map(|_| OVERLAY_TEXT)
        .or(settings.svg.as_ref().map(|_| OVERLAY_SVG))
}

fields!(WatermarkSettings {
    image: ImageWatermark,
    text: TextWatermark,
    svg: SvgWatermark,
    origin,
    x,
    y,
    opacity
});

impl KindSettings for WatermarkSettings {
    const KIND: &'static str = "watermark";

    fn settle(self, faults: &mut SettingsFaults) -> Self {
        let kinds = [self.image.is_some(), self.text.is_some(), self.svg.is_some()];
        if kinds.into_iter().filter(|is_set| *is_set).count() != 1 {
            faults.add("", "exactly one of image, text and svg must be set");
        }
        let origin = faults.choice("origin", self.origin, WatermarkOrigin::TopLeft);
        if self.opacity.is_some_and(|opacity| !(opacity > 0.0 && opacity <= 1.0)) {
            faults.add("opacity", "must be above 0 and at most 1");
        }
        Self {
            image: self.image.map(|image| image::settle(image, &mut faults.below("image"))),
            text: self.text.map(|text| text::settle(text, &mut faults.below("text"))),
            svg: self.svg.map(|svg| svg::settle(svg, &mut faults.below("svg"))),
            origin: Some(origin.into()),
            x: Some(distance("x", self.x, faults)),
            y: Some(distance("y", self.y, faults)),
            opacity: Some(self.opacity.unwrap_or(1.0)),
        }
    }

    /// Another kind of mark takes the place of the template's.
    fn forget_dependents(&mut self, path: &str, _from: &Self) {
        let kind = path.split('.').next().unwrap_or_default();
        match kind {
            "image" => (self.text, self.svg) = (None, None),
            "text" => (self.image, self.svg) = (None, None),
            "svg" => (self.image, self.text) = (None, None),
            _ => {}
        }
    }

    fn from_settings(settings: &Settings) -> Option<&Self> {
        match settings {
            Settings::Watermark(settings) => Some(settings),
            _ => None,
        }
    }
}

fn distance(name: &str, asked: Option<String>, faults: &mut SettingsFaults) -> String {
    let text = asked.unwrap_or_else(|| "0px".to_owned());
    if length::parse(&text).is_none_or(|length| !length.is_within(0.0, FARTHEST, 0.0)) {
        faults.add(name, format!("must be 0px to {FARTHEST}px or 0% to 100%"));
    }
    text
}

/// The picture of a mark that the settings carry.
pub(super) fn has_data(image: &ImageWatermark) -> bool {
    matches!(image.source, Some(image_watermark::Source::Data(_)))
}

#[cfg(test)]
mod tests;
