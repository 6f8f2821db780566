//! What a job left on disk: index moved to the front, checked, described.

use std::{path::Path, time::Duration};

use mps_proto::{
    v1::{AudioCodec, Container, ErrorReason, MediaInfo, VideoCodec},
    worker::v1::{Failure, FileResult, NodeResult, PlanNode, PlanOutput},
};

use crate::{
    check::{Expectation, check_output},
    failure, faststart,
    pass::{counters::NodeCounters, output_path},
    probe::InputFacts,
    rules::{self, Audio, Job, Snapshots, Transcode, Video},
};

const CHECK_DEADLINE: Duration = Duration::from_secs(600);
/// What one packet of sound lasts at most, and a little.
const PACKET: Duration = Duration::from_millis(80);

/// Finishes the files of a node. `damage`: what decoders reported of the input; checks of copied outputs report it again.
pub fn check(
    node: &PlanNode,
    job: &Job,
    times: &[Option<Duration>],
    folder: &Path,
    counters: Option<&NodeCounters>,
    facts: &InputFacts,
    damage: u64,
) -> NodeResult {
    let files = match (job, counters) {
        (Job::Transcode(job), Some(counters)) => film(job, folder, counters, facts).map(|file| vec![file]),
        (Job::Snapshots(job), _) => pictures(job, times, folder),
        (Job::Transcode(_), None) => Err(missing("the node was not counted")),
    };
    match files {
        Ok(files) => NodeResult {
            key: node.key.clone(),
            files: in_order_of(node, files),
            failure: None,
            warnings: warnings(facts, damage),
            ..NodeResult::default()
        },
        Err(failure) => NodeResult {
            key: node.key.clone(),
            failure: Some(failure),
            ..NodeResult::default()
        },
    }
}

fn warnings(facts: &InputFacts, count: u64) -> Vec<mps_proto::rpc::Status> {
    let mut found = Vec::new();
    if count > 0 {
        found.push(failure::warning(
            ErrorReason::InputDamaged,
            format!("the input is damaged in {count} places; what could be decoded was delivered"),
            &[("count", count.to_string())],
        ));
    }
    if facts.left_out_tracks > 0 {
        found.push(failure::warning(
            ErrorReason::StreamMissing,
            "a track that lasts less than a fifth of the input was left out",
            &[
                ("count", facts.left_out_tracks.to_string()),
                ("hint", "remux the input to Matroska to keep the track".to_owned()),
            ],
        ));
    }
    found
}

fn film(job: &Transcode, folder: &Path, counters: &NodeCounters, facts: &InputFacts) -> Result<FileResult, Failure> {
    let path = output_path(folder, &job.output);
    if matches!(job.container, Container::Mp4 | Container::M4a | Container::Unspecified) {
        faststart::move_index_first(&path).map_err(|error| {
            failure::node(
                ErrorReason::DiskFull,
                format!("the index could not be moved to the front: {error}"),
                "give the worker more scratch space",
            )
        })?;
    }
    let media = check_output(&path, &expectation(job, counters, facts), CHECK_DEADLINE)?;
    Ok(result(&job.output, &path, media, None))
}

fn expectation(job: &Transcode, counters: &NodeCounters, facts: &InputFacts) -> Expectation {
    let copied = matches!(job.video, Some(Video::Copy)) || matches!(job.audio, Some(Audio::Copy));
    let counted = counters.video.end().max(counters.audio.end());
    let frame = rules::frame_rate(rules::film(facts)).map_or(Duration::from_millis(100), |(num, den)| {
        Duration::from_secs_f64(f64::from(den) / f64::from(num))
    });
    let mut expected = Expectation {
        // Nodes that share a sound encoder have its counters at the first of them.
        duration: (!counted.is_zero())
            .then_some(counted)
            .or_else(|| job.clip.length(rules::duration(facts))),
        duration_tolerance: frame.max(PACKET) + if copied { Duration::from_secs(1) } else { Duration::ZERO },
        copied,
        ..Expectation::default()
    };
    match &job.video {
        Some(Video::Encode(video)) => {
            expected.video_codec = Some(codec_name(video.codec).to_owned());
            expected.width_px = video.geometry.width;
            expected.height_px = video.geometry.height;
            expected.video_frames = Some(counters.video.count());
        }
        Some(Video::Copy) => {
            let stream = rules::film(facts);
            expected.video_codec = stream.map(|stream| stream.codec.clone());
            if let Some(video) = stream.and_then(|stream| stream.video.as_ref()) {
                (expected.width_px, expected.height_px) = (video.width_px, video.height_px);
            }
        }
        None => {}
    }
    expected.audio_codec = match &job.audio {
        Some(Audio::Encode(audio)) => Some(if audio.codec == AudioCodec::Mp3 { "mp3" } else { "aac" }.to_owned()),
        Some(Audio::Copy) => rules::sound(facts).map(|stream| stream.codec.clone()),
        None => None,
    };
    let sound = counters.audio.end();
    expected.audio_duration = (expected.audio_codec.is_some() && !copied && !sound.is_zero()).then_some(sound);
    expected
}

fn codec_name(codec: VideoCodec) -> &'static str {
    match codec {
        VideoCodec::H265 => "hevc",
        _ => "h264",
    }
}

fn pictures(job: &Snapshots, times: &[Option<Duration>], folder: &Path) -> Result<Vec<FileResult>, Failure> {
    let mut files = Vec::with_capacity(job.pictures.len());
    for (number, picture) in job.pictures.iter().enumerate() {
        let time = times
            .get(number)
            .copied()
            .flatten()
            .ok_or_else(|| missing(&format!("there is no picture at {:.3} s", picture.offset.as_secs_f64())))?;
        let path = output_path(folder, &picture.output);
        let expected = Expectation {
            width_px: job.geometry.width,
            height_px: job.geometry.height,
            video_codec: Some(picture_codec(job).to_owned()),
            ..Expectation::default()
        };
        let media = check_output(&path, &expected, CHECK_DEADLINE)?;
        files.push(result(&picture.output, &path, media, Some(time)));
    }
    Ok(files)
}

fn picture_codec(job: &Snapshots) -> &'static str {
    use mps_proto::v1::ImageFormat;
    match job.format {
        ImageFormat::Png => "png",
        ImageFormat::Webp => "webp",
        _ => "mjpeg",
    }
}

fn result(output: &PlanOutput, path: &Path, media: MediaInfo, source_offset: Option<Duration>) -> FileResult {
    FileResult {
        output_id: output.output_id.clone(),
        path: path.display().to_string(),
        media: Some(media),
        source_offset: source_offset.and_then(|offset| offset.try_into().ok()),
    }
}

fn in_order_of(node: &PlanNode, mut files: Vec<FileResult>) -> Vec<FileResult> {
    files.sort_by_key(|file| node.outputs.iter().position(|output| output.output_id == file.output_id));
    files
}

fn missing(message: &str) -> Failure {
    failure::data(
        ErrorReason::OffsetOutOfRange,
        message,
        "the picture ends before the sound does; choose an earlier offset",
    )
}
