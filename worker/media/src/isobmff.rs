//! Reads the box structure of MP4 and QuickTime files: bounded, and without a panic on whatever the bytes say.

use std::io::{self, Read, Seek, SeekFrom};

/// Top-level boxes that are looked at; a fragmented film has two for each fragment.
const MAX_TOP_LEVEL_BOXES: usize = 200_000;
/// Largest index that is read into memory; one of this size describes some hundred hours of film.
pub const MAX_INDEX_BYTES: u64 = 256 << 20;

/// One box of a file, by position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileBox {
    pub kind: [u8; 4],
    /// First byte of the header.
    pub start: u64,
    /// Bytes of the header.
    pub header: u64,
    /// Where the box says that it ends; past the end of the file in a truncated one.
    pub end: u64,
}

impl FileBox {
    /// Bytes that the box should have and the file lacks.
    pub fn missing(&self, file_size: u64) -> u64 {
        self.end.saturating_sub(file_size)
    }
}

/// The boxes at the top of a file, in order; ends at the first that is nonsense.
pub fn top_level(file: &mut (impl Read + Seek), file_size: u64) -> io::Result<Vec<FileBox>> {
    let mut boxes = Vec::new();
    let mut start = 0u64;
    while start.saturating_add(8) <= file_size && boxes.len() < MAX_TOP_LEVEL_BOXES {
        file.seek(SeekFrom::Start(start))?;
        let mut head = [0u8; 16];
        let got = read_up_to(file, &mut head)?;
        let Some((size, kind, header)) = parse_header(&head[..got]) else {
            break;
        };
        let end = if size == 0 { file_size } else { start.saturating_add(size) };
        boxes.push(FileBox { kind, start, header, end });
        if end <= start {
            break;
        }
        start = end;
    }
    Ok(boxes)
}

/// The body of a box of the file; refuses one that is larger than an index can be.
pub fn read_body(file: &mut (impl Read + Seek), found: &FileBox) -> io::Result<Vec<u8>> {
    let length = found.end.saturating_sub(found.start + found.header);
    if length > MAX_INDEX_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the index is too large"));
    }
    file.seek(SeekFrom::Start(found.start + found.header))?;
    let mut body = Vec::new();
    file.take(length).read_to_end(&mut body)?;
    if (body.len() as u64) < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(body)
}

fn read_up_to(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut got = 0;
    while let Some(rest) = buffer.get_mut(got..).filter(|rest| !rest.is_empty()) {
        match file.read(rest)? {
            0 => break,
            read => got += read,
        }
    }
    Ok(got)
}

/// Size (0: to the end), kind and bytes of the header.
pub(crate) fn parse_header(head: &[u8]) -> Option<(u64, [u8; 4], u64)> {
    let short = u64::from(be32(head, 0)?);
    let kind: [u8; 4] = head.get(4..8)?.try_into().ok()?;
    match short {
        0 => Some((0, kind, 8)),
        1 => be64(head, 8).filter(|size| *size >= 16).map(|size| (size, kind, 16)),
        2..=7 => None,
        size => Some((size, kind, 8)),
    }
}

/// A box inside another one that is in memory.
#[derive(Debug, Clone, Copy)]
pub struct Child<'a> {
    pub kind: [u8; 4],
    /// Position of the body in the parent's body.
    pub offset: usize,
    pub body: &'a [u8],
}

/// The boxes directly inside a body; ends at the first that does not fit.
pub struct Children<'a> {
    parent: &'a [u8],
    position: usize,
}

/// Walks the boxes directly inside a body.
pub fn children(parent: &[u8]) -> Children<'_> {
    Children { parent, position: 0 }
}

impl<'a> Iterator for Children<'a> {
    type Item = Child<'a>;

    fn next(&mut self) -> Option<Child<'a>> {
        let rest = self.parent.get(self.position..)?;
        let (size, kind, header) = parse_header(rest)?;
        let size = if size == 0 { rest.len() } else { usize::try_from(size).ok()? };
        let header = usize::try_from(header).ok()?;
        let body = rest.get(header..size)?;
        let offset = self.position + header;
        self.position += size;
        Some(Child { kind, offset, body })
    }
}

