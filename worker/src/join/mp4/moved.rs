//! The same fragment of MP4 at another place and time. No I/O.

use mps_media::isobmff::{be32, be64, child, children};

use super::{
    init::boxed,
    run::{BASE_IS_MOOF, BASE_PRESENT, Defaults, OFFSET_PRESENT, Run, flags},
};

/// Where a fragment goes.
#[derive(Debug, Clone, Copy)]
pub struct Move {
    /// Number of the fragment in the joined file.
    pub sequence: u32,
    /// Position of its first byte before and after.
    pub from: u64,
    pub to: u64,
}

/// A track of a fragment: its id before and after, and its decoding time in the joined file.
#[derive(Debug, Clone, Copy)]
pub struct Renamed {
    pub from: u32,
    pub to: u32,
    pub decoded: i64,
    /// Samples that begin less than so many ticks behind the fragment's beginning are left out.
    pub cut: i64,
    pub defaults: Defaults,
}

/// The fragment at another place, with other ids and times; tracks that are not named are left out. `None`: it is damaged, or its tracks cannot be
/// told apart.
pub fn moved(moof: &[u8], tracks: &[Renamed], place: Move) -> Option<Vec<u8>> {
    let before = moof.len() as i64 + 8;
    // its data moves by what it grows, which is known when it is written
    let growth = written(moof, tracks, place, 0)?.len() as i64 - before;
    written(moof, tracks, place, growth)
}

fn written(moof: &[u8], tracks: &[Renamed], place: Move, growth: i64) -> Option<Vec<u8>> {
    let mut body = boxed(b"mfhd", &[[0; 4], place.sequence.to_be_bytes()].concat());
    let mut trafs = Vec::new();
    let (mut number, mut all_kept) = (0, true);
    for found in children(moof) {
        match &found.kind {
            b"mfhd" => {}
            b"traf" => {
                let tfhd = child(found.body, b"tfhd")?;
                let from_moof = number == 0 || flags(tfhd)? & (BASE_PRESENT | BASE_IS_MOOF) != 0;
                number += 1;
                let Some(track) = tracks.iter().find(|track| Some(track.from) == be32(tfhd, 4)) else {
                    all_kept = false;
                    continue;
                };
                // the data of such a one begins where that of the one before ends
                if !from_moof && !all_kept {
                    return None;
                }
                trafs.extend(boxed(
                    b"traf",
                    &moved_track(found.body, track, place, if from_moof { growth } else { 0 })?,
                ));
            }
            kind => body.extend(boxed(kind, found.body)),
        }
    }
    body.extend(trafs);
    Some(boxed(b"moof", &body))
}

fn moved_track(traf: &[u8], track: &Renamed, place: Move, growth: i64) -> Option<Vec<u8>> {
    let tfhd = child(traf, b"tfhd")?;
    let defaults = track.defaults.told(tfhd)?;
    let growth_of_runs = if flags(tfhd)? & BASE_PRESENT != 0 { 0 } else { growth };
    let mut cut = Cut {
        left: track.cut,
        length: 0,
    };
    let (mut runs, mut others) = (Vec::new(), Vec::new());
    for found in children(traf) {
        match &found.kind {
            b"tfhd" | b"tfdt" => {}
            b"trun" => runs.extend(boxed(b"trun", &moved_run(found.body, growth_of_runs, defaults, &mut cut)?)),
            kind => others.extend(boxed(kind, found.body)),
        }
    }
    let decoded = u64::try_from(track.decoded.checked_add(cut.length)?).ok()?;
    let mut body = boxed(b"tfhd", &moved_head(tfhd, track, place, growth)?);
    body.extend(boxed(b"tfdt", &[&[1, 0, 0, 0][..], &decoded.to_be_bytes()].concat()));
    body.extend(runs);
    body.extend(others);
    Some(body)
}

/// What is cut off the samples of a track.
struct Cut {
    /// Ticks that are still to be cut.
    left: i64,
    /// Length of what is cut.
    length: i64,
}

impl Cut {
    /// Samples of a run that go, and their bytes.
    fn take(&mut self, run: &Run) -> (u32, i64) {
        let mut gone = (0, 0);
        let mut take = |length: i64, bytes: i64, cut: &mut Self| {
            gone = (gone.0 + 1, gone.1 + bytes);
            cut.left -= length;
            cut.length += length;
        };
        if run.step > 0 {
            for (length, bytes, _) in run.samples() {
                if self.left <= 0 {
                    break;
                }
                take(length, bytes, self);
            }
        } else if run.defaults.length > 0 {
            for _ in 0..run.count {
                if self.left <= 0 {
                    break;
                }
                take(run.defaults.length.into(), run.defaults.bytes.into(), self);
            }
        }
        gone
    }
}

