//! Text by Pango: a mask of one picture, then its colour and outline.

use std::time::Duration;

use gst::{glib, prelude::*};
use mps_proto::{v1::ErrorReason, worker::v1::Failure};

use super::raster::Raster;
use crate::{
    failure,
    pass::{
        Running,
        elements::{broken, caps_filter, link, make},
    },
};

/// What rendering one text may take, the first use of fonts included.
const DEADLINE: Duration = Duration::from_secs(20);
/// Empty pixels around the text on the canvas.
const MARGIN: i32 = 24;

/// How text looks.
#[derive(Debug, Clone)]
pub struct TextStyle {
    pub font: String,
    pub size_px: i32,
    /// Red, green, blue.
    pub color: [u8; 3],
    pub outline_px: i32,
    pub outline_color: [u8; 3],
    pub opacity: f64,
    /// Whether long lines are broken, and each line is centred.
    pub wraps: bool,
}

/// "#RRGGBB".
pub fn color(text: &str) -> Option<[u8; 3]> {
    let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6 && digits.is_ascii())?;
    let part = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    Some([part(0)?, part(2)?, part(4)?])
}

/// As Pango's markup, without any meaning of its own.
pub fn escaped(text: &str) -> String {
    glib::markup_escape_text(text).to_string()
}

/// What became of a text.
pub enum Rendered {
    /// Its own pixels and nothing around them.
    Drawn(Raster),
    /// Nothing of it can be seen.
    Invisible,
    TooLarge,
}

/// A mark's text; `room`: what it may take at most.
pub fn render(markup: &str, style: &TextStyle, room: (i32, i32)) -> Result<Raster, Failure> {
    match rendered(markup, style, room)? {
        Rendered::Drawn(raster) => Ok(raster),
        Rendered::Invisible => Err(failure::data(
            ErrorReason::Unsupported,
            "the text of a mark has no visible letters",
            "write letters, and install a font that has them",
        )),
        Rendered::TooLarge => Err(failure::data(
            ErrorReason::Unsupported,
            format!("a text needs more than the {}x{} pixels of the picture", room.0, room.1),
            "choose a smaller font_size or a shorter text",
        )),
    }
}

/// The same, without judgement.
pub fn rendered(markup: &str, style: &TextStyle, room: (i32, i32)) -> Result<Rendered, Failure> {
    let (width, height) = (room.0 + 2 * MARGIN, room.1 + 2 * MARGIN);
    let mask = mask(markup, style, (width, height))?;
    let ink = Ink::of(&mask, width as usize);
    let Some(ink) = ink else { return Ok(Rendered::Invisible) };
    let grow = style.outline_px.max(0) as usize;
    if ink.right - ink.left + 2 * grow > room.0 as usize || ink.bottom - ink.top + 2 * grow > room.1 as usize {
        return Ok(Rendered::TooLarge);
    }
    Ok(Rendered::Drawn(painted(&mask, width as usize, &ink, style)))
}

/// White letters on black: how much of each pixel they cover.
fn mask(markup: &str, style: &TextStyle, (width, height): (i32, i32)) -> Result<Vec<u8>, Failure> {
    let pipeline = gst::Pipeline::new();
    let running = Running(pipeline.clone());
    let source = make(&pipeline, "videotestsrc", "canvas")?;
    source.set_property_from_str("pattern", "black");
    source.set_property("num-buffers", 1);
    let caps = gst::Caps::builder("video/x-raw")
        .field("format", "BGRx")
        .field("width", width)
        .field("height", height)
        .field("framerate", gst::Fraction::new(25, 1))
        .build();
    let text = text_element(&pipeline, markup, style)?;
    let sink = make(&pipeline, "appsink", "mask")?;
    sink.set_property("sync", false);
    link(&[
        &source,
        &caps_filter(&pipeline, "size", &caps)?,
        &text,
        &caps_filter(&pipeline, "same", &caps)?,
        &sink,
    ])?;
    pipeline
        .set_state(gst::State::Playing)
        .map_err(|error| broken(&error.to_string()))?;
    let wait = DEADLINE.as_nanos() as u64;
    let sample = sink.emit_by_name::<Option<gst::Sample>>("try-pull-sample", &[&wait]);
    drop(running);
    let sample = sample.ok_or_else(|| broken("a text was not drawn in time"))?;
    let buffer = sample.buffer().ok_or_else(|| broken("a text came without pixels"))?;
    let data = buffer.map_readable().map_err(|error| broken(&error.to_string()))?;
    let whole = data.len() == (width * height * 4) as usize;
    let pixels: Vec<u8> = data.as_chunks::<4>().0.iter().map(|pixel| pixel[1]).collect();
    if whole {
        Ok(pixels)
    } else {
        Err(broken("a text has lines of another length"))
    }
}

