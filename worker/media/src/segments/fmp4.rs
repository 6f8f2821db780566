//! Fragmented MP4 as CMAF has it: media segments of one fragment each, written from packets.
//! Decoding times of what was encoded follow from the order of showing times inside a segment: the first one is the time of its key frame,
//! so that every segment begins where it is shown, sound needs no shift, and an encoder that starts anew gives the same times. Copied film
//! keeps its decoding times, since pictures that belong before a key frame may come behind it.

use std::io::{self, Write};

use super::{Packet, boxes::Boxes, config::TrackConfig};

/// How long after it is shown a picture may be decoded on paper: this part of a second.
const LATE_PART: i64 = 10;

/// Packets of one stream in one segment, in decoding order, and the time where the next segment begins.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    pub config: &'a TrackConfig,
    pub packets: &'a [Packet],
    /// In the track's time scale; of copied film in decoding time.
    pub end: i64,
    /// Of copied film: what is taken from its decoding times, so that none is negative.
    pub first_dts: Option<i64>,
    /// Bytes in front of the first packet.
    pub lead: &'a [u8],
}

impl Part<'_> {
    /// When each packet is decoded.
    pub fn decoding_times(&self) -> Vec<i64> {
        if let Some(first) = self.first_dts {
            return self.packets.iter().map(|packet| packet.dts - first).collect();
        }
        let mut times: Vec<i64> = self.packets.iter().map(|packet| packet.pts).collect();
        times.sort_unstable();
        self.not_long_before_shown(&mut times);
        times
    }

    /// Where pictures stand for long, those that are shown before others would be decoded long after they are shown. Players that take
    /// figures without a sign move the whole film by that.
    fn not_long_before_shown(&self, times: &mut [i64]) {
        let most = i64::from(self.config.timescale) / LATE_PART;
        let mut soonest = i64::MAX;
        for (time, packet) in times.iter_mut().zip(self.packets).rev() {
            soonest = soonest.min(packet.pts);
            *time = (*time).min(soonest + most);
        }
        let mut last = i64::MIN;
        for time in times {
            *time = (*time).max(last.saturating_add(1));
            last = *time;
        }
    }

    /// Where its last packet has been decoded, in the same times.
    pub fn decoded_end(&self) -> i64 {
        self.end - self.first_dts.unwrap_or(0)
    }

    /// Bytes of each packet.
    fn sizes(&self) -> impl Iterator<Item = usize> {
        let lead = std::iter::once(self.lead.len()).chain(std::iter::repeat(0));
        self.packets.iter().zip(lead).map(|(packet, lead)| packet.data.size() + lead)
    }
}

/// Writes one segment of a track: styp, moof, mdat; gives where its fragment begins, and how many bytes from there hold the first picture.
/// `sequence` grows by one from segment to segment.
pub fn write(into: &mut impl Write, sequence: u32, part: &Part) -> io::Result<(usize, usize)> {
    let mut boxes = Boxes::default();
    boxes.put(b"styp", |boxes| {
        boxes.bytes(b"msdh");
        boxes.u32(0);
        for brand in [b"msdh", b"cmfs"] {
            boxes.bytes(brand);
        }
    });
    let fragment = boxes.0.len();
    let mut offset = 0;
    boxes.put(b"moof", |boxes| {
        boxes.full(b"mfhd", 0, 0, |boxes| boxes.u32(sequence));
        offset = traf(boxes, part);
    });
    let media: u64 = part.sizes().map(|size| size as u64).sum();
    let moof = boxes.0.len() - fragment;
    let head = media_head(&mut boxes, media);
    boxes.patch(offset, (moof + head) as u32);
    into.write_all(&boxes.0)?;
    into.write_all(part.lead)?;
    for packet in part.packets {
        into.write_all(&packet.data.read()?)?;
    }
    Ok((fragment, moof + head + part.sizes().next().unwrap_or(0)))
}

/// The head of mdat; gives its length. Media of 4 GiB and more need a wide one.
fn media_head(boxes: &mut Boxes, media: u64) -> usize {
    match u32::try_from(media + 8) {
        Ok(size) => {
            boxes.u32(size);
            boxes.bytes(b"mdat");
            8
        }
        Err(_) => {
            boxes.u32(1);
            boxes.bytes(b"mdat");
            boxes.u64(media + 16);
            16
        }
    }
}

/// Depends on nothing; others depend on it.
const SYNC_SAMPLE: u32 = 0x0200_0000;
/// Depends on others, and is no sync sample.
const OTHER_SAMPLE: u32 = 0x0101_0000;

/// Gives the place of the data's offset, which is known later.
fn traf(boxes: &mut Boxes, part: &Part) -> usize {
    let mut place = 0;
    let times = part.decoding_times();
    boxes.put(b"traf", |boxes| {
        boxes.full(b"tfhd", 0, 0x02_0000, |boxes| boxes.u32(1));
        let base = times.first().copied().unwrap_or(0);
        boxes.full(b"tfdt", 1, 0, |boxes| boxes.u64(base.max(0) as u64));
        let flags = if part.config.is_video { 0xf01 } else { 0x701 };
        boxes.full(b"trun", 1, flags, |boxes| {
            boxes.u32(part.packets.len() as u32);
            place = boxes.0.len();
            boxes.u32(0);
            let ends = times.iter().skip(1).copied().chain([part.decoded_end()]);
            for (((packet, size), time), end) in part.packets.iter().zip(part.sizes()).zip(&times).zip(ends) {
                boxes.u32((end - time).max(0) as u32);
                boxes.u32(size as u32);
                boxes.u32(if packet.key { SYNC_SAMPLE } else { OTHER_SAMPLE });
                if part.config.is_video {
                    boxes.u32((packet.pts - time) as i32 as u32);
                }
            }
        });
    });
    place
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_not_decoded_long_after_they_are_shown() {
        let packets = [0, 30, 10, 20, 40].map(|pts| Packet { pts, ..Packet::default() });
        let config = TrackConfig {
            timescale: 20,
            ..TrackConfig::default()
        };
        let part = Part {
            config: &config,
            packets: &packets,
            end: 50,
            first_dts: None,
            lead: &[],
        };
        assert_eq!(part.decoding_times(), [0, 10, 12, 22, 40]);
    }

    #[test]
    fn media_of_four_gibibytes_have_a_wide_head() {
        let head = |media: u64| {
            let mut boxes = Boxes::default();
            (media_head(&mut boxes, media), boxes.0)
        };
        assert_eq!(head(0xffff_fff7), (8, b"\xff\xff\xff\xffmdat".to_vec()));
        assert_eq!(head(0xffff_fff8), (16, b"\0\0\0\x01mdat\0\0\0\x01\0\0\0\x08".to_vec()));
    }
}
