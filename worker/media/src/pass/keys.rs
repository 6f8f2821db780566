//! Where the key frame before a time stands: what is copied begins there. Looked for before the pass, in the file's index where it has one.

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    time::Duration,
};

use gst::prelude::*;
use mps_proto::worker::v1::Failure;

use super::{Running, clip::clock, counters::Counters, elements::broken, faults, stall::Watch};
use crate::{
    entry,
    probe::{InputFacts, Place},
    reading,
};

const POLL: gst::ClockTime = gst::ClockTime::from_mseconds(20);
/// Containers in which a seek finds key frames by an index.
const INDEXED: [&str; 3] = ["mp4", "matroska", "webm"];
/// Times of key frames that went through containers are this far off at most.
const ROUNDING: Duration = Duration::from_millis(2);

/// Pictures that are decoded behind one that is shown later, at most.
const REORDERED: u32 = 24;

/// Where a copy of the film begins, in the demuxer's media time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beginning {
    /// When the last key frame at or before a time is shown.
    pub key: Duration,
    /// When the picture is shown that is seen at that time.
    pub shown: Duration,
}

/// Where a copy begins that is to show the film from a time on; `None`: there is no key frame before it. `tick` is called while something
/// moves.
pub fn last_before(path: &Path, facts: &InputFacts, time: Duration, tick: &dyn Fn()) -> Result<Option<Beginning>, Failure> {
    let is_indexed = INDEXED.contains(&facts.media.container.as_str()) && !facts.fragmented;
    if is_indexed && let Some(found) = look(path, facts, time, true, tick)? {
        return Ok(Some(found));
    }
    look(path, facts, time, false, tick)
}

/// What was seen of the film's packets since the seek.
#[derive(Default)]
struct Seen {
    key: Option<Duration>,
    shown: Option<Duration>,
    packets: u64,
    /// Packets that are shown behind the time.
    behind: u32,
    /// All that are shown before the time were seen, or the end.
    over: bool,
}

fn look(path: &Path, facts: &InputFacts, time: Duration, seeks: bool, tick: &dyn Fn()) -> Result<Option<Beginning>, Failure> {
    let pipeline = gst::Pipeline::builder().name("keys").build();
    let _stops = Running(pipeline.clone());
    let parser = reading::open(&pipeline, path, &facts.reading, "keys").map_err(|error| broken(&error))?;
    let seen = Arc::new(Mutex::new(Seen::default()));
    let film = facts
        .places()
        .into_iter()
        .find(|(_, place)| *place == Place::Film)
        .map(|(id, _)| id);
    let (weak, counted) = (pipeline.downgrade(), seen.clone());
    let (sender, first) = mpsc::channel();
    parser.connect_pad_added(move |_, pad| {
        let is_film = film.as_ref().is_none_or(|film| *film == reading::stream_id(pad));
        if is_film {
            watch(pad, &counted, time + ROUNDING);
            let _ = sender.send(pad.clone());
        }
        if let Some(pipeline) = weak.upgrade() {
            end_in_nothing(&pipeline, pad);
        }
    });
    let bus = pipeline.bus().ok_or_else(|| broken("a pipeline without a bus"))?;
    let _ = pipeline.set_state(gst::State::Playing);
    if seeks {
        wait(&bus, &seen, tick, &|seen| seen.packets > 0 || seen.over)?;
        let flags = gst::SeekFlags::FLUSH | gst::SeekFlags::KEY_UNIT | gst::SeekFlags::SNAP_BEFORE;
        let seek = gst::event::Seek::new(
            1.0,
            flags,
            gst::SeekType::Set,
            clock(time),
            gst::SeekType::None,
            gst::ClockTime::NONE,
        );
        if !first.try_recv().is_ok_and(|pad| pad.send_event(seek)) {
            return Ok(None);
        }
    }
    wait(&bus, &seen, tick, &|seen| seen.over)?;
    let seen = lock(&seen);
    Ok(seen.key.zip(seen.shown).map(|(key, shown)| Beginning { key, shown }))
}

/// Until something is so, or the file cannot be read further.
fn wait(bus: &gst::Bus, seen: &Mutex<Seen>, tick: &dyn Fn(), is_so: &dyn Fn(&Seen) -> bool) -> Result<(), Failure> {
    let (mut packets, counters) = (0, Counters::default());
    let mut watch = Watch::new(&counters);
    while !is_so(&lock(seen)) {
        if bus.timed_pop_filtered(POLL, &[gst::MessageType::Error]).is_some() {
            return Ok(());
        }
        let now = lock(seen).packets;
        if now != packets {
            packets = now;
            counters.tick();
            tick();
        }
        if watch.has_stalled() {
            return Err(faults::stalled_at(
                "film",
                Duration::ZERO,
                "nothing comes out of the input while its key frames are looked for",
            ));
        }
    }
    Ok(())
}

fn end_in_nothing(pipeline: &gst::Pipeline, source: &gst::Pad) -> Option<()> {
    let sink = gst::ElementFactory::make("fakesink")
        .property("sync", false)
        .property("async", false)
        .property("enable-last-sample", false)
        .build()
        .ok()?;
    pipeline.add(&sink).ok()?;
    sink.sync_state_with_parent().ok()?;
    source.link(&sink.static_pad("sink")?).ok()?;
    Some(())
}

/// Looks at the film's packets.
fn watch(pad: &gst::Pad, seen: &Arc<Mutex<Seen>>, time: Duration) {
    let seen = seen.clone();
    let mask = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM | gst::PadProbeType::EVENT_FLUSH;
    pad.add_probe(mask, move |pad, info| {
        let mut seen = lock(&seen);
        match &info.data {
            Some(gst::PadProbeData::Buffer(buffer)) => note(&mut seen, pad, buffer, time),
            Some(gst::PadProbeData::Event(event)) => match event.type_() {
                gst::EventType::Eos => seen.over = true,
                gst::EventType::FlushStop => *seen = Seen::default(),
                _ => {}
            },
            _ => {}
        }
        gst::PadProbeReturn::Ok
    });
}

fn note(seen: &mut Seen, pad: &gst::Pad, packet: &gst::BufferRef, time: Duration) {
    seen.packets += 1;
    let segment = pad.sticky_event::<gst::event::Segment>(0);
    let media = |stamp: Option<gst::ClockTime>| {
        let segment = segment.as_ref()?.segment().downcast_ref::<gst::ClockTime>()?;
        // Also outside of the segment, which begins where the seek went.
        let time = (stamp? + segment.time()?).checked_sub(segment.start()?)?;
        Some(Duration::from(time))
    };
    let Some(shown) = media(packet.pts().or(packet.dts())) else {
        return;
    };
    if shown > time {
        seen.behind += 1;
        seen.over |= seen.behind > REORDERED || media(packet.dts()).is_some_and(|decoded| decoded > time);
        return;
    }
    seen.shown = seen.shown.max(Some(shown));
    if seen.behind == 0 && entry::is_entry(pad.current_caps().as_deref(), packet) {
        seen.key = seen.key.max(Some(shown));
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}
