//! An element that makes packed RGB of 8 bits, exactly: GStreamer's own conversion of 8 bits is up to six levels too dark. Where pictures are clear
//! in parts they stay so, and the weight that `clear` gave their colours is taken out.

use std::sync::{Mutex, OnceLock};

use gst::{glib, prelude::*, subclass::prelude::*};
use gst_base::subclass::{BaseTransformMode, prelude::*};
use gst_video::{VideoFormat, VideoFrameExt, VideoFrameRef, VideoInfo, subclass::prelude::*};
use mps_pixels::{alpha, matrix::ToRgb};
use mps_proto::worker::v1::Failure;

use super::colour;
use crate::pass::elements::broken;

/// What goes in, and what comes out of it.
const FORMATS: [(VideoFormat, VideoFormat); 4] = [
    (VideoFormat::Y444, VideoFormat::Rgb),
    (VideoFormat::Ayuv, VideoFormat::Rgba),
    (VideoFormat::Rgb, VideoFormat::Rgb),
    (VideoFormat::Rgba, VideoFormat::Rgba),
];

/// What goes in of pictures in YUV without clear parts.
pub const YUV_FORMAT: &str = "Y444";

/// Makes the element.
pub fn element(pipeline: &gst::Pipeline, name: &str) -> Result<gst::Element, Failure> {
    let element = glib::Object::builder::<YuvToRgb>().property("name", name).build();
    pipeline.add(&element).map_err(|error| broken(&error.to_string()))?;
    Ok(element.upcast())
}

/// What the element is given of a picture: YUV stays until the scaler is through. `keeps_clear`: clear parts stay clear.
pub fn input_format(input: &VideoInfo, keeps_clear: bool) -> &'static str {
    match (input.is_rgb(), keeps_clear && input.has_alpha()) {
        (true, true) => "RGBA",
        (true, false) => "RGB",
        (false, true) => "AYUV",
        (false, false) => YUV_FORMAT,
    }
}

glib::wrapper! {
    pub struct YuvToRgb(ObjectSubclass<ToRgbFilter>)
        @extends gst_video::VideoFilter, gst_base::BaseTransform, gst::Element, gst::Object;
}

#[derive(Debug, Default)]
pub struct ToRgbFilter {
    matrix: Mutex<Option<ToRgb>>,
}

#[glib::object_subclass]
impl ObjectSubclass for ToRgbFilter {
    const NAME: &'static str = "MpsYuvToRgb";
    type Type = YuvToRgb;
    type ParentType = gst_video::VideoFilter;
}

impl ObjectImpl for ToRgbFilter {}
impl GstObjectImpl for ToRgbFilter {}

impl ElementImpl for ToRgbFilter {
    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: OnceLock<Vec<gst::PadTemplate>> = OnceLock::new();
        TEMPLATES.get_or_init(|| {
            let of = |formats: [VideoFormat; 4]| gst_video::VideoCapsBuilder::new().format_list(formats).build();
            super::pad_templates(&of(FORMATS.map(|(from, _)| from)), &of(FORMATS.map(|(_, to)| to)))
        })
    }
}

impl BaseTransformImpl for ToRgbFilter {
    const MODE: BaseTransformMode = BaseTransformMode::NeverInPlace;
    const PASSTHROUGH_ON_SAME_CAPS: bool = false;
    const TRANSFORM_IP_ON_PASSTHROUGH: bool = false;

    fn transform_caps(&self, direction: gst::PadDirection, caps: &gst::Caps, filter: Option<&gst::Caps>) -> Option<gst::Caps> {
        let mut other = gst::Caps::new_empty();
        for (from, to) in FORMATS {
            let (own, theirs) = if direction == gst::PadDirection::Sink {
                (from, to)
            } else {
                (to, from)
            };
            let own = gst::Caps::builder("video/x-raw").field("format", own.to_str().as_str()).build();
            let mut matching = caps.intersect_with_mode(&own, gst::CapsIntersectMode::First);
            for structure in matching.make_mut().iter_mut() {
                structure.remove_fields(["colorimetry", "chroma-site", "mastering-display-info", "content-light-level"]);
                structure.set("format", theirs.to_str().as_str());
                if direction == gst::PadDirection::Sink {
                    structure.set("colorimetry", "sRGB");
                }
            }
            other.merge(matching);
        }
        Some(match filter {
            Some(filter) => filter.intersect_with_mode(&other, gst::CapsIntersectMode::First),
            None => other,
        })
    }
}

impl VideoFilterImpl for ToRgbFilter {
    fn set_info(&self, _in: &gst::Caps, input: &VideoInfo, _outcaps: &gst::Caps, _out: &VideoInfo) -> Result<(), gst::LoggableError> {
        let mut matrix = self
            .matrix
            .lock()
            .map_err(|_| gst::loggable_error!(gst::CAT_RUST, "the matrix is lost"))?;
        *matrix = (!input.is_rgb()).then(|| ToRgb::new(colour::shares(input.colorimetry().matrix())));
        Ok(())
    }

    fn transform_frame(
        &self,
        input: &VideoFrameRef<&gst::BufferRef>,
        output: &mut VideoFrameRef<&mut gst::BufferRef>,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let matrix = self.matrix.lock().map_err(|_| gst::FlowError::Error)?;
        convert(matrix.as_ref(), input, output).ok_or(gst::FlowError::Error)?;
        Ok(gst::FlowSuccess::Ok)
    }
}

/// `matrix`: `None` where the input is RGB.
fn convert(matrix: Option<&ToRgb>, input: &VideoFrameRef<&gst::BufferRef>, output: &mut VideoFrameRef<&mut gst::BufferRef>) -> Option<()> {
    let (width, height) = (input.width() as usize, input.height() as usize);
    let is_clear = output.format() == VideoFormat::Rgba;
    let pixel = if is_clear { 4 } else { 3 };
    let stride = usize::try_from(*output.plane_stride().first()?).ok()?;
    let data = output.plane_data_mut(0).ok()?;
    for (number, to) in data.chunks_mut(stride.max(1)).take(height).enumerate() {
        let to = to.get_mut(..width * pixel)?;
        match matrix {
            Some(matrix) if is_clear => matrix.line_with_alpha(line(input, 0, number, width * 4)?, to),
            Some(matrix) => {
                let planes = [
                    line(input, 0, number, width)?,
                    line(input, 1, number, width)?,
                    line(input, 2, number, width)?,
                ];
                matrix.line(planes, to);
            }
            None => to.copy_from_slice(line(input, 0, number, width * pixel)?),
        }
        if is_clear {
            alpha::unweight(to);
        }
    }
    Some(())
}

fn line<'a>(frame: &'a VideoFrameRef<&gst::BufferRef>, plane: u32, number: usize, bytes: usize) -> Option<&'a [u8]> {
    let stride = usize::try_from(*frame.plane_stride().get(plane as usize)?).ok()?;
    frame.plane_data(plane).ok()?.get(number * stride..)?.get(..bytes)
}
