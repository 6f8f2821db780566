//! Reads the text of a filter.

use mps_proto::v1::TaskState;

use super::{Condition, Operator, TextField};

const MAX_BYTES: usize = 4096;
const MAX_CONDITIONS: usize = 32;
const FIELDS: &str = "id, session_id, state, create_time, input or labels.KEY";
/// What ends a bare word; values have their own rule, as storage:key and times hold colons.
const WORD_ENDS: &[char] = &['=', '!', '<', '>', ':', '(', ')', ',', '"', '\''];
const VALUE_ENDS: &[char] = &['=', '!', '<', '>', '(', ')', ',', '"', '\''];

/// Why a text is no filter.
#[derive(Debug, thiserror::Error)]
#[error("at character {position}: {problem}")]
pub(super) struct Fault {
    position: usize,
    problem: String,
}

/// The comparisons of a filter of tasks.
pub(super) fn conditions(text: &str) -> Result<Vec<Condition>, Fault> {
    joined_by_and(text, Reader::comparison)
}

/// What `comparison` reads between ANDs.
pub(super) fn joined_by_and<'a, T>(text: &'a str, comparison: impl Fn(&mut Reader<'a>) -> Result<T, Fault>) -> Result<Vec<T>, Fault> {
    let mut reader = Reader { text, at: 0 };
    if text.len() > MAX_BYTES {
        return Err(reader.fault(0, format!("a filter has at most {MAX_BYTES} bytes")));
    }
    let mut found = Vec::new();
    if reader.is_at_end() {
        return Ok(found);
    }
    loop {
        if found.len() == MAX_CONDITIONS {
            return Err(reader.fault(reader.at, format!("a filter has at most {MAX_CONDITIONS} comparisons")));
        }
        found.push(comparison(&mut reader)?);
        if reader.is_at_end() {
            return Ok(found);
        }
        reader.and()?;
    }
}

pub(super) struct Reader<'a> {
    text: &'a str,
    /// In bytes, always between characters.
    at: usize,
}

/// A value and where it starts.
pub(super) struct Literal {
    pub(super) text: String,
    pub(super) at: usize,
    is_quoted: bool,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Positions are told in characters, from 1.
    pub(super) fn fault(&self, at: usize, problem: impl Into<String>) -> Fault {
        let before = self.text.get(..at).unwrap_or(self.text);
        Fault {
            position: before.chars().count() + 1,
            problem: problem.into(),
        }
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    fn is_at_end(&mut self) -> bool {
        self.skip_space();
        self.rest().is_empty()
    }

    fn word(&mut self, ends: &[char]) -> &'a str {
        self.skip_space();
        let rest = self.rest();
        let length = rest.find(|c: char| c.is_whitespace() || ends.contains(&c)).unwrap_or(rest.len());
        self.at += length;
        rest.get(..length).unwrap_or_default()
    }

    fn and(&mut self) -> Result<(), Fault> {
        let start = self.at;
        match self.word(WORD_ENDS) {
            "AND" => Ok(()),
            _ => Err(self.fault(start, "write AND between comparisons; OR, NOT and parentheses are not supported")),
        }
    }

    /// The field that a comparison begins with, and where it stands.
    pub(super) fn field(&mut self) -> (usize, &'a str) {
        self.skip_space();
        let start = self.at;
        (start, self.word(WORD_ENDS))
    }

    fn comparison(&mut self) -> Result<Condition, Fault> {
        let (start, field) = self.field();
        match field {
            "id" => self.text_condition(TextField::Id),
            "session_id" => self.text_condition(TextField::SessionId),
            "input" => self.text_condition(TextField::Input),
            "state" => self.state_condition(),
            "create_time" => self.time_condition(),
            "labels" => self.has_label(),
            _ => match field.strip_prefix("labels.") {
                Some(key) => self.label_condition(start, key),
                None => Err(self.fault(
                    start,
                    format!("write a comparison of {FIELDS}; OR, NOT and parentheses are not supported"),
                )),
            },
        }
    }

    fn text_condition(&mut self, field: TextField) -> Result<Condition, Fault> {
        let operator = self.operator()?;
        Ok(Condition::Text(field, operator, self.literal()?.text))
    }

    fn state_condition(&mut self) -> Result<Condition, Fault> {
        let operator = self.equality("state")?;
        let literal = self.literal()?;
        let state = TaskState::from_str_name(&literal.text).filter(|state| *state != TaskState::Unspecified);
        let state = state.ok_or_else(|| self.fault(literal.at, format!("write one of {}", state_names())))?;
        Ok(Condition::State(operator, state))
    }

    fn time_condition(&mut self) -> Result<Condition, Fault> {
        let operator = self.operator()?;
        let literal = self.literal()?;
        time(operator, &literal.text).ok_or_else(|| {
            self.fault(
                literal.at,
                "write an RFC 3339 time with its offset, such as \"2026-01-31T08:00:00Z\"",
            )
        })
    }

