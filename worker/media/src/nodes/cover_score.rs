//! How good a picture is as a cover: sharp, well exposed, full of contrast; neither black nor white nor blurred nor in a fade.

/// Tones below and above which nothing is seen.
const BLACK: u8 = 24;
const WHITE: u8 = 235;
/// A mean tone that pleases, and how far from it the worst lies.
const PLEASANT: f64 = 115.0;
/// Spread of tones from which more is not better.
const FULL_SPREAD: f64 = 55.0;
/// Variance of the Laplacian at which a picture counts as half sharp.
const HALF_SHARP: f64 = 150.0;
/// Share of lost tones that a good picture may have.
const ALLOWED_LOSS: f64 = 0.25;

/// 0 to 1, from the picture's luma; `stride`: bytes of a row.
pub fn score(luma: &[u8], width: usize, stride: usize) -> f64 {
    let rows: Vec<&[u8]> = luma.chunks(stride.max(1)).filter_map(|row| row.get(..width)).collect();
    let tones = Tones::of(&rows);
    if tones.spread < 2.0 {
        return 0.0;
    }
    let exposure = 1.0 - ((tones.mean - PLEASANT).abs() / PLEASANT).min(1.0);
    let contrast = (tones.spread / FULL_SPREAD).min(1.0);
    let sharpness = sharpness(&rows);
    let sharp = sharpness / (sharpness + HALF_SHARP);
    let kept = 1.0 - (tones.lost - ALLOWED_LOSS).max(0.0) / (1.0 - ALLOWED_LOSS);
    sharp * (0.15 + 0.85 * exposure) * (0.15 + 0.85 * contrast) * kept
}

struct Tones {
    mean: f64,
    spread: f64,
    /// Share of pixels that are black or white.
    lost: f64,
}

impl Tones {
    fn of(rows: &[&[u8]]) -> Self {
        let mut counts = [0u64; 256];
        for tone in rows.iter().copied().flatten() {
            if let Some(count) = counts.get_mut(usize::from(*tone)) {
                *count += 1;
            }
        }
        let all = counts.iter().sum::<u64>().max(1) as f64;
        let weighted = |weight: &dyn Fn(f64) -> f64| {
            let each = counts.iter().enumerate();
            each.map(|(tone, count)| weight(tone as f64) * *count as f64).sum::<f64>() / all
        };
        let mean = weighted(&|tone| tone);
        let (black, white) = (f64::from(BLACK), f64::from(WHITE));
        Self {
            mean,
            spread: weighted(&|tone| (tone - mean) * (tone - mean)).sqrt(),
            lost: weighted(&|tone| if tone < black || tone > white { 1.0 } else { 0.0 }),
        }
    }
}

/// Variance of the Laplacian.
fn sharpness(rows: &[&[u8]]) -> f64 {
    let (mut sum, mut squares, mut count) = (0i64, 0i64, 0i64);
    for window in rows.windows(3) {
        let [above, row, below] = window else { continue };
        let inner = above.iter().skip(1).zip(below.iter().skip(1)).zip(row.windows(3));
        for ((up, down), around) in inner {
            let [left, middle, right] = around else { continue };
            let value = [up, down, left, right].into_iter().map(|tone| i64::from(*tone)).sum::<i64>() - 4 * i64::from(*middle);
            sum += value;
            squares += value * value;
            count += 1;
        }
    }
    let count = count.max(1) as f64;
    let mean = sum as f64 / count;
    squares as f64 / count - mean * mean
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIDE: usize = 64;

    fn picture(tone: impl Fn(usize, usize) -> i32) -> Vec<u8> {
        let places = (0..SIDE).flat_map(|y| (0..SIDE).map(move |x| (x, y)));
        places.map(|(x, y)| tone(x, y).clamp(0, 255) as u8).collect()
    }

    fn scored(picture: &[u8]) -> f64 {
        score(picture, SIDE, SIDE)
    }

    fn checks(x: usize, y: usize) -> i32 {
        if (x / 8 + y / 8).is_multiple_of(2) { 60 } else { 180 }
    }

    #[test]
    fn a_good_picture_beats_the_bad_ones() {
        let good = scored(&picture(checks));
        let bad = [
            ("black", picture(|_, _| 0)),
            ("white", picture(|_, _| 255)),
            ("dark", picture(|x, y| checks(x, y) / 8)),
            ("overexposed", picture(|x, y| checks(x, y) + 140)),
            ("blurred", picture(|x, y| ((x + y) * 2) as i32)),
            ("faded", picture(|x, y| checks(x, y) / 3)),
        ];
        for (name, picture) in bad {
            assert!(scored(&picture) < good * 0.8, "{name}: {} against {good}", scored(&picture));
        }
    }
}
