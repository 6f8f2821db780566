//! Metrics that are read when somebody asks.

use std::sync::LazyLock;

use prometheus::IntGauge;

use crate::app::App;

static WATCHES: LazyLock<Option<IntGauge>> = LazyLock::new(|| gauge("mps_watches_open", "Open watches of this server."));
static LOST_HINTS: LazyLock<Option<IntGauge>> =
    LazyLock::new(|| gauge("mps_redis_hints_lost", "Hints that did not reach Redis since the start."));
static RESIDENT_BYTES: LazyLock<Option<IntGauge>> = LazyLock::new(|| gauge("process_resident_memory_bytes", "Resident memory."));

/// Page size of every platform that we build for.
const PAGE_BYTES: i64 = 4096;

fn gauge(name: &str, help: &str) -> Option<IntGauge> {
    crate::grpc::layers::metrics::registered(IntGauge::new(name, help))
}

pub(super) fn refresh(app: &App) {
    set(&WATCHES, app.hub.open_watches() as i64);
    set(&LOST_HINTS, i64::try_from(app.queue.failures()).unwrap_or(i64::MAX));
    if let Some(pages) = resident_pages() {
        set(&RESIDENT_BYTES, pages * PAGE_BYTES);
    }
}

fn set(gauge: &Option<IntGauge>, value: i64) {
    if let Some(gauge) = gauge {
        gauge.set(value);
    }
}

/// Only on Linux.
fn resident_pages() -> Option<i64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    statm.split_whitespace().nth(1)?.parse().ok()
}
