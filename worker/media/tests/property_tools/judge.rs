//! Compares what came out of a case with what must come out.

use std::path::Path;

use mps_proto::{
    v1::ErrorReason,
    worker::v1::{ChildResult, Failure},
};

use super::{
    case::{Case, Harm},
    expect::{self, Expected, STAMP},
    make,
    measure::{self, Decoded, LOOK_RATE},
    run,
};
use crate::odd_corpus::process;

/// Sound and picture may be further apart than in the film by this much, in seconds.
const SYNC_LIMIT: f64 = 0.005;
const LEAST_LIKENESS: f64 = 0.95;
const MOST_COLOUR_DISTANCE: f64 = 2.0;
/// A packet of sound, in seconds: what encoders add at both ends.
const PACKET: f64 = 0.06;
/// Every so many pictures are looked at whole.
const LOOKED_AT: usize = 5;

/// Everything that is wrong with a case.
pub fn faults(case: &Case) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let path = make::film(case, folder);
    let mut film = measure::decode(&path, folder);
    expect::settle(case, &mut film);
    if let Ok(kept) = std::env::var("KEEP") {
        std::fs::copy(&path, format!("{kept}/{}.{}", case.seed, case.container)).unwrap();
    }
    let result = run::carry_out(case, &path, folder);
    let mut faults = Vec::new();
    match run::file(&result, run::FILM) {
        Err(failure) => faults.extend(untrue(case, &film, &failure)),
        Ok(file) => {
            if let Ok(kept) = std::env::var("KEEP") {
                std::fs::copy(&file, format!("{kept}/{}-out.{}", case.seed, case.wanted.container)).unwrap();
            }
            let mut made = measure::decode(&file, folder);
            expect::leave_part_out(case, &film, &mut made);
            let warnings = run::warnings(&result, run::FILM);
            faults.extend(of_film(case, &film, &made, &warnings));
        }
    }
    if matches!(case.harm, Harm::Unharmed) {
        faults.extend([run::FILM, run::PICTURE].into_iter().filter_map(|key| of_warnings(&result, key)));
    }
    if case.snapshot.is_some() {
        match run::file(&result, run::PICTURE) {
            Err(failure) => faults.extend(untrue(case, &film, &failure).map(|fault| format!("snapshot: {fault}"))),
            Ok(file) => faults.extend(of_snapshot(case, &film, &file, folder)),
        }
    }
    faults
}

/// A failure that the case does not give a reason for.
fn untrue(case: &Case, film: &Decoded, failure: &Failure) -> Option<String> {
    process::is_typed(&case.seed.to_string(), failure);
    let status = failure.status.as_ref()?;
    let reason = run::reason(status);
    let is_true = reason.is_some_and(|reason| expect::true_reasons(case, film).contains(&reason));
    (!is_true).then(|| format!("failed: {reason:?} {}", status.message))
}

/// Nothing is damaged or missing in a film that nobody harmed.
fn of_warnings(result: &ChildResult, key: &str) -> Option<String> {
    let warnings = run::warnings(result, key);
    let is_untrue = |reason: &&ErrorReason| matches!(reason, ErrorReason::InputDamaged | ErrorReason::InputTruncated);
    let untrue = warnings.iter().find(is_untrue)?;
    Some(format!("{key}: warns of {untrue:?}, and the film is whole"))
}

fn of_film(case: &Case, film: &Decoded, made: &Decoded, warnings: &[ErrorReason]) -> Vec<String> {
    if let Harm::Flips(_) = case.harm {
        return of_damaged(case, film, made, warnings.contains(&ErrorReason::InputDamaged));
    }
    let expected = expect::expected(case, film);
    let mut faults = of_promise(case, film);
    if made.errors.len() > film.errors.len() {
        faults.push(format!("ffmpeg reports {:?}", made.errors.first()));
    }
    let pairs = pairs(film, made);
    faults.extend(of_numbers(case, &expected, film, made));
    if pairs.is_empty() {
        faults.push("none of the film's pictures is shown".into());
        return faults;
    }
    let shift = middle(
        pairs
            .iter()
            .map(|(of_film, of_made)| made.pictures[*of_made].time - film.pictures[*of_film].time),
    );
    faults.extend(of_times(case, film, made, &pairs, shift));
    // What its container cannot say is told instead.
    let lies = case.is_copy() && warnings.contains(&ErrorReason::Unsupported);
    if !(lies && expect::cannot_turn(case)) {
        faults.extend(of_looks(film, made, &pairs));
    }
    if case.audio.is_some() {
        faults.extend(of_sound(case, &expected, film, made, shift));
    }
    faults.extend(of_length(case, &expected, film, made));
    faults
}

