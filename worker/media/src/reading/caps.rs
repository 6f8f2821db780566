//! Media that a demuxer does not know, names wrongly or gives without stamps, as its decoder takes it.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use gst::prelude::*;

use super::stream_id;
use crate::{entry, parse::pictures};

/// Types of unknown four-letter codes and those that decoders take for them.
const KNOWN_AS: &[(&str, &str)] = &[
    // DNxHR: the decoder of DNxHD reads it, too.
    ("video/x-gst-fourcc-AVdh", "video/x-dnxhd"),
    // DTS Express, and Dolby TrueHD; each packet is a whole frame.
    ("audio/x-gst-fourcc-dtse", "audio/x-dts"),
    ("audio/x-gst-fourcc-dtsx", "audio/x-dts"),
    ("audio/x-gst-fourcc-mlpa", "audio/x-true-hd"),
];

/// Changes what a pad of the parser says of its stream. `formats`: of PCM, by the ids of streams.
pub fn correct(pad: &gst::Pad, formats: &BTreeMap<String, &'static str>) {
    let format = formats.get(&stream_id(pad)).copied();
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        if let Some(gst::PadProbeData::Event(event)) = &mut info.data
            && let gst::EventView::Caps(told) = event.view()
            && let Some(caps) = corrected(told.caps(), format)
        {
            *event = gst::event::Caps::new(&caps);
        }
        gst::PadProbeReturn::Ok
    });
    stamp_prores(pad);
    drop_unstamped(pad);
    mark_intra_pictures(pad);
}

/// mpegvideoparse takes the first picture behind a container's own sequence header for one that needs others, and copies begin behind it.
fn mark_intra_pictures(pad: &gst::Pad) {
    pad.add_probe(gst::PadProbeType::BUFFER, |pad, info| {
        let caps = pad.current_caps();
        let structure = caps.as_ref().and_then(|caps| caps.structure(0));
        if !structure.is_some_and(entry::is_mpeg2) {
            return gst::PadProbeReturn::Remove;
        }
        if let Some(buffer) = info.buffer_mut()
            && buffer.flags().contains(gst::BufferFlags::DELTA_UNIT)
            && buffer.map_readable().is_ok_and(|packet| pictures::is_intra_of_mpeg2(&packet))
        {
            buffer.make_mut().unset_flags(gst::BufferFlags::DELTA_UNIT);
        }
        gst::PadProbeReturn::Ok
    });
}

/// How many packets may come in front of the first stamp.
const MOST_UNSTAMPED: u64 = 64;

/// Frames of sound in front of a stream's first stamp, where a recording was cut: nobody can say when they are heard, and a decoder would put
/// them where its segment begins, beside others.
fn drop_unstamped(pad: &gst::Pad) {
    let dropped = AtomicU64::new(0);
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let is_stamped = info.buffer().is_none_or(|buffer| buffer.pts().or(buffer.dts()).is_some());
        let caps = pad.current_caps();
        let kind = caps
            .as_ref()
            .and_then(|caps| caps.structure(0))
            .map(|structure| structure.name().as_str());
        let is_sound = kind.is_some_and(|kind| kind.starts_with("audio/") && kind != "audio/x-raw");
        if is_stamped || !is_sound || dropped.fetch_add(1, Relaxed) >= MOST_UNSTAMPED {
            return gst::PadProbeReturn::Remove;
        }
        gst::PadProbeReturn::Drop
    });
}

/// matroskademux loses the stamps of ProRes when it puts back the header of each picture: all pictures stand alone, so they are counted.
fn stamp_prores(pad: &gst::Pad) {
    let count = AtomicU64::new(0);
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let Some(buffer) = info.buffer_mut() else {
            return gst::PadProbeReturn::Ok;
        };
        let caps = pad.current_caps();
        let structure = caps.as_ref().and_then(|caps| caps.structure(0));
        let is_prores = structure.is_some_and(|structure| structure.name() == "video/x-prores");
        if buffer.pts().is_some() || !is_prores {
            return gst::PadProbeReturn::Remove;
        }
        let rate = structure.and_then(|structure| structure.get::<gst::Fraction>("framerate").ok());
        if let Some((num, den)) = rate.and_then(positive) {
            let at = |number: u64| gst::ClockTime::SECOND.mul_div_round(number * den, num);
            let number = count.fetch_add(1, Relaxed);
            let buffer = buffer.make_mut();
            buffer.set_pts(at(number));
            buffer.set_dts(at(number));
            buffer.set_duration(at(number + 1).zip(at(number)).map(|(end, start)| end.saturating_sub(start)));
        }
        gst::PadProbeReturn::Ok
    });
}

fn positive(rate: gst::Fraction) -> Option<(u64, u64)> {
    let (num, den) = (u64::try_from(rate.numer()).ok()?, u64::try_from(rate.denom()).ok()?);
    (num > 0 && den > 0).then_some((num, den))
}

fn corrected(told: &gst::CapsRef, format: Option<&'static str>) -> Option<gst::Caps> {
    let structure = told.structure(0)?;
    let known = KNOWN_AS.iter().find(|(unknown, _)| structure.name() == *unknown);
    let raw = format.filter(|_| structure.name() == "audio/x-raw");
    if known.is_none() && raw.is_none() {
        return None;
    }
    let mut structure = structure.to_owned();
    if let Some((_, name)) = known {
        structure.set_name(*name);
        // A rate of zero is one that the demuxer could not read.
        if structure.get::<i32>("rate") == Ok(0) {
            structure.remove_field("rate");
        }
    }
    if let Some(format) = raw {
        structure.set("format", format);
    }
    Some(gst::Caps::builder_full().structure(structure).build())
}
