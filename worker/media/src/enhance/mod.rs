//! Improvements of picture and sound.

mod denoise;
mod filter;
mod picture;
mod tone;

pub use picture::PictureEnhancement;
