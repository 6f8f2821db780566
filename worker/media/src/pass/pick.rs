//! An element that lets through the pictures shown at given times, and nothing else. It stands in front of a branch's queue, so that the
//! pictures in between cost nothing.

use std::{
    sync::{LazyLock, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use gst::{glib, prelude::*, subclass::prelude::*};
use mps_proto::worker::v1::Failure;

use super::{clip::clock, elements::broken};

/// Stamps in milliseconds, as of Matroska, are off by half of one.
const STAMP_ERROR: gst::ClockTime = gst::ClockTime::from_useconds(500);

/// Media times at which pictures are wanted.
#[derive(Debug, Clone, Default)]
pub struct Times {
    /// In order.
    pub at: Vec<Duration>,
    /// Distance of those that follow up to the end of an input of which nobody knows how long it is.
    pub then_every: Option<Duration>,
}

impl Times {
    pub fn get(&self, number: usize) -> Option<Duration> {
        if let Some(time) = self.at.get(number) {
            return Some(*time);
        }
        let further = u32::try_from(number + 1 - self.at.len()).ok()?;
        Some(self.at.last().copied().unwrap_or_default() + self.then_every? * further)
    }

    /// Those in [start, end).
    pub fn between(&self, start: Duration, end: Duration) -> Self {
        Self {
            at: self.at.iter().copied().filter(|time| *time >= start && *time < end).collect(),
            then_every: None,
        }
    }
}

/// Makes the element. Stamps are media time already.
pub fn element(pipeline: &gst::Pipeline, name: &str, times: Times) -> Result<gst::Element, Failure> {
    let element = glib::Object::builder::<Pick>().property("name", name).build();
    let wanted = Wanted { times };
    element.imp().wanted.set(wanted).map_err(|_| broken("a picker was set up twice"))?;
    pipeline.add(&element).map_err(|error| broken(&error.to_string()))?;
    Ok(element.upcast())
}

glib::wrapper! {
    pub struct Pick(ObjectSubclass<Picker>) @extends gst::Element, gst::Object;
}

struct Wanted {
    times: Times,
}

impl Wanted {
    fn get(&self, number: usize) -> Option<gst::ClockTime> {
        self.times.get(number).map(clock)
    }
}

/// The picture that is shown until the next one begins.
#[derive(Default)]
struct State {
    segment: Option<gst::FormattedSegment<gst::ClockTime>>,
    held: Option<gst::Buffer>,
    /// What came behind the held picture and must leave behind it.
    behind: Vec<gst::Event>,
    next: usize,
}

pub struct Picker {
    sink: gst::Pad,
    source: gst::Pad,
    wanted: OnceLock<Wanted>,
    state: Mutex<State>,
}

#[glib::object_subclass]
impl ObjectSubclass for Picker {
    const NAME: &'static str = "MpsPick";
    type Type = Pick;
    type ParentType = gst::Element;

    fn with_class(class: &Self::Class) -> Self {
        let pad = |name: &str| class.pad_template(name).map(|template| gst::Pad::builder_from_template(&template));
        let sink = pad("sink").unwrap_or_else(|| gst::Pad::builder(gst::PadDirection::Sink));
        let source = pad("src").unwrap_or_else(|| gst::Pad::builder(gst::PadDirection::Src));
        Self {
            sink: sink
                .chain_function(|_, parent, buffer| {
                    Self::catch_panic_pad_function(parent, || Err(gst::FlowError::Error), |this| this.take(buffer))
                })
                .event_function(|pad, parent, event| Self::catch_panic_pad_function(parent, || false, |this| this.hear(pad, event)))
                .flags(gst::PadFlags::PROXY_CAPS | gst::PadFlags::PROXY_ALLOCATION)
                .build(),
            source: source.flags(gst::PadFlags::PROXY_CAPS).build(),
            wanted: OnceLock::new(),
            state: Mutex::default(),
        }
    }
}

impl ObjectImpl for Picker {
    fn constructed(&self) {
        self.parent_constructed();
        for pad in [&self.sink, &self.source] {
            let _ = self.obj().add_pad(pad);
        }
    }
}

impl GstObjectImpl for Picker {}

impl ElementImpl for Picker {
    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let caps = gst::Caps::builder("video/x-raw").build();
            super::picture::pad_templates(&caps, &caps)
        });
        &TEMPLATES
    }
}

