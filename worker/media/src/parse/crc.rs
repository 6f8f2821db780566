//! The check behind sections of transport streams.

const POLYNOMIAL: u32 = 0x04c1_1db7;

/// CRC-32 of MPEG-2: all ones at first, no reflection.
pub fn crc32(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte) << 24, |crc, _| {
            let carried = crc & 1 << 31 != 0;
            crc << 1 ^ if carried { POLYNOMIAL } else { 0 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_is_that_of_the_standard() {
        assert_eq!(crc32(b"123456789"), 0x0376_e6e7);
        // Over a section with its check behind it nothing is left.
        let section = b"section";
        let whole = [&section[..], &crc32(section).to_be_bytes()].concat();
        assert_eq!(crc32(&whole), 0);
    }
}
