//! How a film is shown: turned, mirrored, cut, and in which order its fields come; and how an MP4 or QuickTime file says so, of which the
//! demuxer leaves much out.

use crate::isobmff::{be32, child};

/// What stands in front of the boxes of a picture's sample description: those of the table, of the description, and of a picture's.
const DESCRIPTION_AT: usize = 8;
const BOXES_AT: usize = DESCRIPTION_AT + 8 + 78;

/// How a film is shown; what is not told is the default.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Shown {
    pub turn: Turn,
    /// Pixels around the part that is shown.
    pub edges: Edges,
    /// `None`: not told.
    pub fields: Option<Fields>,
}

/// How a picture is turned for display.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Turn {
    /// Left and right change places, before the rotation.
    pub mirrored: bool,
    /// Clockwise degrees: 0, 90, 180 or 270.
    pub rotation_deg: i32,
}

/// Pixels that are cut away on each side of the coded picture.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Edges {
    pub left: i32,
    pub right: i32,
    pub top: i32,
    pub bottom: i32,
}

impl Edges {
    /// Those of a picture; none where nothing sensible would be left.
    pub fn of_picture(self, width: i32, height: i32) -> Self {
        let across = self.left.saturating_add(self.right);
        let down = self.top.saturating_add(self.bottom);
        let are_inside = [self.left, self.right, self.top, self.bottom].iter().all(|side| *side >= 0);
        // Less than half is a mistake, not a border.
        let is_sensible = are_inside && across <= width / 2 && down <= height / 2;
        if is_sensible { self } else { Self::default() }
    }

    /// For pictures of fields: lines stay in their fields, in every subsampling.
    pub fn of_fields(self) -> Self {
        Self {
            top: self.top - self.top % 4,
            bottom: self.bottom - self.bottom % 4,
            ..self
        }
    }
}

/// How fields make pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fields {
    /// A picture is a frame.
    None,
    TopFirst,
    BottomFirst,
}

/// Of a track's header and its table of sample descriptions.
pub fn read(tkhd: &[u8], stsd: &[u8]) -> Shown {
    let length = be32(stsd, DESCRIPTION_AT).map_or(0, |length| length as usize);
    let boxes = stsd.get(BOXES_AT..DESCRIPTION_AT.saturating_add(length)).unwrap_or_default();
    Shown {
        turn: matrix(tkhd).map(turn).unwrap_or_default(),
        edges: clean_aperture(stsd, boxes).unwrap_or_default(),
        fields: child(boxes, b"fiel").and_then(fields),
    }
}

/// The part of the matrix that turns: how x and y of the picture become those of the screen.
fn matrix(tkhd: &[u8]) -> Option<[i32; 4]> {
    let at = if tkhd.first() == Some(&1) { 52 } else { 40 };
    let value = |number: usize| Some(be32(tkhd, at + number * 4)? as i32);
    Some([value(0)?, value(1)?, value(3)?, value(4)?])
}

/// The nearest of the eight ways to lay a rectangle.
fn turn([a, b, c, d]: [i32; 4]) -> Turn {
    let size = |value: i32| u64::from(value.unsigned_abs());
    let (mirrored, rotation_deg) = if size(a) + size(d) >= size(b) + size(c) {
        match (a < 0, d < 0) {
            (false, false) => (false, 0),
            (true, true) => (false, 180),
            (true, false) => (true, 0),
            (false, true) => (true, 180),
        }
    } else {
        match (b < 0, c < 0) {
            (false, true) => (false, 90),
            (true, false) => (false, 270),
            (true, true) => (true, 90),
            (false, false) => (true, 270),
        }
    };
    Turn { mirrored, rotation_deg }
}

