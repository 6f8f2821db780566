//! Random films through the crate: every container, codec, rate, order of pictures, edit list, cut, clip and damage with every other. What comes
//! out is right by ffmpeg's decoders, or the failure is typed and true; nothing is green with less, nothing hangs. `MPS_SEED=n` runs one
//! seed, `MPS_LONG=1` besides a thousand fresh ones (`MPS_SEEDS` says another number); a seed that fails joins the list.

mod odd_corpus;
mod property_tools;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use odd_corpus::process;
use property_tools::{
    case::{Case, Dice},
    judge,
};

const THREADS: usize = 2;
const FRESH: usize = 1000;

/// Among them every value of everything that a case has, and what has failed.
const SEEDS: &[u64] = &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 15, 16, 17, 18, 19, 20, 21];

/// Carries out orders for the other tests.
#[test]
#[ignore = "started by the other tests"]
fn carry_out_an_order() {
    process::carry_out_what_is_asked();
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn seeds() -> Vec<u64> {
    if let Some(seed) = number("MPS_SEED") {
        return vec![seed];
    }
    let fresh = match std::env::var_os("MPS_LONG") {
        Some(_) => number("MPS_SEEDS").map_or(FRESH, |count| count as usize),
        None => 0,
    };
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
    let mut dice = Dice::new(number("MPS_FROM").unwrap_or(now));
    let fresh: Vec<u64> = (0..fresh).map(|_| dice.next() >> 32).collect();
    if !fresh.is_empty() {
        println!("fresh seeds: {fresh:?}");
    }
    SEEDS.iter().copied().chain(fresh).collect()
}

/// What is wrong with a case; a panic is a fault like any other.
fn faults(case: &Case) -> Vec<String> {
    catch_unwind(AssertUnwindSafe(|| judge::faults(case))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        vec![text.unwrap_or_default()]
    })
}

#[test]
fn random_films_come_out_right_or_fail_with_a_true_reason() {
    let (seeds, next, wrong) = (seeds(), AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(seed) = seeds.get(next.fetch_add(1, Relaxed)) {
                    let case = Case::of(*seed);
                    let faults = faults(&case);
                    if !faults.is_empty() {
                        let text = format!("{}\n  {case:?}", faults.join("; "));
                        println!("MPS_SEED={seed}: {text}");
                        wrong.lock().unwrap().push(format!("MPS_SEED={seed}: {text}"));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), seeds.len(), wrong.join("\n"));
}
