//! Failures of probing: what is wrong with an input, and what to do about it.

use std::{io, time::Duration};

use mps_proto::{
    v1::{ErrorReason, MediaInfo},
    worker::v1::{Failure, InputLimits},
};

use super::{mp4::Index, sniff::Look};
use crate::{failure, rules::decoders, walk::Trouble};

const UPLOAD_AGAIN: &str = "upload the original file again and check that it plays";

/// The container's name, or why the file is no media.
pub fn unless_media(looks: Look) -> Result<&'static str, Failure> {
    match looks {
        Look::Media(name) => Ok(name),
        // Elementary streams have no mark of their own; GStreamer tries.
        Look::Unknown => Ok(""),
        Look::Empty | Look::Text | Look::Other(_) => Err(not_media(looks, "")),
    }
}

/// INPUT_NOT_MEDIA with what the file looks like.
pub fn not_media(looks: Look, detail: &str) -> Failure {
    let (message, hint) = match looks {
        Look::Empty => (
            "the file is empty".to_owned(),
            "check that the upload finished; the file has 0 bytes",
        ),
        Look::Text => (
            "the file looks like text, not like media".to_owned(),
            "playlists, subtitles and web pages cannot be processed; give the media file itself",
        ),
        Look::Other(name) => (
            format!("the file looks like {name}, not like media"),
            "unpack or export the media file first",
        ),
        Look::Media(name) => (format!("the {name} file cannot be read"), UPLOAD_AGAIN),
        Look::Unknown => ("the file is of no known media type".to_owned(), UPLOAD_AGAIN),
    };
    let message = if detail.is_empty() {
        message
    } else {
        format!("{message}: {detail}")
    };
    failure::data(ErrorReason::InputNotMedia, message, hint)
}

/// The worker cannot read its own copy.
pub fn unreadable(error: &io::Error) -> Failure {
    failure::node(
        ErrorReason::Internal,
        format!("the fetched input cannot be read: {error}"),
        "look at the worker's disk",
    )
}

pub fn damaged_index(error: &io::Error) -> Failure {
    not_media(Look::Media("mp4"), &format!("its index is damaged: {error}"))
}

/// An MP4 needs its index and its media.
pub fn unless_indexed(index: &Index) -> Result<(), Failure> {
    match (index.present, index.has_media) {
        (true, true) => Ok(()),
        (true, false) if index.fragmented => Err(failure::data(
            ErrorReason::InputNotMedia,
            "an initialisation section without media",
            "give the playlist, or the initialisation section and its segments joined to one file",
        )),
        (true, false) => Err(failure::data(
            ErrorReason::InputTruncated,
            "MP4 with an index but without media (mdat): the file was cut",
            UPLOAD_AGAIN,
        )),
        (false, _) if index.is_segment => Err(failure::data(
            ErrorReason::InputNotMedia,
            "a media segment without its initialisation section",
            "give the playlist, or the initialisation section and its segments joined to one file",
        )),
        (false, _) => Err(failure::data(
            ErrorReason::InputNotMedia,
            "MP4 without an index (moov): the recording or the upload was cut",
            "upload the whole file; a cut recording can be repaired only with the camera maker's tools",
        )),
    }
}

/// No stream was found.
pub fn no_streams(container: &str, trouble: Option<&Trouble>) -> Failure {
    let detail = trouble.map(Trouble::to_string).unwrap_or_default();
    match trouble {
        Some(Trouble::NoPlugin(_)) => failure::data(
            ErrorReason::DecoderMissing,
            format!("no stream of the file can be read: {detail}"),
            decoders::INSTALL_ALL,
        ),
        Some(Trouble::Setup(_)) => failure::node(ErrorReason::Internal, detail, "check the GStreamer plugins of this worker"),
        _ if container.is_empty() => not_media(Look::Unknown, ""),
        Some(_) => failure::data(
            ErrorReason::InputNotMedia,
            format!("the {container} file cannot be read: {detail}"),
            UPLOAD_AGAIN,
        ),
        None => failure::data(
            ErrorReason::InputNotMedia,
            format!("the {container} file has no stream that can be read"),
            UPLOAD_AGAIN,
        ),
    }
}

fn limit(message: String) -> Failure {
    failure::data(
        ErrorReason::LimitExceeded,
        message,
        "make the input smaller, or ask the operator to raise the limit",
    )
}

/// A picture's size, before anything decodes it.
pub fn if_too_large(size: Option<(u32, u32)>, limits: &InputLimits) -> Result<(), Failure> {
    let Some((width, height)) = size else { return Ok(()) };
    let pixels = i64::from(width) * i64::from(height);
    if limits.max_pixels > 0 && pixels > limits.max_pixels {
        return Err(limit(format!(
            "the picture has {width}x{height} pixels; at most {} are allowed",
            limits.max_pixels
        )));
    }
    Ok(())
}

/// All limits.
pub fn over_limits(media: &MediaInfo, limits: &InputLimits) -> Result<(), Failure> {
    let streams = media.streams.len();
    if limits.max_streams > 0 && streams > usize::try_from(limits.max_streams).unwrap_or(usize::MAX) {
        return Err(limit(format!(
            "the input has {streams} streams; at most {} are allowed",
            limits.max_streams
        )));
    }
    for video in media.streams.iter().filter_map(|stream| stream.video.as_ref()) {
        let size = u32::try_from(video.width_px).ok().zip(u32::try_from(video.height_px).ok());
        if_too_large(size, limits)?;
    }
    let most = limits
        .max_duration
        .and_then(|most| Duration::try_from(most).ok())
        .filter(|most| !most.is_zero());
    let duration = media
        .duration
        .and_then(|duration| Duration::try_from(duration).ok())
        .unwrap_or_default();
    match most {
        Some(most) if duration > most => Err(limit(format!(
            "the input lasts {:.0} s; at most {} s are allowed",
            duration.as_secs_f64(),
            most.as_secs()
        ))),
        _ => Ok(()),
    }
}
