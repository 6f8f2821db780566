//! Packets of silence for sound that begins late, has holes or ends early: written bit by bit, since a copy has no encoder.

use super::codecs::Codec;

/// Object type of AAC-LC in AudioSpecificConfig.
const LOW_COMPLEXITY: u8 = 2;
/// Elements of a packet of AAC (ISO/IEC 14496-3, table 4.85).
const SINGLE: u32 = 0;
const PAIR: u32 = 1;
const LOW_FREQUENCIES: u32 = 3;
const END: u32 = 7;

/// A packet of silence that fits between those of a codec; `first`: one of them. `None`: there is none that is known.
pub fn packet(codec: &Codec, first: &[u8]) -> Option<Vec<u8>> {
    match codec {
        Codec::Aac { record } => aac(record),
        Codec::Mp3 => mp3(first),
        _ => None,
    }
}

/// What the speakers of a channel configuration are made of (table 1.19).
fn elements(channels: u8) -> Option<&'static [u32]> {
    Some(match channels {
        1 => &[SINGLE],
        2 => &[PAIR],
        3 => &[SINGLE, PAIR],
        4 => &[SINGLE, PAIR, SINGLE],
        5 => &[SINGLE, PAIR, PAIR],
        6 => &[SINGLE, PAIR, PAIR, LOW_FREQUENCIES],
        7 => &[SINGLE, PAIR, PAIR, PAIR, LOW_FREQUENCIES],
        _ => return None,
    })
}

/// A raw_data_block in which no band has a line.
fn aac(record: &[u8]) -> Option<Vec<u8>> {
    let (first, second) = (*record.first()?, *record.get(1)?);
    // frameLengthFlag: packets of 960 samples.
    let is_short = second & 4 != 0;
    if first >> 3 != LOW_COMPLEXITY || is_short {
        return None;
    }
    let mut bits = Bits::default();
    let mut seen = [0u32; 4];
    for element in elements(second >> 3 & 0xf)? {
        bits.put(*element, 3);
        let number = seen.get_mut(usize::try_from(*element).ok()?)?;
        bits.put(*number, 4);
        *number += 1;
        if *element == PAIR {
            // No common window.
            bits.put(0, 1);
            channel(&mut bits);
        }
        channel(&mut bits);
    }
    bits.put(END, 3);
    Some(bits.bytes)
}

/// individual_channel_stream: gain, a long window without bands, no pulses, no noise shaping, no gain control.
fn channel(bits: &mut Bits) {
    bits.put(0, 8);
    bits.put(0, 1 + 2 + 1 + 6 + 1);
    bits.put(0, 3);
}

/// Bit rates in kbit/s and sample rates in Hz of layer III (ISO/IEC 11172-3; halves and quarters: 13818-3 and its extension).
const KBPS: [usize; 15] = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
const LOW_KBPS: [usize; 15] = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];
const RATES: [usize; 3] = [44_100, 48_000, 32_000];

/// The header of another packet, and nothing behind it: no side information means no lines.
fn mp3(first: &[u8]) -> Option<Vec<u8>> {
    let &[sync, second, third, fourth] = first.first_chunk::<4>()?;
    if sync != 0xff || second & 0xe6 != 0xe2 {
        return None;
    }
    let (version, rate) = (second >> 3 & 3, usize::from(third >> 2 & 3));
    let kbps = if version == 3 { KBPS } else { LOW_KBPS };
    let kbps = *kbps.get(usize::from(third >> 4))?;
    let halvings = match version {
        3 => 0,
        2 => 1,
        0 => 2,
        _ => return None,
    };
    let samples = if version == 3 { 1152 } else { 576 };
    let size = samples / 8 * kbps * 1000 / (RATES.get(rate)? >> halvings);
    let mut packet = vec![0; size];
    // Without a checksum and without a byte of padding.
    let head = [sync, second | 1, third & !2, fourth];
    packet.get_mut(..4)?.copy_from_slice(&head);
    Some(packet)
}

/// Writes bits, the most significant first; the last byte is filled with zeros.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    used: u32,
}

impl Bits {
    fn put(&mut self, value: u32, count: u32) {
        for place in (0..count).rev() {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            if let Some(last) = self.bytes.last_mut() {
                *last |= ((value >> place & 1) as u8) << (7 - self.used % 8);
            }
            self.used += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_has_the_form_of_its_neighbours() {
        let aac = |record: [u8; 2]| {
            let codec = Codec::Aac { record: record.into() };
            packet(&codec, &[])
        };
        // One channel: 3 + 4 + 8 + 11 + 3 bits and the end.
        assert_eq!(aac([0x11, 0x88]).map(|packet| packet.len()), Some(4));
        assert_eq!(aac([0x11, 0x90]).map(|packet| packet.len()), Some(7));
        assert_eq!(aac([0x29, 0x90]), None, "spectral band replication needs more");
        let header = [0xff, 0xfb, 0x92, 0x64, 1, 2, 3];
        let silent = packet(&Codec::Mp3, &header).unwrap();
        assert_eq!((silent.len(), &silent[..6]), (417, [0xff, 0xfb, 0x90, 0x64, 0, 0].as_slice()));
        assert_eq!(packet(&Codec::Ac3, &[0x0b, 0x77]), None);
    }
}
