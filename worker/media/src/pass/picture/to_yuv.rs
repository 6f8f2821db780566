//! An element that gives pictures in RGB of 8 bits the colours of BT.709 in limited range, exactly: GStreamer's own conversion of 8 bits is off by
//! a level or two. Others pass.

use std::sync::OnceLock;

use gst::{glib, prelude::*, subclass::prelude::*};
use gst_base::subclass::{BaseTransformMode, prelude::*};
use gst_video::{VideoFormat, VideoFrameExt, VideoFrameRef, VideoInfo, subclass::prelude::*};
use mps_pixels::matrix::ToYuv;
use mps_proto::worker::v1::Failure;

use super::colour;
use crate::pass::elements::broken;

/// What is converted.
const RGB: [VideoFormat; 11] = [
    VideoFormat::Rgb,
    VideoFormat::Bgr,
    VideoFormat::Rgba,
    VideoFormat::Bgra,
    VideoFormat::Argb,
    VideoFormat::Abgr,
    VideoFormat::Rgbx,
    VideoFormat::Bgrx,
    VideoFormat::Xrgb,
    VideoFormat::Xbgr,
    VideoFormat::Gbr,
];
const OUTPUT_FORMAT: &str = "AYUV";
const OPAQUE: u8 = 255;

/// Makes the element.
pub fn element(pipeline: &gst::Pipeline, name: &str) -> Result<gst::Element, Failure> {
    let element = glib::Object::builder::<RgbToYuv>().property("name", name).build();
    pipeline.add(&element).map_err(|error| broken(&error.to_string()))?;
    Ok(element.upcast())
}

glib::wrapper! {
    pub struct RgbToYuv(ObjectSubclass<ToYuvFilter>)
        @extends gst_video::VideoFilter, gst_base::BaseTransform, gst::Element, gst::Object;
}

#[derive(Debug, Default)]
pub struct ToYuvFilter;

#[glib::object_subclass]
impl ObjectSubclass for ToYuvFilter {
    const NAME: &'static str = "MpsRgbToYuv";
    type Type = RgbToYuv;
    type ParentType = gst_video::VideoFilter;
}

impl ObjectImpl for ToYuvFilter {}
impl GstObjectImpl for ToYuvFilter {}

impl ElementImpl for ToYuvFilter {
    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: OnceLock<Vec<gst::PadTemplate>> = OnceLock::new();
        TEMPLATES.get_or_init(|| {
            let any = gst::Caps::builder("video/x-raw").build();
            super::pad_templates(&any, &any)
        })
    }
}

impl BaseTransformImpl for ToYuvFilter {
    const MODE: BaseTransformMode = BaseTransformMode::NeverInPlace;
    const PASSTHROUGH_ON_SAME_CAPS: bool = true;
    const TRANSFORM_IP_ON_PASSTHROUGH: bool = false;

    fn transform_caps(&self, direction: gst::PadDirection, caps: &gst::Caps, filter: Option<&gst::Caps>) -> Option<gst::Caps> {
        let mut other = caps.clone();
        // Where not everything is told yet, any format may come.
        if direction == gst::PadDirection::Sink && caps.is_fixed() {
            if VideoInfo::from_caps(caps).is_ok_and(|info| RGB.contains(&info.format())) {
                other.make_mut().set("format", OUTPUT_FORMAT);
                other.make_mut().set("colorimetry", "bt709");
            }
        } else {
            for structure in other.make_mut().iter_mut() {
                structure.remove_fields(["format", "colorimetry", "chroma-site"]);
            }
        }
        Some(match filter {
            Some(filter) => filter.intersect_with_mode(&other, gst::CapsIntersectMode::First),
            None => other,
        })
    }
}

impl VideoFilterImpl for ToYuvFilter {
    fn transform_frame(
        &self,
        input: &VideoFrameRef<&gst::BufferRef>,
        output: &mut VideoFrameRef<&mut gst::BufferRef>,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        convert(input, output).ok_or(gst::FlowError::Error)?;
        Ok(gst::FlowSuccess::Ok)
    }
}

fn convert(input: &VideoFrameRef<&gst::BufferRef>, output: &mut VideoFrameRef<&mut gst::BufferRef>) -> Option<()> {
    let to_yuv = ToYuv::new(colour::BT709);
    let (width, height) = (input.width() as usize, input.height() as usize);
    let channels = [Channel::of(input, 0)?, Channel::of(input, 1)?, Channel::of(input, 2)?];
    let alpha = if input.info().has_alpha() {
        Some(Channel::of(input, 3)?)
    } else {
        None
    };
    let stride = usize::try_from(*output.plane_stride().first()?).ok()?;
    let data = output.plane_data_mut(0).ok()?;
    for (line, to) in data.chunks_mut(stride.max(1)).take(height).enumerate() {
        for (column, to) in to.as_chunks_mut::<4>().0.iter_mut().take(width).enumerate() {
            let [luma, cb, cr] = to_yuv.pixel([0, 1, 2].map(|channel| channels[channel].at(line, column)));
            *to = [alpha.as_ref().map_or(OPAQUE, |alpha| alpha.at(line, column)), luma, cb, cr];
        }
    }
    Some(())
}

/// Where the values of a channel stand.
struct Channel<'a> {
    data: &'a [u8],
    stride: usize,
    step: usize,
}

impl<'a> Channel<'a> {
    fn of(frame: &'a VideoFrameRef<&gst::BufferRef>, number: usize) -> Option<Self> {
        let format = frame.format_info();
        let plane = *format.plane().get(number)?;
        let offset = usize::try_from(*format.poffset().get(number)?).ok()?;
        Some(Self {
            data: frame.plane_data(plane).ok()?.get(offset..)?,
            stride: usize::try_from(*frame.plane_stride().get(plane as usize)?).ok()?,
            step: usize::try_from(*format.pixel_stride().get(number)?).ok()?,
        })
    }

    fn at(&self, line: usize, column: usize) -> u8 {
        self.data.get(line * self.stride + column * self.step).copied().unwrap_or(0)
    }
}
