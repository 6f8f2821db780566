//! mps-pixels: arithmetic over every pixel of a film. A crate of its own, since it is optimised in development builds too; it knows slices
//! of bytes, and nothing of GStreamer.

pub mod alpha;
pub mod deinterlace;
pub mod levels;
pub mod matrix;

/// One plane of a picture, to read.
#[derive(Debug, Clone, Copy)]
pub struct Plane<'a> {
    pub data: &'a [u8],
    /// Bytes from line to line.
    pub stride: usize,
    /// Width and height in pixels of this plane.
    pub width: usize,
    pub height: usize,
    /// Values of a pixel in this plane.
    pub values: usize,
    /// Bytes of a value: 1, or 2 (little-endian).
    pub bytes: usize,
}

impl<'a> Plane<'a> {
    /// Bytes of a line, without padding.
    pub fn line_bytes(&self) -> usize {
        self.width * self.values * self.bytes
    }

    /// A line; empty where there is none.
    pub fn line(&self, number: usize) -> &'a [u8] {
        let from = number * self.stride;
        self.data.get(from..from + self.line_bytes()).unwrap_or_default()
    }
}
