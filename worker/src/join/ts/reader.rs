//! Reads packets from a file; where the rhythm of packets is lost, it is looked for.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use super::packet::{Packet, SIZE, SYNC};

const CHUNK: usize = 64 * 1024;

/// The packets of a file.
pub struct Reader {
    file: File,
    buffer: Vec<u8>,
    at: usize,
    ended: bool,
}

impl Reader {
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            file: File::open(path)?,
            buffer: Vec::with_capacity(CHUNK + SIZE),
            at: 0,
            ended: false,
        })
    }

    /// The next whole packet.
    pub fn next(&mut self) -> io::Result<Option<Packet>> {
        loop {
            self.fill()?;
            let rest = self.buffer.get(self.at..).unwrap_or_default();
            let Some(bytes) = rest.first_chunk::<SIZE>() else { return Ok(None) };
            let next_fits = rest.get(SIZE).is_none_or(|byte| *byte == SYNC);
            if bytes[0] == SYNC && next_fits {
                let packet = Packet(*bytes);
                self.at += SIZE;
                return Ok(Some(packet));
            }
            self.at += 1;
        }
    }

    /// Reads on while there is less than a packet and the byte behind it.
    fn fill(&mut self) -> io::Result<()> {
        while !self.ended && self.buffer.len() - self.at <= SIZE {
            self.buffer.drain(..self.at);
            self.at = 0;
            let read = self.file.by_ref().take(CHUNK as u64).read_to_end(&mut self.buffer)?;
            self.ended = read == 0;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rhythm_is_found_again_behind_bytes_that_do_not_belong_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.ts");
        let mut packet = [0u8; SIZE];
        packet[0] = SYNC;
        let mut bytes = b"ID3 G and more".to_vec();
        for number in 0..1000u16 {
            packet[4..6].copy_from_slice(&number.to_be_bytes());
            bytes.extend_from_slice(&packet);
            if number == 500 {
                bytes.extend_from_slice(&[SYNC, 1, 2]);
            }
        }
        std::fs::write(&path, &bytes).unwrap();
        let mut reader = Reader::open(&path).unwrap();
        let mut count = 0;
        while reader.next().unwrap().is_some() {
            count += 1;
        }
        assert_eq!(count, 1000);
    }
}
