//! Settings of a transcode: each is read back from the file by ffprobe and ffmpeg.

mod pass_tools;
mod transcode_tools;

use std::path::Path;

use mps_proto::v1::{
    self, AudioCodec, AudioTrackSelector, Container, Fit, PadFill, RateControl, VideoCodec, audio_track_selector::Selector,
};
use pass_tools::{ffmpeg, ffprobe, filtered, number};
use transcode_tools::{Film, audio, node, video};

fn settings(container: Container, video: v1::VideoSettings) -> v1::TranscodeSettings {
    v1::TranscodeSettings {
        container: Some(container as i32),
        video: Some(video),
        ..Default::default()
    }
}

fn stream(file: &Path, entry: &str) -> String {
    ffprobe(file, &format!("-select_streams v:0 -show_entries stream={entry}"))
}

/// Times of key frames in seconds.
fn key_frames(file: &Path) -> Vec<f64> {
    let text = ffprobe(file, "-select_streams v:0 -show_entries packet=pts_time,flags");
    let keys = text.lines().filter(|line| line.contains('K'));
    keys.filter_map(|line| line.split(',').next()?.parse().ok()).collect()
}

#[test]
fn profile_level_depth_and_b_frames_are_as_asked() {
    let film = Film::new();
    let with = |codec, change: &dyn Fn(&mut v1::VideoSettings)| {
        let mut video = video(codec);
        video.speed = Some(v1::EncoderSpeed::Fast as i32);
        change(&mut video);
        let path = film.transcode(vec![node("a", settings(Container::Mp4, video))]).remove(0).unwrap();
        stream(&path, "profile,pix_fmt,level,has_b_frames")
    };
    let found = with(VideoCodec::H264, &|video| {
        video.profile = Some("main".into());
        video.level = Some("4.1".into());
        video.b_frames = Some(0);
    });
    assert_eq!(found, "Main,0,yuv420p,41");
    let found = with(VideoCodec::H264, &|video| {
        video.profile = Some("high-10".into());
        video.bit_depth = Some(10);
        video.b_frames = Some(2);
    });
    assert!(found.starts_with("High 10,") && found.contains("yuv420p10le"), "{found}");
    let found = with(VideoCodec::H265, &|video| {
        video.profile = Some("main-10".into());
        video.bit_depth = Some(10);
        video.level = Some("4".into());
    });
    assert!(found.starts_with("Main 10,") && found.ends_with("yuv420p10le,120"), "{found}");
    let found = with(VideoCodec::Vp9, &|video| video.bit_depth = Some(10));
    assert!(found.contains("yuv420p10le"), "{found}");
}

#[test]
fn what_does_not_fit_is_refused_with_a_reason() {
    let film = Film::new();
    let refusal = |video| {
        film.transcode(vec![node("a", settings(Container::Mp4, video))])
            .remove(0)
            .unwrap_err()
    };
    let mut low = video(VideoCodec::H264);
    low.level = Some("1".into());
    assert!(refusal(low).contains("does not fit in level 1"));
    let mut deep = video(VideoCodec::Av1);
    deep.bit_depth = Some(10);
    assert!(refusal(deep).contains("8 bits only"));
    let mut outside = video(VideoCodec::H264);
    outside.crop = Some(v1::CropArea {
        left_px: 300,
        top_px: 0,
        width_px: 100,
        height_px: 100,
    });
    assert!(refusal(outside).contains("does not lie in the input's picture"));
}

#[test]
fn key_frames_come_by_frames_and_by_time() {
    let film = Film::new();
    ffmpeg(
        &format!(
            "-i {} -vf select='not(eq(mod(n\\,7)\\,3))' -vsync vfr -an -c:v libx264",
            film.path("film.mkv").display()
        ),
        &film.path("variable.mkv"),
    );
    for codec in [
        VideoCodec::H264,
        VideoCodec::H265,
        VideoCodec::Vp9,
        VideoCodec::Vp8,
        VideoCodec::Av1,
    ] {
        let mut wanted = video(codec);
        (wanted.gop_frames, wanted.scene_cuts) = (None, Some(false));
        wanted.frame_rate_num = (codec == VideoCodec::H265).then_some(30);
        wanted.gop_duration = Some(prost_types::Duration {
            seconds: 0,
            nanos: 500_000_000,
        });
        let order = vec![node("a", settings(Container::Mkv, wanted))];
        // AV1's encoder counts frames.
        let input = if codec == VideoCodec::Av1 { "film.mkv" } else { "variable.mkv" };
        let path = film.transcode_of(input, order).remove(0).unwrap();
        let keys = key_frames(&path);
        let right = keys.len() == 4
            && keys
                .iter()
                .zip([0.0, 0.5, 1.0, 1.5])
                .all(|(key, wanted)| (key - wanted).abs() < 0.07);
        assert!(right, "{codec:?} {keys:?}");
    }
    let mut wanted = video(VideoCodec::H264);
    (wanted.gop_frames, wanted.scene_cuts) = (Some(20), Some(false));
    let path = film.transcode(vec![node("a", settings(Container::Mkv, wanted))]).remove(0).unwrap();
    assert_eq!(key_frames(&path).len(), 3);
}

