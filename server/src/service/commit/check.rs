//! Whether what a worker hands in is complete: every node of the plan, and for each good one every output with its parts.

use mps_proto::worker::v1::{CompleteUnitRequest, CompletedNode, CompletedOutput, PlanNode};

use crate::{
    error::ApiError,
    service::states::UploadState,
    store::{leases::UnitRow, uploads::UploadRow},
};

/// Checks the request against the plan and the attempt's uploads.
pub fn check(unit: &UnitRow, request: &CompleteUnitRequest, uploads: &[UploadRow]) -> Result<(), ApiError> {
    if request.nodes.len() != unit.plan.nodes.len() {
        return Err(ApiError::invalid_field("nodes", "one for each node of the plan"));
    }
    for planned in &unit.plan.nodes {
        let completed = request.nodes.iter().find(|node| node.key == planned.key);
        let completed = completed.ok_or_else(|| ApiError::invalid_field("nodes", format!("{} is missing", planned.key)))?;
        if completed.failure.is_none() {
            check_node(planned, completed, uploads)?;
        }
    }
    Ok(())
}

fn check_node(planned: &PlanNode, completed: &CompletedNode, uploads: &[UploadRow]) -> Result<(), ApiError> {
    if completed.outputs.len() != planned.outputs.len() {
        return Err(wrong(planned, "outputs", "all of the plan's, unless failure is set"));
    }
    for wanted in &planned.outputs {
        let output = completed.outputs.iter().find(|output| output.output_id == wanted.output_id);
        let output = output.ok_or_else(|| wrong(planned, "outputs", &format!("{} is missing", wanted.output_id)))?;
        check_output(planned, output, uploads)?;
    }
    Ok(())
}

fn check_output(planned: &PlanNode, output: &CompletedOutput, uploads: &[UploadRow]) -> Result<(), ApiError> {
    let upload = uploads
        .iter()
        .find(|upload| upload.id == output.upload_id && upload.output_id == output.output_id);
    let upload = upload.ok_or_else(|| wrong(planned, "upload_id", "names no upload of this attempt and output"))?;
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
