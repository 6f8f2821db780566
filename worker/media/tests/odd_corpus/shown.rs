//! What files show and sound like, by ffmpeg: mean colours with their times.

use std::{path::Path, process::Command};

/// Mean luma and chroma by BT.601 in limited range.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Picture {
    /// Seconds from the first picture on.
    pub time: f64,
    pub colour: [f64; 3],
}

impl Picture {
    /// Less apart than pictures that follow each other at 10 a second.
    pub fn is_like(&self, other: &Self) -> bool {
        self.colour.iter().zip(other.colour).all(|(one, other)| (one - other).abs() < 2.9)
    }
}

/// All pictures of a file.
pub fn look(file: &Path) -> Vec<Picture> {
    let filters = "scale=16:16:out_color_matrix=bt601:out_range=tv,format=yuv444p,signalstats,metadata=print:file=-";
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-i"])
        .arg(file)
        .args(["-map", "0:v:0?", "-vsync", "passthrough", "-vf", filters, "-f", "null", "-"])
        .output()
        .unwrap();
    let mut pictures: Vec<Picture> = Vec::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        if let Some(stamp) = line.split("pts_time:").nth(1) {
            pictures.push(Picture {
                time: stamp.trim().parse().unwrap_or(f64::NAN),
                colour: [0.0; 3],
            });
        }
        for (number, name) in ["YAVG=", "UAVG=", "VAVG="].into_iter().enumerate() {
            if let (Some(value), Some(picture)) = (line.strip_prefix(&format!("lavfi.signalstats.{name}")), pictures.last_mut()) {
                picture.colour[number] = value.parse().unwrap();
            }
        }
    }
    let first = pictures.first().map_or(0.0, |picture| picture.time);
    for picture in &mut pictures {
        picture.time = ((picture.time - first) * 1000.0).round() / 1000.0;
    }
    pictures
}

/// One of several tiles of a picture, one above the other.
pub fn picture_of(file: &Path, (tile, tiles): (u32, u32)) -> Picture {
    let image = image::open(file).unwrap().to_rgb8();
    let height = image.height() / tiles;
    let (x, y) = (image.width() / 2, tile * height + height / 2);
    let [red, green, blue] = image.get_pixel(x, y).0.map(|value| f64::from(value) / 255.0);
    let luma = 0.299 * red + 0.587 * green + 0.114 * blue;
    Picture {
        time: 0.0,
        colour: [
            16.0 + 219.0 * luma,
            128.0 + 224.0 * (blue - luma) / 1.772,
            128.0 + 224.0 * (red - luma) / 1.402,
        ],
    }
}

/// Seconds of the first track of sound, and its mean level in dB.
pub fn sound_of(file: &Path) -> (f64, f64) {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-i"])
        .arg(file)
        .args(["-map", "0:a:0?", "-ac", "1", "-ar", "48000", "-f", "s16le", "-"])
        .output()
        .unwrap();
    let samples: Vec<f64> = output
        .stdout
        .as_chunks::<2>()
        .0
        .iter()
        .map(|two| f64::from(i16::from_le_bytes(*two)))
        .collect();
    let mean = samples.iter().map(|sample| sample * sample).sum::<f64>() / samples.len().max(1) as f64;
    (samples.len() as f64 / 48_000.0, 10.0 * mean.max(1.0).log10())
}
