//! The kinds of nodes: each a file here that resolves a node's settings against the input, builds its branches and checks its files.
//! A new kind is such a file and its line in `resolve_node`; nothing else in this crate matches on kinds.

mod adaptive_stream;
mod animated_image;
mod cover;
mod cover_score;
mod image_sprite;
mod improve;
mod sample_snapshot;
mod sampling;
mod snapshot;
mod style;
mod transcode;
mod vtt;

use mps_proto::{
    v1::node_settings::Settings,
    worker::v1::{Failure, MediaPlan, PlanNode, PlanOutput},
};

use crate::{
    job::{Branch, Checking, Context, Job, Made, Needs, Preparing, Resolved, Tracks},
    rules::unsupported,
};

/// The job of each node.
pub fn resolve(plan: &MediaPlan, context: &Context) -> Vec<(PlanNode, Resolved)> {
    plan.nodes.iter().map(|node| (node.clone(), resolve_node(node, context))).collect()
}

fn resolve_node(node: &PlanNode, context: &Context) -> Resolved {
    match node.settings.as_ref().and_then(|settings| settings.settings.as_ref()) {
        Some(Settings::Transcode(settings)) => match &node.set {
            // Its container is HLS.
            Some(set) => adaptive_stream::resolve_single(node, set, settings, context),
            None => transcode::resolve(node, settings, context),
        },
        Some(Settings::AdaptiveStream(settings)) => adaptive_stream::resolve(node, settings, context),
        Some(Settings::Snapshot(settings)) => snapshot::resolve(node, settings, context),
        Some(Settings::SampleSnapshot(settings)) => sample_snapshot::resolve(node, settings, context),
        Some(Settings::ImageSprite(settings)) => image_sprite::resolve(node, settings, context),
        Some(Settings::Cover(settings)) => cover::resolve(node, settings, context),
        Some(Settings::AnimatedImage(settings)) => animated_image::resolve(node, settings, context),
        _ => Err(unsupported("the node has settings that this worker does not know")),
    }
}

fn first_output(node: &PlanNode) -> Result<PlanOutput, Failure> {
    let output = node.outputs.first().cloned();
    output.ok_or_else(|| unsupported("the plan names no output"))
}
