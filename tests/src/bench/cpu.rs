//! CPU seconds of processes, their ended children included.

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use crate::Stack;

/// Clock ticks per second in /proc; fixed on Linux.
const TICKS: f64 = 100.0;

/// User and system seconds of a process and of those of its children that were waited for.
pub fn of_process(pid: i32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let Some((_, rest)) = stat.rsplit_once(") ") else { return 0.0 };
    let fields: Vec<f64> = rest.split(' ').filter_map(|field| field.parse().ok()).collect();
    // After pid, name and state (which is no number): utime is field 14 of the line, cstime field 17.
    fields.iter().skip(10).take(4).sum::<f64>() / TICKS
}

/// CPU seconds of a whole stack so far.
pub fn of_stack(stack: &Stack) -> f64 {
    let processes = stack.redis.iter().chain(&stack.server).chain(&stack.workers);
    processes.map(|process| of_process(process.pid().as_raw())).sum()
}

/// CPU and wall seconds of commands that run one after the other.
pub fn of_commands(commands: &[Vec<String>], folder: &Path) -> (f64, f64) {
    let before = children();
    let start = Instant::now();
    for command in commands {
        let status = Command::new(&command[0]).args(&command[1..]).current_dir(folder).status();
        assert!(status.is_ok_and(|status| status.success()), "{command:?}");
    }
    (children() - before, start.elapsed().as_secs_f64())
}

/// CPU seconds of this process's ended children.
fn children() -> f64 {
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_CHILDREN).expect("usage of children is known");
    let seconds = |time: nix::sys::time::TimeVal| Duration::new(time.tv_sec() as u64, time.tv_usec() as u32 * 1000).as_secs_f64();
    seconds(usage.user_time()) + seconds(usage.system_time())
}

/// Resident memory in MB (10⁶ bytes).
pub fn resident_mb(pid: i32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or(0.0) * 1024.0 / 1e6
}
