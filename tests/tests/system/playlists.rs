//! HLS playlists as inputs, by key and by URL: whole, in sync, and of the length that they tell; or refused by name.

use std::{path::Path, process::Command, time::Duration};

use mps_proto::v1::{self, Task, TaskInput, TaskOutput, TaskState, task_input::Source};
use mps_tests::{
    Stack, StackOptions, media,
    site::Site,
    stack::{request, submit, transcode},
};

/// Arguments of ffmpeg for so many seconds of black with a white flash, and silence with a beep, both from 0.48 to 0.68 s of each second.
fn film(seconds: u32) -> String {
    format!(
        "-f lavfi -i color=black:s=320x180:r=25:d={seconds},drawbox=t=fill:c=white:enable=between(mod(t\\,1)\\,0.47\\,0.67) \
         -f lavfi -i aevalsrc=sin(2*PI*1000*t)*between(mod(t\\,1)\\,0.48\\,0.68):s=48000:d={seconds} \
         -c:v libx264 -preset ultrafast -bf 2 -g 25 -sc_threshold 0 -pix_fmt yuv420p -c:a aac "
    )
}

const HLS: &str = "-f hls -hls_time 1 -hls_playlist_type vod";

/// Arguments are split at spaces; `~` is a space in one.
fn ffmpeg(folder: &Path, arguments: &str) {
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-y"])
        .args(arguments.split_whitespace().map(|argument| argument.replace('~', " ")))
        .current_dir(folder)
        .output()
        .expect("ffmpeg is installed");
    assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Encrypted transport streams, and behind a discontinuity others with another clock that are not.
fn make_joined(folder: &Path) {
    std::fs::write(folder.join("secret.key"), *b"0123456789abcdef").unwrap();
    std::fs::write(folder.join("key.txt"), "secret.key\nsecret.key\n").unwrap();
    ffmpeg(
        folder,
        &format!("{} {HLS} -hls_key_info_file key.txt -hls_segment_filename a%d.ts a.m3u8", film(2)),
    );
    ffmpeg(
        folder,
        &format!("{} -output_ts_offset 7000 {HLS} -hls_segment_filename b%d.ts b.m3u8", film(2)),
    );
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let first = read("a.m3u8").replace("#EXT-X-ENDLIST", "#EXT-X-DISCONTINUITY\n#EXT-X-KEY:METHOD=NONE");
    let second = read("b.m3u8");
    let (_, segments) = second.split_once("#EXTINF").unwrap();
    std::fs::write(folder.join("joined.m3u8"), format!("{first}#EXTINF{segments}")).unwrap();
}

/// A master with two pictures and sound of its own, in fragmented MP4.
fn make_master(folder: &Path) {
    let form = "-hls_segment_type fmp4 -master_pl_name master.m3u8 -hls_fmp4_init_filename i%v.mp4 -hls_segment_filename m%v_%d.m4s";
    let map = "-var_stream_map v:0,agroup:s~v:1,agroup:s~a:0,agroup:s,language:deu,default:yes";
    ffmpeg(
        folder,
        &format!("{} -map 0:v -map 0:v -map 1:a -s:v:0 160x90 {HLS} {form} {map} m%v.m3u8", film(4)),
    );
}

/// One file of fragments, whose segments are ranges of bytes.
fn make_single_file(folder: &Path) {
    let form = "-hls_flags single_file -hls_segment_type fmp4";
    ffmpeg(folder, &format!("{} {HLS} {form} -hls_segment_filename one.mp4 one.m3u8", film(4)));
}

async fn upload(stack: &Stack, folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        stack.upload(&path, &format!("films/{name}")).await;
    }
}

fn object(key: &str) -> Source {
    Source::Object(v1::StorageObject {
        storage: "local".into(),
        key: key.into(),
    })
}

async fn begin(stack: &Stack, input: Source, number: usize) -> String {
    let mut ask = request("unused.mp4", vec![transcode("preset-h264-360p"), transcode("preset-remux")]);
    ask.input = Some(TaskInput { source: Some(input) });
    ask.output = Some(TaskOutput {
        storage: "local".into(),
        directory: format!("out/{number}/"),
    });
    submit(&stack.client().await, ask).await
}

fn reason(task: &Task) -> String {
    use prost::Message;
    let details = task.error.iter().flat_map(|error| &error.details);
    details
        .filter_map(|detail| mps_proto::rpc::ErrorInfo::decode(detail.value.as_slice()).ok())
        .map(|info| info.reason)
        .next()
        .unwrap_or_default()
}

/// Times in a log behind a word.
fn times(log: &str, word: &str) -> Vec<f64> {
    let number = |rest: &str| {
        rest.split([' ', '\n', '|'])
            .find(|part| !part.is_empty())
            .and_then(|part| part.parse().ok())
    };
    log.split(word).skip(1).filter_map(number).collect()
}

