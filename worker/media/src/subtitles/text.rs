//! The text of a file of subtitles, whatever it is encoded in: UTF-8 and UTF-16 say so themselves, older encodings are recognised by their
//! letters.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_8};
use mps_proto::worker::v1::Failure;

use super::cues::refused;

/// Countries whose computers wrote a language in an encoding of its own, by the language's code.
const COUNTRIES: &[(&str, &str)] = &[
    ("cs", "cz"),
    ("el", "gr"),
    ("he", "il"),
    ("ja", "jp"),
    ("ko", "kr"),
    ("uk", "ua"),
    ("zh", "cn"),
    ("ar", "sa"),
    ("fa", "ir"),
    ("sr", "rs"),
    ("sl", "si"),
    ("vi", "vn"),
];
/// Languages whose code is that of a country with the same encoding.
const OWN: &[&str] = &[
    "bg", "hr", "hu", "lt", "lv", "pl", "ro", "ru", "sk", "th", "tr", "de", "fr", "es", "it", "pt",
];

/// A decoded file.
#[derive(Debug, PartialEq, Eq)]
pub struct Text {
    pub text: String,
    /// The encoding's name, where the file does not say it.
    pub guessed: Option<&'static str>,
}

/// Decodes a file. `language`: BCP 47, or empty; it only helps to recognise the encoding.
pub fn decoded(bytes: &[u8], language: &str) -> Result<Text, Failure> {
    let (encoding, told) = match Encoding::for_bom(bytes) {
        Some((encoding, _)) => (encoding, true),
        None if std::str::from_utf8(bytes).is_ok() => (UTF_8, true),
        None => (recognised(bytes, language), false),
    };
    let (text, _, is_damaged) = encoding.decode(bytes);
    // No text uses what is left to private agreement: the encoding is another one.
    let is_doubtful = !told && text.contains(|found| ('\u{e000}'..='\u{f8ff}').contains(&found));
    if is_damaged || is_doubtful {
        let why = format!("they are not UTF-8, nor {} throughout", encoding.name());
        return Err(refused(&why));
    }
    if text.chars().any(|found| found.is_control() && !"\n\r\t\u{c}".contains(found)) {
        return Err(refused("they hold characters that are no text (UTF-16 needs its byte order mark)"));
    }
    Ok(Text {
        text: text.replace("\r\n", "\n").replace('\r', "\n"),
        guessed: (!told).then(|| encoding.name()),
    })
}

fn recognised(bytes: &[u8], language: &str) -> &'static Encoding {
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(bytes, true);
    detector.guess(country(language), Utf8Detection::Deny)
}

fn country(language: &str) -> Option<&'static [u8]> {
    let tag = language.to_ascii_lowercase();
    if tag == "zh-tw" || tag == "zh-hk" || tag.starts_with("zh-hant") {
        return Some(b"tw");
    }
    let code = tag.split('-').next().unwrap_or_default();
    let of_another = COUNTRIES.iter().find(|(known, _)| *known == code).map(|(_, country)| *country);
    of_another
        .or_else(|| OWN.iter().find(|known| **known == code).copied())
        .map(str::as_bytes)
}

#[cfg(test)]
mod tests {
    use encoding_rs::{BIG5, EUC_KR, GBK, SHIFT_JIS, WINDOWS_1250, WINDOWS_1251, WINDOWS_1252};

    use super::*;

    #[test]
    fn encodings_are_recognised_by_their_letters() {
        let cases = [
            (
                WINDOWS_1252,
                "fr",
                "1\n00:00:00,500 --> 00:00:02,000\nCafé für “Zoë” – 1\n\n2\n00:00:03,000 --> 00:00:04,000\n<i>Naïve</i> façade\n",
            ),
            (
                WINDOWS_1250,
                "pl",
                "Cześć, jak się masz? Wszystko w porządku, dziękuję. Świetnie, źle, żółw.",
            ),
            (WINDOWS_1250, "cs", "Příliš žluťoučký kůň úpěl ďábelské ódy."),
            (WINDOWS_1251, "ru", "Съешь ещё этих мягких французских булок, да выпей чаю."),
            (SHIFT_JIS, "ja", "こんにちは、元気ですか。今日は天気がいいですね。"),
            (GBK, "zh", "你好，你今天怎么样？我们去看电影吧。"),
            (BIG5, "zh-Hant", "你好，你今天怎麼樣？我們去看電影吧。這是繁體中文。"),
            (EUC_KR, "ko", "안녕하세요, 오늘은 어떠세요? 영화를 보러 갑시다."),
        ];
        for (encoding, language, text) in cases {
            let (bytes, ..) = encoding.encode(text);
            // A short text of Big5 cannot be told from GBK's by itself.
            let languages = if encoding == BIG5 { vec![language] } else { vec![language, ""] };
            for language in languages {
                let found = decoded(&bytes, language).unwrap();
                assert_eq!((found.text.as_str(), found.guessed), (text, Some(encoding.name())), "{language}");
            }
        }
    }

    #[test]
    fn utf_8_and_utf_16_say_what_they_are() {
        let text = "Zoë\r\n“a”\r";
        let plain = Text {
            text: "Zoë\n“a”\n".into(),
            guessed: None,
        };
        let marked = format!("\u{feff}{text}");
        let little: Vec<u8> = marked.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = marked.encode_utf16().flat_map(u16::to_be_bytes).collect();
        for bytes in [text.as_bytes(), marked.as_bytes(), &little, &big] {
            assert_eq!(decoded(bytes, "").as_ref(), Ok(&plain));
        }
        assert!(decoded(&little[2..], "").is_err());
        assert!(decoded(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "").is_err());
    }
}
