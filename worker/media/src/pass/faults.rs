//! What an error of GStreamer is called, and whose fault it is. GStreamer's own words stay in it.

use std::{collections::VecDeque, time::Duration};

use gst::{glib, prelude::*};
use mps_proto::{v1::ErrorReason, worker::v1::Failure};

use super::{
    counters::{Counters, Stretch},
    owners::Origin,
};
use crate::{
    failure,
    job::{Needs, Tracks},
    rules::decoders,
};

/// Warnings that are remembered for the case that the pass stalls.
const KEPT_WARNINGS: usize = 3;
/// Characters of GStreamer's explanation that are passed on.
const LONGEST_WORDS: usize = 240;
const REPORT: &str = "report it with the task's nodes";

/// Warnings on the way, newest last.
#[derive(Default)]
pub struct Words(VecDeque<String>);

impl Words {
    pub fn keep(&mut self, warning: &gst::message::Warning) {
        let text = said(&warning.error(), warning.debug().as_deref());
        if self.0.back() == Some(&text) {
            return;
        }
        if self.0.len() == KEPT_WARNINGS {
            self.0.pop_front();
        }
        self.0.push_back(text);
    }
}

/// Whose fault an error is, and what it is called.
pub fn classify(error: &gst::message::Error, origin: &Origin) -> Failure {
    let source = error.src().map(|source| source.name().to_string()).unwrap_or_default();
    let cause = error.error();
    tracing::debug!(element = %source, error = %cause, debug = ?error.debug(), "pipeline reported an error");
    let text = said(&cause, error.debug().as_deref());
    let ours = || failure::node(ErrorReason::PipelineFailed, format!("{source}: {text}"), REPORT);
    if cause.kind::<gst::CoreError>() == Some(gst::CoreError::MissingPlugin) || cause.kind() == Some(gst::StreamError::CodecNotFound) {
        return failure::data(ErrorReason::DecoderMissing, text, decoders::INSTALL_ALL);
    }
    if cause.kind() == Some(gst::ResourceError::NoSpaceLeft) {
        return failure::node(ErrorReason::DiskFull, text, "give the worker more scratch space");
    }
    match cause.kind::<gst::StreamError>().filter(|_| origin.in_input) {
        Some(gst::StreamError::TypeNotFound | gst::StreamError::WrongType) => failure::data(
            ErrorReason::InputNotMedia,
            text,
            "check that the file is a media file; `mps probe` says what it contains",
        ),
        Some(gst::StreamError::Decode | gst::StreamError::Demux | gst::StreamError::Format) => {
            failure::data(ErrorReason::InputDamaged, text, "make the file anew from its source")
        }
        _ => ours(),
    }
}

/// What an element said: its message, and what it knows of the cause.
fn said(error: &glib::Error, debug: Option<&str>) -> String {
    let message = error.message().trim_end_matches('.');
    match debug.and_then(explanation) {
        Some(explanation) if explanation != message => format!("{message} ({explanation})"),
        _ => message.to_owned(),
    }
}

/// The explanation in an element's debug text, which stands behind a line that says where in GStreamer's code it arose.
fn explanation(debug: &str) -> Option<String> {
    let (_, lines) = debug.split_once('\n')?;
    let words = lines.split_whitespace().collect::<Vec<_>>().join(" ");
    let words: String = words.trim_end_matches('.').chars().take(LONGEST_WORDS).collect();
    (!words.is_empty()).then_some(words)
}

/// A pass that does not move.
pub fn stalled(counters: &Counters, needs: Needs, words: &Words) -> Failure {
    let (stream, at) = place(counters, needs);
    let read = counters.read_to.load(std::sync::atomic::Ordering::Relaxed);
    let heard: Vec<&str> = words.0.iter().map(String::as_str).collect();
    let heard = if heard.is_empty() {
        String::new()
    } else {
        format!("; GStreamer said: {}", heard.join("; "))
    };
    stalled_at(
        stream,
        at,
        &format!("nothing moves in the pass, {read} bytes of the input were read{heard}"),
    )
}

/// A standstill. Stream and position say where, so that a standstill at the same place is known again.
pub fn stalled_at(stream: &str, at: Duration, message: &str) -> Failure {
    let position = format!("{:.2}", at.as_secs_f64());
    let failure = failure::node(
        ErrorReason::Stalled,
        format!("{message}: its {stream} stands at {position} s"),
        "it is tried again; a standstill at the same place is then the file's own",
    );
    failure::with(failure, &[("stream", stream), ("position", &position)])
}

/// The stream that got least far, and how far; of those that any node uses.
fn place(counters: &Counters, needs: Needs) -> (&'static str, Duration) {
    let furthest =
        |pick: fn(&super::counters::NodeCounters) -> &Stretch| counters.nodes.iter().map(|node| pick(node).end()).max().unwrap_or_default();
    let film = counters.decoded.end().max(furthest(|node| &node.video));
    let sound = counters.decoded_sound.end().max(furthest(|node| &node.audio));
    let uses_film = needs.decoded_video || needs.decoded_fields || needs.copied_video;
    let uses_sound = needs.decoded_tracks.and(needs.copied_tracks) != Tracks::default();
    match (uses_film, uses_sound) {
        (true, true) if film <= sound => ("film", film),
        (true, false) => ("film", film),
        (_, true) => ("sound", sound),
        (false, false) => ("input", film.max(sound)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_elements_own_words_stand_behind_its_message() {
        let error = glib::Error::new(gst::StreamError::Mux, "Could not multiplex stream.");
        let debug = "../gst/isomp4/gstqtmux.c(4570): gst_qt_mux_add_buffer (): /GstPipeline:pass/GstMP4Mux:n0-mux:\nBuffer has no PTS.";
        assert_eq!(said(&error, Some(debug)), "Could not multiplex stream (Buffer has no PTS)");
        let flow = "gstbasesrc.c(3127): gst_base_src_loop ():\nstreaming stopped, reason not-negotiated (-4)";
        assert_eq!(
            said(
                &glib::Error::new(gst::StreamError::Failed, "Internal data stream error."),
                Some(flow)
            ),
            "Internal data stream error (streaming stopped, reason not-negotiated (-4))"
        );
        assert_eq!(said(&error, Some("a place without words")), "Could not multiplex stream");
        assert_eq!(said(&error, None), "Could not multiplex stream");
    }
}
