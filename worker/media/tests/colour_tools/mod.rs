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
    if let Some(found) = animated_webp(file, count) {
        return found;
    }
    let labels = ffprobe(file, "-select_streams v:0 -show_streams -of default=noprint_wrappers=1");
    let told = |entry: &str| {
        let values = labels.lines().find_map(|line| line.strip_prefix(entry)?.strip_prefix('='));
        values.unwrap_or_default().to_owned()
    };
    let format = told("pix_fmt");
    let (width, height) = (told("width").parse::<usize>().unwrap(), told("height").parse::<usize>().unwrap());
    let places = (0..count).map(|patch| ((2 * patch + 1) * width / (2 * count), height / 2));
    let Some(planes) = Planes::of(&format) else {
        let pixels = raw(file, "rgba");
        let pixel = |(x, y): (usize, usize)| [0, 1, 2].map(|channel| f64::from(pixels[(y * width + x) * 4 + channel]));
        return places.map(pixel).collect();
    };
    let bits = if planes.bytes == 1 { 8 } else { 10 };
    let is_full = told("color_range") == "pc" || format.starts_with("yuvj");
    let range = if is_full { Range::Full } else { Range::Limited };
    // WebP and JPEG are BT.601, whatever their size.
    let is_picture = ["webp", "mjpeg"].contains(&told("codec_name").as_str());
    let shares = match told("color_space").as_str() {
        _ if is_picture => BT601,
        "bt709" => BT709,
        "bt2020nc" => BT2020,
        "unknown" if height > 576 => BT709,
        _ => BT601,
    };
    let samples = raw(file, &format);
    let middles = places.map(|place| sample(&samples, planes, (width, height), place));
    middles
        .map(|codes| rgb(codes, shares, range, bits).map(|value| value * 255.0))
        .collect()
}

/// The same of an animated WebP, which ffmpeg does not read; `None`: it is none.
fn animated_webp(file: &Path, count: usize) -> Option<Vec<[f64; 3]>> {
    let bytes = std::fs::read(file).unwrap();
    bytes.windows(4).take(64).find(|part| part == b"ANIM")?;
    let frame = webp_animation::Decoder::new(&bytes).unwrap().into_iter().next().unwrap();
    let (width, height) = (frame.dimensions().0 as usize, frame.dimensions().1 as usize);
    let middle = |patch: usize| (height / 2 * width + (2 * patch + 1) * width / (2 * count)) * 4;
    let pixel = |patch: usize| [0, 1, 2].map(|channel| f64::from(frame.data()[middle(patch) + channel]));
    Some((0..count).map(pixel).collect())
}

/// The first picture as it comes from the decoder, or with its bytes in another order.
fn raw(file: &Path, format: &str) -> Vec<u8> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-i"])
        .arg(file)
        .args(["-map", "0:v:0", "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", format, "-"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
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
