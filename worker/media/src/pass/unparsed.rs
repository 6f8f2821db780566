//! Streams of a kind that no node needs are not parsed: it would cost time, and what is wrong with them would end the pass.

use gst::prelude::*;

use crate::job::{Needs, Tracks};

/// Tells parsebin to show such streams as they come from their demuxer.
pub fn leave(parser: &gst::Element, needs: Needs) {
    let film = needs.decoded_video || needs.decoded_fields || needs.copied_video;
    let sound = needs.decoded_tracks.and(needs.copied_tracks) != Tracks::default();
    if film && sound {
        return;
    }
    let demuxers: Vec<_> = gst::ElementFactory::factories_with_type(gst::ElementFactoryType::DEMUXER, gst::Rank::MARGINAL)
        .into_iter()
        .collect();
    // Its arguments are the bin, the pad and its caps; true: parse it.
    parser.connect("autoplug-continue", false, move |arguments| {
        let caps = arguments.get(2).and_then(|caps| caps.get::<gst::Caps>().ok());
        let parses =
            caps.is_none_or(|caps| is_needed(&caps, film, sound) || demuxers.iter().any(|demuxer| demuxer.can_sink_any_caps(&caps)));
        Some(parses.to_value())
    });
}

fn is_needed(caps: &gst::Caps, film: bool, sound: bool) -> bool {
    let kind = caps.structure(0).map_or("", |structure| structure.name().as_str());
    match kind.split('/').next() {
        Some("video" | "image") => film,
        Some("audio") => sound,
        _ => true,
    }
}
