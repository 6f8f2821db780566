//! Random films through the crate: every container, codec, rate, order of pictures, edit list, cut, clip and damage with every other. What comes
//! out is right by ffmpeg's decoders, or the failure is typed and true; nothing is green with less, nothing hangs. `MPS_SEED=n` runs one
//! seed, `MPS_LONG=1` besides a thousand fresh ones (`MPS_SEEDS` says another number); a seed that fails joins the list.

mod odd_corpus;
mod property_tools;

use std::{
    collections::BTreeSet,
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
const SEEDS: &[u64] = &[
    2,
    4,
    8,
    9,
    12,
    13,
    22_602_591,
    937_590_896,
    999_006_992,
    1_653_625_661,
    3_226_264_029,
    3_816_700_875,
    92_099_548,
    167_491_784,
    189_314_097,
    248_590_276,
    292_013_010,
    392_259_472,
    407_615_810,
    413_758_998,
    436_275_281,
    489_348_564,
    491_429_315,
    506_940_046,
    636_686_835,
    645_101_869,
    714_356_786,
    802_632_687,
    836_792_089,
    845_918_231,
    1_024_254_082,
    1_039_625_631,
    1_089_456_646,
    1_093_177_375,
    1_115_771_865,
    1_219_162_553,
    1_343_560_274,
    1_476_842_126,
    1_537_244_853,
    1_709_084_208,
    1_967_779_430,
    1_988_871_690,
    2_033_525_557,
    2_145_314_485,
    2_171_660_560,
    2_177_096_916,
    2_190_524_523,
    2_239_352_407,
    2_245_342_175,
    2_353_663_751,
    2_353_706_528,
    2_627_845_398,
    2_685_028_691,
    2_776_260_111,
    2_778_936_384,
    2_991_649_747,
    3_003_009_615,
    3_093_854_765,
    3_105_652_092,
    3_221_575_536,
    3_350_584_167,
    3_380_099_676,
    3_391_525_674,
    3_409_930_650,
    3_455_843_546,
    3_463_147_156,
    3_698_686_403,
    3_755_240_902,
    3_946_376_558,
    3_991_379_660,
    4_024_800_394,
    4_064_117_905,
    4_096_590_910,
    4_123_125_777,
    4_133_779_477,
    4_206_121_522,
    4_214_931_238,
    4_224_641_255,
];

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

#[test]
fn the_list_has_every_value_of_everything() {
    let of_list: BTreeSet<String> = SEEDS.iter().flat_map(|seed| Case::of(*seed).values()).collect();
    let of_many: BTreeSet<String> = (0..2000).flat_map(|seed| Case::of(seed).values()).collect();
    let lacking: Vec<_> = of_many.difference(&of_list).collect();
    assert!(lacking.is_empty(), "{lacking:?}");
}
