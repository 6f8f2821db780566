//! An element behind each decoder: from here on stamps are the input's own time, in one plain segment. Pictures rise strictly, and each lasts
//! until the next one: decoders stamp pictures alike where a container stamps some only, and tell of lengths that are nominal.

use std::sync::{Arc, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};

use gst::{glib, prelude::*, subclass::prelude::*};
use mps_proto::worker::v1::Failure;

use super::{counters::Counters, elements::broken};
use crate::timeline::Timeline;

/// Distance of pictures where nothing tells.
const USUAL_LENGTH: i64 = 40_000_000;
/// A shorter last picture lasts no time that anybody chose, but a tick of its clock; a slide may end with one frame.
pub const LEAST_LENGTH: i64 = 10_000_000;
/// Pictures of one stamp are moved apart by at least this.
const LEAST_STEP: i64 = 1_000_000;
/// So many pictures of one stamp wait for the next one.
const MOST_ALIKE: usize = 8;

/// Makes the element. `timeline`: that of the stream; `counters` tell where the film ends.
pub fn element(pipeline: &gst::Pipeline, name: &str, timeline: Timeline, counters: &Arc<Counters>) -> Result<gst::Element, Failure> {
    let element = glib::Object::builder::<Stamps>().property("name", name).build();
    let rule = Rule {
        timeline,
        counters: counters.clone(),
    };
    element.imp().rule.set(rule).map_err(|_| broken("stamps were set up twice"))?;
    pipeline.add(&element).map_err(|error| broken(&error.to_string()))?;
    Ok(element.upcast())
}

glib::wrapper! {
    pub struct Stamps(ObjectSubclass<Stamper>) @extends gst::Element, gst::Object;
}

struct Rule {
    timeline: Timeline,
    counters: Arc<Counters>,
}

/// A picture that waits for the next one to tell how long it lasts.
struct Held {
    buffer: gst::Buffer,
    own: i64,
    /// It ends here at the latest.
    limit: i64,
}

#[derive(Default)]
struct State {
    segment: Option<gst::FormattedSegment<gst::ClockTime>>,
    is_told: bool,
    sound: Option<gst_audio::AudioInfo>,
    /// Distance of pictures by the caps.
    nominal: Option<i64>,
    /// Pictures of one stamp.
    held: Vec<Held>,
    /// Caps of pictures that have not come yet.
    caps_behind: Option<gst::Event>,
    /// Where the last picture begins that has left.
    sent: Option<i64>,
    /// Distance of the last two pictures that had stamps of their own.
    step: Option<i64>,
    /// What decoders go on telling of one picture after the other.
    repeated: Option<i64>,
}

impl State {
    /// Media time of a stamp; negative before the segment's zero.
    fn media(&self, pts: gst::ClockTime) -> Option<i64> {
        let segment = self.segment.as_ref()?;
        let ns = |time: Option<gst::ClockTime>| i64::try_from(time.unwrap_or(gst::ClockTime::ZERO).nseconds()).ok();
        Some(ns(segment.time())? + i64::try_from(pts.nseconds()).ok()? - ns(segment.start())?)
    }
}

pub struct Stamper {
    sink: gst::Pad,
    source: gst::Pad,
    rule: OnceLock<Rule>,
    state: Mutex<State>,
}

#[glib::object_subclass]
impl ObjectSubclass for Stamper {
    const NAME: &'static str = "MpsStamps";
    type Type = Stamps;
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
            rule: OnceLock::new(),
            state: Mutex::default(),
        }
    }
}

impl ObjectImpl for Stamper {
    fn constructed(&self) {
        self.parent_constructed();
        for pad in [&self.sink, &self.source] {
            let _ = self.obj().add_pad(pad);
        }
    }
}

impl GstObjectImpl for Stamper {}

impl ElementImpl for Stamper {
    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let caps = gst::Caps::new_any();
            super::picture::pad_templates(&caps, &caps)
        });
        &TEMPLATES
    }
}

