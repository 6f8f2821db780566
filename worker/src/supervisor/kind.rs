//! The two kinds of slots: for units of tasks, and for probes, whose callers wait.

use std::time::Duration;

use mps_proto::worker::v1::LeaseScope;
use mps_queue::WorkStream;

use super::{
    Worker,
    board::{Beat, Board},
};

/// How often the server is asked where no wake-up came.
const ASK_EVERY: Duration = Duration::from_secs(2);
/// The same for probes where nothing wakes the worker: somebody waits.
const ASK_FOR_PROBES_EVERY: Duration = Duration::from_millis(500);

/// What a loop takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Tasks,
    Probes,
}

impl Kind {
    /// What the server is asked for.
    pub fn scope(self) -> LeaseScope {
        match self {
            Self::Tasks => LeaseScope::Tasks,
            Self::Probes => LeaseScope::Probes,
        }
    }

    pub fn slots(self, worker: &Worker) -> usize {
        match self {
            Self::Tasks => worker.config.slots,
            Self::Probes => worker.config.probe.slots,
        }
    }

    /// How long a wake-up is waited for. `is_woken`: whether any can come.
    pub fn ask_every(self, is_woken: bool) -> Duration {
        match self {
            Self::Probes if !is_woken => ASK_FOR_PROBES_EVERY,
            Self::Tasks | Self::Probes => ASK_EVERY,
        }
    }

    /// The loop's sign of life.
    pub fn beat(self, board: &Board) -> &Beat {
        match self {
            Self::Tasks => &board.loop_beat,
            Self::Probes => &board.probe_loop_beat,
        }
    }

    pub fn wake_ups(self, worker: &Worker) -> Option<WorkStream> {
        let (url, pool, id) = (worker.config.redis_url.expose(), &worker.config.pool, &worker.board.worker_id);
        let connect = match self {
            Self::Tasks => WorkStream::connect,
            Self::Probes => WorkStream::of_probes,
        };
        (!url.is_empty()).then(|| connect(url, pool, id))
    }
}
