//! What a user may write for an input: a file, a URL, or `storage:key`.

use std::path::{Path, PathBuf};

use mps_proto::v1::{StorageObject, TaskInput, task_input::Source};

/// A parsed input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    File(PathBuf),
    Url(String),
    Object { storage: String, key: String },
}

impl Reference {
    /// A file that exists wins, then URLs, then `storage:key`.
    pub fn parse(text: &str) -> Result<Self, String> {
        if Path::new(text).is_file() {
            return Ok(Self::File(text.into()));
        }
        if text.starts_with("http://") || text.starts_with("https://") {
            return Ok(Self::Url(text.to_owned()));
        }
        if text.contains("://") {
            return Err(format!("{text}: only http and https URLs can be processed"));
        }
        match text.split_once(':') {
            Some((storage, key)) if mps_proto::name::is_valid_id(storage) && !key.is_empty() => Ok(Self::Object {
                storage: storage.to_owned(),
                key: key.trim_start_matches('/').to_owned(),
            }),
            _ => Err(format!("{text} is no file here; write a file, an http(s) URL, or storage:key")),
        }
    }

    /// The same as a task's input; a file has none before it is uploaded.
    pub fn task_input(&self) -> Option<TaskInput> {
        let source = match self {
            Self::File(_) => return None,
            Self::Url(url) => Source::Url(url.clone()),
            Self::Object { storage, key } => Source::Object(StorageObject {
                storage: storage.clone(),
                key: key.clone(),
            }),
        };
        Some(TaskInput { source: Some(source) })
    }
}

/// `storage:key` or a bare key in `local`.
pub fn object(text: &str) -> (String, String) {
    match text.split_once(':') {
        Some((storage, key)) if mps_proto::name::is_valid_id(storage) => (storage.to_owned(), key.trim_start_matches('/').to_owned()),
        _ => ("local".to_owned(), text.trim_start_matches('/').to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_files_urls_or_objects() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a:b.mp4");
        std::fs::write(&file, "x").unwrap();
        assert_eq!(Reference::parse(file.to_str().unwrap()), Ok(Reference::File(file)));
        assert_eq!(Reference::parse("https://h/x.mp4"), Ok(Reference::Url("https://h/x.mp4".into())));
        let object = Reference::Object {
            storage: "local".into(),
            key: "in/a.mp4".into(),
        };
        assert_eq!(Reference::parse("local:in/a.mp4"), Ok(object));
        for bad in ["ftp://h/x", "missing.mp4", "UPPER:x", "local:"] {
            assert!(Reference::parse(bad).is_err(), "{bad}");
        }
    }
}
