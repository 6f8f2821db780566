//! Captions in H.264 and H.265: CEA-608 and CEA-708 as ATSC A/53 part 4 puts them into messages of the picture.

use super::nal::{Kind, Syntax, units, without_emulation};

/// Which captions were seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Captions {
    /// CEA-608.
    pub line21: bool,
    /// CEA-708.
    pub digital: bool,
}

impl Captions {
    /// Those of either.
    pub fn and(self, other: Self) -> Self {
        Self {
            line21: self.line21 || other.line21,
            digital: self.digital || other.digital,
        }
    }

    /// Those of a packet; padding is none.
    pub fn of(packet: &[u8], syntax: Syntax, length_size: usize) -> Self {
        let messages = units(packet, length_size).filter(|unit| syntax.kind(unit) == Kind::Message);
        messages.fold(Self::default(), |all, unit| {
            let payload = without_emulation(unit.get(syntax.header_bytes()..).unwrap_or_default(), MOST);
            all.and(of_messages(&payload))
        })
    }
}

/// Bytes of messages that are looked at.
const MOST: usize = 4096;
/// Type of a message that a country's body registered (ITU-T T.35): the United States, ATSC, "GA94", captions.
const REGISTERED: usize = 4;
const PREFIX: [u8; 8] = [0xb5, 0, 0x31, b'G', b'A', b'9', b'4', 3];

fn of_messages(mut rest: &[u8]) -> Captions {
    let mut seen = Captions::default();
    while rest.len() > 2 {
        let (Some(kind), Some(size)) = (number(&mut rest), number(&mut rest)) else {
            break;
        };
        let Some((body, tail)) = rest.split_at_checked(size) else { break };
        if let Some(data) = body.strip_prefix(&PREFIX).filter(|_| kind == REGISTERED) {
            seen = seen.and(of_data(data));
        }
        rest = tail;
    }
    seen
}

/// A number of as many bytes of 255 as it needs, and a rest.
fn number(rest: &mut &[u8]) -> Option<usize> {
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

/// cc_data: a count, a reserved byte, and triplets of which the first byte says what the other two are.
fn of_data(data: &[u8]) -> Captions {
    let count = usize::from(data.first().copied().unwrap_or(0) & 0x1f);
    let triplets = data.get(2..).unwrap_or_default().chunks_exact(3).take(count);
    triplets.fold(Captions::default(), |seen, triplet| {
        let [head, first, second] = [0, 1, 2].map(|at| triplet.get(at).copied().unwrap_or(0));
        // A bit of both bytes of CEA-608 is parity.
        let says = match head & 3 {
            0 | 1 => (first | second) & 0x7f != 0,
            _ => first | second != 0,
        };
        let is_told = head & 4 != 0 && says;
        seen.and(Captions {
            line21: is_told && head & 3 < 2,
            digital: is_told && head & 3 >= 2,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(triplets: &[[u8; 3]]) -> Vec<u8> {
        let mut body = PREFIX.to_vec();
        body.extend([0x40 | triplets.len() as u8, 0xff]);
        body.extend(triplets.iter().flatten());
        let mut unit = vec![6, 4, body.len() as u8];
        unit.extend(body);
        unit.push(0x80);
        let mut packet = Vec::new();
        super::super::nal::put(&mut packet, &unit, 4);
        packet
    }

    #[test]
    fn captions_are_told_from_padding() {
        let seen = |triplets: &[[u8; 3]]| {
            let captions = Captions::of(&packet(triplets), Syntax::H264, 4);
            (captions.line21, captions.digital)
        };
        assert_eq!(seen(&[[0xfc, 0x80, 0x80], [0xfa, 0, 0]]), (false, false));
        assert_eq!(seen(&[[0xfc, 0x94, 0x2c]]), (true, false));
        assert_eq!(seen(&[[0xfc, 0x80, 0x80], [0xff, 2, 0x21]]), (false, true));
        assert_eq!(Captions::of(&[0, 0, 0, 2, 6, 4], Syntax::H264, 4), Captions::default());
    }
}
