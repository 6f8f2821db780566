//! Runs of samples in a fragment of MP4 (trun), with what holds of them where they do not tell. No I/O.

use mps_media::isobmff::be32;

/// Flags of a track fragment's head: where its data begins is told; it begins at the fragment.
pub const BASE_PRESENT: u32 = 1;
pub const BASE_IS_MOOF: u32 = 0x2_0000;
/// Flag of a run: where its data begins is told.
pub const OFFSET_PRESENT: u32 = 1;

/// Flags of a box with a version.
pub fn flags(body: &[u8]) -> Option<u32> {
    Some(be32(body, 0)? & 0xff_ffff)
}

/// What holds of samples where their run does not tell: length in ticks and bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Defaults {
    pub length: u32,
    pub bytes: u32,
}

impl Defaults {
    /// With what the head of a track fragment tells.
    pub fn told(mut self, tfhd: &[u8]) -> Option<Self> {
        let flags = flags(tfhd)?;
        let mut at = 8 + if flags & BASE_PRESENT != 0 { 8 } else { 0 } + if flags & 2 != 0 { 4 } else { 0 };
        if flags & 8 != 0 {
            self.length = be32(tfhd, at)?;
            at += 4;
        }
        if flags & 0x10 != 0 {
            self.bytes = be32(tfhd, at)?;
        }
        Some(self)
    }
}

/// A run of samples.
pub struct Run<'a> {
    pub flags: u32,
    pub count: u32,
    /// What is told by sample, and bytes of that for each.
    pub entries: &'a [u8],
    pub step: usize,
    pub defaults: Defaults,
}

impl<'a> Run<'a> {
    pub fn read(trun: &'a [u8], defaults: Defaults) -> Option<Self> {
        let (flags, count) = (flags(trun)?, be32(trun, 4)?);
        let head = Self::head(flags);
        let step = [0x100, 0x200, 0x400, 0x800].into_iter().filter(|bit| flags & bit != 0).count() * 4;
        let entries = trun.get(head..head.checked_add(step.checked_mul(count as usize)?)?)?;
        Some(Self {
            flags,
            count,
            entries,
            step,
            defaults,
        })
    }

    /// Bytes in front of the entries.
    pub fn head(flags: u32) -> usize {
        8 + if flags & OFFSET_PRESENT != 0 { 4 } else { 0 } + if flags & 4 != 0 { 4 } else { 0 }
    }

    /// Length in ticks, bytes, and shift of the presentation of each sample that is told apart.
    pub fn samples(&self) -> impl Iterator<Item = (i64, i64, i64)> {
        let field = |bit: u32| self.flags & bit != 0;
        self.entries.chunks_exact(self.step.max(1)).map(move |entry| {
            let length = if field(0x100) { be32(entry, 0) } else { None };
            let bytes = if field(0x200) {
                be32(entry, if field(0x100) { 4 } else { 0 })
            } else {
                None
            };
            // signed also in version 0, where some write negative ones
            let shift = if field(0x800) { be32(entry, self.step - 4) } else { None };
            (
                length.unwrap_or(self.defaults.length).into(),
                bytes.unwrap_or(self.defaults.bytes).into(),
                i64::from(shift.unwrap_or_default() as i32),
            )
        })
    }
}
