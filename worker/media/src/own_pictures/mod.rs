//! Pictures that code of our own feeds into a pass: animated GIF and WebP, which no element of GStreamer reads to their end, and stills whose
//! decoder wants the whole file at once (BMP, TGA, some of TIFF) or runs as a program (HEIC, AVIF).

pub mod heif;
mod tiff;
mod webp;

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
    time::Duration,
};

use crate::{gif, parse::jpeg, probe::picture_size};

/// What a file holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// As ffprobe says it; empty: it is that of the container.
    pub codec: &'static str,
    pub width: u32,
    pub height: u32,
    pub pictures: u64,
    /// `None` for a still picture.
    pub duration: Option<Duration>,
    /// Pictures per second as a fraction; 0/1 when variable or still.
    pub frame_rate: (i32, i32),
    /// Whether the file ended before it said.
    pub is_broken: bool,
    /// Whether the file holds a film of pictures besides the one that is read.
    pub is_sequence: bool,
    /// Whether its colours are PQ or HLG.
    pub is_hdr: bool,
}

impl Summary {
    fn still((width, height): (u32, u32)) -> Self {
        Self {
            width,
            height,
            pictures: 1,
            frame_rate: (0, 1),
            ..Self::default()
        }
    }
}

/// One picture.
pub struct Picture {
    /// RGBA, rows without padding.
    pub pixels: Vec<u8>,
    /// When it is shown, from the start.
    pub start: Duration,
    /// How long it is shown; `None` for a still picture.
    pub duration: Option<Duration>,
}

/// Looks at a file of a container's name; `None` when GStreamer reads it.
pub fn summarize(path: &Path, container: &str) -> Option<io::Result<Summary>> {
    match container {
        "gif" => Some(gif::summarize(path).map(of_gif)),
        "webp" => webp::summarize(path).transpose(),
        "tiff" => Some(tiff::summarize(path).map_or_else(|| of_still(path), Ok)),
        "bmp" | "tga" => Some(of_still(path)),
        "jpeg" => is_misread_jpeg(path).then(|| of_still(path)),
        "heif" | "avif" => Some(heif::summarize(path)),
        _ => None,
    }
}

/// Type and decoder of a still picture that is fed whole.
pub fn decoder(path: &Path, container: &str) -> Option<(&'static str, &'static str)> {
    match container {
        "tiff" if tiff::summarize(path).is_some() => None,
        "bmp" => Some(("image/bmp", "avdec_bmp")),
        "tga" => Some(("image/x-tga", "avdec_targa")),
        "tiff" => Some(("image/tiff", "avdec_tiff")),
        "jpeg" => Some(("image/jpeg", "avdec_mjpeg")),
        _ => None,
    }
}

/// How far the frame header of a JPEG is looked for: profiles and small pictures may stand in front of it.
const MOST_JPEG_HEADERS: u64 = 1 << 20;

/// Whether jpegdec takes its whole chroma for halved, as that of ffmpeg's encoder.
fn is_misread_jpeg(path: &Path) -> bool {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MOST_JPEG_HEADERS).read_to_end(&mut bytes));
    read.is_ok() && jpeg::frame(&bytes).is_some_and(|frame| frame.is_alike_but_not_single())
}

fn of_still(path: &Path) -> io::Result<Summary> {
    let (width, height) = picture_size(path).ok_or_else(|| io::Error::other("its header does not tell its size"))?;
    Ok(Summary::still((width, height)))
}

fn of_gif(gif: gif::GifSummary) -> Summary {
    Summary {
        width: gif.width.into(),
        height: gif.height.into(),
        pictures: gif.frames,
        duration: (gif.frames > 1).then_some(gif.duration),
        frame_rate: gif.frame_rate(),
        is_broken: gif.broken,
        ..Summary::default()
    }
}

/// Gives all pictures in order, until one is not taken. Holds a few at a time; refuses more than `max_pixels` in one (0: no
/// limit).
pub fn each(path: &Path, container: &str, max_pixels: u64, take: &mut dyn FnMut(Picture) -> bool) -> io::Result<()> {
    match container {
        "webp" => webp::each(path, max_pixels, take),
        "tiff" => tiff::read(path, max_pixels).map(|picture| {
            take(picture);
        }),
        _ => each_of_gif(path, max_pixels, take),
    }
}

fn each_of_gif(path: &Path, max_pixels: u64, take: &mut dyn FnMut(Picture) -> bool) -> io::Result<()> {
    let is_still = gif::summarize(path)?.frames == 1;
    for frame in gif::GifFrames::open(path, max_pixels)? {
        let frame = frame?;
        let picture = Picture {
            pixels: frame.pixels,
            start: frame.start,
            duration: Some(frame.duration).filter(|_| !is_still),
        };
        if !take(picture) {
            break;
        }
    }
    Ok(())
}

fn unless_too_large(width: u32, height: u32, max_pixels: u64) -> io::Result<()> {
    if max_pixels > 0 && u64::from(width) * u64::from(height) > max_pixels {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the picture is too large"));
    }
    Ok(())
}
