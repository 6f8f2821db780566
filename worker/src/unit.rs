//! The child: reads its order, runs the pass, reports. The only part of the worker that calls GStreamer.

/// Life of the child process; gives its exit code.
pub fn run() -> i32 {
    70
}
