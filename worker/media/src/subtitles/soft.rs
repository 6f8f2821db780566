//! Tracks of subtitles inside files.

use gst::prelude::*;
use mps_proto::{
    v1::{Container, ErrorReason},
    worker::v1::Failure,
};

use super::{Track, cues, feed};
use crate::{failure, pass::elements::mux_queue};

/// Refuses containers without text: what their muxers of GStreamer 1.22 take.
pub fn unless_held(container: Container, tracks: &[Track]) -> Result<(), Failure> {
    let holds = matches!(
        container,
        Container::Unspecified | Container::Mp4 | Container::Mov | Container::Mkv | Container::M4a
    );
    if holds || tracks.is_empty() {
        return Ok(());
    }
    Err(failure::data(
        ErrorReason::Unsupported,
        format!("{} takes no track of subtitles", container.as_str_name()),
        "burn them in, or choose MP4, MOV, MKV or HLS",
    ))
}

/// Gives a track to a muxer: the last element before it, to be linked with a pad of the template subtitle_%u.
/// `needs_end`: a text without letters ends the last one, since the muxer of MP4 does not write how long that stays.
pub fn source(pipeline: &gst::Pipeline, name: &str, track: &Track, needs_end: bool) -> Result<gst::Element, Failure> {
    let caps = gst::Caps::builder("text/x-raw").field("format", "utf8").build();
    let texts = track.cues.iter().map(|cue| feed::Timed {
        start: cue.start,
        end: cue.end,
        text: cues::plain(&cue.text),
    });
    let mut texts: Vec<_> = texts.collect();
    if needs_end {
        let end = texts.iter().map(|text| text.end).max().unwrap_or_default();
        texts.push(feed::Timed {
            start: end,
            end: end + std::time::Duration::from_millis(1),
            text: " ".to_owned(),
        });
    }
    let source = feed::source(pipeline, name, &caps, texts)?;
    let queue = mux_queue(pipeline, &format!("{name}-queue"))?;
    let tags = tags(track);
    if let Some(pad) = queue.static_pad("src") {
        let sent = std::sync::atomic::AtomicBool::new(false);
        // Behind the segment, before the first text.
        pad.add_probe(gst::PadProbeType::BUFFER, move |pad, _| {
            if !sent.swap(true, std::sync::atomic::Ordering::Relaxed) {
                pad.push_event(gst::event::Tag::new(tags.clone()));
            }
            gst::PadProbeReturn::Ok
        });
    }
    crate::pass::elements::link(&[&source, &queue])?;
    Ok(queue)
}

fn tags(track: &Track) -> gst::TagList {
    let mut tags = gst::TagList::new();
    if let Some(writable) = tags.get_mut() {
        let code = track.language.split('-').next().unwrap_or_default();
        if !code.is_empty() {
            writable.add::<gst::tags::LanguageCode>(&code, gst::TagMergeMode::Replace);
        }
        if !track.title.is_empty() {
            writable.add::<gst::tags::Title>(&track.title.as_str(), gst::TagMergeMode::Replace);
        }
    }
    tags
}

/// The muxer's pad for another track.
pub fn entry(muxer: &gst::Element) -> Option<gst::Pad> {
    muxer.request_pad_simple("subtitle_%u")
}
