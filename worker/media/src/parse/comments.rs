//! Tags in the headers of FLAC (RFC 9639, §8), Vorbis and Opus (RFC 7845, §5.2): what is left of a header where some must go. Pure.

/// Which tags stay.
#[derive(Debug, Clone, Copy)]
pub struct Staying {
    /// Title, artist and the like; languages always stay.
    pub tags: bool,
    pub pictures: bool,
}

const OPUS: &[u8] = b"OpusTags";
const VORBIS: &[u8] = b"\x03vorbis";
/// Names of comments that hold a picture.
const PICTURES: &[&str] = &["METADATA_BLOCK_PICTURE", "COVERART", "COVERARTMIME"];
const LANGUAGE: &str = "LANGUAGE";

/// Blocks of FLAC.
const PADDING: u8 = 1;
const APPLICATION: u8 = 2;
const COMMENTS: u8 = 4;
const CUE_SHEET: u8 = 5;
const PICTURE: u8 = 6;
/// The bit of a block's type that says that it is the last one.
const LAST: u8 = 0x80;

/// A header packet of a codec (`flac`, `vorbis` or `opus`) with what stays; `None`: all of it.
pub fn without(codec: &str, header: &[u8], staying: Staying) -> Option<Vec<u8>> {
    match codec {
        "opus" => Some([OPUS, &left(header.strip_prefix(OPUS)?, staying)].concat()),
        "vorbis" => Some([VORBIS, &left(header.strip_prefix(VORBIS)?, staying), &[1]].concat()),
        "flac" => block(header, staying),
        _ => None,
    }
}

fn block(header: &[u8], staying: Staying) -> Option<Vec<u8>> {
    let (kind, bytes) = (*header.first()?, header.get(4..)?);
    let (kind, bytes) = match kind & !LAST {
        COMMENTS => (kind, left(bytes, staying)),
        PICTURE if !staying.pictures => (kind & LAST | PADDING, Vec::new()),
        APPLICATION | CUE_SHEET if !staying.tags => (kind & LAST | PADDING, Vec::new()),
        _ => return None,
    };
    let [_, length @ ..] = u32::try_from(bytes.len()).ok()?.to_be_bytes();
    Some([&[kind], length.as_slice(), &bytes].concat())
}

/// The vendor and those comments that stay.
fn left(bytes: &[u8], staying: Staying) -> Vec<u8> {
    let mut rest = bytes;
    let vendor = text(&mut rest).unwrap_or_default();
    let count = number(&mut rest).unwrap_or(0);
    let comments = (0..count).map_while(|_| text(&mut rest));
    let stays: Vec<&[u8]> = comments.filter(|comment| stays(comment, staying)).collect();
    let mut left = Vec::new();
    put(&mut left, vendor);
    left.extend((stays.len() as u32).to_le_bytes());
    stays.iter().for_each(|comment| put(&mut left, comment));
    left
}

fn stays(comment: &[u8], staying: Staying) -> bool {
    let name = comment.split(|byte| *byte == b'=').next().unwrap_or_default();
    let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
    if PICTURES.iter().any(|known| is(known)) {
        return staying.pictures;
    }
    staying.tags || is(LANGUAGE)
}

fn number(rest: &mut &[u8]) -> Option<u32> {
    let (bytes, behind) = rest.split_first_chunk::<4>()?;
    *rest = behind;
    Some(u32::from_le_bytes(*bytes))
}

fn text<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(number(rest)?).ok()?;
    let (text, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    Some(text)
}

fn put(to: &mut Vec<u8>, text: &[u8]) {
    to.extend((text.len() as u32).to_le_bytes());
    to.extend(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Staying = Staying {
        tags: false,
        pictures: false,
    };
    const TAGS: Staying = Staying {
        tags: true,
        pictures: false,
    };

    fn comments(texts: &[&str]) -> Vec<u8> {
        let mut bytes = Vec::new();
        put(&mut bytes, b"vendor");
        bytes.extend((texts.len() as u32).to_le_bytes());
        texts.iter().for_each(|text| put(&mut bytes, text.as_bytes()));
        bytes
    }

    #[test]
    fn comments_that_must_go_are_left_out() {
        let all = comments(&["TITLE=a", "Language=deu", "metadata_block_picture=AAAA"]);
        for (codec, head, end) in [("opus", OPUS, &[][..]), ("vorbis", VORBIS, &[1][..])] {
            let header = [head, &all, end].concat();
            let of = |texts: &[&str]| Some([head, &comments(texts), end].concat());
            assert_eq!(without(codec, &header, NONE), of(&["Language=deu"]));
            assert_eq!(without(codec, &header, TAGS), of(&["TITLE=a", "Language=deu"]));
            assert_eq!(without(codec, b"\x01vorbis", NONE), None);
        }
        assert_eq!(without("opus", &[OPUS, &[9, 0]].concat(), NONE), Some([OPUS, &[0; 8]].concat()));
    }

    #[test]
    fn blocks_of_flac_that_must_go_become_padding() {
        assert_eq!(
            without("flac", &[LAST | PICTURE, 0, 0, 2, 7, 7], TAGS),
            Some(vec![LAST | PADDING, 0, 0, 0])
        );
        assert_eq!(without("flac", &[CUE_SHEET, 0, 0, 1, 7], TAGS), None);
        assert_eq!(without("flac", &[0, 0, 0, 1, 7], NONE), None);
        let all = comments(&["TITLE=a"]);
        let header = [&[COMMENTS, 0, 0, all.len() as u8][..], &all].concat();
        let none = comments(&[]);
        assert_eq!(
            without("flac", &header, NONE),
            Some([&[COMMENTS, 0, 0, none.len() as u8][..], &none].concat())
        );
    }
}