impl Stamper {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        let rule = self.rule.get().ok_or(gst::FlowError::Error)?;
        let mut state = self.state();
        let ready = match state.sound.clone() {
            Some(info) => heard(&state, rule, &buffer, &info),
            // What waits stays in front of the caps behind it.
            None => match state.shown(rule, buffer) {
                Some(ready) => ready,
                None => return Ok(gst::FlowSuccess::Ok),
            },
        };
        let caps = state.caps_behind.take();
        drop(state);
        let flow = ready
            .into_iter()
            .try_fold(gst::FlowSuccess::Ok, |_, buffer| self.source.push(buffer))?;
        if let Some(caps) = caps {
            self.source.push_event(caps);
        }
        Ok(flow)
    }

    fn hear(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        let Some(rule) = self.rule.get() else { return false };
        let mut state = self.state();
        let (before, event) = match event.view() {
            gst::EventView::Segment(segment) => (Vec::new(), state.plain_segment(segment, &event)),
            gst::EventView::Gap(gap) => (Vec::new(), state.own_gap(rule, gap)),
            gst::EventView::FlushStop(_) => {
                *state = State {
                    sound: state.sound.take(),
                    nominal: state.nominal,
                    caps_behind: state.caps_behind.take(),
                    ..State::default()
                };
                (Vec::new(), Some(event))
            }
            gst::EventView::Caps(caps) => {
                state.describe(caps.caps());
                // How long the last picture of the old caps lasts, the first one of the new tells.
                let waits = !state.held.is_empty();
                state.caps_behind = waits.then(|| event.clone());
                (Vec::new(), (!waits).then_some(event))
            }
            gst::EventView::Eos(_) => (state.last(rule), Some(event)),
            _ => (Vec::new(), Some(event)),
        };
        drop(state);
        for last in before {
            // What the flow says is said again at the next buffer.
            let _ = self.source.push(last);
        }
        event.is_none_or(|event| gst::Pad::event_default(pad, Some(&*self.obj()), event))
    }
}

impl State {
    fn describe(&mut self, caps: &gst::CapsRef) {
        self.sound = gst_audio::AudioInfo::from_caps(caps).ok();
        let rate = caps
            .structure(0)
            .and_then(|structure| structure.get::<gst::Fraction>("framerate").ok());
        self.nominal = rate
            .filter(|rate| rate.numer() > 0 && rate.denom() > 0)
            .map(|rate| i64::from(rate.denom()) * 1_000_000_000 / i64::from(rate.numer()));
    }

    /// One segment for all: to a second one a stream would seem to begin anew.
    fn plain_segment(&mut self, segment: &gst::event::Segment, event: &gst::Event) -> Option<gst::Event> {
        self.segment = segment.segment().downcast_ref::<gst::ClockTime>().cloned();
        if std::mem::replace(&mut self.is_told, true) {
            return None;
        }
        let plain = gst::FormattedSegment::<gst::ClockTime>::new();
        Some(gst::event::Segment::builder(&plain).seqnum(event.seqnum()).build())
    }

    fn own_gap(&self, rule: &Rule, gap: &gst::event::Gap) -> Option<gst::Event> {
        let (start, length) = gap.get();
        let media = self.media(start)?;
        let length_ns = length.map_or(1, |length| i64::try_from(length.nseconds()).unwrap_or(1));
        let own = rule.timeline.sound(media, length_ns.max(1)).next()?.own;
        let own = gst::ClockTime::from_nseconds(u64::try_from(own).ok()?);
        Some(gst::event::Gap::builder(own).duration(length).build())
    }

    /// Takes a picture; gives those before it, whose times are known now. `None`: it is not shown at all.
    fn shown(&mut self, rule: &Rule, buffer: gst::Buffer) -> Option<Vec<gst::Buffer>> {
        let length = buffer.duration().and_then(|length| i64::try_from(length.nseconds()).ok());
        let length = length.or(self.nominal).unwrap_or(0);
        let place = match buffer.pts() {
            Some(pts) => self.media(pts).and_then(|media| rule.timeline.picture(media, length)),
            // A decoder that does not know: it comes with the last one.
            None => Some(self.held.last().map_or((0, i64::MAX), |held| (held.own, held.limit))),
        };
        let (told, limit) = place?;
        let own = self.begin(told);
        let held = self.held.last().map_or(i64::MIN, |held| held.own);
        let picture = Held {
            buffer,
            own: own.max(held),
            limit,
        };
        if own <= held && self.caps_behind.is_none() {
            self.held.push(picture);
            if self.held.len() < MOST_ALIKE {
                return Some(Vec::new());
            }
            self.repeated = Some(told);
            return Some(self.release(None));
        }
        let begins = if own > held { own } else { held + LEAST_STEP };
        let ready = self.release(Some(begins));
        self.held.push(Held { own: begins, ..picture });
        Some(ready)
    }