impl Picker {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, mut buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        let mut state = self.state();
        let Some(wanted) = self.wanted.get() else {
            return Err(gst::FlowError::Error);
        };
        let time = buffer.pts().and_then(|pts| state.segment.as_ref()?.to_stream_time(pts));
        let time = time.unwrap_or(gst::ClockTime::ZERO);
        let mut ready = Ready::default();
        ready.add(&mut state, |number| {
            wanted.get(number).is_some_and(|wanted| wanted + STAMP_ERROR < time)
        });
        ready.events.append(&mut state.behind);
        if wanted.get(state.next).is_some() {
            let buffer = buffer.make_mut();
            buffer.set_pts(time);
            buffer.set_dts(gst::ClockTime::NONE);
        }
        state.held = wanted.get(state.next).map(|_| buffer);
        drop(state);
        self.send(ready)
    }

    fn hear(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        let mut state = self.state();
        let event = match event.view() {
            gst::EventView::Segment(segment) => {
                state.segment = segment.segment().downcast_ref::<gst::ClockTime>().cloned();
                // Pictures leave with media time.
                let plain = gst::FormattedSegment::<gst::ClockTime>::new();
                gst::event::Segment::builder(&plain).seqnum(event.seqnum()).build()
            }
            gst::EventView::FlushStop(_) => {
                state.held = None;
                state.behind.clear();
                event
            }
            gst::EventView::Eos(_) => {
                let ready = self.at_end(&mut state);
                drop(state);
                let _ = self.send(ready);
                return self.source.push_event(event);
            }
            _ => event,
        };
        if event.is_serialized() && state.held.is_some() {
            state.behind.push(event);
            return true;
        }
        drop(state);
        gst::Pad::event_default(pad, Some(&*self.obj()), event)
    }

    /// The last picture is shown until the end.
    fn at_end(&self, state: &mut State) -> Ready {
        let mut ready = Ready::default();
        let Some(wanted) = self.wanted.get() else { return ready };
        let end = state.held.as_ref().and_then(|held| Some(held.pts()? + held.duration()?));
        let is_shown = |number: usize| match wanted.get(number) {
            Some(_) if number < wanted.times.at.len() => true,
            Some(time) => end.is_some_and(|end| time + STAMP_ERROR < end),
            None => false,
        };
        ready.add(state, is_shown);
        state.held = None;
        ready.events.append(&mut state.behind);
        ready
    }

    fn send(&self, ready: Ready) -> Result<gst::FlowSuccess, gst::FlowError> {
        let mut flow = Ok(gst::FlowSuccess::Ok);
        for picture in ready.pictures {
            flow = self.source.push(picture);
            if flow.is_err() {
                break;
            }
        }
        for event in ready.events {
            self.source.push_event(event);
        }
        flow
    }
}

/// What leaves, once the state is unlocked.
#[derive(Default)]
struct Ready {
    pictures: Vec<gst::Buffer>,
    events: Vec<gst::Event>,
}

impl Ready {
    /// The held picture once for each time that it is shown at.
    fn add(&mut self, state: &mut State, is_shown: impl Fn(usize) -> bool) {
        let Some(held) = &state.held else { return };
        while is_shown(state.next) {
            self.pictures.push(held.clone());
            state.next += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_go_on_where_the_end_is_unknown() {
        let seconds = Duration::from_secs;
        let times = Times {
            at: vec![seconds(3)],
            then_every: Some(seconds(2)),
        };
        let found: Vec<_> = (0..3).map(|number| times.get(number)).collect();
        assert_eq!(found, [Some(seconds(3)), Some(seconds(5)), Some(seconds(7))]);
        assert_eq!(times.between(seconds(0), seconds(4)).get(1), None);
    }
}
