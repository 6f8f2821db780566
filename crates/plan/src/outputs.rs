//! What a node makes: the keys of its files, of its series and of its set.

use mps_proto::{
    v1::NumberFormat,
    worker::v1::{PlanSeries, PlanSet},
};

use crate::{
    OutputKind,
    faults::Faults,
    input::split_suffix,
    kinds::{FilePath, Outputs, SetPaths},
    path::{self, NUMBER, SEGMENT, SUB_STREAM, Values},
};

/// Files of a node whose rows have no ids yet.
#[derive(Debug, Default)]
pub(crate) struct Planned {
    pub files: Vec<PlannedFile>,
    pub series: Option<PlanSeries>,
    /// Without its id and its manifests, which are the files.
    pub set: Option<PlanSet>,
    /// Patterns of keys that are not known yet, with the fields that set them.
    pub patterns: Vec<(String, String)>,
}

#[derive(Debug)]
pub(crate) struct PlannedFile {
    pub kind: OutputKind,
    pub number: i32,
    pub key: String,
    pub format: &'static str,
    pub content_type: &'static str,
    /// Path of the field that sets the key.
    pub field: String,
}

/// Where a node's files go.
pub(crate) struct Target<'a> {
    pub values: Values<'a>,
    /// The task's output directory.
    pub directory: &'a str,
    /// Path of the operation.
    pub field: &'a str,
}

impl Target<'_> {
    fn field_of(&self, file: &FilePath) -> String {
        format!("{}.{}", self.field, file.field)
    }

    /// The pattern of a file, or `None` with a violation.
    fn pattern(&self, file: &FilePath, left: &[&str], faults: &mut Faults) -> Option<String> {
        path::pattern(&file.path, file.format, &self.values, left)
            .map_err(|fault| faults.add(self.field_of(file), fault))
            .ok()
    }

    fn file(&self, file: &FilePath, kind: OutputKind, number: i32, key: String) -> PlannedFile {
        PlannedFile {
            kind,
            number,
            key,
            format: file.format,
            content_type: file.content_type,
            field: self.field_of(file),
        }
    }

    /// The finished key of a file, or `None` with a violation.
    fn key(&self, file: &FilePath, pattern: &str, numbers: &NumberFormat, index: i32, faults: &mut Faults) -> Option<String> {
        path::finished(pattern, |variable| (variable == NUMBER).then(|| path::number_text(numbers, index)))
            .map_err(|fault| faults.add(self.field_of(file), format!("gives a key that {fault}")))
            .ok()
    }
}

pub(crate) fn plan(outputs: &Outputs, target: &Target, faults: &mut Faults) -> Planned {
    let planned = match outputs {
        Outputs::Files { file, count, numbers } => plan_files(file, *count, numbers.as_ref(), target, faults),
        Outputs::Series {
            file,
            needs_number,
            max_files,
            numbers,
            extra,
        } => {
            let numbers = settle_numbers(numbers.as_ref(), target.field, faults);
            let series = plan_series(file, *needs_number, *max_files, &numbers, target, faults);
            with_extra(series, extra.as_ref(), &numbers, target, faults)
        }
        Outputs::Set(paths) => plan_set(paths, target, faults),
    };
    planned.unwrap_or_default()
}

fn plan_files(file: &FilePath, count: usize, numbers: Option<&NumberFormat>, target: &Target, faults: &mut Faults) -> Option<Planned> {
    let numbers = settle_numbers(numbers, target.field, faults);
    let pattern = path::placed(&target.pattern(file, &[NUMBER], faults)?, target.directory);
    if count > 1 && !path::has_variable(&pattern, NUMBER) {
        faults.add(
            target.field_of(file),
            format!("must contain {{number}}: the node makes {count} files"),
        );
        return None;
    }
    let mut files = Vec::new();
    for number in (0..).take(count) {
        // One fault is enough: the others are alike.
        let key = target.key(file, &pattern, &numbers, number, faults)?;
        files.push(target.file(file, OutputKind::File, number, key));
    }
    Some(Planned {
        files,
        ..Planned::default()
    })
}

