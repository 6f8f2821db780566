//! An element behind the decoder that says of every picture in YUV what its colours are, and gives it the limited range: between two formats of
//! one matrix GStreamer's converters leave the range as it is.

use std::sync::{Mutex, OnceLock};

use gst::{glib, prelude::*, subclass::prelude::*};
use gst_base::subclass::{BaseTransformMode, prelude::*};
use gst_video::{
    VideoColorMatrix, VideoColorPrimaries, VideoColorRange, VideoColorimetry, VideoFormat, VideoFormatFlags, VideoFrameExt, VideoFrameRef,
    VideoInfo, VideoTransferFunction, subclass::prelude::*,
};
use mps_pixels::levels::{Kind, Levels};
use mps_proto::worker::v1::Failure;

use super::canvas::PlaneShape;
use crate::pass::elements::broken;

/// Sides from which a film that does not tell its matrix has that of high definition.
const HD_WIDTH: u32 = 1280;
const HD_HEIGHT: u32 = 577;

/// Makes the element.
pub fn element(pipeline: &gst::Pipeline, name: &str) -> Result<gst::Element, Failure> {
    let element = glib::Object::builder::<ToLimited>().property("name", name).build();
    pipeline.add(&element).map_err(|error| broken(&error.to_string()))?;
    Ok(element.upcast())
}

glib::wrapper! {
    pub struct ToLimited(ObjectSubclass<ToLimitedFilter>)
        @extends gst_video::VideoFilter, gst_base::BaseTransform, gst::Element, gst::Object;
}

#[derive(Debug, Default)]
pub struct ToLimitedFilter {
    /// `None`: pictures keep their range.
    levels: Mutex<Option<Levels>>,
}

#[glib::object_subclass]
impl ObjectSubclass for ToLimitedFilter {
    const NAME: &'static str = "MpsToLimited";
    type Type = ToLimited;
    type ParentType = gst_video::VideoFilter;
}

impl ObjectImpl for ToLimitedFilter {}
impl GstObjectImpl for ToLimitedFilter {}

impl ElementImpl for ToLimitedFilter {
    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: OnceLock<Vec<gst::PadTemplate>> = OnceLock::new();
        TEMPLATES.get_or_init(|| {
            let any = gst::Caps::builder("video/x-raw").build();
            super::pad_templates(&any, &any)
        })
    }
}

impl BaseTransformImpl for ToLimitedFilter {
    const MODE: BaseTransformMode = BaseTransformMode::AlwaysInPlace;
    const PASSTHROUGH_ON_SAME_CAPS: bool = true;
    const TRANSFORM_IP_ON_PASSTHROUGH: bool = false;

    fn transform_caps(&self, direction: gst::PadDirection, caps: &gst::Caps, filter: Option<&gst::Caps>) -> Option<gst::Caps> {
        let mut other = caps.clone();
        // Where not everything is told yet, any colours may come.
        if direction == gst::PadDirection::Sink && caps.is_fixed() {
            if let Some(colours) = VideoInfo::from_caps(caps).ok().and_then(|info| limited(&info, caps)) {
                other.make_mut().set("colorimetry", colours.to_string());
            }
        } else {
            for structure in other.make_mut().iter_mut() {
                structure.remove_field("colorimetry");
            }
        }
        Some(match filter {
            Some(filter) => filter.intersect_with_mode(&other, gst::CapsIntersectMode::First),
            None => other,
        })
    }
}

impl VideoFilterImpl for ToLimitedFilter {
    fn set_info(&self, incaps: &gst::Caps, input: &VideoInfo, _outcaps: &gst::Caps, _out: &VideoInfo) -> Result<(), gst::LoggableError> {
        let full = told(incaps).is_some_and(|told| told.range() == VideoColorRange::Range0_255);
        let mut levels = self
            .levels
            .lock()
            .map_err(|_| gst::loggable_error!(gst::CAT_RUST, "the levels are lost"))?;
        *levels = (full && is_convertible(input)).then(|| Levels::limited(input.comp_depth(0)));
        Ok(())
    }

