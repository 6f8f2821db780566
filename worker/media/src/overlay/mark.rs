//! One watermark with nothing left open: its pictures, their places and times.

use std::{sync::Arc, time::Duration};

use mps_proto::{
    v1::{
        ErrorReason, ImageWatermark, SvgWatermark, TextWatermark, WatermarkOrigin, WatermarkSettings,
        image_watermark::{Repeat, Source},
    },
    worker::v1::{Failure, PlanWatermark},
};

use super::{
    draw::Layer,
    picture,
    raster::Raster,
    text::{self, TextStyle},
    vector::Graphic,
};
use crate::{failure, job::Context, rules::unsupported};

/// A mark on a picture.
#[derive(Debug)]
pub struct Mark {
    /// Pictures with the time, from the mark's beginning, at which each ends.
    frames: Vec<(Arc<Raster>, Duration)>,
    repeat: Repeat,
    x: i32,
    y: i32,
    start: Duration,
    end: Option<Duration>,
}

impl Mark {
    /// `size`: that of the picture; `length`: that of the output, where it is known.
    pub fn resolve(mark: &PlanWatermark, context: &Context, size: (i32, i32), length: Option<Duration>) -> Result<Self, Failure> {
        let settings = mark.settings.as_ref().ok_or_else(|| unsupported("a watermark has no settings"))?;
        let opacity = settings.opacity.unwrap_or(1.0).clamp(0.0, 1.0);
        let (frames, repeat) = match (&settings.image, &settings.text, &settings.svg) {
            (Some(image), _, _) => image_frames(image, &mark.side_input_id, context, size, opacity)?,
            (_, Some(text), _) => (single(text_raster(text, size, opacity)?), Repeat::Hold),
            (_, _, Some(svg)) => (single(svg_raster(svg, size, opacity)?), Repeat::Hold),
            _ => return Err(unsupported("a watermark has neither a picture nor text nor a graphic")),
        };
        let (width, height) = frames
            .first()
            .map_or((0, 0), |(raster, _)| (raster.width as i32, raster.height as i32));
        let (x, y) = place(settings, (width, height), size)?;
        Ok(Self {
            frames,
            repeat,
            x,
            y,
            start: offset(mark.start_offset.as_ref(), length)?.unwrap_or_default(),
            end: offset(mark.end_offset.as_ref(), length)?,
        })
    }
}

impl Layer for Mark {
    fn shows(&self, time: Duration) -> Option<usize> {
        if time < self.start || self.end.is_some_and(|end| time >= end) {
            return None;
        }
        let whole = self.frames.last().map_or(Duration::ZERO, |(_, end)| *end);
        let mut within = time - self.start;
        if within >= whole {
            within = match self.repeat {
                Repeat::Once => return None,
                Repeat::Hold => return self.frames.len().checked_sub(1),
                _ if whole.is_zero() => Duration::ZERO,
                _ => Duration::from_nanos((within.as_nanos() % whole.as_nanos()) as u64),
            };
        }
        self.frames.iter().position(|(_, end)| within < *end)
    }

    fn picture(&self, number: usize) -> Result<(Arc<Raster>, i32, i32), Failure> {
        let (raster, _) = self.frames.get(number).ok_or_else(|| unsupported("a mark has no such picture"))?;
        Ok((raster.clone(), self.x, self.y))
    }
}

type Frames = Vec<(Arc<Raster>, Duration)>;

fn single(raster: Raster) -> Frames {
    vec![(Arc::new(raster), Duration::MAX)]
}

/// A time from the output's beginning; negative ones count from its end.
fn offset(offset: Option<&prost_types::Duration>, length: Option<Duration>) -> Result<Option<Duration>, Failure> {
    let Some(offset) = offset else { return Ok(None) };
    match Duration::try_from(*offset) {
        Ok(offset) => Ok(Some(offset)),
        Err(error) => {
            let before_end = match error {
                prost_types::DurationError::NegativeDuration(span) => span,
                _ => return Err(unsupported("a watermark's time is out of range")),
            };
            let length = length.ok_or_else(|| {
                failure::data(
                    ErrorReason::OffsetOutOfRange,
                    "a watermark's time counts from the end, and the input does not tell its duration",
                    "count from the beginning",
                )
            })?;
            Ok(Some(length.saturating_sub(before_end)))
        }
    }
}

