//! From true colours to a palette's: Sierra's lightest error diffusion, with pixels that need not change left as they are.

use super::{PIXEL, is_clear, palette::Palette};

/// Bits a channel of the table that remembers nearest colours.
const BITS: u32 = 7;
const UNKNOWN: u16 = u16::MAX;

/// Turns frames into indices, one after the other.
pub struct Ditherer {
    palette: Palette,
    width: usize,
    /// Nearest colours that were asked for before.
    known: Vec<u16>,
    /// The frame before, and what is shown of it; empty before the first.
    before: Vec<u8>,
    shown: Vec<u8>,
    /// Errors of the row and of the one below, in quarters, with a pixel more at each end.
    errors: [Vec<[i32; 3]>; 2],
    /// Pixels of the frame that are clear; empty where none is.
    clear: Vec<bool>,
}

/// What a frame changes: indices of the rectangle, `transparent` where nothing changes.
#[derive(Debug, Default)]
pub struct Change {
    pub left: usize,
    pub top: usize,
    pub width: usize,
    pub height: usize,
    pub indices: Vec<u8>,
}

impl Ditherer {
    pub fn new(palette: Palette, width: usize) -> Self {
        Self {
            palette,
            width,
            known: vec![UNKNOWN; 1 << (3 * BITS)],
            before: Vec::new(),
            shown: Vec::new(),
            errors: [vec![[0; 3]; width + 2], vec![[0; 3]; width + 2]],
            clear: Vec::new(),
        }
    }

    /// The index that means "as before".
    pub fn transparent(&self) -> u8 {
        self.palette.colours().len().min(255) as u8
    }

    /// What the next frame changes.
    pub fn next(&mut self, frame: &[u8]) -> Change {
        let is_first = self.shown.is_empty();
        let mut indices = vec![self.transparent(); frame.len() / PIXEL];
        if is_first {
            self.shown = indices.clone();
        }
        for row in &mut self.errors {
            row.fill([0; 3]);
        }
        let row_bytes = self.width * PIXEL;
        for (row, pixels) in frame.chunks_exact(row_bytes.max(1)).enumerate() {
            self.row(row, pixels, &mut indices, is_first);
            let [now, below] = &mut self.errors;
            std::mem::swap(now, below);
            below.fill([0; 3]);
        }
        self.before.clear();
        self.before.extend_from_slice(frame);
        cropped(&indices, self.width, self.transparent())
    }

    /// A frame that shows nothing of those before, clear where its alpha says so; `pixel`: bytes of one.
    pub fn alone(&mut self, frame: &[u8], pixel: usize) -> Change {
        let pixels = frame.chunks_exact(pixel.max(PIXEL));
        let mut colours = Vec::with_capacity(frame.len() / pixel.max(PIXEL) * PIXEL);
        self.clear.clear();
        for pixel in pixels {
            colours.extend_from_slice(pixel.get(..PIXEL).unwrap_or_default());
            self.clear.push(is_clear(pixel));
        }
        self.shown.clear();
        self.before.clear();
        self.next(&colours)
    }

    fn row(&mut self, row: usize, pixels: &[u8], indices: &mut [u8], is_first: bool) {
        let Self {
            palette,
            known,
            before,
            shown,
            errors: [now, below],
            clear,
            width,
        } = self;
        let line = row * *width..(row + 1) * *width;
        let clear = clear.get(line.clone()).unwrap_or_default();
        let earlier = before.get(line.start * PIXEL..line.end * PIXEL).unwrap_or(pixels);
        let (Some(indices), Some(shown)) = (indices.get_mut(line.clone()), shown.get_mut(line)) else {
            return;
        };
        let mut carried = [0i32; 3];
        let places = pixels.chunks_exact(PIXEL).zip(earlier.chunks_exact(PIXEL)).zip(indices).zip(shown);
        for (column, (((pixel, earlier), index), shown)) in places.enumerate() {
            let (Ok(pixel), Ok(earlier)) = (<[u8; 3]>::try_from(pixel), <[u8; 3]>::try_from(earlier)) else {
                return;
            };
            if clear.get(column).is_some_and(|clear| *clear) {
                carried = [0; 3];
                continue;
            }
            let from_above = now.get(column + 1).copied().unwrap_or_default();
            let mut wanted = [0i32; 3];
            for channel in 0..3 {
                let error = (carried[channel] + from_above[channel] + 2) >> 2;
                wanted[channel] = (i32::from(pixel[channel]) + error).clamp(0, 255);
            }
            let keeps = !is_first && pixel == earlier;
            let chosen = if keeps { *shown } else { nearest(palette, known, wanted) };
            if is_first || chosen != *shown {
                *index = chosen;
                *shown = chosen;
            }
            let colour = palette.colours().get(usize::from(chosen)).copied().unwrap_or_default();
            let mut error = [0i32; 3];
            for channel in 0..3 {
                error[channel] = wanted[channel] - i32::from(colour[channel]);
                carried[channel] = 2 * error[channel];
            }
            spread(below, column, error);
        }
    }
}

