//! An element that maps high dynamic range to BT.709 by a table: `tone_curve` says what, here is how it gets to every pixel.

use std::{
    num::NonZero,
    sync::{Arc, Mutex, OnceLock},
    thread::available_parallelism,
};

use gst::{glib, prelude::*, subclass::prelude::*};
use gst_base::subclass::{BaseTransformMode, prelude::*};
use gst_video::{VideoFormat, VideoFrameExt, VideoFrameRef, VideoInfo, subclass::prelude::*};
use mps_proto::worker::v1::Failure;

use super::{colour::Hdr, tone_curve::Curve, tone_table::Table};
use crate::pass::elements::broken;

/// What the element takes and gives.
pub const INPUT_FORMAT: &str = "I420_10LE";
pub const OUTPUT_FORMAT: &str = "I420";
/// Pixels from which a picture is worth another thread.
const PIXELS_PER_THREAD: usize = 1 << 18;
/// Brightest light in units of 100 cd/m² where the film does not tell.
const USUAL_PEAK: f64 = 10.0;

/// Makes the element.
pub fn element(pipeline: &gst::Pipeline, name: &str, hdr: Hdr) -> Result<gst::Element, Failure> {
    let element = glib::Object::builder::<ToneMap>().property("name", name).build();
    element.imp().hdr.set(hdr).map_err(|_| broken("a tone map was set up twice"))?;
    pipeline.add(&element).map_err(|error| broken(&error.to_string()))?;
    Ok(element.upcast())
}

glib::wrapper! {
    pub struct ToneMap(ObjectSubclass<ToneMapFilter>)
        @extends gst_video::VideoFilter, gst_base::BaseTransform, gst::Element, gst::Object;
}

#[derive(Debug, Default)]
pub struct ToneMapFilter {
    hdr: OnceLock<Hdr>,
    table: Mutex<Option<Arc<Table>>>,
}

#[glib::object_subclass]
impl ObjectSubclass for ToneMapFilter {
    const NAME: &'static str = "MpsToneMap";
    type Type = ToneMap;
    type ParentType = gst_video::VideoFilter;
}

impl ObjectImpl for ToneMapFilter {}
impl GstObjectImpl for ToneMapFilter {}

impl ElementImpl for ToneMapFilter {
    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: OnceLock<Vec<gst::PadTemplate>> = OnceLock::new();
        TEMPLATES.get_or_init(|| {
            let of = |format| gst_video::VideoCapsBuilder::new().format(format).build();
            super::pad_templates(&of(VideoFormat::I42010le), &of(VideoFormat::I420))
        })
    }
}

impl BaseTransformImpl for ToneMapFilter {
    const MODE: BaseTransformMode = BaseTransformMode::NeverInPlace;
    const PASSTHROUGH_ON_SAME_CAPS: bool = false;
    const TRANSFORM_IP_ON_PASSTHROUGH: bool = false;

    fn transform_caps(&self, direction: gst::PadDirection, caps: &gst::Caps, filter: Option<&gst::Caps>) -> Option<gst::Caps> {
        let mut other = caps.clone();
        for structure in other.make_mut().iter_mut() {
            structure.remove_fields(["mastering-display-info", "content-light-level", "colorimetry"]);
            if direction == gst::PadDirection::Sink {
                structure.set("format", OUTPUT_FORMAT);
                structure.set("colorimetry", "bt709");
            } else {
                structure.set("format", INPUT_FORMAT);
            }
        }
        Some(match filter {
            Some(filter) => filter.intersect_with_mode(&other, gst::CapsIntersectMode::First),
            None => other,
        })
    }
}

impl VideoFilterImpl for ToneMapFilter {
    fn set_info(&self, incaps: &gst::Caps, _in: &VideoInfo, _outcaps: &gst::Caps, _out: &VideoInfo) -> Result<(), gst::LoggableError> {
        let curve = Curve {
            hdr: self.hdr.get().copied().unwrap_or(Hdr::Pq),
            peak: peak(incaps),
        };
        let mut table = self
            .table
            .lock()
            .map_err(|_| gst::loggable_error!(gst::CAT_RUST, "the tone map's table is lost"))?;
        *table = Some(Table::of(curve));
        Ok(())
    }

    fn transform_frame(
        &self,
        input: &VideoFrameRef<&gst::BufferRef>,
        output: &mut VideoFrameRef<&mut gst::BufferRef>,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let table = self.table.lock().map_err(|_| gst::FlowError::Error)?;
        let table = table.as_ref().ok_or(gst::FlowError::NotNegotiated)?;
        map_frame(table, input, output).ok_or(gst::FlowError::Error)?;
        Ok(gst::FlowSuccess::Ok)
    }
}