fn plan_series(
    file: &FilePath,
    needs_number: bool,
    max_files: i32,
    numbers: &NumberFormat,
    target: &Target,
    faults: &mut Faults,
) -> Option<Planned> {
    let pattern = path::placed(&target.pattern(file, &[NUMBER], faults)?, target.directory);
    let has_number = path::has_variable(&pattern, NUMBER);
    if needs_number && !has_number {
        faults.add(target.field_of(file), "must contain {number}: the node makes several files");
        return None;
    }
    let key = target.key(file, &pattern, numbers, 0, faults)?;
    let files = vec![target.file(file, OutputKind::Series, 0, key)];
    let patterns = if has_number {
        vec![(pattern.clone(), target.field_of(file))]
    } else {
        Vec::new()
    };
    let series = PlanSeries {
        key: pattern,
        number_format: Some(numbers.clone()),
        format: file.format.to_owned(),
        content_type: file.content_type.to_owned(),
        max_files: if has_number { max_files } else { 1 },
        reference: String::new(),
    };
    Some(Planned {
        files,
        series: Some(series),
        patterns,
        set: None,
    })
}

/// Adds the file that stands beside a series; its number is −1.
fn with_extra(
    series: Option<Planned>,
    extra: Option<&FilePath>,
    numbers: &NumberFormat,
    target: &Target,
    faults: &mut Faults,
) -> Option<Planned> {
    let Some(extra) = extra else {
        return series;
    };
    let pattern = target
        .pattern(extra, &[], faults)
        .map(|pattern| path::placed(&pattern, target.directory));
    let key = pattern.as_ref().and_then(|pattern| target.key(extra, pattern, numbers, 0, faults));
    let mut planned = series?;
    if let (Some(series), Some(pattern)) = (&mut planned.series, &pattern) {
        series.reference = below_folder_of(pattern, &series.key);
    }
    planned.files.push(target.file(extra, OutputKind::File, -1, key?));
    Some(planned)
}

/// How the file with one key names another: relative to its own folder.
fn below_folder_of(key: &str, other: &str) -> String {
    let mut folders: Vec<&str> = key.split('/').collect();
    folders.pop();
    let parts: Vec<&str> = other.split('/').collect();
    let other_folders = parts.iter().take(parts.len() - 1);
    let shared = folders.iter().zip(other_folders).take_while(|(one, other)| one == other).count();
    let up = std::iter::repeat_n("..", folders.len() - shared);
    up.chain(parts.into_iter().skip(shared)).collect::<Vec<_>>().join("/")
}

fn plan_set(paths: &SetPaths, target: &Target, faults: &mut Faults) -> Option<Planned> {
    let mut files = Vec::new();
    for (number, manifest) in (0..).zip(&paths.manifests) {
        let pattern = path::placed(&target.pattern(manifest, &[], faults)?, target.directory);
        let key = target.key(manifest, &pattern, &NumberFormat::default(), 0, faults)?;
        if files.iter().any(|earlier: &PlannedFile| earlier.key == key) {
            let field = target.field_of(manifest);
            faults.add(field, "must contain {format}: there is a manifest for each format");
            return None;
        }
        files.push(target.file(manifest, OutputKind::Manifest, number, key));
    }
    let directory = files.first().map_or(String::new(), |first| folder_of(&first.key));
    let is_single = paths.sub_streams.is_none();
    let sub_streams = paths
        .sub_streams
        .as_ref()
        .map(|file| below(file, &directory, &[SUB_STREAM], target, faults));
    let wanted: &[&str] = if is_single { &[SEGMENT] } else { &[SUB_STREAM, SEGMENT] };
    let segments = below(&paths.segments, &directory, wanted, target, faults);
    let sub_stream_path = sub_streams.map_or(Some(String::new()), |path| path);
    let (segment_path, sub_stream_path) = (segments?, sub_stream_path?);
    let escaped = directory.replace('{', "{{").replace('}', "}}");
    let mut patterns = vec![(format!("{escaped}{segment_path}"), target.field_of(&paths.segments))];
    if let Some(file) = &paths.sub_streams {
        patterns.push((format!("{escaped}{sub_stream_path}"), target.field_of(file)));
    }
    let set = PlanSet {
        directory,
        sub_stream_path,
        segment_path,
        keep_partial: paths.keep_partial,
        segment_duration: paths.segment_duration,
        segment_format: paths.segment_format.into(),
        ..PlanSet::default()
    };
    Some(Planned {
        files,
        series: None,
        set: Some(set),
        patterns,
    })
}

fn folder_of(key: &str) -> String {
    key.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"))
}

