//! Every container with every codec that it takes: made from a film with flashes and beeps, read by ffprobe.

mod pass_tools;
mod transcode_tools;

use mps_proto::v1::{self, AudioCodec, Container, VideoCodec};
use pass_tools::ffprobe;
use transcode_tools::{Film, audio, av_offset, node, video};

/// Sound and picture may be apart by this much.
const SYNC_LIMIT: f64 = 0.005;

/// Container, video codec, audio codec, and what ffprobe calls the format.
type Row = (Container, Option<VideoCodec>, Option<AudioCodec>, &'static str);

const ROWS: &[Row] = &[
    (Container::Mp4, Some(VideoCodec::H264), Some(AudioCodec::Aac), "mov"),
    (Container::Mp4, Some(VideoCodec::H265), Some(AudioCodec::Mp3), "mov"),
    (Container::Mp4, Some(VideoCodec::Av1), Some(AudioCodec::Opus), "mov"),
    (Container::Mp4, Some(VideoCodec::Vp9), Some(AudioCodec::Ac3), "mov"),
    (Container::Mov, Some(VideoCodec::H264), Some(AudioCodec::Pcm16), "mov"),
    (Container::Mov, Some(VideoCodec::H265), Some(AudioCodec::Pcm24), "mov"),
    (Container::Mov, Some(VideoCodec::H264), Some(AudioCodec::Aac), "mov"),
    (Container::Mkv, Some(VideoCodec::H264), Some(AudioCodec::Aac), "matroska"),
    (Container::Mkv, Some(VideoCodec::H265), Some(AudioCodec::Ac3), "matroska"),
    (Container::Mkv, Some(VideoCodec::Mpeg2), Some(AudioCodec::Eac3), "matroska"),
    (Container::Mkv, Some(VideoCodec::Vp8), Some(AudioCodec::Flac), "matroska"),
    (Container::Mkv, Some(VideoCodec::Av1), Some(AudioCodec::Mp2), "matroska"),
    (Container::Mkv, Some(VideoCodec::Vp9), Some(AudioCodec::Pcm16), "matroska"),
    (Container::Mkv, Some(VideoCodec::H264), Some(AudioCodec::Pcm24), "matroska"),
    (Container::Mkv, Some(VideoCodec::H264), Some(AudioCodec::Mp3), "matroska"),
    (Container::Webm, Some(VideoCodec::Vp8), Some(AudioCodec::Vorbis), "matroska"),
    (Container::Webm, Some(VideoCodec::Vp9), Some(AudioCodec::Opus), "matroska"),
    (Container::Webm, Some(VideoCodec::Av1), Some(AudioCodec::Opus), "matroska"),
    (Container::Ts, Some(VideoCodec::H264), Some(AudioCodec::Aac), "mpegts"),
    (Container::Ts, Some(VideoCodec::H265), Some(AudioCodec::Ac3), "mpegts"),
    (Container::Ts, Some(VideoCodec::Mpeg2), Some(AudioCodec::Mp2), "mpegts"),
    (Container::Ts, Some(VideoCodec::H264), Some(AudioCodec::Mp3), "mpegts"),
    (Container::Ts, Some(VideoCodec::H264), Some(AudioCodec::Opus), "mpegts"),
    (Container::Flv, Some(VideoCodec::H264), Some(AudioCodec::Aac), "flv"),
    (Container::Flv, Some(VideoCodec::H264), Some(AudioCodec::Mp3), "flv"),
    (Container::M4a, None, Some(AudioCodec::Aac), "mov"),
    (Container::Mp3, None, Some(AudioCodec::Mp3), "mp3"),
    (Container::Flac, None, Some(AudioCodec::Flac), "flac"),
    (Container::Ogg, None, Some(AudioCodec::Opus), "ogg"),
    (Container::Ogg, None, Some(AudioCodec::Vorbis), "ogg"),
    (Container::Ogg, None, Some(AudioCodec::Flac), "ogg"),
    (Container::Wav, None, Some(AudioCodec::Pcm16), "wav"),
    (Container::Wav, None, Some(AudioCodec::Pcm24), "wav"),
];

fn video_name(codec: VideoCodec) -> &'static str {
    match codec {
        VideoCodec::H265 => "hevc",
        VideoCodec::Av1 => "av1",
        VideoCodec::Vp8 => "vp8",
        VideoCodec::Vp9 => "vp9",
        VideoCodec::Mpeg2 => "mpeg2video",
        _ => "h264",
    }
}