/// As the film tells it: by its content, else by the display that it was graded on.
fn peak(caps: &gst::Caps) -> f64 {
    let content = gst_video::VideoContentLightLevel::from_caps(caps).map(|level| f64::from(level.max_content_light_level()) / 100.0);
    let display = gst_video::VideoMasteringDisplayInfo::from_caps(caps)
        .map(|display| f64::from(display.max_display_mastering_luminance()) / 10_000.0 / 100.0);
    let told = |peak: &f64| *peak > 0.0;
    content.ok().filter(told).or(display.ok().filter(told)).unwrap_or(USUAL_PEAK)
}

/// Planes of a picture.
type Planes<'a> = [(&'a [u8], usize); 3];

fn map_frame(table: &Table, input: &VideoFrameRef<&gst::BufferRef>, output: &mut VideoFrameRef<&mut gst::BufferRef>) -> Option<()> {
    let (width, height) = (input.width() as usize, input.height() as usize);
    let mut planes: Planes = [(&[], 0); 3];
    for (number, plane) in planes.iter_mut().enumerate() {
        *plane = (
            input.plane_data(number as u32).ok()?,
            usize::try_from(*input.plane_stride().get(number)?).ok()?,
        );
    }
    let strides: Vec<usize> = output.plane_stride().iter().map(|stride| (*stride).max(1) as usize).collect();
    let mut outputs = output.planes_data_mut();
    let [luma, blue, red] = outputs.first_chunk_mut::<3>()?.each_mut().map(|plane| &mut **plane);
    let pairs = height.div_ceil(2);
    let threads = (width * height / PIXELS_PER_THREAD).clamp(1, available_parallelism().map_or(1, NonZero::get));
    let share = pairs.div_ceil(threads).max(1);
    std::thread::scope(|scope| {
        let chunks = luma
            .chunks_mut(share * 2 * strides[0])
            .zip(blue.chunks_mut(share * strides[1]))
            .zip(red.chunks_mut(share * strides[2]));
        for (number, ((luma, blue), red)) in chunks.enumerate().take(threads) {
            let lines = Lines {
                first_pair: number * share,
                pairs: share.min(pairs.saturating_sub(number * share)),
                width,
                height,
            };
            let strides = &strides;
            let mut work = move || map_lines(table, &planes, &lines, [luma, blue, red], strides);
            if threads == 1 {
                work();
            } else {
                scope.spawn(work);
            }
        }
    });
    Some(())
}

/// Pairs of lines that one thread maps.
struct Lines {
    first_pair: usize,
    pairs: usize,
    width: usize,
    height: usize,
}

fn map_lines(table: &Table, planes: &Planes, lines: &Lines, [luma, blue, red]: [&mut [u8]; 3], strides: &[usize]) {
    let line = |plane: usize, number: usize| {
        let (data, stride) = planes[plane];
        data.get(number * stride..).unwrap_or_default()
    };
    for pair in 0..lines.pairs {
        let source = lines.first_pair + pair;
        let (upper, lower) = (line(0, source * 2), line(0, (source * 2 + 1).min(lines.height.saturating_sub(1))));
        let (blues, reds) = (line(1, source), line(2, source));
        let (above, rest) = luma
            .get_mut(pair * 2 * strides[0]..)
            .unwrap_or_default()
            .split_at_mut_checked(strides[0])
            .unwrap_or_default();
        for column in 0..lines.width.div_ceil(2) {
            let between = table.chroma(sample(blues, column), sample(reds, column));
            let mut sum = 0;
            for x in [column * 2, (column * 2 + 1).min(lines.width.saturating_sub(1))] {
                for (from, to) in [(upper, &mut *above), (lower, &mut *rest)] {
                    let value = sample(from, x);
                    sum += value;
                    if let Some(place) = to.get_mut(x) {
                        *place = between.at(value, 0);
                    }
                }
            }
            for (plane, stride, value) in [(&mut *blue, strides[1], 1), (&mut *red, strides[2], 2)] {
                if let Some(place) = plane.get_mut(pair * stride + column) {
                    *place = between.at(sum / 4, value);
                }
            }
        }
    }
}

fn sample(line: &[u8], number: usize) -> u16 {
    match line.get(number * 2..number * 2 + 2) {
        Some([low, high]) => u16::from_le_bytes([*low, *high]),
        _ => 0,
    }
}
