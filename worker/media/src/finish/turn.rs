//! How a picture is turned for display, as the matrix of a track header says it (ISO/IEC 14496-12, 8.3.2). Pure.

/// Mirrored first, then turned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Turn {
    /// Whether left and right change places.
    pub mirrored: bool,
    /// Clockwise degrees: 0, 90, 180 or 270.
    pub rotation_deg: i32,
}

/// Of a matrix, in 16.16; of its last column in 2.30.
const ONE: i32 = 0x0001_0000;
const LAST: i32 = 0x4000_0000;

impl Turn {
    /// Whether the picture stands as it is coded.
    pub fn is_none(self) -> bool {
        self == Self::default()
    }

    /// The matrix of a track whose coded picture has this size in pixels.
    pub fn matrix(self, (width, height): (i32, i32)) -> [i32; 9] {
        let (a, b, c, d) = match self.rotation_deg {
            90 => (0, 1, -1, 0),
            180 => (-1, 0, 0, -1),
            270 => (0, -1, 1, 0),
            _ => (1, 0, 0, 1),
        };
        let (a, b) = if self.mirrored { (-a, -b) } else { (a, b) };
        // So that the picture lies where both axes are positive.
        let shift = |x: i32, y: i32| (-(x * width).min(0) - (y * height).min(0)).saturating_mul(ONE);
        [a * ONE, b * ONE, 0, c * ONE, d * ONE, 0, shift(a, c), shift(b, d), LAST]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(mirrored: bool, rotation_deg: i32) -> [i32; 6] {
        let [a, b, _, c, d, _, x, y, _] = Turn { mirrored, rotation_deg }.matrix((320, 180));
        [a, b, c, d, x, y].map(|value| value / ONE)
    }

    #[test]
    fn the_picture_is_turned_and_stays_where_it_is_seen() {
        assert_eq!(matrix(false, 0), [1, 0, 0, 1, 0, 0]);
        assert_eq!(matrix(false, 90), [0, 1, -1, 0, 180, 0]);
        assert_eq!(matrix(false, 180), [-1, 0, 0, -1, 320, 180]);
        assert_eq!(matrix(false, 270), [0, -1, 1, 0, 0, 320]);
        assert_eq!(matrix(true, 0), [-1, 0, 0, 1, 320, 0]);
        assert_eq!(matrix(true, 90), [0, -1, -1, 0, 180, 320]);
    }
}
