//! The table of samples of an MP4's track (ISO/IEC 14496-12, 8.6 and 8.7): how far in the file its data reach, and which part of them is there.

use crate::isobmff::{be32, be64, child};

/// What a table says of a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reach {
    /// Where the last of the samples' bytes ends.
    pub end: u64,
    /// Decoding time of the first sample that is not whole in the file, in ticks of the track's clock; `None`: all are there.
    pub missing_from: Option<u64>,
}

/// Reads the table of a track; `stbl`: its body. `None` where it holds no samples, or contradicts itself.
pub fn reach(stbl: &[u8], file_bytes: u64) -> Option<Reach> {
    let sizes = Sizes::of(stbl)?;
    let offsets = Offsets::of(stbl)?;
    let mut runs = Runs::of(child(stbl, b"stsc")?);
    let (mut sample, mut end, mut missing) = (0u64, 0u64, None::<u64>);
    for chunk in 0..offsets.count() {
        let mut at = offsets.get(chunk)?;
        let samples = runs.samples_of(chunk as u64)?.min(sizes.count.saturating_sub(sample));
        for number in sample..sample + samples {
            at = at.checked_add(sizes.get(number)?)?;
            if at > file_bytes {
                missing = Some(missing.map_or(number, |missing| missing.min(number)));
            }
        }
        end = end.max(at);
        sample += samples;
    }
    (sample > 0).then(|| Reach {
        end,
        missing_from: missing.map(|missing| decoded_at(stbl, missing)),
    })
}

/// Sizes of samples, in bytes: one for all, or a table.
struct Sizes<'a> {
    count: u64,
    all: u32,
    table: &'a [u8],
    /// Bits of an entry.
    bits: usize,
}

impl<'a> Sizes<'a> {
    fn of(stbl: &'a [u8]) -> Option<Self> {
        if let Some(body) = child(stbl, b"stsz") {
            return Some(Self {
                all: be32(body, 4)?,
                count: be32(body, 8)?.into(),
                table: body.get(12..)?,
                bits: 32,
            });
        }
        let body = child(stbl, b"stz2")?;
        Some(Self {
            all: 0,
            count: be32(body, 8)?.into(),
            table: body.get(12..)?,
            bits: usize::try_from(be32(body, 4)? & 0xff).ok()?,
        })
    }

    fn get(&self, number: u64) -> Option<u64> {
        if self.all > 0 {
            return Some(self.all.into());
        }
        let number = usize::try_from(number).ok()?;
        match self.bits {
            32 => be32(self.table, number.checked_mul(4)?).map(u64::from),
            16 => Some(u16::from_be_bytes(self.table.get(number * 2..number * 2 + 2)?.try_into().ok()?).into()),
            8 => self.table.get(number).map(|size| u64::from(*size)),
            _ => self
                .table
                .get(number / 2)
                .map(|pair| u64::from(if number % 2 == 0 { pair >> 4 } else { pair & 15 })),
        }
    }
}

/// Positions of chunks.
enum Offsets<'a> {
    Short(&'a [u8]),
    Long(&'a [u8]),
}

impl<'a> Offsets<'a> {
    fn of(stbl: &'a [u8]) -> Option<Self> {
        match child(stbl, b"stco") {
            Some(body) => body.get(8..).map(Self::Short),
            None => child(stbl, b"co64")?.get(8..).map(Self::Long),
        }
    }

    fn count(&self) -> usize {
        match self {
            Self::Short(table) => table.len() / 4,
            Self::Long(table) => table.len() / 8,
        }
    }

    fn get(&self, chunk: usize) -> Option<u64> {
        match self {
            Self::Short(table) => be32(table, chunk * 4).map(u64::from),
            Self::Long(table) => be64(table, chunk * 8),
        }
    }
}

/// How many samples chunks have, asked for in their order.
struct Runs<'a> {
    table: &'a [u8],
    at: usize,
}

impl<'a> Runs<'a> {
    fn of(stsc: &'a [u8]) -> Self {
        Self {
            table: stsc.get(8..).unwrap_or_default(),
            at: 0,
        }
    }

    fn samples_of(&mut self, chunk: u64) -> Option<u64> {
        // Chunks count from 1 there.
        while be32(self.table, self.at + 12).is_some_and(|first| u64::from(first) <= chunk + 1) {
            self.at += 12;
        }
        be32(self.table, self.at + 4).map(u64::from)
    }
}

fn decoded_at(stbl: &[u8], sample: u64) -> u64 {
    let (mut left, mut ticks) = (sample, 0u64);
    let table = child(stbl, b"stts").and_then(|body| body.get(8..)).unwrap_or_default();
    for run in table.chunks_exact(8) {
        let (count, step) = (u64::from(be32(run, 0).unwrap_or(0)), u64::from(be32(run, 4).unwrap_or(0)));
        let taken = count.min(left);
        ticks = ticks.saturating_add(taken.saturating_mul(step));
        left -= taken;
    }
    ticks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(kind: &[u8; 4], numbers: &[u32]) -> Vec<u8> {
        let mut bytes = (numbers.len() as u32 * 4 + 8).to_be_bytes().to_vec();
        bytes.extend(kind);
        numbers.iter().for_each(|number| bytes.extend(number.to_be_bytes()));
        bytes
    }

    /// Two chunks of two samples and one of one, 10 bytes each, at 100, 200 and 300.
    fn table() -> Vec<u8> {
        [
            boxed(b"stts", &[0, 1, 5, 40]),
            boxed(b"stsc", &[0, 2, 1, 2, 1, 3, 1, 1]),
            boxed(b"stsz", &[0, 0, 5, 10, 10, 10, 10, 10]),
            boxed(b"stco", &[0, 3, 100, 200, 300]),
        ]
        .concat()
    }

    #[test]
    fn the_first_sample_that_is_not_whole_is_found() {
        let missing = |bytes: u64| reach(&table(), bytes).unwrap().missing_from;
        assert_eq!(
            reach(&table(), 310).unwrap(),
            Reach {
                end: 310,
                missing_from: None
            }
        );
        assert_eq!(missing(309), Some(160));
        assert_eq!(missing(215), Some(120));
        assert_eq!(missing(50), Some(0));
    }

    #[test]
    fn tables_cut_anywhere_tell_less_or_nothing() {
        let whole = table();
        for length in 0..whole.len() {
            let _ = reach(&whole[..length], 250);
        }
        let mut wild = whole;
        for at in 0..wild.len() {
            wild[at] ^= 0xff;
            let _ = reach(&wild, 250);
            wild[at] ^= 0xff;
        }
    }
}
