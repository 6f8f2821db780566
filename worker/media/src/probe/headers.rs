//! Whether an H.264 sequence may hold fields, and the range of its colours: its parameter set says what the caps leave out.

use gst::StructureRef;

/// Profiles whose parameter set tells the chroma format.
const HIGH_PROFILES: [u8; 13] = [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135];

/// Whether the stream is coded in fields, or may be; `false` when its parameter set is not at hand.
pub fn may_hold_fields(caps: &StructureRef) -> bool {
    from_codec_data(caps, frames_only).is_some_and(|frames_only| !frames_only)
}

/// Whether an H.265 stream says that its source is interlaced (general_interlaced_source_flag of an hvcC record, ISO/IEC 14496-15).
pub fn is_of_fields(caps: &StructureRef) -> bool {
    const PROGRESSIVE: u8 = 0x80;
    const INTERLACED: u8 = 0x40;
    let Ok(codec_data) = caps.get::<gst::Buffer>("codec_data") else {
        return false;
    };
    let Ok(bytes) = codec_data.map_readable() else { return false };
    bytes.get(6).is_some_and(|flags| flags & (PROGRESSIVE | INTERLACED) == INTERLACED)
}

/// Whether its colours use the full range; `false` when it does not say.
pub fn is_full_range(caps: &StructureRef) -> bool {
    from_codec_data(caps, full_range).unwrap_or(false)
}

fn from_codec_data(caps: &StructureRef, read: fn(&[u8]) -> Option<bool>) -> Option<bool> {
    let codec_data = caps.get::<gst::Buffer>("codec_data").ok()?;
    let bytes = codec_data.map_readable().ok()?;
    first_parameter_set(&bytes).and_then(read)
}

/// The first sequence parameter set of an avcC record, without its NAL header.
fn first_parameter_set(record: &[u8]) -> Option<&[u8]> {
    let length = usize::from(u16::from_be_bytes([*record.get(6)?, *record.get(7)?]));
    record.get(9..8 + length)
}

/// frame_mbs_only_flag (H.264, 7.3.2.1.1).
fn frames_only(parameter_set: &[u8]) -> Option<bool> {
    let payload = without_emulation(parameter_set);
    up_to_frames_only(&mut Bits::of(&payload))
}

/// video_full_range_flag (H.264, E.1.1).
fn full_range(parameter_set: &[u8]) -> Option<bool> {
    /// aspect_ratio_idc: width and height follow.
    const EXTENDED_ASPECT: u32 = 255;
    let payload = without_emulation(parameter_set);
    let mut bits = Bits::of(&payload);
    if !up_to_frames_only(&mut bits)? {
        bits.take(1)?;
    }
    bits.take(1)?;
    if bits.take(1)? == 1 {
        (0..4).try_for_each(|_| bits.exp_golomb().map(|_| ()))?;
    }
    let has_usability = bits.take(1)? == 1;
    if has_usability && bits.take(1)? == 1 && bits.take(8)? == EXTENDED_ASPECT {
        bits.take(32)?;
    }
    if has_usability && bits.take(1)? == 1 {
        bits.take(1)?;
    }
    if !has_usability || bits.take(1)? == 0 {
        return Some(false);
    }
    bits.take(3)?;
    Some(bits.take(1)? == 1)
}

fn up_to_frames_only(bits: &mut Bits<'_>) -> Option<bool> {
    let profile = bits.take(8)? as u8;
    bits.take(16)?;
    bits.exp_golomb()?;
    if HIGH_PROFILES.contains(&profile) {
        skip_chroma(bits)?;
    }
    bits.exp_golomb()?;
    match bits.exp_golomb()? {
        0 => {
            bits.exp_golomb()?;
        }
        1 => {
            bits.take(1)?;
            bits.exp_golomb()?;
            bits.exp_golomb()?;
            let cycle = bits.exp_golomb()?.min(255);
            (0..cycle).try_for_each(|_| bits.exp_golomb().map(|_| ()))?;
        }
        _ => {}
    }
    bits.exp_golomb()?;
    bits.take(1)?;
    bits.exp_golomb()?;
    bits.exp_golomb()?;
    Some(bits.take(1)? == 1)
}

fn skip_chroma(bits: &mut Bits<'_>) -> Option<()> {
    let chroma = bits.exp_golomb()?;
    if chroma == 3 {
        bits.take(1)?;
    }
    bits.exp_golomb()?;
    bits.exp_golomb()?;
    bits.take(1)?;
    if bits.take(1)? == 1 {
        let lists = if chroma == 3 { 12 } else { 8 };
        for list in 0..lists {
            if bits.take(1)? == 1 {
                skip_scaling_list(bits, if list < 6 { 16 } else { 64 })?;
            }
        }
    }
    Some(())
}

fn skip_scaling_list(bits: &mut Bits<'_>, size: usize) -> Option<()> {
    let (mut last, mut next) = (8i64, 8i64);
    for _ in 0..size {
        if next != 0 {
            let code = i64::from(bits.exp_golomb()?);
            let delta = if code % 2 == 1 { (code + 1) / 2 } else { -(code / 2) };
            next = (last + delta).rem_euclid(256);
        }
        last = if next == 0 { last } else { next };
    }
    Some(())
}

fn without_emulation(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut zeros = 0;
    for byte in bytes {
        if zeros >= 2 && *byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if *byte == 0 { zeros + 1 } else { 0 };
        out.push(*byte);
    }
    out
}

struct Bits<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Bits<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    fn take(&mut self, count: usize) -> Option<u32> {
        let mut value = 0u32;
        for _ in 0..count {
            let byte = self.bytes.get(self.position / 8)?;
            value = value << 1 | u32::from(byte >> (7 - self.position % 8) & 1);
            self.position += 1;
        }
        Some(value)
    }

    fn exp_golomb(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while self.take(1)? == 0 {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        Some((1u32 << zeros) - 1 + self.take(zeros)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_set_cut_anywhere_tells_nothing() {
        let progressive = [0x64, 0, 0x0d, 0xac, 0xd9, 0x41, 0x41, 0x9f, 0x9f, 0x01, 0x10, 0, 0, 0x03, 0, 0x01];
        assert_eq!(frames_only(&progressive), Some(true));
        for length in 0..7 {
            assert_eq!(frames_only(&progressive[..length]), None);
        }
        assert_eq!(frames_only(&[0; 20]), None);
    }
}
