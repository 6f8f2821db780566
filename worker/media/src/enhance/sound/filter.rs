//! The element around the treatment of sound: as many frames out as in, at the same times.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use gst::{glib, prelude::*, subclass::prelude::*};
use mps_proto::worker::v1::Failure;

use super::chain::{Chain, Treatment};
use crate::pass::{elements::broken, picture::pad_templates};

/// Makes the element; takes interleaved F32LE.
pub fn element(pipeline: &gst::Pipeline, name: &str, treatment: Treatment) -> Result<gst::Element, Failure> {
    let element = glib::Object::builder::<Sound>().property("name", name).build();
    element
        .imp()
        .treatment
        .set(treatment)
        .map_err(|_| broken("sound was set up twice"))?;
    pipeline.add(&element).map_err(|error| broken(&error.to_string()))?;
    Ok(element.upcast())
}

glib::wrapper! {
    pub struct Sound(ObjectSubclass<SoundFilter>) @extends gst::Element, gst::Object;
}

pub struct SoundFilter {
    sink: gst::Pad,
    source: gst::Pad,
    treatment: OnceLock<Treatment>,
    state: Mutex<Option<State>>,
}

/// A stretch of sound without gaps.
struct State {
    chain: Chain,
    channels: usize,
    rate: u64,
    /// Frames taken in, frames given, and frames that are still to be left out at the beginning.
    taken: u64,
    given: u64,
    late: usize,
    start: Option<gst::ClockTime>,
}

impl State {
    fn new(treatment: &Treatment, channels: usize, rate: u32) -> Self {
        let chain = Chain::new(treatment, channels, rate);
        Self {
            late: chain.delay(),
            chain,
            channels,
            rate: u64::from(rate.max(1)),
            taken: 0,
            given: 0,
            start: None,
        }
    }

    fn time(&self, frames: u64) -> Option<gst::ClockTime> {
        let length = gst::ClockTime::from_nseconds(frames.checked_mul(1_000_000_000)? / self.rate);
        self.start?.checked_add(length)
    }

    fn push(&mut self, samples: &[f32]) -> Option<gst::Buffer> {
        let mut output = Vec::with_capacity(samples.len());
        self.chain.push(samples, &mut output);
        let leave_out = self.late.min(output.len() / self.channels);
        self.late -= leave_out;
        let left = (self.taken - self.given) as usize * self.channels;
        let from = leave_out * self.channels;
        let until = output.len().min(from + left);
        self.buffer(output.get(from..until)?)
    }

    fn buffer(&mut self, samples: &[f32]) -> Option<gst::Buffer> {
        if samples.is_empty() {
            return None;
        }
        let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        let mut buffer = gst::Buffer::from_slice(bytes);
        let begin = self.time(self.given);
        self.given += (samples.len() / self.channels) as u64;
        let writable = buffer.get_mut()?;
        writable.set_pts(begin);
        writable.set_duration(begin.and_then(|begin| self.time(self.given)?.checked_sub(begin)));
        Some(buffer)
    }

    /// What is still inside.
    fn drain(&mut self) -> Option<gst::Buffer> {
        if self.taken == self.given {
            return None;
        }
        self.push(&vec![0.0; (self.chain.delay() + 960) * self.channels])
    }
}

#[glib::object_subclass]
impl ObjectSubclass for SoundFilter {
    const NAME: &'static str = "MpsSound";
    type Type = Sound;
    type ParentType = gst::Element;

    fn with_class(class: &Self::Class) -> Self {
        let template = |name| class.pad_template(name);
        let sink = template("sink").map_or_else(
            || gst::Pad::builder(gst::PadDirection::Sink),
            |t| gst::Pad::builder_from_template(&t),
        );
        let source = template("src").map_or_else(
            || gst::Pad::builder(gst::PadDirection::Src),
            |t| gst::Pad::builder_from_template(&t),
        );
        Self {
            sink: sink
                .name("sink")
                .chain_function(|_, parent, buffer| {
                    Self::catch_panic_pad_function(parent, || Err(gst::FlowError::Error), |filter| filter.chain(buffer))
                })
                .event_function(|pad, parent, event| Self::catch_panic_pad_function(parent, || false, |filter| filter.event(pad, event)))
                .flags(gst::PadFlags::PROXY_CAPS | gst::PadFlags::PROXY_ALLOCATION)
                .build(),
            source: source.name("src").flags(gst::PadFlags::PROXY_CAPS).build(),
            treatment: OnceLock::new(),
            state: Mutex::default(),
        }
    }
}

