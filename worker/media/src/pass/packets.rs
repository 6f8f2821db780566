//! The element that takes packets as they are: puts their stamps into order, lets a clip's packets through from a key frame on, and ends
//! the stream behind the clip, so that nothing of the input is read further for it.

use std::{
    sync::{Arc, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use gst::{glib, prelude::*, subclass::prelude::*};
use mps_proto::{v1::ErrorReason, worker::v1::Failure};

use super::{
    clip::{Window, at},
    counters::Counters,
    elements::{self, broken},
    gate::{Gate, Pass},
    sequence::{Disorder, Sequence, Stamped, Stamps, Told},
};
use crate::{
    entry, failure,
    parse::pictures::{self, Kind},
    timeline::nanoseconds,
};

/// Added to all stamps: pictures are decoded before the first one is shown, and stamps are never negative.
const HEADROOM: gst::ClockTime = gst::ClockTime::from_seconds(3600);

/// What the element is to do.
pub struct Rule {
    pub node: usize,
    /// What of the stream is taken.
    pub window: Window,
    /// `None`: sound.
    pub film: Option<Film>,
    /// Whether what describes the stream must stay the same.
    pub one_description: bool,
    pub counters: Arc<Counters>,
}

/// What is known of a film.
pub struct Film {
    /// As `MediaStream.codec` says it.
    pub codec: String,
    pub stamps: Stamps,
    /// Distance of pictures where nothing tells.
    pub nominal: Duration,
}

/// Makes the element.
pub fn element(pipeline: &gst::Pipeline, name: &str, rule: Rule) -> Result<gst::Element, Failure> {
    let element = glib::Object::builder::<Packets>().property("name", name).build();
    *element.imp().state() = State::new(&rule);
    element.imp().rule.set(rule).map_err(|_| broken("packets were set up twice"))?;
    pipeline.add(&element).map_err(|error| broken(&error.to_string()))?;
    Ok(element.upcast())
}

glib::wrapper! {
    pub struct Packets(ObjectSubclass<PacketsOf>) @extends gst::Element, gst::Object;
}

#[derive(Default)]
struct State {
    segment: Option<gst::FormattedSegment<gst::ClockTime>>,
    caps: Option<gst::Caps>,
    length_bytes: Option<usize>,
    sequence: Option<Sequence<gst::Buffer>>,
    gate: Gate,
    /// The end was told to what follows.
    ended: bool,
}

pub struct PacketsOf {
    sink: gst::Pad,
    source: gst::Pad,
    rule: OnceLock<Rule>,
    state: Mutex<State>,
}

#[glib::object_subclass]
impl ObjectSubclass for PacketsOf {
    const NAME: &'static str = "MpsPackets";
    type Type = Packets;
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
                // Whatever comes is taken: what the container refuses is no trouble of those that share the stream.
                .query_function(|pad, parent, query| Self::catch_panic_pad_function(parent, || false, |this| this.answer(pad, query)))
                .build(),
            source: source.build(),
            rule: OnceLock::new(),
            state: Mutex::default(),
        }
    }
}

impl ObjectImpl for PacketsOf {
    fn constructed(&self) {
        self.parent_constructed();
        for pad in [&self.sink, &self.source] {
            let _ = self.obj().add_pad(pad);
        }
    }
}

impl GstObjectImpl for PacketsOf {}

impl ElementImpl for PacketsOf {
    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let caps = gst::Caps::new_any();
            super::picture::pad_templates(&caps, &caps)
        });
        &TEMPLATES
    }
}

/// What is sent on.
enum Out {
    Packet(gst::Buffer),
    End,
}

