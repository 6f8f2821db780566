//! What a file shows and lets hear, by ffmpeg's decoders: each picture with its time and the number that stands in it, the sound on the same clock.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{case::SIZE, make};

/// Samples a second that sound is looked at with.
pub const LOOK_RATE: usize = 8000;
const EVERY: usize = make::RATE / LOOK_RATE;
/// So many samples that are missing are a hole.
const HOLE: usize = make::RATE / 250;
/// Sound behind so many samples stands where a flipped bit says.
const MOST_SAMPLES: usize = make::RATE * 600;

#[derive(Debug, Clone)]
pub struct Picture {
    /// Seconds by the file's clock.
    pub time: f64,
    /// The number that can be read in it.
    pub number: Option<u32>,
    pub rgb: Vec<u8>,
}

#[derive(Debug, Default)]
pub struct Decoded {
    pub pictures: Vec<Picture>,
    /// Width and height as shown.
    pub size: (usize, usize),
    /// Where the sound begins, in seconds by the file's clock.
    pub sound_from: f64,
    /// Samples at `LOOK_RATE`; where there are none it is silent.
    pub sound: Vec<f32>,
    /// Duration that the container tells, in seconds.
    pub told: Option<f64>,
    /// When it begins, where that is known otherwise.
    pub begins: Option<f64>,
    /// Errors that ffmpeg reported.
    pub errors: Vec<String>,
}

impl Decoded {
    /// When the first picture or sound is presented.
    pub fn zero(&self) -> f64 {
        let picture = self.pictures.first().map(|picture| picture.time);
        let sound = (!self.sound.is_empty()).then_some(self.sound_from);
        let first = picture.into_iter().chain(sound).reduce(f64::min);
        self.begins.or(first).unwrap_or(0.0)
    }

    pub fn sound_end(&self) -> f64 {
        self.sound_from + self.sound.len() as f64 / LOOK_RATE as f64
    }

    /// How long the last picture stands.
    pub fn last_step(&self) -> f64 {
        match self.pictures.as_slice() {
            [.., before, last] => last.time - before.time,
            _ => 0.0,
        }
    }

    /// Seconds from the first to the end of the last.
    pub fn lasts(&self) -> f64 {
        let picture = self.pictures.last().map(|picture| picture.time + self.last_step());
        let sound = (!self.sound.is_empty()).then(|| self.sound_end());
        picture.into_iter().chain(sound).reduce(f64::max).unwrap_or(0.0) - self.zero()
    }
}

/// Decodes all of a file; `folder` is for what is written meanwhile.
pub fn decode(file: &Path, folder: &Path) -> Decoded {
    let (pictures, sound) = (folder.join("decoded.rgb"), folder.join("decoded.f32"));
    let both = [(PICTURES, &pictures), (SOUND, &sound)];
    let mut told = ffmpeg(file, &both);
    // To an output without a stream it does nothing at all.
    if told.contains(NO_STREAM) {
        told = both.iter().map(|output| ffmpeg(file, &[*output])).collect();
    }
    let is_error = |line: &&str| line.contains("[error]") && HARMLESS.iter().all(|known| !line.contains(known));
    let mut decoded = Decoded {
        told: told.split("Duration: ").nth(1).and_then(clock_time),
        errors: told.lines().filter(is_error).map(str::to_owned).collect(),
        ..Decoded::default()
    };
    decoded.take_pictures(&told, &fs::read(&pictures).unwrap_or_default());
    decoded.take_sound(&told, &fs::read(&sound).unwrap_or_default());
    // A stream that is not there writes no file.
    let _ = (fs::remove_file(pictures), fs::remove_file(sound));
    decoded
}

/// Times are told in front of what makes them plain for the raw file.
const PICTURES: &str =
    "-map 0:v:0? -vf showinfo,settb=1/1000,setpts=N -fps_mode passthrough -enc_time_base 1/1000 -f rawvideo -pix_fmt rgb24";
const SOUND: &str = "-map 0:a:0? -af ashowinfo -ac 1 -f f32le";
const NO_STREAM: &str = "does not contain any stream";
/// What is no fault: an output without a stream, and GStreamer's room for more in Flash video's metadata, which is long.
const HARMLESS: [&str; 2] = [NO_STREAM, "AMF_DATA_TYPE_STRING parsing failed"];

