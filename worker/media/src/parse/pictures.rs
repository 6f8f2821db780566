//! What kind of picture a packet holds: as far as the order of showing needs it of MPEG-1, MPEG-2, MPEG-4 part 2 and H.264, and whether a
//! decoder can begin with it.

/// How a picture stands among its neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Others may refer to it, and some of them may be shown before it.
    Reference,
    /// It is shown before the reference that was decoded last.
    Bidirectional,
    /// It is bidirectional, and how far it is shown before others needs more than its head.
    Reordered,
    /// Two pictures in one packet, which makers of AVI did to have no delay.
    Packed,
}

/// Start codes of pictures (ISO/IEC 13818-2, 6.2.1; ISO/IEC 14496-2, 6.2.1).
const PICTURE: u8 = 0x00;
const VOP: u8 = 0xb6;
/// Types of units of H.264 that hold the first slice of a picture.
const SLICES: [u8; 2] = [1, 5];
/// slice_type modulo 5 of slices that refer both ways.
const B_SLICE: u32 = 1;

/// The picture of a packet. `codec` as `MediaStream.codec` says it; `length_bytes`: of the lengths in front of units, `None` for start codes.
pub fn kind(codec: &str, packet: &[u8], length_bytes: Option<usize>) -> Kind {
    match codec {
        "mpeg4" => mpeg4(packet),
        "mpeg1video" | "mpeg2video" => mpeg(packet),
        "h264" => h264(packet, length_bytes),
        _ => Kind::Reference,
    }
}

/// Bytes behind each start code of a kind.
fn behind_codes(packet: &[u8], code: u8) -> impl Iterator<Item = &[u8]> {
    let at = packet.windows(4).enumerate().filter(move |(_, window)| *window == [0, 0, 1, code]);
    at.filter_map(|(at, _)| packet.get(at + 4..))
}

/// vop_coding_type: two bits; of pictures with a length, whether it is coded follows much later, so that its size must tell.
fn mpeg4(packet: &[u8]) -> Kind {
    let mut types = behind_codes(packet, VOP).filter_map(|head| head.first()).map(|byte| byte >> 6);
    match (types.next(), types.next()) {
        (_, Some(_)) => Kind::Packed,
        (Some(2), None) => Kind::Bidirectional,
        _ => Kind::Reference,
    }
}

/// picture_coding_type: three bits behind ten of temporal_reference.
fn mpeg(packet: &[u8]) -> Kind {
    let head = behind_codes(packet, PICTURE).next();
    match head.and_then(|head| head.get(1)).map(|byte| byte >> 3 & 7) {
        Some(3) => Kind::Bidirectional,
        _ => Kind::Reference,
    }
}

/// Whether a decoder of H.264 can begin with a packet: an IDR picture, or one with a recovery point (ITU-T H.264, D.2.8). Other pictures
/// of slices that refer to nothing are followed by some that refer to what was before them.
pub fn is_entry_of_h264(packet: &[u8], length_bytes: Option<usize>) -> bool {
    let mut units = units_of(packet, length_bytes);
    units.any(|unit| match unit.first().map(|header| header & 31) {
        Some(IDR) => true,
        Some(MESSAGES) => has_recovery_point(unit.get(1..).unwrap_or_default()),
        _ => false,
    })
}

/// Types of units: a slice of an IDR picture, and supplemental messages; type of the message of a recovery point.
const IDR: u8 = 5;
const MESSAGES: u8 = 6;
const RECOVERY_POINT: usize = 6;
/// Bytes of messages that are looked at: a recovery point comes before what is long.
const MOST_OF_MESSAGES: usize = 512;

fn has_recovery_point(messages: &[u8]) -> bool {
    let mut bytes = Vec::new();
    for byte in messages.iter().take(MOST_OF_MESSAGES) {
        // Behind two zeros a three only keeps start codes away.
        if !(*byte == 3 && bytes.ends_with(&[0, 0])) {
            bytes.push(*byte);
        }
    }
    let mut rest = bytes.as_slice();
    while let (Some(kind), Some(size)) = (message_number(&mut rest), message_number(&mut rest)) {
        if kind == RECOVERY_POINT {
            return true;
        }
        rest = rest.get(size..).unwrap_or_default();
    }
    false
}

/// A number of as many bytes of 255 as it needs, and a rest.
fn message_number(rest: &mut &[u8]) -> Option<usize> {
    let mut value = 0;
    loop {
        let (byte, tail) = rest.split_first()?;
        *rest = tail;
        value += usize::from(*byte);
        if *byte != 255 {
            return Some(value);
        }
    }
}

/// slice_type: the second number of a slice.
fn h264(packet: &[u8], length_bytes: Option<usize>) -> Kind {
    let slice = units_of(packet, length_bytes).find(|unit| is_slice(unit));
    let kind = slice.and_then(|unit| {
        let mut bits = Bits::new(unit.get(1..)?);
        bits.number()?;
        bits.number()
    });
    match kind {
        Some(kind) if kind % 5 == B_SLICE => Kind::Reordered,
        _ => Kind::Reference,
    }
}

fn is_slice(unit: &[u8]) -> bool {
    unit.first().is_some_and(|header| SLICES.contains(&(header & 31)))
}

/// Units of a packet; behind start codes each reaches to the packet's end.
fn units_of(packet: &[u8], length_bytes: Option<usize>) -> Box<dyn Iterator<Item = &[u8]> + '_> {
    match length_bytes {
        Some(length_bytes) => Box::new(units(packet, length_bytes)),
        None => Box::new(
            (0..packet.len())
                .filter(|at| packet.get(*at..at + 3) == Some(&[0, 0, 1]))
                .filter_map(|at| packet.get(at + 3..)),
        ),
    }
}

