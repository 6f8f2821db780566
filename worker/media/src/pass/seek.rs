//! Passes over a part of the input: one seek before any data reaches a muxer.

use std::{
    sync::{Arc, Mutex, PoisonError, mpsc},
    time::{Duration, Instant},
};

use gst::prelude::*;

use super::{
    Trouble,
    bus::Bus,
    clip::{clock, widened_segment},
    counters::{Counters, Stretch},
    faults::Words,
};
use crate::{job::Job, probe::InputFacts, rules, timeline::Timelines};

/// Containers that are read from their beginning: the demuxer of program streams guesses where a time lies, and that of FLV aborts the process
/// now and then when a seek meets the first packet of sound.
const UNSEEKABLE: &[&str] = &["mpeg", "flv"];
/// Shorter starts are decoded and dropped.
const WORTH_A_SEEK: Duration = Duration::from_secs(1);
/// How far before the first picture a pass begins: a seek cuts the frame that it lands in, and its time with it.
const BEFORE_FIRST_PICTURE: Duration = Duration::from_millis(500);
/// Media that begin later than this behind a seek's target: it went too far.
const LATE: Duration = Duration::from_millis(100);
/// Less than any clock of media can tell.
const A_LITTLE: Duration = Duration::from_nanos(1);
/// How long a seek waits for the film where other streams have brought data.
const PATIENCE: Duration = Duration::from_secs(3);
/// How far behind the last picture a pass goes on.
const BEHIND_LAST_PICTURE: Duration = Duration::from_millis(200);

/// The part of the input that a pass reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    pub start: Duration,
    /// `None`: to the end.
    pub stop: Option<Duration>,
}

impl Range {
    pub const WHOLE: Self = Self {
        start: Duration::ZERO,
        stop: None,
    };

    /// The least part that holds what all jobs want.
    pub fn of(jobs: &[Box<dyn Job>], facts: &InputFacts) -> Self {
        if facts.own_pictures || facts.still_picture || facts.edit_list_inside {
            return Self::WHOLE;
        }
        // Its pictures are counted from the beginning (`reading/caps.rs`).
        let is_counted = facts.media.container == "matroska" && rules::film(facts).is_some_and(|film| film.codec == "prores");
        if UNSEEKABLE.contains(&facts.media.container.as_str()) || is_counted {
            return Self::WHOLE;
        }
        let parts: Vec<Self> = jobs.iter().filter(|job| !job.is_idle()).map(|job| job.part()).collect();
        let start = parts.iter().map(|part| part.start).min().unwrap_or_default();
        let stop = parts
            .iter()
            .map(|part| part.stop)
            .collect::<Option<Vec<_>>>()
            .and_then(|stops| stops.into_iter().max());
        let copies = jobs.iter().any(|job| job.reads_all());
        Self {
            start: if start < WORTH_A_SEEK || copies { Duration::ZERO } else { start },
            stop: if copies { None } else { stop },
        }
    }

    /// The part that shows the pictures at these times.
    pub fn around_pictures(times: impl Iterator<Item = Duration> + Clone) -> Self {
        Self {
            start: times.clone().min().unwrap_or_default().saturating_sub(BEFORE_FIRST_PICTURE),
            stop: times.max().map(|last| last + BEHIND_LAST_PICTURE),
        }
    }
}

/// Gates that hold the first data back until the seek was done.
pub struct Gates {
    probes: Vec<(gst::Pad, gst::PadProbeId)>,
    hold: Arc<Hold>,
    reached: mpsc::Receiver<Reached>,
}

/// A gate that data came to.
struct Reached {
    gate: gst::Pad,
    /// Whether the seek need not wait for another one.
    is_enough: bool,
}

