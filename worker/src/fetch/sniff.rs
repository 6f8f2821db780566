//! Playlists are refused, whatever they are called: they name other files, and only single files are read.

use reqwest::header::HeaderValue;

use super::error::FetchError;

/// Bytes that are looked at.
const HEAD: usize = 1024;
const PLAYLIST_TYPES: [&str; 7] = [
    "application/vnd.apple.mpegurl",
    "application/x-mpegurl",
    "application/mpegurl",
    "audio/mpegurl",
    "audio/x-mpegurl",
    "application/dash+xml",
    "application/vnd.ms-sstr+xml",
];
const PLAYLIST_SUFFIXES: [&str; 4] = ["m3u8", "m3u", "mpd", "ism"];

/// Refuses what the server or the name calls a playlist.
pub fn check_type(content_type: Option<&HeaderValue>, path: &str) -> Result<(), FetchError> {
    let content_type = content_type.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let suffix = path
        .rsplit_once('.')
        .map(|(_, suffix)| suffix.to_ascii_lowercase())
        .unwrap_or_default();
    if PLAYLIST_TYPES.contains(&essence.as_str()) || PLAYLIST_SUFFIXES.contains(&suffix.as_str()) {
        return Err(FetchError::Playlist);
    }
    Ok(())
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
        let names_files = ["<MPD", "<SmoothStreamingMedia", "<smil"].iter().any(|tag| text.contains(tag));
        let is_list = ["#EXTM3U", "#EXT-X-", "[playlist]"].iter().any(|start| text.starts_with(start));
        if is_list || (text.starts_with('<') && names_files) {
            return Err(FetchError::Playlist);
        }
        Ok(())
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
        for text in [
            "#EXTM3U\n#EXTINF:4,\nfile:///etc/passwd\n",
            "\u{feff}#EXTM3U\n",
            "\n  #EXTM3U\n",
            "<?xml version=\"1.0\"?>\n<!-- x -->\n<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\">",
            "<MPD>",
            "[playlist]\nFile1=http://x/",
        ] {
            assert!(matches!(judge(text.as_bytes()), Err(FetchError::Playlist)), "{text}");
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
