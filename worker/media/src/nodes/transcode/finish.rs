//! The file of a transcode behind its muxer: what that leaves out, the check, and what the output cannot say of its input.

use std::{path::Path, sync::atomic::Ordering::Relaxed, time::Duration};

use mps_proto::{
    rpc::Status,
    v1::{ErrorReason, MediaStream},
    worker::v1::{Failure, FileResult},
};

use super::{Audio, Checking, Made, Transcode, Video, container_rule, expect};
use crate::{
    check::check_output,
    failure,
    finish::{self, Kind, Movie, Track, Turn},
    outputs::{CHECK_DEADLINE, described},
    pass::{copy, file::Entered, mp3_header, output_path},
    probe::{self, InputFacts},
    rules::{sounds, turn},
};

/// A copy that begins before its clip by more than this is told of.
const NOTICED: Duration = Duration::from_millis(50);

/// Finishes, checks and describes the file. `scaled`: whether the picture was made larger.
pub fn made(job: &Transcode, entered: &Entered, checking: &Checking, scaled: bool) -> Result<Made, Failure> {
    let mut warnings = job.extras.warnings.clone();
    warnings.extend(unsaid(job, entered, checking.facts));
    Ok(Made {
        files: vec![file(job, entered, checking)?],
        enhancements: job.extras.report(scaled),
        warnings,
        ..Made::default()
    })
}

fn file(job: &Transcode, entered: &Entered, checking: &Checking) -> Result<FileResult, Failure> {
    let path = output_path(checking.folder, &job.output);
    let movie = movie(job, entered, checking.facts);
    let unwritable = |error: std::io::Error| {
        failure::node(
            ErrorReason::DiskFull,
            format!("the file could not be finished: {error}"),
            "give the worker more scratch space",
        )
    };
    finish::write(&path, &movie, container_rule(job.container)?.index_first, checking.tick).map_err(unwritable)?;
    if let Some(samples) = &entered.samples {
        mp3_header::write(&path, samples.load(Relaxed)).map_err(unwritable)?;
    }
    let mut media = check_output(
        &path,
        &expect::expectation(job, entered, checking.facts),
        CHECK_DEADLINE,
        checking.tick,
    )?;
    finish::settle(&path, &movie).map_err(unwritable)?;
    if movie.is_cut() {
        settled(&path, &mut media)?;
    }
    Ok(described(&job.output, &path, media, None))
}

/// Durations as they are once edit lists have cut the media.
fn settled(path: &Path, media: &mut mps_proto::v1::MediaInfo) -> Result<(), Failure> {
    let duration = probe::complete_by_index(path, media).map_err(|problem| {
        failure::node(
            ErrorReason::OutputCheckFailed,
            format!("the output did not pass its check: {problem}"),
            "the node is tried again; if it fails again, report it with the input",
        )
    })?;
    media.duration = duration.and_then(probe::to_proto);
    Ok(())
}

/// What the muxer does not write.
fn movie(job: &Transcode, entered: &Entered, facts: &InputFacts) -> Movie {
    let film = job.video.as_ref().map(|video| Track {
        kind: Kind::Film,
        enabled: true,
        title: String::new(),
        turn: if matches!(video, Video::Copy) {
            turn(facts)
        } else {
            Turn::default()
        },
        colours: entered.video_caps.get().and_then(colours),
        span: entered.video.as_ref().map(|video| video.end().saturating_sub(video.first())),
    });
    let titles = sound_titles(job, facts);
    let sound = titles.into_iter().enumerate().map(|(number, title)| Track {
        kind: Kind::Sound,
        enabled: number == 0,
        title,
        turn: Turn::default(),
        colours: None,
        span: None,
    });
    let text = job.extras.subtitles.iter().map(|text| Track {
        kind: Kind::Text,
        enabled: text.is_default,
        title: text.title.clone(),
        turn: Turn::default(),
        colours: None,
        span: None,
    });
    let is_cut = matches!(job.video, Some(Video::Copy)) && container_rule(job.container).is_ok_and(|rule| rule.index_first);
    Movie {
        tracks: film.into_iter().chain(sound).chain(text).collect(),
        lead: if is_cut { job.lead.key } else { Duration::ZERO },
        length: job.length.filter(|_| is_cut),
    }
}

