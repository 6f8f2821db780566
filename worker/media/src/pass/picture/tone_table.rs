//! The table by which high dynamic range is mapped: whole numbers, so that every processor gives the same pictures.

use std::{
    num::NonZero,
    sync::{Arc, Mutex, PoisonError, Weak},
    thread::available_parallelism,
};

use super::tone_curve::Curve;

/// Codes of 10 bits between two nodes of the table along luma and along each chroma axis, as powers of two.
const LUMA_STEP: u32 = 4;
const CHROMA_STEP: u32 = 3;
const LUMA_NODES: usize = (1 << (10 - LUMA_STEP)) + 1;
const CHROMA_NODES: usize = (1 << (10 - CHROMA_STEP)) + 1;
/// Bits behind the point of a node's values.
const NODE_BITS: u32 = 7;

/// Values of luma, blue and red chroma in 8 bits at the nodes of a grid over 10-bit codes, in fixed point; luma varies fastest.
#[derive(Debug)]
pub struct Table {
    curve: Curve,
    nodes: Vec<[i16; 3]>,
}

impl Table {
    /// That of a curve: made once for all who use it at a time.
    pub fn of(curve: Curve) -> Arc<Self> {
        static IN_USE: Mutex<Vec<Weak<Table>>> = Mutex::new(Vec::new());
        let mut in_use = IN_USE.lock().unwrap_or_else(PoisonError::into_inner);
        in_use.retain(|table| table.strong_count() > 0);
        if let Some(table) = in_use.iter().filter_map(Weak::upgrade).find(|table| table.curve == curve) {
            return table;
        }
        let table = Arc::new(Self {
            curve,
            nodes: nodes(curve),
        });
        in_use.push(Arc::downgrade(&table));
        table
    }

    /// The line of luma nodes between four nodes of chroma.
    pub fn chroma(&self, blue: u16, red: u16) -> Between<'_> {
        let ((low_blue, blue), (low_red, red)) = (place(blue, CHROMA_STEP), place(red, CHROMA_STEP));
        let line = |blue: usize, red: usize| {
            let start = (red * CHROMA_NODES + blue) * LUMA_NODES;
            self.nodes.get(start..start + LUMA_NODES).unwrap_or_default()
        };
        let whole = 1 << CHROMA_STEP;
        Between {
            lines: [
                line(low_blue, low_red),
                line(low_blue + 1, low_red),
                line(low_blue, low_red + 1),
                line(low_blue + 1, low_red + 1),
            ],
            weights: [
                (whole - blue) * (whole - red),
                blue * (whole - red),
                (whole - blue) * red,
                blue * red,
            ],
        }
    }
}

fn nodes(curve: Curve) -> Vec<[i16; 3]> {
    let mut nodes = vec![[0; 3]; LUMA_NODES * CHROMA_NODES * CHROMA_NODES];
    let threads = available_parallelism().map_or(1, NonZero::get);
    let share = CHROMA_NODES.div_ceil(threads);
    std::thread::scope(|scope| {
        for (number, nodes) in nodes.chunks_mut(share * CHROMA_NODES * LUMA_NODES).enumerate() {
            scope.spawn(move || {
                for (red, nodes) in nodes.chunks_mut(CHROMA_NODES * LUMA_NODES).enumerate() {
                    fill(curve, number * share + red, nodes);
                }
            });
        }
    });
    nodes
}

/// The nodes of one red chroma.
fn fill(curve: Curve, red: usize, nodes: &mut [[i16; 3]]) {
    // Limited range: luma 64 to 940, chroma 64 to 960 around 512.
    let chroma = |node: usize| ((node << CHROMA_STEP) as f64 - 512.0) / 896.0;
    for (blue, line) in nodes.chunks_mut(LUMA_NODES).enumerate() {
        for (luma, node) in line.iter_mut().enumerate() {
            let luma = ((luma << LUMA_STEP) as f64 - 64.0) / 876.0;
            let [y, cb, cr] = curve.map([luma.clamp(0.0, 1.0), chroma(blue), chroma(red)]);
            *node = [16.0 + 219.0 * y, 128.0 + 224.0 * cb, 128.0 + 224.0 * cr].map(fixed);
        }
    }
}

fn fixed(value: f64) -> i16 {
    (value.clamp(0.0, 255.0) * f64::from(1 << NODE_BITS)).round() as i16
}

/// The node before a code of 10 bits, and how many codes lie in between.
fn place(code: u16, step: u32) -> (usize, i32) {
    let code = code.min(1023);
    (usize::from(code >> step), i32::from(code & ((1 << step) - 1)))
}

pub struct Between<'a> {
    lines: [&'a [[i16; 3]]; 4],
    /// Their sum is 1 in fixed point, of the bits of both chroma steps.
    weights: [i32; 4],
}

impl Between<'_> {
    /// One of the three values at a luma.
    pub fn at(&self, luma: u16, value: usize) -> u8 {
        const BITS: u32 = NODE_BITS + 2 * CHROMA_STEP + LUMA_STEP;
        let (low, way) = place(luma, LUMA_STEP);
        let mut sum = 1 << (BITS - 1);
        for (line, weight) in self.lines.iter().zip(self.weights) {
            if let Some([first, second]) = line.get(low..low + 2) {
                sum += weight * (i32::from(first[value]) * ((1 << LUMA_STEP) - way) + i32::from(second[value]) * way);
            }
        }
        (sum >> BITS).clamp(0, 255) as u8
    }
}

#[cfg(test)]
mod tests {
    use super::{super::colour::Hdr, *};

    #[test]
    fn colours_between_the_nodes_are_near_the_curve() {
        let curve = Curve { hdr: Hdr::Pq, peak: 10.0 };
        let table = Table::of(curve);
        assert!(Arc::ptr_eq(&table, &Table::of(curve)));
        // Greys, skin, a saturated green.
        for [luma, blue, red] in [
            [64u16, 512, 512],
            [421, 512, 512],
            [643, 509, 514],
            [502, 471, 553],
            [517, 397, 421],
        ] {
            let unit = |code: u16, middle: f64, steps: f64| (f64::from(code) - middle) / steps;
            let [y, cb, cr] = curve.map([unit(luma, 64.0, 876.0), unit(blue, 512.0, 896.0), unit(red, 512.0, 896.0)]);
            let wanted = [16.0 + 219.0 * y, 128.0 + 224.0 * cb, 128.0 + 224.0 * cr];
            let between = table.chroma(blue, red);
            for (value, wanted) in wanted.into_iter().enumerate() {
                let found = f64::from(between.at(luma, value));
                assert!((found - wanted).abs() < 1.5, "{luma} {blue} {red}: {found} instead of {wanted}");
            }
        }
    }
}
