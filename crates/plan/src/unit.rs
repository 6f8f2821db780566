//! Units: nodes fused into passes, what a worker must be able to do for them, and what they cost.

mod passes;

use std::collections::BTreeSet;

use mps_proto::{
    v1::{node_settings::Settings, subtitle::Mode},
    worker::v1::{InputLimits, MediaPlan, PlanNode, PlanOutput, PlanSet, PlanSubtitle, PlanWatermark},
};

use crate::{
    OutputPlan, PlanContext, UnitPlan,
    capabilities::{SUBTITLE_BURN_IN, SUBTITLE_SOFT},
    kinds::{self, Draft, SubtitleDraft, WatermarkDraft, watermark_requirement},
    outputs::Planned,
    side::SideInputs,
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
    let each = plan.nodes.iter().filter_map(settings_of).flat_map(|(node, settings)| {
        let of_kind = kinds::ALL.iter().find_map(|kind| kind.requirements(settings));
        let of_marks = node.watermarks.iter().filter_map(watermark_requirement);
        let of_subtitles = node.subtitles.iter().filter_map(subtitle_requirement);
        of_kind.unwrap_or_default().into_iter().chain(of_marks).chain(of_subtitles)
    });
    let sorted: BTreeSet<&str> = each.collect();
    sorted.into_iter().map(str::to_owned).collect()
}

fn subtitle_requirement(subtitle: &PlanSubtitle) -> Option<&'static str> {
    match subtitle.subtitle.as_ref()?.mode() {
        Mode::BurnIn => Some(SUBTITLE_BURN_IN),
        Mode::Soft | Mode::Unspecified => Some(SUBTITLE_SOFT),
    }
}

/// Kinds of the plan's nodes, sorted.
pub fn kinds(plan: &MediaPlan) -> Vec<&'static str> {
    let each = plan
        .nodes
        .iter()
        .filter_map(settings_of)
        .filter_map(|(_, settings)| kind_of(settings));
    let sorted: BTreeSet<&str> = each.map(kinds::Kind::name).collect();
    sorted.into_iter().collect()
}

/// Decodings of the input that a pass needs: one for all nodes, or none where they all take it as it is.
pub fn decodings(plan: &MediaPlan) -> i32 {
    let mut settings = plan.nodes.iter().filter_map(settings_of);
    i32::from(settings.any(|(_, settings)| kind_of(settings).is_none_or(|kind| kind.decodes(settings))))
}

fn kind_of(settings: &Settings) -> Option<&'static dyn kinds::Kind> {
    kinds::ALL.iter().copied().find(|kind| kind.requirements(settings).is_some())
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

/// A node with its key and its files.
pub(crate) struct Ready {
    pub key: String,
    pub draft: Draft,
    pub planned: Planned,
}

/// Passes that make every node, as few as are cheap: see `passes`.
pub(crate) fn fuse(nodes: Vec<Ready>, context: &PlanContext) -> Vec<UnitPlan> {
    passes::split(nodes).into_iter().map(|nodes| plan_unit(nodes, context)).collect()
}

fn plan_unit(nodes: Vec<Ready>, context: &PlanContext) -> UnitPlan {
    let mut media = plan_probe(context.limits);
    media.damage_policy = context.damage_policy.into();
    let mut outputs = Vec::new();
    let mut sides = SideInputs::default();
    for node in nodes {
        let planned = plan_outputs(&node);
        media.nodes.push(plan_node(node, &planned, &mut sides));
        outputs.extend(planned.into_iter().map(|(output, _)| output));
    }
    let (side_inputs, side_input_fields) = sides.into_parts();
    media.side_inputs = side_inputs;
    UnitPlan {
        media,
        outputs,
        side_input_fields,
    }
}

fn plan_outputs(node: &Ready) -> Vec<(OutputPlan, PlanOutput)> {
    let each = node.planned.files.iter().map(|file| {
        let id = mps_proto::name::new_id();
        let planned = PlanOutput {
            output_id: id.clone(),
            number: file.number,
            format: file.format.to_owned(),
            content_type: file.content_type.to_owned(),
        };
        let output = OutputPlan {
            id,
            node_key: node.key.clone(),
            kind: file.kind,
            number: file.number,
            key: file.key.clone(),
            content_type: file.content_type.to_owned(),
        };
        (output, planned)
    });
    each.collect()
}

fn plan_node(node: Ready, outputs: &[(OutputPlan, PlanOutput)], sides: &mut SideInputs) -> PlanNode {
    let planned: Vec<PlanOutput> = outputs.iter().map(|(_, planned)| planned.clone()).collect();
    let set = node.planned.set.map(|set| PlanSet {
        set_id: planned.first().map_or_else(String::new, |first| first.output_id.clone()),
        manifests: planned.clone(),
        ..set
    });
    PlanNode {
        key: node.key,
        settings: Some(node.draft.settings),
        start_offset: node.draft.start_offset,
        end_offset: node.draft.end_offset,
        offsets: node.draft.offsets,
        outputs: planned,
        watermarks: node.draft.watermarks.into_iter().map(|mark| plan_watermark(mark, sides)).collect(),
        subtitles: node
            .draft
            .subtitles
            .into_iter()
            .map(|subtitle| plan_subtitle(subtitle, sides))
            .collect(),
        audio_tracks: node.draft.audio_tracks,
        mix_audio_tracks: node.draft.mix_audio_tracks,
        set,
        series: node.planned.series,
    }
}

fn plan_watermark(mark: WatermarkDraft, sides: &mut SideInputs) -> PlanWatermark {
    PlanWatermark {
        settings: Some(mark.settings),
        side_input_id: mark.source.map_or_else(String::new, |source| sides.id_of(&source)),
        start_offset: mark.start_offset,
        end_offset: mark.end_offset,
    }
}

fn plan_subtitle(subtitle: SubtitleDraft, sides: &mut SideInputs) -> PlanSubtitle {
    PlanSubtitle {
        subtitle: Some(subtitle.subtitle),
        side_input_id: sides.id_of(&subtitle.source),
    }
}

#[cfg(test)]
mod tests {
    use mps_proto::v1::{AudioCodec, AudioSettings, NodeSettings, SnapshotSettings, TranscodeSettings, VideoCodec, VideoSettings};

    use super::*;

    fn node(settings: Settings) -> PlanNode {
        PlanNode {
            settings: Some(NodeSettings { settings: Some(settings) }),
            ..PlanNode::default()
        }
    }

    fn transcode(codec: VideoCodec) -> PlanNode {
        node(Settings::Transcode(TranscodeSettings {
            video: Some(VideoSettings {
                codec: Some(codec.into()),
                ..Default::default()
            }),
            audio: Some(AudioSettings {
                codec: Some(AudioCodec::Copy.into()),
                ..Default::default()
            }),
            ..Default::default()
        }))
    }

    #[test]
    fn nothing_is_decoded_where_everything_is_copied() {
        let plan = |nodes: Vec<PlanNode>| MediaPlan {
            nodes,
            ..Default::default()
        };
        let snapshot = || node(Settings::Snapshot(SnapshotSettings::default()));
        assert_eq!(decodings(&plan(vec![transcode(VideoCodec::Copy), transcode(VideoCodec::Copy)])), 0);
        assert_eq!(decodings(&plan(vec![transcode(VideoCodec::Copy), transcode(VideoCodec::H264)])), 1);
        assert_eq!(decodings(&plan(vec![transcode(VideoCodec::Copy), snapshot()])), 1);
        assert_eq!(
            kinds(&plan(vec![transcode(VideoCodec::Copy), snapshot(), snapshot()])),
            ["snapshot", "transcode"]
        );
    }
}
