//! Colour, contrast and low light: what becomes of each luma and chroma.

use mps_proto::v1::video_enhancement::Strength;

/// Mean luma, 0 to 1, below which a film is dark, and below which it is lifted in full.
const DARK: f64 = 0.25;
const VERY_DARK: f64 = 0.18;
/// Mean luma that dark pictures are lifted to, and the strongest curve.
const LIFTED: f64 = 0.38;
const STRONGEST: f64 = 0.45;
/// Share of a new picture in the running mean: about a second.
const NEW: f64 = 0.05;

/// Gain of chroma, and of luma around the middle.
pub fn color(strength: Strength) -> (f64, f64) {
    match strength {
        Strength::Weak => (1.12, 1.03),
        Strength::Strong => (1.45, 1.10),
        _ => (1.25, 1.06),
    }
}

/// The mean luma of the last pictures, 0 to 1.
#[derive(Debug, Default)]
pub struct Brightness(Option<f64>);

impl Brightness {
    /// Takes a picture's luma; gives the mean and the power by which luma is lifted, 1 for none.
    pub fn take(&mut self, luma: &[u16], bits: u32) -> (f64, f64) {
        let sum: u64 = luma.iter().map(|sample| u64::from(*sample)).sum();
        let code = sum as f64 / luma.len().max(1) as f64 / f64::from(1u32 << (bits - 8));
        let own = ((code - 16.0) / 219.0).clamp(0.0, 1.0);
        // A cut to another scene is seen at once.
        let mean = match self.0 {
            Some(before) if (before - own).abs() < 0.1 => before + (own - before) * NEW,
            _ => own,
        };
        self.0 = Some(mean);
        (own, power(mean))
    }
}

fn power(mean: f64) -> f64 {
    // Black stays black.
    if !(0.003..DARK).contains(&mean) {
        return 1.0;
    }
    let full = (LIFTED.ln() / mean.ln()).clamp(STRONGEST, 1.0);
    let share = ((DARK - mean) / (DARK - VERY_DARK)).min(1.0);
    1.0 + (full - 1.0) * share
}

/// Codes of luma after lifting and contrast, by those before.
pub fn luma_table(power: f64, contrast: f64, bits: u32) -> Vec<u16> {
    let unit = f64::from(1u32 << (bits - 8));
    (0..1u32 << bits)
        .map(|code| {
            let value = (f64::from(code) / unit - 16.0) / 219.0;
            let lifted = if value > 0.0 { value.powf(power) } else { value };
            let value = (lifted - 0.5) * contrast + 0.5;
            ((value * 219.0 + 16.0) * unit).round().clamp(0.0, f64::from((1u32 << bits) - 1)) as u16
        })
        .collect()
}

/// Codes of chroma after saturation.
pub fn chroma_table(gain: f64, bits: u32) -> Vec<u16> {
    let middle = f64::from(128u32 << (bits - 8));
    let most = f64::from((1u32 << bits) - 1);
    (0..1u32 << bits)
        .map(|code| ((f64::from(code) - middle) * gain + middle).round().clamp(0.0, most) as u16)
        .collect()
}

/// Looks every sample up.
pub fn apply(table: &[u16], samples: &mut [u16]) {
    for sample in samples {
        if let Some(value) = table.get(usize::from(*sample)) {
            *sample = *value;
        }
    }
}

/// Adds a share of the difference to the blurred picture.
pub fn sharpen(samples: &mut [u16], width: usize, amount: f64, bits: u32) {
    let blurred = blurred(samples, width);
    let (factor, most) = ((amount * 2.0 * 256.0) as i32, (1 << bits) - 1);
    for (sample, blurred) in samples.iter_mut().zip(&blurred) {
        let value = i32::from(*sample);
        *sample = (value + ((value - i32::from(*blurred)) * factor) / 256).clamp(0, most) as u16;
    }
}

/// By 1 4 6 4 1 along and down.
fn blurred(samples: &[u16], width: usize) -> Vec<u16> {
    let height = samples.len() / width.max(1);
    let mut along = vec![0u16; samples.len()];
    for (line, to) in samples.chunks_exact(width).zip(along.chunks_exact_mut(width)) {
        let at = |x: isize| u32::from(line[x.clamp(0, width as isize - 1) as usize]);
        for (x, to) in to.iter_mut().enumerate() {
            let x = x as isize;
            *to = ((at(x - 2) + at(x + 2) + 4 * (at(x - 1) + at(x + 1)) + 6 * at(x) + 8) / 16) as u16;
        }
    }
    let mut down = vec![0u16; samples.len()];
    for (y, to) in down.chunks_exact_mut(width).enumerate() {
        let line = |offset: isize| {
            let y = (y as isize + offset).clamp(0, height as isize - 1) as usize;
            along.get(y * width..(y + 1) * width).unwrap_or_default()
        };
        let lines = [line(-2), line(-1), line(0), line(1), line(2)];
        for (x, to) in to.iter_mut().enumerate() {
            let at = |number: usize| lines[number].get(x).copied().map_or(0, u32::from);
            *to = ((at(0) + at(4) + 4 * (at(1) + at(3)) + 6 * at(2) + 8) / 16) as u16;
        }
    }
    down
}
