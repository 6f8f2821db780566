//! Checks a task's input and the place of its outputs.

use mps_proto::v1::{StorageObject, TaskInput, TaskOutput, task_input::Source};

use crate::{
    PlanInput,
    faults::{Faults, shown},
    keys::check_object_key,
};

/// Name of an input whose URL gives none.
const NAMELESS: &str = "input";
/// Most bytes of a name that comes from a URL.
const MAX_URL_NAME: usize = 200;

/// The checked input; `None` with violations.
pub(crate) fn plan_input(input: Option<&TaskInput>, project: &str, faults: &mut Faults) -> Option<PlanInput> {
    let Some(source) = input.and_then(|input| input.source.as_ref()) else {
        faults.add("input", "exactly one of object and url must be set");
        return None;
    };
    match source {
        Source::Object(object) => {
            let object = check_object(object, "input.object", project, faults)?;
            Some(PlanInput::Object {
                storage_id: object.storage,
                key: object.key,
            })
        }
        Source::Url(url) => {
            if let Err(fault) = check_url(url) {
                faults.add("input.url", fault);
                return None;
            }
            Some(PlanInput::Url(url.clone()))
        }
    }
}

/// An object that is read, with the storage's id alone; `None` with a violation.
pub(crate) fn check_object(object: &StorageObject, field: &str, project: &str, faults: &mut Faults) -> Option<StorageObject> {
    if let Err(fault) = check_object_key(&object.key) {
        faults.add(format!("{field}.key"), fault);
    }
    let storage = faults.id_of(&format!("{field}.storage"), &object.storage, "storages", project)?;
    Some(StorageObject {
        storage,
        key: object.key.clone(),
    })
}

/// A URL that can be fetched: http or https, a host, no user or password (the task would show them to every reader).
pub(crate) fn check_url(url: &str) -> Result<(), String> {
    if url.chars().any(|character| character.is_control() || character.is_whitespace()) {
        return Err("must not contain spaces or control characters; percent-encode them".into());
    }
    let Some((scheme, rest)) = url.split_once("://") else {
        return Err("must be an absolute http or https URL".into());
    };
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err(format!("has the scheme {}; only http and https are allowed", shown(scheme)));
    }
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err("must not carry a user or password: everyone who may read the task would see it; use a presigned URL".into());
    }
    check_authority(authority)
}

fn check_authority(authority: &str) -> Result<(), String> {
    let port_of = |port: &str| port.is_empty() || port.parse::<u16>().is_ok_and(|port| port > 0);
    let (host, port_is_right) = match authority.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((host, "")) => (host, true),
            Some((host, port)) => (host, port.strip_prefix(':').is_some_and(port_of)),
            None => return Err("has an IPv6 address without \"]\"".into()),
        },
        None => match authority.rsplit_once(':') {
            Some((host, port)) => (host, port_of(port)),
            None => (authority, true),
        },
    };
    if host.is_empty() {
        return Err("has no host".into());
    }
    if !port_is_right {
        return Err("has a port that is no number from 1 to 65535".into());
    }
    Ok(())
}

/// Last segment of the input's key or URL, without folder: what `{inputName}` and `{inputFormat}` are made of.
pub(crate) fn file_name(input: &PlanInput) -> String {
    match input {
        PlanInput::Object { key, .. } => key.rsplit('/').next().unwrap_or(key).to_owned(),
        PlanInput::Url(url) => url_file_name(url),
    }
}

fn url_file_name(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let without_query = rest.split(['?', '#']).next().unwrap_or_default();
    let Some((_, path)) = without_query.split_once('/') else {
        return NAMELESS.to_owned();
    };
    let segment = path.rsplit('/').next().unwrap_or_default();
    let safe: String = percent_decoded(segment)
        .chars()
        .map(|character| match character {
            '/' | '\\' | '\u{fffd}' => '_',
            other if other.is_control() => '_',
            other => other,
        })
        .collect();
    if safe.chars().all(|character| character == '.') {
        return NAMELESS.to_owned();
    }
    shortened(safe)
}

