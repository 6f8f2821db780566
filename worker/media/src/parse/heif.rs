//! The `meta` box of HEIF and AVIF files (ISO/IEC 23008-12, ISO/IEC 14496-12): which picture is the main one, how large it is once it is
//! upright, what codes it, and which other pictures stand beside it.

use crate::{
    isobmff::{Child, child, children},
    parse::numbers::{be16, be32, byte},
};

/// Items that are looked at; a picture of 100 megapixels in tiles of 512 pixels has some 400.
const MAX_ITEMS: usize = 1 << 14;
/// Kinds of items that hold a coded picture, or one that is made of others.
const PICTURES: [&[u8; 4]; 8] = [b"hvc1", b"av01", b"avc1", b"jpeg", b"j2k1", b"grid", b"iden", b"iovl"];

/// The main picture of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Main {
    /// Sides in pixels, upright and cut.
    pub width: u32,
    pub height: u32,
    /// Pixels before anything is cut; the most of the main picture and of what it is made of.
    pub coded_pixels: u64,
    /// Name of the codec, as ffprobe says it; empty where it is none that is known.
    pub codec: &'static str,
    /// What the file tells of its colours.
    pub colours: Option<Colours>,
    /// Positions, in the body of `meta`, of flags that hide a picture beside the main one; one bit of them is `HIDDEN`.
    pub others: Vec<usize>,
    /// Positions of the names of boxes that hold a profile.
    pub profiles: Vec<usize>,
}

/// What colours mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Colours {
    /// A profile of the International Color Consortium.
    Profile(Vec<u8>),
    /// Primaries and transfer function in the numbers of ISO/IEC 23091-2.
    Numbers([u16; 2]),
}

/// The bit of an item's flags that keeps it from being shown.
pub const HIDDEN: u8 = 1;

struct Item {
    id: u32,
    kind: [u8; 4],
    /// Position of the last byte of its flags in the body of `meta`.
    flags_at: usize,
    is_hidden: bool,
}

/// Reads the body of a `meta` box; `None` where it has no main picture of a told size.
pub fn main_picture(meta: &[u8]) -> Option<Main> {
    let boxes = meta.get(4..)?;
    let id = primary(child(boxes, b"pitm")?)?;
    let items = items(boxes)?;
    let main = items.iter().find(|item| item.id == id)?;
    let properties = Properties::of(boxes)?;
    let parts: Vec<u32> = references(boxes, id);
    let (width, height) = properties.upright_size(id)?;
    let of_main = properties.size(id)?;
    let sizes = parts.iter().filter_map(|part| properties.size(*part)).chain([of_main]);
    let part = parts.first().and_then(|part| items.iter().find(|item| item.id == *part));
    let colours = properties.colours(id).or_else(|| properties.colours(part?.id));
    Some(Main {
        width,
        height,
        coded_pixels: sizes.map(|(width, height)| u64::from(width) * u64::from(height)).max()?,
        codec: codec(&part.unwrap_or(main).kind),
        colours,
        others: items
            .iter()
            .filter(|item| item.id != id && !item.is_hidden && PICTURES.contains(&&item.kind))
            .map(|item| item.flags_at)
            .collect(),
        profiles: properties.profiles(),
    })
}

fn codec(kind: &[u8; 4]) -> &'static str {
    match kind {
        b"hvc1" => "hevc",
        b"av01" => "av1",
        b"avc1" => "h264",
        b"jpeg" => "mjpeg",
        b"j2k1" => "jpeg2000",
        _ => "",
    }
}

fn primary(body: &[u8]) -> Option<u32> {
    match byte(body, 0)? {
        0 => be16(body, 4).map(u32::from),
        _ => be32(body, 4),
    }
}

fn items(boxes: &[u8]) -> Option<Vec<Item>> {
    let list = children(boxes).find(|found| found.kind == *b"iinf")?;
    let head = if byte(list.body, 0)? == 0 { 6 } else { 8 };
    let entries = children(list.body.get(head..)?).filter(|entry| entry.kind == *b"infe");
    let base = 4 + list.offset + head;
    Some(entries.take(MAX_ITEMS).filter_map(|entry| item(&entry, base)).collect())
}

fn item(entry: &Child<'_>, base: usize) -> Option<Item> {
    let body = entry.body;
    let (id, kind_at) = match byte(body, 0)? {
        2 => (u32::from(be16(body, 4)?), 8),
        3 => (be32(body, 4)?, 10),
        _ => return None,
    };
    Some(Item {
        id,
        kind: body.get(kind_at..kind_at + 4)?.try_into().ok()?,
        flags_at: base + entry.offset + 3,
        is_hidden: byte(body, 3)? & HIDDEN != 0,
    })
}

