//! The element that improves pictures in place.

use std::sync::{Arc, Mutex, OnceLock};

use gst::{glib, prelude::*, subclass::prelude::*};
use gst_base::subclass::{BaseTransformMode, prelude::*};
use gst_video::{VideoFormat, VideoFrameExt, VideoFrameRef, subclass::prelude::*};
use mps_proto::{v1::video_enhancement::Strength, worker::v1::Failure};

use super::{denoise::Denoise, tone};
use crate::pass::{elements::broken, picture::pad_templates};

/// What the element is to do.
#[derive(Debug, Clone, Default)]
pub struct Work {
    pub denoise: Option<Strength>,
    pub sharpen: Option<f64>,
    pub color: Option<Strength>,
    pub low_light: bool,
    pub seen: Arc<Mutex<Seen>>,
}

/// What it saw.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seen {
    pub pictures: u64,
    pub lifted: u64,
    /// Sum of mean lumas, 0 to 1 each.
    pub luma: f64,
}

/// Makes the element.
pub fn element(pipeline: &gst::Pipeline, name: &str, work: Work) -> Result<gst::Element, Failure> {
    let element = glib::Object::builder::<Enhance>().property("name", name).build();
    let state = State {
        denoise: work.denoise.map(Denoise::new),
        brightness: tone::Brightness::default(),
        tables: None,
        samples: Vec::new(),
    };
    *element.imp().state.lock().map_err(|_| broken("an enhancement was lost"))? = Some(state);
    element
        .imp()
        .work
        .set(work)
        .map_err(|_| broken("an enhancement was set up twice"))?;
    pipeline.add(&element).map_err(|error| broken(&error.to_string()))?;
    Ok(element.upcast())
}

glib::wrapper! {
    pub struct Enhance(ObjectSubclass<EnhanceFilter>)
        @extends gst_video::VideoFilter, gst_base::BaseTransform, gst::Element, gst::Object;
}

#[derive(Default)]
pub struct EnhanceFilter {
    work: OnceLock<Work>,
    state: Mutex<Option<State>>,
}

/// Tables with the power and the bits that they are for.
struct Tables {
    power: f64,
    bits: u32,
    luma: Vec<u16>,
    chroma: Vec<u16>,
}

struct State {
    denoise: Option<Denoise>,
    brightness: tone::Brightness,
    tables: Option<Tables>,
    samples: Vec<u16>,
}

#[glib::object_subclass]
impl ObjectSubclass for EnhanceFilter {
    const NAME: &'static str = "MpsEnhance";
    type Type = Enhance;
    type ParentType = gst_video::VideoFilter;
}

impl ObjectImpl for EnhanceFilter {}
impl GstObjectImpl for EnhanceFilter {}

impl ElementImpl for EnhanceFilter {
    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: OnceLock<Vec<gst::PadTemplate>> = OnceLock::new();
        TEMPLATES.get_or_init(|| {
            let caps = gst_video::VideoCapsBuilder::new()
                .format_list([VideoFormat::I420, VideoFormat::I42010le])
                .build();
            pad_templates(&caps, &caps)
        })
    }
}

impl BaseTransformImpl for EnhanceFilter {
    const MODE: BaseTransformMode = BaseTransformMode::AlwaysInPlace;
    const PASSTHROUGH_ON_SAME_CAPS: bool = false;
    const TRANSFORM_IP_ON_PASSTHROUGH: bool = false;
}

impl VideoFilterImpl for EnhanceFilter {
    fn transform_frame_ip(&self, frame: &mut VideoFrameRef<&mut gst::BufferRef>) -> Result<gst::FlowSuccess, gst::FlowError> {
        let work = self.work.get().ok_or(gst::FlowError::Error)?;
        let mut state = self.state.lock().map_err(|_| gst::FlowError::Error)?;
        let state = state.as_mut().ok_or(gst::FlowError::Error)?;
        let bits = if frame.format() == VideoFormat::I42010le { 10 } else { 8 };
        for number in 0..3 {
            state.plane(work, frame, number, bits).ok_or(gst::FlowError::Error)?;
        }
        Ok(gst::FlowSuccess::Ok)
    }
}

impl State {
    fn plane(&mut self, work: &Work, frame: &mut VideoFrameRef<&mut gst::BufferRef>, number: usize, bits: u32) -> Option<()> {
        let (width, height) = (frame.comp_width(number as u32) as usize, frame.comp_height(number as u32) as usize);
        let stride = usize::try_from(*frame.plane_stride().get(number)?).ok()?;
        let mut samples = std::mem::take(&mut self.samples);
        let data = frame.plane_data_mut(number as u32).ok()?;
        read(data, stride, (width, height), bits, &mut samples);
        if let Some(denoise) = &mut self.denoise {
            denoise.plane(number, &mut samples, width, bits);
        }
        self.tones(work, &mut samples, number, bits);
        if let Some(amount) = work.sharpen.filter(|_| number == 0) {
            tone::sharpen(&mut samples, width, amount, bits);
        }
        write(data, stride, width, bits, &samples);
        self.samples = samples;
        Some(())
    }

    fn tones(&mut self, work: &Work, samples: &mut [u16], number: usize, bits: u32) {
        if work.color.is_none() && !work.low_light {
            return;
        }
        if number == 0 {
            let power = if work.low_light { self.lift(work, samples, bits) } else { 1.0 };
            let stale = |tables: &Tables| (tables.power - power).abs() > 0.002 || tables.bits != bits;
            if self.tables.as_ref().is_none_or(stale) {
                let (gain, contrast) = work.color.map_or((1.0, 1.0), tone::color);
                // Lifted luma looks pale with the chroma of before.
                let gain = gain * (1.0 + (1.0 - power) * 0.5);
                self.tables = Some(Tables {
                    power,
                    bits,
                    luma: tone::luma_table(power, contrast, bits),
                    chroma: tone::chroma_table(gain, bits),
                });
            }
        }
        if let Some(tables) = &self.tables {
            tone::apply(if number == 0 { &tables.luma } else { &tables.chroma }, samples);
        }
    }

    fn lift(&mut self, work: &Work, luma: &[u16], bits: u32) -> f64 {
        let (mean, power) = self.brightness.take(luma, bits);
        if let Ok(mut seen) = work.seen.lock() {
            seen.pictures += 1;
            seen.lifted += u64::from(power < 0.999);
            seen.luma += mean;
        }
        power
    }
}

fn read(data: &[u8], stride: usize, (width, height): (usize, usize), bits: u32, samples: &mut Vec<u16>) {
    samples.clear();
    for line in data.chunks(stride.max(1)).take(height) {
        if bits == 8 {
            samples.extend(line.iter().take(width).map(|sample| u16::from(*sample)));
        } else {
            samples.extend(
                line.as_chunks::<2>()
                    .0
                    .iter()
                    .take(width)
                    .map(|sample| u16::from_le_bytes(*sample).min(1023)),
            );
        }
    }
    samples.resize(width * height, 0);
}

fn write(data: &mut [u8], stride: usize, width: usize, bits: u32, samples: &[u16]) {
    for (line, samples) in data.chunks_mut(stride.max(1)).zip(samples.chunks(width.max(1))) {
        if bits == 8 {
            line.iter_mut().zip(samples).for_each(|(to, sample)| *to = *sample as u8);
        } else {
            let pairs = line.as_chunks_mut::<2>().0;
            pairs.iter_mut().zip(samples).for_each(|(to, sample)| *to = sample.to_le_bytes());
        }
    }
}
