//! Object keys: what is refused, content types by suffix.

/// Why a key is refused: dot segments, empty segments and control characters could leave the storage's prefix on some server.
pub use mps_plan::check_object_key as check;

/// A folder's key: like a key, with one `/` at its end.
pub fn check_folder(key: &str) -> Result<(), String> {
    match key.strip_suffix('/') {
        Some(path) => check(path),
        None => Err("must end in `/`".into()),
    }
}

/// MIME type by suffix.
pub fn content_type(key: &str) -> &'static str {
    let suffix = key
        .rsplit('/')
        .next()
        .and_then(|name| name.rsplit_once('.'))
        .map(|(_, suffix)| suffix.to_ascii_lowercase());
    match suffix.as_deref() {
        Some("mp4" | "m4v") => "video/mp4",
        Some("mov") => "video/quicktime",
        Some("mkv") => "video/x-matroska",
        Some("webm") => "video/webm",
        Some("ts" | "m2ts" | "mts") => "video/mp2t",
        Some("avi") => "video/x-msvideo",
        Some("flv") => "video/x-flv",
        Some("mpg" | "mpeg") => "video/mpeg",
        Some("m4a") => "audio/mp4",
        Some("mp3") => "audio/mpeg",
        Some("aac") => "audio/aac",
        Some("wav") => "audio/wav",
        Some("flac") => "audio/flac",
        Some("ogg" | "opus") => "audio/ogg",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("png") => "image/png",
        Some("webp") => "image/webp",
        Some("gif") => "image/gif",
        Some("m3u8") => "application/vnd.apple.mpegurl",
        Some("mpd") => "application/dash+xml",
        Some("m4s") => "video/iso.segment",
        Some("vtt") => "text/vtt",
        Some("srt") => "application/x-subrip",
        Some("json") => "application/json",
        Some("txt" | "log") => "text/plain",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_could_escape_are_refused() {
        for bad in [
            "",
            "/a",
            "a/",
            "a//b",
            "../a",
            "a/../b",
            "a/..",
            "./a",
            "a/./b",
            "a\nb",
            "a\0b",
            "a\u{7f}b",
            &"k".repeat(1025),
        ] {
            assert!(check(bad).is_err(), "{bad:?}");
        }
        for good in ["a", "a/b.mp4", "..a", "a..", "a/...", "日本/語 1.mp4", "a\\b"] {
            assert!(check(good).is_ok(), "{good:?}");
        }
        assert!(check_folder("a/b/").is_ok());
        assert!(check_folder("a").is_err());
        assert!(check_folder("../").is_err());
    }

    #[test]
    fn suffixes_give_content_types_in_any_case() {
        assert_eq!(content_type("a.b/clip.MP4"), "video/mp4");
        assert_eq!(content_type("a.mp4/clip"), "application/octet-stream");
    }
}
