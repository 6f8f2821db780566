//! Key frames that encoders are asked for from outside: where segments begin, and where an encoder has none of its own.

use std::sync::{Mutex, PoisonError};

use gst::prelude::*;
use mps_proto::{v1::VideoCodec, worker::v1::Failure};

use super::{Gop, VideoEncode};
use crate::pass::{
    clip::{clock, running_ns},
    elements::pad,
};

/// When key frames are asked for from outside.
#[derive(Debug, PartialEq, Eq)]
pub struct Asks {
    /// At the first picture of each of these spans of running time.
    spans: Vec<gst::ClockTime>,
    /// Every so many pictures.
    frames: Option<u64>,
}

impl Asks {
    pub fn of(job: &VideoEncode) -> Self {
        let (time, frames) = match job.gop {
            Gop::Time(span) => (Some(span), None),
            // VP8 without scene cuts has no key frames of its own.
            Gop::Frames(frames) => (None, (job.codec == VideoCodec::Vp8 && !job.scene_cuts).then_some(frames)),
        };
        Self {
            spans: time
                .into_iter()
                .chain(job.cuts)
                .map(|span| clock(span).max(gst::ClockTime::MSECOND))
                .collect(),
            frames: frames.map(|frames| u64::from(frames.max(1).unsigned_abs())),
        }
    }

    pub fn any(&self) -> bool {
        !self.spans.is_empty() || self.frames.is_some()
    }
}

/// x264 and x265 may write stamps before the first picture's: until something comes out of them, their elements count from here.
const HEAD_START: gst::ClockTime = gst::ClockTime::from_seconds(3_600_000);

/// How wishes are told to an encoder. A wish for any picture is passed over while another one waits in the encoder, which looks ahead for
/// longer than short segments last; a wish for a time is passed over where it lies before an earlier one, by the encoder's own clock.
#[derive(Debug, Default)]
struct Wishes {
    /// Whether the encoder has a head start.
    ahead: bool,
    /// Running time of the first picture.
    first: Option<gst::ClockTime>,
    /// Whether anything came out of the encoder.
    started: bool,
    /// Whether a wish was told since then.
    told: bool,
}

impl Wishes {
    /// The time that a wish for the picture at a running time names; `None`: any picture.
    fn time(&mut self, time: gst::ClockTime) -> Option<gst::ClockTime> {
        if self.ahead && !self.started {
            return Some(HEAD_START + time.saturating_sub(self.first.unwrap_or(time)));
        }
        // One for any picture puts the clock of earlier wishes right.
        let is_first = !std::mem::replace(&mut self.told, true);
        (!(self.ahead && is_first)).then_some(time)
    }
}

struct State {
    /// By span: when the next key frame is due.
    next: Vec<gst::ClockTime>,
    seen: u64,
    wishes: Wishes,
}

/// Asks an encoder for key frames, once for each picture at most: a second wish would make a key frame of the next one.
pub fn force(encoder: &gst::Element, job: &VideoEncode) -> Result<(), Failure> {
    let asks = Asks::of(job);
    if !asks.any() {
        return Ok(());
    }
    let ahead = encoder
        .factory()
        .is_some_and(|factory| matches!(factory.name().as_str(), "x264enc" | "x265enc"));
    let state = std::sync::Arc::new(Mutex::new(State {
        next: asks.spans.clone(),
        seen: 0,
        wishes: Wishes {
            ahead,
            ..Wishes::default()
        },
    }));
    let output = state.clone();
    pad(encoder, "src")?.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        output.lock().unwrap_or_else(PoisonError::into_inner).wishes.started = true;
        gst::PadProbeReturn::Remove
    });
    let weak = encoder.downgrade();
    pad(encoder, "sink")?.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let (Some(buffer), Some(encoder)) = (info.buffer(), weak.upgrade()) else {
            return gst::PadProbeReturn::Ok;
        };
        let wish = state.lock().unwrap_or_else(PoisonError::into_inner).wish(&asks, pad, buffer);
        if let Some(time) = wish {
            let wish = gst_video::UpstreamForceKeyUnitEvent::builder().all_headers(true).running_time(time);
            encoder.send_event(wish.build());
        }
        gst::PadProbeReturn::Ok
    });
    Ok(())
}

impl State {
    /// Whether a picture is to be a key frame, and the time that the wish names.
    fn wish(&mut self, asks: &Asks, pad: &gst::Pad, buffer: &gst::BufferRef) -> Option<Option<gst::ClockTime>> {
        let mut wanted = asks.frames.is_some_and(|frames| self.seen.is_multiple_of(frames));
        self.seen += 1;
        let time = running_ns(pad, buffer).and_then(|time| u64::try_from(time).ok());
        let Some(time) = time.map(gst::ClockTime::from_nseconds) else {
            return wanted.then_some(None);
        };
        self.wishes.first.get_or_insert(time);
        // Time stamps are cut to nanoseconds: a picture that begins within half of itself is the one.
        let near = time + buffer.duration().map_or(gst::ClockTime::MSECOND, |length| length / 2);
        for (next, span) in self.next.iter_mut().zip(&asks.spans) {
            wanted |= near >= *next;
            while near >= *next {
                *next += *span;
            }
        }
        wanted.then(|| self.wishes.time(time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_name_times_of_the_encoders_clock() {
        let seconds = gst::ClockTime::from_seconds;
        let mut wishes = Wishes {
            ahead: true,
            first: Some(seconds(4)),
            ..Wishes::default()
        };
        assert_eq!(wishes.time(seconds(6)), Some(seconds(3_600_002)));
        wishes.started = true;
        assert_eq!([8, 10].map(|time| wishes.time(seconds(time))), [None, Some(seconds(10))]);
        assert_eq!(Wishes::default().time(seconds(2)), Some(seconds(2)));
    }
}
