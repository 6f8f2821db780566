//! Moves the index (moov) of an MP4 in front of the media, by our own pass over the file: cheaper than the muxer's.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use crate::isobmff::{self, FileBox, be32, be64, boxed, rebuilt};

/// Bytes that a slow disk writes in a few seconds.
const COPIED_AT_ONCE: u64 = 16 << 20;

/// Rewrites the file by a temporary one beside it; does nothing when moov already stands in front. Adjusts stco and co64. `tick`: to be called
/// while bytes move.
pub fn move_index_first(path: &Path, tick: &dyn Fn()) -> io::Result<()> {
    move_changed_index_first(path, Ok, tick)
}

/// The same with another index, which `change` makes of the one that stands behind the media.
pub fn move_changed_index_first(path: &Path, change: impl FnOnce(Vec<u8>) -> io::Result<Vec<u8>>, tick: &dyn Fn()) -> io::Result<()> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    let boxes = isobmff::top_level(&mut file, size)?;
    let find = |kind: &[u8; 4]| boxes.iter().find(|found| found.kind == *kind).copied();
    let (Some(moov), Some(mdat)) = (find(b"moov"), find(b"mdat")) else {
        return Err(invalid("the file has no index or no media"));
    };
    if moov.start < mdat.start {
        return Ok(());
    }
    if boxes.iter().any(|found| found.missing(size) > 0) {
        return Err(invalid("the file ends inside a box"));
    }
    let body = change(isobmff::read_body(&mut file, &moov)?)?;
    let index = shifted_index(&body, mdat.start, moov.start)?;
    let target = Replacement::beside(path)?;
    write_reordered(&mut file, &boxes, &mdat, &index, (&target, tick))?;
    target.replace(path)
}

/// The whole new moov box: grown to 64-bit offsets where the shift needs them, every offset into the moved media shifted.
fn shifted_index(body: &[u8], moved_from: u64, moved_to: u64) -> io::Result<Vec<u8>> {
    let mut wide = false;
    loop {
        let length = 8 + rebuild(
            body,
            &Shift {
                by: 0,
                from: moved_from,
                to: moved_to,
                wide,
            },
            0,
        )?
        .len() as u64;
        let shift = Shift {
            by: length,
            from: moved_from,
            to: moved_to,
            wide,
        };
        match rebuild(body, &shift, 0) {
            Ok(new_body) => return boxed(b"moov", &new_body),
            Err(error) if error.kind() == io::ErrorKind::OutOfMemory || wide => return Err(error),
            Err(_) => wide = true,
        }
    }
}

struct Shift {
    by: u64,
    from: u64,
    to: u64,
    /// Whether 32-bit offsets become 64-bit ones.
    wide: bool,
}

impl Shift {
    fn apply(&self, offset: u64) -> u64 {
        if (self.from..self.to).contains(&offset) {
            offset.saturating_add(self.by)
        } else {
            offset
        }
    }
}

const CONTAINERS: [&[u8; 4]; 5] = [b"trak", b"mdia", b"minf", b"stbl", b"moov"];
/// moov, trak, mdia, minf, stbl.
const MAX_DEPTH: usize = 6;

fn rebuild(body: &[u8], shift: &Shift, depth: usize) -> io::Result<Vec<u8>> {
    rebuilt(body, &mut |found| match &found.kind {
        b"stco" if shift.wide => boxed(b"co64", &wide_offsets(found.body, shift)?).map(Some),
        b"stco" => boxed(b"stco", &narrow_offsets(found.body, shift)?).map(Some),
        b"co64" => boxed(b"co64", &moved_wide_offsets(found.body, shift)?).map(Some),
        kind if depth < MAX_DEPTH && CONTAINERS.contains(&kind) => boxed(kind, &rebuild(found.body, shift, depth + 1)?).map(Some),
        _ => Ok(None),
    })
}

/// Version, flags and number of entries; the number must fit the box.
fn table_head(body: &[u8], entry_bytes: usize) -> io::Result<(&[u8], usize)> {
    let entries = be32(body, 4).ok_or_else(|| invalid("an offset table is too short"))? as usize;
    let fits = entries.checked_mul(entry_bytes).is_some_and(|bytes| bytes <= body.len() - 8);
    if !fits {
        return Err(invalid("an offset table is too short"));
    }
    Ok((&body[..8], entries))
}

