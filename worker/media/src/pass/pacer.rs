//! The element that gives pictures a pace. Captions stay with the picture that is told: those of one that is left out go to the next, and
//! a repeat has none.

use std::{
    sync::{LazyLock, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use gst::{glib, prelude::*, subclass::prelude::*};
use gst_video::VideoCaptionMeta;
use mps_proto::worker::v1::Failure;

use super::{
    elements::broken,
    pace::{Pace, Pacer, Telling},
};

/// Makes the element. `begin`: where running time is zero, from the beginning of the output.
pub fn element(pipeline: &gst::Pipeline, name: &str, pace: Pace, begin: Duration) -> Result<gst::Element, Failure> {
    let element = glib::Object::builder::<PaceKeeper>().property("name", name).build();
    let kept = element.imp().pace.set((pace, begin));
    kept.map_err(|_| broken("a pace was set twice"))?;
    pipeline.add(&element).map_err(|error| broken(&error.to_string()))?;
    Ok(element.upcast())
}

glib::wrapper! {
    pub struct PaceKeeper(ObjectSubclass<Keeper>) @extends gst::Element, gst::Object;
}

pub struct Keeper {
    sink: gst::Pad,
    source: gst::Pad,
    pace: OnceLock<(Pace, Duration)>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    segment: Option<gst::FormattedSegment<gst::ClockTime>>,
    pacer: Option<Pacer<gst::Buffer>>,
}

static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
    let caps = gst::Caps::new_empty_simple("video/x-raw");
    let template = |name, direction| gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &caps);
    [("sink", gst::PadDirection::Sink), ("src", gst::PadDirection::Src)]
        .into_iter()
        .filter_map(|(name, direction)| template(name, direction).ok())
        .collect()
});

#[glib::object_subclass]
impl ObjectSubclass for Keeper {
    const NAME: &'static str = "MpsPace";
    type Type = PaceKeeper;
    type ParentType = gst::Element;

    fn with_class(_class: &Self::Class) -> Self {
        let flags = gst::PadFlags::PROXY_CAPS | gst::PadFlags::PROXY_ALLOCATION;
        let sink = gst::Pad::builder(gst::PadDirection::Sink)
            .name("sink")
            .chain_function(|_, parent, buffer| {
                Keeper::catch_panic_pad_function(parent, || Err(gst::FlowError::Error), |keeper| keeper.take(buffer))
            })
            .event_function(|pad, parent, event| Keeper::catch_panic_pad_function(parent, || false, |keeper| keeper.hear(pad, event)))
            .flags(flags)
            .build();
        Self {
            sink,
            source: gst::Pad::builder(gst::PadDirection::Src).name("src").flags(flags).build(),
            pace: OnceLock::new(),
            state: Mutex::default(),
        }
    }
}

impl ObjectImpl for Keeper {
    fn constructed(&self) {
        self.parent_constructed();
        let element = self.obj();
        for pad in [&self.sink, &self.source] {
            let _added = element.add_pad(pad);
        }
    }
}

impl GstObjectImpl for Keeper {}

impl ElementImpl for Keeper {
    fn pad_templates() -> &'static [gst::PadTemplate] {
        &TEMPLATES
    }
}

impl Keeper {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin_ns(&self) -> i64 {
        self.pace.get().map_or(0, |(_, begin)| i64::try_from(begin.as_nanos()).unwrap_or(0))
    }

    fn take(&self, mut buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        let mut state = self.state();
        let time = running_ns(state.segment.as_ref(), buffer.pts()).ok_or(gst::FlowError::Error)? + self.begin_ns();
        let length = buffer.duration().map_or(0, |length| i64::try_from(length.nseconds()).unwrap_or(0));
        let pace = self.pace.get().ok_or(gst::FlowError::NotNegotiated)?;
        let pacer = state.pacer.get_or_insert_with(|| Pacer::new(pace.0, pace.1));
        if let Some(left_out) = pacer.left_out_for(time) {
            move_captions(left_out, &mut buffer);
        }
        let told = pacer.push(buffer, time, length);
        drop(state);
        self.tell(told)
    }

