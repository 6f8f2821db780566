//! Files that nodes need besides the input, fetched into the unit's folder. One that cannot be had takes the nodes that need it, and
//! no others.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

use mps_proto::{
    v1::task_input::Source,
    worker::v1::{Failure, FailureKind, MediaPlan, PlanNode, SideInput},
};

use super::unit_run::{Unit, input_suffix};

/// Where fetched side inputs are, and the nodes that cannot be made.
#[derive(Debug, Default)]
pub struct SideInputs {
    /// Path by id.
    pub paths: BTreeMap<String, String>,
    /// Failure by node key.
    pub failed: HashMap<String, Failure>,
}

impl Unit {
    /// Fetches what the plan names. Only what may be better another time is an error.
    pub(super) async fn fetch_side_inputs(&self, plan: &MediaPlan, folder: &Path) -> Result<SideInputs, Failure> {
        let mut fetched = SideInputs::default();
        for (number, side) in plan.side_inputs.iter().enumerate() {
            let path = folder.join(file_name(number, side));
            match self.fetch(&path, &side.id, side.max_bytes).await {
                Ok(()) => {
                    fetched.paths.insert(side.id.clone(), path.display().to_string());
                }
                Err(failure) if failure.kind() == FailureKind::Data => {
                    let failure = named(failure, side);
                    let users = plan.nodes.iter().filter(|node| uses(node, &side.id));
                    fetched.failed.extend(users.map(|node| (node.key.clone(), failure.clone())));
                }
                Err(failure) => return Err(named(failure, side)),
            }
        }
        Ok(fetched)
    }
}

/// Whether a node needs a side input.
fn uses(node: &PlanNode, id: &str) -> bool {
    let mut marks = node.watermarks.iter().map(|mark| mark.side_input_id.as_str());
    let mut subtitles = node.subtitles.iter().map(|subtitle| subtitle.side_input_id.as_str());
    marks.any(|used| used == id) || subtitles.any(|used| used == id)
}

fn name_of(side: &SideInput) -> &str {
    match side.source.as_ref().and_then(|input| input.source.as_ref()) {
        Some(Source::Object(object)) => &object.key,
        Some(Source::Url(url)) => url,
        None => &side.id,
    }
}

/// `side0.png`: the id comes from outside and is no part of a path.
fn file_name(number: usize, side: &SideInput) -> String {
    match input_suffix(name_of(side)) {
        Some(suffix) => format!("side{number}.{suffix}"),
        None => format!("side{number}"),
    }
}

/// Says which file it was.
fn named(mut failure: Failure, side: &SideInput) -> Failure {
    if let Some(status) = &mut failure.status {
        // a URL may carry a secret in its query
        let name = name_of(side).split('?').next().unwrap_or_default();
        status.message = format!("{name}: {}", status.message);
    }
    failure
}

#[cfg(test)]
mod tests {
    use mps_proto::{
        v1::TaskInput,
        worker::v1::{PlanSubtitle, PlanWatermark},
    };

    use super::*;

    #[test]
    fn nodes_that_use_a_side_input_are_found() {
        let node = PlanNode {
            watermarks: vec![PlanWatermark {
                side_input_id: "s0".into(),
                ..PlanWatermark::default()
            }],
            subtitles: vec![PlanSubtitle {
                side_input_id: "s1".into(),
                ..PlanSubtitle::default()
            }],
            ..PlanNode::default()
        };
        assert!(uses(&node, "s0") && uses(&node, "s1") && !uses(&node, "s2"));
    }

    #[test]
    fn files_keep_a_plain_suffix_and_messages_no_query() {
        let side = SideInput {
            id: "../s0".into(),
            source: Some(TaskInput {
                source: Some(Source::Url("https://host/logo.png?token=1".into())),
            }),
            max_bytes: 0,
        };
        assert_eq!(file_name(3, &side), "side3.png");
        let failure = mps_media::failure::data(mps_proto::v1::ErrorReason::InputNotFound, "it is not there", "");
        assert_eq!(
            named(failure, &side).status.unwrap().message,
            "https://host/logo.png: it is not there"
        );
    }
}
