//! Matroska and WebM: the descriptions in front of the first cluster, and those elsewhere that the index of the file names.

use super::{PACKET_BYTES, Parts, Stop};

const SEGMENT: u32 = 0x1853_8067;
const CLUSTER: u32 = 0x1f43_b675;
const SEEK_HEAD: u32 = 0x114d_9b74;
const SEEK: u32 = 0x4dbb;
const SEEK_POSITION: u32 = 0x53ac;
const ATTACHMENTS: u32 = 0x1941_a469;
/// Elements that are stepped over; each may cost a request.
const MAX_ELEMENTS: usize = 64;
/// Longest header: name and length.
const HEADER_BYTES: u64 = 12;
/// Attached files larger than this are not read: they say nothing of the streams.
const MAX_ATTACHMENT_BYTES: u64 = 4 << 20;

/// An element by position. `end` is `None` where its length is not told.
#[derive(Debug, PartialEq, Eq)]
struct Element {
    id: u32,
    body: u64,
    end: Option<u64>,
}

pub(super) fn look(parts: &mut Parts) -> Result<(), Stop> {
    let Some(segment) = segment(parts)? else { return parts.tail() };
    let mut at = segment;
    let mut named = Vec::new();
    for _ in 0..MAX_ELEMENTS {
        let Some(element) = element_at(parts, at)? else { break };
        if element.id == CLUSTER {
            parts.need(at..at + PACKET_BYTES)?;
            break;
        }
        let Some(end) = element.end else { break };
        whole(parts, &element, end)?;
        if element.id == SEEK_HEAD {
            named.extend(places(&parts.read(element.body..end)?));
        }
        at = end;
    }
    for place in named.into_iter().take(MAX_ELEMENTS) {
        let at = segment.saturating_add(place);
        let Some(element) = element_at(parts, at)?.filter(|element| element.id != CLUSTER) else {
            continue;
        };
        if let Some(end) = element.end {
            whole(parts, &element, end)?;
        }
    }
    parts.tail()
}

/// Where the segment's body begins; the file's own header stands in front of it.
fn segment(parts: &mut Parts) -> Result<Option<u64>, Stop> {
    let Some(end) = element_at(parts, 0)?.and_then(|header| header.end) else {
        return Ok(None);
    };
    let found = element_at(parts, end)?.filter(|element| element.id == SEGMENT);
    Ok(found.map(|element| element.body))
}

fn whole(parts: &Parts, element: &Element, end: u64) -> Result<(), Stop> {
    if element.id == ATTACHMENTS && end - element.body > MAX_ATTACHMENT_BYTES {
        return Ok(());
    }
    parts.index(element.body..end)
}

fn element_at(parts: &mut Parts, at: u64) -> Result<Option<Element>, Stop> {
    if at >= parts.total {
        return Ok(None);
    }
    Ok(element(&parts.header(at, HEADER_BYTES)?, at))
}

/// The element whose header these bytes begin with; `at`: where they stand.
fn element(bytes: &[u8], at: u64) -> Option<Element> {
    let id_length = length_of(*bytes.first()?).filter(|length| *length <= 4)?;
    let id = number(bytes.get(..id_length)?) as u32;
    let size = bytes.get(id_length..)?;
    let size_length = length_of(*size.first()?)?;
    let size = number(size.get(..size_length)?) & value_mask(size_length);
    let body = at + (id_length + size_length) as u64;
    let is_told = size != value_mask(size_length);
    Some(Element {
        id,
        body,
        end: is_told.then(|| body.saturating_add(size)),
    })
}

/// Bytes of a number, by its first one.
fn length_of(first: u8) -> Option<usize> {
    (first != 0).then(|| first.leading_zeros() as usize + 1)
}

fn value_mask(length: usize) -> u64 {
    (1 << (7 * length)) - 1
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// Places that an index of elements names, counted from the segment's body.
fn places(seek_head: &[u8]) -> Vec<u64> {
    let of_seek = |seek: &[u8]| {
        inside(seek)
            .into_iter()
            .find(|(id, _)| *id == SEEK_POSITION)
            .map(|(_, body)| number(body))
    };
    let entries = inside(seek_head).into_iter().filter(|(id, _)| *id == SEEK);
    entries.filter_map(|(_, body)| of_seek(body)).collect()
}

/// The elements in a body that is in memory.
fn inside(body: &[u8]) -> Vec<(u32, &[u8])> {
    let (mut at, mut found) = (0usize, Vec::new());
    while let Some(element) = body.get(at..).and_then(|rest| element(rest, at as u64)) {
        let end = element.end.and_then(|end| usize::try_from(end).ok());
        let Some((end, content)) = end.and_then(|end| Some((end, body.get(element.body as usize..end)?))) else {
            break;
        };
        found.push((element.id, content));
        at = end;
    }
    found
}
