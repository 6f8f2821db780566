//! A picture enlarged until it covers a box, and blurred: made small, smoothed, and enlarged again.

use std::ops::Range;

use super::canvas::{Plane, PlaneShape, get, put};

/// Cells across and down of the small picture: the fewer, the more blurred.
const ACROSS: usize = 32;
const DOWN: usize = 32;
/// Samples of a cell in each direction: more changes nothing that the smoothing leaves to see.
const SAMPLES: usize = 6;
/// Rounds of smoothing.
const ROUNDS: usize = 2;

/// One plane of the backdrop.
pub struct Backdrop {
    cells: Vec<[f32; 4]>,
    size: (usize, usize),
    shape: PlaneShape,
}

impl Backdrop {
    /// `size`: that of the box in this plane.
    pub fn of(plane: &Plane, size: (usize, usize)) -> Self {
        let (width, height) = (plane.shape.width as f32, plane.shape.height as f32);
        let scale = (size.0 as f32 / width.max(1.0)).max(size.1 as f32 / height.max(1.0));
        // The part of the picture that the box shows, in its own pixels.
        let (shown_width, shown_height) = (size.0 as f32 / scale, size.1 as f32 / scale);
        let (left, top) = ((width - shown_width) / 2.0, (height - shown_height) / 2.0);
        let mut cells = Vec::with_capacity(ACROSS * DOWN);
        for row in 0..DOWN {
            for column in 0..ACROSS {
                let at = |cell: usize, cells: usize, shown: f32, from: f32, sample: usize| {
                    let share = (cell as f32 + (sample as f32 + 0.5) / SAMPLES as f32) / cells as f32;
                    (from + share * shown).max(0.0) as usize
                };
                let mut sum = [0f32; 4];
                for sample in 0..SAMPLES * SAMPLES {
                    let x = at(column, ACROSS, shown_width, left, sample % SAMPLES);
                    let y = at(row, DOWN, shown_height, top, sample / SAMPLES);
                    add(plane, x, y, &mut sum);
                }
                cells.push(sum.map(|value| value / (SAMPLES * SAMPLES) as f32));
            }
        }
        for _ in 0..ROUNDS {
            cells = smoothed(&cells);
        }
        Self {
            cells,
            size,
            shape: plane.shape,
        }
    }

    /// Draws a part of a line of the box.
    pub fn draw(&self, row: &mut [u8], y: usize, bar: Range<usize>) {
        let pixel = self.shape.pixel();
        let (upper, down) = place(y, self.size.1, DOWN);
        let Some(bytes) = row.get_mut(bar.start * pixel..bar.end * pixel) else {
            return;
        };
        for (x, target) in bar.zip(bytes.chunks_exact_mut(pixel)) {
            let (first, across) = place(x, self.size.0, ACROSS);
            let at = |column: usize, line: usize| self.cells.get(line * ACROSS + column).copied().unwrap_or_default();
            let corners = [
                at(first, upper),
                at(first + 1, upper),
                at(first, upper + 1),
                at(first + 1, upper + 1),
            ];
            for (number, value) in target.chunks_exact_mut(self.shape.bytes).enumerate() {
                let corner = |index: usize| corners.get(index).and_then(|cell| cell.get(number)).copied().unwrap_or(0.0);
                let above = corner(0) + (corner(1) - corner(0)) * across;
                let below = corner(2) + (corner(3) - corner(2)) * across;
                put(value, (above + (below - above) * down + 0.5) as u16);
            }
        }
    }
}

/// The cell before a pixel and the way to the next one, counted between the middles of cells.
fn place(pixel: usize, pixels: usize, cells: usize) -> (usize, f32) {
    let position = ((pixel as f32 + 0.5) / pixels.max(1) as f32 * cells as f32 - 0.5).clamp(0.0, cells as f32 - 1.001);
    (position as usize, position.fract())
}

fn add(plane: &Plane, x: usize, y: usize, sum: &mut [f32; 4]) {
    let (x, y) = (
        x.min(plane.shape.width.saturating_sub(1)),
        y.min(plane.shape.height.saturating_sub(1)),
    );
    let start = y * plane.stride + x * plane.shape.pixel();
    let Some(pixel) = plane.data.get(start..start + plane.shape.pixel()) else {
        return;
    };
    for (value, total) in pixel.chunks_exact(plane.shape.bytes).zip(sum) {
        *total += f32::from(get(value));
    }
}

/// Each cell becomes the mean of itself and its neighbours.
fn smoothed(cells: &[[f32; 4]]) -> Vec<[f32; 4]> {
    let mean = |row: usize, column: usize| {
        let mut sum = [0f32; 4];
        for (down, across) in (0..9).map(|cell| (cell / 3, cell % 3)) {
            let line = (row + down).saturating_sub(1).min(DOWN - 1);
            let place = (column + across).saturating_sub(1).min(ACROSS - 1);
            let cell = cells.get(line * ACROSS + place).copied().unwrap_or_default();
            sum = std::array::from_fn(|number| sum[number] + cell[number] / 9.0);
        }
        sum
    };
    (0..ACROSS * DOWN).map(|cell| mean(cell / ACROSS, cell % ACROSS)).collect()
}
