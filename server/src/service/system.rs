//! SystemService: what this installation can do.

use mps_proto::v1::{self, AudioCodec, VideoCodec};

use super::workers;
use crate::{app::App, error::ApiError};

pub async fn server_info(app: &App) -> Result<v1::GetServerInfoResponse, ApiError> {
    let limits = &app.config.limits;
    Ok(v1::GetServerInfoResponse {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        node_kinds: mps_plan::node_kinds(),
        video_codecs: names(
            |number| VideoCodec::try_from(number).ok().map(|codec| codec.as_str_name()),
            "VIDEO_CODEC_",
        ),
        audio_codecs: names(
            |number| AudioCodec::try_from(number).ok().map(|codec| codec.as_str_name()),
            "AUDIO_CODEC_",
        ),
        pools: workers::pools(app).await?,
        limits: Some(v1::Limits {
            max_nodes: limits.max_nodes,
            max_page_size: limits.max_page_size,
            max_request_bytes: i64::try_from(limits.max_request_bytes).unwrap_or(i64::MAX),
            max_watches: i32::try_from(limits.max_watches).unwrap_or(i32::MAX),
            max_input_pixels: limits.max_input_pixels,
            max_input_duration: prost_types::Duration::try_from(limits.max_input_duration).ok(),
        }),
    })
}

/// Names of an enum of the contract from 1 on, such as "h264".
fn names(name: impl Fn(i32) -> Option<&'static str>, prefix: &str) -> Vec<String> {
    (1..)
        .map_while(name)
        .map(|name| name.trim_start_matches(prefix).to_ascii_lowercase())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codecs_are_those_of_the_contract() {
        let found = names(
            |number| VideoCodec::try_from(number).ok().map(|codec| codec.as_str_name()),
            "VIDEO_CODEC_",
        );
        assert_eq!(found, ["h264", "h265", "copy", "av1", "vp8", "vp9", "mpeg2"]);
    }
}
