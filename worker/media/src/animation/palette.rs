//! The palette of a clip: the colour space is cut where it errs most, then the colours move to the middle of what they stand for.

use super::histogram::{Histogram, Weighted};

/// Colours of a palette; one index more means "as before".
pub const MAX_COLOURS: usize = 255;
/// Rounds in which colours move. More gain next to nothing.
const ROUNDS: usize = 3;

/// Up to 255 colours.
#[derive(Debug, Clone)]
pub struct Palette {
    colours: Vec<[u8; 3]>,
    /// The same by channel, for fast comparing.
    channels: [Vec<f32>; 3],
}

impl Palette {
    /// The best palette that these rules find for the colours of a clip.
    pub fn of(histogram: &Histogram) -> Self {
        let mut points = histogram.colours();
        let mut means = cut(&mut points, MAX_COLOURS);
        if points.len() > means.len() {
            for _ in 0..ROUNDS {
                means = moved(&points, means);
            }
        }
        Self::from_means(&means)
    }

    fn from_means(means: &[[f32; 3]]) -> Self {
        let mut colours: Vec<[u8; 3]> = means.iter().map(|mean| mean.map(|value| value.round() as u8)).collect();
        colours.sort_unstable();
        colours.dedup();
        let channel = |number: usize| colours.iter().map(|colour| f32::from(colour[number])).collect();
        Self {
            channels: [channel(0), channel(1), channel(2)],
            colours,
        }
    }

    pub fn colours(&self) -> &[[u8; 3]] {
        &self.colours
    }

    /// Index of the nearest colour.
    pub fn nearest(&self, colour: [f32; 3]) -> usize {
        nearest(&self.channels, colour)
    }
}

/// Index of the nearest of the colours whose channels these are.
fn nearest(channels: &[Vec<f32>; 3], colour: [f32; 3]) -> usize {
    let [reds, greens, blues] = channels;
    let mut distances = [f32::MAX; MAX_COLOURS + 1];
    for (((distance, red), green), blue) in distances.iter_mut().zip(reds).zip(greens).zip(blues) {
        let (red, green, blue) = (red - colour[0], green - colour[1], blue - colour[2]);
        *distance = red * red + green * green + blue * blue;
    }
    let mut lanes = [f32::MAX; 8];
    for eight in distances.chunks_exact(8) {
        for (lane, distance) in lanes.iter_mut().zip(eight) {
            *lane = if *distance < *lane { *distance } else { *lane };
        }
    }
    let least = lanes.into_iter().fold(f32::MAX, f32::min);
    distances.iter().position(|distance| *distance == least).unwrap_or(0)
}

/// Points of the colour space that are near each other.
struct Cell {
    start: usize,
    end: usize,
    /// Sum of squared distances from the mean, along each axis.
    errors: [f64; 3],
    mean: [f32; 3],
}

impl Cell {
    fn of(points: &[Weighted], start: usize, end: usize) -> Self {
        let mut sums = Sums::default();
        for point in points.get(start..end).unwrap_or_default() {
            sums.add(point);
        }
        Self {
            start,
            end,
            errors: sums.errors(),
            mean: sums.mean(),
        }
    }

    fn error(&self) -> f64 {
        self.errors.iter().sum()
    }

    fn widest_axis(&self) -> usize {
        let [red, green, blue] = self.errors;
        match (red > green, red > blue, green > blue) {
            (true, true, _) => 0,
            (_, _, true) => 1,
            _ => 2,
        }
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    weight: f64,
    values: [f64; 3],
    squares: [f64; 3],
}

impl Sums {
    fn add(&mut self, point: &Weighted) {
        let weight = f64::from(point.weight);
        self.weight += weight;
        for ((sum, square), value) in self.values.iter_mut().zip(&mut self.squares).zip(point.colour) {
            *sum += weight * f64::from(value);
            *square += weight * f64::from(value) * f64::from(value);
        }
    }

    fn errors(&self) -> [f64; 3] {
        let mut errors = self.squares;
        for (error, sum) in errors.iter_mut().zip(self.values) {
            *error = (*error - sum * sum / self.weight.max(1.0)).max(0.0);
        }
        errors
    }

