//! Animated images: GIF with one palette for the whole clip, and WebP. Frames are packed RGB, with alpha behind it where they are clear in parts, rows
//! without padding; none of it knows GStreamer.

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

/// Bytes of a pixel's colour.
pub const PIXEL: usize = 3;
/// Least alpha of a pixel that is seen where there is nothing between seen and clear.
const SEEN: u8 = 128;

/// Whether a pixel is clear where it must be either that or opaque.
fn is_clear(pixel: &[u8]) -> bool {
    pixel.get(PIXEL).is_some_and(|alpha| *alpha < SEEN)
}