impl PacketsOf {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        let rule = self.rule.get().ok_or(gst::FlowError::Error)?;
        // What is read before the clip moves too.
        rule.counters.tick();
        let out = {
            let mut state = self.state();
            match state.take(rule, buffer) {
                Ok(out) => out,
                Err(disorder) => state.give_up(rule, why(disorder)),
            }
        };
        self.send(out)
    }

    fn send(&self, out: Vec<Out>) -> Result<gst::FlowSuccess, gst::FlowError> {
        out.into_iter().try_fold(gst::FlowSuccess::Ok, |_, out| match out {
            Out::Packet(buffer) => self.source.push(buffer),
            Out::End => {
                self.source.push_event(gst::event::Eos::new());
                Ok(gst::FlowSuccess::Ok)
            }
        })
    }

    fn hear(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        let Some(rule) = self.rule.get() else { return false };
        let mut state = self.state();
        let (before, event) = match event.view() {
            gst::EventView::Segment(segment) => (Vec::new(), Some(state.segment(rule, segment, &event))),
            gst::EventView::Caps(caps) => {
                let caps = as_muxers_know(caps.caps_owned());
                let is_known = state.caps.as_ref().is_some_and(|before| !is_other(before, &caps));
                // Fragments give rates of their own, which are no other stream to us, and to muxers are.
                let event = (!is_known).then(|| gst::event::Caps::new(&caps));
                (state.describe(rule, caps), event)
            }
            gst::EventView::Gap(_) => (Vec::new(), None),
            gst::EventView::Eos(_) => (state.end(rule), None),
            gst::EventView::FlushStop(_) => {
                *state = State::new(rule);
                (Vec::new(), Some(event))
            }
            _ => (Vec::new(), Some(event)),
        };
        let event = event.filter(|_| !state.ended);
        drop(state);
        // What the flow says is said again at the next packet.
        let _ = self.send(before);
        let Some(event) = event else { return true };
        if let gst::EventView::Caps(caps) = event.view() {
            // A queue stands in front of the muxer: what that says of an event comes too late.
            if self.source.peer_query_accept_caps(&caps.caps_owned()) {
                return self.source.push_event(event);
            }
            let out = self.state().give_up(rule, refused());
            let _ = self.send(out);
            return true;
        }
        gst::Pad::event_default(pad, Some(&*self.obj()), event)
    }

    fn answer(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        match query.view_mut() {
            gst::QueryViewMut::AcceptCaps(accept) => accept.set_result(true),
            gst::QueryViewMut::Caps(caps) => elements::answer(caps, &gst::Caps::new_any()),
            _ => return gst::Pad::query_default(pad, Some(&*self.obj()), query),
        }
        true
    }
}

fn refused() -> Failure {
    failure::data(
        ErrorReason::Unsupported,
        "the container does not take the stream as it is",
        "encode the stream instead of copying it, or choose another container",
    )
}

/// Matroska's muxer of GStreamer 1.22 asks for a field of FFV1 by another name than its demuxer gives.
fn as_muxers_know(mut caps: gst::Caps) -> gst::Caps {
    let version = caps
        .structure(0)
        .filter(|caps| caps.name() == "video/x-ffv")
        .and_then(|caps| caps.get::<i32>("ffvversion").ok());
    if let Some(version) = version {
        caps.make_mut().set("ffversion", version);
    }
    caps
}

fn why(disorder: Disorder) -> Failure {
    failure::data(
        ErrorReason::Unsupported,
        format!("{disorder}, so they cannot be copied"),
        "encode the picture instead of copying it",
    )
}

impl State {
    fn new(rule: &Rule) -> Self {
        let start = (!rule.window.is_whole()).then(|| rule.window.begin());
        let film = rule.film.as_ref();
        Self {
            sequence: film.map(|film| Sequence::new(film.stamps, nanoseconds(film.nominal))),
            gate: Gate::new(start, rule.window.end(), film.is_some()),
            ..Self::default()
        }
    }

    fn take(&mut self, rule: &Rule, buffer: gst::Buffer) -> Result<Vec<Out>, Disorder> {
        if self.ended {
            return Ok(Vec::new());
        }
        let Some(film) = &rule.film else {
            let shown = buffer.dts_or_pts().map_or(0, ns_of);
            let stamped = Stamped {
                shown: buffer.pts().map_or(shown, ns_of),
                decoded: shown,
                length: buffer.duration().map_or(0, ns_of),
            };
            return Ok(self.pass(stamped, buffer));
        };
        let told = Told {
            shown: buffer.pts().map(ns_of),
            decoded: buffer.dts().map(ns_of),
            length: buffer.duration().map(ns_of),
            kind: self.kind(film, &buffer),
        };
        if let Some(sequence) = &mut self.sequence {
            sequence.push(told, buffer)?;
        }
        Ok(self.drain(false))
    }

    /// Only where the stamps leave it open.
    fn kind(&self, film: &Film, buffer: &gst::BufferRef) -> Kind {
        if film.stamps != Stamps::Decoded && buffer.pts().is_some() {
            return Kind::Reference;
        }
        buffer
            .map_readable()
            .map_or(Kind::Reference, |map| pictures::kind(&film.codec, &map, self.length_bytes))
    }

    fn drain(&mut self, ended: bool) -> Vec<Out> {
        let mut out = Vec::new();
        while let Some((stamped, buffer)) = self.sequence.as_mut().and_then(|sequence| sequence.next(ended)) {
            out.extend(self.pass(stamped, buffer));
        }
        out
    }

