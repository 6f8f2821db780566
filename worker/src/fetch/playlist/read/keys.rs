//! Which key holds for a segment. Each key format has its own, and holds until the next of that format.

use std::collections::BTreeMap;

use mps_proto::worker::v1::Failure;
use quick_m3u8::tag::hls::{EnumeratedString, Key as KeyTag, Method};

use super::super::{document::Key, refuse};

const IDENTITY: &str = "identity";

/// A key as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ListedKey {
    method: String,
    uri: Option<String>,
    /// Unset: the segment's number.
    iv: Option<[u8; 16]>,
}

/// Keys in force, by their format.
#[derive(Debug, Default)]
pub struct Keys(BTreeMap<String, ListedKey>);

impl Keys {
    /// `None`: the tag is not as it should be.
    pub fn take(&mut self, tag: &KeyTag) -> Option<()> {
        let method = match tag.method() {
            EnumeratedString::Known(Method::None) => {
                self.0.clear();
                return Some(());
            }
            EnumeratedString::Known(Method::Aes128) => "AES-128".to_owned(),
            EnumeratedString::Known(other) => other.to_string(),
            EnumeratedString::Unknown(other) => other.to_owned(),
        };
        let iv = match tag.iv() {
            Some(text) => Some(hexadecimal(text)?),
            None => None,
        };
        let key = ListedKey {
            method,
            uri: tag.uri().map(str::to_owned),
            iv,
        };
        self.0.insert(tag.keyformat().to_owned(), key);
        Some(())
    }

    /// What opens a segment, or a section in front of it, with a number.
    pub fn of(&self, number: u64) -> Result<Option<Key>, Failure> {
        if let Some(key) = self.0.get(IDENTITY).filter(|key| key.method == "AES-128") {
            let uri = key
                .uri
                .clone()
                .ok_or_else(|| refuse::not_media("an EXT-X-KEY of the playlist names no key"))?;
            let iv = key.iv.unwrap_or_else(|| u128::from(number).to_be_bytes());
            return Ok(Some(Key { uri, iv }));
        }
        match self.0.iter().next() {
            None => Ok(None),
            Some((format, key)) if format == IDENTITY => Err(refuse::protected(&key.method)),
            Some((format, key)) => Err(refuse::protected(&format!("{} of DRM ({format})", key.method))),
        }
    }
}

/// `0x…` of at most 128 bits.
fn hexadecimal(text: &str) -> Option<[u8; 16]> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))?;
    let is_plain = (1..=32).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_plain.then(|| u128::from_str_radix(digits, 16).ok().map(u128::to_be_bytes))?
}
