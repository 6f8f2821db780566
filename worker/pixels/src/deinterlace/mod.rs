//! A whole picture out of the field that it begins with: its lines stay as they are, those of the other field are made anew.

mod lines;

use crate::Plane;
use lines::{Line, Missing, Wide};

/// The deepest values that the narrow numbers hold.
const NARROW_BITS: u32 = 12;

/// The same plane of a picture of two fields and of those beside it, as far as there are any.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'a> {
    pub before: Option<Plane<'a>>,
    pub own: Plane<'a>,
    pub behind: Option<Plane<'a>>,
    /// Whether its first field is that of the topmost line.
    pub top_first: bool,
}

/// Makes pictures; keeps what it needs from one to the next.
#[derive(Debug, Default)]
pub struct Deinterlacer {
    narrow: Missing<i16>,
    wide: Missing<i32>,
}

impl Deinterlacer {
    /// Writes a plane. `bits`: of a value; `stride`: bytes from line to line of what is written.
    pub fn plane(&mut self, fields: &Fields, bits: u32, to: &mut [u8], stride: usize) {
        if bits <= NARROW_BITS {
            write(fields, to, stride, &mut self.narrow);
        } else {
            write(fields, to, stride, &mut self.wide);
        }
    }
}

fn write<W: Wide>(fields: &Fields, to: &mut [u8], stride: usize, missing: &mut Missing<W>) {
    let own = &fields.own;
    let kept = usize::from(!fields.top_first);
    let alone = fields.before.or(fields.behind).is_none();
    for (number, target) in to.chunks_mut(stride.max(1)).take(own.height).enumerate() {
        let source = own.line(number);
        let Some(target) = target.get_mut(..source.len()) else { continue };
        if number % 2 == kept || own.height < 2 {
            target.copy_from_slice(source);
            continue;
        }
        look_around(fields, number as isize, missing);
        let values = if alone { missing.along_edges() } else { missing.with_time() };
        write_values(target, values, own.bytes);
    }
}

/// Loads what stands around a missing line.
fn look_around<W: Wide>(fields: &Fields, number: isize, missing: &mut Missing<W>) {
    let around = &mut missing.around;
    let own = &fields.own;
    // At an edge there is a kept line on one side only.
    let up = if number == 0 { 1 } else { number - 1 };
    let down = if number + 1 == own.height as isize {
        number - 1
    } else {
        number + 1
    };
    // Where only one of the pictures beside is there, it stands for both.
    let beside = fields.before.or(fields.behind).zip(fields.behind.or(fields.before));
    for (place, line) in [up, down].into_iter().enumerate() {
        load(own, line, &mut around.kept[place]);
        if let Some((before, behind)) = &beside {
            load(before, line, &mut around.before[place]);
            load(behind, line, &mut around.behind[place]);
        }
    }
    if beside.is_some() {
        // The field before that of the missing lines is in the picture before, the one behind it in this picture.
        for (place, field) in [fields.before.as_ref().unwrap_or(own), own].into_iter().enumerate() {
            load(field, number, &mut around.own[place]);
            load(field, number - 2, &mut around.above[place]);
            load(field, number + 2, &mut around.below[place]);
        }
    }
}

/// A line; beyond the edges the nearest one of its field.
fn load<W: Wide>(plane: &Plane, number: isize, line: &mut Line<W>) {
    let height = plane.height as isize;
    let inside = match number {
        ..0 => number.rem_euclid(2),
        _ if number >= height => height - 2 + (number - height).rem_euclid(2),
        _ => number,
    };
    line.load(plane.line(usize::try_from(inside).unwrap_or(0)), plane.bytes, plane.values);
}

fn write_values<W: Wide>(target: &mut [u8], values: &[W], bytes: usize) {
    if bytes == 1 {
        for (target, value) in target.iter_mut().zip(values) {
            *target = value.value() as u8;
        }
        return;
    }
    for (target, value) in target.chunks_exact_mut(2).zip(values) {
        target.copy_from_slice(&value.value().to_le_bytes());
    }
}

#[cfg(test)]
mod tests;
