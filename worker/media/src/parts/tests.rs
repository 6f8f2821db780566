//! Parsers of parts, on bytes made by hand.

use std::io::Write;

use super::*;

fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut bytes = (body.len() as u32 + 8).to_be_bytes().to_vec();
    bytes.extend_from_slice(kind);
    bytes.extend_from_slice(body);
    bytes
}

/// Ranges that are asked for one after the other, of a file that is there as far as it was asked for.
fn asked(bytes: &[u8]) -> Vec<Range<u64>> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    let (mut have, mut asked) = (Ranges::default(), Vec::new());
    let total = bytes.len() as u64;
    while let Verdict::Missing(range) = judge(file.path(), &have, total).unwrap() {
        assert!(range.end <= total && !range.is_empty() && asked.len() < 1000, "{range:?}");
        have.add(range.clone());
        asked.push(range);
    }
    asked
}

#[test]
fn the_index_of_an_mp4_is_found_behind_its_media() {
    let mut file = boxed(b"ftyp", b"isomisom");
    file.extend(boxed(b"mdat", &vec![7; 5 << 20]));
    let index_at = file.len() as u64;
    let chunk = (4u32 << 20).to_be_bytes();
    let table = boxed(b"stco", &[&[0, 0, 0, 0, 0, 0, 0, 1][..], &chunk].concat());
    let tables = boxed(b"stbl", &table);
    let track = boxed(b"trak", &boxed(b"mdia", &boxed(b"minf", &tables)));
    file.extend(boxed(b"moov", &[track, vec![0; 100_000]].concat()));
    let asked = asked(&file);
    assert_eq!(asked[0], 0..HEAD_BYTES);
    assert_eq!(asked[1], index_at..index_at + AHEAD_BYTES);
    assert_eq!(asked[2], index_at + AHEAD_BYTES..file.len() as u64);
    assert_eq!(asked[3], 4 << 20..(4 << 20) + PACKET_BYTES, "the first packet of the track");
    assert_eq!(asked.len(), 4);
}

#[test]
fn the_index_of_a_matroska_file_is_found_by_its_place() {
    let element = |id: &[u8], body: &[u8]| [id, &(0x0100_0000_0000_0000 | body.len() as u64).to_be_bytes(), body].concat();
    let header = element(&[0x1a, 0x45, 0xdf, 0xa3], b"matroska");
    let cues_at = 5u32 << 20;
    let place = element(&[0x53, 0xac], &cues_at.to_be_bytes());
    let seek_head = element(&[0x11, 0x4d, 0x9b, 0x74], &element(&[0x4d, 0xbb], &place));
    let mut segment = seek_head;
    segment.extend([0x1f, 0x43, 0xb6, 0x75, 0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    segment.resize(cues_at as usize, 0);
    segment.extend(element(&[0x1c, 0x53, 0xbb, 0x6b], &vec![1; 80_000]));
    segment.extend(vec![0; 3 << 20]);
    let mut file = header;
    file.extend([0x18, 0x53, 0x80, 0x67, 0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    let cues_at = u64::from(cues_at) + file.len() as u64;
    file.extend(segment);
    let asked = asked(&file);
    assert_eq!(asked[1], cues_at..cues_at + AHEAD_BYTES);
    assert_eq!(asked[2], cues_at + AHEAD_BYTES..cues_at + 12 + 80_000);
    assert_eq!(asked[3], file.len() as u64 - TAIL_BYTES..file.len() as u64);
    assert_eq!(asked.len(), 4);
}

#[test]
fn nonsense_ends_the_search() {
    for head in [
        &b"\0\0\0\x08ftyp\0\0\0\x01moov\xff\xff\xff\xff\xff\xff\xff\xff"[..],
        &b"\0\0\0\x14ftypisom\0\0\0\0isom\0\0\0\0"[..],
        &b"\x1a\x45\xdf\xa3\x01\xff\xff\xff\xff\xff\xff\xff"[..],
        &b"RIFF\xff\xff\xff\xffAVI LIST\xff\xff\xff\xff"[..],
        &b"RIFF\0\0\0\0WAVEdata\0\0\0\0"[..],
        &b"fLaC\0\xff\xff\xff"[..],
        &b"ID3\x04\0\0\x7f\x7f\x7f\x7f"[..],
        &b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\0\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff"[..],
        &b""[..],
    ] {
        let mut file = head.to_vec();
        file.resize(head.len() + (4 << 20), 0x55);
        assert!(asked(&file).len() < 100);
        assert!(asked(head).len() < 4);
    }
}
