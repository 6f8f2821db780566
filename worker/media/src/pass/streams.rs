//! What came out of the demuxer, stream by stream: counted at parsebin's pads, whoever takes the packets, so that it can be compared with
//! what headers promise. Stamps of joined recordings are made one row here.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed},
    },
};

use gst::prelude::*;

use super::counters::Counters;
use crate::timeline::{EpochOf, Epochs};

/// Packets between two that are presented one after the other: as many as a codec reorders at most.
const REORDERED: usize = 16;

/// What a stream of the input is to the pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Film,
    /// A track of sound, by its position.
    Sound(usize),
    Other,
}

/// One stream as it came out.
#[derive(Debug)]
pub struct ReadStream {
    pub role: Role,
    pub packets: AtomicU64,
    /// Latest end of a packet in media time, in nanoseconds.
    pub end: AtomicI64,
    /// Longest time between the ends of two packets, in nanoseconds: the last one may last as long without a word of it.
    pub longest_step: AtomicI64,
    pub ended: AtomicBool,
    /// Packets of the film that are presented when another one is, by their own stamps.
    pub alike: AtomicU64,
    /// Packets without any stamp: parsers take that of a packet like the one before away.
    pub unstamped: AtomicU64,
    /// Whether the first packet refers to others.
    pub begins_inside: AtomicBool,
}

/// Counts what passes a pad of parsebin.
pub fn watch(pad: &gst::Pad, role: Role, epochs: &Arc<Mutex<Epochs>>, counters: &Counters) {
    let stream = Arc::new(ReadStream {
        role,
        packets: AtomicU64::new(0),
        end: AtomicI64::new(i64::MIN),
        longest_step: AtomicI64::new(0),
        ended: AtomicBool::new(false),
        alike: AtomicU64::new(0),
        unstamped: AtomicU64::new(0),
        begins_inside: AtomicBool::new(false),
    });
    if let Ok(mut streams) = counters.streams.lock() {
        streams.push(stream.clone());
    }
    let place = Mutex::new(Place::default());
    let epochs = epochs.clone();
    pad.add_probe(
        gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM | gst::PadProbeType::EVENT_FLUSH,
        move |pad, info| {
            match &mut info.data {
                Some(gst::PadProbeData::Buffer(buffer)) => {
                    let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
                    count(pad, buffer, &stream, &mut place, &epochs);
                }
                Some(gst::PadProbeData::Event(event)) => match event.type_() {
                    gst::EventType::Eos => stream.ended.store(true, Relaxed),
                    gst::EventType::FlushStop => {
                        *place.lock().unwrap_or_else(PoisonError::into_inner) = Place::default();
                        stream.packets.store(0, Relaxed);
                        stream.alike.store(0, Relaxed);
                        stream.unstamped.store(0, Relaxed);
                        stream.end.store(i64::MIN, Relaxed);
                        stream.ended.store(false, Relaxed);
                    }
                    _ => {}
                },
                _ => {}
            }
            gst::PadProbeReturn::Ok
        },
    );
}

/// Where a stream stands.
#[derive(Default)]
struct Place {
    epoch: EpochOf,
    /// Stamps of the last packets.
    stamps: VecDeque<i64>,
}

impl Place {
    /// Whether a packet before has the same stamp.
    fn has(&mut self, stamp: i64) -> bool {
        let is_known = self.stamps.contains(&stamp);
        self.stamps.push_back(stamp);
        if self.stamps.len() > REORDERED {
            self.stamps.pop_front();
        }
        is_known
    }
}

fn count(pad: &gst::Pad, buffer: &mut gst::Buffer, stream: &ReadStream, place: &mut Place, epochs: &Mutex<Epochs>) {
    if stream.packets.fetch_add(1, Relaxed) == 0 {
        let is_delta = buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
        stream.begins_inside.store(is_delta, Relaxed);
    }
    let Some(decoded) = buffer.dts_or_pts().and_then(|time| media_ns(pad, time)) else {
        stream.unstamped.fetch_add(1, Relaxed);
        return;
    };
    let length = buffer.duration().map_or(0, |length| i64::try_from(length.nseconds()).unwrap_or(0));
    let end = buffer.pts().and_then(|pts| media_ns(pad, pts)).unwrap_or(decoded) + length;
    // Text comes when it comes: it takes no part in where recordings were joined.
    let added = match (stream.role, epochs.lock()) {
        (Role::Other, _) | (_, Err(_)) => 0,
        (_, Ok(mut epochs)) => place.epoch.added(&mut epochs, decoded, end),
    };
    let end = end.saturating_add(added);
    if stream.role == Role::Film && buffer.pts().is_some() && place.has(end - length) {
        stream.alike.fetch_add(1, Relaxed);
    }
    let before = stream.end.fetch_max(end, Relaxed);
    if before != i64::MIN {
        stream.longest_step.fetch_max(end - before, Relaxed);
    }
    if added != 0 {
        let moved = |time: gst::ClockTime| time.nseconds().checked_add_signed(added).map(gst::ClockTime::from_nseconds);
        let (pts, dts) = (buffer.pts().and_then(moved), buffer.dts().and_then(moved));
        let buffer = buffer.make_mut();
        buffer.set_pts(pts);
        buffer.set_dts(dts);
    }
}

/// Media time of a stamp on a pad, also outside its segment.
fn media_ns(pad: &gst::Pad, stamp: gst::ClockTime) -> Option<i64> {
    let event = pad.sticky_event::<gst::event::Segment>(0)?;
    let segment = event.segment().downcast_ref::<gst::ClockTime>()?;
    let ns = |time: Option<gst::ClockTime>| i64::try_from(time.unwrap_or(gst::ClockTime::ZERO).nseconds()).ok();
    Some(ns(segment.time())? + i64::try_from(stamp.nseconds()).ok()? - ns(segment.start())?)
}
