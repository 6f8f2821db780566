//! Pictures that are clear in parts: laid over a plain colour, or weighted by how opaque they are, so that scaling does not bring hidden colours
//! to light.

/// How the values of one component lie in a plane.
#[derive(Debug, Clone, Copy)]
pub struct Component {
    /// Bytes from the beginning of a line to the first value, and from value to value.
    pub offset: usize,
    pub step: usize,
    /// Bytes from line to line.
    pub stride: usize,
    pub width: usize,
    pub height: usize,
    /// Bits of a value; more than 8 take two bytes (little-endian).
    pub bits: u32,
}

impl Component {
    fn most(&self) -> u32 {
        (1 << self.bits.clamp(1, 16)) - 1
    }

    fn bytes(&self) -> usize {
        if self.bits > 8 { 2 } else { 1 }
    }

    /// Where the values of a line stand.
    fn places(&self, line: usize) -> impl Iterator<Item = usize> {
        let first = line * self.stride + self.offset;
        (0..self.width).map(move |number| first + number * self.step)
    }

    fn get(&self, data: &[u8], place: usize) -> u32 {
        match data.get(place..place + self.bytes()) {
            Some([low, high]) => u32::from(u16::from_le_bytes([*low, *high])).min(self.most()),
            Some([only]) => u32::from(*only),
            _ => 0,
        }
    }

    fn put(&self, data: &mut [u8], place: usize, value: u32) {
        match data.get_mut(place..place + self.bytes()) {
            Some([low, high]) => [*low, *high] = (value.min(self.most()) as u16).to_le_bytes(),
            Some([only]) => *only = value.min(255) as u8,
            _ => {}
        }
    }

    /// Sets every value.
    pub fn fill(&self, data: &mut [u8], value: u32) {
        for line in 0..self.height {
            for place in self.places(line) {
                self.put(data, place, value);
            }
        }
    }
}

/// How opaque each pixel is.
#[derive(Debug, Clone, Default)]
pub struct Alpha {
    values: Vec<u32>,
    width: usize,
    most: u32,
}

impl Alpha {
    /// Reads it out of a plane.
    pub fn read(data: &[u8], component: &Component) -> Self {
        let lines = 0..component.height;
        Self {
            values: lines
                .flat_map(|line| component.places(line).map(|place| component.get(data, place)))
                .collect(),
            width: component.width,
            most: component.most(),
        }
    }

    pub fn is_opaque(&self) -> bool {
        self.values.iter().all(|value| *value == self.most)
    }

    /// Lays a component over a plain value. A value of chroma that belongs to several pixels is as opaque as they are on the average.
    pub fn lay_over(&self, data: &mut [u8], component: &Component, behind: u32) {
        let height = self.values.len() / self.width.max(1);
        let (across, down) = (
            self.width.div_ceil(component.width.max(1)),
            height.div_ceil(component.height.max(1)),
        );
        for line in 0..component.height {
            for (column, place) in component.places(line).enumerate() {
                let (opaque, of) = self.around(column * across, line * down, across, down);
                let value = component.get(data, place);
                let mixed = (value * opaque + behind * (of - opaque) + of / 2) / of.max(1);
                component.put(data, place, mixed);
            }
        }
    }

    /// Sum of the pixels of a block, and what it would be at most.
    fn around(&self, left: usize, top: usize, across: usize, down: usize) -> (u32, u32) {
        let mut sum = (0, 0);
        for line in top..top + down {
            let right = (left + across).min(self.width);
            let row = self
                .values
                .get(line * self.width + left..line * self.width + right)
                .unwrap_or_default();
            sum.0 += row.iter().sum::<u32>();
            sum.1 += row.len() as u32 * self.most;
        }
        // Products with values of 16 bits stay within 32.
        while sum.1 > 0xffff {
            sum = (sum.0 >> 1, sum.1 >> 1);
        }
        sum
    }
}

/// Takes the weight of alpha out of packed RGBA.
pub fn unweight(line: &mut [u8]) {
    for [red, green, blue, alpha] in line.as_chunks_mut::<4>().0 {
        let alpha = u32::from(*alpha);
        for value in [red, green, blue] {
            *value = match alpha {
                0 => 0,
                _ => ((u32::from(*value) * 255 + alpha / 2) / alpha).min(255) as u8,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plane(width: usize, height: usize, bits: u32) -> Component {
        let step = if bits > 8 { 2 } else { 1 };
        Component {
            offset: 0,
            step,
            stride: width * step,
            width,
            height,
            bits,
        }
    }

    #[test]
    fn clear_parts_show_what_is_behind() {
        let full = plane(4, 2, 8);
        let alpha = Alpha::read(&[255, 0, 255, 255, 255, 0, 0, 51], &full);
        assert!(!alpha.is_opaque());
        let mut luma = [200u8; 8];
        alpha.lay_over(&mut luma, &full, 16);
        assert_eq!(luma, [200, 16, 200, 200, 200, 16, 16, 53]);
        let mut chroma = [240u8, 240];
        alpha.lay_over(&mut chroma, &plane(2, 1, 8), 128);
        assert_eq!(chroma, [184, 190]);
    }

    #[test]
    fn deep_values_and_packed_ones_are_found() {
        let deep = plane(2, 1, 10);
        let alpha = Alpha::read(&[1023u16, 0].map(u16::to_le_bytes).concat(), &deep);
        let mut luma = [940u16, 940].map(u16::to_le_bytes).concat();
        alpha.lay_over(&mut luma, &deep, 64);
        assert_eq!(luma, [940u16, 64].map(u16::to_le_bytes).concat());
        let packed = |offset: usize| Component {
            offset,
            step: 4,
            stride: 8,
            width: 2,
            height: 1,
            bits: 8,
        };
        let mut pixels = [10, 20, 30, 255, 10, 20, 30, 0];
        let alpha = Alpha::read(&pixels, &packed(3));
        for channel in 0..3 {
            alpha.lay_over(&mut pixels, &packed(channel), 255);
        }
        packed(3).fill(&mut pixels, 255);
        assert_eq!(pixels, [10, 20, 30, 255, 255, 255, 255, 255]);
    }

    #[test]
    fn the_weight_of_alpha_comes_out_again() {
        let mut line = [100, 50, 0, 128, 9, 9, 9, 0, 1, 2, 3, 255];
        unweight(&mut line);
        assert_eq!(line, [199, 100, 0, 128, 0, 0, 0, 0, 1, 2, 3, 255]);
    }
}
