//! What all kinds of pictures have in common: which stream they show, and how it is shaped.

use std::time::Duration;

use mps_proto::{
    v1::{ErrorReason, ImageFormat, MediaStream, SnapshotSettings},
    worker::v1::{Failure, PlanNode},
};

use super::Context;
use crate::{
    check::Expectation,
    failure, overlay,
    pass::{
        picture::{Hdr, Look, RGB},
        pictures::{self, PictureStyle},
    },
    probe::InputFacts,
    rules::{self, Frame, Geometry, stream_missing},
};

const DEFAULT_QUALITY: i32 = 85;

/// The film or still picture of the input.
pub fn film<'a>(facts: &'a InputFacts, hint: &str) -> Result<&'a MediaStream, Failure> {
    let stream = rules::film(facts).ok_or_else(|| stream_missing("the input has no picture", hint))?;
    rules::unless_undecodable(stream, facts)?;
    Ok(stream)
}

/// Pictures of a size as packed RGB, in standard range.
pub fn look(stream: &MediaStream, geometry: Geometry) -> Look {
    Look {
        tone_map: Hdr::of(stream),
        ..Look::plain(geometry, RGB)
    }
}

/// The style of a node with settings of pictures.
pub fn resolve(node: &PlanNode, settings: &SnapshotSettings, stream: &MediaStream, context: &Context) -> Result<PictureStyle, Failure> {
    let frame = Frame::of(stream);
    let (width, height) = frame.sides(settings.size_basis(), settings.width_px, settings.height_px);
    let geometry = Geometry::resolve(frame, width, height, settings.fit(), false, 1);
    let mut look = look(stream, geometry);
    look.fill = settings.pad_fill();
    look.after = overlay::watermarks(&node.watermarks, context, (geometry.width, geometry.height), None)?;
    look.format = pictures::format_of(settings.format());
    look.keeps_clear = look.format == RGB;
    Ok(PictureStyle {
        format: settings.format(),
        quality: settings.quality.unwrap_or(DEFAULT_QUALITY),
        look,
    })
}

/// What a written picture must be.
pub fn expectation(style: &PictureStyle) -> Expectation {
    let codec = match style.format {
        ImageFormat::Png => "png",
        ImageFormat::Webp => "webp",
        _ => "mjpeg",
    };
    Expectation {
        width_px: style.look.geometry.width,
        height_px: style.look.geometry.height,
        video_codec: Some(codec.to_owned()),
        ..Expectation::default()
    }
}

/// An offset that shows nothing.
pub fn missing(offset: Duration) -> Failure {
    failure::data(
        ErrorReason::OffsetOutOfRange,
        format!("there is no picture at {:.3} s", offset.as_secs_f64()),
        "the picture ends before the sound does; choose an earlier offset",
    )
}
