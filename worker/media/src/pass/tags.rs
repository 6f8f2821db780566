//! Tags on their way to a muxer: what is kept of metadata and cover, and what no longer holds.

use gst::prelude::*;

/// What of the input's tags an output keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// Title, artist and the like; languages are always kept.
    pub tags: bool,
    /// The attached picture.
    pub cover: bool,
}

const COVERS: &[&str] = &["image", "preview-image", "attachment"];
/// What tells how a stream is to be played: kept even where metadata are not.
const OF_STREAMS: &[&str] = &["language-code", "language-name"];
/// What was true of the input's packets alone.
const OF_PACKETS: &[&str] = &[
    "image-orientation",
    "bitrate",
    "nominal-bitrate",
    "maximum-bitrate",
    "minimum-bitrate",
    "video-codec",
    "audio-codec",
    "codec",
    "container-format",
    "encoder",
    "encoder-version",
];

/// Filters tag events that pass a pad. `encoded`: the packets are not the input's.
pub fn filter(pad: &gst::Pad, kept: Kept, encoded: bool) {
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        let Some(gst::PadProbeData::Event(event)) = &mut info.data else {
            return gst::PadProbeReturn::Ok;
        };
        if let gst::EventView::Tag(tag) = event.view() {
            let list = filtered(tag.tag(), kept, encoded);
            *event = gst::event::Tag::builder(list).seqnum(event.seqnum()).build();
        }
        gst::PadProbeReturn::Ok
    });
}

/// Names the track whose packets pass a pad: before the first one, so that it stands in the header.
pub fn name(pad: &gst::Pad, title: &str) {
    let mut tags = gst::TagList::new();
    if let Some(writable) = tags.get_mut() {
        writable.add::<gst::tags::Title>(&title, gst::TagMergeMode::Replace);
        writable.set_scope(gst::TagScope::Stream);
    }
    let sent = std::sync::atomic::AtomicBool::new(false);
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, _| {
        if !sent.swap(true, std::sync::atomic::Ordering::Relaxed) {
            pad.push_event(gst::event::Tag::new(tags.clone()));
        }
        gst::PadProbeReturn::Ok
    });
}

fn filtered(list: &gst::TagListRef, kept: Kept, encoded: bool) -> gst::TagList {
    let mut left = list.to_owned();
    let names: Vec<String> = list.iter().map(|(name, _)| name.to_string()).collect();
    for name in names {
        let name = name.as_str();
        let stays = if COVERS.contains(&name) {
            kept.cover
        } else if encoded && OF_PACKETS.contains(&name) {
            false
        } else {
            kept.tags || OF_STREAMS.contains(&name) || OF_PACKETS.contains(&name)
        };
        if !stays {
            left.make_mut().remove_generic(name);
        }
    }
    left
}
