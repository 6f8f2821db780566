//! An element for pictures that are clear in parts: it lays them over a plain colour, or weights colours by how opaque they are, which `to_rgb`
//! takes back once the picture is scaled.

use std::sync::OnceLock;

use gst::{glib, prelude::*, subclass::prelude::*};
use gst_base::{
    prelude::*,
    subclass::{BaseTransformMode, prelude::*},
};
use gst_video::{VideoFormat, VideoFrameExt, VideoFrameRef, VideoInfo, subclass::prelude::*};
use mps_pixels::alpha::{Alpha, Component};
use mps_proto::{v1::PadFill, worker::v1::Failure};

use crate::pass::elements::broken;

/// Formats with alpha whose values stand in bytes of their own.
const WITH_ALPHA: [VideoFormat; 19] = [
    VideoFormat::A420,
    VideoFormat::A42010le,
    VideoFormat::A42210le,
    VideoFormat::A44410le,
    VideoFormat::Ayuv,
    VideoFormat::Ayuv64,
    VideoFormat::Vuya,
    VideoFormat::Argb,
    VideoFormat::Abgr,
    VideoFormat::Rgba,
    VideoFormat::Bgra,
    VideoFormat::Argb64,
    VideoFormat::Argb64Le,
    VideoFormat::Abgr64Le,
    VideoFormat::Rgba64Le,
    VideoFormat::Bgra64Le,
    VideoFormat::Gbra,
    VideoFormat::Gbra10le,
    VideoFormat::Gbra12le,
];
/// Formats that a conversion in front resolves: few colours, packed into few bits.
const COARSE: [VideoFormat; 5] = [
    VideoFormat::Rgb8p,
    VideoFormat::Rgb15,
    VideoFormat::Bgr15,
    VideoFormat::Rgb16,
    VideoFormat::Bgr16,
];

/// Makes the element. `behind`: what clear parts show; `None`: they stay clear.
pub fn element(pipeline: &gst::Pipeline, name: &str, behind: Option<PadFill>) -> Result<gst::Element, Failure> {
    let element = glib::Object::builder::<Clear>().property("name", name).build();
    element
        .imp()
        .behind
        .set(behind)
        .map_err(|_| broken("clear parts were set up twice"))?;
    pipeline.add(&element).map_err(|error| broken(&error.to_string()))?;
    Ok(element.upcast())
}

glib::wrapper! {
    pub struct Clear(ObjectSubclass<ClearFilter>)
        @extends gst_video::VideoFilter, gst_base::BaseTransform, gst::Element, gst::Object;
}

#[derive(Debug, Default)]
pub struct ClearFilter {
    behind: OnceLock<Option<PadFill>>,
}

#[glib::object_subclass]
impl ObjectSubclass for ClearFilter {
    const NAME: &'static str = "MpsClear";
    type Type = Clear;
    type ParentType = gst_video::VideoFilter;
}

impl ObjectImpl for ClearFilter {}
impl GstObjectImpl for ClearFilter {}

impl ElementImpl for ClearFilter {
    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: OnceLock<Vec<gst::PadTemplate>> = OnceLock::new();
        TEMPLATES.get_or_init(|| {
            let is_taken = |format: &VideoFormat| {
                let has_alpha = gst_video::VideoFormatInfo::from_format(*format).has_alpha();
                WITH_ALPHA.contains(format) || !(has_alpha || COARSE.contains(format))
            };
            let formats = VideoFormat::iter_raw().filter(is_taken);
            let caps = gst_video::VideoCapsBuilder::new().format_list(formats).build();
            super::pad_templates(&caps, &caps)
        })
    }
}

impl BaseTransformImpl for ClearFilter {
    const MODE: BaseTransformMode = BaseTransformMode::AlwaysInPlace;
    const PASSTHROUGH_ON_SAME_CAPS: bool = false;
    const TRANSFORM_IP_ON_PASSTHROUGH: bool = false;
}

impl VideoFilterImpl for ClearFilter {
    fn set_info(&self, _in: &gst::Caps, input: &VideoInfo, _outcaps: &gst::Caps, _out: &VideoInfo) -> Result<(), gst::LoggableError> {
        self.obj().set_passthrough(!input.has_alpha());
        Ok(())
    }

    fn transform_frame_ip(&self, frame: &mut VideoFrameRef<&mut gst::BufferRef>) -> Result<gst::FlowSuccess, gst::FlowError> {
        let behind = self.behind.get().copied().flatten();
        lay_over(frame, behind).ok_or(gst::FlowError::Error)?;
        Ok(gst::FlowSuccess::Ok)
    }
}

/// Number of the component that says how opaque pixels are.
const ALPHA: u8 = 3;

fn lay_over(frame: &mut VideoFrameRef<&mut gst::BufferRef>, behind: Option<PadFill>) -> Option<()> {
    let info = frame.info().clone();
    let plane_of = |component: u8| info.format_info().plane().get(usize::from(component)).copied();
    let own = component(frame, ALPHA)?;
    let alpha = Alpha::read(frame.plane_data(plane_of(ALPHA)?).ok()?, &own);
    if alpha.is_opaque() {
        return Some(());
    }
    for number in 0..ALPHA {
        let place = component(frame, number)?;
        let plane = frame.plane_data_mut(plane_of(number)?).ok()?;
        alpha.lay_over(plane, &place, plain(&info, number, behind));
    }
    if behind.is_some() {
        own.fill(frame.plane_data_mut(plane_of(ALPHA)?).ok()?, u32::MAX);
    }
    Some(())
}

fn component(frame: &VideoFrameRef<&mut gst::BufferRef>, number: u8) -> Option<Component> {
    let info = frame.info();
    let index = usize::from(number);
    let plane = *info.format_info().plane().get(index)? as usize;
    Some(Component {
        offset: usize::try_from(*info.format_info().poffset().get(index)?).ok()?,
        step: usize::try_from(*info.format_info().pixel_stride().get(index)?).ok()?,
        stride: usize::try_from(*frame.plane_stride().get(plane)?).ok()?,
        width: info.comp_width(number) as usize,
        height: info.comp_height(number) as usize,
        bits: info.comp_depth(number),
    })
}

/// The value of a component in white or black. Pictures in YUV come here in limited range.
fn plain(info: &VideoInfo, component: u8, behind: Option<PadFill>) -> u32 {
    let white = behind == Some(PadFill::White);
    let bits = info.comp_depth(component).max(8);
    match (info.is_rgb(), component, white) {
        (true, _, true) => (1 << bits) - 1,
        (true, _, false) => 0,
        (false, 0, true) => 235 << (bits - 8),
        (false, 0, false) => 16 << (bits - 8),
        (false, ..) => 128 << (bits - 8),
    }
}
