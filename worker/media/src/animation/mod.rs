//! Animated images: GIF with one palette for the whole clip, and WebP. Frames are packed RGB, rows without padding; none of it knows
//! GStreamer.

mod dither;
mod gif;
mod histogram;
mod palette;
mod spool;
mod webp;

pub use self::gif::{GifOptions, write_gif};
pub use histogram::Histogram;
pub use palette::Palette;
pub use spool::{Spool, SpooledFrames};
pub use webp::{WebpOptions, write_webp};

/// Bytes of a pixel.
pub const PIXEL: usize = 3;
