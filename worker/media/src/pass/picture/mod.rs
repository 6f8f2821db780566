//! From the pictures of a tee to those that an encoder takes: cut, turned, deinterlaced, scaled, barred, mapped to standard range.
//! Every kind of node that makes pictures shapes them here.

mod blur;
mod canvas;
mod clear;
mod colour;
mod deinterlace;
pub mod jpeg;
pub mod levels;
mod source;
mod steady;
mod to_rgb;
mod to_yuv;
mod tone_curve;
mod tone_map;
mod tone_table;
mod weave;

use std::{fmt::Debug, sync::Arc, time::Duration};

use gst::prelude::*;
use mps_proto::{
    v1::{CropArea, Flip, PadFill},
    worker::v1::Failure,
};

use super::elements::{caps_filter, make, pad};
use crate::rules::Geometry;

pub use colour::{Hdr, RGB};
pub use source::Source;

/// What becomes of pictures, in the order of the fields.
#[derive(Debug, Clone)]
pub struct Look {
    /// Whether fields are made frames here; the tee's pictures are progressive already unless a node asked for the fields.
    pub deinterlace: bool,
    /// Area of the upright picture that is left.
    pub crop: Option<Area>,
    /// Clockwise degrees, a multiple of 90.
    pub rotation_deg: i32,
    pub flip: Flip,
    /// On the input's pixels, before scaling: such as noise reduction.
    pub before: Vec<Arc<dyn Step>>,
    pub geometry: Geometry,
    /// By Lanczos instead of bilinear interpolation.
    pub lanczos: bool,
    /// What fills bars, and what clear parts of the picture show.
    pub fill: PadFill,
    /// Whether clear parts stay clear instead, which only the format RGB can.
    pub keeps_clear: bool,
    /// The range of the input that is mapped to BT.709; `None`: nothing is mapped.
    pub tone_map: Option<Hdr>,
    /// On the output's pixels in its format: such as marks.
    pub after: Vec<Arc<dyn Step>>,
    /// Pixel format in GStreamer's words: `RGB`, or one of YUV, which has the colours of the input, or BT.709 where the input is RGB.
    pub format: &'static str,
}

/// A part of pictures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Area {
    pub area: CropArea,
    /// Size of the picture that its pixels count in: some parts of a film may have another one.
    pub of: (i32, i32),
}

/// A stretch of the chain that another part of the pass makes, such as an enhancement or a mark.
pub trait Step: Debug + Send + Sync {
    /// Elements to be linked one behind another; names begin with `prefix`.
    fn elements(&self, pipeline: &gst::Pipeline, prefix: &str) -> Result<Vec<gst::Element>, Failure>;

    /// The same in an attempt that begins at a time of the output; `None`: it does not depend on time.
    fn later(&self, _begin: Duration) -> Option<Arc<dyn Step>> {
        None
    }
}

impl Look {
    /// For an attempt that begins at a time of the output, and whose running time is zero there.
    pub fn begin_at(&mut self, begin: Duration) {
        for step in self.before.iter_mut().chain(&mut self.after) {
            if let Some(later) = step.later(begin) {
                *step = later;
            }
        }
    }

    /// Scaled, and nothing else.
    pub fn plain(geometry: Geometry, format: &'static str) -> Self {
        Self {
            deinterlace: false,
            crop: None,
            rotation_deg: 0,
            flip: Flip::None,
            before: Vec::new(),
            geometry,
            lanczos: false,
            fill: PadFill::Black,
            keeps_clear: false,
            tone_map: None,
            after: Vec::new(),
            format,
        }
    }

    /// Whether a smaller picture than `larger` can be made from that one before it gets its marks.
    pub fn follows(&self, larger: &Self) -> bool {
        let is_simple =
            |look: &Self| look.before.is_empty() && look.geometry.crop == (0.0, 0.0) && look.geometry.inner.is_none() && !look.lanczos;
        let shape = |look: &Self| {
            (
                look.deinterlace,
                look.crop,
                look.rotation_deg,
                look.flip,
                look.tone_map,
                look.format,
                look.keeps_clear,
                look.fill == PadFill::White,
            )
        };
        let fits = self.geometry.width <= larger.geometry.width && self.geometry.height <= larger.geometry.height;
        is_simple(self) && is_simple(larger) && shape(self) == shape(larger) && fits
    }

    /// What is left to do to a picture that `follows` found to be good.
    pub fn after_larger(&self) -> Self {
        Self {
            after: self.after.clone(),
            ..Self::plain(self.geometry, self.format)
        }
    }

    /// The chain, to be linked in order; names begin with `prefix`. Takes raw pictures, gives square pixels of the geometry's size.
    pub fn elements(&self, pipeline: &gst::Pipeline, prefix: &str) -> Result<Vec<gst::Element>, Failure> {
        let mut chain = self.shaped(pipeline, prefix)?;
        chain.extend(self.marked(pipeline, prefix)?);
        Ok(chain)
    }

