//! What is said of finished files: descriptions and warnings.

use std::{path::Path, time::Duration};

use mps_proto::{
    v1::{ErrorReason, MediaInfo},
    worker::v1::{FileResult, PlanOutput},
};

use crate::{failure, probe::InputFacts};

/// How long one file may take to be checked.
pub const CHECK_DEADLINE: Duration = Duration::from_secs(600);

/// What every node of a pass warns of. `damage`: what decoders reported of the input.
pub fn warnings(facts: &InputFacts, count: u64) -> Vec<mps_proto::rpc::Status> {
    let mut found = facts.warnings.clone();
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

/// A finished file as the supervisor is told of it.
pub fn described(output: &PlanOutput, path: &Path, media: MediaInfo, source_offset: Option<Duration>) -> FileResult {
    FileResult {
        output_id: output.output_id.clone(),
        path: path.display().to_string(),
        media: Some(media),
        source_offset: source_offset.and_then(|offset| offset.try_into().ok()),
    }
}
