//! Raw pictures as packed pixels, without what pads their lines.

use gst_video::{VideoFormat, VideoFrameExt, VideoFrameRef};

use super::pictures::Arrived;

/// The pixels of a picture, and how many bytes each has: red, green, blue, and how opaque it is where pictures are clear in parts; `None`: it is of
/// another kind.
pub fn of(picture: &Arrived) -> Option<(Vec<u8>, usize)> {
    let frame = VideoFrameRef::from_buffer_ref_readable(picture.buffer, picture.video?).ok()?;
    let pixel = match frame.format() {
        VideoFormat::Rgb => 3,
        VideoFormat::Rgba => 4,
        _ => return None,
    };
    let stride = usize::try_from(*frame.plane_stride().first()?).ok()?;
    let (bytes, height) = (frame.width() as usize * pixel, frame.height() as usize);
    let mut packed = Vec::with_capacity(bytes * height);
    for line in frame.plane_data(0).ok()?.chunks(stride.max(1)).take(height) {
        packed.extend_from_slice(line.get(..bytes)?);
    }
    Some((packed, pixel))
}
