//! Playlists are told from media by their type, their name and their first bytes: they name other files, and are read in another way.

use reqwest::header::HeaderValue;

use super::error::FetchError;

/// Bytes that are looked at.
const HEAD: usize = 1024;
const TYPES: [(&str, List); 7] = [
    ("application/vnd.apple.mpegurl", List::Hls),
    ("application/x-mpegurl", List::Hls),
    ("application/mpegurl", List::Hls),
    ("audio/mpegurl", List::Hls),
    ("audio/x-mpegurl", List::Hls),
    ("application/dash+xml", List::Dash),
    ("application/vnd.ms-sstr+xml", List::Smooth),
];
const SUFFIXES: [(&str, List); 4] = [("m3u8", List::Hls), ("m3u", List::Hls), ("mpd", List::Dash), ("ism", List::Smooth)];

/// Kinds of files that name other files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum List {
    Hls,
    Dash,
    Smooth,
    Other,
}

impl List {
    pub fn name(self) -> &'static str {
        match self {
            Self::Hls => "a playlist",
            Self::Dash => "a DASH manifest (MPD)",
            Self::Smooth => "a manifest of Smooth Streaming",
            Self::Other => "a list of files",
        }
    }
}

/// An error for what the server or the name calls a playlist.
pub fn check_type(content_type: Option<&HeaderValue>, path: &str) -> Result<(), FetchError> {
    let content_type = content_type.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let suffix = path
        .rsplit_once('.')
        .map(|(_, suffix)| suffix.to_ascii_lowercase())
        .unwrap_or_default();
    let by_type = TYPES.iter().find(|(known, _)| *known == essence);
    match by_type.or_else(|| SUFFIXES.iter().find(|(known, _)| *known == suffix)) {
        Some((_, list)) => Err(FetchError::Playlist(*list)),
        None => Ok(()),
    }
}

/// Looks at the first bytes of an input.
#[derive(Default)]
pub struct Sniffer {
    head: Vec<u8>,
}

impl Sniffer {
    pub fn look(&mut self, bytes: &[u8]) -> Result<(), FetchError> {
        let missing = HEAD - self.head.len();
        if missing == 0 {
            return Ok(());
        }
        self.head.extend(bytes.iter().take(missing));
        if self.head.len() == HEAD { self.judge() } else { Ok(()) }
    }

    /// Nothing more comes.
    pub fn end(&self) -> Result<(), FetchError> {
        if self.head.is_empty() {
            return Err(FetchError::Empty);
        }
        self.judge()
    }

    fn judge(&self) -> Result<(), FetchError> {
        let text = String::from_utf8_lossy(&self.head);
        let text = text.trim_start_matches('\u{feff}').trim_start();
        let starts = [("#EXTM3U", List::Hls), ("#EXT-X-", List::Other), ("[playlist]", List::Other)];
        let tags = [
            ("<MPD", List::Dash),
            ("<SmoothStreamingMedia", List::Smooth),
            ("<smil", List::Other),
        ];
        let by_start = starts.iter().find(|(start, _)| text.starts_with(start));
        let by_tag = || tags.iter().find(|(tag, _)| text.starts_with('<') && text.contains(tag));
        match by_start.or_else(by_tag) {
            Some((_, list)) => Err(FetchError::Playlist(*list)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(bytes: &[u8]) -> Result<(), FetchError> {
        let mut sniffer = Sniffer::default();
        for piece in bytes.chunks(7) {
            sniffer.look(piece)?;
        }
        sniffer.end()
    }

    #[test]
    fn playlists_are_seen_by_their_first_bytes() {
        for (text, expected) in [
            ("#EXTM3U\n#EXTINF:4,\nfile:///etc/passwd\n", List::Hls),
            ("\u{feff}#EXTM3U\n", List::Hls),
            ("\n  #EXTM3U\n", List::Hls),
            (
                "<?xml version=\"1.0\"?>\n<!-- x -->\n<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\">",
                List::Dash,
            ),
            ("<MPD>", List::Dash),
            ("[playlist]\nFile1=http://x/", List::Other),
        ] {
            assert!(
                matches!(judge(text.as_bytes()), Err(FetchError::Playlist(list)) if list == expected),
                "{text}"
            );
        }
        assert!(matches!(judge(b""), Err(FetchError::Empty)));
        assert!(judge(b"\0\0\0\x20ftypisom with #EXTM3U in it").is_ok());
        assert!(judge(&[0x47; 4000]).is_ok());
    }

    #[test]
    fn playlists_are_seen_by_type_and_suffix() {
        let playlist = HeaderValue::from_static("Application/VND.apple.mpegURL; charset=utf-8");
        assert!(check_type(Some(&playlist), "/a.mp4").is_err());
        assert!(check_type(None, "/a/list.M3U8").is_err());
        assert!(check_type(Some(&HeaderValue::from_static("video/mp4")), "/a.b/c").is_ok());
    }
}