/// Closes the gates where the range asks for a seek; the film's is the first. Events wait too: what they set up behind the gates would break under the seek's flush.
pub fn close(pads: &[gst::Pad], range: &Range) -> Option<Gates> {
    if *range == Range::WHOLE || pads.is_empty() {
        return None;
    }
    let (sender, reached) = mpsc::channel();
    let hold = Arc::new(Hold::default());
    let probes = pads
        .iter()
        .enumerate()
        .filter_map(|(number, pad)| {
            tell_first_data(pad, &sender, (number == 0).then(|| hold.clone()));
            widen(pad);
            let probe = pad.add_probe(gst::PadProbeType::BLOCK_DOWNSTREAM, |_, _| gst::PadProbeReturn::Ok)?;
            Some((pad.clone(), probe))
        })
        .collect();
    Some(Gates { probes, hold, reached })
}

/// Whether a seek came out behind what it was to find, or in the middle of a group of pictures: demuxers of transport streams, and of files
/// without an index, guess by bytes.
pub fn fell_short(range: &Range, facts: &InputFacts, counters: &Counters) -> bool {
    if *range == Range::WHOLE {
        return false;
    }
    let film = rules::film(facts).and_then(|film| facts.of_stream(film.index)?.first);
    let begins = range.start.max(film.unwrap_or(facts.zero).saturating_sub(facts.zero));
    let late = |stretch: &Stretch, from: Duration| stretch.begin().is_some_and(|first| first > from + LATE);
    let has_no_film = counters.decoded.begin().is_none();
    let sound_is_late = !range.start.is_zero() && has_no_film && late(&counters.decoded_sound, range.start);
    counters.film_begins_inside() || late(&counters.decoded, begins) || sound_is_late
}

/// What lies between the key frame before a seek's target and the target is decoded, and cut behind the decoder.
fn widen(gate: &gst::Pad) {
    gate.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, |_, info| {
        if let Some(gst::PadProbeData::Event(event)) = &mut info.data
            && let Some(wider) = widened_segment(event)
        {
            *event = wider;
        }
        gst::PadProbeReturn::Ok
    });
}

/// Sends the gate when data has come in front of it: only then can every demuxer seek. `hold`: of the gate that the seek waits for.
fn tell_first_data(gate: &gst::Pad, sender: &mpsc::Sender<Reached>, hold: Option<Arc<Hold>>) {
    let Some(entry) = entry_of(gate) else { return };
    let (gate, sender) = (gate.downgrade(), sender.clone());
    entry.add_probe(
        gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM,
        move |entry, info| {
            if info.event().is_some_and(|event| event.type_() != gst::EventType::Eos) {
                return gst::PadProbeReturn::Ok;
            }
            if let Some(gate) = gate.upgrade() {
                let is_held = hold.as_ref().is_some_and(|hold| hold.close(entry, &gate, &sender));
                let is_enough = hold.is_some() && !is_held;
                let _ = sender.send(Reached { gate, is_enough });
            }
            gst::PadProbeReturn::Remove
        },
    );
}

/// Holds the demuxer between two packets. A flush must meet a parser neither in the middle of a packet nor in front of the first one: those of
/// H.264 and H.265 go on with what they knew of headers, and put parameter sets into the middle of the next key frame; that of MPEG-2 loses
/// the next picture.
#[derive(Default)]
struct Hold {
    probes: Mutex<Vec<(gst::Pad, gst::PadProbeId)>>,
}

impl Hold {
    /// Stops the demuxer at the next packet or its end, and sends the gate then; false where there is none.
    fn close(&self, entry: &gst::Pad, gate: &gst::Pad, sender: &mpsc::Sender<Reached>) -> bool {
        let probe = |exit: gst::Pad| {
            let (gate, sender) = (gate.downgrade(), sender.clone());
            let mask = gst::PadProbeType::BLOCK | gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
            let id = exit.add_probe(mask, move |_, info| {
                if info.event().is_some_and(|event| event.type_() != gst::EventType::Eos) {
                    return gst::PadProbeReturn::Pass;
                }
                if let Some(gate) = gate.upgrade() {
                    let _ = sender.send(Reached { gate, is_enough: true });
                }
                gst::PadProbeReturn::Ok
            })?;
            Some((exit, id))
        };
        let closed: Vec<_> = exits_of_demuxers(entry).into_iter().filter_map(probe).collect();
        let is_held = !closed.is_empty();
        self.probes.lock().unwrap_or_else(PoisonError::into_inner).extend(closed);
        is_held
    }

