//! Output paths: variables in braces, relative to the output directory or absolute; and keys that are finished later.
//!
//! Some variables are known only when the worker has seen the input. Such a key is kept as a pattern: the variables that are
//! left stand in braces, every other brace is doubled.

use mps_proto::v1::NumberFormat;

use crate::{faults::shown, keys::check_object_key};

/// Variables of every path.
const COMMON: &[&str] = &["inputName", "inputDir", "inputFormat", "definition", "format", "taskId", "nodeKey"];
pub(crate) const NUMBER: &str = "number";
pub(crate) const SUB_STREAM: &str = "subStreamNumber";
pub(crate) const SEGMENT: &str = "segmentNumber";

/// What variables stand for in the paths of one node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Values<'a> {
    /// File name without folder and suffix.
    pub input_name: &'a str,
    /// Folder without slashes around it; empty for the root and for URLs.
    pub input_dir: &'a str,
    pub input_format: &'a str,
    /// Template id without its parents, or `inline`.
    pub definition: &'a str,
    pub task_id: &'a str,
    pub node_key: &'a str,
}

impl Values<'_> {
    fn of<'a>(&'a self, variable: &str, format: &'a str) -> &'a str {
        match variable {
            "inputName" => self.input_name,
            "inputDir" => self.input_dir,
            "inputFormat" => self.input_format,
            "definition" => self.definition,
            "format" => format,
            "taskId" => self.task_id,
            _ => self.node_key,
        }
    }
}

enum Piece<'a> {
    Text(&'a str),
    Variable(&'a str),
}

/// Expands a path to a pattern in which the variables of `left` are left to fill in.
pub(crate) fn pattern(path: &str, format: &str, values: &Values, left: &[&str]) -> Result<String, String> {
    let mut text = String::new();
    let mut drop_slash = false;
    for piece in parse(path, left)? {
        match piece {
            Piece::Text(plain) => {
                let plain = if drop_slash {
                    plain.strip_prefix('/').unwrap_or(plain)
                } else {
                    plain
                };
                text.push_str(plain);
                drop_slash = false;
            }
            Piece::Variable(variable) if left.contains(&variable) => {
                text.push_str(&format!("{{{variable}}}"));
                drop_slash = false;
            }
            Piece::Variable(variable) => {
                let value = values.of(variable, format);
                text.push_str(&value.replace('{', "{{").replace('}', "}}"));
                // "{inputDir}/x" of an input at the root is "x".
                drop_slash = variable == "inputDir" && value.is_empty();
            }
        }
    }
    Ok(text)
}

/// Below the output directory, unless the pattern begins with a slash.
pub(crate) fn placed(pattern: &str, directory: &str) -> String {
    match pattern.strip_prefix('/') {
        Some(absolute) => absolute.to_owned(),
        None => format!("{}{pattern}", directory.replace('{', "{{").replace('}', "}}")),
    }
}

/// Whether a pattern has a variable left.
pub(crate) fn has_variable(pattern: &str, variable: &str) -> bool {
    let mut found = false;
    // Doubled braces are passed over, as they are when the pattern is filled in.
    let walked = fill(pattern, |name| {
        found |= name == variable;
        Some(String::new())
    });
    walked.is_ok() && found
}

/// Fills in what is left of a pattern and checks the key that comes out.
pub(crate) fn finished(pattern: &str, value: impl FnMut(&str) -> Option<String>) -> Result<String, String> {
    let key = fill(pattern, value)?;
    check_object_key(&key)?;
    Ok(key)
}

fn fill(pattern: &str, mut value: impl FnMut(&str) -> Option<String>) -> Result<String, String> {
    let mut text = String::new();
    let mut rest = pattern;
    while let Some(at) = rest.find(['{', '}']) {
        let (plain, braced) = rest.split_at(at);
        text.push_str(plain);
        if let Some(after) = braced.strip_prefix("{{") {
            text.push('{');
            rest = after;
        } else if let Some(after) = braced.strip_prefix("}}") {
            text.push('}');
            rest = after;
        } else {
            let variable = braced.strip_prefix('{').and_then(|after| after.split_once('}'));
            let (name, after) = variable.ok_or_else(|| format!("{} has a single brace", shown(pattern)))?;
            text.push_str(&value(name).ok_or_else(|| format!("{{{name}}} cannot be filled in here"))?);
            rest = after;
        }
    }
    Ok(text + rest)
}

/// How file `index` of a node (from 0) is numbered.
pub(crate) fn number_text(format: &NumberFormat, index: i32) -> String {
    let number = i64::from(format.initial_value()) + i64::from(index) * i64::from(format.increment.unwrap_or(1));
    let digits = number.to_string();
    let length = usize::try_from(format.min_length.unwrap_or(1)).unwrap_or(1);
    let pad = if format.place_holder.is_empty() {
        "0"
    } else {
        &format.place_holder
    };
    format!("{}{digits}", pad.repeat(length.saturating_sub(digits.len())))
}

fn parse<'a>(path: &'a str, left: &[&str]) -> Result<Vec<Piece<'a>>, String> {
    let mut pieces = Vec::new();
    let mut rest = path;
    while let Some((text, after)) = rest.split_once('{') {
        let Some((variable, tail)) = after.split_once('}') else {
            return Err("has a \"{\" without a \"}\"".into());
        };
        if !COMMON.contains(&variable) && !left.contains(&variable) {
            let known: Vec<String> = COMMON.iter().chain(left).map(|known| format!("{{{known}}}")).collect();
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
mod tests;
