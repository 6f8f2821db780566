//! Patches of plain colours: written as samples, read back as samples, and what samples mean by the formulas of the standards. No scaler of
//! another program stands in between: those give other values on other processors.

#![allow(dead_code, unused_imports, reason = "each file of tests uses a part")]

mod formulas;
pub mod ways;

use std::{path::Path, process::Command};

pub use formulas::{BT601, BT709, BT2020, Hdr, Range, codes, delta_e, rgb, tone_mapped};

use crate::pass_tools::{ffmpeg, ffprobe};

/// Width of a patch in pixels, and pictures of a film; patches stand side by side.
const WIDTH: usize = 40;
const PICTURES: usize = 5;

/// How samples lie in a file of raw pictures.
#[derive(Debug, Clone, Copy)]
struct Planes {
    /// Pixels in a sample of chroma, across and down.
    chroma: (usize, usize),
    bytes: usize,
}

impl Planes {
    /// Of a pixel format in ffmpeg's words; `None`: it is not planar YUV.
    fn of(format: &str) -> Option<Self> {
        let plain = format.replace("yuvj", "yuv").replace("yuva", "yuv");
        let bytes = if plain.ends_with("le") { 2 } else { 1 };
        let chroma = match plain.get(..7)? {
            "yuv420p" => (2, 2),
            "yuv422p" => (2, 1),
            "yuv444p" => (1, 1),
            _ => return None,
        };
        Some(Self { chroma, bytes })
    }
}

/// Writes half a second of patches with these samples at 10 pictures per second, without a conversion on the way. `format` must be one that
/// the encoder takes.
pub fn film(patches: &[[u16; 3]], format: &str, height: usize, encoder: &str, file: &Path) {
    let planes = Planes::of(format).unwrap();
    let mut picture = Vec::new();
    for plane in 0..3 {
        let (across, down) = if plane == 0 { (1, 1) } else { planes.chroma };
        for _ in 0..height / down {
            for samples in patches {
                let sample = &samples[plane].to_le_bytes()[..planes.bytes];
                picture.extend(sample.repeat(WIDTH / across));
            }
        }
    }
    let raw = file.with_extension("raw");
    std::fs::write(&raw, picture.repeat(PICTURES)).unwrap();
    let size = format!("{}x{height}", patches.len() * WIDTH);
    ffmpeg(
        &format!("-f rawvideo -pix_fmt {format} -s {size} -r 10 -i {} {encoder}", raw.display()),
        file,
    );
    std::fs::remove_file(raw).unwrap();
}

/// The middle of each of `count` patches side by side in the first picture, red, green and blue from 0 to 255 by the labels of the file.
pub fn patches(file: &Path, count: usize) -> Vec<[f64; 3]> {
    patches_with_alpha(file, count).into_iter().map(|(colour, _)| colour).collect()
}

/// The same with how opaque each is, 0 to 255.
pub fn patches_with_alpha(file: &Path, count: usize) -> Vec<([f64; 3], u8)> {
    if let Some((pixels, (width, height))) = webp(file) {
        return middles(count, (width, height))
            .map(|place| of_rgba(&pixels, width, place))
            .collect();
    }
    let labels = ffprobe(file, "-select_streams v:0 -show_streams -of default=noprint_wrappers=1");
    let told = |entry: &str| {
        let values = labels.lines().find_map(|line| line.strip_prefix(entry)?.strip_prefix('='));
        values.unwrap_or_default().to_owned()
    };
    let format = told("pix_fmt");
    assert!(!format.is_empty(), "{} has no picture", file.display());
    let (width, height) = (told("width").parse::<usize>().unwrap(), told("height").parse::<usize>().unwrap());
    let Some(planes) = Planes::of(&format) else {
        let pixels = raw(file, "rgba");
        return middles(count, (width, height))
            .map(|place| of_rgba(&pixels, width, place))
            .collect();
    };
    let bits = if planes.bytes == 1 { 8 } else { 10 };
    let is_full = told("color_range") == "pc" || format.starts_with("yuvj");
    let range = if is_full { Range::Full } else { Range::Limited };
    let shares = match told("color_space").as_str() {
        // JPEG is BT.601, whatever its size.
        _ if told("codec_name") == "mjpeg" => BT601,
        "bt709" => BT709,
        "bt2020nc" => BT2020,
        "unknown" if height > 576 => BT709,
        _ => BT601,
    };
    let samples = raw(file, &format);
    let colour = |place| rgb(sample(&samples, planes, (width, height), place), shares, range, bits).map(|value| value * 255.0);
    middles(count, (width, height)).map(|place| (colour(place), 255)).collect()
}

fn middles(count: usize, (width, height): (usize, usize)) -> impl Iterator<Item = (usize, usize)> {
    (0..count).map(move |patch| ((2 * patch + 1) * width / (2 * count), height / 2))
}

fn of_rgba(pixels: &[u8], width: usize, (x, y): (usize, usize)) -> ([f64; 3], u8) {
    let pixel = &pixels[(y * width + x) * 4..][..4];
    ([0, 1, 2].map(|channel| f64::from(pixel[channel])), pixel[3])
}

/// The first picture of a WebP, which ffmpeg does not read where it is animated; `None`: it is none.
fn webp(file: &Path) -> Option<(Vec<u8>, (usize, usize))> {
    let bytes = std::fs::read(file).unwrap();
    bytes.get(8..12).filter(|name| *name == b"WEBP")?;
    let frame = webp_animation::Decoder::new(&bytes).unwrap().into_iter().next().unwrap();
    Some((
        frame.data().to_vec(),
        (frame.dimensions().0 as usize, frame.dimensions().1 as usize),
    ))
}

/// The first picture as it comes from the decoder, or with its bytes in another order.
fn raw(file: &Path, format: &str) -> Vec<u8> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-i"])
        .arg(file)
        .args(["-map", "0:v:0", "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", format, "-"])
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(!output.stdout.is_empty(), "{} shows no picture: {complaint}", file.display());
    output.stdout
}

fn sample(samples: &[u8], planes: Planes, (width, height): (usize, usize), (x, y): (usize, usize)) -> [u16; 3] {
    let (across, down) = planes.chroma;
    let (chroma_width, chroma_height) = (width.div_ceil(across), height.div_ceil(down));
    let chroma = (y / down) * chroma_width + x / across;
    let luma = width * height;
    [y * width + x, luma + chroma, luma + chroma_width * chroma_height + chroma].map(|at| match planes.bytes {
        1 => u16::from(samples[at]),
        _ => u16::from_le_bytes([samples[2 * at], samples[2 * at + 1]]),
    })
}

/// The worst difference of two rows of patches, with both colours.
pub fn worst(found: &[[f64; 3]], wanted: &[[f64; 3]]) -> (f64, [f64; 3], [f64; 3]) {
    assert_eq!(found.len(), wanted.len());
    let pairs = found.iter().zip(wanted).map(|(one, other)| (delta_e(*one, *other), *one, *other));
    pairs.max_by(|one, other| one.0.total_cmp(&other.0)).unwrap()
}