    fn open(&self) {
        for (exit, probe) in self.probes.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            exit.remove_probe(probe);
        }
    }
}

/// Pads on which demuxers give packets to the parsers whose packets come to `entry`.
fn exits_of_demuxers(entry: &gst::Pad) -> Vec<gst::Pad> {
    let parse = entry.peer().and_then(|peer| peer.parent_element());
    let Some(bin) = parse.and_then(|parse| parse.downcast::<gst::Bin>().ok()) else {
        return Vec::new();
    };
    let is_demuxer = |element: &gst::Element| {
        let class = element.factory().and_then(|factory| factory.metadata("klass").map(str::to_owned));
        class.is_some_and(|class| class.contains("Demux"))
    };
    let elements = bin.iterate_recurse().into_iter().filter_map(Result::ok);
    elements.filter(is_demuxer).flat_map(|element| element.src_pads()).collect()
}

/// Waits for the first data, seeks, and opens the gates.
pub fn perform(bus: &Bus, gates: Option<Gates>, range: &Range, timelines: &Timelines) -> Result<(), Trouble> {
    let Some(gates) = gates else { return Ok(()) };
    let pad = first_data(bus, &gates.reached)?;
    let target = timelines.video.media(range.start).min(timelines.audio.media(range.start));
    // By 1.22's tsdemux a seek to the very place where it stands goes nowhere, and what it has read by then is lost: now and then all pictures
    // up to the next key frame.
    let start = if range.start.is_zero() {
        target.saturating_sub(A_LITTLE)
    } else {
        target
    };
    let last = |stop| timelines.video.media(stop).max(timelines.audio.media(stop));
    let (stop_type, stop) = match range.stop {
        Some(stop) => (gst::SeekType::Set, Some(clock(last(stop)))),
        None => (gst::SeekType::None, None),
    };
    let flags = gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE;
    let seek = gst::event::Seek::new(1.0, flags, gst::SeekType::Set, clock(start), stop_type, stop);
    let did = pad.send_event(seek);
    gates.hold.open();
    if !did {
        return Err(Trouble::NoSeek);
    }
    for (pad, probe) in gates.probes {
        bring_back_caps(&pad);
        pad.remove_probe(probe);
    }
    Ok(())
}

/// A queue that is about to push an event when the flush comes may lose it, and a decoder without caps cannot tell what it gets. Those that
/// came to the queue stand on its other side.
fn bring_back_caps(gate: &gst::Pad) {
    let Some(entry) = entry_of(gate) else { return };
    let kept = [
        entry.sticky_event::<gst::event::StreamStart>(0).map(gst::Event::from),
        entry.sticky_event::<gst::event::Caps>(0).map(gst::Event::from),
    ];
    for event in kept.into_iter().flatten() {
        let _ = gate.store_sticky_event(&event);
    }
}

fn entry_of(gate: &gst::Pad) -> Option<gst::Pad> {
    gate.iterate_internal_links().into_iter().find_map(Result::ok)
}

fn first_data(bus: &Bus, reached: &mpsc::Receiver<Reached>) -> Result<gst::Pad, Trouble> {
    let mut watch = bus.watch();
    let mut other: Option<(Instant, gst::Pad)> = None;
    while !watch.has_stalled() {
        match reached.recv_timeout(Duration::from_millis(50)) {
            Ok(Reached { gate, is_enough: true }) => return Ok(gate),
            Ok(Reached { gate, .. }) => drop(other.get_or_insert_with(|| (Instant::now(), gate))),
            Err(_) => {}
        }
        if let Some((since, gate)) = &other
            && since.elapsed() > PATIENCE
        {
            return Ok(gate.clone());
        }
        if let Some(failure) = bus.early_error() {
            return Err(failure.into());
        }
    }
    Err(bus.stalled(&Words::default()).into())
}
