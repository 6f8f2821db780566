//! TIFF in grey, RGB, RGBA and CMYK, of any depth. Chroma apart from luma is left to libav's decoder, which lacks depths above 8 bits.

use std::{fs::File, io, io::BufReader, path::Path, time::Duration};

use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, metadata::Orientation};

use super::{Picture, Summary, unless_too_large};

/// Bytes of a picture's pixel while it is read: four channels of 16 bits, and as much to work with.
const WORKING_BYTES: u64 = 16;

/// `None` where it cannot be read here.
pub fn summarize(path: &Path) -> Option<Summary> {
    let mut decoder = reader(path).ok()?.into_decoder().ok()?;
    let (width, height) = decoder.dimensions();
    let lies = matches!(
        decoder.orientation(),
        Ok(Orientation::Rotate90 | Orientation::Rotate270 | Orientation::Rotate90FlipH | Orientation::Rotate270FlipH)
    );
    Some(Summary::still(if lies { (height, width) } else { (width, height) }))
}

/// The picture, turned upright.
pub fn read(path: &Path, max_pixels: u64) -> io::Result<Picture> {
    let mut reader = reader(path)?;
    let mut limits = Limits::no_limits();
    limits.max_alloc = (max_pixels > 0).then(|| max_pixels.saturating_mul(WORKING_BYTES));
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(io::Error::other)?;
    let (width, height) = decoder.dimensions();
    unless_too_large(width, height, max_pixels)?;
    let orientation = decoder.orientation().map_err(io::Error::other)?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(io::Error::other)?;
    image.apply_orientation(orientation);
    Ok(Picture {
        pixels: image.into_rgba8().into_raw(),
        start: Duration::ZERO,
        duration: None,
    })
}

fn reader(path: &Path) -> io::Result<ImageReader<BufReader<File>>> {
    let file = BufReader::new(File::open(path)?);
    Ok(ImageReader::with_format(file, ImageFormat::Tiff))
}
