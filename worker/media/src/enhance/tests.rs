//! Improvements measured: noise against the clean picture, edges, colour, brightness.

use mps_proto::v1::video_enhancement::Strength;

use super::{denoise::Denoise, tone};

const WIDTH: usize = 96;
const HEIGHT: usize = 64;

/// A picture with edges and a slope; `shift` moves it along.
fn clean(shift: usize) -> Vec<u16> {
    (0..WIDTH * HEIGHT)
        .map(|at| {
            let (x, y) = (at % WIDTH + shift, at / WIDTH);
            (60 + x / 2 + if (x / 16 + y / 16) % 2 == 0 { 50 } else { 0 }) as u16
        })
        .collect()
}

/// The same noise in every run.
struct Noise(u32);

impl Noise {
    fn next(&mut self) -> f64 {
        let mut sum = 0.0;
        for _ in 0..4 {
            self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            sum += f64::from(self.0 >> 8) / f64::from(1u32 << 24) - 0.5;
        }
        sum
    }

    fn over(&mut self, picture: &[u16], strength: f64) -> Vec<u16> {
        let noisy = |sample: &u16| (f64::from(*sample) + self.next() * strength).round().clamp(0.0, 255.0) as u16;
        picture.iter().map(noisy).collect()
    }
}

fn psnr(a: &[u16], b: &[u16]) -> f64 {
    let error: f64 = a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
    10.0 * (255.0f64.powi(2) * a.len() as f64 / error.max(1e-9)).log10()
}

fn gain(strength: Strength, noise: f64, moves: usize) -> f64 {
    let (mut filter, mut source) = (Denoise::new(strength), Noise(7));
    let mut gain = 0.0;
    for number in 0..8 {
        let clean = clean(number * moves);
        let noisy = source.over(&clean, noise);
        let mut filtered = noisy.clone();
        filter.plane(0, &mut filtered, WIDTH, 8);
        gain = psnr(&filtered, &clean) - psnr(&noisy, &clean);
    }
    gain
}

#[test]
fn noise_reduction_comes_nearer_to_the_clean_picture() {
    let (weak, normal, strong) = (
        gain(Strength::Weak, 6.0, 0),
        gain(Strength::Normal, 12.0, 0),
        gain(Strength::Strong, 20.0, 0),
    );
    assert!(weak > 1.5 && normal > 2.0 && strong > 2.5, "{weak:.1} {normal:.1} {strong:.1} dB");
    let moving = gain(Strength::Normal, 12.0, 3);
    assert!(moving > 0.5, "{moving:.1} dB where things move");
}

#[test]
fn a_clean_picture_stays_nearly_as_it_is() {
    let mut filter = Denoise::new(Strength::Weak);
    let mut picture = clean(0);
    filter.plane(0, &mut picture, WIDTH, 8);
    assert!(psnr(&picture, &clean(0)) > 45.0, "{}", psnr(&picture, &clean(0)));
}

#[test]
fn sharpening_raises_the_energy_of_edges() {
    let energy = |picture: &[u16]| -> i64 {
        picture
            .windows(2)
            .map(|pair| (i64::from(pair[0]) - i64::from(pair[1])).pow(2))
            .sum()
    };
    let mut picture = clean(0);
    tone::sharpen(&mut picture, WIDTH, 0.5, 8);
    assert!(energy(&picture) > energy(&clean(0)) * 12 / 10);
}

#[test]
fn only_dark_pictures_are_lifted() {
    for (luma, lifts) in [(16u16, false), (40, true), (60, true), (90, false), (200, false)] {
        let (_, power) = tone::Brightness::default().take(&[luma; 100], 8);
        assert_eq!(power < 1.0, lifts, "luma {luma}");
        let table = tone::luma_table(power, 1.0, 8);
        assert_eq!(table[usize::from(luma)] > luma, lifts, "luma {luma}");
        assert_eq!((table[16], table[235]), (16, 235), "black and white stay");
    }
}

#[test]
fn colour_moves_away_from_grey() {
    let table = tone::chroma_table(tone::color(Strength::Normal).0, 10);
    assert_eq!(table[512], 512);
    assert!(table[400] < 400 && table[600] > 600);
}
