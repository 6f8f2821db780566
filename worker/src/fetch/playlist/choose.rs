//! Which of a master's variants is read, and which renditions of sound with it. No I/O.

use super::document::{Master, Sound, Variant};
use crate::join::Take;

/// Codecs that most decoders show in wrong colours: other variants are better.
const DOLBY_VISION: [&str; 3] = ["dvh1", "dvhe", "dav1"];
const FILM: [&str; 9] = ["avc1", "avc3", "hvc1", "hev1", "av01", "vp09", "dvh1", "dvhe", "mp4v"];

/// What is read of a master.
#[derive(Debug, PartialEq)]
pub struct Choice<'a> {
    pub variant: &'a Variant,
    /// What is taken of the variant's own segments.
    pub take: Take,
    /// Where its sounds of their own are, and their languages; the default first.
    pub sounds: Vec<(&'a str, &'a str)>,
}

/// The variant with the largest picture, among equal ones the first of those with the highest rate; and all sounds of its group. Film comes before
/// sound alone, in Dolby Vision too.
pub fn choose(master: &Master) -> Option<Choice<'_>> {
    let variant = master.variants.iter().rev().max_by(|one, other| {
        let rank = |variant: &Variant| (is_film(variant), !has(variant, &DOLBY_VISION), variant.pixels, variant.bandwidth);
        rank(one).cmp(&rank(other)).then(one.frame_rate.total_cmp(&other.frame_rate))
    })?;
    let mut group: Vec<&Sound> = match &variant.sound_group {
        Some(group) => master.sounds.iter().filter(|sound| sound.group == *group).collect(),
        None => Vec::new(),
    };
    group.sort_by_key(|sound| !sound.is_default);
    let mut sounds: Vec<(&str, &str)> = Vec::new();
    for sound in &group {
        if let Some(uri) = sound.uri.as_deref()
            && uri != variant.uri
            && !sounds.iter().any(|(known, _)| *known == uri)
        {
            sounds.push((uri, &sound.language));
        }
    }
    let own = group.iter().any(|sound| sound.uri.as_deref().is_none_or(|uri| uri == variant.uri));
    let take = if sounds.is_empty() || own { Take::All } else { Take::Film };
    Some(Choice { variant, take, sounds })
}

fn is_film(variant: &Variant) -> bool {
    variant.pixels > 0 || has(variant, &FILM)
}

fn has(variant: &Variant, codecs: &[&str]) -> bool {
    variant
        .codecs
        .split(',')
        .any(|codec| codecs.iter().any(|known| codec.trim().starts_with(known)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variant(uri: &str, pixels: u64, bandwidth: u64, codecs: &str) -> Variant {
        Variant {
            uri: uri.into(),
            pixels,
            bandwidth,
            codecs: codecs.into(),
            sound_group: Some("a".into()),
            ..Variant::default()
        }
    }

    fn sound(group: &str, uri: Option<&str>, language: &str, is_default: bool) -> Sound {
        Sound {
            group: group.into(),
            uri: uri.map(str::to_owned),
            language: language.into(),
            is_default,
        }
    }

    fn best(variants: Vec<Variant>, sounds: Vec<Sound>) -> (String, Take, Vec<String>) {
        let master = Master { variants, sounds };
        let choice = choose(&master).unwrap();
        let sounds = choice.sounds.iter().map(|(uri, language)| format!("{uri} {language}")).collect();
        (choice.variant.uri.clone(), choice.take, sounds)
    }

    #[test]
    fn largest_picture_wins_then_the_rate() {
        let variants = vec![
            variant("low", 100, 900, ""),
            variant("high", 200, 400, "avc1.64001f"),
            variant("higher", 200, 500, "avc1.64001f"),
            variant("dolby", 900, 900, "dvh1.05.06"),
            variant("sound", 0, 9_000, "mp4a.40.2"),
        ];
        assert_eq!(best(variants, Vec::new()), ("higher".into(), Take::All, Vec::new()));
        assert_eq!(best(vec![variant("dolby", 9, 9, "dvh1.05.06")], Vec::new()).0, "dolby");
        let with_sound = vec![variant("dolby", 9, 9, "dvh1.05.06"), variant("sound", 0, 9_000, "mp4a.40.2")];
        assert_eq!(best(with_sound, Vec::new()).0, "dolby");
        let copies = vec![variant("main", 9, 9, "avc1.64001f"), variant("backup", 9, 9, "avc1.64001f")];
        assert_eq!(best(copies, Vec::new()).0, "main");
        assert!(choose(&Master::default()).is_none());
    }

    #[test]
    fn sounds_of_the_group_come_with_their_film_the_default_first() {
        let sounds = vec![
            sound("a", Some("fr.m3u8"), "fr", false),
            sound("b", Some("x.m3u8"), "x", true),
            sound("a", Some("de.m3u8"), "de", true),
            sound("a", Some("fr.m3u8"), "fr", false),
        ];
        let (_, take, found) = best(vec![variant("v", 1, 1, "")], sounds);
        assert_eq!((take, found), (Take::Film, vec!["de.m3u8 de".to_owned(), "fr.m3u8 fr".to_owned()]));
    }

    #[test]
    fn sound_in_the_film_stays_where_the_group_says_so() {
        let sounds = vec![sound("a", None, "en", true), sound("a", Some("de.m3u8"), "de", false)];
        let (_, take, found) = best(vec![variant("v", 1, 1, "")], sounds);
        assert_eq!((take, found.len()), (Take::All, 1));
        let alone = vec![sound("a", Some("v"), "en", true)];
        assert_eq!(best(vec![variant("v", 0, 1, "mp4a.40.2")], alone).1, Take::All);
    }
}