/// A film that is cut must not pass for a whole one.
fn of_promise(case: &Case, film: &Decoded) -> Vec<String> {
    let promised = case.time(case.pictures);
    let wanted = case.clip.map_or(promised, |(_, end)| (f64::from(end) / 1000.0).min(promised));
    let has = film.pictures.last().map_or(0.0, |last| last.time + film.last_step() - film.zero());
    if expect::is_short(case) && has < wanted * 0.98 - 0.15 - film.last_step() {
        return vec![format!("passes with {has:.2} s of {wanted:.2} s")];
    }
    Vec::new()
}

/// Places of pictures with the same number in both.
fn pairs(film: &Decoded, made: &Decoded) -> Vec<(usize, usize)> {
    let found = made.pictures.iter().enumerate().filter_map(|(place, picture)| {
        let number = picture.number?;
        Some((film.pictures.iter().position(|other| other.number == Some(number))?, place))
    });
    found.collect()
}

fn numbers(of: &Decoded) -> Vec<Option<u32>> {
    of.pictures.iter().map(|picture| picture.number).collect()
}

/// Which pictures are there.
fn of_numbers(case: &Case, expected: &Expected, film: &Decoded, made: &Decoded) -> Option<String> {
    let (all, found) = (numbers(film), numbers(made));
    let range = expected.pictures.clone();
    let at = all.iter().position(|number| Some(number) == found.first());
    let alike = at.map_or(0, |at| all[at..].iter().zip(&found).take_while(|(one, other)| one == other).count());
    let end = at.unwrap_or(0) + alike;
    let near = |one: usize, other: usize| one.abs_diff(other) <= expected.slack;
    let begins = at.is_some_and(|at| near(at, range.start) || expect::may_begin_before(case) && at < range.start);
    // Behind a copy's end stand pictures that others refer to.
    let ends = near(end, range.end) || expect::may_end_behind(case) && end > range.end;
    let goes_on =
        alike == found.len() || expect::may_end_behind(case) || matches!(case.harm, Harm::Cut(_)) && found.len() - alike <= expected.slack;
    (!(goes_on && begins && ends)).then(|| {
        format!(
            "shows {} pictures {}, expected {} of {} {}",
            found.len(),
            told(&found),
            range.len(),
            all.len(),
            told(&all[range])
        )
    })
}

/// Numbers in short: runs of those that follow each other.
fn told(numbers: &[Option<u32>]) -> String {
    let mut runs: Vec<(Option<u32>, Option<u32>)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((_, last)) if number.is_some() && *number == last.map(|last| last + 1) => *last = *number,
            _ => runs.push((*number, *number)),
        }
    }
    let text = |number: Option<u32>| number.map_or("?".to_owned(), |number| number.to_string());
    let run = |(first, last): (Option<u32>, Option<u32>)| {
        if first == last {
            text(first)
        } else {
            format!("{}-{}", text(first), text(last))
        }
    };
    runs.into_iter().map(run).collect::<Vec<_>>().join(" ")
}