/// Names of the output's tracks of sound: those of the input's, unless several become one.
pub fn sound_titles(job: &Transcode, facts: &InputFacts) -> Vec<String> {
    let Some(sound) = &job.sound else { return Vec::new() };
    let streams = sounds(facts);
    let title = |tracks: &Vec<usize>| match tracks.as_slice() {
        [only] if job.kept.tags => streams.get(*only).map(|stream| title_of(stream, facts)).unwrap_or_default(),
        _ => String::new(),
    };
    let outputs = match &sound.how {
        Audio::Copy => sound.tracks.iter().map(|track| vec![*track]).collect(),
        Audio::Encode(_) => sound.outputs(),
    };
    outputs.iter().map(title).collect()
}

fn title_of(stream: &MediaStream, facts: &InputFacts) -> String {
    facts.of_stream(stream.index).map(|told| told.title.clone()).unwrap_or_default()
}

/// Of AV1: its muxer of GStreamer 1.22 leaves them out.
fn colours(caps: &gst::Caps) -> Option<([u16; 3], bool)> {
    let structure = caps.structure(0).filter(|caps| caps.name() == "video/x-av1")?;
    let told: gst_video::VideoColorimetry = structure.get::<&str>("colorimetry").ok()?.parse().ok()?;
    let numbers = [told.primaries().to_iso(), told.transfer().to_iso(), told.matrix().to_iso()];
    let is_full = told.range() == gst_video::VideoColorRange::Range0_255;
    Some((numbers.map(|number| u16::try_from(number).unwrap_or(2)), is_full))
}

/// What a copy has, and its container cannot say.
fn unsaid(job: &Transcode, entered: &Entered, facts: &InputFacts) -> Vec<Status> {
    if !matches!(job.video, Some(Video::Copy)) {
        return Vec::new();
    }
    let late = late_picture(job, entered, facts);
    if container_rule(job.container).is_ok_and(|rule| rule.index_first) {
        return late.into_iter().collect();
    }
    let name = job.container.as_str_name().trim_start_matches("CONTAINER_");
    let warn = |message: String, hint: &str| failure::warning(ErrorReason::Unsupported, message, &[("hint", hint.to_owned())]);
    let mut warnings = Vec::new();
    if !turn(facts).is_none() {
        warnings.push(warn(turned(name), "encode the picture, or choose MP4 or MOV"));
    }
    let hint = "encode the picture, or choose MP4 or MOV, which can hide what is before the start";
    warnings.extend(begins_early(job.clip.start, job.lead, hint));
    warnings.extend(late);
    warnings
}

/// What is said of a copy that begins before its clip, and whose container cannot hide that.
pub fn begins_early(start: Duration, lead: copy::Lead, hint: &str) -> Option<Status> {
    let lead = lead.whole();
    let begins = if lead < start + Duration::from_millis(1) {
        format!("at {:.3} s of the input", start.saturating_sub(lead).as_secs_f64())
    } else {
        "in front of what the input shows".to_owned()
    };
    let message = format!(
        "the copy begins with the key frame {begins}, {:.3} s before its start",
        lead.as_secs_f64()
    );
    let warning = || failure::warning(ErrorReason::Unsupported, message, &[("hint", hint.to_owned())]);
    (lead > NOTICED).then(warning)
}

/// What is said of a copy into something that cannot turn pictures.
pub fn turned(name: &str) -> String {
    format!("the picture is turned or mirrored for display, which {name} cannot say: players show it as it was recorded")
}

/// A copy whose first pictures had no key frame.
fn late_picture(job: &Transcode, entered: &Entered, facts: &InputFacts) -> Option<Status> {
    let late = entered.video.as_ref()?.first();
    let sound = entered.sound.iter().map(|sound| sound.first()).min()?;
    let first = |kind: &str| {
        let of_kind = facts
            .media
            .streams
            .iter()
            .zip(&facts.streams)
            .filter(|(stream, _)| stream.kind == kind);
        of_kind.filter_map(|(_, told)| told.first).min()
    };
    let of_input = first("video")?.saturating_sub(first("audio")?);
    let is_late = job.lead.whole().is_zero() && late > sound + of_input + NOTICED;
    is_late.then(|| {
        failure::warning(
            ErrorReason::Unsupported,
            format!(
                "the picture begins {:.3} s after the sound, with the first key frame",
                (late - sound).as_secs_f64()
            ),
            &[("hint", "encode the picture instead of copying it".to_owned())],
        )
    })
}