    fn transform_frame_ip(&self, frame: &mut VideoFrameRef<&mut gst::BufferRef>) -> Result<gst::FlowSuccess, gst::FlowError> {
        let levels = self.levels.lock().map_err(|_| gst::FlowError::Error)?;
        if let Some(levels) = levels.as_ref() {
            convert(levels, frame).ok_or(gst::FlowError::Error)?;
        }
        Ok(gst::FlowSuccess::Ok)
    }
}

/// What caps tell of colours; GStreamer would make up what they leave out.
fn told(caps: &gst::CapsRef) -> Option<VideoColorimetry> {
    caps.structure(0)?.get::<&str>("colorimetry").ok()?.parse().ok()
}

/// The colours of pictures in YUV once their range is limited; `None`: they are not in YUV, or their range cannot be changed.
fn limited(info: &VideoInfo, caps: &gst::CapsRef) -> Option<VideoColorimetry> {
    let unknown = VideoColorimetry::new(
        VideoColorRange::Unknown,
        VideoColorMatrix::Unknown,
        VideoTransferFunction::Unknown,
        VideoColorPrimaries::Unknown,
    );
    let told = told(caps).unwrap_or(unknown);
    let stays = info.is_rgb() || told.matrix() == VideoColorMatrix::Rgb;
    if stays || (told.range() == VideoColorRange::Range0_255 && !is_convertible(info)) {
        return None;
    }
    let matrix = match (told.matrix(), told.transfer()) {
        (VideoColorMatrix::Unknown, VideoTransferFunction::Smpte2084 | VideoTransferFunction::AribStdB67) => VideoColorMatrix::Bt2020,
        (VideoColorMatrix::Unknown, _) if info.width() >= HD_WIDTH || info.height() >= HD_HEIGHT => VideoColorMatrix::Bt709,
        (VideoColorMatrix::Unknown, _) => VideoColorMatrix::Bt601,
        (known, _) => known,
    };
    let range = VideoColorRange::Range16_235;
    Some(VideoColorimetry::new(range, matrix, told.transfer(), told.primaries()))
}

/// Whether every value of a pixel stands in bytes of its own.
fn is_convertible(info: &VideoInfo) -> bool {
    let format = info.format_info();
    let bits = info.comp_depth(0);
    let in_order = bits == 8 || format.flags().contains(VideoFormatFlags::LE) || info.format() == VideoFormat::Ayuv64;
    let whole =
        !format.flags().intersects(VideoFormatFlags::COMPLEX | VideoFormatFlags::TILED) && format.shift().iter().all(|shift| *shift == 0);
    (info.is_yuv() || info.is_gray()) && (8..=16).contains(&bits) && in_order && whole
}

fn convert(levels: &Levels, frame: &mut VideoFrameRef<&mut gst::BufferRef>) -> Option<()> {
    let info = frame.info().clone();
    for plane in 0..frame.n_planes() {
        let shape = PlaneShape::of(&info, plane);
        let kinds = kinds(&info, plane, shape);
        let stride = usize::try_from(*frame.plane_stride().get(plane as usize)?).ok()?;
        let data = frame.plane_data_mut(plane).ok()?;
        for line in data.chunks_mut(stride.max(1)).take(shape.height) {
            let bytes = (shape.width * shape.pixel()).min(line.len());
            levels.convert(line.get_mut(..bytes)?, &kinds, shape.bytes);
        }
    }
    Some(())
}

/// What the values of a pixel in a plane are.
fn kinds(info: &VideoInfo, plane: u32, shape: PlaneShape) -> Vec<Kind> {
    let format = info.format_info();
    let mut kinds = vec![Kind::Other; shape.values.max(1)];
    let components = format.plane().iter().zip(format.poffset()).take(info.n_components() as usize);
    for (component, (_, offset)) in components.enumerate().filter(|(_, (of, _))| **of == plane) {
        let place = usize::try_from(*offset).unwrap_or(0) / shape.bytes.max(1) % kinds.len();
        if let Some(kind) = kinds.get_mut(place) {
            *kind = match component {
                0 => Kind::Luma,
                1 | 2 => Kind::Chroma,
                _ => Kind::Other,
            };
        }
    }
    kinds
}