fn moved_head(tfhd: &[u8], track: &Renamed, place: Move, growth: i64) -> Option<Vec<u8>> {
    let mut head = tfhd.to_vec();
    head.get_mut(4..8)?.copy_from_slice(&track.to.to_be_bytes());
    if flags(tfhd)? & BASE_PRESENT != 0 {
        let base = be64(tfhd, 8)?
            .checked_sub(place.from)?
            .checked_add(place.to)?
            .checked_add_signed(growth)?;
        head.get_mut(8..16)?.copy_from_slice(&base.to_be_bytes());
    }
    Some(head)
}

fn moved_run(trun: &[u8], growth: i64, defaults: Defaults, cut: &mut Cut) -> Option<Vec<u8>> {
    let run = Run::read(trun, defaults)?;
    let (samples, bytes) = cut.take(&run);
    let has_offset = run.flags & OFFSET_PRESENT != 0;
    // without an offset the data follows that of the run before, or the head of the fragment: nothing can be left out in front of it
    if samples > 0 && !has_offset {
        return None;
    }
    let mut moved = trun.get(..Run::head(run.flags))?.to_vec();
    moved.get_mut(4..8)?.copy_from_slice(&(run.count - samples).to_be_bytes());
    if has_offset {
        let offset = i64::from(be32(trun, 8)? as i32) + growth + bytes;
        moved.get_mut(8..12)?.copy_from_slice(&i32::try_from(offset).ok()?.to_be_bytes());
    }
    moved.extend_from_slice(run.entries.get(samples as usize * run.step..)?);
    Some(moved)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::join::mp4::times::times;

    /// A fragment of one track with three samples of 10, 20 and 30 bytes and 100 ticks each, and an old head.
    fn fragment(base_is_moof: bool) -> Vec<u8> {
        let flags: u32 = if base_is_moof { BASE_IS_MOOF } else { 0 };
        let tfhd = boxed(b"tfhd", &[flags.to_be_bytes(), 7u32.to_be_bytes()].concat());
        let tfdt = boxed(b"tfdt", &[0u32.to_be_bytes(), 5000u32.to_be_bytes()].concat());
        let mut trun = [0x201u32, 3, 100].map(u32::to_be_bytes).concat();
        trun.extend([10u32, 20, 30].map(u32::to_be_bytes).concat());
        let traf = [tfhd, tfdt, boxed(b"trun", &trun)].concat();
        [boxed(b"mfhd", &[0; 8]), boxed(b"traf", &traf)].concat()
    }

    fn place() -> Move {
        Move {
            sequence: 9,
            from: 0,
            to: 1_000,
        }
    }

    #[test]
    fn fragments_keep_pointing_at_their_data() {
        let defaults = Defaults { length: 100, bytes: 0 };
        // the time has 64 bits now, and each sample that goes takes 4 bytes of the head with it
        for (cut, offset, count, decoded) in [
            (0, 104, 3, 1 << 33),
            (1, 104 + 10 - 4, 2, (1 << 33) + 100),
            (150, 104 + 30 - 8, 1, (1 << 33) + 200),
        ] {
            let renamed = Renamed {
                from: 7,
                to: 2,
                decoded: 1 << 33,
                cut,
                defaults,
            };
            let moved = moved(&fragment(true), &[renamed], place()).unwrap();
            let traf = child(&moved[8..], b"traf").unwrap();
            let trun = child(traf, b"trun").unwrap();
            assert_eq!((be32(trun, 8), be32(trun, 4)), (Some(offset), Some(count)), "{cut}");
            assert_eq!(be64(child(traf, b"tfdt").unwrap(), 4), Some(decoded));
            assert_eq!(be32(child(traf, b"tfhd").unwrap(), 4), Some(2));
        }
    }

    #[test]
    fn tracks_that_are_not_named_are_left_out() {
        let moved = moved(&fragment(true), &[], place()).unwrap();
        assert!(child(&moved[8..], b"traf").is_none());
        assert!(moved.len() < fragment(true).len());
    }

    #[test]
    fn damaged_fragments_are_no_panic() {
        let whole = fragment(false);
        for length in 0..whole.len() {
            let _times = times(&whole[..length], &[]);
            let renamed = Renamed {
                from: 7,
                to: 1,
                decoded: 0,
                cut: 5,
                defaults: Defaults::default(),
            };
            let _moved = moved(&whole[..length], &[renamed], place());
        }
    }
}