#[test]
fn rates_are_kept() {
    let film = Film::new();
    ffmpeg(
        "-f lavfi -i testsrc2=s=640x360:r=30:d=4,noise=alls=40:allf=t -c:v libx264 -qp 10 -preset ultrafast",
        &film.path("noise.mkv"),
    );
    for codec in [VideoCodec::H264, VideoCodec::H265] {
        for (control, crf, average, peak) in [
            (RateControl::Vbr, None, Some(1_000_000), None),
            (RateControl::Vbr, None, Some(1_000_000), Some(1_500_000)),
            (RateControl::Cbr, None, Some(1_000_000), None),
            (RateControl::CappedCrf, Some(15), None, Some(1_000_000)),
        ] {
            let mut wanted = video(codec);
            (wanted.rate_control, wanted.crf) = (Some(control as i32), crf);
            (wanted.bitrate_bps, wanted.max_bitrate_bps) = (average, peak);
            let path = film
                .transcode_of("noise.mkv", vec![node("a", settings(Container::Mp4, wanted))])
                .remove(0)
                .unwrap();
            let rate = number(&ffprobe(&path, "-show_entries format=bit_rate"));
            // Four seconds are short against the two of the buffer.
            assert!((700_000.0..1_600_000.0).contains(&rate), "{codec:?} {control:?} {peak:?}: {rate}");
        }
    }
}

#[test]
fn two_runs_give_the_same_bytes() {
    let film = Film::new();
    let codecs = [
        VideoCodec::H264,
        VideoCodec::H265,
        VideoCodec::Vp9,
        VideoCodec::Vp8,
        VideoCodec::Av1,
        VideoCodec::Mpeg2,
    ];
    let nodes = || {
        let all = codecs.iter().enumerate();
        all.map(|(number, codec)| {
            let mut wanted = settings(Container::Mkv, video(*codec));
            wanted.audio = Some(audio(AudioCodec::Aac));
            node(&format!("n{number}"), wanted)
        })
        .collect::<Vec<_>>()
    };
    let sums = |files: Vec<Result<std::path::PathBuf, String>>| {
        files
            .into_iter()
            .map(|file| filtered(&[&file.unwrap()], "-map 0 -c copy -f framemd5"))
            .map(essence)
            .collect::<Vec<_>>()
    };
    assert_eq!(sums(film.transcode(nodes())), sums(film.transcode(nodes())));
}

