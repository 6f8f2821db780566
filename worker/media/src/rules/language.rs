//! Whether two tags name one language: ISO 639-1, both codes of 639-2, or BCP 47.

/// Two-letter codes and the three-letter ones of the same languages (ISO 639-2/T, then /B where it differs).
const CODES: &[(&str, &[&str])] = &[
    ("ar", &["ara"]),
    ("bg", &["bul"]),
    ("bn", &["ben"]),
    ("bo", &["bod", "tib"]),
    ("ca", &["cat"]),
    ("cs", &["ces", "cze"]),
    ("cy", &["cym", "wel"]),
    ("da", &["dan"]),
    ("de", &["deu", "ger"]),
    ("el", &["ell", "gre"]),
    ("en", &["eng"]),
    ("es", &["spa"]),
    ("et", &["est"]),
    ("eu", &["eus", "baq"]),
    ("fa", &["fas", "per"]),
    ("fi", &["fin"]),
    ("fr", &["fra", "fre"]),
    ("ga", &["gle"]),
    ("gl", &["glg"]),
    ("gu", &["guj"]),
    ("he", &["heb"]),
    ("hi", &["hin"]),
    ("hr", &["hrv"]),
    ("hu", &["hun"]),
    ("hy", &["hye", "arm"]),
    ("id", &["ind"]),
    ("is", &["isl", "ice"]),
    ("it", &["ita"]),
    ("ja", &["jpn"]),
    ("ka", &["kat", "geo"]),
    ("kk", &["kaz"]),
    ("km", &["khm"]),
    ("kn", &["kan"]),
    ("ko", &["kor"]),
    ("la", &["lat"]),
    ("lt", &["lit"]),
    ("lv", &["lav"]),
    ("mk", &["mkd", "mac"]),
    ("ml", &["mal"]),
    ("mn", &["mon"]),
    ("mr", &["mar"]),
    ("ms", &["msa", "may"]),
    ("my", &["mya", "bur"]),
    ("nb", &["nob"]),
    ("ne", &["nep"]),
    ("nl", &["nld", "dut"]),
    ("no", &["nor"]),
    ("pa", &["pan"]),
    ("pl", &["pol"]),
    ("pt", &["por"]),
    ("ro", &["ron", "rum"]),
    ("ru", &["rus"]),
    ("sk", &["slk", "slo"]),
    ("sl", &["slv"]),
    ("sq", &["sqi", "alb"]),
    ("sr", &["srp"]),
    ("sv", &["swe"]),
    ("sw", &["swa"]),
    ("ta", &["tam"]),
    ("te", &["tel"]),
    ("th", &["tha"]),
    ("tr", &["tur"]),
    ("uk", &["ukr"]),
    ("ur", &["urd"]),
    ("uz", &["uzb"]),
    ("vi", &["vie"]),
    ("zh", &["zho", "chi"]),
];

/// Whether both tags name one language, region and script left aside.
pub fn same(one: &str, other: &str) -> bool {
    !one.is_empty() && short(one) == short(other)
}

/// The language's two-letter code where it has one, else what the tag begins with, in lower case.
pub fn short(tag: &str) -> String {
    let primary = tag.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase();
    let known = CODES.iter().find(|(_, long)| long.contains(&primary.as_str()));
    known.map_or(primary, |(short, _)| (*short).to_owned())
}

/// The language's three-letter code (ISO 639-2/T), where it is known or the tag begins with three letters.
pub fn three_letters(tag: &str) -> Option<String> {
    let primary = tag.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase();
    let known = CODES
        .iter()
        .find(|(short, long)| *short == primary || long.contains(&primary.as_str()));
    match known {
        Some((_, long)) => long.first().map(|code| (*code).to_owned()),
        None => (primary.len() == 3 && primary.bytes().all(|letter| letter.is_ascii_lowercase())).then_some(primary),
    }
}

#[cfg(test)]
mod tests {
    use super::{same, three_letters};

    #[test]
    fn languages_have_three_letters_where_they_are_known() {
        for (tag, code) in [
            ("en-US", Some("eng")),
            ("ger", Some("deu")),
            ("tlh", Some("tlh")),
            ("xx", None),
            ("", None),
            ("12a", None),
        ] {
            assert_eq!(three_letters(tag).as_deref(), code, "{tag}");
        }
    }

    #[test]
    fn codes_of_one_language_are_the_same() {
        for (one, other) in [("en", "eng"), ("eng", "EN-us"), ("ger", "deu"), ("zh-Hans", "chi"), ("tlh", "tlh")] {
            assert!(same(one, other), "{one} {other}");
        }
        assert!(!same("en", "de") && !same("", "") && !same("eng", "enm"));
    }
}