/// Items that a picture is made of.
fn references(boxes: &[u8], from: u32) -> Vec<u32> {
    let Some(body) = child(boxes, b"iref") else { return Vec::new() };
    let is_wide = byte(body, 0) != Some(0);
    let width = if is_wide { 4 } else { 2 };
    let number = |bytes: &[u8], at| if is_wide { be32(bytes, at) } else { be16(bytes, at).map(u32::from) };
    let made_of = children(body.get(4..).unwrap_or_default()).find(|list| list.kind == *b"dimg" && number(list.body, 0) == Some(from));
    let Some(list) = made_of else { return Vec::new() };
    let count = be16(list.body, width).map_or(0, usize::from);
    (0..count).map_while(|entry| number(list.body, width + 2 + entry * width)).collect()
}

/// Properties of items: what they are, and which items have them.
struct Properties<'a> {
    all: Vec<Child<'a>>,
    /// Numbers of properties by item, in the order in which they count.
    of_items: Vec<(u32, Vec<usize>)>,
    /// Where they begin in the body of `meta`.
    begin: usize,
}

impl Colours {
    /// Whether they are light of high dynamic range: PQ or HLG.
    pub fn are_high_dynamic_range(&self) -> bool {
        matches!(self, Self::Numbers([_, 16 | 18]))
    }
}

impl<'a> Properties<'a> {
    fn of(boxes: &'a [u8]) -> Option<Self> {
        let found = children(boxes).find(|found| found.kind == *b"iprp")?;
        let (outer, body) = (4 + found.offset, found.body);
        let list = children(body).find(|found| found.kind == *b"ipco")?;
        let all = children(list.body).take(MAX_ITEMS).collect();
        let lists = children(body).filter(|list| list.kind == *b"ipma");
        let of_items = lists.filter_map(|list| associations(list.body)).flatten().collect();
        Some(Self {
            all,
            of_items,
            begin: outer + list.offset,
        })
    }

    fn of_item(&self, id: u32) -> impl Iterator<Item = &Child<'a>> {
        let lists = self.of_items.iter().filter(move |(item, _)| *item == id);
        lists
            .flat_map(|(_, numbers)| numbers)
            .filter_map(|number| self.all.get(number.checked_sub(1)?))
    }

    fn size(&self, id: u32) -> Option<(u32, u32)> {
        let extents = self.of_item(id).find(|found| found.kind == *b"ispe")?;
        Some((be32(extents.body, 4)?, be32(extents.body, 8)?)).filter(|(width, height)| *width > 0 && *height > 0)
    }

    /// Cut and turned in the order of the properties.
    fn upright_size(&self, id: u32) -> Option<(u32, u32)> {
        let mut size = self.size(id)?;
        for property in self.of_item(id) {
            size = match &property.kind {
                b"clap" => clean_aperture(property.body).filter(|cut| cut.0 <= size.0 && cut.1 <= size.1)?,
                b"irot" if byte(property.body, 0)? & 1 == 1 => (size.1, size.0),
                _ => size,
            };
        }
        Some(size)
    }

    /// Where there is a profile it counts.
    fn colours(&self, id: u32) -> Option<Colours> {
        let told = || self.of_item(id).filter(|found| found.kind == *b"colr").map(|found| found.body);
        let profile = told().find(|body| is_profile(body));
        let numbers = || told().find(|body| body.starts_with(b"nclx"));
        match profile {
            Some(body) => Some(Colours::Profile(body.get(4..)?.to_vec())),
            None => numbers().and_then(|body| Some(Colours::Numbers([be16(body, 4)?, be16(body, 6)?]))),
        }
    }

    fn profiles(&self) -> Vec<usize> {
        let found = self.all.iter().filter(|found| found.kind == *b"colr" && is_profile(found.body));
        // Its name stands in front of its body.
        found.map(|found| self.begin + found.offset - 4).collect()
    }
}

fn is_profile(colours: &[u8]) -> bool {
    colours.starts_with(b"prof") || colours.starts_with(b"rICC")
}