/// Units that stand behind their lengths.
fn units(packet: &[u8], length_bytes: usize) -> impl Iterator<Item = &[u8]> {
    let mut rest = packet;
    std::iter::from_fn(move || {
        let (length, behind) = rest.split_at_checked(length_bytes).filter(|(length, _)| !length.is_empty())?;
        let length = length.iter().fold(0usize, |sum, byte| sum << 8 | usize::from(*byte));
        let (unit, tail) = behind.split_at_checked(length).unwrap_or((behind, &[]));
        rest = tail;
        (!unit.is_empty()).then_some(unit)
    })
}

struct Bits<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Bits<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    fn bit(&mut self) -> Option<u32> {
        let byte = self.bytes.get(self.position / 8)?;
        let bit = byte >> (7 - self.position % 8) & 1;
        self.position += 1;
        Some(u32::from(bit))
    }

    /// An unsigned number in the code of Golomb.
    fn number(&mut self) -> Option<u32> {
        let mut zeros = 0u32;
        while self.bit()? == 0 {
            zeros += 1;
        }
        let rest = (0..zeros.min(31)).try_fold(0u32, |value, _| Some(value << 1 | self.bit()?))?;
        Some((1u32 << zeros.min(31)) - 1 + rest)
    }
}

/// How far the header of a picture is looked for: those of sequence and group stand in front of it.
const MOST_HEADERS: usize = 64 << 10;
const PICTURE_START: [u8; 4] = [0, 0, 1, 0];
const INTRA: u8 = 1;

/// Whether the first picture of a packet of MPEG-1 or MPEG-2 needs no other one.
pub fn is_intra_of_mpeg2(packet: &[u8]) -> bool {
    let headers = packet.get(..MOST_HEADERS).unwrap_or(packet);
    let picture = headers.windows(PICTURE_START.len()).position(|bytes| bytes == PICTURE_START);
    let kind = picture.and_then(|at| headers.get(at + PICTURE_START.len() + 1));
    kind.is_some_and(|kind| kind >> 3 & 7 == INTRA)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_of_mpeg2_that_need_no_other_are_known() {
        // Sequence, group, and a picture whose number is 2.
        let packet = |kind: u8| [0, 0, 1, 0xb3, 10, 0, 0, 1, 0xb8, 0, 8, 0, 0, 0, 0, 1, 0, 0, 0x80 | kind << 3, 0xff];
        assert!(is_intra_of_mpeg2(&packet(1)));
        assert!(!is_intra_of_mpeg2(&packet(2)) && !is_intra_of_mpeg2(&packet(3)));
        assert!(!is_intra_of_mpeg2(&[0, 0, 1, 0xb3, 10]) && !is_intra_of_mpeg2(&[0, 0, 1, 0, 0]));
    }

    #[test]
    fn types_of_pictures_are_read() {
        let vop = |kind: u8| vec![0, 0, 1, VOP, kind << 6, 1, 2];
        assert_eq!(kind("mpeg4", &vop(0), None), Kind::Reference);
        assert_eq!(kind("mpeg4", &vop(2), None), Kind::Bidirectional);
        assert_eq!(kind("mpeg4", &[vop(1), vop(2)].concat(), None), Kind::Packed);
        assert_eq!(kind("mpeg2video", &[0, 0, 1, 0, 0, 3 << 3], None), Kind::Bidirectional);
        assert_eq!(kind("mpeg2video", &[0, 0, 1, 0xb3, 0, 0, 1, 0, 0, 1 << 3], None), Kind::Reference);
        assert_eq!(kind("mjpeg", &[0xff, 0xd8], None), Kind::Reference);
    }

    #[test]
    fn decoders_begin_with_idr_pictures_and_recovery_points() {
        let by_length = |units: &[&[u8]]| {
            let with_length = |unit: &&[u8]| [&[0, 0, 0, unit.len() as u8], *unit].concat();
            is_entry_of_h264(&units.iter().flat_map(with_length).collect::<Vec<u8>>(), Some(4))
        };
        assert!(by_length(&[&[0x65, 0x88]]));
        assert!(!by_length(&[&[0x41, 0x88]]), "slices that refer to nothing are not enough");
        assert!(by_length(&[&[6, 5, 2, 0xaa, 0xbb, 6, 1, 0xc4, 0x80], &[0x41, 0x88]]));
        assert!(!by_length(&[&[6, 5, 1, 6, 0x80], &[0x41, 0x88]]));
        assert!(is_entry_of_h264(&[0, 0, 0, 1, 9, 0xf0, 0, 0, 1, 0x65, 0x88], None));
    }

    #[test]
    fn slices_of_h264_tell_whether_they_refer_both_ways() {
        // first_mb_in_slice 0, slice_type 6; then the same with slice_type 5.
        let (both_ways, forward) = (0b1001_1100, 0b1001_1000);
        let by_length = |slice: u8| vec![0, 0, 0, 2, 9, 0xf0, 0, 0, 0, 2, 0x41, slice];
        assert_eq!(kind("h264", &by_length(both_ways), Some(4)), Kind::Reordered);
        assert_eq!(kind("h264", &by_length(forward), Some(4)), Kind::Reference);
        assert_eq!(kind("h264", &[0, 0, 1, 0x41, both_ways], None), Kind::Reordered);
        assert_eq!(kind("h264", &[0, 0, 0, 99, 0x41], Some(4)), Kind::Reference);
        assert_eq!(kind("h264", &[0, 0], Some(4)), Kind::Reference);
    }
}