    fn mean(&self) -> [f32; 3] {
        self.values.map(|sum| (sum / self.weight.max(1.0)) as f32)
    }
}

/// Cuts the space of colours into cells; gives their means.
fn cut(points: &mut [Weighted], most: usize) -> Vec<[f32; 3]> {
    if points.is_empty() {
        return vec![[0.0; 3]];
    }
    let mut cells = vec![Cell::of(points, 0, points.len())];
    while cells.len() < most {
        let worst = cells
            .iter()
            .enumerate()
            .filter(|(_, cell)| cell.end - cell.start > 1)
            .max_by(|one, other| one.1.error().total_cmp(&other.1.error()));
        let Some((number, _)) = worst else { break };
        let cell = cells.swap_remove(number);
        let middle = split(points, &cell);
        cells.push(Cell::of(points, cell.start, middle));
        cells.push(Cell::of(points, middle, cell.end));
    }
    cells.iter().map(|cell| cell.mean).collect()
}

/// Sorts a cell along its widest axis; gives the place at which cutting it leaves the least error.
fn split(points: &mut [Weighted], cell: &Cell) -> usize {
    let axis = cell.widest_axis();
    let Some(inside) = points.get_mut(cell.start..cell.end) else {
        return cell.end;
    };
    let along = |point: &Weighted| point.colour.get(axis).copied().unwrap_or(0.0);
    inside.sort_unstable_by(|one, other| along(one).total_cmp(&along(other)));
    let whole: f64 = inside.iter().map(|point| f64::from(point.weight)).sum();
    let whole_sum: f64 = inside.iter().map(|point| f64::from(point.weight) * f64::from(along(point))).sum();
    let (mut weight, mut sum, mut best) = (0.0, 0.0, (f64::MIN, 1));
    for (number, point) in inside.iter().enumerate().take(inside.len().saturating_sub(1)) {
        weight += f64::from(point.weight);
        sum += f64::from(point.weight) * f64::from(along(point));
        // The squares are the same wherever it is cut: the means say it all.
        let gain = sum * sum / weight + (whole_sum - sum) * (whole_sum - sum) / (whole - weight).max(1.0);
        if gain > best.0 {
            best = (gain, number + 1);
        }
    }
    cell.start + best.1
}

/// Each colour in the middle of the points that are nearest to it; one that nothing is near to stays.
fn moved(points: &[Weighted], means: Vec<[f32; 3]>) -> Vec<[f32; 3]> {
    let channel = |number: usize| means.iter().map(|mean| mean.get(number).copied().unwrap_or(0.0)).collect();
    let channels = [channel(0), channel(1), channel(2)];
    let mut sums = vec![Sums::default(); means.len()];
    for point in points {
        if let Some(sums) = sums.get_mut(nearest(&channels, point.colour)) {
            sums.add(point);
        }
    }
    let moved = |(sums, mean): (&Sums, [f32; 3])| if sums.weight > 0.0 { sums.mean() } else { mean };
    sums.iter().zip(means).map(moved).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::PIXEL, *};

    fn palette_of(frame: &[u8]) -> Palette {
        let mut histogram = Histogram::default();
        histogram.add(frame, PIXEL);
        Palette::of(&histogram)
    }

    #[test]
    fn few_colours_are_kept_as_they_are() {
        let palette = palette_of(&[255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 0, 0]);
        assert_eq!(palette.colours(), [[0, 0, 255], [0, 255, 0], [255, 0, 0]]);
        assert_eq!(palette.nearest([250.0, 10.0, 3.0]), 2);
    }

    #[test]
    fn many_colours_become_as_many_as_a_palette_holds() {
        let frame: Vec<u8> = (0..=255u8)
            .flat_map(|red| (0..64).flat_map(move |green| [red, green * 4, red.wrapping_mul(green)]))
            .collect();
        let palette = palette_of(&frame);
        assert!(palette.colours().len() > 240, "{}", palette.colours().len());
        let error: f64 = frame
            .chunks_exact(3)
            .map(|pixel| {
                let colour = palette.colours()[palette.nearest([pixel[0], pixel[1], pixel[2]].map(f32::from))];
                colour
                    .iter()
                    .zip(pixel)
                    .map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2))
                    .sum::<f64>()
            })
            .sum();
        let mean = error / frame.len() as f64;
        // A cube of 6x7x6 colours errs by about 150.
        assert!(mean < 145.0, "mean squared error {mean}");
    }

    #[test]
    fn a_clip_without_pictures_has_a_palette() {
        assert_eq!(Palette::of(&Histogram::default()).colours(), [[0, 0, 0]]);
    }
}
