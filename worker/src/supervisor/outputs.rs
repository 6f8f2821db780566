//! From the child's result to what CompleteUnit carries: each node's files are checked against the plan and uploaded.

use std::collections::HashMap;

use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use mps_media::failure;
use mps_proto::{
    v1::ErrorReason,
    worker::v1::{
        ChildResult, CompletedNode, CompletedOutput, Failure, FailureKind, FileResult, MediaPlan, NodeResult, PlanNode, PlanOutput,
        UnitAttempt,
    },
};

use super::{scratch::AttemptFolder, sets::FailedSets};
use crate::upload::Uploader;

/// Files of a node that are uploaded at a time; parts have a bound of their own.
const FILES_AT_ONCE: usize = 8;

/// What the pass made.
pub struct Made<'a> {
    pub folder: &'a AttemptFolder,
    pub result: &'a ChildResult,
    /// Nodes that were left out of the pass, and why.
    pub failed_nodes: &'a HashMap<String, Failure>,
    pub failed_sets: &'a FailedSets,
}

/// Uploads the files of all nodes that did not fail.
pub async fn upload(uploader: &Uploader, unit: &UnitAttempt, plan: &MediaPlan, made: &Made<'_>) -> Result<Vec<CompletedNode>, Failure> {
    let mut nodes = Vec::with_capacity(plan.nodes.len());
    for node in &plan.nodes {
        let found = made.result.nodes.iter().find(|found| found.key == node.key);
        let mut detail = found.cloned().unwrap_or_default();
        let failure = match made.failed_nodes.get(&node.key) {
            Some(failure) => Some(failure.clone()),
            None => missing(node, &detail, made.failed_sets),
        };
        let uploaded = match failure {
            Some(failure) => Err(failure),
            None => upload_node(uploader, unit, node, made.folder, &mut detail).await?,
        };
        let (outputs, failure) = match uploaded {
            Ok(outputs) => (outputs, None),
            Err(failure) => (Vec::new(), Some(failure)),
        };
        nodes.push(CompletedNode {
            key: node.key.clone(),
            outputs,
            failure,
            detail: Some(without_paths(detail)),
        });
    }
    Ok(nodes)
}

/// Uploads a node's files. A failure inside is the node's alone.
async fn upload_node(
    uploader: &Uploader,
    unit: &UnitAttempt,
    node: &PlanNode,
    folder: &AttemptFolder,
    detail: &mut NodeResult,
) -> Result<Result<Vec<CompletedOutput>, Failure>, Failure> {
    if node.series.is_some()
        && let Err(failure) = declare(uploader, unit, node, detail).await
    {
        // what stands in the way of one node is no reason to fail the others
        return if failure.kind() == FailureKind::Data {
            Ok(Err(failure))
        } else {
            Err(failure)
        };
    }
    let mut uploads = Vec::with_capacity(detail.files.len());
    for file in &detail.files {
        let path = folder.output(&file.path).ok_or_else(|| {
            let message = format!("the child names a file of node {} that is not among its outputs", node.key);
            failure::node(ErrorReason::Internal, message, "see the worker's log and report it")
        })?;
        uploads.push(async move { uploader.upload(unit, &file.output_id, &path).await }.boxed());
    }
    stream::iter(uploads).buffered(FILES_AT_ONCE).try_collect().await.map(Ok)
}

/// Has rows made for the files of a series, and names the files by them.
async fn declare(uploader: &Uploader, unit: &UnitAttempt, node: &PlanNode, detail: &mut NodeResult) -> Result<(), Failure> {
    let series = std::mem::take(&mut detail.series);
    let count = i32::try_from(series.len()).unwrap_or(i32::MAX);
    let declared = uploader.declare(unit, &node.key, count).await?;
    if declared.len() != series.len() {
        let message = format!("the server made {} rows for {} files", declared.len(), series.len());
        return Err(failure::outside(ErrorReason::Internal, message, ""));
    }
    let files = series.into_iter().zip(declared).map(|(file, output)| FileResult {
        output_id: output.output_id,
        path: file.path,
        media: file.media,
        source_offset: file.source_offset,
    });
    detail.files.extend(files);
    Ok(())
}

