//! The unit's input on its way into the attempt's folder: a file as it is, or a playlist whose media is joined into one.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures::future::BoxFuture;
use mps_proto::{
    v1::MediaInfo,
    worker::v1::{Failure, GetInputMemberUrlsRequest, MediaPlan, UnitAttempt},
};

use super::unit_run::{Unit, input_file};
use crate::{
    fetch::{self, Bounds, Input, Joined, Origin, Room},
    rpc::{Rpc, failure_of},
};

/// What playlists are called where files have their container's name.
const HLS: &str = "hls";

/// An input that has arrived.
pub struct InputFile {
    pub path: PathBuf,
    /// Unset: it is a file.
    joined: Option<Joined>,
}

impl Unit {
    /// Fetches the input into a folder.
    pub(super) async fn fetch_input(&self, plan: &MediaPlan, folder: &Path) -> Result<InputFile, Failure> {
        let path = folder.join(input_file(&self.lease.input_name));
        let room = Room {
            free: self.free_bytes(),
            most: u64::MAX,
        };
        match self.worker.fetcher.fetch_input(&self.input_urls(""), &path, room).await? {
            Input::File(bytes) => {
                tracing::debug!(bytes, "input fetched");
                Ok(InputFile { path, joined: None })
            }
            Input::Playlist => self.fetch_playlist(plan, folder).await,
        }
    }

    /// Fetches what a playlist names, of a probe only the beginning.
    pub(super) async fn fetch_playlist(&self, plan: &MediaPlan, folder: &Path) -> Result<InputFile, Failure> {
        let source = self.input_urls("")().await?;
        let (rpc, unit, patience) = (
            self.worker.rpc.clone(),
            self.card.token.clone(),
            self.worker.config.offline_patience,
        );
        let sign = move |keys: Vec<String>| -> BoxFuture<'static, Result<Vec<String>, Failure>> {
            Box::pin(member_urls(rpc.clone(), unit.clone(), keys, patience))
        };
        let origin = Origin {
            key: (!source.untrusted).then(|| self.lease.input_name.clone()),
            url: source.url,
            allow_private: source.allow_private,
            sign: Arc::new(sign),
        };
        let worker = self.worker.clone();
        let longest = plan.limits.unwrap_or_default().max_duration;
        let bounds = Bounds {
            folder,
            free: Arc::new(move || worker.scratch.free_bytes().unwrap_or(u64::MAX)),
            most_seconds: longest
                .and_then(|most| Duration::try_from(most).ok())
                .map_or(0.0, |most| most.as_secs_f64()),
            sample: self.is_probe(),
        };
        let joined = fetch::fetch_playlist(&self.worker.fetcher, origin, bounds).await?;
        tracing::debug!(seconds = joined.seconds, "playlist fetched and joined");
        Ok(InputFile {
            path: joined.path.clone(),
            joined: Some(joined),
        })
    }
}

impl InputFile {
    /// What is told of the input, where it is a playlist: that it is one, and the length that it tells where only its beginning was looked at.
    pub fn describe(&self, media: &mut MediaInfo) {
        let Some(joined) = &self.joined else { return };
        HLS.clone_into(&mut media.container);
        if !joined.is_sample {
            return;
        }
        let length = Duration::try_from_secs_f64(joined.seconds)
            .ok()
            .and_then(|length| prost_types::Duration::try_from(length).ok());
        media.size_bytes = 0;
        media.duration = length;
        for stream in media
            .streams
            .iter_mut()
            .filter(|stream| ["video", "audio"].contains(&stream.kind.as_str()))
        {
            stream.duration = length;
        }
    }
}

/// Asks for URLs of a playlist's members until the server answers.
async fn member_urls(rpc: Rpc, unit: UnitAttempt, keys: Vec<String>, patience: Duration) -> Result<Vec<String>, Failure> {
    let request = GetInputMemberUrlsRequest { unit: Some(unit), keys };
    let answer = rpc.call(patience, |mut client| {
        let request = request.clone();
        async move { client.get_input_member_urls(request).await }
    });
    answer
        .await
        .map(|answer| answer.urls)
        .map_err(|error| failure_of(&error, "URLs of the playlist's members"))
}

#[cfg(test)]
mod tests {
    use mps_proto::v1::MediaStream;

    use super::*;

    fn described(is_sample: bool) -> MediaInfo {
        let input = InputFile {
            path: PathBuf::new(),
            joined: Some(Joined {
                path: PathBuf::new(),
                seconds: 90.5,
                is_sample,
            }),
        };
        let stream = |kind: &str| MediaStream {
            kind: kind.into(),
            ..MediaStream::default()
        };
        let mut media = MediaInfo {
            container: "mpegts".into(),
            size_bytes: 7,
            streams: vec![stream("video"), stream("subtitle")],
            ..MediaInfo::default()
        };
        input.describe(&mut media);
        media
    }

    #[test]
    fn length_of_a_playlist_that_was_probed_is_what_it_tells() {
        let media = described(true);
        assert_eq!((media.container.as_str(), media.size_bytes), ("hls", 0));
        assert_eq!(media.duration.map(|length| (length.seconds, length.nanos)), Some((90, 500_000_000)));
        assert!(media.streams[0].duration.is_some() && media.streams[1].duration.is_none());
        let media = described(false);
        assert_eq!((media.container.as_str(), media.size_bytes, media.duration), ("hls", 7, None));
    }
}
