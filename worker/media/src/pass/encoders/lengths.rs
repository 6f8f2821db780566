//! How long each picture is shown, carried past encoder and parser: parsers take every picture for as long as a frame, and the last one of a
//! slide show would end with it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use gst::prelude::*;

use crate::pass::clip::running_ns;

/// Pictures that an encoder looks ahead at most, and many more.
const MOST_IN_FLIGHT: usize = 1_024;
/// Encoders round times to their own clocks.
const ROUNDING_NS: i64 = 50_000;

/// Gives the packets that leave at `exit` the lengths of the pictures that came to `entry`, by their times.
pub fn keep(entry: &gst::Pad, exit: &gst::Pad) {
    let lengths = Arc::new(Mutex::new(BTreeMap::<i64, gst::ClockTime>::new()));
    let known = lengths.clone();
    entry.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let told = info
            .buffer()
            .and_then(|buffer| Some((running_ns(pad, buffer)?, buffer.duration()?)));
        if let (Some((time, length)), Ok(mut known)) = (told, known.lock()) {
            known.insert(time, length);
            while known.len() > MOST_IN_FLIGHT {
                known.pop_first();
            }
        }
        gst::PadProbeReturn::Ok
    });
    exit.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let Some(gst::PadProbeData::Buffer(buffer)) = &mut info.data else {
            return gst::PadProbeReturn::Ok;
        };
        if let (Some(time), Ok(mut lengths)) = (running_ns(pad, buffer), lengths.lock()) {
            let near = lengths.range(time - ROUNDING_NS..=time + ROUNDING_NS).next().map(|(time, _)| *time);
            if let Some(length) = near.and_then(|near| lengths.remove(&near)) {
                buffer.make_mut().set_duration(length);
            }
        }
        gst::PadProbeReturn::Ok
    });
}
