//! Which colours a clip has, and how often: bins of 6 bits a channel that remember the mean of what fell into them.

use super::{PIXEL, is_clear};

const BITS: u32 = 6;
const BINS: usize = 1 << (3 * BITS);

/// Counts the colours of any number of frames in constant memory (8 MiB).
pub struct Histogram {
    bins: Vec<Bin>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Bin {
    count: u64,
    sums: [u64; 3],
}

/// A colour, and how many pixels have about it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weighted {
    pub colour: [f32; 3],
    pub weight: f32,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            bins: vec![Bin::default(); BINS],
        }
    }
}

impl Histogram {
    /// Counts the pixels of a frame that are seen; `pixel`: bytes of one.
    pub fn add(&mut self, frame: &[u8], pixel: usize) {
        for pixel in frame.chunks_exact(pixel.max(PIXEL)).filter(|pixel| !is_clear(pixel)) {
            let &[red, green, blue, ..] = pixel else { continue };
            if let Some(bin) = self.bins.get_mut(place([red, green, blue])) {
                bin.count += 1;
                bin.sums[0] += u64::from(red);
                bin.sums[1] += u64::from(green);
                bin.sums[2] += u64::from(blue);
            }
        }
    }

    /// The colours that occur, each the mean of its bin.
    pub fn colours(&self) -> Vec<Weighted> {
        let filled = self.bins.iter().filter(|bin| bin.count > 0);
        filled
            .map(|bin| Weighted {
                colour: bin.sums.map(|sum| (sum as f64 / bin.count as f64) as f32),
                weight: bin.count as f32,
            })
            .collect()
    }
}

fn place(colour: [u8; 3]) -> usize {
    let [red, green, blue] = colour.map(|value| usize::from(value >> (8 - BITS)));
    (red << (2 * BITS)) | (green << BITS) | blue
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_means_of_their_bins() {
        let mut histogram = Histogram::default();
        histogram.add(&[0, 0, 0, 2, 2, 2, 255, 255, 255], PIXEL);
        let colours = histogram.colours();
        assert_eq!(colours.len(), 2);
        assert_eq!(colours[0].colour, [1.0; 3]);
        assert_eq!(colours[0].weight, 2.0);
        assert_eq!(colours[1].colour, [255.0; 3]);
    }
}
