//! Media that a demuxer does not know, or names wrongly, under the type that its decoder takes.

use std::collections::BTreeMap;

use gst::prelude::*;

use super::stream_id;

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