fn ffmpeg(file: &Path, outputs: &[(&str, &PathBuf)]) -> String {
    let mut command = Command::new("ffmpeg");
    command
        .args(["-hide_banner", "-nostdin", "-nostats", "-y", "-v", "level+info", "-copyts", "-i"])
        .arg(file);
    for (options, path) in outputs {
        command.args(options.split(' ')).arg(path);
    }
    String::from_utf8_lossy(&command.output().unwrap().stderr).into_owned()
}

impl Decoded {
    fn take_pictures(&mut self, told: &str, bytes: &[u8]) {
        let tick = told.split("config in time_base: ").nth(1).and_then(fraction).unwrap_or(f64::NAN);
        let lines = told.lines().filter(|line| line.contains("showinfo") && line.contains("iskey:"));
        let mut rest = bytes;
        for line in lines {
            let sides = word(line, " s:").and_then(|size| size.split_once('x'));
            let size = sides.and_then(|(width, height)| Some((width.parse().ok()?, height.parse().ok()?)));
            let size: (usize, usize) = size.unwrap_or_default();
            let Some((rgb, behind)) = rest.split_at_checked(size.0 * size.1 * 3) else {
                break;
            };
            rest = behind;
            self.size = size;
            self.pictures.push(Picture {
                time: ticks(line).map_or(f64::NAN, |ticks| ticks * tick),
                number: number(rgb, size),
                rgb: rgb.to_vec(),
            });
        }
    }

    fn take_sound(&mut self, told: &str, bytes: &[u8]) {
        let (values, _) = bytes.as_chunks::<4>();
        let mut rest = values;
        let mut begins = None;
        let mut end = 0;
        for line in told
            .lines()
            .filter(|line| line.contains("ashowinfo") && line.contains("nb_samples:"))
        {
            let time = ticks(line).map(|ticks| ticks / make::RATE as f64);
            let count = word(line, "nb_samples:").and_then(|count| count.parse().ok()).unwrap_or(0);
            let Some((here, behind)) = rest.split_at_checked(count) else {
                break;
            };
            rest = behind;
            let Some(time) = time else { continue };
            let from = *begins.get_or_insert(time);
            let told = ((time - from) * make::RATE as f64).round().max(0.0) as usize;
            // Stamps are rounded; samples follow each other all the same.
            let place = if told.abs_diff(end) < HOLE { end } else { told };
            end = place + count;
            if end > MOST_SAMPLES {
                break;
            }
            for at in (place.next_multiple_of(EVERY)..end).step_by(EVERY) {
                let look = at / EVERY;
                if self.sound.len() <= look {
                    self.sound.resize(look + 1, 0.0);
                }
                self.sound[look] = f32::from_le_bytes(here[at - place]);
            }
        }
        self.sound_from = begins.unwrap_or(0.0);
    }
}

/// The word behind a key.
fn word<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    line.split(key).nth(1)?.split_whitespace().next()
}

/// A stamp; what ffmpeg tells in seconds has six digits alone.
fn ticks(line: &str) -> Option<f64> {
    word(line, " pts:")?.parse().ok()
}

/// Of `1/90000`.
fn fraction(text: &str) -> Option<f64> {
    let (above, below) = text.split([',', '\n']).next()?.split_once('/')?;
    Some(above.parse::<f64>().ok()? / below.parse::<f64>().ok()?)
}

/// Seconds of `00:00:02.50`.
fn clock_time(text: &str) -> Option<f64> {
    let text = text.split(',').next()?;
    text.split(':')
        .try_fold(0.0, |sum, part| Some(sum * 60.0 + part.parse::<f64>().ok()?))
}

