//! Picture formats.

use mps_proto::v1::{AnimatedFormat, ImageFormat};

use crate::capabilities::{ENCODE_ANIMATED_WEBP, ENCODE_GIF, ENCODE_JPEG, ENCODE_PNG, ENCODE_WEBP};

/// Suffix and MIME type.
pub(crate) fn image_type(format: ImageFormat) -> (&'static str, &'static str) {
    match format {
        ImageFormat::Png => ("png", "image/png"),
        ImageFormat::Webp => ("webp", "image/webp"),
        ImageFormat::Jpeg | ImageFormat::Unspecified => ("jpg", "image/jpeg"),
    }
}

pub(crate) fn image_encoder(format: ImageFormat) -> &'static str {
    match format {
        ImageFormat::Png => ENCODE_PNG,
        ImageFormat::Webp => ENCODE_WEBP,
        ImageFormat::Jpeg | ImageFormat::Unspecified => ENCODE_JPEG,
    }
}

/// Suffix and MIME type.
pub(crate) fn animated_type(format: AnimatedFormat) -> (&'static str, &'static str) {
    match format {
        AnimatedFormat::Webp => ("webp", "image/webp"),
        AnimatedFormat::Gif | AnimatedFormat::Unspecified => ("gif", "image/gif"),
    }
}

pub(crate) fn animated_encoder(format: AnimatedFormat) -> &'static str {
    match format {
        AnimatedFormat::Webp => ENCODE_ANIMATED_WEBP,
        AnimatedFormat::Gif | AnimatedFormat::Unspecified => ENCODE_GIF,
    }
}