    /// `labels:KEY`.
    fn has_label(&mut self) -> Result<Condition, Fault> {
        let start = self.at;
        if !self.take(":") {
            return Err(self.fault(start, "write labels:KEY (has the label) or labels.KEY = \"value\""));
        }
        let literal = self.literal()?;
        Ok(Condition::HasLabel(self.label_key(literal.at, &literal.text)?))
    }

    /// `labels.KEY = value`, `labels.KEY != value`, `labels.KEY:*` or `labels.KEY:value`.
    fn label_condition(&mut self, start: usize, key: &str) -> Result<Condition, Fault> {
        let key = self.label_key(start + "labels.".len(), key)?;
        if !self.take(":") {
            let operator = self.equality("a label")?;
            return Ok(Condition::Label(key, operator, self.literal()?.text));
        }
        let literal = self.literal()?;
        if literal.text == "*" && !literal.is_quoted {
            return Ok(Condition::HasLabel(key));
        }
        Ok(Condition::Label(key, Operator::Equal, literal.text))
    }

    fn label_key(&self, at: usize, key: &str) -> Result<String, Fault> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        if key.len() <= 63 && key.starts_with(|c: char| c.is_ascii_lowercase()) && key.chars().all(fits) {
            return Ok(key.to_owned());
        }
        Err(self.fault(at, "a label's key matches [a-z][a-z0-9_-]{0,62}"))
    }

    fn take(&mut self, token: &str) -> bool {
        self.skip_space();
        let is_there = self.rest().starts_with(token);
        if is_there {
            self.at += token.len();
        }
        is_there
    }

    pub(super) fn operator(&mut self) -> Result<Operator, Fault> {
        use Operator as O;
        // longer ones first
        let tokens = [
            ("!=", O::NotEqual),
            ("<=", O::LessOrEqual),
            (">=", O::GreaterOrEqual),
            ("=", O::Equal),
            ("<", O::Less),
            (">", O::Greater),
        ];
        let found = tokens.into_iter().find(|(token, _)| self.take(token));
        match found {
            Some((_, operator)) => Ok(operator),
            None => Err(self.fault(self.at, "write one of = != < <= > >= (: is for labels)")),
        }
    }

    pub(super) fn equality(&mut self, what: &str) -> Result<Operator, Fault> {
        self.skip_space();
        let start = self.at;
        match self.operator() {
            Ok(operator) if !operator.is_order() => Ok(operator),
            _ => Err(self.fault(start, format!("{what} is compared by = or !="))),
        }
    }

    pub(super) fn literal(&mut self) -> Result<Literal, Fault> {
        self.skip_space();
        let at = self.at;
        let quote = self.rest().chars().next().filter(|c| matches!(c, '"' | '\''));
        let text = match quote {
            Some(quote) => self.quoted(quote)?,
            None => self.word(VALUE_ENDS).to_owned(),
        };
        if text.is_empty() && quote.is_none() {
            return Err(self.fault(at, "write a value: a word or a \"quoted string\""));
        }
        if text.contains('\0') {
            return Err(self.fault(at, "a value must not hold a NUL character"));
        }
        Ok(Literal {
            text,
            at,
            is_quoted: quote.is_some(),
        })
    }

    fn quoted(&mut self, quote: char) -> Result<String, Fault> {
        let start = self.at;
        let mut text = String::new();
        let mut characters = self.rest().char_indices().skip(1);
        while let Some((offset, character)) = characters.next() {
            if character == quote {
                self.at = start + offset + quote.len_utf8();
                return Ok(text);
            }
            if character != '\\' {
                text.push(character);
                continue;
            }
            match characters.next() {
                Some((_, escaped)) if matches!(escaped, '\\' | '"' | '\'') => text.push(escaped),
                _ => return Err(self.fault(start + offset, "a backslash stands only before \\, \" or '")),
            }
        }
        Err(self.fault(start, "this string has no closing quote"))
    }
}

fn state_names() -> String {
    use TaskState as S;
    let states = [
        S::Waiting,
        S::Processing,
        S::Cancelling,
        S::Succeeded,
        S::PartiallySucceeded,
        S::Failed,
        S::Cancelled,
    ];
    states.map(|state| state.as_str_name()).join(", ")
}

/// Tasks have whole milliseconds: a finer time lies between two of them and equals none.
fn time(operator: Operator, text: &str) -> Option<Condition> {
    let (_, clock) = text.split_once(['T', 't'])?;
    if !clock.contains(['Z', 'z', '+', '-']) {
        return None;
    }
    let time: prost_types::Timestamp = text.parse().ok()?;
    let ms = time.seconds.checked_mul(1000)?.checked_add(i64::from(time.nanos / 1_000_000))?;
    if time.nanos % 1_000_000 == 0 {
        return Some(Condition::CreateTime(operator, ms));
    }
    Some(match operator {
        Operator::Less => Condition::CreateTime(Operator::LessOrEqual, ms),
        Operator::GreaterOrEqual => Condition::CreateTime(Operator::Greater, ms),
        Operator::Equal | Operator::NotEqual => Condition::CreateTime(operator, i64::MIN),
        Operator::LessOrEqual | Operator::Greater => Condition::CreateTime(operator, ms),
    })
}
