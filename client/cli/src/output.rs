//! What is printed: JSON in the contract's own mapping, tables, and values in units that people read.

use std::sync::OnceLock;

use anyhow::Context as _;
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, SerializeOptions};

/// The contract's messages and those that `google.rpc.Status` carries.
fn pool() -> anyhow::Result<&'static DescriptorPool> {
    static POOL: OnceLock<Option<DescriptorPool>> = OnceLock::new();
    POOL.get_or_init(|| {
        let mut pool = DescriptorPool::decode(mps_proto::v1::FILE_DESCRIPTOR_SET).ok()?;
        let known: Vec<String> = pool.files().map(|file| file.name().to_owned()).collect();
        let mut details = prost_types::FileDescriptorSet::decode(mps_proto::rpc::FILE_DESCRIPTOR_SET).ok()?;
        details
            .file
            .retain(|file| !known.iter().any(|name| name.rsplit('/').next() == file.name().rsplit('/').next()));
        pool.add_file_descriptor_set(details).ok()?;
        Some(pool)
    })
    .as_ref()
    .context("the contract's descriptors do not decode")
}

/// A type of the contract, such as `mps.v1.Task`.
pub fn descriptor(name: &str) -> anyhow::Result<MessageDescriptor> {
    pool()?.get_message_by_name(name).with_context(|| format!("{name} is no message"))
}

/// A message as JSON text; `name` is its type, such as `mps.v1.Task`.
pub fn to_json(name: &str, message: &impl Message, pretty: bool) -> anyhow::Result<String> {
    let dynamic = DynamicMessage::decode(descriptor(name)?, message.encode_to_vec().as_slice())?;
    let options = SerializeOptions::new().stringify_64_bit_integers(true);
    let mut bytes = Vec::new();
    if pretty {
        dynamic.serialize_with_options(&mut serde_json::Serializer::pretty(&mut bytes), &options)?;
    } else {
        dynamic.serialize_with_options(&mut serde_json::Serializer::new(&mut bytes), &options)?;
    }
    Ok(String::from_utf8(bytes)?)
}

/// Prints a message as JSON.
pub fn print_json(name: &str, message: &impl Message) -> anyhow::Result<()> {
    print_line(&to_json(name, message, true)?);
    Ok(())
}

/// Prints a line; a closed pipe (`| head`) is no error.
pub fn print_line(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Columns under headings, as wide as their widest cell.
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new<const N: usize>(headings: [&str; N]) -> Self {
        Self {
            rows: vec![headings.iter().map(|heading| (*heading).to_owned()).collect()],
        }
    }

    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }

    pub fn is_empty(&self) -> bool {
        self.rows.len() < 2
    }

    pub fn print(&self) {
        print_line(&self.text());
    }

    fn text(&self) -> String {
        let columns = self.rows.first().map_or(0, Vec::len);
        let widths: Vec<usize> = (0..columns)
            .map(|column| {
                self.rows
                    .iter()
                    .filter_map(|row| row.get(column))
                    .map(|cell| cell.chars().count())
                    .max()
                    .unwrap_or(0)
            })
            .collect();
        let lines: Vec<String> = self
            .rows
            .iter()
            .map(|row| {
                let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
                cells.join("  ").trim_end().to_owned()
            })
            .collect();
        lines.join("\n")
    }
}

/// Bytes in binary units.
pub fn bytes(count: i64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = count as f64;
    let mut unit = UNITS[0];
    for next in &UNITS[1..] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    if unit == "B" {
        format!("{count} B")
    } else {
        format!("{value:.1} {unit}")
    }
}

/// A span as seconds or h:mm:ss.
pub fn duration(span: Option<&prost_types::Duration>) -> String {
    let Some(span) = span else { return "-".into() };
    let seconds = span.seconds as f64 + f64::from(span.nanos) / 1e9;
    if seconds < 60.0 {
        return format!("{seconds:.2} s");
    }
    let whole = seconds.round() as i64;
    format!("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60)
}

/// A time in UTC, as RFC 3339 with seconds.
pub fn time(stamp: Option<&prost_types::Timestamp>) -> String {
    stamp.map_or_else(
        || "-".into(),
        |stamp| {
            let whole = prost_types::Timestamp { nanos: 0, ..*stamp };
            whole.to_string()
        },
    )
}

/// An enum value without its type's prefix, in lower case: TASK_STATE_PARTIALLY_SUCCEEDED → "partially succeeded".
pub fn word(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).to_lowercase().replace('_', " ")
}

#[cfg(test)]
mod tests {
    use mps_proto::{rpc, v1};

    use super::*;

    #[test]
    fn task_with_a_typed_error_becomes_json() {
        let info = rpc::ErrorInfo {
            reason: "INPUT_NOT_MEDIA".into(),
            domain: "mps.v1".into(),
            ..Default::default()
        };
        let detail = prost_types::Any {
            type_url: "type.googleapis.com/google.rpc.ErrorInfo".into(),
            value: info.encode_to_vec(),
        };
        let task = v1::Task {
            name: "projects/p/tasks/t".into(),
            error: Some(rpc::Status {
                code: 9,
                message: "no".into(),
                details: vec![detail],
            }),
            ..Default::default()
        };
        let json: serde_json::Value = serde_json::from_str(&to_json("mps.v1.Task", &task, false).unwrap()).unwrap();
        assert_eq!(json["name"], "projects/p/tasks/t");
        assert_eq!(json["error"]["details"][0]["reason"], "INPUT_NOT_MEDIA");
    }

    #[test]
    fn values_are_shown_in_units_that_people_read() {
        assert_eq!(bytes(900), "900 B");
        assert_eq!(bytes(3 << 20), "3.0 MiB");
        let span = |seconds| prost_types::Duration { seconds, nanos: 0 };
        assert_eq!(duration(Some(&span(4))), "4.00 s");
        assert_eq!(duration(Some(&span(3725))), "1:02:05");
        assert_eq!(word("TASK_STATE_PARTIALLY_SUCCEEDED", "TASK_STATE_"), "partially succeeded");
    }

    #[test]
    fn table_columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(["a", "b"]);
        table.row(["long".into(), "x".into()]);
        assert_eq!(table.text(), "a     b\nlong  x");
    }
}
