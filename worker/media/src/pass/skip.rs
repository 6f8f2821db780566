//! Passes that look at some pictures only: what no other picture refers to, and nobody looks at, is not decoded. Saves a third of the
//! decoder's work on film with B-frames.

use std::{sync::Arc, time::Duration};

use gst::prelude::*;

use super::{
    clip::{at, clock, stream_time},
    counters::Counters,
};
use crate::{
    job::Job,
    probe::InputFacts,
    rules,
    timeline::{Timeline, nanoseconds},
};

/// How many pictures before and behind a wanted one are decoded all the same.
const NEIGHBOURS: u32 = 3;
/// How many at the end: they tell whether the input is whole.
const AT_END: u32 = 20;
/// Types of network abstraction units.
const SLICE: u8 = 1;
const KEY_SLICE: u8 = 5;

/// What may be left out of a film; `None`: nothing.
pub struct Plan {
    /// Stamps of wanted pictures, in order.
    wanted: Vec<gst::ClockTime>,
    slack: gst::ClockTime,
    /// From here on nothing is left out.
    tail: gst::ClockTime,
}

impl Plan {
    /// Only for H.264 of a constant rate, where every job says what it looks at.
    pub fn of(jobs: &[Box<dyn Job>], facts: &InputFacts, timeline: &Timeline) -> Option<Self> {
        let stream = rules::film(facts).filter(|stream| stream.codec == "h264")?;
        let (num, den) = rules::frame_rate(Some(stream))?;
        let is_interlaced = stream.video.as_ref().is_some_and(|video| video.interlaced);
        if is_interlaced || facts.edit_list_inside {
            return None;
        }
        // Without an index a rate is what a header says; pictures may stand for longer.
        facts.promised_video_frames?;
        let delay = timeline.delay()?;
        let frame = Duration::from_secs_f64(f64::from(den) / f64::from(num));
        let times = jobs.iter().map(|job| job.looks_at()).collect::<Option<Vec<_>>>()?;
        let mut wanted: Vec<_> = times.into_iter().flatten().map(|time| at(nanoseconds(time) + delay)).collect();
        wanted.sort_unstable();
        Some(Self {
            wanted,
            slack: clock(frame * NEIGHBOURS),
            tail: at(nanoseconds(rules::duration(facts)?.saturating_sub(frame * AT_END)) + delay),
        })
    }

    fn is_near(&self, time: gst::ClockTime) -> bool {
        let next = self.wanted.partition_point(|wanted| *wanted + self.slack < time);
        time >= self.tail || self.wanted.get(next).is_some_and(|wanted| *wanted <= time + self.slack)
    }

    /// Drops, in front of the decoder, what nobody looks at.
    pub fn apply(self, pad: &gst::Pad, counters: &Arc<Counters>) {
        let counters = counters.clone();
        pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
            let Some(buffer) = info.buffer() else {
                return gst::PadProbeReturn::Ok;
            };
            let near = stream_time(pad, buffer).is_none_or(|time| self.is_near(time));
            if near || !is_disposable(pad, buffer) {
                return gst::PadProbeReturn::Ok;
            }
            counters.tick();
            gst::PadProbeReturn::Drop
        });
    }
}

/// Whether no picture refers to that of a packet.
fn is_disposable(pad: &gst::Pad, packet: &gst::BufferRef) -> bool {
    let (Some(caps), Ok(map)) = (pad.current_caps(), packet.map_readable()) else {
        return false;
    };
    let Some(structure) = caps.structure(0).filter(|structure| structure.name() == "video/x-h264") else {
        return false;
    };
    let codec_data = structure.get::<gst::Buffer>("codec_data").ok();
    let length_bytes = codec_data
        .and_then(|data| data.map_readable().ok().and_then(|data| data.get(4).copied()))
        .map(|byte| usize::from(byte & 3) + 1);
    match length_bytes {
        Some(length_bytes) => first_slice(units_by_length(&map, length_bytes)),
        None => first_slice(units_by_start_code(&map)),
    }
    .is_some_and(|header| header >> 5 & 3 == 0 && header & 31 == SLICE)
}

/// The first byte of the first slice.
fn first_slice(mut headers: impl Iterator<Item = u8>) -> Option<u8> {
    headers.find(|header| (SLICE..=KEY_SLICE).contains(&(header & 31)))
}

/// First bytes of units that stand behind their length.
fn units_by_length(bytes: &[u8], length_bytes: usize) -> impl Iterator<Item = u8> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (length, behind) = rest.split_at_checked(length_bytes)?;
        let length = length.iter().fold(0usize, |sum, byte| sum << 8 | usize::from(*byte));
        rest = behind.get(length..).unwrap_or_default();
        behind.first().copied()
    })
}

/// First bytes of units that stand behind a start code.
fn units_by_start_code(bytes: &[u8]) -> impl Iterator<Item = u8> {
    bytes.windows(4).filter_map(|window| match window {
        [0, 0, 1, header] => Some(*header),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_slice_is_found_behind_other_units() {
        let by_length = [0, 0, 0, 2, 6, 9, 0, 0, 0, 3, 0x01, 1, 2];
        assert_eq!(first_slice(units_by_length(&by_length, 4)), Some(1));
        let by_code = [0, 0, 0, 1, 9, 0xf0, 0, 0, 1, 0x65, 1];
        assert_eq!(first_slice(units_by_start_code(&by_code)), Some(0x65));
        assert_eq!(first_slice(units_by_length(&[0, 0, 0, 9], 4)), None);
    }

    #[test]
    fn neighbours_of_wanted_pictures_and_the_end_are_near() {
        let seconds = gst::ClockTime::from_seconds;
        let plan = Plan {
            wanted: vec![seconds(10), seconds(20)],
            slack: seconds(1),
            tail: seconds(50),
        };
        let near: Vec<u64> = (0..60).filter(|second| plan.is_near(seconds(*second))).collect();
        assert_eq!(near[..6], [9, 10, 11, 19, 20, 21]);
        assert_eq!(near.len(), 6 + 10);
    }
}
