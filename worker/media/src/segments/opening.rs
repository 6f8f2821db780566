//! What a copied film begins with. Nothing can be decoded before its first key frame, what is shown before that needs others, and the key
//! frame itself is shown from the beginning on: players take the first picture for the beginning of all streams. Pure.

/// Looks at the packets of a film in decoding order.
#[derive(Debug, Default)]
pub struct Opening {
    /// When the first key frame was to be shown.
    first: Option<i64>,
}

/// What becomes of a packet.
#[derive(Debug, PartialEq, Eq)]
pub enum Fate {
    Kept,
    /// It is shown so much earlier, and so much longer.
    Stretched(i64),
    Dropped,
}

impl Opening {
    pub fn fate(&mut self, pts: i64, key: bool) -> Fate {
        match self.first {
            Some(first) if pts < first => Fate::Dropped,
            Some(_) => Fate::Kept,
            None if !key => Fate::Dropped,
            None => {
                self.first = Some(pts);
                if pts > 0 { Fate::Stretched(pts) } else { Fate::Kept }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_begins_with_a_key_frame_that_is_shown_from_the_beginning() {
        let mut opening = Opening::default();
        let packets = [(0, false), (3, true), (1, false), (2, false), (4, false), (6, true), (5, false)];
        let fates: Vec<_> = packets.iter().map(|(pts, key)| opening.fate(*pts, *key)).collect();
        use Fate::{Dropped, Kept, Stretched};
        assert_eq!(fates, [Dropped, Stretched(3), Dropped, Dropped, Kept, Kept, Kept]);
        assert_eq!(Opening::default().fate(0, true), Kept);
    }
}