fn text_element(pipeline: &gst::Pipeline, markup: &str, style: &TextStyle) -> Result<gst::Element, Failure> {
    let text = make(pipeline, "textoverlay", "text")?;
    text.set_property("text", markup);
    text.set_property("font-desc", format!("{} {}px", style.font, style.size_px));
    text.set_property("auto-resize", false);
    text.set_property("draw-shadow", false);
    text.set_property("draw-outline", false);
    text.set_property("color", u32::MAX);
    text.set_property("xpad", MARGIN);
    text.set_property("ypad", MARGIN);
    text.set_property_from_str("valignment", "top");
    let (wrap, side) = if style.wraps { ("wordchar", "center") } else { ("none", "left") };
    text.set_property_from_str("wrap-mode", wrap);
    text.set_property_from_str("halignment", side);
    text.set_property_from_str("line-alignment", side);
    Ok(text)
}

/// The smallest rectangle around everything that is covered; right and bottom are exclusive.
struct Ink {
    left: usize,
    top: usize,
    right: usize,
    bottom: usize,
}

impl Ink {
    fn of(mask: &[u8], width: usize) -> Option<Self> {
        let mut ink: Option<Self> = None;
        for (y, line) in mask.chunks_exact(width).enumerate() {
            let Some(left) = line.iter().position(|cover| *cover > 0) else {
                continue;
            };
            let right = line.iter().rposition(|cover| *cover > 0).unwrap_or(left) + 1;
            ink = Some(match ink {
                None => Self {
                    left,
                    top: y,
                    right,
                    bottom: y + 1,
                },
                Some(ink) => Self {
                    left: ink.left.min(left),
                    top: ink.top,
                    right: ink.right.max(right),
                    bottom: y + 1,
                },
            });
        }
        ink
    }
}

fn painted(mask: &[u8], stride: usize, ink: &Ink, style: &TextStyle) -> Raster {
    let grow = style.outline_px.max(0) as usize;
    let (width, height) = (ink.right - ink.left + 2 * grow, ink.bottom - ink.top + 2 * grow);
    let mut cover = vec![0u8; width * height];
    for y in ink.top..ink.bottom {
        let from = mask.get(y * stride + ink.left..y * stride + ink.right).unwrap_or_default();
        let start = (y - ink.top + grow) * width + grow;
        if let Some(to) = cover.get_mut(start..start + from.len()) {
            to.copy_from_slice(from);
        }
    }
    let around = if grow > 0 {
        grown(&cover, width, height, grow)
    } else {
        cover.clone()
    };
    let mut rgba = Vec::with_capacity(cover.len() * 4);
    for (inner, outer) in cover.iter().zip(&around) {
        let (inner, alpha) = (u32::from(*inner), u32::from(*outer.max(inner)));
        // The letter lies on its outline; both are premultiplied.
        let mix = |letter: u8, line: u8| ((u32::from(letter) * inner + u32::from(line) * (alpha - inner) + 127) / 255) as u8;
        let mut push = |number: usize| rgba.push(mix(style.color[number], style.outline_color[number]));
        (0..3).for_each(&mut push);
        rgba.push(alpha as u8);
    }
    Raster::of_premultiplied(width as u32, height as u32, &rgba, style.opacity)
}

/// Everything within a distance of what is covered, with soft edges.
fn grown(cover: &[u8], width: usize, height: usize, distance: usize) -> Vec<u8> {
    let mut grown = cover.to_vec();
    let reach = distance as isize;
    let brush: Vec<(isize, isize, u32)> = (-reach..=reach)
        .flat_map(|y| (-reach..=reach).map(move |x| (x, y)))
        .filter_map(|(x, y)| {
            let strength = (distance as f64 + 0.5 - ((x * x + y * y) as f64).sqrt()).clamp(0.0, 1.0);
            (strength > 0.0).then_some((x, y, (strength * 255.0) as u32))
        })
        .collect();
    for (at, value) in cover.iter().enumerate().filter(|(_, value)| **value > 0) {
        let (column, line) = ((at % width) as isize, (at / width) as isize);
        for (x, y, strength) in &brush {
            let (x, y) = (column + x, line + y);
            if x < 0 || y < 0 || x >= width as isize || y >= height as isize {
                continue;
            }
            if let Some(place) = grown.get_mut(y as usize * width + x as usize) {
                *place = (*place).max((u32::from(*value) * strength / 255) as u8);
            }
        }
    }
    grown
}