/// The number that stands in a picture, however it is turned.
fn number(rgb: &[u8], (width, height): (usize, usize)) -> Option<u32> {
    let long = width.max(height);
    if (long, width.min(height)) != SIZE {
        return None;
    }
    let level = |block: usize| {
        let (along, across) = (block * make::BLOCK, SIZE.1 / 2 - make::BLOCK / 4);
        let mut sum = 0;
        for step in 4..12 {
            for side in 0..make::BLOCK / 2 {
                let (x, y) = if width == long {
                    (along + step, across + side)
                } else {
                    (across + side, along + step)
                };
                sum += u32::from(rgb[(y * width + x) * 3 + 1]);
            }
        }
        sum / (8 * make::BLOCK as u32 / 2)
    };
    let bits: Option<Vec<u32>> = (0..SIZE.0 / make::BLOCK)
        .map(|block| match level(block) {
            0..90 => Some(0),
            160.. => Some(1),
            _ => None,
        })
        .collect();
    let mut bits = bits?;
    if bits.first() == bits.last() {
        return None;
    }
    if bits.first() == Some(&0) {
        bits.reverse();
    }
    Some(bits[1..9].iter().fold(0, |number, bit| number * 2 + bit))
}

/// How alike the brightness of two pictures is, in blocks of 8 by 8 (SSIM, Wang et al. 2004).
pub fn likeness(one: &[u8], other: &[u8], (width, height): (usize, usize)) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0);
    for top in (0..height - 7).step_by(8) {
        for left in (0..width - 7).step_by(8) {
            sum += block_likeness(one, other, top * width + left, width);
            count += 1.0;
        }
    }
    sum / count
}

fn block_likeness(one: &[u8], other: &[u8], at: usize, width: usize) -> f64 {
    let (mut a, mut b, mut aa, mut bb, mut ab) = (0u32, 0u32, 0u32, 0u32, 0u32);
    for line in 0..8 {
        for column in 0..8 {
            let place = (at + line * width + column) * 3 + 1;
            let (x, y) = (u32::from(one[place]), u32::from(other[place]));
            a += x;
            b += y;
            aa += x * x;
            bb += y * y;
            ab += x * y;
        }
    }
    let mean = |sum: u32| f64::from(sum) / 64.0;
    let (a, b) = (mean(a), mean(b));
    let (va, vb, cov) = (mean(aa) - a * a, mean(bb) - b * b, mean(ab) - a * b);
    let (c1, c2) = (6.5025, 58.5225);
    (2.0 * a * b + c1) * (2.0 * cov + c2) / ((a * a + b * b + c1) * (va + vb + c2))
}

/// The greatest distance of the colours in the corners, as CIE 1976 counts it.
pub fn colour_distance(one: &[u8], other: &[u8], size: (usize, usize)) -> f64 {
    let corners = [(0, 0), (1, 0), (0, 1), (1, 1)];
    let distance = |corner| {
        let (one, other) = (lab(mean(one, size, corner)), lab(mean(other, size, corner)));
        one.iter().zip(other).map(|(one, other)| (one - other).powi(2)).sum::<f64>().sqrt()
    };
    corners.map(distance).into_iter().fold(0.0, f64::max)
}

/// Mean colour of the middle of a corner.
fn mean(rgb: &[u8], (width, height): (usize, usize), (right, below): (usize, usize)) -> [f64; 3] {
    let mut sums = [0u32; 3];
    for y in 10..22 {
        for x in 10..22 {
            let (x, y) = (
                if right == 1 { width - 1 - x } else { x },
                if below == 1 { height - 1 - y } else { y },
            );
            for (sum, value) in sums.iter_mut().zip(&rgb[(y * width + x) * 3..]) {
                *sum += u32::from(*value);
            }
        }
    }
    sums.map(|sum| f64::from(sum) / 144.0 / 255.0)
}

/// CIELAB of sRGB under D65.
fn lab(rgb: [f64; 3]) -> [f64; 3] {
    let [r, g, b] = rgb.map(|value| {
        if value <= 0.04045 {
            value / 12.92
        } else {
            ((value + 0.055) / 1.055).powf(2.4)
        }
    });
    let x = (0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.9505;
    let y = 0.2126 * r + 0.7152 * g + 0.0722 * b;
    let z = (0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.089;
    let [x, y, z] = [x, y, z].map(|value: f64| {
        if value > 0.008_856 {
            value.cbrt()
        } else {
            7.787 * value + 16.0 / 116.0
        }
    });
    [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
}