fn narrow_offsets(body: &[u8], shift: &Shift) -> io::Result<Vec<u8>> {
    let (head, entries) = table_head(body, 4)?;
    let mut out = head.to_vec();
    for entry in 0..entries {
        let moved = shift.apply(u64::from(be32(body, 8 + entry * 4).unwrap_or(0)));
        let narrow = u32::try_from(moved).map_err(|_| invalid("an offset does not fit 32 bits"))?;
        out.extend_from_slice(&narrow.to_be_bytes());
    }
    Ok(out)
}

fn wide_offsets(body: &[u8], shift: &Shift) -> io::Result<Vec<u8>> {
    let (head, entries) = table_head(body, 4)?;
    let mut out = head.to_vec();
    for entry in 0..entries {
        let moved = shift.apply(u64::from(be32(body, 8 + entry * 4).unwrap_or(0)));
        out.extend_from_slice(&moved.to_be_bytes());
    }
    Ok(out)
}

fn moved_wide_offsets(body: &[u8], shift: &Shift) -> io::Result<Vec<u8>> {
    let (head, entries) = table_head(body, 8)?;
    let mut out = head.to_vec();
    for entry in 0..entries {
        out.extend_from_slice(&shift.apply(be64(body, 8 + entry * 8).unwrap_or(0)).to_be_bytes());
    }
    Ok(out)
}

fn write_reordered(
    file: &mut File,
    boxes: &[FileBox],
    first_media: &FileBox,
    index: &[u8],
    (target, tick): (&Replacement, &dyn Fn()),
) -> io::Result<()> {
    let mut out = &target.file;
    for found in boxes.iter().filter(|found| found.kind != *b"moov") {
        if found.start == first_media.start {
            out.write_all(index)?;
        }
        file.seek(SeekFrom::Start(found.start))?;
        let mut left = found.end - found.start;
        while left > 0 {
            let length = left.min(COPIED_AT_ONCE);
            // On Linux the kernel copies, without a turn through our memory.
            if io::copy(&mut (&*file).take(length), &mut out)? < length {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            left -= length;
            tick();
        }
    }
    Ok(())
}

/// A file that takes another one's place whole, or not at all.
struct Replacement {
    path: PathBuf,
    file: File,
    done: bool,
}

impl Replacement {
    fn beside(path: &Path) -> io::Result<Self> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".faststart");
        let path = path.with_file_name(name);
        let file = File::create(&path)?;
        Ok(Self { path, file, done: false })
    }

    fn replace(mut self, path: &Path) -> io::Result<()> {
        fs::rename(&self.path, path)?;
        self.done = true;
        Ok(())
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        if !self.done {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn invalid(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
        isobmff::boxed(kind, body).unwrap()
    }

    fn moov(table_kind: &[u8; 4], entries: &[u8], count: u32) -> Vec<u8> {
        let mut table = vec![0; 4];
        table.extend_from_slice(&count.to_be_bytes());
        table.extend_from_slice(entries);
        let stbl = boxed(b"stbl", &boxed(table_kind, &table));
        boxed(b"trak", &boxed(b"mdia", &boxed(b"minf", &stbl)))
    }

    #[test]
    fn offsets_that_outgrow_32_bits_become_wide() {
        let body = moov(b"stco", &0xffff_fff0u32.to_be_bytes(), 1);
        let index = shifted_index(&body, 100, u64::MAX).unwrap();
        let table = isobmff::descendant(&index[8..], &[b"trak", b"mdia", b"minf", b"stbl", b"co64"]).unwrap();
        assert_eq!(be64(table, 8).unwrap(), 0xffff_fff0 + index.len() as u64);
    }

    #[test]
    fn only_offsets_into_the_moved_media_are_shifted() {
        let entries: Vec<u8> = [50u32, 100, 900].iter().flat_map(|offset| offset.to_be_bytes()).collect();
        let body = moov(b"stco", &entries, 3);
        let index = shifted_index(&body, 100, 900).unwrap();
        let table = isobmff::descendant(&index[8..], &[b"trak", b"mdia", b"minf", b"stbl", b"stco"]).unwrap();
        let found: Vec<_> = (0..3).map(|entry| be32(table, 8 + entry * 4).unwrap()).collect();
        assert_eq!(found, [50, 100 + index.len() as u32, 900]);
    }

    #[test]
    fn a_table_that_lies_about_its_length_is_refused_and_the_file_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lies.mp4");
        let mut bytes = boxed(b"ftyp", b"isom");
        bytes.extend(boxed(b"mdat", b"media"));
        bytes.extend(boxed(b"moov", &moov(b"stco", &[0, 0], 1000)));
        fs::write(&path, &bytes).unwrap();
        assert!(move_index_first(&path, &|| ()).is_err());
        assert_eq!(fs::read(&path).unwrap(), bytes);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
