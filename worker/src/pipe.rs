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

#[cfg(test)]
mod tests {
    use mps_proto::worker::v1::{ChildBeat, ChildOrder, ChildReport, child_report::Report};

    use super::*;

    fn order() -> ChildOrder {
        ChildOrder {
            input_path: "/x".repeat(300),
            ..Default::default()
        }
    }

    #[test]
    fn messages_come_out_as_they_went_in_until_the_end() {
        let mut bytes = Vec::new();
        let beat = ChildReport {
            report: Some(Report::Beat(ChildBeat {})),
        };
        write(&mut bytes, &beat).unwrap();
        write(&mut bytes, &beat).unwrap();
        write(&mut bytes, &ChildReport::default()).unwrap();
        let mut input = bytes.as_slice();
        assert_eq!(read::<ChildReport>(&mut input).unwrap(), Some(beat.clone()));
        assert_eq!(read::<ChildReport>(&mut input).unwrap(), Some(beat));
        assert_eq!(read::<ChildReport>(&mut input).unwrap(), Some(ChildReport::default()));
        assert_eq!(read::<ChildReport>(&mut input).unwrap(), None);
    }

    #[test]
    fn message_that_ends_early_is_an_error() {
        let mut bytes = Vec::new();
        write(&mut bytes, &order()).unwrap();
        for length in 1..bytes.len() {
            assert!(read::<ChildOrder>(&mut &bytes[..length]).is_err(), "{length}");
        }
        assert_eq!(read::<ChildOrder>(&mut bytes.as_slice()).unwrap(), Some(order()));
    }

    #[test]
    fn length_beyond_the_bound_is_refused_before_it_is_allocated() {
        for bytes in [&[0xff, 0xff, 0xff, 0xff, 0x0f][..], &[0xff; 10][..]] {
            assert_eq!(read::<ChildOrder>(&mut &*bytes).unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
    }
}
