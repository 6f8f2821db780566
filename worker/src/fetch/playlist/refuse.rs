//! What is said of playlists that are not taken.

use mps_media::failure;
use mps_proto::{v1::ErrorReason, worker::v1::Failure};

const SINGLE_FILE: &str = "give a playlist of finished media (VOD), or the URL of a single media file";

/// A kind of playlist, or something in it, that is not taken.
pub fn unsupported(message: impl Into<String>, hint: &str) -> Failure {
    failure::data(ErrorReason::PlaylistUnsupported, message, hint)
}

/// A manifest of another system.
pub fn other_manifest(name: &str) -> Failure {
    unsupported(
        format!("the input is {name}, which is not taken"),
        "give an HLS playlist (M3U8), or the URL of a single media file",
    )
}

pub fn live() -> Failure {
    unsupported(
        "the playlist is live: it has no EXT-X-ENDLIST, so its end is not known",
        SINGLE_FILE,
    )
}

pub fn protected(method: &str) -> Failure {
    unsupported(
        format!("the playlist's media is protected by {method}"),
        "give media that is not encrypted, or encrypted with METHOD=AES-128 and a key that can be fetched",
    )
}

/// Not a playlist at all, or one without media.
pub fn not_media(message: impl Into<String>) -> Failure {
    failure::data(
        ErrorReason::InputNotMedia,
        message,
        "give an HLS playlist (M3U8) of media segments, or the URL of a single media file",
    )
}

/// A line that is not as the format wants it.
pub fn broken_line(number: usize, line: &str) -> Failure {
    let shown: String = line.chars().take(80).collect();
    not_media(format!("line {number} of the playlist cannot be read: {shown}"))
}

pub fn too_many(what: &str, most: usize) -> Failure {
    failure::data(
        ErrorReason::LimitExceeded,
        format!("the playlist has more than {most} {what}"),
        "give a shorter playlist, or parts of it as inputs of their own",
    )
}

pub fn too_long(seconds: f64, most: f64) -> Failure {
    failure::data(
        ErrorReason::LimitExceeded,
        format!("the playlist lasts {seconds:.0} s; at most {most:.0} s are allowed"),
        "make the input smaller, or ask the operator to raise the limit",
    )
}

pub fn forbidden(message: impl Into<String>) -> Failure {
    failure::data(
        ErrorReason::InputForbidden,
        message,
        "name members of a playlist by paths relative to it, or by public http or https URLs",
    )
}

/// Says which member of the playlist it is.
pub fn named(mut failure: Failure, member: &str) -> Failure {
    if let Some(status) = &mut failure.status {
        status.message = format!("{member}: {}", status.message);
    }
    failure
}
