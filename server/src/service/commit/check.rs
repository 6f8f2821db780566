//! Whether what a worker hands in is complete: every node of the plan, and for each good one every output with its parts, those that
//! were declared too, and its set.

use std::collections::{HashMap, HashSet};

use mps_proto::worker::v1::{CompleteUnitRequest, CompletedNode, CompletedOutput, PlanNode};

use crate::{
    error::ApiError,
    service::states::UploadState,
    store::{leases::UnitRow, uploads::UploadRow},
};

/// What the attempt did so far.
pub struct Done {
    pub uploads: Vec<UploadRow>,
    /// Reserved outputs of nodes with a series, by node.
    pub declared: HashMap<String, Vec<String>>,
    /// Sets that have media in every track.
    pub whole_sets: Vec<String>,
}

/// Checks the request against the plan and what the attempt did.
pub fn check(unit: &UnitRow, request: &CompleteUnitRequest, done: &Done) -> Result<(), ApiError> {
    if request.nodes.len() != unit.plan.nodes.len() {
        return Err(ApiError::invalid_field("nodes", "one for each node of the plan"));
    }
    for planned in &unit.plan.nodes {
        let completed = request.nodes.iter().find(|node| node.key == planned.key);
        let completed = completed.ok_or_else(|| ApiError::invalid_field("nodes", format!("{} is missing", planned.key)))?;
        if completed.failure.is_none() {
            check_node(planned, completed, done)?;
            check_set(planned, completed, done)?;
        }
    }
    Ok(())
}

fn check_node(planned: &PlanNode, completed: &CompletedNode, done: &Done) -> Result<(), ApiError> {
    let wanted = wanted(planned, done);
    let given: HashMap<&str, &CompletedOutput> = completed.outputs.iter().map(|output| (output.output_id.as_str(), output)).collect();
    if given.len() != wanted.len() || completed.outputs.len() != wanted.len() {
        return Err(wrong(
            planned,
            "outputs",
            "all of the plan's and all that were declared, unless failure is set",
        ));
    }
    let uploads: HashMap<&str, &UploadRow> = done.uploads.iter().map(|upload| (upload.id.as_str(), upload)).collect();
    for id in wanted {
        let output = given
            .get(id)
            .ok_or_else(|| wrong(planned, "outputs", &format!("{id} is missing")))?;
        let upload = uploads.get(output.upload_id.as_str()).filter(|upload| upload.output_id == id);
        let upload = upload.ok_or_else(|| wrong(planned, "upload_id", "names no upload of this attempt and output"))?;
        check_output(planned, output, upload)?;
    }
    Ok(())
}

/// Ids of the files that a node makes, beside its set.
fn wanted<'a>(planned: &'a PlanNode, done: &'a Done) -> HashSet<&'a str> {
    let manifests: HashSet<&str> = planned
        .set
        .iter()
        .flat_map(|set| &set.manifests)
        .map(|manifest| manifest.output_id.as_str())
        .collect();
    let planned_ids = planned.outputs.iter().map(|output| output.output_id.as_str());
    let declared = done.declared.get(&planned.key).into_iter().flatten().map(String::as_str);
    planned_ids.chain(declared).filter(|id| !manifests.contains(id)).collect()
}

fn check_set(planned: &PlanNode, completed: &CompletedNode, done: &Done) -> Result<(), ApiError> {
    let Some(set) = &planned.set else { return Ok(()) };
    let said = completed
        .detail
        .iter()
        .flat_map(|detail| &detail.complete_sets)
        .any(|id| *id == set.set_id);
    if !said {
        return Err(wrong(
            planned,
            "detail.complete_sets",
            "names the node's set, unless failure is set",
        ));
    }
    if !done.whole_sets.contains(&set.set_id) {
        return Err(wrong(planned, "detail.complete_sets", "a whole set has a segment in each track"));
    }
    Ok(())
}

fn check_output(planned: &PlanNode, output: &CompletedOutput, upload: &UploadRow) -> Result<(), ApiError> {
    if !upload.is(UploadState::Open) {
        return Err(wrong(planned, "upload_id", "the upload is not open"));
    }
    if upload.size_bytes != output.size_bytes || upload.sha256 != output.sha256 {
        return Err(wrong(
            planned,
            "size_bytes",
            "size and checksum must be those that the upload was opened with",
        ));
    }
    if output.part_etags.len() != upload.part_count as usize {
        return Err(wrong(planned, "part_etags", &format!("{}, one for each part", upload.part_count)));
    }
    Ok(())
}

fn wrong(node: &PlanNode, field: &str, description: &str) -> ApiError {
    ApiError::invalid_field(format!("nodes[{}].{field}", node.key), description)
}
