//! An element that lays a picture on the middle of a larger one: black, white, or the picture itself, enlarged and blurred.
//! One element of our own keeps time stamps as they are, which a compositor does not.

use std::sync::OnceLock;

use gst::{glib, prelude::*, subclass::prelude::*};
use gst_base::subclass::{BaseTransformMode, prelude::*};
use gst_video::{VideoFrameExt, VideoFrameRef, VideoInfo, subclass::prelude::*};
use mps_proto::{v1::PadFill, worker::v1::Failure};

use super::blur;
use crate::pass::elements::broken;

/// Formats that the element takes: all planar 4:2:0 or packed, alpha last.
const FORMATS: [gst_video::VideoFormat; 6] = [
    gst_video::VideoFormat::I420,
    gst_video::VideoFormat::I42010le,
    gst_video::VideoFormat::Rgb,
    gst_video::VideoFormat::Rgba,
    gst_video::VideoFormat::Bgra,
    gst_video::VideoFormat::Bgrx,
];

/// Makes the element; `size`: that of the larger picture.
pub fn element(pipeline: &gst::Pipeline, name: &str, size: (i32, i32), fill: PadFill) -> Result<gst::Element, Failure> {
    let element = glib::Object::builder::<Canvas>().property("name", name).build();
    let settings = Settings { size, fill };
    element
        .imp()
        .settings
        .set(settings)
        .map_err(|_| broken("a canvas was set up twice"))?;
    pipeline.add(&element).map_err(|error| broken(&error.to_string()))?;
    Ok(element.upcast())
}

glib::wrapper! {
    pub struct Canvas(ObjectSubclass<CanvasFilter>)
        @extends gst_video::VideoFilter, gst_base::BaseTransform, gst::Element, gst::Object;
}

#[derive(Debug, Clone, Copy)]
struct Settings {
    size: (i32, i32),
    fill: PadFill,
}

#[derive(Debug, Default)]
pub struct CanvasFilter {
    settings: OnceLock<Settings>,
}

#[glib::object_subclass]
impl ObjectSubclass for CanvasFilter {
    const NAME: &'static str = "MpsCanvas";
    type Type = Canvas;
    type ParentType = gst_video::VideoFilter;
}

impl ObjectImpl for CanvasFilter {}
impl GstObjectImpl for CanvasFilter {}

impl ElementImpl for CanvasFilter {
    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: OnceLock<Vec<gst::PadTemplate>> = OnceLock::new();
        TEMPLATES.get_or_init(|| {
            let caps = gst_video::VideoCapsBuilder::new().format_list(FORMATS).build();
            super::pad_templates(&caps, &caps)
        })
    }
}

impl BaseTransformImpl for CanvasFilter {
    const MODE: BaseTransformMode = BaseTransformMode::NeverInPlace;
    const PASSTHROUGH_ON_SAME_CAPS: bool = false;
    const TRANSFORM_IP_ON_PASSTHROUGH: bool = false;

    fn transform_caps(&self, direction: gst::PadDirection, caps: &gst::Caps, filter: Option<&gst::Caps>) -> Option<gst::Caps> {
        let (width, height) = self.settings.get()?.size;
        let mut other = caps.clone();
        for structure in other.make_mut().iter_mut() {
            if direction == gst::PadDirection::Sink {
                structure.set("width", width);
                structure.set("height", height);
            } else {
                structure.set("width", gst::IntRange::new(1, i32::MAX));
                structure.set("height", gst::IntRange::new(1, i32::MAX));
            }
        }
        Some(match filter {
            Some(filter) => filter.intersect_with_mode(&other, gst::CapsIntersectMode::First),
            None => other,
        })
    }
}

impl VideoFilterImpl for CanvasFilter {
    fn transform_frame(
        &self,
        input: &VideoFrameRef<&gst::BufferRef>,
        output: &mut VideoFrameRef<&mut gst::BufferRef>,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let fill = self.settings.get().map_or(PadFill::Black, |settings| settings.fill);
        for plane in 0..output.n_planes() {
            let shape = PlaneShape::of(output.info(), plane);
            let inner = PlaneShape::of(input.info(), plane);
            let solid = solid(output.info(), plane, fill);
            let from = Plane {
                data: input.plane_data(plane).map_err(|_| gst::FlowError::Error)?,
                stride: stride(input.plane_stride(), plane),
                shape: inner,
            };
            let to_stride = stride(output.plane_stride(), plane);
            let to = output.plane_data_mut(plane).map_err(|_| gst::FlowError::Error)?;
            lay(&from, to, to_stride, shape, fill, solid);
        }
        Ok(gst::FlowSuccess::Ok)
    }
}

