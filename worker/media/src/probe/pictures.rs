//! What is known of pictures that code of our own reads.

use std::path::Path;

use mps_proto::{
    v1::{ErrorReason, MediaInfo, MediaStream, VideoProperties},
    worker::v1::Failure,
};

use super::{InputFacts, refuse, shape, sniff::Look, to_proto};
use crate::{
    failure,
    own_pictures::{Summary, heif, summarize},
};

/// Containers of one picture that GStreamer reads.
pub const STILLS: &[&str] = &["jpeg", "png", "webp", "jp2"];
/// All containers of pictures: their size is looked at before anything decodes them.
pub const CONTAINERS: &[&str] = &["jpeg", "png", "webp", "jp2", "gif", "bmp", "tga", "tiff", "heif", "avif"];

/// Nothing where GStreamer reads the file.
pub fn facts(path: &Path, container: &'static str) -> Result<Option<InputFacts>, Failure> {
    let unreadable = |problem: &str| refuse::not_media(Look::Media(container), problem);
    let Some(summary) = summarize(path, container) else {
        return Ok(None);
    };
    let summary = summary.map_err(|error| unreadable(&error.to_string()))?;
    if summary.pictures == 0 {
        return Err(unreadable("it holds no whole picture"));
    }
    if summary.is_hdr {
        return Err(failure::data(
            ErrorReason::Unsupported,
            format!("{} pictures of high dynamic range (PQ, HLG) are not read", container.to_uppercase()),
            "export the picture with standard dynamic range, such as JPEG",
        ));
    }
    let is_decodable = !heif::CONTAINERS.contains(&container) || heif::is_decodable(summary.codec);
    let of_sequence = summary.is_sequence.then(|| {
        failure::warning(
            ErrorReason::Unsupported,
            "the file holds a film of pictures, of which the main picture alone is read",
            &[("hint", "convert it to a video first where its film is wanted".to_owned())],
        )
    });
    let mut facts = InputFacts {
        warnings: of_sequence.into_iter().collect(),
        undecodable: if is_decodable { Vec::new() } else { vec![0] },
        media: MediaInfo {
            container: container.to_owned(),
            duration: summary.duration.and_then(to_proto),
            streams: vec![stream(&summary, container)],
            ..MediaInfo::default()
        },
        promised_duration: summary.duration,
        promised_video_frames: Some(summary.pictures),
        truncated_bytes: u64::from(summary.is_broken),
        own_pictures: true,
        still_picture: summary.pictures == 1,
        ..InputFacts::default()
    };
    if container == "jpeg" {
        shape::by_file(&mut facts, path);
    }
    Ok(Some(facts))
}

fn stream(summary: &Summary, container: &str) -> MediaStream {
    let pixels = |side: u32| i32::try_from(side).unwrap_or(i32::MAX);
    let codec = match (summary.codec, container) {
        ("", "tga") => "targa",
        ("", container) => container,
        (codec, _) => codec,
    };
    MediaStream {
        kind: "video".to_owned(),
        codec: codec.to_owned(),
        duration: summary.duration.and_then(to_proto),
        video: Some(VideoProperties {
            width_px: pixels(summary.width),
            height_px: pixels(summary.height),
            frame_rate_num: summary.frame_rate.0,
            frame_rate_den: summary.frame_rate.1,
            pixel_aspect_num: 1,
            pixel_aspect_den: 1,
            pixel_format: "RGBA".to_owned(),
            bit_depth: 8,
            ..VideoProperties::default()
        }),
        ..MediaStream::default()
    }
}