fn image_frames(
    image: &ImageWatermark,
    side_input: &str,
    context: &Context,
    size: (i32, i32),
    opacity: f64,
) -> Result<(Frames, Repeat), Failure> {
    let bytes = match &image.source {
        Some(Source::Data(data)) if side_input.is_empty() => data.clone(),
        _ => super::side_input(side_input, context)?,
    };
    let wanted = |width: u32, height: u32| {
        let natural = (f64::from(width), f64::from(height));
        sides(
            image.width.as_deref().unwrap_or("10%"),
            image.height.as_deref().unwrap_or("0px"),
            natural,
            size,
        )
    };
    let film = picture::read(&bytes, &wanted)?;
    let mut frames = Frames::with_capacity(film.frames.len());
    let mut end = Duration::ZERO;
    for (picture, stays) in film.frames {
        end = end.saturating_add(stays);
        let raster = Raster::of_straight(picture.width(), picture.height(), picture.as_raw(), opacity);
        frames.push((Arc::new(raster), end));
    }
    let repeat = match image.repeat() {
        Repeat::Unspecified => Repeat::Repeat,
        repeat => repeat,
    };
    Ok((frames, repeat))
}

fn text_raster(text: &TextWatermark, size: (i32, i32), opacity: f64) -> Result<Raster, Failure> {
    let font_size = pixels(text.font_size.as_deref().unwrap_or("5%"), size.1)?;
    let style = TextStyle {
        font: text.font.clone().unwrap_or_else(|| "Sans".to_owned()),
        size_px: (font_size.round() as i32).max(1),
        color: color(text.color.as_deref(), [255; 3])?,
        outline_px: text.outline_px.unwrap_or(0),
        outline_color: color(text.outline_color.as_deref(), [0; 3])?,
        opacity,
        wraps: false,
    };
    text::render(&text::escaped(text.text()), &style, size)
}

/// A colour of the settings.
pub fn color(text: Option<&str>, default: [u8; 3]) -> Result<[u8; 3], Failure> {
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Ok(default);
    };
    text::color(text).ok_or_else(|| unsupported("a colour is not of the form #RRGGBB"))
}

fn svg_raster(svg: &SvgWatermark, size: (i32, i32), opacity: f64) -> Result<Raster, Failure> {
    let graphic = Graphic::read(svg.svg())?;
    let (width, height) = sides(
        svg.width.as_deref().unwrap_or("10%"),
        svg.height.as_deref().unwrap_or("0px"),
        graphic.size(),
        size,
    )?;
    graphic.draw(width, height, opacity)
}

/// "12px" or "5%" of a side, in pixels.
fn pixels(text: &str, side: i32) -> Result<f64, Failure> {
    let number = |text: &str| text.trim().parse::<f64>().ok().filter(|number| number.is_finite());
    let value = match text.strip_suffix('%') {
        Some(share) => number(share).map(|share| share / 100.0 * f64::from(side)),
        None => number(text.strip_suffix("px").unwrap_or(text)),
    };
    value.ok_or_else(|| unsupported("a length is neither pixels nor percent"))
}

/// Width and height of a mark; a side of zero follows from the other.
fn sides(width: &str, height: &str, natural: (f64, f64), size: (i32, i32)) -> Result<(u32, u32), Failure> {
    let (width, height) = (pixels(width, size.0)?, pixels(height, size.1)?);
    let aspect = natural.0.max(1.0) / natural.1.max(1.0);
    let (width, height) = match (width > 0.0, height > 0.0) {
        (true, true) => (width, height),
        (true, false) => (width, width / aspect),
        (false, true) => (height * aspect, height),
        (false, false) => natural,
    };
    let (width, height) = (width.round().max(1.0), height.round().max(1.0));
    unless_larger((width, height), size)?;
    Ok((width as u32, height as u32))
}

fn unless_larger(mark: (f64, f64), size: (i32, i32)) -> Result<(), Failure> {
    if mark.0 <= f64::from(size.0) && mark.1 <= f64::from(size.1) {
        return Ok(());
    }
    Err(failure::data(
        ErrorReason::Unsupported,
        format!(
            "a watermark of {}x{} pixels is larger than the picture of {}x{}",
            mark.0, mark.1, size.0, size.1
        ),
        "make the watermark smaller, or give its size in percent",
    ))
}

/// Where the top left corner lies.
fn place(settings: &WatermarkSettings, mark: (i32, i32), size: (i32, i32)) -> Result<(i32, i32), Failure> {
    let x = pixels(settings.x.as_deref().unwrap_or("0px"), size.0)?.round() as i32;
    let y = pixels(settings.y.as_deref().unwrap_or("0px"), size.1)?.round() as i32;
    let (right, bottom) = (size.0 - mark.0 - x, size.1 - mark.1 - y);
    Ok(match settings.origin() {
        WatermarkOrigin::TopRight => (right, y),
        WatermarkOrigin::BottomLeft => (x, bottom),
        WatermarkOrigin::BottomRight => (right, bottom),
        _ => (x, y),
    })
}
