//! Families of odd inputs. Films get brighter with time, so that a picture tells when it is shown.

use std::{fs, path::PathBuf, process::Command};

use super::{
    Corpus,
    boxes::{self, all, append, boxed, number, outermost, rename},
};

const H264: &str = "-c:v libx264 -preset ultrafast -qp 4 -g 10 -pix_fmt yuv420p";
/// Of letters that take four bytes.
pub const TITLE: &str = "\u{1f3ac}\u{1f39e}\u{fe0f}";
const TONE: &str = "-f lavfi -i sine=440:r=48000:d=2";

/// A film whose luma rises by `rise` a second.
fn film(rate: u32, seconds: u32, rise: u32) -> String {
    format!("-f lavfi -i color=gray:s=160x90:r={rate}:d={seconds},format=yuv420p,geq=lum=70+{rise}*T:cb=118:cr=138")
}

/// 2 s of 10 pictures a second, which the others are made of.
fn ramp() -> String {
    film(10, 2, 60)
}

/// Pictures of 4 s each.
fn slides(corpus: &Corpus, name: &str, b_frames: u32) -> PathBuf {
    let slides = film(25, 12, 8) + ",select=not(mod(n\\,100))";
    let options = format!("-vsync passthrough -c:v libx264 -preset veryfast -qp 4 -bf {b_frames} -pix_fmt yuv420p");
    corpus.ffmpeg(name, &format!("{slides} {options}"))
}

/// Its last picture lasts no time at all, and all lengths are without it.
fn last_of_zero(corpus: &Corpus) -> PathBuf {
    let whole = corpus.ffmpeg("even.mp4", &format!("{} {H264} -bf 0 -video_track_timescale 1000", ramp()));
    let mut bytes = fs::read(whole).unwrap();
    for (kind, at) in [(b"mvhd", 24), (b"tkhd", 28), (b"mdhd", 24), (b"elst", 16)] {
        let at = all(&bytes, kind).remove(0).start + at;
        assert_eq!(number(&bytes, at), 2000);
        bytes[at..at + 4].copy_from_slice(&1900u32.to_be_bytes());
    }
    let times = all(&bytes, b"stts").remove(0);
    append(&mut bytes, &times, &[1u32, 0].map(u32::to_be_bytes).concat());
    bytes[times.start + 12..times.end].copy_from_slice(&[2u32, 19, 100].map(u32::to_be_bytes).concat());
    corpus.bytes("last_of_zero.mp4", &bytes)
}

/// Plays the first and the third second of four.
fn two_edits(corpus: &Corpus) -> PathBuf {
    let whole = corpus.ffmpeg("four.mp4", &format!("{} {H264} -bf 0 -video_track_timescale 1000", film(10, 4, 30)));
    let mut bytes = fs::read(whole).unwrap();
    let list = all(&bytes, b"elst").remove(0);
    let entry = |media: u32| [1000, media, 0x1_0000].map(u32::to_be_bytes).concat();
    append(&mut bytes, &list, &entry(2000));
    bytes[list.start + 12..list.end].copy_from_slice(&[2u32.to_be_bytes().to_vec(), entry(0)].concat());
    corpus.bytes("two_edits.mp4", &bytes)
}

fn fragmented(corpus: &Corpus, options: &str) -> Vec<u8> {
    let tracks = format!("{} {TONE} {H264} -c:a aac", ramp());
    let path = corpus.ffmpeg(
        "parts.mp4",
        &format!("{tracks} -movflags empty_moov+frag_keyframe+default_base_moof {options}"),
    );
    fs::read(path).unwrap()
}

/// Boxes that a reader must pass over, between the fragments and in them.
fn strange_boxes(corpus: &Corpus) -> PathBuf {
    let bytes = fragmented(corpus, "");
    let groups = boxed(b"sgpd", b"\x01\0\0\0roll\0\0\0\x02\0\0\0\x01\xff\xff");
    let mut made = Vec::new();
    for (kind, range) in outermost(&bytes) {
        let mut part = bytes[range].to_vec();
        match &kind {
            b"mfra" => continue,
            b"moof" => {
                let track = all(&part, b"traf").remove(0);
                append(&mut part, &track, &groups);
                for run in all(&part, b"trun") {
                    let offset = number(&part, run.start + 16) + groups.len() as u32;
                    part[run.start + 16..run.start + 20].copy_from_slice(&offset.to_be_bytes());
                }
                made.extend(boxed(b"free", &[0; 100]));
                made.extend(boxed(b"uuid", &[7; 40]));
            }
            _ => {}
        }
        made.extend(part);
    }
    corpus.bytes("strange_boxes.mp4", &made)
}

