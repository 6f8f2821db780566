//! Makes odd inputs with ffmpeg at test time: small, the same in each run.
#![allow(dead_code)]

pub mod boxes;
pub mod families;
pub mod process;
pub mod shown;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

pub const PICTURE: &str = "testsrc2=s=320x180:r=30:d=2";
pub const SOUND: &str = "sine=440:r=48000:d=2";
const X264: &str = "-c:v libx264 -preset ultrafast -g 30 -pix_fmt yuv420p -c:a aac";

/// A folder of inputs, gone at the end of the test.
pub struct Corpus {
    folder: tempfile::TempDir,
}

impl Corpus {
    pub fn new() -> Self {
        gst::init().unwrap();
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs ffmpeg; `{}` in the arguments stands for the folder.
    pub fn ffmpeg(&self, name: &str, arguments: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        let folder = self.folder.path().display().to_string();
        let words = arguments.split_whitespace().map(|word| word.replace("{}", &folder));
        let output = Command::new("ffmpeg")
            .args(["-v", "error", "-nostdin", "-y"])
            .args(words)
            .arg(&path)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "ffmpeg for {name}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        path
    }

    pub fn bytes(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Picture and sound, the index behind the media.
    pub fn plain(&self) -> PathBuf {
        self.ffmpeg("plain.mp4", &format!("-f lavfi -i {PICTURE} -f lavfi -i {SOUND} {X264}"))
    }

    /// The same with the index in front, and B-frames.
    pub fn faststart(&self) -> PathBuf {
        let codecs = X264.replace("ultrafast", "veryfast");
        self.ffmpeg(
            "faststart.mp4",
            &format!("-f lavfi -i {PICTURE} -f lavfi -i {SOUND} {codecs} -movflags +faststart"),
        )
    }

    pub fn make(&self, case: &str) -> PathBuf {
        match case {
            "empty" => self.bytes("empty.mp4", b""),
            "text" => self.bytes("text.mp4", b"#EXTM3U\n#EXT-X-TARGETDURATION:1\nfile:///etc/passwd\n"),
            "random" => self.bytes("random.mp4", &pseudo_random(50_000)),
            "plain" => self.plain(),
            "faststart" => self.faststart(),
            "cut_without_index" => self.cut(&self.plain(), "cut_without_index.mp4", 60),
            "cut_with_index" => self.cut(&self.faststart(), "cut_with_index.mp4", 60),
            "bit_flips" => self.flipped(&self.faststart(), "bit_flips.mp4"),
            "one_frame" => self.ffmpeg("one_frame.mp4", &format!("-f lavfi -i {PICTURE} -frames:v 1 {X264}")),
            "no_audio" => self.ffmpeg("no_audio.mp4", &format!("-f lavfi -i {PICTURE} {X264}")),
            "no_video" => self.ffmpeg("no_video.m4a", &format!("-f lavfi -i {SOUND} -c:a aac")),
            "odd_size" => self.ffmpeg("odd_size.mp4", "-f lavfi -i testsrc=s=1279x719:r=30:d=1 -c:v mpeg4 -q:v 5 -pix_fmt yuv420p"),
            "variable_rate" => self.ffmpeg("variable_rate.mp4", &format!("-f lavfi -i {PICTURE} -vf select='mod(n\\,3)+not(mod(n\\,7))' -vsync vfr {X264}")),
            "rotated" => {
                self.faststart();
                self.ffmpeg("rotated.mp4", "-i {}/faststart.mp4 -c copy -metadata:s:v rotate=90")
            }
            "interlaced" => self.ffmpeg(
                "interlaced.ts",
                &format!("-f lavfi -i testsrc2=s=320x192:r=50:d=2 -f lavfi -i {SOUND} -vf tinterlace=4,setfield=tff -c:v mpeg2video -q:v 4 -flags +ildct+ilme -c:a mp2"),
            ),
            "interlaced_h264" => self.ffmpeg(
                "interlaced_h264.mp4",
                "-f lavfi -i testsrc2=s=320x192:r=50:d=1 -vf tinterlace=4,setfield=tff -c:v libx264 -preset veryfast -flags +ildct+ilme -pix_fmt yuv420p",
            ),
            "hdr" => self.ffmpeg(
                "hdr.mp4",
                "-f lavfi -i testsrc2=s=320x180:r=30:d=1 -c:v libx265 -preset ultrafast -x265-params log-level=error:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc -pix_fmt yuv420p10le -tag:v hvc1",
            ),
            "two_languages" => self.ffmpeg(
                "two_languages.mp4",
                &format!("-f lavfi -i {PICTURE} -f lavfi -i {SOUND} -f lavfi -i sine=880:r=48000:d=2 -map 0 -map 1 -map 2 {X264} -metadata:s:a:0 language=eng -metadata:s:a:1 language=fra"),
            ),
            "cover_m4a" => {
                self.ffmpeg("cover.jpg", "-f lavfi -i testsrc2=s=64x64 -frames:v 1");
                self.ffmpeg("cover_m4a.m4a", &format!("-f lavfi -i {SOUND} -i {{}}/cover.jpg -map 0 -map 1 -c:a aac -c:v copy -disposition:v attached_pic"))
            }
            "cover_mp3" => {
                self.ffmpeg("cover.jpg", "-f lavfi -i testsrc2=s=64x64 -frames:v 1");
                self.ffmpeg("cover_mp3.mp3", &format!("-f lavfi -i {SOUND} -i {{}}/cover.jpg -map 0 -map 1 -c:a libmp3lame -c:v copy -disposition:v attached_pic"))
            }
            "stream_copied" => {
                let codecs = X264.replace("-g 30", "-g 60");
                self.ffmpeg("long.mp4", &format!("-f lavfi -i testsrc2=s=320x180:r=30:d=4 -f lavfi -i sine=440:r=48000:d=4 {codecs}"));
                self.ffmpeg("stream_copied.mp4", "-ss 1.3 -i {}/long.mp4 -c copy")
            }
            "animated_gif" => self.ffmpeg("animated_gif.gif", "-f lavfi -i testsrc2=s=160x90:r=10:d=2"),
            "still_png" => self.ffmpeg("still.png", "-f lavfi -i testsrc2=s=160x90 -frames:v 1"),
            "still_jpg" => self.ffmpeg("still.jpg", "-f lavfi -i testsrc2=s=160x90 -frames:v 1"),
            "still_webp" => self.ffmpeg("still.webp", "-f lavfi -i testsrc2=s=160x90 -frames:v 1"),
            "fragmented" => self.ffmpeg("fragmented.mp4", &format!("-f lavfi -i {PICTURE} -f lavfi -i {SOUND} {X264} -movflags empty_moov+frag_keyframe")),
            "mkv" => self.ffmpeg("mkv.mkv", &format!("-f lavfi -i {PICTURE} -f lavfi -i {SOUND} {X264}")),
            "webm" => self.ffmpeg("webm.webm", &format!("-f lavfi -i {PICTURE} -c:v libvpx-vp9 -cpu-used 8 -deadline realtime")),
            "ts" => self.ffmpeg("ts.ts", &format!("-f lavfi -i {PICTURE} -f lavfi -i {SOUND} {X264}")),
            "flv" => self.ffmpeg("flv.flv", &format!("-f lavfi -i {PICTURE} -f lavfi -i {SOUND} {X264}")),
            "avi" => self.ffmpeg("avi.avi", &format!("-f lavfi -i {PICTURE} -f lavfi -i {SOUND} -c:v mpeg4 -c:a libmp3lame")),
            "mp3" => self.ffmpeg("mp3.mp3", &format!("-f lavfi -i {SOUND} -c:a libmp3lame")),
            "cut_short" => {
                let codecs = X264.replace("-g 30", "-g 60");
                self.ffmpeg("long.mp4", &format!("-f lavfi -i testsrc2=s=320x180:r=30:d=4 -f lavfi -i sine=440:r=48000:d=4 {codecs}"));
                self.ffmpeg("cut_short.mp4", "-ss 0.7 -t 1.5 -i {}/long.mp4 -c copy -movflags +faststart")
            }
            "late_sound" => self.ffmpeg("late_sound.mp4", &format!("-f lavfi -i {PICTURE} -itsoffset 0.8 -f lavfi -i sine=440:r=48000:d=1 {X264}")),
            "long_sound" => self.ffmpeg("long_sound.mp4", &format!("-f lavfi -i {PICTURE} -f lavfi -i sine=440:r=48000:d=3 {X264}")),
            "short_sound" => self.ffmpeg("short_sound.mp4", &format!("-f lavfi -i {PICTURE} -f lavfi -i sine=440:r=48000:d=1 {X264}")),
            "surround" => self.ffmpeg("surround.mp4", &format!("-f lavfi -i {PICTURE} -f lavfi -i {SOUND} -ac 6 -ar 44100 {X264}")),
            "subtitles" => {
                self.bytes("words.srt", b"1\n00:00:00,500 --> 00:00:01,000\nHello\n");
                self.ffmpeg("subtitles.mkv", &format!("-f lavfi -i {PICTURE} -f lavfi -i {SOUND} -i {{}}/words.srt -map 0 -map 1 -map 2 {X264}"))
            }
            "changing_size" => {
                let first = self.ffmpeg("first.ts", &format!("-f lavfi -i {PICTURE} -f lavfi -i {SOUND} {X264}"));
                let second = self.ffmpeg(
                    "second.ts",
                    &format!("-f lavfi -i testsrc2=s=640x360:r=30:d=2 -f lavfi -i {SOUND} {X264} -output_ts_offset 2"),
                );
                self.bytes("changing_size.ts", &[fs::read(first).unwrap(), fs::read(second).unwrap()].concat())
            }
            "still_gif" => self.ffmpeg("still.gif", "-f lavfi -i testsrc2=s=160x90 -frames:v 1"),
            "prores" => self.ffmpeg("prores.mov", "-f lavfi -i testsrc2=s=320x180:r=30:d=1 -f lavfi -i sine=440:r=48000:d=1 -c:v prores_ks -c:a pcm_s16le"),
            "wmv" => self.ffmpeg("wmv.wmv", &format!("-f lavfi -i {PICTURE} -f lavfi -i {SOUND} -c:v wmv2 -c:a wmav2")),
            "opus" => self.ffmpeg("opus.mp4", &format!("-f lavfi -i testsrc2=s=320x180:r=30000/1001:d=2 -f lavfi -i {SOUND} -c:v libx264 -preset ultrafast -pix_fmt yuv420p -c:a libopus")),
            "wide_pixels" => self.ffmpeg("wide_pixels.mp4", &format!("-f lavfi -i testsrc2=s=320x180:r=30:d=1 -vf setsar=4/3 {X264}")),
            "four_four_four" => self.ffmpeg("four_four_four.mp4", "-f lavfi -i testsrc2=s=320x180:r=30:d=1 -c:v libx264 -preset ultrafast -pix_fmt yuv444p"),
            "tiny_sound" => self.ffmpeg("tiny_sound.mkv", &format!("-f lavfi -i {PICTURE} -f lavfi -i sine=440:r=48000:d=0.1 {X264}")),
            "left_out_sound" => self.ffmpeg("left_out_sound.mp4", &format!("-f lavfi -i {PICTURE} -f lavfi -i sine=440:r=48000:d=0.1 {X264}")),
            other => families::make(self, other),
        }
    }

    pub fn cut(&self, whole: &Path, name: &str, percent: usize) -> PathBuf {
        let bytes = fs::read(whole).unwrap();
        self.bytes(name, &bytes[..bytes.len() * percent / 100])
    }

    /// Bits flipped in the middle of the media.
    pub fn flipped(&self, whole: &Path, name: &str) -> PathBuf {
        let mut bytes = fs::read(whole).unwrap();
        let length = bytes.len();
        for step in 0..200 {
            bytes[length / 3 + step * (length / 3) / 200] ^= 0x55;
        }
        self.bytes(name, &bytes)
    }
}

/// The same bytes in each run.
pub fn pseudo_random(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// One field of a stream or the format, by ffprobe.
pub fn ffprobe(path: &Path, arguments: &str) -> String {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-of", "csv=p=0"])
        .args(arguments.split_whitespace())
        .arg(path)
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).trim().trim_end_matches(',').to_owned()
}
