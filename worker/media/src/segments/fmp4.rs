//! Fragmented MP4 as CMAF has it: an initialisation segment and media segments of one fragment each, written from packets.
//! Decoding times of what was encoded follow from the order of showing times inside a segment: the first one is the time of its key frame,
//! so that every segment begins where it is shown, sound needs no shift, and an encoder that starts anew gives the same times. Copied film
//! keeps its decoding times, since pictures that belong before a key frame may come behind it.

use super::{Packet, boxes::Boxes, config::TrackConfig};

/// A finished media segment.
#[derive(Debug)]
pub struct Segment {
    pub bytes: Vec<u8>,
    /// Where its first fragment begins, and how many bytes from there hold the first picture.
    pub first_picture: (usize, usize),
}

/// Packets of one track in one segment, in decoding order, and the time where the next segment begins.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    pub config: &'a TrackConfig,
    pub packets: &'a [Packet],
    /// In the track's time scale; of copied film in decoding time.
    pub end: i64,
    /// Of copied film: what is taken from its decoding times, so that none is negative.
    pub first_dts: Option<i64>,
}

/// ftyp and moov of the tracks, numbered from 1.
pub fn init(tracks: &[&TrackConfig]) -> Vec<u8> {
    let mut boxes = Boxes::default();
    boxes.put(b"ftyp", |boxes| {
        boxes.bytes(b"iso6");
        boxes.u32(0);
        for brand in [b"iso6", b"cmfc", b"dash", b"mp41"] {
            boxes.bytes(brand);
        }
    });
    boxes.put(b"moov", |boxes| {
        boxes.full(b"mvhd", 0, 0, |boxes| {
            for value in [0, 0, 1000, 0, 0x0001_0000] {
                boxes.u32(value);
            }
            boxes.u16(0x0100);
            boxes.zeros(10);
            matrix(boxes);
            boxes.zeros(24);
            boxes.u32(tracks.len() as u32 + 1);
        });
        for (number, track) in (1..).zip(tracks) {
            trak(boxes, number, track);
        }
        boxes.put(b"mvex", |boxes| {
            for (number, _) in (1..).zip(tracks) {
                boxes.full(b"trex", 0, 0, |boxes| {
                    for value in [number, 1, 0, 0, 0] {
                        boxes.u32(value);
                    }
                });
            }
        });
    });
    boxes.0
}

fn matrix(boxes: &mut Boxes) {
    for value in [0x0001_0000, 0, 0, 0, 0x0001_0000, 0, 0, 0, 0x4000_0000] {
        boxes.u32(value);
    }
}

fn trak(boxes: &mut Boxes, number: u32, track: &TrackConfig) {
    boxes.put(b"trak", |boxes| {
        boxes.full(b"tkhd", 0, 3, |boxes| {
            for value in [0, 0, number, 0, 0] {
                boxes.u32(value);
            }
            boxes.zeros(8);
            boxes.u16(0);
            boxes.u16(u16::from(!track.is_video) << 8);
            boxes.u16(u16::from(!track.is_video) << 8);
            boxes.u16(0);
            matrix(boxes);
            boxes.u32((track.width as u32) << 16);
            boxes.u32((track.height as u32) << 16);
        });
        boxes.put(b"mdia", |boxes| mdia(boxes, track));
    });
}

fn mdia(boxes: &mut Boxes, track: &TrackConfig) {
    boxes.full(b"mdhd", 0, 0, |boxes| {
        for value in [0, 0, track.timescale, 0] {
            boxes.u32(value);
        }
        boxes.u16(packed_language(&track.language));
        boxes.u16(0);
    });
    boxes.full(b"hdlr", 0, 0, |boxes| {
        boxes.u32(0);
        boxes.bytes(if track.is_video { b"vide" } else { b"soun" });
        boxes.zeros(12);
        boxes.bytes(if track.is_video { b"video\0" } else { b"sound\0" });
    });
    if !track.language.is_empty() {
        boxes.full(b"elng", 0, 0, |boxes| {
            boxes.bytes(track.language.as_bytes());
            boxes.u8(0);
        });
    }
    boxes.put(b"minf", |boxes| {
        if track.is_video {
            boxes.full(b"vmhd", 0, 1, |boxes| boxes.zeros(8));
        } else {
            boxes.full(b"smhd", 0, 0, |boxes| boxes.zeros(4));
        }
        boxes.put(b"dinf", |boxes| {
            boxes.full(b"dref", 0, 0, |boxes| {
                boxes.u32(1);
                boxes.full(b"url ", 0, 1, |_| {});
            });
        });
        boxes.put(b"stbl", |boxes| {
            boxes.full(b"stsd", 0, 0, |boxes| {
                boxes.u32(1);
                boxes.bytes(&track.sample_entry);
            });
            boxes.full(b"stts", 0, 0, |boxes| boxes.u32(0));
            boxes.full(b"stsc", 0, 0, |boxes| boxes.u32(0));
            boxes.full(b"stsz", 0, 0, |boxes| boxes.zeros(8));
            boxes.full(b"stco", 0, 0, |boxes| boxes.u32(0));
        });
    });
}