/// Each second of the film has its flash and its beep, at the same time; no picture is missing, and none too much.
fn is_whole_and_in_sync(path: &Path, seconds: usize, what: &str) {
    let probe = media::ffprobe(path);
    assert_eq!(media::decode_fully(path), 25 * seconds as u64, "{what}");
    assert!(
        (media::duration(&probe) - seconds as f64).abs() < 0.07,
        "{what}: {}",
        media::duration(&probe)
    );
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-hide_banner", "-i"])
        .arg(path)
        .args([
            "-vf",
            "blackdetect=d=0.01:pix_th=0.2",
            "-af",
            "silencedetect=n=-30dB:d=0.1",
            "-f",
            "null",
            "-",
        ])
        .output()
        .expect("ffmpeg is installed");
    let log = String::from_utf8_lossy(&output.stderr);
    let (flashes, beeps) = (times(&log, "black_end:"), times(&log, "silence_end: "));
    assert!(flashes.len() >= seconds && beeps.len() >= seconds, "{what}: {log}");
    for (second, (flash, beep)) in flashes.iter().zip(&beeps).take(seconds).enumerate() {
        assert!((flash - beep).abs() < 0.005, "{what}: {flash} {beep}");
        assert!((flash - flashes[0] - second as f64).abs() < 0.003, "{what}: {flashes:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn playlists_come_out_whole_and_in_sync() {
    let stack = Stack::start(StackOptions::default().env("MPS_ALLOW_PRIVATE_URLS", "true")).await;
    let folder = stack.folder.path().join("films");
    std::fs::create_dir(&folder).unwrap();
    make_joined(&folder);
    make_master(&folder);
    make_single_file(&folder);
    upload(&stack, &folder).await;
    let site = Site::start(&folder).await;
    let inputs = [
        object("films/joined.m3u8"),
        Source::Url(site.url("joined.m3u8?token=1")),
        object("films/master.m3u8"),
        Source::Url(site.url("one.m3u8")),
    ];
    let mut names = Vec::new();
    for (number, input) in inputs.iter().enumerate() {
        names.push(begin(&stack, input.clone(), number).await);
    }
    for (name, input) in names.iter().zip(&inputs) {
        let task = stack.wait_ended(name, Duration::from_secs(120)).await;
        assert_eq!(task.state(), TaskState::Succeeded, "{input:?}: {task:#?}\n{}", stack.logs());
        for (node, form) in task.node_statuses.iter().zip(["transcode", "remux"]) {
            let path = stack.fetch_output(&node.outputs[0]).await;
            is_whole_and_in_sync(&path, 4, &format!("{input:?} {form}"));
            let probe = media::ffprobe(&path);
            let video = media::stream(&probe, "video").unwrap();
            assert!(form != "remux" || video["width"] == 320, "{input:?}: the larger variant is read");
        }
    }
    let ask = v1::ProbeMediaRequest {
        parent: "projects/default".into(),
        input: Some(TaskInput {
            source: Some(object("films/master.m3u8")),
        }),
    };
    let answer = stack.client().await.storages().probe_media(ask).await.unwrap().into_inner();
    let media = answer.media.unwrap();
    let length = media
        .duration
        .map(|length| length.seconds as f64 + f64::from(length.nanos) / 1e9)
        .unwrap_or_default();
    assert!(media.container == "hls" && (length - 4.0).abs() < 0.1, "{media:#?}");
    let streams: Vec<_> = media
        .streams
        .iter()
        .map(|stream| (stream.codec.as_str(), stream.language.as_str()))
        .collect();
    assert!(
        streams.len() == 2 && streams[0].0 == "h264" && ["de", "deu"].contains(&streams[1].1),
        "{streams:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn playlists_that_are_not_taken_are_refused_by_name() {
    let stack = Stack::start(StackOptions::default().env("MPS_ALLOW_PRIVATE_URLS", "true")).await;
    let folder = stack.folder.path().join("films");
    std::fs::create_dir(&folder).unwrap();
    ffmpeg(&folder, &format!("{} {HLS} -hls_segment_filename a%d.ts a.m3u8", film(1)));
    let good = std::fs::read_to_string(folder.join("a.m3u8")).unwrap();
    let write = |name: &str, text: String| std::fs::write(folder.join(name), text).unwrap();
    write(
        "live.m3u8",
        good.replace("#EXT-X-ENDLIST", "").replace("#EXT-X-PLAYLIST-TYPE:VOD", ""),
    );
    write("outside.m3u8", good.replace("a0.ts", "../a0.ts"));
    write("gone.m3u8", good.replace("a0.ts", "gone.ts"));
    write(
        "drm.m3u8",
        good.replace(
            "#EXTINF",
            "#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"skd://x\",KEYFORMAT=\"com.apple.streamingkeydelivery\"\n#EXTINF",
        ),
    );
    write("film.mpd", "<?xml version=\"1.0\"?>\n<MPD/>".into());
    write("named.mp4", good);
    upload(&stack, &folder).await;
    let site = Site::start(&folder).await;
    let cases = [
        (object("films/live.m3u8"), "PLAYLIST_UNSUPPORTED", "live"),
        (Source::Url(site.url("film.mpd")), "PLAYLIST_UNSUPPORTED", "MPD"),
        (Source::Url(site.url("drm.m3u8")), "PLAYLIST_UNSUPPORTED", "SAMPLE-AES"),
        (object("films/outside.m3u8"), "INPUT_FORBIDDEN", "does not lie in its folder"),
        (object("films/named.mp4"), "INPUT_FORBIDDEN", ".m3u8"),
        (object("films/gone.m3u8"), "INPUT_NOT_FOUND", "gone.ts"),
    ];
    let mut names = Vec::new();
    for (number, (input, ..)) in cases.iter().enumerate() {
        names.push(begin(&stack, input.clone(), number).await);
    }
    for (name, (input, expected, word)) in names.iter().zip(&cases) {
        let task = stack.wait_ended(name, Duration::from_secs(60)).await;
        let message = task.error.clone().unwrap_or_default().message;
        assert!(reason(&task) == *expected && message.contains(word), "{input:?}: {task:#?}");
    }
}