    /// When a picture begins by what its decoder tells.
    fn begin(&mut self, told: i64) -> i64 {
        let before = self.held.last().map(|held| held.own).or(self.sent);
        match (before, self.repeated == Some(told)) {
            (Some(before), true) => before + self.usual(),
            _ => {
                self.repeated = None;
                told.max(self.sent.map_or(0, |sent| sent + LEAST_STEP))
            }
        }
    }

    fn usual(&self) -> i64 {
        self.step.or(self.nominal).unwrap_or(USUAL_LENGTH)
    }

    /// Pictures of one stamp, moved apart into the larger gap: some decoders give the stamp of a later picture to those before it, others that of
    /// the last picture that changed to those behind it. `next`: where the next one begins, where that is known.
    fn release(&mut self, next: Option<i64>) -> Vec<gst::Buffer> {
        let run = std::mem::take(&mut self.held);
        let Some(own) = run.first().map(|first| first.own) else {
            return Vec::new();
        };
        let count = i64::try_from(run.len()).unwrap_or(1);
        let usual = self.usual();
        let next = next.unwrap_or(own + usual * count);
        let (first, step) = match self.sent.map(|sent| own - sent) {
            Some(before) if before >= next - own => {
                let step = (before / count).min(usual);
                (own - step * (count - 1), step)
            }
            _ => (own, ((next - own) / count).min(usual)),
        };
        if count == 1 {
            self.step = self.sent.map(|sent| own - sent).or(self.step);
        }
        let begins: Vec<i64> = (0..count).map(|number| first + step * number).collect();
        let ends: Vec<i64> = begins.iter().skip(1).copied().chain([next]).collect();
        self.sent = begins.last().copied();
        let timed = run.into_iter().zip(begins).zip(ends);
        timed
            .map(|((held, own), end)| {
                let lasts = end.min(held.limit) - own;
                stamped(held.buffer, own, (lasts > 0).then_some(lasts))
            })
            .collect()
    }

    /// The last pictures: the very last one lasts as long as its packet does.
    fn last(&mut self, rule: &Rule) -> Vec<gst::Buffer> {
        let Some(held) = self.held.last() else { return Vec::new() };
        let told = held.buffer.duration().and_then(|length| i64::try_from(length.nseconds()).ok());
        let step = self.step.or(self.nominal);
        let usual = step
            .filter(|step| told.is_none_or(|told| told < (step / 4).min(LEAST_LENGTH)))
            .or(told);
        let by_packets = rule.counters.film_end(&rule.timeline) - held.own;
        let lasts = usual.unwrap_or(0).max(by_packets);
        self.release(Some(held.own.saturating_add(lasts)))
    }
}

/// The parts of a buffer of sound that are heard.
fn heard(state: &State, rule: &Rule, buffer: &gst::Buffer, info: &gst_audio::AudioInfo) -> Vec<gst::Buffer> {
    let Some((pts, media)) = buffer.pts().and_then(|pts| Some((pts, state.media(pts)?))) else {
        return vec![buffer.clone()];
    };
    // What decoders cut of samples that stand channel by channel stays in the buffer.
    let by_size = || buffer.size().checked_div(info.bpf() as usize).unwrap_or(0);
    let samples = buffer.meta::<gst_audio::AudioMeta>().map_or_else(by_size, |meta| meta.samples());
    let lasts = (samples as u64 * 1_000_000_000).checked_div(u64::from(info.rate())).unwrap_or(0);
    let length = i64::try_from(lasts).unwrap_or(i64::MAX);
    let parts = rule.timeline.sound(media, length);
    let cut = parts.filter_map(|part| {
        let own = part.own.max(0);
        if part.from == media && part.until >= media + length {
            return Some(stamped(buffer.clone(), own, Some(length)));
        }
        let stamp = |time: i64| pts.nseconds().checked_add_signed(time - media).map(gst::ClockTime::from_nseconds);
        let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
        segment.set_start(stamp(part.from)?);
        segment.set_stop(stamp(part.until)?);
        let inside = gst_audio::audio_buffer_clip(buffer.clone(), segment.upcast_ref(), info.rate(), info.bpf())?;
        Some(stamped(inside, own, Some(part.until - part.from)))
    });
    cut.collect()
}

fn stamped(mut buffer: gst::Buffer, own: i64, lasts: Option<i64>) -> gst::Buffer {
    let clock = |ns: i64| gst::ClockTime::from_nseconds(u64::try_from(ns).unwrap_or(0));
    let target = buffer.make_mut();
    target.set_pts(clock(own));
    target.set_dts(gst::ClockTime::NONE);
    target.set_duration(lasts.map(clock));
    buffer
}
