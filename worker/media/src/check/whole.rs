//! A quick check for pictures of a series: size and end of the file, without decoding. Some of a series are decoded besides.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

use mps_proto::v1::MediaInfo;
use mps_proto::worker::v1::Failure;

use super::{CHECK_DEADLINE_OF_PICTURE, Expectation, check_output, refused};
use crate::probe;

/// Every so many pictures one is decoded; the first and the last always are.
const DECODED_EVERY: usize = 100;
const TAIL_BYTES: u64 = 8;

/// Checks the pictures of a series, all of one kind; gives what each contains. `tick`: to be called after each.
pub fn check_series<'a>(
    paths: impl ExactSizeIterator<Item = &'a Path>,
    expected: &Expectation,
    tick: &dyn Fn(),
) -> Result<Vec<MediaInfo>, Failure> {
    let last = paths.len().saturating_sub(1);
    let mut found: Vec<MediaInfo> = Vec::with_capacity(paths.len());
    for (number, path) in paths.enumerate() {
        let like = found.last().filter(|_| number % DECODED_EVERY != 0 && number != last);
        let media = match like {
            Some(like) => MediaInfo {
                size_bytes: whole(path, expected).map_err(|problem| refused(&problem))?,
                ..like.clone()
            },
            None => check_output(path, expected, CHECK_DEADLINE_OF_PICTURE, tick)?,
        };
        found.push(media);
        tick();
    }
    Ok(found)
}

/// Bytes of a picture that has the right size and its end.
fn whole(path: &Path, expected: &Expectation) -> Result<i64, String> {
    let unreadable = |error: io::Error| format!("it cannot be read: {error}");
    let size = probe::picture_size(path).ok_or("its header does not tell its size")?;
    let wanted = (expected.width_px as u32, expected.height_px as u32);
    if size != wanted {
        return Err(format!("its picture is {}x{}, not {}x{}", size.0, size.1, wanted.0, wanted.1));
    }
    let mut file = File::open(path).map_err(unreadable)?;
    let length = file.metadata().map_err(unreadable)?.len();
    let mut head = [0; 8];
    file.read_exact(&mut head).map_err(unreadable)?;
    let mut tail = Vec::new();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES))).map_err(unreadable)?;
    file.read_to_end(&mut tail).map_err(unreadable)?;
    if !has_end(head, &tail, length) {
        return Err("its end is missing".into());
    }
    i64::try_from(length).map_err(|_| "it is too large".into())
}

fn has_end(head: [u8; 8], tail: &[u8], length: u64) -> bool {
    match head {
        [0xff, 0xd8, ..] => tail.ends_with(&[0xff, 0xd9]),
        [0x89, b'P', b'N', b'G', ..] => tail.starts_with(b"IEND"),
        [b'R', b'I', b'F', b'F', size @ ..] => u64::from(u32::from_le_bytes(size)) + 8 == length,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_picture_has_no_end() {
        assert!(has_end([0xff, 0xd8, 0xff, 0xe0, 0, 0, 0, 0], &[0, 0, 0, 0, 0, 0, 0xff, 0xd9], 100));
        assert!(!has_end([0xff, 0xd8, 0xff, 0xe0, 0, 0, 0, 0], &[0; 8], 100));
        assert!(has_end(*b"\x89PNG\r\n\x1a\n", b"IEND\xaeB\x60\x82", 100));
        assert!(has_end(*b"RIFF\x5c\0\0\0", &[0; 8], 100));
        assert!(!has_end(*b"RIFF\x5c\0\0\0", &[0; 8], 99));
    }
}
