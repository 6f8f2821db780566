//! Plans a whole ProcessMedia request: checks every field, names nodes and outputs, fuses units.

use std::collections::{HashMap, HashSet};

use mps_proto::v1::{Node, NodeState, NodeStatus, OnConflict, ProcessMediaRequest, task_input};

use crate::{
    PlanContext, PlanInput, TaskPlan, Violation,
    faults::{Faults, is_identifier, shown},
    input,
    kinds::{self, Draft},
    outputs::{self, Planned, Target},
    overrides::Scope,
    path::Values,
    unit::{self, Ready},
};

const MAX_NODES: usize = 50;
const MAX_LABELS: usize = 64;

/// Checks a request and plans it; all violations at once.
pub fn plan_task(request: &ProcessMediaRequest, context: &PlanContext) -> Result<TaskPlan, Vec<Violation>> {
    let mut faults = Faults::default();
    check_scalars(request, &mut faults);
    check_labels(request, &mut faults);
    let place = plan_place(request, context, &mut faults);
    let (nodes, ready) = plan_nodes(request, &place, context, &mut faults);
    let (Some(input), Some(output_storage_id), true) = (place.input, place.storage_id, faults.is_empty()) else {
        return Err(faults.into_violations());
    };
    Ok(TaskPlan {
        input,
        output_storage_id,
        output_directory: place.directory,
        statuses: ready.iter().zip(&nodes).map(|(ready, node)| status(ready, node)).collect(),
        nodes,
        units: unit::fuse(ready, context),
    })
}

fn check_scalars(request: &ProcessMediaRequest, faults: &mut Faults) {
    if !(-10..=10).contains(&request.priority) {
        faults.add("priority", format!("is {}; -10 to 10 is allowed", request.priority));
    }
    faults.length("session_id", &request.session_id, 50);
    faults.length("session_context", &request.session_context, 1000);
    faults.length("request_id", &request.request_id, 64);
    if OnConflict::try_from(request.on_conflict).is_err() {
        faults.add(
            "on_conflict",
            format!("{} is no value that this version knows", request.on_conflict),
        );
    }
}

fn check_labels(request: &ProcessMediaRequest, faults: &mut Faults) {
    let count = request.labels.len();
    if count > MAX_LABELS {
        faults.add("labels", format!("has {count} labels; at most {MAX_LABELS} are allowed"));
    }
    for (key, value) in request.labels.iter().take(MAX_LABELS) {
        let field = format!("labels[{}]", shown(key));
        if !is_identifier(key, &['_']) {
            faults.add(field.as_str(), "has a key that does not match [a-z][a-z0-9_-]{0,62}");
        }
        faults.length(&field, value, 255);
    }
}

/// Where the input is and where outputs go.
struct Place {
    input: Option<PlanInput>,
    storage_id: Option<String>,
    directory: String,
}

fn plan_place(request: &ProcessMediaRequest, context: &PlanContext, faults: &mut Faults) -> Place {
    let source = request.input.as_ref().and_then(|input| input.source.as_ref());
    let is_url = matches!(source, Some(task_input::Source::Url(_)));
    let input = input::plan_input(request.input.as_ref(), &context.project, faults);
    let output = request.output.clone().unwrap_or_default();
    Place {
        storage_id: input::output_storage(&output, input.as_ref(), is_url, &context.project, faults),
        directory: input::output_directory(&output, input.as_ref(), faults),
        input,
    }
}

/// The caller's nodes with their keys, and what was made of those that are right.
fn plan_nodes(request: &ProcessMediaRequest, place: &Place, context: &PlanContext, faults: &mut Faults) -> (Vec<Node>, Vec<Ready>) {
    let count = request.nodes.len();
    if !(1..=MAX_NODES).contains(&count) {
        faults.add("nodes", format!("has {count} nodes; 1 to {MAX_NODES} are allowed"));
    }
    let mut nodes: Vec<Node> = request.nodes.iter().take(MAX_NODES).cloned().collect();
    name_nodes(&mut nodes, faults);
    let scope = Scope {
        project: &context.project,
        templates: &context.templates,
    };
    let names = InputNames::new(place);
    let mut clashes = Clashes::new(place);
    let mut ready = Vec::new();
    for (index, node) in nodes.iter().enumerate() {
        let Some((mut draft, field)) = draft(node, index, &scope, faults) else {
            continue;
        };
        let definition = definition(&draft);
        let values = names.values(&definition, node, context);
        let target = Target {
            values,
            directory: &place.directory,
            field: &field,
        };
        let planned = outputs::plan(&draft.outputs, &target, faults);
        clashes.check(&planned, &node.key, faults);
        draft.fill_in_text(&values);
        ready.push(Ready {
            key: node.key.clone(),
            draft,
            planned,
        });
    }
    (nodes, ready)
}

