//! What an object key may look like.

/// Longest key that S3 takes, in bytes.
const MAX_BYTES: usize = 1024;

/// Faults of an object key: empty, too long (1,024 bytes), dot segments, empty segments, control characters, a leading slash.
pub fn check_object_key(key: &str) -> Result<(), String> {
    if key.is_empty() {
        return Err("must not be empty".into());
    }
    if key.len() > MAX_BYTES {
        return Err(format!("has {} bytes; at most {MAX_BYTES} are allowed", key.len()));
    }
    if key.starts_with('/') {
        return Err("must not begin with \"/\"".into());
    }
    if key.chars().any(char::is_control) {
        return Err("must not contain control characters".into());
    }
    check_segments(key)
}

fn check_segments(key: &str) -> Result<(), String> {
    for segment in key.split('/') {
        match segment {
            "" => return Err("must not contain \"//\" or end in \"/\"".into()),
            "." | ".." => return Err(format!("must not contain the segment \"{segment}\"")),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check_object_key;

    #[test]
    fn plain_keys_pass() {
        for key in ["a", "a/b.mp4", "...", "a..b/.hidden", "ünï/コード 1.mov", "a:b?c#d%2f"] {
            assert_eq!(check_object_key(key), Ok(()), "{key}");
        }
        assert!(check_object_key(&"k".repeat(1024)).is_ok());
    }

    #[test]
    fn keys_that_could_escape_or_confuse_are_refused() {
        for key in [
            "", "/a", "a//b", "a/", "/", ".", "..", "../x", "a/../b", "a/./b", "a/..", "a\nb", "a\0b", "a\u{7f}", "a\u{85}b",
        ] {
            assert!(check_object_key(key).is_err(), "{key:?}");
        }
        assert!(check_object_key(&"k".repeat(1025)).is_err());
        assert!(check_object_key(&"é".repeat(513)).is_err(), "bytes count, not characters");
    }
}
