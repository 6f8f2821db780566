//! Tags on their way to a muxer: what is kept of metadata and cover, and what no longer holds.

use gst::prelude::*;

use crate::parse::comments::{self, Staying};

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
        match event.view() {
            gst::EventView::Tag(tag) => {
                let list = filtered(tag.tag(), kept, encoded);
                *event = gst::event::Tag::builder(list).seqnum(event.seqnum()).build();
            }
            // Chapters have names.
            gst::EventView::Toc(_) if !kept.tags => {
                *event = gst::event::CustomDownstream::new(gst::Structure::new_empty("mps-nothing"));
            }
            _ => {}
        }
        gst::PadProbeReturn::Ok
    });
}

/// Leaves tags out of the headers of copied sound that passes a pad, in its caps and in front of its packets.
pub fn filter_headers(pad: &gst::Pad, kept: Kept) {
    let staying = Staying {
        tags: kept.tags,
        pictures: kept.cover,
    };
    if kept.tags && kept.cover {
        return;
    }
    let codec = std::sync::Mutex::new("");
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM | gst::PadProbeType::BUFFER, move |_, info| {
        let Ok(mut codec) = codec.lock() else {
            return gst::PadProbeReturn::Ok;
        };
        match &mut info.data {
            Some(gst::PadProbeData::Event(event)) => {
                if let gst::EventView::Caps(told) = event.view() {
                    *codec = codec_of(told.caps());
                    if let Some(caps) = without_tags(told.caps(), &codec, staying) {
                        *event = gst::event::Caps::builder(&caps).seqnum(event.seqnum()).build();
                    }
                }
            }
            Some(gst::PadProbeData::Buffer(buffer)) if buffer.flags().contains(gst::BufferFlags::HEADER) => {
                if let Some(left) = header_without(buffer, &codec, staying) {
                    *buffer = left;
                }
            }
            _ => {}
        }
        gst::PadProbeReturn::Ok
    });
}

/// As `comments` names codecs; empty: its headers have no tags.
fn codec_of(caps: &gst::CapsRef) -> &'static str {
    match caps.structure(0).map_or("", |caps| caps.name().as_str()) {
        "audio/x-flac" => "flac",
        "audio/x-vorbis" => "vorbis",
        "audio/x-opus" => "opus",
        _ => "",
    }
}

fn without_tags(caps: &gst::CapsRef, codec: &str, staying: Staying) -> Option<gst::Caps> {
    let headers = caps.structure(0)?.get::<gst::Array>("streamheader").ok()?;
    let left = headers.iter().map(|header| {
        let header = header.get::<gst::Buffer>().ok()?;
        Some(header_without(&header, codec, staying).unwrap_or(header).to_send_value())
    });
    let left: Option<Vec<_>> = left.collect();
    let mut caps = caps.to_owned();
    caps.make_mut().set("streamheader", gst::Array::from_values(left?));
    Some(caps)
}

fn header_without(header: &gst::Buffer, codec: &str, staying: Staying) -> Option<gst::Buffer> {
    let bytes = comments::without(codec, &header.map_readable().ok()?, staying)?;
    let mut left = gst::Buffer::from_mut_slice(bytes);
    let flags = gst::BufferCopyFlags::FLAGS | gst::BufferCopyFlags::TIMESTAMPS;
    header.copy_into(left.get_mut()?, flags, ..).ok()?;
    Some(left)
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