    /// The first part of the chain: everything but marks.
    pub fn shaped(&self, pipeline: &gst::Pipeline, prefix: &str) -> Result<Vec<gst::Element>, Failure> {
        let name = |part: &str| format!("{prefix}-{part}");
        let mut chain = self.opaque(pipeline, prefix)?;
        if self.deinterlace {
            chain.extend(deinterlace(pipeline, prefix, true)?);
        }
        if let Some(area) = &self.crop {
            chain.push(cut_to_area(pipeline, &name("area"), area)?);
        }
        if let Some(direction) = direction(self.rotation_deg, self.flip) {
            chain.push(make(pipeline, "videoconvert", &name("turn-convert"))?);
            let turn = make(pipeline, "videoflip", &name("turn"))?;
            turn.set_property_from_str("video-direction", direction);
            chain.push(turn);
        }
        if self.geometry.crop != (0.0, 0.0) {
            chain.push(cut_shares(pipeline, &name("crop"), self.geometry.crop)?);
        }
        for (number, step) in self.before.iter().enumerate() {
            chain.extend(step.elements(pipeline, &name(&format!("before{number}")))?);
        }
        chain.extend(self.scaled(pipeline, prefix)?);
        Ok(chain)
    }

    /// What clear parts show, and YUV for what shall be YUV.
    fn opaque(&self, pipeline: &gst::Pipeline, prefix: &str) -> Result<Vec<gst::Element>, Failure> {
        let name = |part: &str| format!("{prefix}-{part}");
        let behind = (!self.keeps_clear).then_some(self.fill);
        let mut chain = vec![
            make(pipeline, "videoconvert", &name("clear-convert"))?,
            clear::element(pipeline, &name("clear"), behind)?,
        ];
        if self.format != RGB {
            chain.push(to_yuv::element(pipeline, &name("to-yuv"))?);
        }
        Ok(chain)
    }

    /// The second part: marks.
    pub fn marked(&self, pipeline: &gst::Pipeline, prefix: &str) -> Result<Vec<gst::Element>, Failure> {
        let mut chain = Vec::new();
        for (number, step) in self.after.iter().enumerate() {
            chain.extend(step.elements(pipeline, &format!("{prefix}-after{number}"))?);
        }
        Ok(chain)
    }

    /// Scales and converts in one step, then bars, then the range.
    fn scaled(&self, pipeline: &gst::Pipeline, prefix: &str) -> Result<Vec<gst::Element>, Failure> {
        let name = |part: &str| format!("{prefix}-{part}");
        let scale = make(pipeline, "videoconvertscale", &name("scale"))?;
        scale.set_property("add-borders", false);
        scale.set_property_from_str("method", if self.lanczos { "lanczos" } else { "bilinear" });
        let (width, height) = self.geometry.inner.unwrap_or((self.geometry.width, self.geometry.height));
        let format = self.tone_map.map_or(self.format, |_| tone_map::INPUT_FORMAT);
        let caps = gst::Caps::builder("video/x-raw")
            .field("width", width)
            .field("height", height)
            .field("pixel-aspect-ratio", gst::Fraction::new(1, 1))
            .build();
        let filter = caps_filter(pipeline, &name("size"), &caps)?;
        colour::follow(&pad(&scale, "sink")?, &filter, caps, format, self.keeps_clear);
        let mut chain = vec![scale, filter];
        if let Some(hdr) = self.tone_map {
            chain.push(tone_map::element(pipeline, &name("tone-map"), hdr)?);
            chain.extend(self.mapped_format(pipeline, prefix)?);
        }
        if self.format == RGB {
            chain.push(to_rgb::element(pipeline, &name("to-rgb"))?);
        }
        if self.geometry.inner.is_some() {
            chain.push(canvas::element(
                pipeline,
                &name("canvas"),
                (self.geometry.width, self.geometry.height),
                self.fill,
            )?);
        }
        Ok(chain)
    }

    /// From the tone map's 8-bit BT.709 to the wanted format.
    fn mapped_format(&self, pipeline: &gst::Pipeline, prefix: &str) -> Result<Vec<gst::Element>, Failure> {
        let format = if self.format == RGB { to_rgb::YUV_FORMAT } else { self.format };
        if format == tone_map::OUTPUT_FORMAT {
            return Ok(Vec::new());
        }
        let caps = gst::Caps::builder("video/x-raw")
            .field("format", format)
            .field("colorimetry", "bt709")
            .build();
        Ok(vec![
            make(pipeline, "videoconvert", &format!("{prefix}-mapped-convert"))?,
            caps_filter(pipeline, &format!("{prefix}-mapped"), &caps)?,
        ])
    }
}