    fn tell(&self, told: Telling<gst::Buffer>) -> Result<gst::FlowSuccess, gst::FlowError> {
        for told in told {
            let Some(time) = u64::try_from(told.time - self.begin_ns()).ok() else {
                continue;
            };
            let mut buffer = told.picture;
            let picture = buffer.make_mut();
            picture.set_pts(gst::ClockTime::from_nseconds(time));
            picture.set_dts(gst::ClockTime::NONE);
            picture.set_duration(gst::ClockTime::from_nseconds(told.length.unsigned_abs()));
            if told.repeats {
                remove_captions(picture);
            }
            self.source.push(buffer)?;
        }
        Ok(gst::FlowSuccess::Ok)
    }

    fn hear(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        match event.view() {
            gst::EventView::Caps(caps) => self.source.push_event(self.paced(caps.caps(), event.seqnum())),
            gst::EventView::Segment(segment) => {
                let mut state = self.state();
                let is_first = state.segment.is_none();
                state.segment = segment.segment().downcast_ref::<gst::ClockTime>().cloned();
                drop(state);
                // Pictures are told in running time: one segment for all.
                let plain = gst::FormattedSegment::<gst::ClockTime>::new();
                !is_first
                    || self
                        .source
                        .push_event(gst::event::Segment::builder(&plain).seqnum(event.seqnum()).build())
            }
            gst::EventView::FlushStop(_) => {
                *self.state() = State::default();
                gst::Pad::event_default(pad, Some(&*self.obj()), event)
            }
            gst::EventView::Eos(_) => {
                let told = self.state().pacer.as_mut().map(Pacer::end);
                let _told = told.map(|told| self.tell(told));
                gst::Pad::event_default(pad, Some(&*self.obj()), event)
            }
            // Nothing is missing between pictures that stand.
            gst::EventView::Gap(_) => true,
            _ => gst::Pad::event_default(pad, Some(&*self.obj()), event),
        }
    }

    fn paced(&self, caps: &gst::CapsRef, seqnum: gst::Seqnum) -> gst::Event {
        let mut caps = caps.to_owned();
        let told = caps.structure(0).and_then(|caps| caps.get::<gst::Fraction>("framerate").ok());
        let rate = match self.pace.get() {
            Some((Pace::Constant(num, den), _)) => Some(gst::Fraction::new(*num, *den)),
            // Parsers take a frame rate for the length of each picture.
            Some((Pace::Standing(num, den), _)) => {
                Some(gst::Fraction::new(*num, *den)).filter(|rate| told.is_some_and(|told| told < *rate))
            }
            None => None,
        };
        if let Some(rate) = rate {
            caps.make_mut().set("framerate", rate);
        }
        gst::event::Caps::builder(&caps).seqnum(seqnum).build()
    }
}

fn running_ns(segment: Option<&gst::FormattedSegment<gst::ClockTime>>, pts: Option<gst::ClockTime>) -> Option<i64> {
    match segment?.to_running_time_full(pts?)? {
        gst::Signed::Positive(time) => i64::try_from(time.nseconds()).ok(),
        gst::Signed::Negative(time) => i64::try_from(time.nseconds()).ok().map(|time| -time),
    }
}

fn move_captions(from: &gst::BufferRef, to: &mut gst::Buffer) {
    let captions: Vec<_> = from
        .iter_meta::<VideoCaptionMeta>()
        .map(|meta| (meta.caption_type(), meta.data().to_vec()))
        .collect();
    if captions.is_empty() {
        return;
    }
    let to = to.make_mut();
    for (kind, data) in captions {
        VideoCaptionMeta::add(to, kind, &data);
    }
}

fn remove_captions(picture: &mut gst::BufferRef) {
    picture.foreach_meta_mut(|mut meta| {
        use std::ops::ControlFlow::Continue;
        match meta.downcast_mut::<VideoCaptionMeta>() {
            Some(_) => Continue(gst::buffer::BufferMetaForeachAction::Remove),
            None => Continue(gst::buffer::BufferMetaForeachAction::Keep),
        }
    });
}