/// Pictures keep their distances, but for those that a clip cuts.
fn of_times(case: &Case, film: &Decoded, made: &Decoded, pairs: &[(usize, usize)], shift: f64) -> Option<String> {
    let skipped = usize::from(case.clip.is_some());
    let inner = pairs.iter().skip(skipped);
    let off = |(of_film, of_made): &(usize, usize)| made.pictures[*of_made].time - film.pictures[*of_film].time - shift;
    let limit = expect::stamp_error(case);
    let is_off = |pair: &&(usize, usize)| off(pair).abs() > if pair.1 == 0 { limit.max(expect::PRIMING) } else { limit };
    let (first, count) = (inner.clone().find(is_off)?, inner.filter(is_off).count());
    let number = film.pictures[first.0].number.unwrap_or_default();
    Some(format!(
        "{count} of {} pictures stand elsewhere, number {number} {:.1} ms late",
        pairs.len(),
        off(first) * 1000.0
    ))
}

/// What pictures look like.
fn of_looks(film: &Decoded, made: &Decoded, pairs: &[(usize, usize)]) -> Vec<String> {
    if film.size != made.size {
        return vec![format!("pictures are {:?}, expected {:?}", made.size, film.size)];
    }
    let (mut worst, mut furthest) = (1.0f64, 0.0f64);
    for (of_film, of_made) in pairs.iter().step_by(LOOKED_AT) {
        let (one, other) = (&film.pictures[*of_film].rgb, &made.pictures[*of_made].rgb);
        worst = worst.min(measure::likeness(one, other, film.size));
        furthest = furthest.max(measure::colour_distance(one, other, film.size));
    }
    let mut faults = Vec::new();
    if worst < LEAST_LIKENESS {
        faults.push(format!("SSIM {worst:.3}"));
    }
    if furthest > MOST_COLOUR_DISTANCE {
        faults.push(format!("colours are {furthest:.1} apart"));
    }
    faults
}

/// Sound of the clip is there, in time with the pictures.
fn of_sound(case: &Case, expected: &Expected, film: &Decoded, made: &Decoded, shift: f64) -> Vec<String> {
    let zero = film.zero();
    // By the film's clock.
    let from = (zero + expected.from).max(film.sound_from);
    let until = (zero + expected.until).min(film.sound_end());
    if until - from < 0.25 {
        return Vec::new();
    }
    if made.sound.is_empty() {
        return vec!["there is no sound".into()];
    }
    let look = |from: f64, seconds: f64| -> Vec<f32> { piece(film, from, seconds) };
    let (start, seconds) = (from + PACKET, (until - from - 2.0 * PACKET).min(1.0));
    let sample = look(start, seconds);
    let (lag, likeness) = best_lag(&sample, made, start + shift);
    if likeness < 0.8 {
        return vec![format!("sound is not that of the film: {likeness:.2}")];
    }
    let mut faults = Vec::new();
    if lag.abs() > SYNC_LIMIT + expect::sync_error(case) {
        faults.push(format!("sound is {:.1} ms late", lag * 1000.0));
    }
    let mut at = from + PACKET;
    while at + 0.05 < until - PACKET {
        let (wanted, found) = (look(at, 0.05), piece(made, at + shift + lag, 0.05));
        if likeness_of(&wanted, &found) < 0.6 {
            faults.push(format!("sound is missing at {:.2} s of the film", at - zero));
            break;
        }
        at += 0.05;
    }
    let last = made.sound.iter().rposition(|sample| sample.abs() > 0.1).unwrap_or(0);
    let last = made.sound_from + last as f64 / LOOK_RATE as f64 - shift;
    if last > until + PACKET && !expect::may_end_behind(case) {
        faults.push(format!("sound goes on for {:.2} s", last - until));
    }
    faults
}

/// Samples from a time on; silence where there are none.
fn piece(of: &Decoded, from: f64, seconds: f64) -> Vec<f32> {
    let first = ((from - of.sound_from) * LOOK_RATE as f64).round() as i64;
    let count = (seconds * LOOK_RATE as f64) as i64;
    let sample = |at: i64| usize::try_from(at).ok().and_then(|at| of.sound.get(at).copied()).unwrap_or(0.0);
    (first..first + count).map(sample).collect()
}

