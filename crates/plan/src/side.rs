//! Side inputs: files that nodes need besides the input, such as watermarks and subtitles.

use mps_proto::{
    v1::{TaskInput, task_input::Source},
    worker::v1::SideInput,
};

/// Most bytes of a watermark's picture.
pub(crate) const PICTURE_BYTES: i64 = 8 * 1024 * 1024;
/// Most bytes of a file of subtitles.
pub(crate) const SUBTITLE_BYTES: i64 = 4 * 1024 * 1024;

/// Where a side input is, and the field that says so.
#[derive(Debug, Clone)]
pub(crate) struct SideSource {
    pub field: String,
    pub source: Source,
    pub max_bytes: i64,
}

/// Side inputs of one unit: each object and URL once.
#[derive(Debug, Default)]
pub(crate) struct SideInputs {
    inputs: Vec<SideInput>,
    fields: Vec<String>,
}

impl SideInputs {
    /// Id of a side input, which is made where there is none for this source yet.
    pub fn id_of(&mut self, wanted: &SideSource) -> String {
        let is_same = |input: &&mut SideInput| input.source.as_ref().and_then(|input| input.source.as_ref()) == Some(&wanted.source);
        if let Some(input) = self.inputs.iter_mut().find(is_same) {
            input.max_bytes = input.max_bytes.max(wanted.max_bytes);
            return input.id.clone();
        }
        let id = format!("s{}", self.inputs.len());
        self.inputs.push(SideInput {
            id: id.clone(),
            source: Some(TaskInput {
                source: Some(wanted.source.clone()),
            }),
            max_bytes: wanted.max_bytes,
        });
        self.fields.push(wanted.field.clone());
        id
    }

    /// The side inputs, and the field that names each.
    pub fn into_parts(self) -> (Vec<SideInput>, Vec<String>) {
        (self.inputs, self.fields)
    }
}
