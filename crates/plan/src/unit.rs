//! Units: nodes fused into passes, what a worker must be able to do for them, and what they cost.

use std::collections::BTreeSet;

use mps_proto::{
    v1::node_settings::Settings,
    worker::v1::{InputLimits, MediaPlan, PlanNode, PlanOutput},
};

use crate::{
    OutputPlan, PlanContext, UnitPlan,
    kinds::{self, Draft},
};

/// Cost of looking at an input without making anything.
const COST_OF_PROBE: f64 = 0.05;

/// The plan that only probes.
pub fn plan_probe(limits: InputLimits) -> MediaPlan {
    MediaPlan {
        plan_version: mps_proto::PLAN_VERSION,
        nodes: Vec::new(),
        damage_policy: 0,
        limits: Some(limits),
        side_inputs: Vec::new(),
    }
}

/// What a worker must be able to do for a plan, such as `encode.h264`; sorted.
pub fn requirements(plan: &MediaPlan) -> Vec<String> {
    let each = plan.nodes.iter().filter_map(settings_of).flat_map(|(_, settings)| {
        let of_kind = kinds::ALL.iter().find_map(|kind| kind.requirements(settings));
        of_kind.unwrap_or_default()
    });
    let sorted: BTreeSet<&str> = each.collect();
    sorted.into_iter().map(str::to_owned).collect()
}

/// Rough cost of a plan for fair ranks; 1 is one transcode.
pub fn cost(plan: &MediaPlan) -> f64 {
    let of_nodes = plan.nodes.iter().filter_map(settings_of);
    let costs = of_nodes.filter_map(|(node, settings)| kinds::ALL.iter().find_map(|kind| kind.cost(settings, node)));
    COST_OF_PROBE.max(costs.sum())
}

fn settings_of(node: &PlanNode) -> Option<(&PlanNode, &Settings)> {
    Some((node, node.settings.as_ref()?.settings.as_ref()?))
}

/// A node with its key and the keys of its files.
pub(crate) struct Ready {
    pub key: String,
    pub draft: Draft,
    pub output_keys: Vec<String>,
}

/// One pass that makes every node: the input is decoded once.
pub(crate) fn fuse(nodes: Vec<Ready>, context: &PlanContext) -> UnitPlan {
    let mut media = plan_probe(context.limits);
    media.damage_policy = context.damage_policy.into();
    let mut outputs = Vec::new();
    for node in nodes {
        let planned = plan_outputs(&node);
        media.nodes.push(plan_node(node, &planned));
        outputs.extend(planned.into_iter().map(|(output, _)| output));
    }
    UnitPlan { media, outputs }
}

fn plan_outputs(node: &Ready) -> Vec<(OutputPlan, PlanOutput)> {
    let each = (0..).zip(&node.output_keys).map(|(number, key)| {
        let id = mps_proto::name::new_id();
        let content_type = node.draft.content_type.to_owned();
        let planned = PlanOutput {
            output_id: id.clone(),
            number,
            format: node.draft.format.to_owned(),
            content_type: content_type.clone(),
        };
        let output = OutputPlan {
            id,
            node_key: node.key.clone(),
            number,
            key: key.clone(),
            content_type,
        };
        (output, planned)
    });
    each.collect()
}

fn plan_node(node: Ready, outputs: &[(OutputPlan, PlanOutput)]) -> PlanNode {
    PlanNode {
        key: node.key,
        settings: Some(node.draft.settings),
        start_offset: node.draft.start_offset,
        end_offset: node.draft.end_offset,
        offsets: node.draft.offsets,
        outputs: outputs.iter().map(|(_, planned)| planned.clone()).collect(),
        ..PlanNode::default()
    }
}
