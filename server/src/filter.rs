//! The filter language of ListTasks and WatchTasks: an AIP-160 subset, as SQL and as a predicate.
//!
//! Comparisons joined by AND, such as `state = TASK_STATE_FAILED AND labels.team = "news"`. A label that a task does not have differs
//! from every value. Text is ordered by its bytes.

mod parse;
pub mod templates;
#[cfg(test)]
mod tests;

use mps_proto::v1::TaskState;
use sea_orm::Value;

use crate::{error::ApiError, store::tasks::TaskRow};

/// A parsed filter; the empty one matches every task.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// All must hold.
    conditions: Vec<Condition>,
}

#[derive(Debug, Clone)]
enum Condition {
    Text(TextField, Operator, String),
    State(Operator, TaskState),
    /// Milliseconds since 1970.
    CreateTime(Operator, i64),
    Label(String, Operator, String),
    HasLabel(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TextField {
    Id,
    SessionId,
    Input,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Filter {
    /// Parses a filter; the error names the field `filter` and says what is allowed.
    pub fn parse(text: &str) -> Result<Self, ApiError> {
        let conditions = parse::conditions(text).map_err(|fault| ApiError::invalid_field("filter", fault.to_string()))?;
        Ok(Self { conditions })
    }

    /// Whether a task matches.
    pub fn matches(&self, row: &TaskRow) -> bool {
        self.conditions.iter().all(|condition| condition.matches(row))
    }

    /// A condition over the columns of `tasks`; placeholders continue after the values that stand there already.
    pub fn sql(&self, is_postgres: bool, values: &mut Vec<Value>) -> String {
        if self.conditions.is_empty() {
            return "1 = 1".into();
        }
        let texts: Vec<String> = self.conditions.iter().map(|condition| condition.sql(is_postgres, values)).collect();
        texts.join(" AND ")
    }
}

impl Condition {
    fn matches(&self, row: &TaskRow) -> bool {
        match self {
            Self::Text(field, operator, value) => operator.holds(field.of(row), value.as_str()),
            Self::State(operator, state) => operator.holds(row.state, *state),
            Self::CreateTime(operator, ms) => operator.holds(row.create_ms, *ms),
            Self::Label(key, operator, value) => operator.holds(row.task.labels.get(key), Some(value)),
            Self::HasLabel(key) => row.task.labels.contains_key(key),
        }
    }

    fn sql(&self, is_postgres: bool, values: &mut Vec<Value>) -> String {
        match self {
            Self::Text(field, operator, value) => {
                let place = place(values, value.as_str());
                // Postgres orders text by the database's locale otherwise
                let collation = if is_postgres && operator.is_order() { " COLLATE \"C\"" } else { "" };
                format!("{}{collation} {} {place}", field.column(), operator.sql())
            }
            Self::State(operator, state) => format!("state {} {}", operator.sql(), place(values, *state as i32)),
            Self::CreateTime(operator, ms) => format!("create_ms {} {}", operator.sql(), place(values, *ms)),
            Self::Label(key, operator, value) => {
                let label = label(is_postgres, key, values);
                let not = if *operator == Operator::NotEqual { "" } else { " NOT" };
                format!("{label} IS{not} DISTINCT FROM {}", place(values, value.as_str()))
            }
            Self::HasLabel(key) => format!("{} IS NOT NULL", label(is_postgres, key, values)),
        }
    }
}

impl TextField {
    fn of(self, row: &TaskRow) -> &str {
        match self {
            Self::Id => &row.id,
            Self::SessionId => &row.task.session_id,
            Self::Input => &row.input,
        }
    }

    fn column(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::SessionId => "session_id",
            Self::Input => "input",
        }
    }
}

impl Operator {
    fn holds<T: PartialOrd>(self, left: T, right: T) -> bool {
        match self {
            Self::Equal => left == right,
            Self::NotEqual => left != right,
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
        }
    }

    fn is_order(self) -> bool {
        !matches!(self, Self::Equal | Self::NotEqual)
    }

    fn sql(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "<>",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }
}

/// Adds a value; gives its placeholder.
fn place(values: &mut Vec<Value>, value: impl Into<Value>) -> String {
    values.push(value.into());
    format!("${}", values.len())
}

/// The value of a label, or NULL. Keys were checked: they hold nothing that a JSON path gives a meaning to within quotes.
fn label(is_postgres: bool, key: &str, values: &mut Vec<Value>) -> String {
    if is_postgres {
        return format!("(labels::jsonb ->> {})", place(values, key));
    }
    format!("json_extract(labels, {})", place(values, format!("$.\"{key}\"")))
}
