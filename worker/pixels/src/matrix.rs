//! Between YUV of limited range and RGB, both in 8 bits, by whole numbers rounded once.

/// Shares of red and blue in luma.
pub type Shares = (f64, f64);

/// Bits behind the point.
const BITS: u32 = 16;
const HALF: i32 = 1 << (BITS - 1);

fn fixed(value: f64) -> i32 {
    (value * f64::from(1 << BITS)).round() as i32
}

fn code(value: i32) -> u8 {
    (value >> BITS).clamp(0, 255) as u8
}

/// From YUV to RGB.
#[derive(Debug, Clone, Copy)]
pub struct ToRgb {
    luma: i32,
    red_of_cr: i32,
    green_of_cb: i32,
    green_of_cr: i32,
    blue_of_cb: i32,
}

impl ToRgb {
    pub fn new((red, blue): Shares) -> Self {
        let green = 1.0 - red - blue;
        let of_chroma = |value: f64| fixed(value * 255.0 / 224.0);
        Self {
            luma: fixed(255.0 / 219.0),
            red_of_cr: of_chroma(2.0 * (1.0 - red)),
            green_of_cb: of_chroma(-2.0 * (1.0 - blue) * blue / green),
            green_of_cr: of_chroma(-2.0 * (1.0 - red) * red / green),
            blue_of_cb: of_chroma(2.0 * (1.0 - blue)),
        }
    }

    pub fn pixel(&self, [luma, cb, cr]: [u8; 3]) -> [u8; 3] {
        let luma = (i32::from(luma) - 16) * self.luma + HALF;
        let (cb, cr) = (i32::from(cb) - 128, i32::from(cr) - 128);
        [
            code(luma + self.red_of_cr * cr),
            code(luma + self.green_of_cb * cb + self.green_of_cr * cr),
            code(luma + self.blue_of_cb * cb),
        ]
    }

    /// A line of three planes as packed RGB.
    pub fn line(&self, [luma, cb, cr]: [&[u8]; 3], to: &mut [u8]) {
        let values = luma.iter().zip(cb).zip(cr);
        for (to, ((luma, cb), cr)) in to.as_chunks_mut::<3>().0.iter_mut().zip(values) {
            *to = self.pixel([*luma, *cb, *cr]);
        }
    }

    /// A line of packed AYUV as packed RGBA.
    pub fn line_with_alpha(&self, from: &[u8], to: &mut [u8]) {
        let pairs = from.as_chunks::<4>().0.iter().zip(to.as_chunks_mut::<4>().0);
        for ([alpha, luma, cb, cr], to) in pairs {
            let [red, green, blue] = self.pixel([*luma, *cb, *cr]);
            *to = [red, green, blue, *alpha];
        }
    }
}

/// From RGB to YUV.
#[derive(Debug, Clone, Copy)]
pub struct ToYuv {
    rows: [[i32; 3]; 3],
}

impl ToYuv {
    pub fn new((red, blue): Shares) -> Self {
        let luma = [red, 1.0 - red - blue, blue];
        let chroma = |channel: usize, share: f64| {
            let mut row = luma.map(|share| -share);
            row[channel] += 1.0;
            row.map(|value| fixed(value / (2.0 * (1.0 - share)) * 224.0 / 255.0))
        };
        Self {
            rows: [luma.map(|share| fixed(share * 219.0 / 255.0)), chroma(2, blue), chroma(0, red)],
        }
    }

    pub fn pixel(&self, colour: [u8; 3]) -> [u8; 3] {
        let sum = |row: [i32; 3], foot: i32| {
            let products = row.into_iter().zip(colour).map(|(share, value)| share * i32::from(value));
            code(products.sum::<i32>() + (foot << BITS) + HALF)
        };
        let [luma, cb, cr] = self.rows;
        [sum(luma, 16), sum(cb, 128), sum(cr, 128)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Shares; 3] = [(0.299, 0.114), (0.2126, 0.0722), (0.2627, 0.0593)];

    #[test]
    fn grey_stays_grey_and_the_ends_are_reached() {
        for shares in ALL {
            let (to_rgb, to_yuv) = (ToRgb::new(shares), ToYuv::new(shares));
            for grey in 0..=255u8 {
                let [luma, cb, cr] = to_yuv.pixel([grey; 3]);
                assert_eq!((cb, cr), (128, 128));
                let back = to_rgb.pixel([luma, cb, cr]);
                assert!(back.iter().all(|value| value.abs_diff(grey) <= 1), "{grey}: {back:?}");
            }
            assert_eq!(to_rgb.pixel([16, 128, 128]), [0; 3]);
            assert_eq!(to_rgb.pixel([235, 128, 128]), [255; 3]);
        }
    }

    #[test]
    fn colours_come_back() {
        for shares in ALL {
            let (to_rgb, to_yuv) = (ToRgb::new(shares), ToYuv::new(shares));
            for step in 0..4096u32 {
                let colour = [0, 4, 8].map(|bits| ((step >> bits & 15) * 17) as u8);
                let back = to_rgb.pixel(to_yuv.pixel(colour));
                let right = back.iter().zip(colour).all(|(one, other)| one.abs_diff(other) <= 2);
                assert!(right, "{colour:?} became {back:?}");
            }
        }
    }
}
