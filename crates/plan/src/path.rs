//! Output paths: variables in braces, relative to the output directory or absolute.

use crate::{
    faults::{Faults, shown},
    keys::check_object_key,
};

const VARIABLES: &[&str] = &["inputName", "inputFormat", "definition", "format", "number", "taskId", "nodeKey"];

/// What variables stand for in the paths of one node.
pub(crate) struct Values<'a> {
    pub input_name: &'a str,
    pub input_format: &'a str,
    /// Template id without its parents, or `inline`.
    pub definition: &'a str,
    pub format: &'a str,
    pub task_id: &'a str,
    pub node_key: &'a str,
}

impl Values<'_> {
    fn of(&self, variable: &str, number: usize) -> String {
        match variable {
            "inputName" => self.input_name.to_owned(),
            "inputFormat" => self.input_format.to_owned(),
            "definition" => self.definition.to_owned(),
            "format" => self.format.to_owned(),
            "taskId" => self.task_id.to_owned(),
            "nodeKey" => self.node_key.to_owned(),
            // Plain decimal from 0; the other names were checked before.
            _ => number.to_string(),
        }
    }
}

enum Piece<'a> {
    Text(&'a str),
    Variable(&'a str),
}

/// Keys of a node's files, in order; empty with violations at `field`.
pub(crate) fn keys(path: &str, directory: &str, files: usize, values: &Values, field: &str, faults: &mut Faults) -> Vec<String> {
    let pieces = match parse(path) {
        Ok(pieces) => pieces,
        Err(fault) => {
            faults.add(field, fault);
            return Vec::new();
        }
    };
    let has_number = pieces.iter().any(|piece| matches!(piece, Piece::Variable("number")));
    if files > 1 && !has_number {
        faults.add(field, format!("must contain {{number}}: the node makes {files} files"));
        return Vec::new();
    }
    let keys: Vec<String> = (0..files).map(|number| expand(&pieces, directory, number, values)).collect();
    if let Some(fault) = keys.iter().find_map(|key| check_object_key(key).err()) {
        faults.add(field, format!("gives a key that {fault}"));
        return Vec::new();
    }
    keys
}

fn expand(pieces: &[Piece], directory: &str, number: usize, values: &Values) -> String {
    let mut text = String::new();
    for piece in pieces {
        match piece {
            Piece::Text(plain) => text.push_str(plain),
            Piece::Variable(variable) => text.push_str(&values.of(variable, number)),
        }
    }
    match text.strip_prefix('/') {
        Some(absolute) => absolute.to_owned(),
        None => format!("{directory}{text}"),
    }
}

fn parse(path: &str) -> Result<Vec<Piece<'_>>, String> {
    let mut pieces = Vec::new();
    let mut rest = path;
    while let Some((text, after)) = rest.split_once('{') {
        let Some((variable, tail)) = after.split_once('}') else {
            return Err("has a \"{\" without a \"}\"".into());
        };
        if !VARIABLES.contains(&variable) {
            let known: Vec<String> = VARIABLES.iter().map(|known| format!("{{{known}}}")).collect();
            return Err(format!(
                "has the unknown variable {}; there are {}",
                shown(variable),
                known.join(", ")
            ));
        }
        pieces.push(plain(text)?);
        pieces.push(Piece::Variable(variable));
        rest = tail;
    }
    pieces.push(plain(rest)?);
    Ok(pieces)
}

fn plain(text: &str) -> Result<Piece<'_>, String> {
    if text.contains('}') {
        return Err("has a \"}\" without a \"{\"".into());
    }
    Ok(Piece::Text(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: Values = Values {
        input_name: "cl{ip}",
        input_format: "mov",
        definition: "preset-x",
        format: "mp4",
        task_id: "t1",
        node_key: "transcode-1",
    };

    fn made(path: &str, files: usize) -> Result<Vec<String>, usize> {
        let mut faults = Faults::default();
        let keys = keys(path, "out/", files, &VALUES, "field", &mut faults);
        if faults.is_empty() { Ok(keys) } else { Err(faults.fields().len()) }
    }

    #[test]
    fn variables_are_replaced_once_and_paths_are_relative_unless_they_begin_with_a_slash() {
        for (path, key) in [
            ("{inputName}_transcode_{definition}.{format}", "out/cl{ip}_transcode_preset-x.mp4"),
            ("/abs/{taskId}/{nodeKey}.{inputFormat}", "abs/t1/transcode-1.mov"),
            ("a-{number}", "out/a-0"),
            ("plain.mp4", "out/plain.mp4"),
        ] {
            assert_eq!(made(path, 1), Ok(vec![key.to_owned()]));
        }
        assert_eq!(made("{number}", 3), Ok(vec!["out/0".into(), "out/1".into(), "out/2".into()]));
        assert_eq!(made("{number}", 12).map(|keys| keys[11].clone()), Ok("out/11".into()));
    }

    #[test]
    fn broken_paths_are_refused() {
        for path in [
            "{unknown}",
            "{}",
            "{inputName",
            "a}b",
            "{{inputName}}",
            "../{inputName}",
            "//x",
            "/",
            "dir/",
            "a//b",
            "{InputName}",
        ] {
            assert_eq!(made(path, 1), Err(1), "{path}");
        }
        assert_eq!(made("same.jpg", 2), Err(1), "several files need a number");
    }
}
