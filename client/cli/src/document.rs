//! What is read: messages as JSON in the contract's own mapping, from a file or from standard input.

use std::{io::Read, path::Path};

use prost::Message;
use prost_reflect::{DynamicMessage, MessageDescriptor};
use serde_json::Value;

use crate::{exit::UsageError, output::descriptor};

/// Largest file that is read; a request has at most 4 MiB.
const MAX_BYTES: u64 = 4 << 20;

/// A message of a type such as `mps.v1.Template`.
pub fn read<M: Message + Default>(path: &Path, name: &str) -> anyhow::Result<M> {
    let value = value(path)?;
    Ok(message(value, &descriptor(name)?, &shown(path))?)
}

/// A list of messages: an array, one message alone, or an object with them in `field`, such as a request's `nodes`.
pub fn read_list<M: Message + Default>(path: &Path, name: &str, field: &str) -> anyhow::Result<Vec<M>> {
    let descriptor = descriptor(name)?;
    let values = match value(path)? {
        Value::Array(values) => values,
        Value::Object(mut members) if members.contains_key(field) => match members.remove(field) {
            Some(Value::Array(values)) => values,
            _ => return Err(UsageError(format!("{}: {field} must be an array", shown(path))).into()),
        },
        single => vec![single],
    };
    let each = values.into_iter().enumerate().map(|(index, value)| {
        let place = format!("{}: {field}[{index}]", shown(path));
        Ok(message(value, &descriptor, &place)?)
    });
    each.collect()
}

fn shown(path: &Path) -> String {
    if is_stdin(path) {
        "standard input".into()
    } else {
        path.display().to_string()
    }
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn value(path: &Path) -> Result<Value, UsageError> {
    let wrong = |problem: String| UsageError(format!("{}: {problem}", shown(path)));
    let mut text = String::new();
    let read = if is_stdin(path) {
        std::io::stdin().lock().take(MAX_BYTES + 1).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_string(&mut text))
    };
    read.map_err(|error| wrong(error.to_string()))?;
    if text.len() as u64 > MAX_BYTES {
        return Err(wrong(format!("has more than {MAX_BYTES} bytes")));
    }
    serde_json::from_str(&text).map_err(|error| wrong(format!("is no JSON: {error}")))
}

fn message<M: Message + Default>(value: Value, descriptor: &MessageDescriptor, place: &str) -> Result<M, UsageError> {
    let wrong = |problem: String| UsageError(format!("{place}: is no {}: {problem}", descriptor.name()));
    let dynamic = DynamicMessage::deserialize(descriptor.clone(), value).map_err(|error| wrong(error.to_string()))?;
    dynamic.transcode_to().map_err(|error| wrong(error.to_string()))
}

#[cfg(test)]
mod tests {
    use mps_proto::v1::{Node, Template, node::Operation, node_settings::Settings};

    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn template_is_read_as_it_is_printed() {
        let text = r#"{"displayName": "x", "settings": {"transcode": {"video": {"crf": 20, "codec": "VIDEO_CODEC_H264"}}}}"#;
        let template: Template = read(file(text).path(), "mps.v1.Template").unwrap();
        let Some(Settings::Transcode(settings)) = template.settings.unwrap().settings else {
            panic!("not a transcode template")
        };
        assert_eq!(settings.video.unwrap().crf, Some(20));
    }

    #[test]
    fn nodes_stand_alone_in_an_array_or_in_a_request() {
        let node = r#"{"key": "a", "transcode": {"template": "preset-remux", "overrideMask": "video.codec"}}"#;
        for text in [node.to_owned(), format!("[{node}]"), format!("{{\"nodes\": [{node}]}}")] {
            let nodes: Vec<Node> = read_list(file(&text).path(), "mps.v1.Node", "nodes").unwrap();
            assert_eq!(nodes.len(), 1, "{text}");
            let Some(Operation::Transcode(transcode)) = &nodes[0].operation else {
                panic!("not a transcode node")
            };
            assert_eq!(transcode.override_mask.as_ref().unwrap().paths, ["video.codec"]);
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let fault = |text: &str| {
            read_list::<Node>(file(text).path(), "mps.v1.Node", "nodes")
                .unwrap_err()
                .to_string()
        };
        assert!(fault("{").contains("is no JSON"));
        assert!(fault(r#"[{"key": "a"}, {"nonsense": 1}]"#).contains("nodes[1]: is no Node"));
        assert!(fault(r#"{"nodes": 1}"#).contains("must be an array"));
        let missing = read::<Template>(Path::new("/nowhere/x.json"), "mps.v1.Template").unwrap_err();
        assert!(missing.downcast_ref::<UsageError>().is_some());
    }
}
