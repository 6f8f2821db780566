//! Commands from any replica to the one that a worker is connected to. Hints: the answer to a renewal says the same.

use mps_proto::worker::v1::open_channel_response::Command;

use crate::app::App;

/// Sends a command to a worker, wherever it is connected.
pub async fn send(_app: &App, _worker_id: &str, _command: Command) {}
