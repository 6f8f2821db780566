//! How long files last by their headers: WAV, AIFF, AVI, FLV, ASF and FLAC. What a header leaves open, such as one of a recording that was
//! written to a pipe, is no length.

use std::time::Duration;

use super::numbers::{be16, be32, be64, le16, le32, le64};

/// Chunks and objects that are looked at, in one file.
const MOST: usize = 10_000;

fn seconds(count: u64, rate: f64) -> Option<Duration> {
    if count == 0 || rate <= 0.0 {
        return None;
    }
    Duration::try_from_secs_f64(count as f64 / rate).ok()
}

/// A chunk of RIFF or AIFF: its name, and its body as far as it is at hand.
struct Chunk<'a> {
    name: &'a [u8],
    body: &'a [u8],
    /// As it says.
    length: u32,
}

fn chunks(bytes: &[u8], length_at: fn(&[u8], usize) -> Option<u32>) -> impl Iterator<Item = Chunk<'_>> {
    let mut at = Some(0);
    let next = move || {
        let start: usize = at?;
        let (name, length) = (bytes.get(start..start + 4)?, length_at(bytes, start + 4)?);
        let end = (start + 8).saturating_add(usize::try_from(length).ok()?);
        let body = bytes.get(start + 8..end.min(bytes.len())).unwrap_or_default();
        // Chunks stand at even places.
        at = end.checked_add(end % 2).filter(|next| *next < bytes.len());
        Some(Chunk { name, body, length })
    };
    std::iter::from_fn(next).take(MOST)
}

/// Formats of WAV in which bytes tell the time: PCM, floats, A-law, µ-law, and the extension of them.
const PLAIN: [u16; 5] = [1, 3, 6, 7, 0xfffe];

/// What a WAV file says.
struct Wav {
    rate: u32,
    bytes_per_second: u32,
    samples: Option<u64>,
    bytes: u64,
}

fn read_wav(head: &[u8]) -> Option<Wav> {
    let is_long = head.starts_with(b"RF64") || head.starts_with(b"BW64");
    let (mut format, mut long, mut samples) = (None, None, None);
    for chunk in chunks(head.get(12..)?, le32) {
        match chunk.name {
            b"ds64" => long = le64(chunk.body, 8),
            b"fmt " => format = Some((le16(chunk.body, 0)?, le32(chunk.body, 4)?, le32(chunk.body, 8)?)),
            b"fact" => samples = le32(chunk.body, 0).map(u64::from),
            b"data" => {
                let (kind, rate, bytes_per_second) = format?;
                // All ones, or what is left of them: the writer never came back to tell.
                let open = chunk.length >= u32::MAX - 0xff;
                let bytes = if open { long.filter(|_| is_long)? } else { chunk.length.into() };
                return Some(Wav {
                    rate,
                    bytes_per_second,
                    samples: samples.filter(|samples| *samples > 0 && !PLAIN.contains(&kind)),
                    bytes,
                });
            }
            _ => {}
        }
    }
    None
}

/// A WAV file: bytes of sound by bytes in a second; of compressed sound the number of its samples.
pub fn wav(head: &[u8]) -> Option<Duration> {
    let wav = read_wav(head)?;
    match wav.samples.filter(|_| wav.bytes > 0) {
        Some(samples) => seconds(samples, f64::from(wav.rate)),
        None => seconds(wav.bytes, f64::from(wav.bytes_per_second)),
    }
}

/// An AIFF file: its sample rate is a float of 80 bits.
pub fn aiff(head: &[u8]) -> Option<Duration> {
    let common = chunks(head.get(12..)?, be32).find(|chunk| chunk.name == b"COMM")?;
    let exponent = i32::from(be16(common.body, 8)? & 0x7fff) - 16_383 - 63;
    let rate = be64(common.body, 10)? as f64 * 2f64.powi(exponent);
    seconds(be32(common.body, 2)?.into(), rate)
}

/// The streams of an AVI file, each with its length.
pub fn avi(head: &[u8]) -> Vec<Option<Duration>> {
    let lists = chunks(head.get(12..).unwrap_or_default(), le32);
    let Some(header) = lists
        .into_iter()
        .find(|chunk| chunk.name == b"LIST" && chunk.body.starts_with(b"hdrl"))
    else {
        return Vec::new();
    };
    let inside = |body: &[u8]| body.get(4..).unwrap_or_default().to_vec();
    let of_streams = inside(header.body);
    let streams = chunks(&of_streams, le32).filter(|chunk| chunk.body.starts_with(b"strl"));
    streams
        .map(|list| {
            let list = inside(list.body);
            let stream = chunks(&list, le32).find(|chunk| chunk.name == b"strh")?;
            let (scale, rate) = (le32(stream.body, 20)?, le32(stream.body, 24)?);
            seconds(le32(stream.body, 32)?.into(), f64::from(rate) / f64::from(scale.max(1)))
        })
        .collect()
}

/// A Flash video: the number behind "duration" in its first tag.
pub fn flv(head: &[u8]) -> Option<Duration> {
    const NAME: &[u8] = b"\0\x08duration\0";
    let at = head.windows(NAME.len()).position(|window| window == NAME)? + NAME.len();
    let length = f64::from_bits(be64(head, at)?);
    Duration::try_from_secs_f64(length).ok().filter(|length| !length.is_zero())
}

