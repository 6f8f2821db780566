//! Pictures as marks: PNG, JPEG, animated PNG and GIF.

use std::{io::Cursor, time::Duration};

use image::{
    AnimationDecoder, DynamicImage, ImageDecoder, ImageFormat, Limits, RgbaImage,
    codecs::{gif::GifDecoder, png::PngDecoder},
    imageops::{self, FilterType},
};
use mps_proto::{v1::ErrorReason, worker::v1::Failure};

use crate::failure;

/// Longest side of a mark's picture as it stands in its file.
const MAX_SIDE: u32 = 8192;
/// Bytes of all pictures of an animation, drawn at their size.
const MAX_BYTES: u64 = 256 << 20;
const MAX_FRAMES: usize = 2000;
/// What players show a picture for whose delay is nearly zero.
const USUAL_DELAY: Duration = Duration::from_millis(100);

/// The pictures of a file with the time that each stays; one picture stays for ever.
pub struct Film {
    pub frames: Vec<(RgbaImage, Duration)>,
}

/// Reads a file and scales every picture of it; `size` tells the size of the mark from that in the file.
pub fn read(bytes: &[u8], size: &dyn Fn(u32, u32) -> Result<(u32, u32), Failure>) -> Result<Film, Failure> {
    let format = image::guess_format(bytes).map_err(|_| refused("it is neither PNG, JPEG nor GIF"))?;
    match format {
        ImageFormat::Gif => {
            let mut decoder = GifDecoder::new(Cursor::new(bytes)).map_err(unreadable)?;
            decoder.set_limits(limits()).map_err(unreadable)?;
            animation(decoder.dimensions(), decoder.into_frames(), size)
        }
        ImageFormat::Png => {
            let mut decoder = PngDecoder::new(Cursor::new(bytes)).map_err(unreadable)?;
            decoder.set_limits(limits()).map_err(unreadable)?;
            if decoder.is_apng().map_err(unreadable)? {
                let dimensions = decoder.dimensions();
                return animation(dimensions, decoder.apng().map_err(unreadable)?.into_frames(), size);
            }
            still(DynamicImage::from_decoder(decoder).map_err(unreadable)?, size)
        }
        _ => {
            let mut reader = image::ImageReader::with_format(Cursor::new(bytes), format);
            reader.limits(limits());
            still(reader.decode().map_err(unreadable)?, size)
        }
    }
}

fn still(picture: DynamicImage, size: &dyn Fn(u32, u32) -> Result<(u32, u32), Failure>) -> Result<Film, Failure> {
    let (width, height) = size(picture.width(), picture.height())?;
    Ok(Film {
        frames: vec![(scaled(&picture.into_rgba8(), width, height), Duration::MAX)],
    })
}

fn animation(
    (width, height): (u32, u32),
    frames: image::Frames,
    size: &dyn Fn(u32, u32) -> Result<(u32, u32), Failure>,
) -> Result<Film, Failure> {
    let (width, height) = size(width, height)?;
    let most = (MAX_BYTES / (u64::from(width) * u64::from(height) * 4).max(1)) as usize;
    let mut film = Film { frames: Vec::new() };
    for frame in frames {
        let frame = frame.map_err(unreadable)?;
        if film.frames.len() >= most.min(MAX_FRAMES) {
            return Err(refused("its animation is too long"));
        }
        let delay = Duration::from(frame.delay());
        let delay = if delay < Duration::from_millis(15) { USUAL_DELAY } else { delay };
        film.frames.push((scaled(frame.buffer(), width, height), delay));
    }
    if film.frames.is_empty() {
        return Err(refused("it has no picture"));
    }
    Ok(film)
}

/// With premultiplied colours, or what is transparent would bleed into the edges.
fn scaled(picture: &RgbaImage, width: u32, height: u32) -> RgbaImage {
    if picture.dimensions() == (width, height) {
        return picture.clone();
    }
    let mut premultiplied = image::Rgba32FImage::new(picture.width(), picture.height());
    for (from, to) in picture.pixels().zip(premultiplied.pixels_mut()) {
        let alpha = f32::from(from.0[3]) / 255.0;
        to.0 = from.0.map(|value| f32::from(value) / 255.0 * alpha);
        to.0[3] = alpha;
    }
    let small = imageops::resize(&premultiplied, width, height, FilterType::Triangle);
    let mut result = RgbaImage::new(width, height);
    for (from, to) in small.pixels().zip(result.pixels_mut()) {
        let alpha = from.0[3].max(1e-6);
        to.0 = from.0.map(|value| (value / alpha * 255.0).round().clamp(0.0, 255.0) as u8);
        to.0[3] = (from.0[3] * 255.0).round().clamp(0.0, 255.0) as u8;
    }
    result
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_BYTES * 2);
    limits
}

fn unreadable(error: image::ImageError) -> Failure {
    refused(&error.to_string())
}

fn refused(why: &str) -> Failure {
    failure::data(
        ErrorReason::Unsupported,
        format!("the picture of a watermark cannot be used: {why}"),
        "use a PNG, JPEG or GIF of at most 8192 pixels a side",
    )
}