/// By how much later than `expected` a sample is heard, in seconds, and how like it that is.
fn best_lag(sample: &[f32], made: &Decoded, expected: f64) -> (f64, f64) {
    const MOST: i64 = 800;
    let reach = MOST as f64 / LOOK_RATE as f64;
    let around = piece(made, expected - reach, sample.len() as f64 / LOOK_RATE as f64 + 2.0 * reach + 0.01);
    let at = |lag: i64| &around[(lag + MOST) as usize..(lag + MOST) as usize + sample.len()];
    let product = |lag: &i64| sample.iter().zip(at(*lag)).map(|(one, other)| one * other).sum::<f32>();
    let best = (-MOST..=MOST)
        .map(|lag| (product(&lag), lag))
        .max_by(|one, other| one.0.total_cmp(&other.0));
    let best = best.map_or(0, |(_, lag)| lag);
    (best as f64 / LOOK_RATE as f64, likeness_of(sample, at(best)))
}

fn likeness_of(one: &[f32], other: &[f32]) -> f64 {
    let power = |of: &[f32]| of.iter().map(|value| f64::from(value * value)).sum::<f64>();
    let product: f64 = one.iter().zip(other).map(|(one, other)| f64::from(one * other)).sum();
    product / (power(one) * power(other)).sqrt().max(1e-9)
}

/// The container tells how long it is.
fn of_length(case: &Case, expected: &Expected, film: &Decoded, made: &Decoded) -> Option<String> {
    if expect::may_begin_before(case) || expect::may_end_behind(case) {
        return None;
    }
    let wanted = expected.until - expected.from;
    let step = film.last_step().max(case.step());
    let told = made.told?;
    let lasts = made.lasts();
    let is_off = |found: f64| (found - wanted).abs() > step * (1 + expected.slack) as f64 + PACKET / 2.0 + 0.005;
    (is_off(told) || is_off(lasts)).then(|| format!("lasts {lasts:.3} s and says {told:.3} s, expected {wanted:.3} s"))
}

/// A film with flipped bits gives about what ffmpeg gives, and says so.
fn of_damaged(case: &Case, film: &Decoded, made: &Decoded, warned: bool) -> Vec<String> {
    let mut faults = Vec::new();
    let expected = expect::expected(case, film);
    let (wanted, found) = (expected.pictures.len(), made.pictures.len());
    let slack = (wanted as f64 * 0.05).max(1.0) as usize + 2 * expected.slack;
    let more_is_right = expect::may_begin_before(case) || expect::may_end_behind(case);
    if found + slack < wanted || !more_is_right && found > wanted + slack {
        faults.push(format!("{found} pictures, ffmpeg shows {wanted} of the damaged film"));
    }
    if !film.errors.is_empty() && !warned && !case.is_copy() && case.clip.is_none() {
        faults.push(format!(
            "no word of the damage, of which ffmpeg reports {} errors",
            film.errors.len()
        ));
    }
    faults
}

fn of_snapshot(case: &Case, film: &Decoded, file: &Path, folder: &Path) -> Option<String> {
    let offset = f64::from(case.snapshot?) / 1000.0;
    let made = measure::decode(file, folder);
    if matches!(case.harm, Harm::Flips(_)) {
        let is_good = made.pictures.len() == 1 && made.errors.is_empty();
        return (!is_good).then(|| format!("the snapshot does not decode: {:?}", made.errors));
    }
    let found = made.pictures.first().and_then(|picture| picture.number);
    let shown = |at: f64| film.pictures.iter().rfind(|picture| picture.time <= at).or(film.pictures.first());
    let zero = film.zero();
    let first = film.pictures.first().map_or(zero, |first| first.time).min(zero + expect::PRIMING);
    let times = [zero - STAMP, zero + STAMP, first - STAMP, first + STAMP].map(|zero| zero + offset);
    let wanted: Vec<Option<u32>> = times.iter().filter_map(|at| Some(shown(*at)?.number)).collect();
    (found.is_none() || !wanted.contains(&found)).then(|| format!("snapshot shows {found:?}, expected {wanted:?}"))
}

fn middle(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