/// Files that the plan names itself: neither manifests, which the server writes, nor those of a series.
fn planned_files(node: &PlanNode) -> impl Iterator<Item = &PlanOutput> {
    let is_manifest = |id: &str| {
        node.set
            .iter()
            .flat_map(|set| &set.manifests)
            .any(|manifest| manifest.output_id == id)
    };
    let is_of_series = |output: &PlanOutput| node.series.is_some() && output.number >= 0;
    node.outputs
        .iter()
        .filter(move |output| !is_manifest(&output.output_id) && !is_of_series(output))
}

/// Why a node is not complete, if so.
fn missing(node: &PlanNode, detail: &NodeResult, failed_sets: &FailedSets) -> Option<Failure> {
    if let Some(failure) = &detail.failure {
        return Some(failure.clone());
    }
    let left_out = |what: String| {
        let message = format!("the pass left out {what} of node {}", node.key);
        Some(failure::node(ErrorReason::Internal, message, "see the worker's log and report it"))
    };
    if let Some(set) = &node.set {
        if let Some(failure) = failed_sets.get(&set.set_id) {
            return Some(failure.clone());
        }
        if !detail.complete_sets.contains(&set.set_id) {
            return left_out("the end of the stream".into());
        }
    }
    if node.series.is_some() && detail.series.is_empty() {
        return left_out("every file".into());
    }
    let wanted: Vec<&PlanOutput> = planned_files(node).collect();
    let lacks = |id: &str| !detail.files.iter().any(|file| file.output_id == id);
    let lacking = wanted.iter().filter(|output| lacks(&output.output_id)).count();
    if lacking > 0 {
        return left_out(format!("{lacking} of {} files", wanted.len()));
    }
    let unknown = detail
        .files
        .iter()
        .any(|file| !wanted.iter().any(|output| output.output_id == file.output_id));
    if unknown {
        let message = format!("the pass made files that node {} does not have", node.key);
        return Some(failure::node(ErrorReason::Internal, message, "see the worker's log and report it"));
    }
    None
}

/// Paths of this machine are nobody else's business.
fn without_paths(mut detail: NodeResult) -> NodeResult {
    for file in &mut detail.files {
        file.path.clear();
    }
    detail.series.clear();
    detail
}

#[cfg(test)]
mod tests {
    use mps_proto::worker::v1::{PlanSeries, PlanSet, SeriesFile};

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
        let none = FailedSets::new();
        assert!(missing(&node(), &result(&["a", "b"]), &none).is_none());
        let failure = missing(&node(), &result(&["b"]), &none).expect("a is missing");
        assert!(failure.status.unwrap().message.contains("1 of 2"));
        assert!(missing(&node(), &NodeResult::default(), &none).is_some());
        assert!(missing(&node(), &result(&["a", "b", "c"]), &none).is_some());
        assert!(without_paths(result(&["a"])).files[0].path.is_empty());
    }

    #[test]
    fn node_with_a_set_is_complete_when_its_set_is() {
        let mut node = node();
        node.set = Some(PlanSet {
            set_id: "a".into(),
            manifests: node.outputs.clone(),
            ..PlanSet::default()
        });
        let mut made = result(&[]);
        assert!(missing(&node, &made, &FailedSets::new()).is_some());
        made.complete_sets = vec!["a".into()];
        assert!(missing(&node, &made, &FailedSets::new()).is_none());
        let failed = FailedSets::from([("a".to_owned(), failure::outside(ErrorReason::StorageUnavailable, "gone", ""))]);
        assert_eq!(missing(&node, &made, &failed).unwrap().status.unwrap().message, "gone");
    }

    #[test]
    fn first_file_of_a_series_is_declared_like_the_others() {
        let mut node = node();
        node.series = Some(PlanSeries::default());
        node.outputs[1].number = -1;
        let mut made = result(&["b"]);
        assert!(missing(&node, &made, &FailedSets::new()).is_some());
        made.series = vec![SeriesFile::default()];
        assert!(missing(&node, &made, &FailedSets::new()).is_none());
    }
}