/// The pattern of files below a set's directory; every variable in `wanted` must be there, and no other may be left.
fn below(file: &FilePath, directory: &str, wanted: &[&str], target: &Target, faults: &mut Faults) -> Option<String> {
    let field = target.field_of(file);
    // A single track needs no {subStreamNumber}, but may have it.
    let left: &[&str] = if file.field == "segment_path" {
        &[SUB_STREAM, SEGMENT]
    } else {
        wanted
    };
    let pattern = target.pattern(file, left, faults)?;
    if pattern.starts_with('/') {
        faults.add(field, "must be relative: it counts from the manifest's directory");
        return None;
    }
    let missing: Vec<String> = wanted
        .iter()
        .filter(|name| !path::has_variable(&pattern, name))
        .map(|name| format!("{{{name}}}"))
        .collect();
    if !missing.is_empty() {
        faults.add(field, format!("must contain {}", missing.join(" and ")));
        return None;
    }
    // A sample with the longest names shows whether keys are right.
    let longest = |_: &str| Some("0".repeat(10));
    let sample = path::finished(&pattern, longest).and_then(|key| crate::check_object_key(&format!("{directory}{key}-{}", "0".repeat(40))));
    if let Err(fault) = sample {
        faults.add(field, format!("gives a key that {fault}"));
        return None;
    }
    Some(pattern)
}

/// Checks how {number} is written and fills in every default.
fn settle_numbers(numbers: Option<&NumberFormat>, operation: &str, faults: &mut Faults) -> NumberFormat {
    let numbers = numbers.cloned().unwrap_or_default();
    let mut range = |name: &str, value: Option<i32>, least: i32, most: i32, default: i32| {
        let value = value.unwrap_or(default);
        if !(least..=most).contains(&value) {
            faults.add(
                format!("{operation}.number_format.{name}"),
                format!("is {value}; {least} to {most} is allowed"),
            );
        }
        Some(value.clamp(least, most))
    };
    let settled = NumberFormat {
        initial_value: range("initial_value", numbers.initial_value, 0, 1_000_000, 0),
        increment: range("increment", numbers.increment, 1, 1000, 1),
        min_length: range("min_length", numbers.min_length, 1, 16, 1),
        place_holder: if numbers.place_holder.is_empty() {
            "0".to_owned()
        } else {
            numbers.place_holder
        },
    };
    // Another digit would make two numbers look alike: 1 padded by "1" is 11.
    let pad = settled.place_holder.as_bytes();
    if !matches!(pad, [one] if *one == b'0' || one.is_ascii_alphabetic()) {
        faults.add(
            format!("{operation}.number_format.place_holder"),
            "must be one letter from A to z, or 0",
        );
    }
    settled
}

/// Key of file `index` (from 0) of a series.
pub fn series_key(series: &PlanSeries, index: i32) -> Result<String, String> {
    let numbers = series.number_format.clone().unwrap_or_default();
    path::finished(&series.key, |variable| {
        (variable == NUMBER).then(|| path::number_text(&numbers, index))
    })
}

/// Key of a media playlist of a set; `name` stands for the sub-stream: its track's number, or for I-frame playlists such as
/// `0-iframes`.
pub fn sub_stream_key(set: &PlanSet, name: &str) -> Result<String, String> {
    let path = path::finished(&set.sub_stream_path, |variable| (variable == SUB_STREAM).then(|| name.to_owned()))?;
    let key = format!("{}{path}", set.directory);
    crate::check_object_key(&key)?;
    Ok(key)
}

/// Key of a member of a set: segment `index` (from 0; a negative one is the initialisation segment, `init`) of a track.
/// `token` tells attempts apart; `suffix` without a dot, such as `m4s`, takes the place of the path's own.
pub fn member_key(set: &PlanSet, track: i32, index: i32, suffix: &str, token: &str) -> Result<String, String> {
    let number = match index {
        0.. => index.to_string(),
        // of subtitles: all of them
        _ if suffix == "vtt" => "all".to_owned(),
        -1 => "init".to_owned(),
        _ => format!("init{}", -1 - i64::from(index)),
    };
    let path = path::finished(without_suffix(&set.segment_path), |variable| match variable {
        SUB_STREAM => Some(track.to_string()),
        SEGMENT => Some(number.clone()),
        _ => None,
    })?;
    let key = format!("{}{path}-{token}.{suffix}", set.directory);
    crate::check_object_key(&key)?;
    Ok(key)
}

/// The pattern without its suffix: what follows the last dot of the name, unless a variable stands there.
fn without_suffix(pattern: &str) -> &str {
    let name = pattern.rsplit('/').next().unwrap_or(pattern);
    let (_, suffix) = split_suffix(name);
    if suffix.is_empty() || suffix.contains(['{', '}']) {
        return pattern;
    }
    pattern
        .strip_suffix(suffix)
        .and_then(|rest| rest.strip_suffix('.'))
        .unwrap_or(pattern)
}

#[cfg(test)]
mod tests;