/// Lines with the sums of packets.
fn essence(text: String) -> String {
    text.lines()
        .filter(|line| line.starts_with(|first: char| first.is_ascii_digit()))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn tracks_are_chosen_kept_apart_and_mixed() {
    let film = Film::new();
    ffmpeg(
        &format!(
            "-i {} -f lavfi -i sine=f=300:d=2:r=48000 -f lavfi -i sine=f=3000:d=2:r=48000 -map 0:v -map 1 -map 2 -c:v copy -c:a aac \
             -metadata:s:a:0 language=eng -metadata:s:a:0 title=Low -metadata:s:a:1 language=fre -metadata:s:a:1 title=High",
            film.path("film.mkv").display()
        ),
        &film.path("two.mkv"),
    );
    let with = |container, selectors: Vec<Selector>, mix| {
        let mut wanted = settings(container, video(VideoCodec::H264));
        wanted.audio = Some(audio(AudioCodec::Aac));
        let mut order = node("a", wanted);
        order.audio_tracks = selectors
            .into_iter()
            .map(|selector| AudioTrackSelector { selector: Some(selector) })
            .collect();
        order.mix_audio_tracks = mix;
        film.transcode_of("two.mkv", vec![order]).remove(0)
    };
    let languages = |file: &Path| ffprobe(file, "-select_streams a -show_entries stream_tags=language").replace('\n', " ");
    let loud = |file: &Path, hertz: u32| {
        let text = filtered(
            &[file],
            &format!("-af highpass=f={}:p=2,lowpass=f={}:p=2,volumedetect -vn", hertz / 2, hertz * 2),
        );
        let mean = text
            .split("mean_volume: ")
            .nth(1)
            .and_then(|rest| rest.split_whitespace().next())
            .unwrap();
        number(mean) > -40.0
    };
    let french = with(Container::Mp4, vec![Selector::Language("fr".into())], false).unwrap();
    assert!(loud(&french, 3000) && !loud(&french, 300));
    for container in [Container::Mp4, Container::Mkv, Container::Ts] {
        let both = with(container, vec![Selector::Index(1), Selector::Index(0)], false).unwrap();
        let found = languages(&both);
        assert!(found.starts_with("fr") && found.contains("en"), "{container:?} {found}");
    }
    let mixed = with(Container::Mp4, vec![Selector::All(true)], true).unwrap();
    assert!(loud(&mixed, 3000) && loud(&mixed, 300));
    assert!(
        with(Container::Mp4, vec![Selector::Language("de".into())], false)
            .unwrap_err()
            .contains("no track")
    );
}

#[test]
fn pictures_are_cut_turned_and_barred() {
    let film = Film::new();
    let mut wanted = video(VideoCodec::H264);
    wanted.crf = Some(5);
    wanted.crop = Some(v1::CropArea {
        left_px: 40,
        top_px: 20,
        width_px: 200,
        height_px: 120,
    });
    (wanted.rotation_deg, wanted.flip) = (Some(90), Some(v1::Flip::Horizontal as i32));
    let path = film.transcode(vec![node("a", settings(Container::Mp4, wanted))]).remove(0).unwrap();
    assert_eq!(stream(&path, "width,height"), "120,200");
    let same = filtered(
        &[&film.path("film.mkv"), &path],
        "-lavfi [0:v]crop=200:120:40:20,transpose=clock,hflip[a];[a][1:v]ssim",
    );
    let all = same.split("All:").nth(1).unwrap().split_whitespace().next().unwrap();
    assert!(number(all) > 0.98, "{all}");
    for (fill, corner) in [
        (PadFill::Black, 16.0..17.0),
        (PadFill::White, 234.0..236.0),
        (PadFill::Blur, 1.0..15.9),
    ] {
        let mut wanted = video(VideoCodec::H264);
        (wanted.width_px, wanted.height_px, wanted.crf) = (Some(240), Some(240), Some(5));
        (wanted.fit, wanted.pad_fill) = (Some(Fit::Pad as i32), Some(fill as i32));
        let path = film.transcode(vec![node("a", settings(Container::Mp4, wanted))]).remove(0).unwrap();
        assert_eq!(stream(&path, "width,height"), "240,240");
        let text = filtered(
            &[&path],
            "-vf crop=40:20:0:0,signalstats,metadata=print:key=lavfi.signalstats.YAVG:file=-",
        );
        let first = text.split("YAVG=").nth(1).unwrap().split_whitespace().next().unwrap();
        assert!(corner.contains(&number(first)), "{fill:?} {first}");
    }
}

#[test]
fn pictures_are_as_good_as_ffmpegs_with_the_same_settings() {
    let film = Film::new();
    let source = film.path("film.mkv");
    let ssim = |file: &Path| {
        let text = filtered(&[file, &source], "-lavfi [0:v][1:v]ssim");
        number(text.split("All:").nth(1).unwrap().split_whitespace().next().unwrap())
    };
    for (codec, encoder) in [
        (VideoCodec::H264, "libx264 -preset veryfast -crf 23 -g 30"),
        (
            VideoCodec::H265,
            "libx265 -preset veryfast -crf 28 -x265-params log-level=none:keyint=30:open-gop=0",
        ),
        (
            VideoCodec::Vp9,
            "libvpx-vp9 -deadline good -cpu-used 4 -qmin 32 -qmax 32 -b:v 100M -auto-alt-ref 0 -row-mt 1 -g 30",
        ),
    ] {
        let mut wanted = video(codec);
        wanted.speed = Some(v1::EncoderSpeed::Fast as i32);
        let ours = film.transcode(vec![node("a", settings(Container::Mkv, wanted))]).remove(0).unwrap();
        let theirs = film.path("theirs.mkv");
        ffmpeg(&format!("-i {} -an -c:v {encoder}", source.display()), &theirs);
        let (ours, theirs) = (ssim(&ours), ssim(&theirs));
        assert!(ours >= theirs - 0.002, "{codec:?}: {ours} against {theirs}");
    }
}
