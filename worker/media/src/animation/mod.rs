//! Animated images: GIF with one palette for the whole clip, and WebP. Frames are packed RGB, rows without padding; none of it knows
//! GStreamer.

mod dither;
mod gif;
mod histogram;
mod palette;
mod spool;

pub use self::gif::{GifOptions, write_gif};
pub use histogram::Histogram;
pub use palette::Palette;
pub use spool::{Spool, SpooledFrames};

/// Bytes of a pixel.
pub const PIXEL: usize = 3;