fn stride(strides: &[i32], plane: u32) -> usize {
    strides
        .get(plane as usize)
        .and_then(|stride| usize::try_from(*stride).ok())
        .unwrap_or(0)
}

/// Size of a plane, and how its pixels lie in memory.
#[derive(Debug, Clone, Copy)]
pub struct PlaneShape {
    pub width: usize,
    pub height: usize,
    /// Values of a pixel in this plane.
    pub values: usize,
    /// Bytes of a value.
    pub bytes: usize,
}

impl PlaneShape {
    pub fn of(info: &VideoInfo, plane: u32) -> Self {
        let format = info.format_info();
        let component = (0..info.n_components())
            .find(|component| format.plane().get(*component as usize) == Some(&plane))
            .unwrap_or(0) as u8;
        let bytes = if format.bits() > 8 { 2 } else { 1 };
        let pixel = format
            .pixel_stride()
            .get(usize::from(component))
            .map_or(1, |stride| (*stride).max(1) as usize);
        Self {
            width: info.comp_width(component) as usize,
            height: info.comp_height(component) as usize,
            values: pixel / bytes,
            bytes,
        }
    }

    pub fn pixel(&self) -> usize {
        self.values * self.bytes
    }
}

/// A plane to read.
pub struct Plane<'a> {
    pub data: &'a [u8],
    pub stride: usize,
    pub shape: PlaneShape,
}

/// Values of a pixel of the bars. Pictures come here in limited range, or as RGB.
fn solid(info: &VideoInfo, plane: u32, fill: PadFill) -> [u16; 4] {
    let white = fill == PadFill::White;
    if info.is_rgb() {
        let value = if white { 255 } else { 0 };
        return [value, value, value, 255];
    }
    let scale = 1 << (info.comp_depth(0).saturating_sub(8));
    let value = match (plane, white) {
        (0, true) => 235,
        (0, false) => 16,
        _ => 128,
    };
    [value * scale; 4]
}

/// Fills the plane and lays the picture in its middle.
fn lay(from: &Plane, to: &mut [u8], to_stride: usize, outer: PlaneShape, fill: PadFill, solid: [u16; 4]) {
    let left = outer.width.saturating_sub(from.shape.width) / 2;
    let top = outer.height.saturating_sub(from.shape.height) / 2;
    let backdrop = (fill == PadFill::Blur).then(|| blur::Backdrop::of(from, (outer.width, outer.height)));
    let pixel = outer.pixel();
    let inner_bytes = from.shape.width.min(outer.width) * pixel;
    for (y, row) in to.chunks_mut(to_stride.max(1)).take(outer.height).enumerate() {
        let row_bytes = (outer.width * pixel).min(row.len());
        let Some(row) = row.get_mut(..row_bytes) else { continue };
        let source = y
            .checked_sub(top)
            .filter(|line| *line < from.shape.height)
            .and_then(|line| from.data.get(line * from.stride..)?.get(..inner_bytes));
        let bars = match source {
            Some(_) => [0..left, left + from.shape.width..outer.width],
            None => [0..outer.width, 0..0],
        };
        for bar in bars {
            match &backdrop {
                Some(backdrop) => backdrop.draw(row, y, bar),
                None => draw_solid(row, outer, bar, solid),
            }
        }
        if let (Some(source), Some(target)) = (source, row.get_mut(left * pixel..left * pixel + inner_bytes)) {
            target.copy_from_slice(source);
        }
    }
}

fn draw_solid(row: &mut [u8], shape: PlaneShape, bar: std::ops::Range<usize>, solid: [u16; 4]) {
    let pixel = shape.pixel();
    let Some(bytes) = row.get_mut(bar.start * pixel..bar.end * pixel) else {
        return;
    };
    for place in bytes.chunks_exact_mut(pixel) {
        for (value, wanted) in place.chunks_exact_mut(shape.bytes).zip(solid) {
            put(value, wanted);
        }
    }
}

/// Writes a value of one or two bytes, little-endian.
pub fn put(place: &mut [u8], value: u16) {
    match place {
        [low, high] => [*low, *high] = value.to_le_bytes(),
        [only] => *only = value.min(255) as u8,
        _ => {}
    }
}

/// Reads a value of one or two bytes, little-endian.
pub fn get(place: &[u8]) -> u16 {
    match place {
        [low, high] => u16::from_le_bytes([*low, *high]),
        [only] => u16::from(*only),
        _ => 0,
    }
}