/// The first box of a kind directly inside a body.
pub fn child<'a>(parent: &'a [u8], kind: &[u8; 4]) -> Option<&'a [u8]> {
    children(parent).find(|found| found.kind == *kind).map(|found| found.body)
}

/// The box at the end of a path of kinds.
pub fn descendant<'a>(parent: &'a [u8], path: &[&[u8; 4]]) -> Option<&'a [u8]> {
    path.iter().try_fold(parent, |body, kind| child(body, kind))
}

/// A box of a kind with a body.
pub fn boxed(kind: &[u8; 4], body: &[u8]) -> io::Result<Vec<u8>> {
    let size = u32::try_from(body.len() + 8).map_err(|_| io::Error::new(io::ErrorKind::OutOfMemory, "a box is too large"))?;
    let mut out = Vec::with_capacity(body.len() + 8);
    out.extend_from_slice(&size.to_be_bytes());
    out.extend_from_slice(kind);
    out.extend_from_slice(body);
    Ok(out)
}

/// A body with some of the boxes in it replaced; `replace` gives a whole box, or `None` for one that stays as it is.
pub fn rebuilt(body: &[u8], replace: &mut dyn FnMut(&Child<'_>) -> io::Result<Option<Vec<u8>>>) -> io::Result<Vec<u8>> {
    let mut out = Vec::with_capacity(body.len());
    let mut consumed = 0;
    for found in children(body) {
        let end = found.offset + found.body.len();
        match replace(&found)? {
            Some(new) => out.extend_from_slice(&new),
            None => out.extend_from_slice(body.get(consumed..end).unwrap_or_default()),
        }
        consumed = end;
    }
    // QuickTime ends a list with four zero bytes now and then.
    out.extend_from_slice(body.get(consumed..).unwrap_or_default());
    Ok(out)
}

/// Big-endian 32 bits at a position.
pub fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    let raw = bytes.get(at..at.checked_add(4)?)?;
    raw.try_into().ok().map(u32::from_be_bytes)
}

/// Big-endian 64 bits at a position.
pub fn be64(bytes: &[u8], at: usize) -> Option<u64> {
    let raw = bytes.get(at..at.checked_add(8)?)?;
    raw.try_into().ok().map(u64::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
        let mut bytes = (body.len() as u32 + 8).to_be_bytes().to_vec();
        bytes.extend_from_slice(kind);
        bytes.extend_from_slice(body);
        bytes
    }

    #[test]
    fn sizes_of_64_bits_and_of_zero_are_understood() {
        let mut file = boxed(b"ftyp", b"isom");
        file.extend_from_slice(&[0, 0, 0, 1]);
        file.extend_from_slice(b"free");
        file.extend_from_slice(&20u64.to_be_bytes());
        file.extend_from_slice(b"abcd");
        file.extend_from_slice(&[0, 0, 0, 0]);
        file.extend_from_slice(b"mdatxyz");
        let size = file.len() as u64;
        let found = top_level(&mut Cursor::new(file), size).unwrap();
        let kinds: Vec<_> = found.iter().map(|found| found.kind).collect();
        assert_eq!(kinds, [*b"ftyp", *b"free", *b"mdat"]);
        assert_eq!(found[1].end - found[1].start, 20);
        assert_eq!(found[2].end, size);
    }

    #[test]
    fn a_box_past_the_end_says_what_is_missing() {
        let mut file = 1000u32.to_be_bytes().to_vec();
        file.extend_from_slice(b"mdat1234");
        let found = top_level(&mut Cursor::new(file), 12).unwrap();
        assert_eq!(found[0].missing(12), 988);
    }

    #[test]
    fn children_that_do_not_fit_end_the_walk() {
        let mut body = boxed(b"mvhd", b"12");
        body.extend_from_slice(&[0, 0, 1, 0]);
        body.extend_from_slice(b"trak");
        assert_eq!(children(&body).count(), 1);
        assert!(child(&body, b"trak").is_none());
    }
}
