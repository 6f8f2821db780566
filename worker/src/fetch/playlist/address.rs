//! Where the members of a playlist are: resolved against the playlist's own place, and never anywhere else. No I/O.

use mps_proto::worker::v1::Failure;
use percent_encoding::percent_decode_str;
use url::Url;

use super::refuse;

/// Stands for the storage that a playlist lies in.
const STORAGE: &str = "storage://input/";

/// Where a file is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// On the web.
    Url(Url),
    /// In the storage of the input.
    Key(String),
}

impl Address {
    /// A member that this playlist names.
    pub fn member(&self, uri: &str) -> Result<Self, Failure> {
        let base = match self {
            Self::Url(url) => url.clone(),
            Self::Key(key) => url_of_key(key)?,
        };
        let found = base
            .join(uri)
            .map_err(|error| refuse::not_media(format!("a URI of the playlist is malformed: {error}")))?;
        match (found.scheme(), self) {
            ("http" | "https", _) => Ok(Self::Url(found)),
            ("storage", Self::Key(_)) if found.host_str() == Some("input") => key_of_url(&found).map(Self::Key),
            (scheme, _) => Err(refuse::forbidden(format!(
                "the playlist names an address with the scheme {scheme}, which is not allowed"
            ))),
        }
    }

    /// For messages: without what may be secret.
    pub fn name(&self) -> &str {
        match self {
            Self::Url(url) => url.path(),
            Self::Key(key) => key,
        }
    }
}

fn url_of_key(key: &str) -> Result<Url, Failure> {
    let broken = || refuse::not_media("the playlist's key cannot be a base of addresses");
    let mut url = Url::parse(STORAGE).map_err(|_| broken())?;
    url.path_segments_mut().map_err(|()| broken())?.clear().extend(key.split('/'));
    Ok(url)
}

fn key_of_url(url: &Url) -> Result<String, Failure> {
    let path = url.path().trim_start_matches('/');
    let key = percent_decode_str(path).decode_utf8();
    key.map(|key| key.into_owned())
        .map_err(|_| refuse::not_media("a URI of the playlist is no text in UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Address {
        Address::Url(Url::parse(text).unwrap())
    }

    fn key(text: &str) -> Address {
        Address::Key(text.into())
    }

    #[test]
    fn members_of_urls_are_found_beside_them() {
        let list = url("https://host/a/list.m3u8?token=1");
        for (uri, found) in [
            ("s1.ts", "https://host/a/s1.ts"),
            ("../b/s1.ts?x=1", "https://host/b/s1.ts?x=1"),
            ("/s1.ts", "https://host/s1.ts"),
            ("//cdn/s1.ts", "https://cdn/s1.ts"),
            ("http://other/s1.ts", "http://other/s1.ts"),
        ] {
            assert_eq!(list.member(uri).unwrap(), url(found), "{uri}");
        }
    }

    #[test]
    fn members_of_storages_are_keys() {
        let list = key("films/é 100%/list.m3u8");
        for (uri, found) in [
            ("s1.ts", key("films/é 100%/s1.ts")),
            ("v/s%201%25.ts?x=1#y", key("films/é 100%/v/s 1%.ts")),
            ("../other/s 1.ts", key("films/other/s 1.ts")),
            ("../../../s1.ts", key("s1.ts")),
            ("%2e%2e/s1.ts", key("films/s1.ts")),
            ("https://cdn/s1.ts", url("https://cdn/s1.ts")),
        ] {
            assert_eq!(list.member(uri).unwrap(), found, "{uri}");
        }
        // what is left of tricks is no key that the server signs
        assert_eq!(list.member("..%2f..%2fx").unwrap(), key("films/é 100%/../../x"));
    }

    #[test]
    fn other_schemes_and_places_are_refused() {
        for uri in [
            "file:///etc/passwd",
            "data:text/plain,x",
            "ftp://h/x",
            "storage://input/x",
            "skd://key",
        ] {
            assert!(url("http://host/list.m3u8").member(uri).is_err(), "{uri}");
        }
        for uri in ["file:///etc/passwd", "storage://other/x", "//other/x"] {
            assert!(key("list.m3u8").member(uri).is_err(), "{uri}");
        }
    }
}
