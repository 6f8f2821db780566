//! What this machine has: how many units it can carry at a time.

use std::path::{Path, PathBuf};

/// Memory that a unit may need: an encoder of film in 4K takes that much.
const BYTES_PER_SLOT: u64 = 3 << 29;
/// Where Linux shows control groups (version 2).
const CONTROL_GROUPS: &str = "/sys/fs/cgroup";

/// Slots where none are configured.
pub fn default_slots() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    slots(processors, memory_bytes())
}

/// Half the processors, but two on a machine that has them, so that a short task does not wait behind a long one; no more than memory
/// allows, and at least one.
fn slots(processors: usize, memory_bytes: Option<u64>) -> usize {
    let by_processors = processors.min(2).max(processors / 2);
    let by_memory = memory_bytes.map_or(usize::MAX, |bytes| usize::try_from(bytes / BYTES_PER_SLOT).unwrap_or(usize::MAX));
    by_processors.min(by_memory).max(1)
}

/// Memory that this process may use: the machine's, or less where a control group says so. `None` when it cannot be read.
fn memory_bytes() -> Option<u64> {
    let of_machine = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| total(&text));
    let own_group = std::fs::read_to_string("/proc/self/cgroup").ok().and_then(|text| group(&text));
    let groups = own_group.iter().flat_map(|path| path.ancestors());
    let limits = groups.filter_map(|group| std::fs::read_to_string(group.join("memory.max")).ok()?.trim().parse().ok());
    of_machine.into_iter().chain(limits).min()
}

/// `MemTotal:       16303428 kB`
fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

/// `0::/system.slice/mps.service` as a folder.
fn group(cgroup: &str) -> Option<PathBuf> {
    let path = cgroup.lines().find_map(|line| line.strip_prefix("0::/"))?;
    Some(Path::new(CONTROL_GROUPS).join(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_processors_carry_two_units_where_memory_allows() {
        let gib = |count: u64| Some(count << 30);
        let cases = [
            (1, gib(64), 1),
            (2, gib(8), 2),
            (2, gib(2), 1),
            (3, gib(8), 2),
            (4, gib(8), 2),
            (16, gib(64), 8),
            (16, gib(6), 4),
            (64, Some(1), 1),
            (2, None, 2),
        ];
        for (processors, memory, expected) in cases {
            assert_eq!(slots(processors, memory), expected, "{processors} processors, {memory:?} bytes");
        }
    }

    #[test]
    fn memory_and_group_are_read_as_linux_writes_them() {
        assert_eq!(total("MemTotal:       16303428 kB\nMemFree: 1 kB\n"), Some(16_303_428 * 1024));
        assert_eq!(group("0::/\n"), Some(PathBuf::from("/sys/fs/cgroup/")));
        assert_eq!(
            group("0::/system.slice/mps.service\n"),
            Some(PathBuf::from("/sys/fs/cgroup/system.slice/mps.service"))
        );
        assert_eq!(group("1:cpu:/\n"), None);
        assert!(memory_bytes().is_some_and(|bytes| bytes > 1 << 20));
    }
}
