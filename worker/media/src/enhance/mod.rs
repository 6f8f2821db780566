//! Improvements of picture and sound.

mod denoise;
mod filter;
mod picture;
pub mod sound;
#[cfg(test)]
mod tests;
mod tone;

pub use picture::PictureEnhancement;