/// Makes one frame of two fields, in the order of linking. `always`: also of pictures that claim to be progressive.
pub fn deinterlace(pipeline: &gst::Pipeline, prefix: &str, always: bool) -> Result<[gst::Element; 2], Failure> {
    Ok([
        make(pipeline, "videoconvert", &format!("{prefix}-deinterlace-convert"))?,
        deinterlace::element(pipeline, &format!("{prefix}-deinterlace"), always)?,
    ])
}

/// What a picture keeps that is made from another: its stamps, and captions that came with it.
fn carry_over(from: &gst::BufferRef, to: &mut gst::BufferRef) {
    let _ = from.copy_into(to, gst::BufferCopyFlags::TIMESTAMPS, ..);
    for caption in from
        .iter_meta::<gst_video::VideoCaptionMeta>()
        .filter(|caption| !caption.data().is_empty())
    {
        gst_video::VideoCaptionMeta::add(to, caption.caption_type(), caption.data());
    }
}

/// The one movement that rotates clockwise and then mirrors, in the words of videoflip.
pub fn direction(rotation_deg: i32, flip: Flip) -> Option<&'static str> {
    match (rotation_deg.rem_euclid(360), flip) {
        (90, Flip::Horizontal) | (270, Flip::Vertical) => Some("ul-lr"),
        (90, Flip::Vertical) | (270, Flip::Horizontal) => Some("ur-ll"),
        (180, Flip::Horizontal) | (0, Flip::Vertical) => Some("vert"),
        (180, Flip::Vertical) | (0, Flip::Horizontal) => Some("horiz"),
        (90, _) => Some("90r"),
        (180, _) => Some("180"),
        (270, _) => Some("90l"),
        _ => None,
    }
}

fn cut_to_area(pipeline: &gst::Pipeline, name: &str, area: &Area) -> Result<gst::Element, Failure> {
    let Area { area, of } = *area;
    cut(pipeline, name, move |width, height| {
        let across = |pixels: i32| scaled(pixels, width, of.0);
        let down = |pixels: i32| scaled(pixels, height, of.1);
        [
            across(area.left_px),
            width - across(area.left_px + area.width_px),
            down(area.top_px),
            height - down(area.top_px + area.height_px),
        ]
    })
}

/// Pixels of a side of one length in a side of another.
fn scaled(pixels: i32, side: i32, of: i32) -> i32 {
    if side == of {
        return pixels;
    }
    (f64::from(pixels) * f64::from(side) / f64::from(of.max(1))).round() as i32
}

/// Cuts the same share on both sides.
fn cut_shares(pipeline: &gst::Pipeline, name: &str, shares: (f64, f64)) -> Result<gst::Element, Failure> {
    cut(pipeline, name, move |width, height| {
        let across = (f64::from(width) * shares.0).round() as i32;
        let down = (f64::from(height) * shares.1).round() as i32;
        [across, across, down, down]
    })
}

/// Cuts pixels (left, right, top, bottom) that follow from the picture's size, once that is known.
fn cut(
    pipeline: &gst::Pipeline,
    name: &str,
    edges: impl Fn(i32, i32) -> [i32; 4] + Send + Sync + 'static,
) -> Result<gst::Element, Failure> {
    let crop = make(pipeline, "videocrop", name)?;
    let weak = crop.downgrade();
    pad(&crop, "sink")?.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        let caps = match info.event().map(|event| event.view()) {
            Some(gst::EventView::Caps(caps)) => caps.caps_owned(),
            _ => return gst::PadProbeReturn::Ok,
        };
        let structure = caps.structure(0);
        let side = |name: &str| structure.and_then(|structure| structure.get::<i32>(name).ok()).unwrap_or(0);
        if let Some(crop) = weak.upgrade() {
            let edges = edges(side("width"), side("height"));
            for (property, pixels) in ["left", "right", "top", "bottom"].into_iter().zip(edges) {
                crop.set_property(property, pixels.max(0));
            }
        }
        gst::PadProbeReturn::Ok
    });
    Ok(crop)
}

/// Whether what an element holds back stands in front of an event. Tags may overtake it.
fn ends_what_waits(event: &gst::Event) -> bool {
    use gst::EventType;
    let ends = [
        EventType::StreamStart,
        EventType::Caps,
        EventType::Segment,
        EventType::SegmentDone,
        EventType::Gap,
        EventType::Eos,
    ];
    ends.contains(&event.type_())
}

/// Templates of the two pads of an element of our own.
pub fn pad_templates(sink: &gst::Caps, source: &gst::Caps) -> Vec<gst::PadTemplate> {
    let template = |name, direction, caps| gst::PadTemplate::new(name, direction, gst::PadPresence::Always, caps).ok();
    [
        template("sink", gst::PadDirection::Sink, sink),
        template("src", gst::PadDirection::Src, source),
    ]
    .into_iter()
    .flatten()
    .collect()
}