impl ObjectImpl for SoundFilter {
    fn constructed(&self) {
        self.parent_constructed();
        let element = self.obj();
        let _ = element.add_pad(&self.sink);
        let _ = element.add_pad(&self.source);
    }
}

impl GstObjectImpl for SoundFilter {}

impl ElementImpl for SoundFilter {
    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: OnceLock<Vec<gst::PadTemplate>> = OnceLock::new();
        TEMPLATES.get_or_init(|| {
            let caps = gst::Caps::builder("audio/x-raw")
                .field("format", "F32LE")
                .field("layout", "interleaved")
                .field("rate", gst::IntRange::new(1, i32::MAX))
                .field("channels", gst::IntRange::new(1, 64))
                .build();
            pad_templates(&caps, &caps)
        })
    }
}

impl SoundFilter {
    fn state(&self) -> MutexGuard<'_, Option<State>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn chain(&self, buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        self.drain_at_gap(&buffer)?;
        let output = {
            let mut state = self.state();
            let state = state.as_mut().ok_or(gst::FlowError::NotNegotiated)?;
            let data = buffer.map_readable().map_err(|_| gst::FlowError::Error)?;
            let samples: Vec<f32> = data.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
            state.start = state.start.or(buffer.pts());
            state.taken += (samples.len() / state.channels) as u64;
            state.push(&samples)
        };
        output.map_or(Ok(gst::FlowSuccess::Ok), |output| self.source.push(output))
    }

    /// Sound that does not follow on begins anew.
    fn drain_at_gap(&self, buffer: &gst::Buffer) -> Result<(), gst::FlowError> {
        let follows = self
            .state()
            .as_ref()
            .is_none_or(|state| match (state.time(state.taken), buffer.pts()) {
                (Some(expected), Some(pts)) => expected.nseconds().abs_diff(pts.nseconds()) < 20_000_000,
                _ => true,
            });
        if follows { Ok(()) } else { self.drain() }
    }

    fn drain(&self) -> Result<(), gst::FlowError> {
        let output = {
            let mut state = self.state();
            let output = state.as_mut().and_then(State::drain);
            if let (Some(state), Some(treatment)) = (state.as_mut(), self.treatment.get()) {
                *state = State::new(treatment, state.channels, state.rate as u32);
            }
            output
        };
        output.map_or(Ok(()), |output| self.source.push(output).map(drop))
    }

    fn event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        match event.view() {
            gst::EventView::Caps(caps) => self.set_caps(caps.caps()),
            gst::EventView::Eos(_) | gst::EventView::Segment(_) => {
                let _ = self.drain();
            }
            gst::EventView::FlushStop(_) => {
                let mut state = self.state();
                if let (Some(state), Some(treatment)) = (state.as_mut(), self.treatment.get()) {
                    *state = State::new(treatment, state.channels, state.rate as u32);
                }
            }
            _ => {}
        }
        gst::Pad::event_default(pad, Some(&*self.obj()), event)
    }

    fn set_caps(&self, caps: &gst::CapsRef) {
        let field = |name: &str| caps.structure(0).and_then(|structure| structure.get::<i32>(name).ok()).unwrap_or(0);
        let (channels, rate) = (field("channels"), field("rate"));
        let same = |state: &State| state.channels as i32 == channels && state.rate as i32 == rate;
        if self.state().as_ref().is_some_and(same) || channels < 1 || rate < 1 {
            return;
        }
        let _ = self.drain();
        let treatment = self.treatment.get().copied().unwrap_or_default();
        *self.state() = Some(State::new(&treatment, channels as usize, rate as u32));
    }
}
