//! Uploads members of sets: one PUT each, under a name of the attempt.

use std::path::Path;

use mps_media::failure;
use mps_proto::{
    v1::ErrorReason,
    worker::v1::{CommitMembersRequest, Failure, GetMemberUrlsRequest, MemberName, SetMember, SetTrack, UnitAttempt},
};

use super::{FIRST_PAUSE, LONGEST_PAUSE, Part, PartError, Uploader, not_taken, unreadable};
use crate::rpc::failure_of;

impl Uploader {
    /// Uploads the file of a member.
    pub async fn upload_member(&self, unit: &UnitAttempt, set_id: &str, member: &SetMember, path: &Path) -> Result<(), Failure> {
        let size = tokio::fs::metadata(path).await.map_err(unreadable)?.len();
        if i64::try_from(size).ok() != Some(member.size_bytes) {
            let message = format!(
                "segment {} of track {} has not the size that it was said to have",
                member.index, member.track
            );
            return Err(failure::node(ErrorReason::Internal, message, "see the worker's log and report it"));
        }
        let whole = Part {
            number: 1,
            offset: 0,
            length: size,
        };
        let content_type = content_type(path);
        let mut url = self.member_url(unit, set_id, member).await?;
        let (mut tries, mut asked_again, mut pause) = (0, false, FIRST_PAUSE);
        loop {
            let error = match self.put(path, whole, &url, Some(content_type)).await {
                Ok(_etag) => return Ok(()),
                Err(PartError::File(error)) => return Err(unreadable(error)),
                Err(error) => error,
            };
            if matches!(error, PartError::Denied(_)) && !asked_again {
                asked_again = true;
                url = self.member_url(unit, set_id, member).await?;
                continue;
            }
            tries += 1;
            if tries >= self.config.tries || matches!(error, PartError::Denied(_)) {
                return Err(not_taken(&error));
            }
            tracing::debug!(%error, set_id, track = member.track, index = member.index, "a segment was not taken; trying again");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn member_url(&self, unit: &UnitAttempt, set_id: &str, member: &SetMember) -> Result<String, Failure> {
        let request = GetMemberUrlsRequest {
            unit: Some(unit.clone()),
            set_id: set_id.to_owned(),
            members: vec![MemberName {
                track: member.track,
                index: member.index,
                size_bytes: member.size_bytes,
            }],
        };
        let answer = self.rpc.call(self.config.patience, |mut client| {
            let request = request.clone();
            async move { client.get_member_urls(request).await }
        });
        let mut answer = answer.await.map_err(|error| failure_of(&error, "the URL of a segment"))?;
        let none = || failure::outside(ErrorReason::Internal, "the server gave no URL for a segment", "");
        answer.urls.pop().ok_or_else(none)
    }

    /// Makes uploaded members part of their set.
    pub async fn commit_members(
        &self,
        unit: &UnitAttempt,
        set_id: &str,
        tracks: &[SetTrack],
        members: &[SetMember],
    ) -> Result<(), Failure> {
        let request = CommitMembersRequest {
            unit: Some(unit.clone()),
            set_id: set_id.to_owned(),
            tracks: tracks.to_vec(),
            members: members.to_vec(),
        };
        let answer = self.rpc.call(self.config.patience, |mut client| {
            let request = request.clone();
            async move { client.commit_members(request).await }
        });
        answer.await.map_err(|error| failure_of(&error, "segments of a stream"))?;
        Ok(())
    }
}

/// MIME type by suffix.
fn content_type(path: &Path) -> &'static str {
    match path.extension().and_then(|suffix| suffix.to_str()).unwrap_or_default() {
        "ts" => "video/mp2t",
        "vtt" => "text/vtt",
        "aac" => "audio/aac",
        "m4s" => "video/iso.segment",
        "mp4" => "video/mp4",
        _ => "application/octet-stream",
    }
}
