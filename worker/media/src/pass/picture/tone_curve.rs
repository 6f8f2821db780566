//! The mathematics of tone mapping: from PQ or HLG in BT.2020 to BT.709 by way of linear light and Hable's curve, by the formulas of the
//! standards. What libraries of mathematics give differs by the last bit between processors: in 64 bits that is lost in the table's rounding.

use super::colour::Hdr;

/// Luminance of 1.0 in linear light, in cd/m² (BT.2408 takes 203 for graphics white; the chain takes 100).
const NOMINAL_NITS: f64 = 100.0;
/// Luminance that PQ's code 1.0 stands for (SMPTE ST 2084).
const PQ_NITS: f64 = 10_000.0;
/// Luminance of HLG's nominal display (BT.2100).
const HLG_NITS: f64 = 1_000.0;
/// Luma shares of red and blue.
const BT2020: (f64, f64) = (0.2627, 0.0593);
const BT709: (f64, f64) = (0.2126, 0.0722);
/// From BT.2020's to BT.709's primaries, both with D65 (BT.2087).
const TO_BT709: [[f64; 3]; 3] = [
    [1.660_491, -0.587_641, -0.072_85],
    [-0.124_55, 1.132_9, -0.008_349],
    [-0.018_151, -0.100_579, 1.118_73],
];

/// What a mapping depends on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Curve {
    pub hdr: Hdr,
    /// Brightest light of the film in units of 100 cd/m².
    pub peak: f64,
}

impl Curve {
    /// A pixel of BT.2020 (luma 0 to 1, chroma −0.5 to 0.5) as one of BT.709.
    pub fn map(&self, [luma, blue, red]: [f64; 3]) -> [f64; 3] {
        let coded = to_rgb([luma, blue, red], BT2020);
        let light = self.linear(coded);
        let narrow = TO_BT709.map(|row| row[0] * light[0] + row[1] * light[1] + row[2] * light[2]);
        let brightest = narrow.iter().copied().fold(1e-6, f64::max);
        let scale = hable(brightest) / hable(self.peak) / brightest;
        from_rgb(narrow.map(|value| gamma(value * scale)), BT709)
    }

    fn linear(&self, coded: [f64; 3]) -> [f64; 3] {
        match self.hdr {
            Hdr::Pq => coded.map(|value| pq(value) * (PQ_NITS / NOMINAL_NITS)),
            Hdr::Hlg => {
                let scene = coded.map(hlg);
                // The display's own gamma acts on the luminance of the scene (BT.2100, table 5).
                let luminance = (BT2020.0 * scene[0] + (1.0 - BT2020.0 - BT2020.1) * scene[1] + BT2020.1 * scene[2]).max(f64::MIN_POSITIVE);
                let factor = luminance.powf(0.2) * (HLG_NITS / NOMINAL_NITS);
                scene.map(|value| value * factor)
            }
        }
    }
}

fn to_rgb([luma, blue, red]: [f64; 3], (kr, kb): (f64, f64)) -> [f64; 3] {
    let r = luma + red * 2.0 * (1.0 - kr);
    let b = luma + blue * 2.0 * (1.0 - kb);
    [r, (luma - kr * r - kb * b) / (1.0 - kr - kb), b]
}

fn from_rgb([r, g, b]: [f64; 3], (kr, kb): (f64, f64)) -> [f64; 3] {
    let luma = kr * r + (1.0 - kr - kb) * g + kb * b;
    [luma, (b - luma) / (2.0 * (1.0 - kb)), (r - luma) / (2.0 * (1.0 - kr))]
}

/// From code to light, 0 to 1 (SMPTE ST 2084).
fn pq(code: f64) -> f64 {
    const M1: f64 = 2_610.0 / 16_384.0;
    const M2: f64 = 2_523.0 / 4_096.0 * 128.0;
    const C1: f64 = 3_424.0 / 4_096.0;
    const C2: f64 = 2_413.0 / 4_096.0 * 32.0;
    const C3: f64 = 2_392.0 / 4_096.0 * 32.0;
    let power = code.max(0.0).powf(1.0 / M2);
    ((power - C1).max(0.0) / (C2 - C3 * power).max(f64::MIN_POSITIVE)).powf(1.0 / M1)
}

/// From code to light of the scene, 0 to 1 (ARIB STD-B67).
fn hlg(code: f64) -> f64 {
    const A: f64 = 0.178_832_77;
    const B: f64 = 0.284_668_92;
    const C: f64 = 0.559_910_7;
    let code = code.max(0.0);
    if code <= 0.5 {
        code * code / 3.0
    } else {
        (((code - C) / A).exp() + B) / 12.0
    }
}

/// From light to code, as displays undo it (BT.1886, which has no light below zero). Colours outside the gamut are cut here: left as they
/// are, chroma would be cut instead at the ends of its codes, and with it a channel that is inside.
fn gamma(light: f64) -> f64 {
    light.clamp(0.0, 1.0).powf(1.0 / 2.4)
}

/// J. Hable's curve for "Uncharted 2".
fn hable(light: f64) -> f64 {
    const A: f64 = 0.15;
    const B: f64 = 0.50;
    const C: f64 = 0.10;
    const D: f64 = 0.20;
    const E: f64 = 0.02;
    const F: f64 = 0.30;
    (light * (light * A + B * C) + D * E) / (light * (light * A + B) + D * F) - E / F
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn black_stays_black_and_the_peak_becomes_white() {
        let curve = Curve { hdr: Hdr::Pq, peak: 10.0 };
        let black = curve.map([0.0, 0.0, 0.0]);
        assert!(black[0].abs() < 1e-3, "{black:?}");
        // 1,000 cd/m² is code 0.7518 of PQ.
        let white = curve.map([0.7518, 0.0, 0.0]);
        assert!((white[0] - 1.0).abs() < 2e-3 && white[1].abs() < 1e-3, "{white:?}");
    }

    #[test]
    fn a_colour_outside_the_gamut_is_cut_channel_by_channel() {
        let curve = Curve { hdr: Hdr::Pq, peak: 10.0 };
        // Pure green of BT.2020 at 1,000 cd/m².
        let [luma, blue, red] = curve.map(from_rgb([0.0, 0.7518, 0.0], BT2020));
        let found = to_rgb([luma, blue, red], BT709);
        assert!(
            (found[1] - 1.0).abs() < 2e-3 && found[0].abs() < 1e-9 && found[2].abs() < 1e-9,
            "{found:?}"
        );
        assert!(blue.abs() <= 0.5 && red.abs() <= 0.5);
    }

    #[test]
    fn light_follows_the_standards() {
        assert!((pq(0.5081) * 10_000.0 - 100.0).abs() < 0.5);
        assert!((hlg(0.5) - 1.0 / 12.0).abs() < 1e-6);
        assert!((hlg(1.0) - 1.0).abs() < 1e-4);
    }
}
