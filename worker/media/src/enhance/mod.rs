//! Improvements of picture and sound.

mod denoise;
mod filter;
mod picture;
pub mod sound;
mod tone;

pub use picture::PictureEnhancement;
