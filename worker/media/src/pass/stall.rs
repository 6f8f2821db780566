//! Finds a pass that does not move: what hangs reports no error. Movement is media that passes a point, or more of the input read. Where
//! neither comes, it matters what the process does meanwhile: an encoder that thinks about a picture for long computes, and a slow disk
//! is waited for; a pass in which every thread sleeps waits for something that never comes.

use std::{
    fs,
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

use super::counters::Counters;

/// A pass whose threads all sleep for so long has stalled.
const ASLEEP: Duration = Duration::from_secs(10);
/// One that computes, or waits for the disk, without anything coming of it.
const FRUITLESS: Duration = Duration::from_secs(90);
/// How often threads are looked at, once nothing moves.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// A longer time between two looks was spent by others: the process was stopped, or had no processor.
const LONGEST_STEP: Duration = Duration::from_millis(500);

/// Looks at a pass while it runs.
pub struct Watch<'a> {
    counters: &'a Counters,
    moved: (u64, u64),
    looked: Instant,
    /// Time without movement, and the part of it in which every thread slept.
    still: Duration,
    asleep: Duration,
}

impl<'a> Watch<'a> {
    pub fn new(counters: &'a Counters) -> Self {
        Self {
            counters,
            moved: movement(counters),
            looked: Instant::now(),
            still: Duration::ZERO,
            asleep: Duration::ZERO,
        }
    }

    /// Whether the pass has stalled; to be asked several times a second.
    pub fn has_stalled(&mut self) -> bool {
        let passed = self.looked.elapsed();
        if passed < LOOK_EVERY {
            return false;
        }
        self.looked = Instant::now();
        let step = passed.min(LONGEST_STEP);
        let moved = movement(self.counters);
        if moved != self.moved || self.counters.outside.load(Relaxed) > 0 {
            *self = Self {
                moved,
                ..Self::new(self.counters)
            };
            return false;
        }
        self.still += step;
        if !is_active() {
            self.asleep += step;
        }
        self.asleep >= ASLEEP || self.still >= FRUITLESS
    }
}

fn movement(counters: &Counters) -> (u64, u64) {
    (counters.ticks.load(Relaxed), counters.read_to.load(Relaxed))
}

/// Whether a thread of this process other than the one that asks runs, wants to run, or waits for the disk.
fn is_active() -> bool {
    let own = fs::read_link("/proc/thread-self").ok();
    let own = own.as_deref().and_then(|path| path.file_name());
    let Ok(threads) = fs::read_dir("/proc/self/task") else {
        return true;
    };
    let others = threads.flatten().filter(|thread| Some(thread.file_name().as_os_str()) != own);
    let states = others.filter_map(|thread| fs::read_to_string(thread.path().join("stat")).ok());
    states.map(|stat| state(&stat)).any(|state| matches!(state, Some('R' | 'D')))
}

/// The state in a line of `stat`: behind the name, which may hold anything.
fn state(stat: &str) -> Option<char> {
    stat.rsplit_once(") ")?.1.chars().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks as often as needed until so much time has passed in steps.
    fn after(watch: &mut Watch, time: Duration) -> bool {
        let steps = time.as_millis() / LONGEST_STEP.as_millis();
        (0..steps).any(|_| {
            watch.looked = Instant::now() - LONGEST_STEP;
            watch.has_stalled()
        })
    }

    #[test]
    fn state_of_a_thread_is_read_behind_its_name() {
        assert_eq!(state("12 (a) R) S 1 12"), Some('S'));
        assert_eq!(state("12 (qtdemux0:sink) D 1"), Some('D'));
        assert_eq!(state(""), None);
    }

    #[test]
    fn what_computes_is_waited_for_and_what_sleeps_is_not() {
        let counters = Counters::default();
        let mut watch = Watch::new(&counters);
        let ends = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !ends.load(Relaxed) {
                    std::hint::spin_loop();
                }
            });
            assert!(!after(&mut watch, FRUITLESS - LONGEST_STEP));
            counters.tick();
            assert!(!after(&mut watch, LONGEST_STEP));
            assert!(after(&mut watch, FRUITLESS));
            ends.store(true, Relaxed);
        });
    }

    /// Other tests compute meanwhile: this one has a process of its own.
    #[test]
    fn a_process_whose_threads_all_sleep_has_stalled() {
        let name = "pass::stall::tests::asleep";
        let alone = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", name, "--test-threads", "1"])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&alone.stdout);
        assert!(alone.status.success() && said.contains("1 passed"), "{said}");
    }

    #[test]
    #[ignore = "run by the test above"]
    fn asleep() {
        let counters = Counters::default();
        let mut watch = Watch::new(&counters);
        // The harness goes to sleep when it has started this thread, which a busy machine may put off.
        let deadline = Instant::now() + Duration::from_secs(60);
        while is_active() && Instant::now() < deadline {
            std::thread::yield_now();
        }
        assert!(!after(&mut watch, ASLEEP - LONGEST_STEP));
        assert!(after(&mut watch, ASLEEP));
    }

    #[test]
    fn reading_and_waiting_for_others_are_movement() {
        let counters = Counters::default();
        let mut watch = Watch::new(&counters);
        counters.outside(|| assert!(!after(&mut watch, FRUITLESS * 2)));
        for read in 1..FRUITLESS.as_secs() * 4 {
            counters.read_to.store(read, Relaxed);
            assert!(!after(&mut watch, LONGEST_STEP));
        }
    }

    #[test]
    fn time_in_which_the_process_was_stopped_does_not_count() {
        let counters = Counters::default();
        let mut watch = Watch::new(&counters);
        watch.looked = Instant::now().checked_sub(FRUITLESS * 10).unwrap_or_else(Instant::now);
        assert!(!watch.has_stalled());
    }
}
