//! Adaptive streams while they grow: what players may read meanwhile, and what remains when workers die and tasks are cancelled.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Mutex,
    time::{Duration, Instant},
};

use futures::StreamExt;
use mps_client::{WatchEvent, WatchOptions};
use mps_proto::v1::{AdaptiveStreamNode, AdaptiveStreamSettings, CancelTaskRequest, EncoderSpeed, SetState, Task, TaskState};
use mps_tests::{
    Stack, StackOptions,
    database::DatabaseKind,
    media,
    stack::{self, request, submit},
    streams::{self, MediaPlaylist},
    wait::until,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

const FILM_SECONDS: u32 = 60;
/// Of 2 s.
const SEGMENTS: usize = FILM_SECONDS as usize / 2;
const DIRECTORY: &str = "out/in/film.mp4/";
const VIDEOS: usize = 2;
const TRACKS: usize = VIDEOS + 1;
const DEADLINE: Duration = Duration::from_secs(120);

/// Two renditions and sound that take some seconds to encode.
fn slow_ladder() -> AdaptiveStreamSettings {
    let mut settings = streams::ladder(&[180, 90]);
    for video in settings.renditions.iter_mut().filter_map(|rendition| rendition.video.as_mut()) {
        video.speed = Some(EncoderSpeed::Slow.into());
    }
    settings
}

fn film(stack: &Stack) -> PathBuf {
    stack.folder.path().join("film.mp4")
}

async fn started(stack: &Stack, stream: AdaptiveStreamNode) -> String {
    media::clip(&film(stack), FILM_SECONDS, "320x180");
    stack.upload(&film(stack), "in/film.mp4").await;
    submit(&stack.client().await, request("in/film.mp4", vec![streams::node(stream)])).await
}

fn key(file: &str) -> String {
    format!("{DIRECTORY}{file}")
}

/// The playlists of all tracks, once there are all.
async fn playlists(stack: &Stack) -> Option<Vec<MediaPlaylist>> {
    let mut all = Vec::new();
    for track in 0..TRACKS {
        all.push(stack.playlist(&key(&format!("film_{track}.m3u8"))).await?);
    }
    Some(all)
}

/// Waits until pictures have so many segments and sound some; pictures are far from their end then, while sound may be near it.
async fn grown_to(stack: &Stack, segments: usize) -> Vec<MediaPlaylist> {
    let growing = until(&format!("{segments} segments are published"), DEADLINE, || async {
        let all = playlists(stack).await?;
        all[..VIDEOS].iter().all(|video| video.segments.len() >= segments).then_some(all)
    })
    .await;
    for video in &growing[..VIDEOS] {
        let is_part = !video.is_ended && video.segments.len() < SEGMENTS * 3 / 4;
        assert!(is_part, "the film was too short for this machine: {video:?}");
    }
    growing
}

async fn etags(stack: &Stack) -> BTreeMap<String, String> {
    let objects = stack.objects(DIRECTORY).await.into_iter();
    objects
        .map(|object| (object.key.trim_start_matches(DIRECTORY).to_owned(), object.etag))
        .collect()
}

fn set_states(task: &Task) -> Vec<SetState> {
    let outputs = task.node_statuses[0].outputs.iter();
    outputs.filter_map(|output| output.set).map(|set| set.state()).collect()
}

/// The number of a segment by its name: `film_{track}_{number}-{set}-{attempt}.{suffix}`.
fn number(segment: &str) -> usize {
    let number = segment.split(['_', '-']).nth(2).and_then(|number| number.parse().ok());
    number.unwrap_or_else(|| panic!("{segment} has no number"))
}

fn attempt(segment: &str) -> usize {
    let attempt = segment.split(['-', '.']).nth(2).and_then(|attempt| attempt.parse().ok());
    attempt.unwrap_or_else(|| panic!("{segment} tells no attempt"))
}

/// An ended stream of so many segments in each track plays from its first picture to its last, by both manifests.
fn assert_plays(folder: &Path, playlists: &[MediaPlaylist]) {
    for (track, playlist) in playlists.iter().enumerate() {
        assert!(playlist.is_ended);
        let numbers: Vec<usize> = playlist.segments.iter().map(|segment| number(segment)).collect();
        assert_eq!(numbers, (0..playlist.segments.len()).collect::<Vec<_>>(), "track {track}");
        playlist.assert_continuous(folder);
    }
    let pictures = |playlist: &MediaPlaylist| (30.0 * playlist.seconds).round() as u64;
    for manifest in ["film.m3u8", "film.mpd"] {
        let streams = media::frames_of_streams(&folder.join(manifest));
        let mut videos: Vec<u64> = streams
            .iter()
            .filter(|(kind, _)| kind == "video")
            .map(|(_, frames)| *frames)
            .collect();
        videos.sort_unstable();
        let mut expected: Vec<u64> = playlists[..VIDEOS].iter().map(pictures).collect();
        expected.sort_unstable();
        assert_eq!(videos, expected, "{manifest}: {streams:?}");
        let sounds: Vec<f64> = streams
            .iter()
            .filter(|(kind, _)| kind == "audio")
            .map(|(_, packets)| *packets as f64 * 1024.0 / 48_000.0)
            .collect();
        let is_whole = |seconds: &f64| (seconds - playlists[VIDEOS].seconds).abs() < 0.05;
        assert!(sounds.len() == 1 && sounds.iter().all(is_whole), "{manifest}: {streams:?}");
    }
}

/// The stream shows the whole film, picture by picture, though so many attempts made it.
async fn assert_whole(stack: &Stack, playlists: &[MediaPlaylist], attempts: usize) {
    for playlist in playlists {
        assert_eq!(playlist.segments.len(), SEGMENTS);
        assert!((playlist.seconds - f64::from(FILM_SECONDS)).abs() < 0.05, "{playlist:?}");
        assert!(playlist.segments.iter().map(|segment| attempt(segment)).is_sorted(), "{playlist:?}");
    }
    for video in &playlists[..VIDEOS] {
        let last = video.segments.last().map(|segment| attempt(segment));
        assert_eq!(last, Some(attempts), "{video:?}");
    }
    let folder = stack.mirror(DIRECTORY).await;
    assert_plays(&folder, playlists);
    let likeness = media::worst_psnr(&folder.join("film_0.m3u8"), &film(stack), "320x180");
    assert!(likeness > 35.0, "a picture is another one than in the film: {likeness} dB");
    let click = media::loudest_click(&folder.join("film.m3u8"), FILM_SECONDS);
    assert!(click < -60.0, "sound is broken: {click} dB");
}

async fn killed_worker_is_replaced_on(kind: DatabaseKind) {
    let mut stack = Stack::start(StackOptions::on(kind).workers(2).slots(1)).await;
    stack.wait_joined(2).await;
    let name = started(&stack, streams::stream(slow_ladder())).await;
    let before = grown_to(&stack, 3).await;
    let made = etags(&stack).await;
    let worker = stack.workers.iter().position(|worker| !worker.children().is_empty());
    let worker = &mut stack.workers[worker.expect("a worker encodes the film")];
    let children = worker.children();
    worker.kill();
    let killed = Instant::now();
    let client = stack.client().await;
    until(
        "the unit is leased again within 3 s, asked for each 2 s",
        Duration::from_secs(3 + 2 + 1),
        || async {
            let task = stack::get(&client, &name).await?;
            (task.node_statuses[0].attempts == 2).then_some(())
        },
    )
    .await;
    for child in children {
        assert!(
            !mps_tests::process::is_running(child),
            "child {child} outlived its worker by {:?}",
            killed.elapsed()
        );
    }
    let task = stack.wait_ended(&name, DEADLINE).await;
    assert_eq!(task.state(), TaskState::Succeeded, "{task:#?}\n{}", stack.logs());
    assert_eq!(task.node_statuses[0].attempts, 2);
    assert_eq!(set_states(&task), [SetState::Complete; 2]);

    let whole = playlists(&stack).await.expect("all playlists are there");
    let kept = etags(&stack).await;
    for (before, whole) in before.iter().zip(&whole) {
        assert_eq!(before.init, whole.init);
        assert!(whole.segments.starts_with(&before.segments), "{before:?}\n{whole:?}");
        for file in before.files() {
            assert_eq!(made.get(file), kept.get(file), "{file} was written again");
        }
    }
    assert_whole(&stack, &whole, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stream_of_a_killed_worker_is_continued_without_a_gap_on_sqlite() {
    killed_worker_is_replaced_on(DatabaseKind::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stream_of_a_killed_worker_is_continued_without_a_gap_on_postgres() {
    killed_worker_is_replaced_on(DatabaseKind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stream_whose_child_dies_twice_is_whole() {
    let stack = Stack::start(StackOptions::default().slots(1)).await;
    let name = started(&stack, streams::stream(slow_ladder())).await;
    let mut segments = 0;
    for _ in 0..2 {
        let growing = grown_to(&stack, segments + 3).await;
        segments = growing[..VIDEOS].iter().map(|video| video.segments.len()).max().unwrap_or(0);
        kill_child(&stack);
    }
    let task = stack.wait_ended(&name, DEADLINE).await;
    assert_eq!(task.state(), TaskState::Succeeded, "{task:#?}\n{}", stack.logs());
    let whole = playlists(&stack).await.expect("all playlists are there");
    assert_whole(&stack, &whole, 3).await;
}

/// A stream in its middle: its task, and what is published by now.
async fn half_made(stack: &Stack, keep_partial: bool) -> (String, Vec<MediaPlaylist>) {
    let stream = AdaptiveStreamNode {
        keep_partial,
        ..streams::stream(slow_ladder())
    };
    let name = started(stack, stream).await;
    (name, grown_to(stack, 3).await)
}

async fn cancel(stack: &Stack, name: &str) {
    let request = CancelTaskRequest {
        name: name.into(),
        ..Default::default()
    };
    stack.client().await.tasks().cancel_task(request).await.expect("cancel is taken");
    let task = stack.wait_ended(name, DEADLINE).await;
    assert_eq!(task.state(), TaskState::Cancelled, "{task:#?}\n{}", stack.logs());
}

fn kill_child(stack: &Stack) {
    let children = stack.workers[0].children();
    assert!(!children.is_empty());
    for child in children {
        kill(Pid::from_raw(child), Signal::SIGKILL).expect("the child is ours");
    }
}

/// The only attempt dies.
async fn fail(stack: &Stack, name: &str) {
    kill_child(stack);
    let task = stack.wait_ended(name, DEADLINE).await;
    assert_eq!(task.state(), TaskState::Failed, "{task:#?}\n{}", stack.logs());
}

async fn wait_set(stack: &Stack, name: &str, state: SetState) {
    let client = stack.client().await;
    until(&format!("the set is {}", state.as_str_name()), Duration::from_secs(20), || async {
        let task = stack::get(&client, name).await?;
        (set_states(&task) == [state; 2]).then_some(())
    })
    .await;
}

async fn assert_closed(stack: &Stack, name: &str, before: &[MediaPlaylist]) {
    wait_set(stack, name, SetState::Closed).await;
    let kept = playlists(stack).await.expect("all playlists are there");
    for (before, kept) in before.iter().zip(&kept) {
        assert!(kept.segments.starts_with(&before.segments), "{before:?}\n{kept:?}");
    }
    assert!(kept[..VIDEOS].iter().all(|video| video.segments.len() < SEGMENTS));
    assert_plays(&stack.mirror(DIRECTORY).await, &kept);
}

async fn assert_removed(stack: &Stack, name: &str) {
    wait_set(stack, name, SetState::Removed).await;
    let left = stack.objects(DIRECTORY).await;
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelled_stream_leaves_nothing_in_the_bucket() {
    let stack = Stack::start(StackOptions::default()).await;
    let (name, _) = half_made(&stack, false).await;
    cancel(&stack, &name).await;
    assert_removed(&stack, &name).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelled_stream_that_keeps_its_part_is_ended_and_plays() {
    let stack = Stack::start(StackOptions::default()).await;
    let (name, before) = half_made(&stack, true).await;
    cancel(&stack, &name).await;
    assert_closed(&stack, &name, &before).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_stream_leaves_nothing_in_the_bucket() {
    let stack = Stack::start(StackOptions::default().env("MPS_MAX_ATTEMPTS", "1")).await;
    let (name, _) = half_made(&stack, false).await;
    fail(&stack, &name).await;
    assert_removed(&stack, &name).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_stream_that_keeps_its_part_is_ended_and_plays() {
    let stack = Stack::start(StackOptions::default().env("MPS_MAX_ATTEMPTS", "1")).await;
    let (name, before) = half_made(&stack, true).await;
    fail(&stack, &name).await;
    assert_closed(&stack, &name, &before).await;
}

/// A stream of a film whose file lacks its end.
async fn cut_short(stack: &Stack, keep_partial: bool) -> String {
    let path = film(stack);
    let whole = stack.folder.path().join("whole.mp4");
    media::clip(&whole, 30, "320x180");
    // the index must come first to be there at all
    media::ffmpeg(&format!("-i {} -c copy -movflags +faststart", whole.display()), &path);
    let bytes = std::fs::read(&path).expect("the film was made");
    std::fs::write(&path, &bytes[..bytes.len() * 6 / 10]).expect("it can be cut");
    stack.upload(&path, "in/film.mp4").await;
    let stream = AdaptiveStreamNode {
        keep_partial,
        ..streams::stream(streams::ladder(&[180, 90]))
    };
    let name = submit(&stack.client().await, request("in/film.mp4", vec![streams::node(stream)])).await;
    let task = stack.wait_ended(&name, DEADLINE).await;
    let error = task.node_statuses[0].error.clone().expect("the node failed");
    assert!(error.message.starts_with("the input is cut"), "{error:?}");
    name
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stream_of_a_cut_input_leaves_nothing_in_the_bucket() {
    let stack = Stack::start(StackOptions::default()).await;
    let name = cut_short(&stack, false).await;
    assert_removed(&stack, &name).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stream_of_a_cut_input_that_keeps_its_part_plays_up_to_the_cut() {
    let stack = Stack::start(StackOptions::default()).await;
    let name = cut_short(&stack, true).await;
    wait_set(&stack, &name, SetState::Closed).await;
    let kept = playlists(&stack).await.expect("all playlists are there");
    for playlist in &kept {
        assert!(playlist.is_ended && (14.0..20.0).contains(&playlist.seconds), "{playlist:?}");
    }
    let folder = stack.mirror(DIRECTORY).await;
    for manifest in ["film.m3u8", "film.mpd"] {
        // the last pictures may be lost with those that they are told from
        let streams = media::frames_of_streams(&folder.join(manifest));
        let videos = streams.iter().filter(|(kind, frames)| kind == "video" && *frames >= 14 * 30);
        assert_eq!((streams.len(), videos.count()), (TRACKS, VIDEOS), "{manifest}: {streams:?}");
    }
}

/// Every state of a task as its watcher is told it.
async fn watched(stack: &Stack, name: String) -> tokio::task::JoinHandle<Vec<Task>> {
    let mut events = Box::pin(stack.client().await.watch(WatchOptions::default()));
    tokio::spawn(async move {
        let mut states = Vec::new();
        while let Some(event) = events.next().await {
            if let WatchEvent::Task(task) = event.expect("the watch goes on")
                && task.name == name
            {
                states.push(*task);
            }
            if states.last().is_some_and(|task| stack::is_ended(task.state())) {
                break;
            }
        }
        states
    })
}

/// Segments that an MPD's timelines tell.
fn timeline_segments(mpd: &str) -> usize {
    let repeats = |run: &str| {
        let repeats = run.split_once(" r=\"")?.1.split('"').next()?;
        repeats.parse::<usize>().ok()
    };
    mpd.lines()
        .filter(|line| line.trim_start().starts_with("<S "))
        .map(|run| 1 + repeats(run).unwrap_or(0))
        .sum()
}

/// What a player that asks again and again sees until the end: every playlist of the first track, and every MPD.
async fn polled(stack: &Stack) -> (Vec<MediaPlaylist>, Vec<String>) {
    let seen = Mutex::new((Vec::new(), Vec::new()));
    until("both manifests are at their end", DEADLINE, || async {
        let playlist = stack.playlist(&key("film_0.m3u8")).await?;
        let mpd = stack.text(&key("film.mpd")).await?;
        let objects = etags(stack).await;
        for file in playlist.files() {
            assert!(objects.contains_key(file), "{file} is named and not there");
        }
        let is_ended = playlist.is_ended && mpd.contains(" type=\"static\"");
        let (playlists, mpds) = &mut *seen.lock().expect("nobody panics with it");
        playlists.push(playlist);
        mpds.push(mpd);
        is_ended.then_some(())
    })
    .await;
    let (mut playlists, mut mpds) = seen.into_inner().expect("nobody panics with it");
    playlists.dedup();
    mpds.dedup();
    (playlists, mpds)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stream_is_told_playable_before_its_end_and_grows_under_its_players() {
    let stack = Stack::start(StackOptions::default()).await;
    let name = started(&stack, streams::stream(slow_ladder())).await;
    let watching = watched(&stack, name).await;

    let (playlists, mpds) = polled(&stack).await;
    assert!(playlists.len() > 2, "{playlists:#?}");
    for pair in playlists.windows(2) {
        assert!(!pair[0].is_ended && pair[0].init == pair[1].init, "{pair:#?}");
        assert!(pair[1].segments.starts_with(&pair[0].segments), "{pair:#?}");
    }
    assert_eq!(playlists.last().map(|playlist| playlist.segments.len()), Some(SEGMENTS));
    assert!(mpds.len() > 2, "{mpds:#?}");
    assert!(mpds[..mpds.len() - 1].iter().all(|mpd| mpd.contains(" type=\"dynamic\"")));
    let lengths: Vec<usize> = mpds.iter().map(|mpd| timeline_segments(mpd)).collect();
    assert!(lengths.is_sorted() && lengths.last() == Some(&(SEGMENTS * TRACKS)), "{lengths:?}");

    let states = tokio::time::timeout(DEADLINE, watching).await;
    let states = states.expect("the watcher is told the end").expect("the watch goes on");
    let playable = states.iter().find(|task| task.node_statuses[0].playable_time.is_some());
    let playable = playable.expect("it was told to be playable");
    assert_eq!(playable.state(), TaskState::Processing);
    assert_eq!(set_states(playable), [SetState::Publishing; 2]);
    let last = states.last().expect("the end was told");
    assert_eq!(
        (last.state(), set_states(last)),
        (TaskState::Succeeded, vec![SetState::Complete; 2])
    );
    let playable_time = playable.node_statuses[0].playable_time;
    assert_eq!(last.node_statuses[0].playable_time, playable_time);
    let seconds = |time: Option<prost_types::Timestamp>| time.map(|time| time.seconds as f64 + f64::from(time.nanos) / 1e9);
    assert!(seconds(playable_time) < seconds(last.end_time), "{last:#?}");
}
