//! What is said of finished files: descriptions and warnings.

use std::{path::Path, time::Duration};

use mps_proto::{
    v1::{ErrorReason, MediaInfo},
    worker::v1::{FileResult, PlanOutput},
};

use crate::{failure, probe::InputFacts, promises::Lack};

/// How long one file may take to be checked.
pub const CHECK_DEADLINE: Duration = Duration::from_secs(600);

/// What became of the input's time.
#[derive(Debug, Clone, Copy, Default)]
pub struct Lost {
    /// What of the film's end did not decode.
    pub undecoded: Option<Duration>,
    /// What its clock counts and its demuxer closed up.
    pub closed_up: Option<Duration>,
    /// Pictures that had another one's stamp.
    pub alike: u64,
}

/// What every node of a pass warns of. `count`: what decoders reported of the input.
pub fn warnings(facts: &InputFacts, count: u64, lost: Lost) -> Vec<mps_proto::rpc::Status> {
    let mut found = facts.warnings.clone();
    if facts.truncated_bytes > 0 {
        found.push(failure::warning(
            ErrorReason::InputTruncated,
            "the input is cut: what was asked for lies in front of the cut",
            &[("missing_bytes", facts.truncated_bytes.to_string())],
        ));
    }
    if let Some(closed_up) = lost.closed_up {
        let seconds = closed_up.as_secs_f64();
        found.push(failure::warning(
            ErrorReason::InputDamaged,
            format!("the input's clock counts {seconds:.1} s more than its streams were read to have: holes in it were closed up"),
            &[(
                "hint",
                "offsets behind a hole are earlier by as much; record the input again if that matters".to_owned(),
            )],
        ));
    }
    if let Some(lost) = lost.undecoded {
        found.push(failure::warning(
            ErrorReason::InputDamaged,
            format!("the last {:.1} s of the film do not decode", lost.as_secs_f64()),
            &[],
        ));
    }
    if lost.alike > 0 {
        found.push(failure::warning(
            ErrorReason::InputDamaged,
            format!("{} pictures had another one's time stamp and were moved apart", lost.alike),
            &[("count", lost.alike.to_string())],
        ));
    }
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

/// What a node is told of a promise that the input nearly keeps.
pub fn early(lack: &Lack) -> mps_proto::rpc::Status {
    failure::warning(
        ErrorReason::InputTruncated,
        format!("the end of the input is missing: {lack}"),
        &[("hint", "upload or record the file again if its end matters".to_owned())],
    )
}

/// A finished file as the supervisor is told of it.
pub fn described(output: &PlanOutput, path: &Path, media: MediaInfo, source_offset: Option<Duration>) -> FileResult {
    FileResult {
        output_id: output.output_id.clone(),
        path: path.display().to_string(),
        media: Some(media),
        source_offset: source_offset.and_then(|offset| offset.try_into().ok()),
    }
}