/// The checked node and the path of its operation.
fn draft(node: &Node, index: usize, scope: &Scope, faults: &mut Faults) -> Option<(Draft, String)> {
    let kind = node.operation.as_ref().and_then(kinds::of_operation);
    let (Some(operation), Some(kind)) = (&node.operation, kind) else {
        let kinds = crate::node_kinds().join(", ");
        faults.add(format!("nodes[{index}]"), format!("exactly one operation must be set: {kinds}"));
        return None;
    };
    let field = format!("nodes[{index}].{}", kind.name());
    Some((kind.draft(operation, &field, scope, faults)?, field))
}

/// What `{definition}` stands for.
fn definition(draft: &Draft) -> String {
    let id = &draft.template.id;
    if id.is_empty() { "inline" } else { id }.to_owned()
}

/// What variables say about the input.
struct InputNames {
    name: String,
    suffix: String,
    folder: String,
}

impl InputNames {
    fn new(place: &Place) -> Self {
        // A broken input was reported; its name only fills the place here, so that the path's own faults are found too.
        let file_name = place.input.as_ref().map_or_else(|| "input".to_owned(), input::file_name);
        let (name, suffix) = input::split_suffix(&file_name);
        let folder = match &place.input {
            Some(PlanInput::Object { key, .. }) => key.rsplit_once('/').map_or("", |(folder, _)| folder),
            _ => "",
        };
        Self {
            name: if name.is_empty() { "input" } else { name }.to_owned(),
            suffix: suffix.to_owned(),
            folder: folder.to_owned(),
        }
    }

    fn values<'a>(&'a self, definition: &'a str, node: &'a Node, context: &'a PlanContext) -> Values<'a> {
        Values {
            input_name: &self.name,
            input_dir: &self.folder,
            input_format: &self.suffix,
            definition,
            task_id: &context.task_id,
            node_key: &node.key,
        }
    }
}

/// Checks keys and fills in `{kind}-{n}`, n counting the nodes of that kind; a number that the caller used himself is passed over.
fn name_nodes(nodes: &mut [Node], faults: &mut Faults) {
    let mut taken: HashSet<String> = HashSet::new();
    for (index, node) in nodes.iter().enumerate().filter(|(_, node)| !node.key.is_empty()) {
        let field = format!("nodes[{index}].key");
        if !is_identifier(&node.key, &[]) {
            faults.add(field, "must match [a-z][a-z0-9-]{0,62}");
        } else if !taken.insert(node.key.clone()) {
            faults.add(
                field,
                format!("{:?} is the key of an earlier node; keys are unique in a task", node.key),
            );
        }
    }
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for node in nodes {
        let Some(kind) = node.operation.as_ref().and_then(kinds::of_operation) else {
            continue;
        };
        let count = counts.entry(kind.name()).or_default();
        *count += 1;
        if !node.key.is_empty() {
            continue;
        }
        let stem = kind.name().replace('_', "-");
        let mut number = *count;
        while !taken.insert(format!("{stem}-{number}")) {
            number += 1;
        }
        node.key = format!("{stem}-{number}");
    }
}

/// Finds outputs that would overwrite each other or the input.
struct Clashes {
    /// Key of the input where outputs go to the same storage.
    input_key: Option<String>,
    /// Keys so far and the node that writes each.
    written: HashMap<String, String>,
}

impl Clashes {
    fn new(place: &Place) -> Self {
        let input_key = match &place.input {
            Some(PlanInput::Object { storage_id, key }) if Some(storage_id) == place.storage_id.as_ref() => Some(key.clone()),
            _ => None,
        };
        Self {
            input_key,
            written: HashMap::new(),
        }
    }

    /// One violation a node and field is enough.
    fn check(&mut self, planned: &Planned, node_key: &str, faults: &mut Faults) {
        let files = planned.files.iter().map(|file| (&file.key, &file.field));
        // Patterns of two nodes that are alike give the same keys; those of one node are none of the others'.
        let patterns = planned.patterns.iter().map(|(pattern, field)| (pattern, field));
        let mut reported: HashSet<&String> = HashSet::new();
        for (key, field) in files.chain(patterns) {
            let earlier = self.written.insert(key.clone(), node_key.to_owned());
            let fault = match earlier {
                _ if self.input_key.as_ref() == Some(key) => format!("would overwrite the input {}", shown(key)),
                Some(earlier) => format!(
                    "writes {}, as {earlier} does; {{nodeKey}} or {{number}} tells them apart",
                    shown(key)
                ),
                None => continue,
            };
            if reported.insert(field) {
                faults.add(field, fault);
            }
        }
    }
}

fn status(ready: &Ready, node: &Node) -> NodeStatus {
    let kind = node.operation.as_ref().and_then(kinds::of_operation);
    NodeStatus {
        key: ready.key.clone(),
        kind: kind.map_or("", |kind| kind.name()).to_owned(),
        state: NodeState::Waiting.into(),
        effective_settings: Some(ready.draft.settings.clone()),
        template: ready.draft.template.id.clone(),
        template_revision: ready.draft.template.revision,
        ..Default::default()
    }
}

#[cfg(test)]
mod tests;