fn associations(body: &[u8]) -> Option<Vec<(u32, Vec<usize>)>> {
    let (is_wide, is_long) = (byte(body, 0)? > 0, byte(body, 3)? & 1 == 1);
    let mut rest = body.get(8..)?;
    let mut found = Vec::new();
    for _ in 0..usize::try_from(be32(body, 4)?).ok()?.min(MAX_ITEMS) {
        let id = if is_wide { be32(rest, 0)? } else { be16(rest, 0)?.into() };
        let head = if is_wide { 4 } else { 2 };
        let count = usize::from(byte(rest, head)?);
        let width = if is_long { 2 } else { 1 };
        let list = rest.get(head + 1..head + 1 + count * width)?;
        let number = |entry: &[u8]| match entry {
            [high, low] => usize::from(u16::from_be_bytes([high & 0x7f, *low])),
            [one] => usize::from(one & 0x7f),
            _ => 0,
        };
        found.push((id, list.chunks(width).map(number).collect()));
        rest = rest.get(head + 1 + count * width..)?;
    }
    Some(found)
}

/// Width and height of what is kept: fractions, rounded.
fn clean_aperture(body: &[u8]) -> Option<(u32, u32)> {
    let rounded = |at: usize| {
        let (whole, part) = (u64::from(be32(body, at)?), u64::from(be32(body, at + 4)?));
        u32::try_from((whole + part / 2).checked_div(part)?).ok().filter(|side| *side > 0)
    };
    Some((rounded(0)?, rounded(8)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isobmff::boxed;

    fn full(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
        boxed(kind, &[&[0; 4], body].concat()).unwrap()
    }

    fn entry(id: u8, kind: &[u8; 4], flags: u8) -> Vec<u8> {
        boxed(b"infe", &[&[2, 0, 0, flags, 0, id, 0, 0], &kind[..], &[0]].concat()).unwrap()
    }

    /// A picture of two tiles that is cut, turned and mirrored, beside another one and a hidden thumbnail.
    fn meta() -> Vec<u8> {
        let extents = |width: u8, height: u8| full(b"ispe", &[0, 0, 1, width, 0, 0, 0, height]);
        let cut = [
            [0, 0, 0, 200],
            [0, 0, 0, 1],
            [0, 0, 0, 99],
            [0, 0, 0, 2],
            [0; 4],
            [0; 4],
            [0; 4],
            [0; 4],
        ]
        .concat();
        let colours = boxed(b"colr", b"prof\x01\x02").unwrap();
        let properties = [
            extents(64, 100),
            boxed(b"clap", &cut).unwrap(),
            boxed(b"irot", &[1]).unwrap(),
            extents(0, 90),
            colours,
        ]
        .concat();
        let owners = full(b"ipma", &[0, 0, 0, 2, 0, 7, 4, 1, 0x82, 0x83, 5, 0, 1, 1, 4]);
        let items = [
            entry(7, b"grid", 0),
            entry(1, b"hvc1", 1),
            entry(2, b"hvc1", 0),
            entry(3, b"Exif", 0),
        ];
        let list = boxed(b"iinf", &[vec![0, 0, 0, 0, 0, 4], items.concat()].concat()).unwrap();
        let made_of = full(b"iref", &boxed(b"dimg", &[0, 7, 0, 2, 0, 1, 0, 1]).unwrap());
        let described = boxed(b"iprp", &[boxed(b"ipco", &properties).unwrap(), owners].concat()).unwrap();
        [vec![0; 4], full(b"pitm", &[0, 7]), list, made_of, described].concat()
    }

    #[test]
    fn the_main_picture_is_described_upright_and_the_others_are_found() {
        let meta = meta();
        let main = main_picture(&meta).unwrap();
        assert_eq!(
            (main.width, main.height, main.coded_pixels, main.codec),
            (50, 200, 320 * 100, "hevc")
        );
        assert_eq!(main.colours, Some(Colours::Profile(vec![1, 2])));
        let other = meta.windows(4).position(|window| window == [2, 0, 0, 0]).unwrap();
        assert!(
            main.others.len() == 1 && main.others[0] > other,
            "the hidden tile and the metadata are none"
        );
        let names: Vec<_> = main.profiles.iter().map(|at| &meta[*at..at + 4]).collect();
        assert_eq!(names, [b"colr"]);
    }

    #[test]
    fn a_description_that_is_cut_or_changed_does_no_harm() {
        let meta = meta();
        for end in 0..meta.len() {
            main_picture(&meta[..end]);
            for value in [0, 1, 0x7f, 0xff] {
                let mut changed = meta.clone();
                changed[end] = value;
                main_picture(&changed);
            }
        }
    }
}