/// The second track of fragments without media, or without a description.
fn lost_track(corpus: &Corpus, name: &str, boxes_of_it: &[&[u8; 4]]) -> PathBuf {
    let mut bytes = fragmented(corpus, "");
    for kind in boxes_of_it {
        for place in all(&bytes, kind).into_iter().skip(1).step_by(2) {
            rename(&mut bytes, &place, b"free");
        }
    }
    corpus.bytes(name, &bytes)
}

/// Plain samples as ISO/IEC 23003-5 describes them, in the place of QuickTime's description.
fn plain_samples(corpus: &Corpus, name: &str, codec: &str) -> PathBuf {
    let whole = corpus.ffmpeg(&format!("{name}.truth.mov"), &format!("{TONE} -ac 2 -c:a {codec}"));
    let mut bytes = fs::read(whole).unwrap();
    let kind: &[u8; 4] = if codec.contains("_f") { b"fpcm" } else { b"ipcm" };
    let bits: u8 = codec.trim_matches(|letter: char| !letter.is_ascii_digit()).parse().unwrap();
    let little = u8::from(codec.ends_with("le"));
    let description = all(&bytes, b"stsd").remove(0);
    let mut body = [0; 28];
    body[7] = 1;
    body[17] = 2;
    body[19] = bits;
    body[24..26].copy_from_slice(&48_000u16.to_be_bytes());
    let entry = [&body, boxed(b"pcmC", &[0, 0, 0, 0, little, bits]).as_slice()].concat();
    let free = description.len() - 16 - entry.len() - 16;
    let entry = boxed(kind, &[entry, boxed(b"free", &vec![0; free])].concat());
    bytes[description.start + 16..description.end].copy_from_slice(&entry);
    bytes[8..12].copy_from_slice(b"mp42");
    bytes[16..20].copy_from_slice(b"mp42");
    corpus.bytes(&format!("{name}.mp4"), &bytes)
}

/// Motion JPEG with other sampling factors: as many blocks in as many units, so that an even picture stays itself.
fn sampled(corpus: &Corpus, name: &str, format: &str, (luma, chroma): (u8, u8)) -> PathBuf {
    let whole = corpus.ffmpeg("plain.avi", &format!("{} -pix_fmt {format} -c:v mjpeg -q:v 2", ramp()));
    let mut bytes = fs::read(whole).unwrap();
    let headers = (0..bytes.len() - 18).filter(|at| bytes[*at..].starts_with(&[0xff, 0xc0, 0, 17, 8]));
    for at in headers.collect::<Vec<_>>() {
        (bytes[at + 11], bytes[at + 14], bytes[at + 17]) = (luma, chroma, chroma);
    }
    corpus.bytes(name, &bytes)
}

/// A transport stream that lacks a packet of 188 bytes here and there.
fn lost_packets(corpus: &Corpus) -> PathBuf {
    let film = "-f lavfi -i testsrc2=s=160x90:r=25:d=2";
    let whole = corpus.ffmpeg(
        "whole.ts",
        &format!("{film} {TONE} -c:v libx264 -preset ultrafast -g 10 -pix_fmt yuv420p -c:a aac"),
    );
    let packets = fs::read(whole).unwrap();
    let is_film = |packet: &[u8]| packet[1] & 0x1f == 1 && packet[2] == 0;
    let mut films = 0;
    let kept = packets.chunks_exact(188).filter(|packet| {
        films += usize::from(is_film(packet));
        !(is_film(packet) && films % 150 == 80)
    });
    corpus.bytes("lost_packets.ts", &kept.flatten().copied().collect::<Vec<_>>())
}

fn heic(corpus: &Corpus) -> PathBuf {
    let source = corpus.ffmpeg("source.png", &format!("{} -frames:v 1 -pix_fmt rgb24", ramp()));
    let path = corpus.folder().join("still.heic");
    let made = Command::new("heif-enc")
        .args(["-q", "95", "-o"])
        .arg(&path)
        .arg(source)
        .output()
        .unwrap();
    assert!(made.status.success() && path.exists(), "{}", String::from_utf8_lossy(&made.stderr));
    path
}

