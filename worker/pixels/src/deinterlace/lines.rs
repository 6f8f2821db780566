//! A line of the missing field: what stands between two lines of the field that is kept, at its time. Along edges where something moves,
//! from the pictures before and behind where nothing does: the rule of yadif (M. Niedermayer), on values of 8 to 16 bits.

use std::ops::{Add, Shr, Sub};

/// Pixels around a place in which edges are looked for, on each side.
const REACH: usize = 3;

/// A number that holds the sum of three differences of values.
pub trait Wide: Copy + Ord + Default + From<u8> + Add<Output = Self> + Sub<Output = Self> + Shr<u32, Output = Self> {
    fn of(value: u16) -> Self;
    fn value(self) -> u16;

    fn far(self, other: Self) -> Self {
        self.max(other) - self.min(other)
    }

    fn between(self, other: Self) -> Self {
        (self + other) >> 1
    }
}

/// Up to 12 bits.
impl Wide for i16 {
    fn of(value: u16) -> Self {
        value as Self
    }

    fn value(self) -> u16 {
        self as u16
    }
}

/// Up to 16 bits.
impl Wide for i32 {
    fn of(value: u16) -> Self {
        Self::from(value)
    }

    fn value(self) -> u16 {
        self as u16
    }
}

/// Values of a line, with their outermost pixels repeated on both sides.
#[derive(Debug, Default)]
pub struct Line<W> {
    values: Vec<W>,
    /// Values of a pixel.
    pixel: usize,
}

impl<W: Wide> Line<W> {
    /// `bytes`: of a value, 1 or 2 (little-endian); `pixel`: values of a pixel.
    pub fn load(&mut self, line: &[u8], bytes: usize, pixel: usize) {
        self.pixel = pixel;
        self.values.clear();
        let side = pixel * bytes;
        let (first, last) = (line.get(..side), line.len().checked_sub(side).and_then(|at| line.get(at..)));
        for part in [&[first; REACH][..], &[Some(line)], &[last; REACH]].into_iter().flatten().flatten() {
            match bytes {
                1 => self.values.extend(part.iter().map(|value| W::from(*value))),
                _ => self
                    .values
                    .extend(part.as_chunks::<2>().0.iter().map(|value| W::of(u16::from_le_bytes(*value)))),
            }
        }
    }

    /// The line, moved by pixels, `REACH` at most.
    fn moved(&self, pixels: isize) -> &[W] {
        let length = self.values.len().saturating_sub(2 * REACH * self.pixel);
        let from = REACH.saturating_add_signed(pixels) * self.pixel;
        self.values.get(from..from + length).unwrap_or_default()
    }

    /// The same with a pixel more on both sides.
    fn wide(&self, pixels: isize) -> &[W] {
        let length = self.values.len().saturating_sub(2 * (REACH - 1) * self.pixel);
        let from = (REACH - 1).saturating_add_signed(pixels) * self.pixel;
        self.values.get(from..from + length).unwrap_or_default()
    }

    fn own(&self) -> &[W] {
        self.moved(0)
    }
}

/// The two lines of the missing field in time, and how they and their surroundings stand in three pictures. Each array: the line above and
/// the one below.
#[derive(Debug, Default)]
pub struct Around<W> {
    /// Of the kept field.
    pub kept: [Line<W>; 2],
    /// The same lines in the pictures before and behind.
    pub before: [Line<W>; 2],
    pub behind: [Line<W>; 2],
    /// The missing line as it stands in the fields before and behind.
    pub own: [Line<W>; 2],
    /// The next lines above it in these fields, and below it.
    pub above: [Line<W>; 2],
    pub below: [Line<W>; 2],
}

/// Works out lines; keeps what they need from one to the next.
#[derive(Debug, Default)]
pub struct Missing<W> {
    pub around: Around<W>,
    /// The line as far as it is known, and how unlike its surroundings are in the direction that it follows.
    line: Vec<W>,
    score: Vec<W>,
    /// What each step works with.
    near: Direction<W>,
    far: Direction<W>,
    bound: Vec<W>,
    own: Vec<W>,
    outer: [Vec<W>; 2],
}

/// What a line would be along a direction, and how unlike its surroundings are there.
#[derive(Debug, Default)]
struct Direction<W> {
    line: Vec<W>,
    score: Vec<W>,
    differences: Vec<W>,
}