/// A Windows Media file: the object with its properties. Broadcasts leave it open.
pub fn asf(head: &[u8]) -> Option<Duration> {
    const PROPERTIES: [u8; 8] = [0xa1, 0xdc, 0xab, 0x8c, 0x47, 0xa9, 0xcf, 0x11];
    let mut at = 30;
    for _ in 0..MOST {
        let length = usize::try_from(le64(head, at + 16)?).ok().filter(|length| *length >= 24)?;
        if head.get(at..)?.starts_with(&PROPERTIES) {
            let is_broadcast = le32(head, at + 88)? & 1 != 0;
            let (units, preroll_ms) = (le64(head, at + 64)?, le64(head, at + 80)?);
            let length = Duration::from_micros(units / 10).saturating_sub(Duration::from_millis(preroll_ms));
            return (!is_broadcast && !length.is_zero()).then_some(length);
        }
        at = at.checked_add(length)?;
    }
    None
}

/// A FLAC file: its first block; `head` begins behind tags of other kinds.
pub fn flac(head: &[u8]) -> Option<Duration> {
    let block = head.strip_prefix(b"fLaC")?.get(4..)?;
    let packed = be64(block, 10)?;
    let (rate, samples) = (packed >> 44, packed & 0xf_ffff_ffff);
    seconds(samples, rate as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(name: &[u8; 4], body: &[u8]) -> Vec<u8> {
        [&name[..], &(body.len() as u32).to_le_bytes(), body].concat()
    }

    fn wav_of(form: &[u8; 4], kind: u16, chunks: &[Vec<u8>], data_bytes: u32) -> Vec<u8> {
        let mut format = kind.to_le_bytes().to_vec();
        format.extend(1u16.to_le_bytes());
        format.extend(48_000u32.to_le_bytes());
        format.extend(96_000u32.to_le_bytes());
        let mut bytes = [&form[..], &[0; 4], b"WAVE", &chunk(b"fmt ", &format)].concat();
        chunks.iter().for_each(|chunk| bytes.extend(chunk));
        bytes.extend(b"data");
        bytes.extend(data_bytes.to_le_bytes());
        bytes
    }

    #[test]
    fn what_a_writer_left_open_is_no_length() {
        let two_seconds = Some(Duration::from_secs(2));
        assert_eq!(wav(&wav_of(b"RIFF", 1, &[], 192_000)), two_seconds);
        for open in [0, u32::MAX, u32::MAX - 36] {
            assert_eq!(wav(&wav_of(b"RIFF", 1, &[], open)), None, "{open}");
        }
        let long = chunk(b"ds64", &[&[0; 8][..], &192_000u64.to_le_bytes()].concat());
        assert_eq!(wav(&wav_of(b"RF64", 1, &[long], u32::MAX)), two_seconds);
        // A wrong number of bytes in a second stands in many compressed ones.
        let samples = chunk(b"fact", &96_000u32.to_le_bytes());
        let file = wav_of(b"RIFF", 0x11, &[samples], 10_000);
        assert_eq!(wav(&file), two_seconds);
    }

    #[test]
    fn headers_tell_the_length_of_their_files() {
        let common = [
            &[0, 1][..],
            &96_000u32.to_be_bytes(),
            &[0, 16, 0x40, 0x0e, 0xbb, 0x80, 0, 0, 0, 0, 0, 0],
        ]
        .concat();
        let aiff_file = [b"FORM\0\0\0\0AIFFCOMM", &(common.len() as u32).to_be_bytes()[..], &common].concat();
        assert_eq!(aiff(&aiff_file), Some(Duration::from_secs(2)));
        let mut stream = vec![0; 48];
        stream[20..24].copy_from_slice(&1001u32.to_le_bytes());
        stream[24..28].copy_from_slice(&30_000u32.to_le_bytes());
        stream[32..36].copy_from_slice(&3000u32.to_le_bytes());
        let list = chunk(b"LIST", &[b"strl", &chunk(b"strh", &stream)[..]].concat());
        let header = chunk(b"LIST", &[&b"hdrl"[..], &chunk(b"avih", &[0; 56]), &list].concat());
        let avi_file = [&b"RIFF\0\0\0\0AVI "[..], &header].concat();
        assert_eq!(avi(&avi_file), [Some(Duration::from_millis(100_100))]);
        let mut flac_file = b"fLaC\0\0\0\x22".to_vec();
        flac_file.extend([0; 10]);
        flac_file.extend(((48_000u64 << 44) | 96_000).to_be_bytes());
        assert_eq!(flac(&flac_file), Some(Duration::from_secs(2)));
        let flv_file = [&b"FLV\x01\x05\0\0\0\x09\0\x08duration\0"[..], &2f64.to_be_bytes()].concat();
        assert_eq!(flv(&flv_file), Some(Duration::from_secs(2)));
        for file in [aiff_file, avi_file, flac_file, flv_file] {
            for length in 0..file.len() {
                let cut = &file[..length];
                let _ = (aiff(cut), avi(cut), flac(cut), flv(cut), wav(cut), asf(cut));
            }
        }
    }
}