/// Keeps the suffix of a name that is too long.
fn shortened(name: String) -> String {
    if name.len() <= MAX_URL_NAME {
        return name;
    }
    let (stem, suffix) = split_suffix(&name);
    let suffix = if suffix.len() > 16 { "" } else { suffix };
    let mut end = MAX_URL_NAME - 17;
    while !stem.is_char_boundary(end.min(stem.len())) {
        end -= 1;
    }
    let stem = stem.get(..end).unwrap_or(stem);
    if suffix.is_empty() {
        stem.to_owned()
    } else {
        format!("{stem}.{suffix}")
    }
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let escape = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let decoded = escape
            .filter(|digits| first == b'%' && digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match decoded {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Name and suffix of a file name; a leading dot starts no suffix.
pub(crate) fn split_suffix(file_name: &str) -> (&str, &str) {
    match file_name.rsplit_once('.') {
        Some((stem, suffix)) if !stem.is_empty() => (stem, suffix),
        _ => (file_name, ""),
    }
}

/// Id of the storage that outputs go to; default: the input's.
pub(crate) fn output_storage(
    output: &TaskOutput,
    input: Option<&PlanInput>,
    is_url: bool,
    project: &str,
    faults: &mut Faults,
) -> Option<String> {
    if !output.storage.is_empty() {
        return faults.id_of("output.storage", &output.storage, "storages", project);
    }
    if is_url {
        faults.add("output.storage", "must be set when the input is a URL");
        return None;
    }
    match input {
        Some(PlanInput::Object { storage_id, .. }) => Some(storage_id.clone()),
        _ => None,
    }
}

/// Directory of outputs, empty for the root, else ending in `/`: the caller's with one leading slash dropped and the last one
/// added where it is missing; by default the input's, for a URL the root.
pub(crate) fn output_directory(output: &TaskOutput, input: Option<&PlanInput>, faults: &mut Faults) -> String {
    if output.directory.is_empty() {
        return match input {
            Some(PlanInput::Object { key, .. }) => key.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/")),
            _ => String::new(),
        };
    }
    let relative = output.directory.strip_prefix('/').unwrap_or(&output.directory);
    if relative.is_empty() {
        return String::new();
    }
    let folder = relative.strip_suffix('/').unwrap_or(relative);
    if let Err(fault) = check_object_key(folder) {
        faults.add("output.directory", fault);
    }
    format!("{folder}/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_plain_http_with_a_host() {
        for url in [
            "http://host/a.mp4",
            "HTTPS://host:8443/a?b=c#d",
            "http://[::1]:80/x",
            "http://host",
            "http://1.2.3.4/%20",
        ] {
            assert_eq!(check_url(url), Ok(()), "{url}");
        }
        for url in [
            "",
            "host/a.mp4",
            "file:///etc/passwd",
            "ftp://host/a",
            "http://",
            "http:///a",
            "http://:80/a",
            "http://host:0/",
            "http://host:99999/",
            "http://host:a/",
            "http://user:secret@host/a",
            "http://host/a b",
            "http://ho\nst/",
            "http://[::1/",
        ] {
            assert!(check_url(url).is_err(), "{url}");
        }
        let fault = check_url("https://me:hunter2@host/").unwrap_err();
        assert!(!fault.contains("hunter2"), "{fault}");
    }

    #[test]
    fn names_come_from_the_last_segment() {
        for (url, name) in [
            ("http://h/a/clip.mp4?x=/y.mov", "clip.mp4"),
            ("http://h/My%20clip%2Fone.mp4", "My clip_one.mp4"),
            ("http://h/%2e%2e", "input"),
            ("http://h/", "input"),
            ("http://h", "input"),
            ("http://h/%zz.mp4", "%zz.mp4"),
            ("http://h/%ff%0a.mp4", "__.mp4"),
            ("http://h/%E3%82%B3.mp4#t=1", "コ.mp4"),
        ] {
            assert_eq!(url_file_name(url), name, "{url}");
        }
        let long = url_file_name(&format!("http://h/{}.mp4", "%E3%82%B3".repeat(300)));
        assert!(long.len() <= MAX_URL_NAME && long.ends_with(".mp4"), "{long}");
    }

    #[test]
    fn suffixes_are_split_at_the_last_dot() {
        for (name, parts) in [
            ("clip.mp4", ("clip", "mp4")),
            ("a.b.c", ("a.b", "c")),
            (".hidden", (".hidden", "")),
            ("plain", ("plain", "")),
        ] {
            assert_eq!(split_suffix(name), parts);
        }
    }

    #[test]
    fn directories_are_brought_into_one_form() {
        let object = PlanInput::Object {
            storage_id: "s".into(),
            key: "in/deep/clip.mp4".into(),
        };
        let url = PlanInput::Url("http://h/a/b.mp4".into());
        for (given, input, wanted) in [
            ("", &object, "in/deep/"),
            ("", &url, ""),
            ("/", &object, ""),
            ("out", &object, "out/"),
            ("out/", &object, "out/"),
            ("/out/a/", &object, "out/a/"),
        ] {
            let output = TaskOutput {
                directory: given.into(),
                ..Default::default()
            };
            let mut faults = Faults::default();
            assert_eq!(output_directory(&output, Some(input), &mut faults), wanted);
            assert!(faults.is_empty(), "{given}");
        }
        for bad in ["../x", "a//b", "//", "a/./", "a\tb/"] {
            let output = TaskOutput {
                directory: bad.into(),
                ..Default::default()
            };
            let mut faults = Faults::default();
            output_directory(&output, None, &mut faults);
            assert_eq!(faults.fields(), ["output.directory"], "{bad}");
        }
    }
}