/// The clean aperture (ISO/IEC 14496-12, 12.1.4): a part of the picture by its size and how far its middle is from the picture's.
fn clean_aperture(stsd: &[u8], boxes: &[u8]) -> Option<Edges> {
    let clap = child(boxes, b"clap")?;
    let ratio = |number: usize| {
        let den = f64::from(be32(clap, number * 8 + 4)? as i32);
        (den != 0.0).then_some(f64::from(be32(clap, number * 8)? as i32) / den)
    };
    let size = be32(stsd, BOXES_AT - 54)?;
    let side = |whole: u32, part: f64, offset: f64| {
        let whole = f64::from(whole);
        // On an even place, where colours begin too.
        let before = (((whole - part) / 2.0 + offset) / 2.0).floor() * 2.0;
        (before as i32, (whole - part - before).round() as i32)
    };
    let (left, right) = side(size >> 16, ratio(0)?, ratio(2)?);
    let (top, bottom) = side(size & 0xffff, ratio(1)?, ratio(3)?);
    let edges = Edges { left, right, top, bottom };
    Some(edges.of_picture((size >> 16) as i32, (size & 0xffff) as i32))
}

/// Number of fields, and their order (QuickTime File Format, "Field handling").
fn fields(fiel: &[u8]) -> Option<Fields> {
    match fiel {
        [1, ..] => Some(Fields::None),
        [2, 1 | 9, ..] => Some(Fields::TopFirst),
        [2, 6 | 14, ..] => Some(Fields::BottomFirst),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_eight_matrices_are_told_apart() {
        let one = 1 << 16;
        let found = [
            [one, 0, 0, one],
            [0, one, -one, 0],
            [-one, 0, 0, -one],
            [0, -one, one, 0],
            [-one, 0, 0, one],
            [0, -one, -one, 0],
            [one, 0, 0, -one],
            [0, one, one, 0],
        ]
        .map(|matrix| (turn(matrix).mirrored, turn(matrix).rotation_deg));
        let (plain, mirrored) = ([0, 90, 180, 270].map(|deg| (false, deg)), [0, 90, 180, 270].map(|deg| (true, deg)));
        assert_eq!(found[..4], plain);
        assert_eq!(found[4..], mirrored);
    }

    #[test]
    fn boxes_of_the_description_are_found_or_left_out() {
        let mut description = vec![0; BOXES_AT];
        description[BOXES_AT - 54..BOXES_AT - 50].copy_from_slice(&[2, 208, 2, 64]);
        let mut boxes = [0, 0, 0, 10].to_vec();
        boxes.extend(b"fiel");
        boxes.extend([2, 14]);
        boxes.extend([0, 0, 0, 40]);
        boxes.extend(b"clap");
        for value in [703, 1, 576, 1, 1, 2, 0, 1] {
            boxes.extend(i32::to_be_bytes(value));
        }
        let length = (BOXES_AT - DESCRIPTION_AT + boxes.len()) as u32;
        description[DESCRIPTION_AT..DESCRIPTION_AT + 4].copy_from_slice(&length.to_be_bytes());
        description.extend(boxes);
        let shown = read(&[], &description);
        let edges = Edges {
            left: 8,
            right: 9,
            ..Edges::default()
        };
        assert_eq!((shown.fields, shown.edges), (Some(Fields::BottomFirst), edges));
        for length in 0..description.len() {
            let cut = read(&[], &description[..length]);
            assert!(cut.edges == Edges::default() || cut.edges == edges);
        }
    }

    #[test]
    fn a_border_that_leaves_nothing_is_none() {
        let edges = Edges {
            left: 300,
            right: 100,
            ..Edges::default()
        };
        assert_eq!(edges.of_picture(720, 576), Edges::default());
        assert_eq!(Edges { left: -2, ..edges }.of_picture(9000, 9000), Edges::default());
        assert_eq!(edges.of_picture(1920, 1080), edges);
        let lines = Edges {
            top: 6,
            bottom: 9,
            ..edges
        };
        assert_eq!((lines.of_fields().top, lines.of_fields().bottom), (4, 8));
    }
}
