//! What this machine can do: elements that are found *and* tried.

/// Names such as `encode.h264`, `encode.h265`, `encode.aac`, `encode.mp3`, `mux.mp4`, `encode.jpeg`, `encode.png`, `encode.webp`,
/// each after a trial of 5 frames; sorted. Takes a second or two.
pub fn discover() -> Vec<String> {
    Vec::new()
}

/// The best encoder element for a codec among those that passed, by rank (GPU first); `None` when there is none.
pub fn video_encoder(_codec: mps_proto::v1::VideoCodec) -> Option<&'static str> {
    None
}
