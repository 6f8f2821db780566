//! The pipe between supervisor and child: length-delimited messages on the child's standard input and output.

use std::io::{self, Read, Write};

use prost::Message;

/// Longest message; a plan with 50 nodes and 100 pictures each stays far below.
pub const MAX_MESSAGE: usize = 16 << 20;

/// Writes one message and flushes.
pub fn write(output: &mut impl Write, message: &impl Message) -> io::Result<()> {
    output.write_all(&message.encode_length_delimited_to_vec())?;
    output.flush()
}

/// Reads one message; `None` at the end.
pub fn read<M: Message + Default>(input: &mut impl Read) -> io::Result<Option<M>> {
    let Some(length) = read_length(input)? else {
        return Ok(None);
    };
    let mut bytes = vec![0; length];
    input.read_exact(&mut bytes)?;
    M::decode(bytes.as_slice())
        .map(Some)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

fn read_length(input: &mut impl Read) -> io::Result<Option<usize>> {
    let mut length = 0usize;
    for shift in (0..35).step_by(7) {
        let mut byte = [0];
        match input.read(&mut byte)? {
            0 if shift == 0 => return Ok(None),
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            _ => length |= usize::from(byte[0] & 0x7f) << shift,
        }
        if byte[0] & 0x80 == 0 {
            return if length <= MAX_MESSAGE {
                Ok(Some(length))
            } else {
                Err(io::ErrorKind::InvalidData.into())
            };
        }
    }
    Err(io::ErrorKind::InvalidData.into())
}
