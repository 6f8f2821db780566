//! The filter of ListTemplates, such as `kind = "transcode" AND preset = false`. Templates are few: there is only the predicate.

use mps_proto::v1::Template;

use super::{
    Operator,
    parse::{self, Fault, Reader},
};
use crate::error::ApiError;

const FIELDS: &str = "kind, preset, display_name or alias";

/// A parsed filter; the empty one matches every template.
#[derive(Debug, Clone, Default)]
pub struct TemplateFilter {
    /// All must hold.
    conditions: Vec<Condition>,
}

#[derive(Debug, Clone)]
enum Condition {
    Kind(Operator, String),
    Preset(bool),
    DisplayName(Operator, String),
    /// Whether one of the aliases is this.
    Alias(bool, String),
}

impl TemplateFilter {
    /// Parses a filter; the error names the field `filter` and says what is allowed.
    pub fn parse(text: &str) -> Result<Self, ApiError> {
        let conditions = parse::joined_by_and(text, condition).map_err(|fault| ApiError::invalid_field("filter", fault.to_string()))?;
        Ok(Self { conditions })
    }

    /// Whether a template matches.
    pub fn matches(&self, template: &Template) -> bool {
        self.conditions.iter().all(|condition| condition.matches(template))
    }
}

impl Condition {
    fn matches(&self, template: &Template) -> bool {
        match self {
            Self::Kind(operator, kind) => operator.holds(&template.kind, kind),
            Self::Preset(preset) => template.preset == *preset,
            Self::DisplayName(operator, text) => operator.holds(&template.display_name, text),
            Self::Alias(wanted, alias) => template.aliases.contains(alias) == *wanted,
        }
    }
}

fn condition(reader: &mut Reader) -> Result<Condition, Fault> {
    let (start, field) = reader.field();
    match field {
        "kind" => Ok(Condition::Kind(reader.equality("kind")?, reader.literal()?.text)),
        "preset" => preset(reader),
        "display_name" => Ok(Condition::DisplayName(reader.operator()?, reader.literal()?.text)),
        "alias" => {
            let is_equal = reader.equality("alias")? == Operator::Equal;
            Ok(Condition::Alias(is_equal, reader.literal()?.text))
        }
        _ => Err(reader.fault(
            start,
            format!("write a comparison of {FIELDS}; OR, NOT and parentheses are not supported"),
        )),
    }
}

fn preset(reader: &mut Reader) -> Result<Condition, Fault> {
    let is_equal = reader.equality("preset")? == Operator::Equal;
    let literal = reader.literal()?;
    match literal.text.as_str() {
        "true" => Ok(Condition::Preset(is_equal)),
        "false" => Ok(Condition::Preset(!is_equal)),
        _ => Err(reader.fault(literal.at, "write true or false")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(kind: &str, display_name: &str, aliases: &[&str]) -> Template {
        Template {
            kind: kind.into(),
            display_name: display_name.into(),
            preset: !aliases.is_empty(),
            aliases: aliases.iter().map(|alias| (*alias).to_owned()).collect(),
            ..Default::default()
        }
    }

    #[test]
    fn templates_are_picked_by_kind_preset_display_name_and_alias() {
        let all = [
            template("transcode", "SD", &["20", "100020"]),
            template("snapshot", "Plain", &["10"]),
            template("transcode", "Own \"one\"", &[]),
        ];
        let cases = [
            ("", vec![0, 1, 2]),
            ("kind = \"transcode\" AND preset = false", vec![2]),
            ("kind != transcode", vec![1]),
            ("preset != false", vec![0, 1]),
            ("display_name = 'Own \"one\"'", vec![2]),
            ("display_name >= P AND display_name < Q", vec![1]),
            ("alias = 100020", vec![0]),
            ("alias != \"10\"", vec![0, 2]),
        ];
        for (text, wanted) in cases {
            let filter = TemplateFilter::parse(text).unwrap();
            let found: Vec<usize> = (0..all.len()).filter(|index| filter.matches(&all[*index])).collect();
            assert_eq!(found, wanted, "{text}");
        }
    }

    #[test]
    fn faults_say_where_and_what_is_allowed() {
        let cases = [
            ("state = x", "character 1: write a comparison of kind, preset"),
            ("preset = maybe", "character 10: write true or false"),
            ("kind < a", "kind is compared by = or !="),
            ("kind = a OR kind = b", "write AND between"),
        ];
        for (text, problem) in cases {
            let error = TemplateFilter::parse(text).unwrap_err();
            assert_eq!(error.violations[0].field, "filter");
            assert!(error.message.contains(problem), "{text}: {}", error.message);
        }
    }
}