/// A quarter of the error goes below, and one below and to the left; the half to the right is carried.
fn spread(below: &mut [[i32; 3]], column: usize, error: [i32; 3]) {
    let Some([left, under]) = below.get_mut(column..column + 2) else {
        return;
    };
    for channel in 0..3 {
        left[channel] += error[channel];
        under[channel] += error[channel];
    }
}

fn nearest(palette: &Palette, known: &mut [u16], colour: [i32; 3]) -> u8 {
    let [red, green, blue] = colour.map(|value| (value >> (8 - BITS)) as usize);
    let place = (red << (2 * BITS)) | (green << BITS) | blue;
    let Some(entry) = known.get_mut(place) else { return 0 };
    if *entry == UNKNOWN {
        // The middle of what shares the entry.
        *entry = palette.nearest(colour.map(|value| (value | 1) as f32 - 0.5)) as u16;
    }
    *entry as u8
}

/// The least rectangle that holds every change; one pixel where nothing changes, since a frame must have one.
fn cropped(indices: &[u8], width: usize, transparent: u8) -> Change {
    let rows = || indices.chunks_exact(width.max(1));
    let changes = |row: &[u8]| row.iter().any(|index| *index != transparent);
    let Some(top) = rows().position(changes) else {
        return Change {
            width: 1,
            height: 1,
            indices: vec![transparent],
            ..Change::default()
        };
    };
    let bottom = rows().rposition(changes).map_or(top, |row| row.max(top)) + 1;
    let inside = || rows().skip(top).take(bottom - top);
    let first = |row: &[u8]| row.iter().position(|index| *index != transparent);
    let last = |row: &[u8]| row.iter().rposition(|index| *index != transparent);
    let left = inside().filter_map(first).min().unwrap_or(0);
    let right = inside().filter_map(last).max().unwrap_or(0) + 1;
    Change {
        left,
        top,
        width: right - left,
        height: bottom - top,
        indices: inside().flat_map(|row| row.get(left..right).unwrap_or_default()).copied().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::histogram::Histogram, *};

    fn ditherer(frames: &[&[u8]], width: usize) -> Ditherer {
        let mut histogram = Histogram::default();
        for frame in frames {
            histogram.add(frame, PIXEL);
        }
        Ditherer::new(Palette::of(&histogram), width)
    }

    #[test]
    fn only_the_rectangle_that_changes_is_written() {
        let first = [0u8; 4 * 3 * PIXEL];
        let mut second = first;
        second[(4 + 2) * PIXEL..(4 + 3) * PIXEL].fill(255);
        let mut ditherer = ditherer(&[&first, &second], 4);
        let whole = ditherer.next(&first);
        assert_eq!((whole.width, whole.height), (4, 3));
        let change = ditherer.next(&second);
        assert_eq!((change.left, change.top, change.width, change.height), (2, 1, 1, 1));
        assert_eq!(change.indices, [1]);
        let nothing = ditherer.next(&second);
        assert_eq!((nothing.width, nothing.height), (1, 1));
        assert_eq!(nothing.indices, [ditherer.transparent()]);
    }

    #[test]
    fn the_mean_of_a_tone_between_two_colours_is_kept() {
        let tone = [100u8; 64 * 64 * PIXEL];
        let palette = [[0u8; 3 * PIXEL], [255u8; 3 * PIXEL]].concat();
        let mut ditherer = ditherer(&[&palette], 64);
        let indices = ditherer.next(&tone).indices;
        let mean = indices.iter().map(|index| f64::from(*index) * 255.0).sum::<f64>() / indices.len() as f64;
        assert!((mean - 100.0).abs() < 3.0, "{mean}");
    }
}
