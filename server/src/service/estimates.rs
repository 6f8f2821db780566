//! How long a pass will take: by how fast this installation's workers did the same kind of work, and by how long the input is.
//!
//! The measure of work is cost (as in fair ranks) times seconds of media. What workers spent on it, from lease to result, is summed
//! up per kind of work with the past fading, so that long inputs count for more than short ones, whose time is mostly fetching.
//! Nothing is guessed: without a measurement of the very kind of work, or without the input's length, there is no estimate.

use mps_plan::PlanInput;
use mps_proto::{
    v1::{MediaInfo, TaskInput, task_input::Source},
    worker::v1::{CompleteUnitRequest, MediaPlan, PlanNode},
};
use prost_types::Duration;
use sea_orm::DbErr;

use crate::{
    app::App,
    store::{
        estimates::{self, KnownInput},
        leases::UnitRow,
    },
};

/// Learns from a unit that was done. What it learns is a hint: a failure is told to whoever debugs, and otherwise does no harm.
pub async fn learn(app: &App, unit: &UnitRow, input: &str, request: &CompleteUnitRequest) {
    if let Err(error) = note_unit(app, unit, input, request).await {
        tracing::debug!(%error, unit.id = %unit.id, "the speed of a unit was not noted");
    }
}

async fn note_unit(app: &App, unit: &UnitRow, input: &str, request: &CompleteUnitRequest) -> Result<(), DbErr> {
    let Some(known) = request.input.as_ref().and_then(known_input) else {
        return Ok(());
    };
    let txn = app.store.begin().await?;
    estimates::note_input(&app.store, &txn, &unit.project, input, known).await?;
    let is_whole = request.nodes.iter().all(|node| node.failure.is_none());
    let done = work_done(&unit.plan, known.seconds());
    if is_whole && done > 0.0 {
        estimates::note_speed(&app.store, &txn, &kind_of_work(&unit.pool, &unit.plan), &unit.id, done).await?;
    }
    txn.commit().await
}

/// Learns from a probe how long an input is.
pub async fn learn_input(app: &App, project: &str, input: &TaskInput, media: &MediaInfo) {
    let Some(known) = known_input(media) else { return };
    let text = text_of_input(input);
    if let Err(error) = estimates::note_input(&app.store, app.store.writer(), project, &text, known).await {
        tracing::debug!(%error, "the length of an input was not noted");
    }
}

fn known_input(media: &MediaInfo) -> Option<KnownInput> {
    Some(KnownInput {
        size_bytes: media.size_bytes,
        length_ms: (seconds(media.duration.as_ref()?) * 1000.0) as i64,
    })
}

/// Seconds of the input, where a worker has read it before and it still has the size that it had then. A URL's size is not asked.
pub async fn input_seconds(app: &App, project: &str, input: &PlanInput, size_bytes: Option<i64>) -> Result<Option<f64>, DbErr> {
    let known = estimates::known_input(&app.store, project, &text_of_plan(input)).await?;
    let unchanged = known.filter(|known| size_bytes.is_none_or(|size| size == known.size_bytes));
    Ok(unchanged.as_ref().map(KnownInput::seconds))
}

/// Seconds that a pass over that much of media takes; `None`: not known.
pub async fn unit_seconds(app: &App, plan: &MediaPlan, input_seconds: f64) -> Result<Option<f64>, DbErr> {
    let speed = estimates::speed(&app.store, &kind_of_work(&app.config.default_pool, plan)).await?;
    Ok(speed.map(|speed| speed * work_done(plan, input_seconds)))
}

/// An input as filters see it.
pub fn text_of_plan(input: &PlanInput) -> String {
    match input {
        PlanInput::Url(url) => url.clone(),
        PlanInput::Object { storage_id, key } => format!("{storage_id}:{key}"),
    }
}

/// The same of an input with the storage's full name.
pub fn text_of_input(input: &TaskInput) -> String {
    match &input.source {
        Some(Source::Url(url)) => url.clone(),
        Some(Source::Object(object)) => {
            let storage = object.storage.rsplit('/').next().unwrap_or_default();
            format!("{storage}:{}", object.key)
        }
        None => String::new(),
    }
}

/// What is compared: the pool, the kinds of nodes, and what a worker must be able to do.
fn kind_of_work(pool: &str, plan: &MediaPlan) -> String {
    format!(
        "{pool} {} {}",
        mps_plan::kinds(plan).join(","),
        mps_plan::requirements(plan).join(",")
    )
}

/// Cost times seconds of media, over all nodes: each reads the part that it is about.
fn work_done(plan: &MediaPlan, input_seconds: f64) -> f64 {
    let of_node = |node: &PlanNode| {
        let alone = MediaPlan {
            nodes: vec![node.clone()],
            ..Default::default()
        };
        mps_plan::cost(&alone) * span_seconds(node, input_seconds)
    };
    plan.nodes.iter().map(of_node).sum()
}

/// The part of the input between a node's offsets; negative ones count from the end.
fn span_seconds(node: &PlanNode, input_seconds: f64) -> f64 {
    let place = |offset: &Duration| match seconds(offset) {
        offset if offset < 0.0 => (input_seconds + offset).max(0.0),
        offset => offset.min(input_seconds),
    };
    let start = node.start_offset.as_ref().map_or(0.0, place);
    let end = node.end_offset.as_ref().map_or(input_seconds, place);
    (end - start).max(0.0)
}

fn seconds(duration: &Duration) -> f64 {
    duration.seconds as f64 + f64::from(duration.nanos) / 1e9
}

#[cfg(test)]
mod tests {
    use mps_proto::v1::{AudioSettings, NodeSettings, TranscodeSettings, VideoCodec, VideoSettings, node_settings::Settings};

    use super::*;

    fn transcode(codec: VideoCodec, start: i64, end: Option<i64>) -> PlanNode {
        let seconds = |seconds| Duration { seconds, nanos: 0 };
        let settings = TranscodeSettings {
            video: Some(VideoSettings {
                codec: Some(codec.into()),
                ..Default::default()
            }),
            audio: Some(AudioSettings {
                codec: Some(mps_proto::v1::AudioCodec::Copy.into()),
                ..Default::default()
            }),
            ..Default::default()
        };
        PlanNode {
            settings: Some(NodeSettings {
                settings: Some(Settings::Transcode(settings)),
            }),
            start_offset: Some(seconds(start)),
            end_offset: end.map(seconds),
            ..Default::default()
        }
    }

    #[test]
    fn work_is_that_of_the_part_between_the_offsets() {
        assert_eq!(span_seconds(&transcode(VideoCodec::H264, 0, None), 60.0), 60.0);
        assert_eq!(span_seconds(&transcode(VideoCodec::H264, 10, Some(20)), 60.0), 10.0);
        assert_eq!(span_seconds(&transcode(VideoCodec::H264, -10, Some(-4)), 60.0), 6.0);
        assert_eq!(span_seconds(&transcode(VideoCodec::H264, 90, None), 60.0), 0.0);
    }
}
