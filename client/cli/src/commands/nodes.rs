//! Nodes of a task from flags of `mps process`.

use mps_proto::v1::{
    AdaptiveStreamNode, AnimatedImageNode, CoverNode, ImageSpriteNode, Node, SampleSnapshotNode, SnapshotNode, TranscodeNode, Watermark,
    adaptive_stream_node, animated_image_node, cover_node, image_sprite_node, node::Operation, sample_snapshot_node, snapshot_node,
    transcode_node, watermark,
};

use crate::{args::NodeArgs, commands::template, context::Context, document, exit::UsageError};

/// The nodes that flags ask for; none where there are no such flags.
pub async fn asked_for(context: &Context, args: &NodeArgs) -> anyhow::Result<Vec<Node>> {
    let mut nodes: Vec<Node> = args.transcodes.iter().cloned().map(transcode).collect();
    for preset in &args.presets {
        nodes.push(of_template(context, preset).await?);
    }
    if !args.snapshots.is_empty() {
        nodes.push(snapshots(args));
    }
    nodes.extend(args.cover.iter().cloned().map(cover));
    for file in &args.nodes {
        nodes.extend(document::read_list::<Node>(file, "mps.v1.Node", "nodes")?);
    }
    Ok(nodes)
}

/// A node of a transcode template.
pub fn transcode(template: String) -> Node {
    node(Operation::Transcode(TranscodeNode {
        source: Some(transcode_node::Source::Template(template)),
        ..Default::default()
    }))
}

fn node(operation: Operation) -> Node {
    Node {
        operation: Some(operation),
        ..Default::default()
    }
}

/// A node of whatever kind the template is.
async fn of_template(context: &Context, name: &str) -> anyhow::Result<Node> {
    let found = template::get(context, name, 0).await?;
    let id = found.name.rsplit('/').next().unwrap_or(name).to_owned();
    Ok(of_kind(&found.kind, id)?)
}

fn of_kind(kind: &str, template: String) -> Result<Node, UsageError> {
    let operation = match kind {
        "transcode" => return Ok(transcode(template)),
        "sample_snapshot" => Operation::SampleSnapshot(SampleSnapshotNode {
            source: Some(sample_snapshot_node::Source::Template(template)),
            ..Default::default()
        }),
        "image_sprite" => Operation::ImageSprite(ImageSpriteNode {
            source: Some(image_sprite_node::Source::Template(template)),
            ..Default::default()
        }),
        "animated_image" => Operation::AnimatedImage(AnimatedImageNode {
            source: Some(animated_image_node::Source::Template(template)),
            ..Default::default()
        }),
        "adaptive_stream" => Operation::AdaptiveStream(AdaptiveStreamNode {
            source: Some(adaptive_stream_node::Source::Template(template)),
            ..Default::default()
        }),
        "snapshot" => {
            let hint = format!("write --snapshot OFFSET --snapshot-template {template}, or --cover {template}");
            return Err(UsageError(format!("--preset {template}: pictures need offsets; {hint}")));
        }
        "watermark" => {
            let hint = format!("write --watermark {template} beside other nodes");
            return Err(UsageError(format!("--preset {template}: a watermark is no node; {hint}")));
        }
        other => {
            let hint = "this version of mps does not know it; --nodes takes any node";
            return Err(UsageError(format!("--preset {template}: is of kind {other}; {hint}")));
        }
    };
    Ok(node(operation))
}

fn snapshots(args: &NodeArgs) -> Node {
    node(Operation::Snapshot(SnapshotNode {
        source: Some(snapshot_node::Source::Template(args.snapshot_template.clone())),
        offsets: args.snapshots.clone(),
        ..Default::default()
    }))
}

fn cover(template: String) -> Node {
    node(Operation::Cover(CoverNode {
        source: Some(cover_node::Source::Template(template)),
        ..Default::default()
    }))
}

/// Puts watermarks on every node that can have them; one node at least must.
pub fn mark(nodes: &mut [Node], templates: &[String]) -> Result<(), UsageError> {
    let marks = || {
        templates.iter().map(|template| Watermark {
            source: Some(watermark::Source::Template(template.clone())),
            ..Default::default()
        })
    };
    let mut is_marked = templates.is_empty();
    for watermarks in nodes.iter_mut().filter_map(watermarks) {
        watermarks.extend(marks());
        is_marked = true;
    }
    match is_marked {
        true => Ok(()),
        false => Err(UsageError("--watermark: none of the nodes can have watermarks".into())),
    }
}

fn watermarks(node: &mut Node) -> Option<&mut Vec<Watermark>> {
    match node.operation.as_mut()? {
        Operation::Transcode(node) => Some(&mut node.watermarks),
        Operation::Snapshot(node) => Some(&mut node.watermarks),
        Operation::SampleSnapshot(node) => Some(&mut node.watermarks),
        Operation::Cover(node) => Some(&mut node.watermarks),
        Operation::AdaptiveStream(node) => Some(&mut node.watermarks),
        Operation::ImageSprite(_) | Operation::AnimatedImage(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_is_of_the_kind_of_its_template() {
        for kind in ["transcode", "sample_snapshot", "image_sprite", "animated_image", "adaptive_stream"] {
            assert!(of_kind(kind, "x".into()).is_ok(), "{kind}");
        }
        let told = |kind: &str| of_kind(kind, "x".into()).unwrap_err().to_string();
        assert!(told("snapshot").contains("--snapshot OFFSET --snapshot-template x"));
        assert!(told("watermark").contains("--watermark x"));
        assert!(told("other").contains("--nodes"));
    }

    #[test]
    fn watermarks_go_on_every_node_that_can_have_them() {
        let mut nodes = vec![
            transcode("a".into()),
            of_kind("image_sprite", "b".into()).unwrap(),
            cover("c".into()),
        ];
        mark(&mut nodes, &["w".into(), "v".into()]).unwrap();
        let counts: Vec<usize> = nodes.iter_mut().filter_map(watermarks).map(|marks| marks.len()).collect();
        assert_eq!(counts, [2, 2]);
        assert!(mark(&mut nodes[1..2], &["w".into()]).is_err());
        assert!(mark(&mut nodes[1..2], &[]).is_ok());
    }
}