/// Written to a pipe: its header says no length.
fn piped_flac(corpus: &Corpus) -> PathBuf {
    let mut command = Command::new("ffmpeg");
    command
        .args(["-v", "error", "-nostdin"])
        .args(TONE.split(' '))
        .args(["-f", "flac", "pipe:1"]);
    corpus.bytes("piped.flac", &command.output().unwrap().stdout)
}

pub fn make(corpus: &Corpus, case: &str) -> PathBuf {
    let both = format!("{} {TONE} {H264} -c:a aac", ramp());
    let one = |pixels: &str| format!("{},crop={pixels}:exact=1 -frames:v 1", ramp());
    match case {
        "slides" => slides(corpus, "slides.mp4", 0),
        "slides_b" => slides(corpus, "slides_b.mp4", 2),
        "last_of_zero" => last_of_zero(corpus),
        "late_mkv" => corpus.ffmpeg("late.mkv", &format!("{both} -output_ts_offset 10")),
        "late_ts" => corpus.ffmpeg("late.ts", &format!("{both} -output_ts_offset 10")),
        "late_mp4" => corpus.ffmpeg("late.mp4", &format!("{both} -output_ts_offset 10")),
        "late_fragments" => corpus.bytes("late_fragments.mp4", &fragmented(corpus, "-use_editlist 0 -output_ts_offset 10")),
        "two_edits" => two_edits(corpus),
        "auxiliary" => {
            let small = "-filter_complex [0:v]split[a][b];[b]scale=64:36,negate[c] -map [a] -map [c] -map 1";
            let path = corpus.ffmpeg("two.mp4", &format!("{} {TONE} {small} {H264} -c:a aac", ramp()));
            let mut bytes = fs::read(path).unwrap();
            let handler = all(&bytes, b"hdlr").remove(1);
            bytes[handler.start + 16..handler.start + 20].copy_from_slice(b"auxv");
            corpus.bytes("auxiliary.mp4", &bytes)
        }
        "strange_boxes" => strange_boxes(corpus),
        "empty_track" => lost_track(corpus, "empty_track.mp4", &[b"traf"]),
        "nameless_track" => lost_track(corpus, "nameless_track.mp4", &[b"stsd"]),
        "dts" => corpus.ffmpeg("dts.ts", &format!("{} {TONE} {H264} -strict -2 -c:a dca -ac 2", ramp())),
        "mjpeg_440" => sampled(corpus, "mjpeg_440.avi", "yuvj422p", (0x22, 0x21)),
        "mjpeg_411" => sampled(corpus, "mjpeg_411.avi", "yuvj420p", (0x41, 0x11)),
        "lost_packets" => lost_packets(corpus),
        "decimated" => corpus.ffmpeg(
            "decimated.mkv",
            &format!("-f lavfi -i color=gray:s=160x90:r=25:d=2,format=yuv420p,geq=lum=70+15*floor(T*4):cb=118:cr=138,mpdecimate {TONE} -vsync vfr {H264} -c:a aac"),
        ),
        "interlaced_ts" | "interlaced_vob" => {
            let name = case.replace('_', ".");
            let coding = "-c:v mpeg2video -q:v 2 -g 12 -bf 2 -flags +ildct+ilme -c:a mp2";
            corpus.ffmpeg(&name, &format!("{},tinterlace=interleave_top {TONE} {coding}", film(50, 2, 60)))
        }
        "emoji" => corpus.ffmpeg("emoji.mp4", &format!("{both} -metadata title={TITLE}")),
        "piped_flac" => piped_flac(corpus),
        "ipcm_24_be" => plain_samples(corpus, case, "pcm_s24be"),
        "fpcm_32_le" => plain_samples(corpus, case, "pcm_f32le"),
        "fpcm_64_be" => plain_samples(corpus, case, "pcm_f64be"),
        "tiff" => corpus.ffmpeg("still.tif", &format!("{} -frames:v 1 -pix_fmt rgb24", ramp())),
        "bmp" => corpus.ffmpeg("still.bmp", &format!("{} -frames:v 1", ramp())),
        "heic" => heic(corpus),
        "one_jpg" => corpus.ffmpeg("one.jpg", &format!("{} -pix_fmt yuvj444p", one("1:1"))),
        "init" | "segment" => {
            let bytes = fragmented(corpus, "");
            let media = boxes::all(&bytes, b"moof").remove(0).start;
            let part = if case == "init" { &bytes[..media] } else { &bytes[media..] };
            corpus.bytes(&format!("{case}.mp4"), part)
        }
        other => panic!("no such case: {other}"),
    }
}