    fn pass(&mut self, stamped: Stamped, mut buffer: gst::Buffer) -> Vec<Out> {
        if self.ended {
            return Vec::new();
        }
        let is_key = entry::is_entry(self.caps.as_deref(), &buffer);
        match self.gate.judge(self.in_media(stamped), is_key) {
            Pass::Drop => Vec::new(),
            Pass::End => {
                self.ended = true;
                vec![Out::End]
            }
            Pass::Take => {
                let target = buffer.make_mut();
                if is_key {
                    target.unset_flags(gst::BufferFlags::DELTA_UNIT);
                } else {
                    target.set_flags(gst::BufferFlags::DELTA_UNIT);
                }
                target.set_pts(with_headroom(stamped.shown));
                target.set_dts(with_headroom(stamped.decoded));
                target.set_duration((stamped.length > 0).then(|| at(stamped.length)));
                vec![Out::Packet(buffer)]
            }
        }
    }

    /// The same in media time.
    fn in_media(&self, stamped: Stamped) -> Stamped {
        let ns = |time: Option<gst::ClockTime>| time.map_or(0, ns_of);
        let by = self.segment.as_ref().map_or(0, |segment| ns(segment.time()) - ns(segment.start()));
        Stamped {
            shown: stamped.shown + by,
            decoded: stamped.decoded + by,
            ..stamped
        }
    }

    /// Running time begins with the clip, and stamps with some headroom.
    fn segment(&mut self, rule: &Rule, segment: &gst::event::Segment, event: &gst::Event) -> gst::Event {
        let Some(told) = segment.segment().downcast_ref::<gst::ClockTime>() else {
            return event.clone();
        };
        self.segment = Some(told.clone());
        let (start, time) = (told.start().unwrap_or_default(), told.time().unwrap_or_default());
        let mut new = gst::FormattedSegment::<gst::ClockTime>::new();
        if self.gate.is_whole() {
            new = told.clone();
            new.set_start(start + HEADROOM);
            new.set_stop(gst::ClockTime::NONE);
        } else {
            let early = rule.window.begin() - ns_of(time);
            let late = at((-early).max(0));
            new.set_start(start + at(early.max(0)) + HEADROOM);
            new.set_base(late);
            new.set_time(late);
        }
        gst::event::Segment::builder(&new).seqnum(event.seqnum()).build()
    }

    fn describe(&mut self, rule: &Rule, caps: gst::Caps) -> Vec<Out> {
        self.length_bytes = caps.structure(0).and_then(entry::length_bytes);
        let before = self.caps.replace(caps.clone());
        let changed = rule.one_description && before.is_some_and(|before| is_other(&before, &caps));
        if !changed || self.ended {
            return Vec::new();
        }
        self.give_up(
            rule,
            failure::data(
                ErrorReason::Unsupported,
                "the stream changes on its way, and the container has one description of it",
                "encode the stream instead of copying it, or choose TS",
            ),
        )
    }

    fn end(&mut self, rule: &Rule) -> Vec<Out> {
        if let Some(sequence) = &mut self.sequence {
            sequence.end();
        }
        let mut out = self.drain(true);
        if !self.ended && rule.film.is_some() && !self.gate.is_open() {
            return self.give_up(
                rule,
                failure::data(
                    ErrorReason::Unsupported,
                    "the part that is copied has no key frame to begin with",
                    "encode the picture instead of copying it, or choose another part",
                ),
            );
        }
        if !std::mem::replace(&mut self.ended, true) {
            out.push(Out::End);
        }
        out
    }

    /// The node has failed; its stream ends here.
    fn give_up(&mut self, rule: &Rule, failure: Failure) -> Vec<Out> {
        if let Some(node) = rule.counters.nodes.get(rule.node) {
            node.fail(failure);
        }
        if std::mem::replace(&mut self.ended, true) {
            return Vec::new();
        }
        vec![Out::End]
    }
}

/// Whether caps describe another stream than others did, beyond what is found out on the way.
fn is_other(before: &gst::Caps, now: &gst::Caps) -> bool {
    const DESCRIBING: [&str; 7] = ["codec_data", "width", "height", "rate", "channels", "mpegversion", "stream-format"];
    let (Some(before), Some(now)) = (before.structure(0), now.structure(0)) else {
        return false;
    };
    let value = |caps: &gst::StructureRef, field: &str| caps.value(field).ok().and_then(|value| value.serialize().ok());
    before.name() != now.name()
        || DESCRIBING.iter().any(|field| {
            value(before, field)
                .zip(value(now, field))
                .is_some_and(|(before, now)| before != now)
        })
}

fn ns_of(time: gst::ClockTime) -> i64 {
    i64::try_from(time.nseconds()).unwrap_or(i64::MAX)
}

fn with_headroom(time: i64) -> gst::ClockTime {
    at(time.saturating_add(ns_of(HEADROOM)))
}