fn audio_name(codec: AudioCodec) -> &'static str {
    match codec {
        AudioCodec::Mp3 => "mp3",
        AudioCodec::Mp2 => "mp2",
        AudioCodec::Ac3 => "ac3",
        AudioCodec::Eac3 => "eac3",
        AudioCodec::Opus => "opus",
        AudioCodec::Vorbis => "vorbis",
        AudioCodec::Flac => "flac",
        AudioCodec::Pcm16 => "pcm_s16le",
        AudioCodec::Pcm24 => "pcm_s24le",
        _ => "aac",
    }
}

fn settings((container, picture, sound, _): &Row) -> v1::TranscodeSettings {
    v1::TranscodeSettings {
        container: Some(*container as i32),
        video: picture.map(video),
        audio: sound.map(audio),
        ..Default::default()
    }
}

/// The first thing that ffprobe says: of streams in programs it speaks twice.
fn probe(file: &std::path::Path, arguments: &str) -> String {
    let text = ffprobe(file, arguments);
    text.lines().next().unwrap_or_default().trim_end_matches(',').to_owned()
}

/// What is wrong with a row's file.
fn faults(row: &Row, film: &Film, number: usize) -> Vec<String> {
    let (container, picture, sound, format) = row;
    let path = match film.transcode(vec![node("a", settings(row))]).remove(0) {
        Ok(path) => path,
        Err(failure) => return vec![format!("{number} {container:?} {picture:?} {sound:?}: {failure:?}")],
    };
    if let Ok(folder) = std::env::var("KEEP") {
        std::fs::copy(&path, format!("{folder}/row{number}.{}", transcode_tools::suffix(*container))).unwrap();
    }
    let mut faults = Vec::new();
    let mut expect = |what: &str, right: bool, found: String| {
        if !right {
            faults.push(format!("{number} {container:?} {picture:?} {sound:?}: {what} {found}"));
        }
    };
    let found = probe(&path, "-show_entries format=format_name");
    expect("format", found.contains(format), found);
    let found = probe(&path, "-select_streams v -show_entries stream=codec_name");
    expect("video", found == picture.map_or("", video_name), found);
    let found = probe(&path, "-select_streams a -show_entries stream=codec_name");
    expect("audio", found == sound.map_or("", audio_name), found);
    let found = probe(&path, "-show_entries format=duration");
    expect("duration", (found.parse::<f64>().unwrap_or(0.0) - 2.0).abs() < 0.09, found);
    if picture.is_some() {
        let found = probe(&path, "-select_streams v -count_frames -show_entries stream=nb_read_frames");
        expect("frames", found == "60", found);
        let found = probe(&path, "-select_streams v -show_entries stream=avg_frame_rate,pix_fmt,width,height");
        expect("picture", found.starts_with("320,180,yuv420p,"), found);
        if sound.is_some() {
            let offset = av_offset(&path);
            expect("A/V offset", offset.abs() <= SYNC_LIMIT, format!("{:.1} ms", offset * 1000.0));
        }
    } else {
        // The stamps that ffmpeg reads count from the file's first packet, of which MP3's header says how much is left out.
        let left_out = if *container == Container::Mp3 { 1105.0 / 48_000.0 } else { 0.0 };
        let found = transcode_tools::first_sound(&path) - left_out;
        expect("first beep", (found - 0.5).abs() <= SYNC_LIMIT, format!("{found:.4}"));
    }
    let found = probe(&path, "-show_entries format_tags=title");
    let tagged = !matches!(container, Container::Ts | Container::Flv | Container::Wav);
    let stream_title = probe(&path, "-show_entries stream_tags=title");
    expect("title", !tagged || found == "Flashes" || stream_title.contains("Flashes"), found);
    faults
}

#[test]
fn every_row_comes_out_in_time_and_as_asked() {
    let film = Film::new();
    let only = std::env::var("ROW").ok().and_then(|row| row.parse::<usize>().ok());
    let wanted = |(number, _): &(usize, &Row)| only.is_none_or(|only| only == *number);
    let faults: Vec<String> = ROWS
        .iter()
        .enumerate()
        .filter(wanted)
        .flat_map(|(number, row)| faults(row, &film, number))
        .collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}
