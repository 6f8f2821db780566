//! Where the units of a stream go, and what is cut off them at the beginning of a run. No I/O.

use super::{
    packet::{Packet, unit_body},
    track::{Track, Unwrap},
    unit,
};

/// Where the packets of a PID go.
pub struct Route {
    pub track: usize,
    pub clock: Unwrap,
    /// Frames that begin earlier on the joined file's clock are left out.
    pub cut_before: Option<i64>,
    /// The unit that frames are cut off, as far as it is read: when it begins, and its bytes.
    pub cut: Option<(i64, Vec<u8>)>,
}

/// Most bytes of a unit whose beginning is cut off: a unit of sound has some thousands.
const MOST_CUT_BYTES: usize = 256 << 10;

impl Route {
    /// Packets of the unit without the frames that are cut off.
    pub fn finish_cut(&mut self, track: &mut Track) -> Vec<Packet> {
        let Some((begins, body)) = self.cut.take() else { return Vec::new() };
        let (time, rest) = unit::trimmed(&body, begins, self.cut_before.unwrap_or(i64::MIN));
        unit::packets(track, time, rest)
    }

    /// Whether the bytes belong to a unit that frames are cut off.
    pub fn cuts(&mut self, begins: Option<i64>, payload: &[u8]) -> bool {
        match (begins, self.cut_before, &mut self.cut) {
            (Some(begins), Some(before), _) if begins < before => {
                self.cut = Some((begins, unit_body(payload).to_vec()));
                true
            }
            (Some(_), _, _) => {
                self.cut_before = None;
                false
            }
            (None, _, Some((_, body))) => {
                // Frames of one unit; what goes on without a next one has none worth keeping.
                if body.len() < MOST_CUT_BYTES {
                    body.extend_from_slice(payload);
                }
                true
            }
            (None, _, None) => false,
        }
    }
}
