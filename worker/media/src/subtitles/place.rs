//! Where a cue lies in the picture: settings of WebVTT, and the marks that SubRip files take from ASS.

/// Settings of WebVTT that stand for themselves; a region is described elsewhere in its file.
const NAMES: [&str; 5] = ["vertical", "line", "position", "size", "align"];

/// The settings that are kept, as WebVTT writes them.
pub fn settings(written: &str) -> String {
    let known = written.split_whitespace().filter(|setting| {
        let Some((name, value)) = setting.split_once(':') else {
            return false;
        };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".,%-".contains(&byte);
        NAMES.contains(&name) && !value.is_empty() && value.bytes().all(plain)
    });
    known.collect::<Vec<_>>().join(" ")
}

/// Text without marks such as {\an8}, and what the first of them says as settings of WebVTT.
pub fn overrides(text: &str) -> (String, String) {
    let (mut plain, mut rest) = (String::with_capacity(text.len()), text);
    let mut found = None;
    while let Some(at) = rest.find("{\\") {
        let Some(length) = rest[at..].find('}') else { break };
        plain.push_str(&rest[..at]);
        let mark = &rest[at + 1..at + length];
        found = found.or_else(|| mark.split('\\').find_map(alignment));
        rest = &rest[at + length + 1..];
    }
    plain.push_str(rest);
    (plain, found.map(as_settings).unwrap_or_default())
}

/// The digit of "an8": places as on a keypad.
fn alignment(mark: &str) -> Option<u8> {
    let digit = mark.strip_prefix("an")?.bytes().next()?;
    (b'1'..=b'9').contains(&digit).then_some(digit - b'0')
}

fn as_settings(place: u8) -> String {
    let line = match place {
        7..=9 => Some("line:0"),
        4..=6 => Some("line:50%"),
        _ => None,
    };
    let align = match place % 3 {
        1 => Some("position:0% align:start"),
        0 => Some("position:100% align:end"),
        _ => None,
    };
    line.into_iter().chain(align).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_settings_are_kept() {
        assert_eq!(
            settings("align:start  line:-1 region:a position:10%,line-left x:\"y\""),
            "align:start line:-1 position:10%,line-left"
        );
    }

    #[test]
    fn marks_of_ass_become_settings() {
        assert_eq!(overrides("{\\an8}Up"), ("Up".into(), "line:0".into()));
        assert_eq!(
            overrides("a{\\i1\\an4}b {\\b0}c"),
            ("ab c".into(), "line:50% position:0% align:start".into())
        );
        assert_eq!(overrides("{x} {\\open"), ("{x} {\\open".into(), String::new()));
    }
}
