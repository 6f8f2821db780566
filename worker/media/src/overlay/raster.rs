//! A small picture with premultiplied colours, ready to be laid over another.

use gst_video::{VideoFormat, VideoFrameFlags, VideoMeta, VideoOverlayFormatFlags, VideoOverlayRectangle};

/// Bytes are blue, green, red, alpha; colours are premultiplied.
#[derive(Clone, PartialEq, Eq)]
pub struct Raster {
    pub width: u32,
    pub height: u32,
    pub bgra: Vec<u8>,
}

impl std::fmt::Debug for Raster {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(formatter, "Raster({}x{})", self.width, self.height)
    }
}

impl Raster {
    /// Of red, green, blue, alpha; `opacity` is that of the whole.
    pub fn of_straight(width: u32, height: u32, rgba: &[u8], opacity: f64) -> Self {
        let mut bgra = Vec::with_capacity(rgba.len());
        for pixel in rgba.as_chunks::<4>().0 {
            let [red, green, blue, alpha] = *pixel;
            let alpha = (f64::from(alpha) * opacity).round() as u32;
            let times = |value: u8| ((u32::from(value) * alpha + 127) / 255) as u8;
            bgra.extend([times(blue), times(green), times(red), alpha as u8]);
        }
        Self { width, height, bgra }
    }

    /// Of premultiplied red, green, blue, alpha.
    pub fn of_premultiplied(width: u32, height: u32, rgba: &[u8], opacity: f64) -> Self {
        let mut bgra = Vec::with_capacity(rgba.len());
        let times = |value: u8| (f64::from(value) * opacity).round() as u8;
        for [red, green, blue, alpha] in rgba.as_chunks::<4>().0 {
            bgra.extend([times(*blue), times(*green), times(*red), times(*alpha)]);
        }
        Self { width, height, bgra }
    }

    /// As GStreamer lays it over pictures; `None`: memory is short.
    pub fn at(&self, x: i32, y: i32) -> Option<VideoOverlayRectangle> {
        let mut buffer = gst::Buffer::from_slice(self.bgra.clone());
        let writable = buffer.get_mut()?;
        VideoMeta::add(writable, VideoFrameFlags::empty(), VideoFormat::Bgra, self.width, self.height).ok()?;
        Some(VideoOverlayRectangle::new_raw(
            &buffer,
            x,
            y,
            self.width,
            self.height,
            VideoOverlayFormatFlags::PREMULTIPLIED_ALPHA,
        ))
    }
}
