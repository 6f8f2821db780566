//! Initialisation sections of fragmented MP4 as CMAF has them: what a decoder must know before any segment.

use super::{boxes::Boxes, config::TrackConfig};
use crate::finish::Turn;

/// ftyp and moov of the tracks, numbered from 1. `turn`: how pictures are turned for display.
pub fn section(tracks: &[&TrackConfig], turn: Turn) -> Vec<u8> {
    let mut boxes = Boxes::default();
    boxes.put(b"ftyp", |boxes| {
        boxes.bytes(b"iso6");
        boxes.u32(0);
        // cmf2: pictures may be shown before they are decoded, by figures with a sign.
        for brand in [b"iso6", b"cmf2", b"cmfc", b"dash", b"mp41"] {
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
            matrix(boxes, Turn::default(), (0, 0));
            boxes.zeros(24);
            boxes.u32(tracks.len() as u32 + 1);
        });
        for (number, track) in (1..).zip(tracks) {
            trak(boxes, number, track, turn);
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

fn matrix(boxes: &mut Boxes, turn: Turn, size: (i32, i32)) {
    for value in turn.matrix(size) {
        boxes.bytes(&value.to_be_bytes());
    }
}

fn trak(boxes: &mut Boxes, number: u32, track: &TrackConfig, turn: Turn) {
    let turn = if track.is_video { turn } else { Turn::default() };
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
            matrix(boxes, turn, (track.width, track.height));
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