/// Three letters in 15 bits; "und" for anything else, which `elng` then says in full.
fn packed_language(language: &str) -> u16 {
    let letters = language.as_bytes();
    let letters = if letters.len() == 3 && letters.iter().all(u8::is_ascii_lowercase) {
        letters
    } else {
        b"und"
    };
    letters.iter().fold(0, |packed, letter| packed << 5 | u16::from(letter - 0x60))
}

/// One segment: styp, moof, mdat. `sequence` grows by one from segment to segment.
pub fn segment(sequence: u32, parts: &[Part]) -> Segment {
    let mut boxes = Boxes::default();
    boxes.put(b"styp", |boxes| {
        boxes.bytes(b"msdh");
        boxes.u32(0);
        for brand in [b"msdh", b"msix", b"cmfs"] {
            boxes.bytes(brand);
        }
    });
    let moof_start = boxes.0.len();
    let mut offsets = Vec::with_capacity(parts.len());
    boxes.put(b"moof", |boxes| {
        boxes.full(b"mfhd", 0, 0, |boxes| boxes.u32(sequence));
        for (number, part) in (1..).zip(parts).filter(|(_, part)| !part.packets.is_empty()) {
            offsets.push(traf(boxes, number, part));
        }
    });
    let mut data = boxes.0.len() + 8 - moof_start;
    let filled = parts.iter().filter(|part| !part.packets.is_empty());
    for (offset, part) in offsets.into_iter().zip(filled.clone()) {
        boxes.patch(offset, data as u32);
        data += part.packets.iter().map(|packet| packet.data.len()).sum::<usize>();
    }
    let first = filled
        .clone()
        .next()
        .and_then(|part| part.packets.first())
        .map_or(0, |packet| packet.data.len());
    let first_picture = (moof_start, boxes.0.len() + 8 - moof_start + first);
    boxes.put(b"mdat", |boxes| {
        for packet in filled.flat_map(|part| part.packets) {
            boxes.bytes(&packet.data);
        }
    });
    Segment {
        bytes: boxes.0,
        first_picture,
    }
}

/// Depends on nothing; others depend on it.
const SYNC_SAMPLE: u32 = 0x0200_0000;
/// Depends on others, and is no sync sample.
const OTHER_SAMPLE: u32 = 0x0101_0000;

/// Gives the place of the data's offset, which is known later.
fn traf(boxes: &mut Boxes, number: u32, part: &Part) -> usize {
    let mut place = 0;
    let times = decoding_times(part);
    let end = part.end - part.first_dts.unwrap_or(0);
    boxes.put(b"traf", |boxes| {
        boxes.full(b"tfhd", 0, 0x02_0000, |boxes| boxes.u32(number));
        let base = times.first().copied().unwrap_or(0);
        boxes.full(b"tfdt", 1, 0, |boxes| boxes.u64(base.max(0) as u64));
        let flags = if part.config.is_video { 0xf01 } else { 0x701 };
        boxes.full(b"trun", 1, flags, |boxes| {
            boxes.u32(part.packets.len() as u32);
            place = boxes.0.len();
            boxes.u32(0);
            let ends = times.iter().skip(1).copied().chain([end]);
            for ((packet, time), end) in part.packets.iter().zip(&times).zip(ends) {
                boxes.u32((end - time).max(0) as u32);
                boxes.u32(packet.data.len() as u32);
                boxes.u32(if packet.key { SYNC_SAMPLE } else { OTHER_SAMPLE });
                if part.config.is_video {
                    boxes.u32((packet.pts - time) as i32 as u32);
                }
            }
        });
    });
    place
}

/// When each packet is decoded.
fn decoding_times(part: &Part) -> Vec<i64> {
    if let Some(first) = part.first_dts {
        return part.packets.iter().map(|packet| packet.dts - first).collect();
    }
    let mut times: Vec<i64> = part.packets.iter().map(|packet| packet.pts).collect();
    times.sort_unstable();
    times
}
