//! Takes noise out of moving pictures: a low pass over neighbours to the left, above and in the picture before, which lets small
//! differences fade and large ones stand.

use mps_proto::v1::video_enhancement::Strength;

/// Samples are compared with 16 bits; differences are looked up with 12.
const STEP_BITS: u32 = 4;
const HALF: usize = 1 << (16 - STEP_BITS);

/// Differences, in 8-bit levels, of which a quarter remains.
struct Limits {
    luma_near: f64,
    chroma_near: f64,
    luma_before: f64,
    chroma_before: f64,
}

fn limits(strength: Strength) -> Limits {
    let (luma_near, chroma_near, luma_before, chroma_before) = match strength {
        Strength::Weak => (3.0, 2.5, 8.0, 6.0),
        Strength::Strong => (9.0, 7.0, 26.0, 20.0),
        _ => (5.0, 4.0, 15.0, 12.0),
    };
    Limits {
        luma_near,
        chroma_near,
        luma_before,
        chroma_before,
    }
}

/// By how much a sample moves towards another, by their difference.
#[derive(Debug)]
struct Pull(Vec<i32>);

impl Pull {
    fn new(limit: f64) -> Self {
        let power = 0.25f64.ln() / (1.0 - limit.clamp(0.1, 250.0) / 255.0).ln();
        let pull = |number: usize| {
            let difference = (number as f64 - HALF as f64) * f64::from(1 << STEP_BITS);
            ((1.0 - difference.abs() / 65_536.0).max(0.0).powf(power) * difference).round() as i32
        };
        Self((0..=2 * HALF).map(pull).collect())
    }

    fn towards(&self, other: i32, sample: i32) -> i32 {
        let number = ((other - sample) >> STEP_BITS) + HALF as i32;
        sample + self.0.get(number as usize).copied().unwrap_or(0)
    }
}

/// The filter with what it remembers of the picture before.
#[derive(Debug)]
pub struct Denoise {
    near: [Pull; 2],
    before: [Pull; 2],
    memory: [Vec<i32>; 3],
}

impl Denoise {
    pub fn new(strength: Strength) -> Self {
        let limits = limits(strength);
        Self {
            near: [Pull::new(limits.luma_near), Pull::new(limits.chroma_near)],
            before: [Pull::new(limits.luma_before), Pull::new(limits.chroma_before)],
            memory: Default::default(),
        }
    }

    /// Filters a plane of samples of `bits` bits.
    pub fn plane(&mut self, number: usize, samples: &mut [u16], width: usize, bits: u32) {
        let kind = number.min(1);
        let (near, before) = (&self.near[kind], &self.before[kind]);
        let Some(memory) = self.memory.get_mut(number) else { return };
        let shift = 16 - bits;
        let wide = |sample: u16| i32::from(sample) << shift;
        let narrow = |sample: i32| ((sample + (1 << shift >> 1)) >> shift).clamp(0, (1 << bits) - 1) as u16;
        let first = memory.len() != samples.len();
        if first {
            *memory = samples.iter().map(|sample| wide(*sample)).collect();
        }
        let mut above: Vec<i32> = samples.iter().take(width).map(|sample| wide(*sample)).collect();
        for (line, old) in samples.chunks_mut(width).zip(memory.chunks_mut(width)) {
            let mut left = line.first().map_or(0, |sample| wide(*sample));
            for ((sample, above), old) in line.iter_mut().zip(&mut above).zip(old) {
                left = near.towards(left, wide(*sample));
                *above = near.towards(*above, left);
                *old = before.towards(*old, *above);
                *sample = narrow(*old);
            }
        }
    }
}
