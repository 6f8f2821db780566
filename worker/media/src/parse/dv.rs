//! The shape of the pixels of DV, which its containers do not tell.

/// Bytes of a block, and where its packs begin.
const BLOCK: usize = 80;
const PACKS_AT: usize = 3;
const PACK: usize = 5;
/// Blocks of auxiliary data of the picture, behind the header and two of subcode.
const AUXILIARY: std::ops::Range<usize> = 3..6;
/// The pack that says how the picture is shown (IEC 61834-4, "VAUX source control").
const SOURCE_CONTROL: u8 = 0x61;
/// Width of a pixel divided by its height, by the beginning of a frame; `None` where it is none.
pub fn pixel_aspect(frame: &[u8]) -> Option<(i32, i32)> {
    // The section of a header, and whether there are 576 lines.
    let is_header = frame.first()? >> 5 == 0;
    let is_tall = frame.get(3)? & 0x80 != 0;
    let control = AUXILIARY.flat_map(|block| {
        let packs = frame.get(block * BLOCK + PACKS_AT..(block + 1) * BLOCK).unwrap_or_default();
        packs.chunks_exact(PACK).collect::<Vec<_>>()
    });
    let is_wide = control
        .clone()
        .find(|pack| pack.first() == Some(&SOURCE_CONTROL))
        .is_some_and(|pack| is_wide(pack, frame.get(4).copied().unwrap_or_default()));
    is_header.then_some(match (is_tall, is_wide) {
        (true, false) => (16, 15),
        (true, true) => (64, 45),
        (false, false) => (8, 9),
        (false, true) => (32, 27),
    })
}

/// Display modes: 2 is 16:9, and 7 in tracks of consumer cameras.
fn is_wide(pack: &[u8], track: u8) -> bool {
    let mode = pack.get(2).map_or(0, |mode| mode & 7);
    mode == 2 || (mode == 7 && track & 7 == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(lines: u8, mode: u8) -> Vec<u8> {
        let mut frame = vec![0xff; AUXILIARY.end * BLOCK];
        frame[..5].copy_from_slice(&[0x1f, 7, 0, lines, 0x78]);
        frame[5 * BLOCK + PACKS_AT + 9 * PACK..][..PACK].copy_from_slice(&[SOURCE_CONTROL, 0x3f, 0xc8 | mode, 0xff, 0xff]);
        frame
    }

    #[test]
    fn lines_and_mode_of_display_give_the_shape_of_pixels() {
        assert_eq!(pixel_aspect(&frame(0xbf, 0)), Some((16, 15)));
        assert_eq!(pixel_aspect(&frame(0xbf, 2)), Some((64, 45)));
        assert_eq!(pixel_aspect(&frame(0x3f, 0)), Some((8, 9)));
        assert_eq!(pixel_aspect(&frame(0x3f, 7)), Some((32, 27)));
        assert_eq!(pixel_aspect(&[0x1f; 3]), None);
        assert_eq!(pixel_aspect(&[0xff; 480]), None);
    }
}
