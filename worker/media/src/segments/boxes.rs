//! Writing boxes of ISO base media files, and bits of codec configurations.

/// A buffer that boxes are written into.
#[derive(Debug, Default)]
pub struct Boxes(pub Vec<u8>);

impl Boxes {
    /// Writes a box whose body the closure writes: a header, far below 4 GiB; media are written behind their own head.
    pub fn put(&mut self, kind: &[u8; 4], body: impl FnOnce(&mut Self)) {
        let start = self.0.len();
        self.u32(0);
        self.0.extend_from_slice(kind);
        body(self);
        let size = u32::try_from(self.0.len() - start).unwrap_or(u32::MAX);
        self.patch(start, size);
    }

    /// A box with version and flags.
    pub fn full(&mut self, kind: &[u8; 4], version: u8, flags: u32, body: impl FnOnce(&mut Self)) {
        self.put(kind, |boxes| {
            boxes.u32(u32::from(version) << 24 | flags);
            body(boxes);
        });
    }

    pub fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub fn u16(&mut self, value: u16) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    pub fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    pub fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub fn zeros(&mut self, count: usize) {
        self.0.resize(self.0.len() + count, 0);
    }

    /// Writes 32 bits over earlier ones.
    pub fn patch(&mut self, at: usize, value: u32) {
        if let Some(place) = self.0.get_mut(at..at + 4) {
            place.copy_from_slice(&value.to_be_bytes());
        }
    }
}

/// Reads bits of a header, the most significant first; zeros behind its end.
#[derive(Debug, Clone)]
pub struct Bits<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Bits<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    pub fn read(&mut self, count: u32) -> u32 {
        (0..count).fold(0, |value, _| {
            let byte = self.bytes.get(self.position / 8).copied().unwrap_or(0);
            let bit = byte >> (7 - self.position % 8) & 1;
            self.position += 1;
            value << 1 | u32::from(bit)
        })
    }

    pub fn flag(&mut self) -> bool {
        self.read(1) == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_says_its_size_and_bits_come_most_significant_first() {
        let mut boxes = Boxes::default();
        boxes.full(b"test", 1, 2, |boxes| boxes.u16(7));
        assert_eq!(boxes.0, [0, 0, 0, 14, b't', b'e', b's', b't', 1, 0, 0, 2, 0, 7]);
        let mut bits = Bits::new(&[0b1010_0000, 0xff]);
        assert_eq!((bits.read(3), bits.read(5), bits.read(8), bits.read(4)), (5, 0, 255, 0));
    }
}
