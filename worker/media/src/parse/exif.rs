//! How the Exif part of a still picture says that it is to be turned: of JPEG, PNG and WebP.

use std::io::{self, Read, Seek, SeekFrom};

use super::shown::Turn;

/// Parts of a file that are looked at; real ones have a few dozen.
const MOST_PARTS: usize = 4096;
/// The largest Exif part: JPEG holds no larger one.
const MOST_BYTES: u64 = 64 << 10;
/// What stands in front of Exif in a JPEG, and in some WebPs.
const PREFIX: &[u8] = b"Exif\0\0";
const ORIENTATION: u32 = 0x0112;

/// How the picture is to be turned; not at all where nothing is told.
pub fn turn(file: &mut (impl Read + Seek)) -> io::Result<Turn> {
    let head = read(file, 0, 12)?;
    let part = if head.starts_with(b"\xff\xd8") {
        of_jpeg(file)?
    } else if head.starts_with(b"\x89PNG") {
        of_png(file)?
    } else if head.starts_with(b"RIFF") && head.ends_with(b"WEBP") {
        of_webp(file)?
    } else {
        None
    };
    let orientation = part.as_deref().and_then(orientation);
    Ok(orientation.map(by_number).unwrap_or_default())
}

/// Up to so many bytes from a place.
fn read(file: &mut (impl Read + Seek), at: u64, length: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(at))?;
    let mut bytes = Vec::new();
    file.take(length.min(MOST_BYTES)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Segments follow each other until the picture's data.
fn of_jpeg(file: &mut (impl Read + Seek)) -> io::Result<Option<Vec<u8>>> {
    const APPLICATION_1: u8 = 0xe1;
    const START_OF_SCAN: u8 = 0xda;
    let mut at = 2;
    for _ in 0..MOST_PARTS {
        let head = read(file, at, 4)?;
        let [0xff, marker, high, low] = head[..] else { return Ok(None) };
        let length = u64::from(u16::from_be_bytes([high, low]));
        match marker {
            0xff => at += 1,
            START_OF_SCAN => return Ok(None),
            APPLICATION_1 => {
                let body = read(file, at + 4, length.saturating_sub(2))?;
                if let Some(exif) = body.strip_prefix(PREFIX) {
                    return Ok(Some(exif.to_vec()));
                }
                at += 2 + length.max(2);
            }
            _ => at += 2 + length.max(2),
        }
    }
    Ok(None)
}

fn of_png(file: &mut (impl Read + Seek)) -> io::Result<Option<Vec<u8>>> {
    let mut at = 8;
    for _ in 0..MOST_PARTS {
        let head = read(file, at, 8)?;
        let Some((length, kind)) = head.split_first_chunk::<4>() else {
            return Ok(None);
        };
        let length = u64::from(u32::from_be_bytes(*length));
        match kind {
            b"eXIf" => return read(file, at + 8, length).map(Some),
            [_, _, _, _] if kind != b"IEND" => at += 12 + length,
            _ => return Ok(None),
        }
    }
    Ok(None)
}

fn of_webp(file: &mut (impl Read + Seek)) -> io::Result<Option<Vec<u8>>> {
    let mut at = 12;
    for _ in 0..MOST_PARTS {
        let head = read(file, at, 8)?;
        let Some((kind, length)) = head.split_first_chunk::<4>() else {
            return Ok(None);
        };
        let Ok(length) = length.try_into().map(u32::from_le_bytes) else {
            return Ok(None);
        };
        let length = u64::from(length);
        if kind == b"EXIF" {
            let body = read(file, at + 8, length)?;
            return Ok(Some(body.strip_prefix(PREFIX).map(<[u8]>::to_vec).unwrap_or(body)));
        }
        // Chunks begin on even places.
        at += 8 + length + length % 2;
    }
    Ok(None)
}

/// The orientation in the first directory of TIFF's structure (TIFF 6.0, section 2).
fn orientation(tiff: &[u8]) -> Option<u32> {
    let is_little = match tiff.get(..4)? {
        b"II*\0" => true,
        b"MM\0*" => false,
        _ => return None,
    };
    let number = |at: usize, bytes: usize| {
        let place = tiff.get(at..at.checked_add(bytes)?)?;
        let add = |sum: u32, byte: &u8| sum << 8 | u32::from(*byte);
        Some(match is_little {
            true => place.iter().rev().fold(0, add),
            false => place.iter().fold(0, add),
        })
    };
    let directory = number(4, 4)? as usize;
    let entries = number(directory, 2)? as usize;
    let place = |entry: usize| directory.checked_add(2 + entry * 12);
    let found = (0..entries).filter_map(place).find(|at| number(*at, 2) == Some(ORIENTATION))?;
    number(found.checked_add(8)?, 2)
}

/// Exif 2.3, 4.6.4, "Orientation".
fn by_number(orientation: u32) -> Turn {
    let (mirrored, rotation_deg) = match orientation {
        2 => (true, 0),
        3 => (false, 180),
        4 => (true, 180),
        5 => (true, 270),
        6 => (false, 90),
        7 => (true, 90),
        8 => (false, 270),
        _ => (false, 0),
    };
    Turn { mirrored, rotation_deg }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// A directory that says an orientation behind another tag.
    fn tiff(orientation: u16, is_little: bool) -> Vec<u8> {
        let short = |value: u16| if is_little { value.to_le_bytes() } else { value.to_be_bytes() };
        let long = |value: u32| if is_little { value.to_le_bytes() } else { value.to_be_bytes() };
        let mut bytes = if is_little { b"II*\0".to_vec() } else { b"MM\0*".to_vec() };
        bytes.extend(long(8));
        bytes.extend(short(2));
        for (tag, value) in [(0x010f, 1), (0x0112, orientation)] {
            bytes.extend([short(tag), short(3)].concat());
            bytes.extend(long(1));
            bytes.extend([short(value), short(0)].concat());
        }
        bytes.extend(long(0));
        bytes
    }

    fn jpeg(exif: &[u8]) -> Vec<u8> {
        let mut bytes = b"\xff\xd8\xff\xe0\0\x04ab\xff\xff\xe1".to_vec();
        bytes.extend((exif.len() as u16 + 8).to_be_bytes());
        bytes.extend([PREFIX, exif, b"\xff\xda\0\x02"].concat());
        bytes
    }

    fn png(exif: &[u8]) -> Vec<u8> {
        let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\x02IDATab\0\0\0\0".to_vec();
        bytes.extend((exif.len() as u32).to_be_bytes());
        bytes.extend([b"eXIf", exif, b"\0\0\0\0"].concat());
        bytes
    }

    fn webp(exif: &[u8]) -> Vec<u8> {
        let mut bytes = b"RIFF\0\0\0\0WEBPVP8 \x03\0\0\0abc\0EXIF".to_vec();
        bytes.extend((exif.len() as u32).to_le_bytes());
        bytes.extend(exif);
        bytes
    }

    fn turned(bytes: &[u8]) -> (bool, i32) {
        let turn = turn(&mut Cursor::new(bytes)).unwrap();
        (turn.mirrored, turn.rotation_deg)
    }

    #[test]
    fn every_orientation_of_every_format_is_read() {
        let wanted = [
            (false, 0),
            (true, 0),
            (false, 180),
            (true, 180),
            (true, 270),
            (false, 90),
            (true, 90),
            (false, 270),
        ];
        for (number, wanted) in (1..).zip(wanted) {
            let exif = tiff(number, number % 2 == 0);
            for file in [jpeg(&exif), png(&exif), webp(&exif), webp(&[PREFIX, &exif].concat())] {
                assert_eq!(turned(&file), wanted, "{number}");
            }
        }
    }

    #[test]
    fn a_file_cut_anywhere_is_not_turned_or_as_it_says() {
        let exif = tiff(6, false);
        for file in [jpeg(&exif), png(&exif), webp(&exif)] {
            for length in 0..file.len() {
                let (mirrored, rotation) = turned(&file[..length]);
                assert!(!mirrored && [0, 90].contains(&rotation));
            }
        }
        assert_eq!(turned(b"GIF89a"), (false, 0));
    }
}
