//! Text as a watermark.

use mps_proto::v1::TextWatermark;

use super::length;
use crate::{fields::fields, overrides::SettingsFaults, path::Values};

const MOST_CHARACTERS: usize = 100;

fields!(TextWatermark {
    text,
    font,
    font_size,
    color,
    outline_px,
    outline_color
});

pub(super) fn settle(settings: TextWatermark, faults: &mut SettingsFaults) -> TextWatermark {
    check_text(settings.text.as_deref().unwrap_or_default(), faults);
    faults.range("outline_px", settings.outline_px, 0, 20);
    TextWatermark {
        text: settings.text,
        font: Some(font("font", settings.font, faults)),
        font_size: Some(length::side("font_size", settings.font_size, "5%", false, faults)),
        color: Some(color("color", settings.color, "#FFFFFF", faults)),
        outline_px: Some(settings.outline_px.unwrap_or(0)),
        outline_color: Some(color("outline_color", settings.outline_color, "#000000", faults)),
    }
}

fn check_text(text: &str, faults: &mut SettingsFaults) {
    let count = text.chars().count();
    if !(1..=MOST_CHARACTERS).contains(&count) {
        faults.add("text", format!("has {count} characters; 1 to {MOST_CHARACTERS} are allowed"));
    }
    if text.chars().any(|character| character.is_control() && character != '\n') {
        faults.add("text", "holds control characters");
    }
}

/// Name of a font as Pango knows it.
pub(in crate::kinds) fn font(name: &str, asked: Option<String>, faults: &mut SettingsFaults) -> String {
    let font = asked.unwrap_or_else(|| "Sans".to_owned());
    if font.trim().is_empty() || font.chars().count() > 100 || font.chars().any(char::is_control) {
        faults.add(name, "must be the name of a font, at most 100 characters");
    }
    font
}

pub(in crate::kinds) fn color(name: &str, asked: Option<String>, default: &str, faults: &mut SettingsFaults) -> String {
    let color = asked.unwrap_or_else(|| default.to_owned());
    let is_right = color
        .strip_prefix('#')
        .is_some_and(|digits| digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    if !is_right {
        faults.add(name, "must be a colour such as \"#FFFFFF\"");
    }
    color
}

/// Replaces `{taskId}`, `{inputName}`, `{nodeKey}` and `{definition}`; other braces stay as they are.
pub(crate) fn replace_variables(text: &str, values: &Values) -> String {
    let known = [
        ("{taskId}", values.task_id),
        ("{inputName}", values.input_name),
        ("{nodeKey}", values.node_key),
        ("{definition}", values.definition),
    ];
    let mut replaced = String::new();
    let mut rest = text;
    while let Some(brace) = rest.find('{') {
        let (before, after) = rest.split_at(brace);
        replaced.push_str(before);
        match known.iter().find(|(variable, _)| after.starts_with(variable)) {
            Some((variable, value)) => {
                replaced.push_str(value);
                rest = after.strip_prefix(variable).unwrap_or_default();
            }
            None => {
                replaced.push('{');
                rest = after.strip_prefix('{').unwrap_or_default();
            }
        }
    }
    replaced + rest
}
