//! From the child's result to what CompleteUnit carries: each node's files are checked against the plan and uploaded.

use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use mps_media::failure;
use mps_proto::{
    v1::ErrorReason,
    worker::v1::{ChildResult, CompletedNode, CompletedOutput, Failure, MediaPlan, NodeResult, PlanNode, UnitAttempt},
};

use super::scratch::AttemptFolder;
use crate::upload::Uploader;

/// Files of a node that are uploaded at a time; parts have a bound of their own.
const FILES_AT_ONCE: usize = 8;

/// Uploads the files of all nodes that did not fail.
pub async fn upload(
    uploader: &Uploader,
    unit: &UnitAttempt,
    plan: &MediaPlan,
    folder: &AttemptFolder,
    result: &ChildResult,
) -> Result<Vec<CompletedNode>, Failure> {
    let mut nodes = Vec::with_capacity(plan.nodes.len());
    for node in &plan.nodes {
        let found = result.nodes.iter().find(|found| found.key == node.key);
        let detail = found.cloned().unwrap_or_default();
        nodes.push(match missing(node, &detail) {
            Some(failure) => CompletedNode {
                key: node.key.clone(),
                outputs: Vec::new(),
                failure: Some(failure),
                detail: Some(without_paths(detail)),
            },
            None => CompletedNode {
                key: node.key.clone(),
                outputs: upload_node(uploader, unit, node, folder, &detail).await?,
                failure: None,
                detail: Some(without_paths(detail)),
            },
        });
    }
    Ok(nodes)
}

async fn upload_node(
    uploader: &Uploader,
    unit: &UnitAttempt,
    node: &PlanNode,
    folder: &AttemptFolder,
    detail: &NodeResult,
) -> Result<Vec<CompletedOutput>, Failure> {
    let mut uploads = Vec::with_capacity(node.outputs.len());
    for output in &node.outputs {
        let file = detail.files.iter().find(|file| file.output_id == output.output_id);
        let path = file.and_then(|file| folder.output(&file.path)).ok_or_else(|| {
            let message = format!("the child names a file of node {} that is not among its outputs", node.key);
            failure::node(ErrorReason::Internal, message, "see the worker's log and report it")
        })?;
        uploads.push(async move { uploader.upload(unit, &output.output_id, &path).await }.boxed());
    }
    stream::iter(uploads).buffered(FILES_AT_ONCE).try_collect().await
}

/// Why a node is not complete, if so.
fn missing(node: &PlanNode, detail: &NodeResult) -> Option<Failure> {
    if let Some(failure) = &detail.failure {
        return Some(failure.clone());
    }
    let lacks = |id: &str| !detail.files.iter().any(|file| file.output_id == id);
    let lacking = node.outputs.iter().filter(|output| lacks(&output.output_id)).count();
    (lacking > 0).then(|| {
        let message = format!("the pass left out {lacking} of {} files of node {}", node.outputs.len(), node.key);
        failure::node(ErrorReason::Internal, message, "see the worker's log and report it")
    })
}

/// Paths of this machine are nobody else's business.
fn without_paths(mut detail: NodeResult) -> NodeResult {
    for file in &mut detail.files {
        file.path.clear();
    }
    detail
}

#[cfg(test)]
mod tests {
    use mps_proto::worker::v1::{FileResult, PlanOutput};

    use super::*;

    fn node() -> PlanNode {
        let output = |id: &str| PlanOutput {
            output_id: id.into(),
            ..Default::default()
        };
        PlanNode {
            key: "t".into(),
            outputs: vec![output("a"), output("b")],
            ..Default::default()
        }
    }

    fn result(ids: &[&str]) -> NodeResult {
        let files = ids.iter().map(|id| FileResult {
            output_id: (*id).into(),
            path: "/x".into(),
            ..Default::default()
        });
        NodeResult {
            key: "t".into(),
            files: files.collect(),
            ..Default::default()
        }
    }

    #[test]
    fn node_is_complete_only_with_all_files_of_its_plan() {
        assert!(missing(&node(), &result(&["a", "b"])).is_none());
        let failure = missing(&node(), &result(&["b"])).expect("a is missing");
        assert!(failure.status.unwrap().message.contains("1 of 2"));
        assert!(missing(&node(), &NodeResult::default()).is_some());
        assert!(without_paths(result(&["a"])).files[0].path.is_empty());
    }
}
