//! Sound through whole passes: every sample that ffmpeg decodes of an output is looked at.

#[path = "../pass_tools/mod.rs"]
mod pass_tools;
#[path = "../transcode_tools/mod.rs"]
mod transcode_tools;

mod channels;
mod containers;
mod gaps;
mod length;
mod settings;
mod tags;
mod tools;
mod tracks;
