//! Animated WebP, composed by its library.

use std::{io, path::Path, time::Duration};

use webp_animation::Decoder;

use super::{Picture, Summary, unless_too_large};
use crate::parse::webp::{self, Animation};

/// A file is read into memory; animations are small.
const MAX_BYTES: u64 = 256 << 20;

/// `None` for a still picture.
pub fn summarize(path: &Path) -> io::Result<Option<Summary>> {
    Ok(webp::animation(&read(path)?).map(|found| Summary {
        width: found.width,
        height: found.height,
        pictures: found.shown.len() as u64,
        duration: (found.shown.len() > 1).then(|| found.shown.iter().sum()),
        frame_rate: frame_rate(&found),
        is_broken: found.is_cut,
        ..Summary::default()
    }))
}

fn frame_rate(animation: &Animation) -> (i32, i32) {
    let first = animation
        .shown
        .first()
        .filter(|first| animation.shown.iter().all(|shown| shown == *first));
    let milliseconds = first.and_then(|first| i32::try_from(first.as_millis()).ok());
    match milliseconds.filter(|_| animation.shown.len() > 1) {
        Some(milliseconds) if 1000 % milliseconds == 0 => (1000 / milliseconds, 1),
        Some(milliseconds) => (1000, milliseconds),
        None => (0, 1),
    }
}

pub fn each(path: &Path, max_pixels: u64, take: &mut dyn FnMut(Picture) -> bool) -> io::Result<()> {
    let bytes = read(path)?;
    let animation = webp::animation(&bytes).ok_or_else(|| io::Error::other("it is no animation"))?;
    unless_too_large(animation.width, animation.height, max_pixels)?;
    let decoder = Decoder::new(&bytes).map_err(|error| io::Error::other(error.to_string()))?;
    let is_still = animation.shown.len() == 1;
    let mut start = Duration::ZERO;
    for (frame, shown) in decoder.into_iter().zip(&animation.shown) {
        let picture = Picture {
            pixels: frame.data().to_vec(),
            start,
            duration: Some(*shown).filter(|_| !is_still),
        };
        start += *shown;
        if !take(picture) {
            break;
        }
    }
    Ok(())
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    if std::fs::metadata(path)?.len() > MAX_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the file is too large"));
    }
    std::fs::read(path)
}
