//! What the standards say of samples, light and colours.

/// Shares of red and blue in luma.
pub type Shares = (f64, f64);
pub const BT601: Shares = (0.299, 0.114);
pub const BT709: Shares = (0.2126, 0.0722);
pub const BT2020: Shares = (0.2627, 0.0593);

/// Which codes stand for black and white.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    Limited,
    Full,
}

impl Range {
    /// Black, and the steps of luma and of chroma.
    fn steps(self, bits: u32) -> (f64, f64, f64) {
        let unit = f64::from(1u32 << (bits - 8));
        match self {
            Self::Limited => (16.0 * unit, 219.0 * unit, 224.0 * unit),
            Self::Full => (0.0, 256.0 * unit - 1.0, 256.0 * unit - 1.0),
        }
    }
}

/// Samples of a colour whose channels are 0 to 1.
pub fn codes([red, green, blue]: [f64; 3], (kr, kb): Shares, range: Range, bits: u32) -> [u16; 3] {
    let (black, luma_steps, chroma_steps) = range.steps(bits);
    let luma = kr * red + (1.0 - kr - kb) * green + kb * blue;
    let chroma = |colour: f64, share: f64| f64::from(1u32 << (bits - 1)) + (colour - luma) / (2.0 * (1.0 - share)) * chroma_steps;
    [black + luma * luma_steps, chroma(blue, kb), chroma(red, kr)].map(|code| code.round().clamp(0.0, f64::from((1u32 << bits) - 1)) as u16)
}

/// The colour of samples, its channels cut to 0 to 1.
pub fn rgb(codes: [u16; 3], shares: Shares, range: Range, bits: u32) -> [f64; 3] {
    whole_rgb(codes, shares, range, bits).map(|value| value.clamp(0.0, 1.0))
}

fn whole_rgb([luma, blue, red]: [u16; 3], (kr, kb): Shares, range: Range, bits: u32) -> [f64; 3] {
    let (black, luma_steps, chroma_steps) = range.steps(bits);
    let luma = (f64::from(luma) - black) / luma_steps;
    let chroma = |code: u16| (f64::from(code) - f64::from(1u32 << (bits - 1))) / chroma_steps;
    let red = luma + 2.0 * (1.0 - kr) * chroma(red);
    let blue = luma + 2.0 * (1.0 - kb) * chroma(blue);
    [red, (luma - kr * red - kb * blue) / (1.0 - kr - kb), blue]
}

/// High dynamic range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hdr {
    Pq,
    Hlg,
}

/// Samples of BT.2020 in 10 bits, limited range, as red, green and blue of BT.709 from 0 to 255: light over 100 cd/m², J. Hable's curve up to
/// 1,000 cd/m² by the brightest channel, BT.1886.
pub fn tone_mapped(samples: [u16; 3], hdr: Hdr) -> [f64; 3] {
    let coded = whole_rgb(samples, BT2020, Range::Limited, 10);
    let light = match hdr {
        Hdr::Pq => coded.map(|code| st_2084(code) / 100.0),
        Hdr::Hlg => bt_2100_hlg(coded).map(|nits| nits / 100.0),
    };
    let narrow = BT2087.map(|row| row.iter().zip(light).map(|(share, light)| share * light).sum::<f64>());
    let brightest = narrow.iter().copied().fold(0.0, f64::max);
    let scale = if brightest > 0.0 {
        hable(brightest) / hable(10.0) / brightest
    } else {
        0.0
    };
    narrow.map(|light| (light * scale).clamp(0.0, 1.0).powf(1.0 / 2.4) * 255.0)
}

/// From BT.2020's to BT.709's primaries.
const BT2087: [[f64; 3]; 3] = [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]];

/// Luminance of a code of ST 2084 in cd/m².
fn st_2084(code: f64) -> f64 {
    let power = code.max(0.0).powf(32.0 / 2523.0);
    let ratio = (power - 0.8359375).max(0.0) / (18.8515625 - 18.6875 * power);
    10_000.0 * ratio.powf(8192.0 / 1305.0)
}

/// Luminance of codes of HLG on a display of 1,000 cd/m².
fn bt_2100_hlg(codes: [f64; 3]) -> [f64; 3] {
    let scene = codes.map(|code| match code {
        code if code <= 0.5 => code.max(0.0).powi(2) / 3.0,
        code => (((code - 0.55991073) / 0.17883277).exp() + 0.28466892) / 12.0,
    });
    let luminance = 0.2627 * scene[0] + 0.678 * scene[1] + 0.0593 * scene[2];
    scene.map(|light| {
        if luminance > 0.0 {
            1000.0 * luminance.powf(0.2) * light
        } else {
            0.0
        }
    })
}

/// J. Hable's curve for "Uncharted 2".
fn hable(light: f64) -> f64 {
    (light * (0.15 * light + 0.05) + 0.004) / (light * (0.15 * light + 0.5) + 0.06) - 0.02 / 0.3
}

/// CIE 1976 difference of two sRGB colours whose channels are 0 to 255.
pub fn delta_e(one: [f64; 3], other: [f64; 3]) -> f64 {
    let squares = lab(one).into_iter().zip(lab(other)).map(|(one, other)| (one - other).powi(2));
    squares.sum::<f64>().sqrt()
}

fn lab(rgb: [f64; 3]) -> [f64; 3] {
    let [r, g, b] = rgb.map(|value| match value / 255.0 {
        value if value <= 0.04045 => value / 12.92,
        value => ((value + 0.055) / 1.055).powf(2.4),
    });
    let curve = |value: f64| {
        if value > 0.008856 {
            value.cbrt()
        } else {
            7.787 * value + 16.0 / 116.0
        }
    };
    let x = curve((0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.9505);
    let y = curve(0.2126 * r + 0.7152 * g + 0.0722 * b);
    let z = curve((0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.089);
    [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
}