impl<W: Wide> Direction<W> {
    /// `side`: pixels to the right above, and as many to the left below.
    fn look(&mut self, up: &Line<W>, down: &Line<W>, side: isize) {
        set(&mut self.line, up.moved(side), down.moved(-side), W::between);
        set(&mut self.differences, up.wide(side), down.wide(-side), W::far);
        let (left, own, right) = (0, up.pixel, 2 * up.pixel);
        let from = |at: usize| self.differences.get(at..).unwrap_or_default();
        let sums = from(left).iter().zip(from(own)).zip(from(right));
        self.score.clear();
        self.score.extend(sums.map(|((left, own), right)| *left + *own + *right));
    }
}

/// A line from two others.
fn set<W: Wide>(line: &mut Vec<W>, one: &[W], other: &[W], value: impl Fn(W, W) -> W) {
    line.clear();
    line.extend(one.iter().zip(other).map(|(one, other)| value(*one, *other)));
}

/// Changes a line by two others.
fn change<W: Wide>(line: &mut [W], one: &[W], other: &[W], value: impl Fn(W, W, W) -> W) {
    for ((own, one), other) in line.iter_mut().zip(one).zip(other) {
        *own = value(*own, *one, *other);
    }
}

impl<W: Wide> Missing<W> {
    /// From the kept lines alone: along the direction in which they are most alike. Gives values.
    pub fn along_edges(&mut self) -> &[W] {
        let [up, down] = &self.around.kept;
        self.near.look(up, down, 0);
        std::mem::swap(&mut self.line, &mut self.near.line);
        std::mem::swap(&mut self.score, &mut self.near.score);
        // A draw is won by what stands straight above.
        self.score.iter_mut().for_each(|score| *score = *score - W::from(1));
        for side in [-1, 1] {
            self.near.look(up, down, side);
            self.far.look(up, down, 2 * side);
            // Flatter edges count only where the steeper one is better than straight: far away, much is alike by chance.
            let scores = self.score.iter_mut().zip(&self.near.score).zip(&self.far.score);
            let lines = self.line.iter_mut().zip(&self.near.line).zip(&self.far.line);
            for (((score, near), far), ((value, near_value), far_value)) in scores.zip(lines) {
                let is_near = *near < *score;
                let is_far = is_near & (*far < *near);
                *value = if is_near { *near_value } else { *value };
                *value = if is_far { *far_value } else { *value };
                *score = if is_near { (*near).min(*far) } else { *score };
            }
        }
        &self.line
    }

    /// The same, kept near to what the fields before and behind show, the more so the less moves.
    pub fn with_time(&mut self) -> &[W] {
        self.along_edges();
        self.bound();
        change(&mut self.line, &self.own, &self.bound, |value, own, most| {
            value.max(own - most).min(own + most)
        });
        &self.line
    }

    /// What the fields before and behind show, and how far from it the line may be.
    fn bound(&mut self) {
        let Around {
            kept,
            before,
            behind,
            own,
            above,
            below,
        } = &self.around;
        set(&mut self.own, own[0].own(), own[1].own(), W::between);
        set(&mut self.bound, own[0].own(), own[1].own(), |before, behind| {
            before.far(behind) >> 1
        });
        for other in [before, behind] {
            let [up, down] = &mut self.outer;
            set(up, other[0].own(), kept[0].own(), W::far);
            set(down, other[1].own(), kept[1].own(), W::far);
            change(&mut self.bound, up, down, |bound, up, down| bound.max(up.between(down)));
        }
        let [up, down] = &mut self.outer;
        set(up, above[0].own(), above[1].own(), W::between);
        set(down, below[0].own(), below[1].own(), W::between);
        let around = kept[0].own().iter().zip(kept[1].own()).zip(up.iter().zip(down.iter()));
        for ((bound, own), ((up, down), (above, below))) in self.bound.iter_mut().zip(&self.own).zip(around) {
            *bound = (*bound).max(bend(*own, *up, *down, *above, *below));
        }
    }
}

/// How far a place stands out from those above and below, where its own field's lines do so too.
fn bend<W: Wide>(own: W, up: W, down: W, above: W, below: W) -> W {
    let over = (own - down).max(own - up).max((above - up).min(below - down));
    let under = (own - down).min(own - up).min((above - up).max(below - down));
    under.max(W::default() - over)
}
