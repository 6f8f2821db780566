//! Films by ffmpeg: each picture has its number as white and black blocks across its middle, and a plain colour in each corner; the sound is
//! one rising tone, of which each moment is heard once.

use std::{
    f64::consts::TAU,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::case::{Case, Dice, Edit, Harm, Layout, SIZE, Sound};

pub const RATE: usize = 48_000;
/// Blocks across the picture: white, eight bits from the highest, black.
pub const BLOCK: usize = 16;
pub const SOUND_LATE_S: f64 = 0.6;
/// Brightness, blueness and redness of the corners, line by line.
const CORNERS: [[u8; 3]; 4] = [[81, 90, 240], [145, 54, 34], [60, 220, 110], [190, 40, 140]];

/// The case's file; all that is written lies in `folder`.
pub fn film(case: &Case, folder: &Path) -> PathBuf {
    let (pictures, sound) = (folder.join("pictures.raw"), folder.join("sound.raw"));
    fs::write(&pictures, (0..case.pictures).flat_map(picture).collect::<Vec<u8>>()).unwrap();
    fs::write(&sound, tone(case)).unwrap();
    let mut path = folder.join(format!("film.{}", case.container));
    ffmpeg(&format!("{} {}", sources(case, &pictures, &sound), codecs(case)), &path);
    if let Edit::Cut(from) = case.edit {
        let cut = folder.join(format!("cut.{}", case.container));
        let layout = layout(case);
        ffmpeg(
            &format!("-ss {} -i {} -c copy -strict -2 {layout}", f64::from(from) / 1000.0, path.display()),
            &cut,
        );
        path = cut;
    }
    let mut bytes = fs::read(&path).unwrap();
    if let Edit::Trimmed(by) = case.edit {
        trim(&mut bytes, by);
    }
    if case.turn != 0 {
        turn(&mut bytes, case.turn);
    }
    harm(case, &mut bytes);
    fs::write(&path, bytes).unwrap();
    fs::remove_file(pictures).unwrap();
    fs::remove_file(sound).unwrap();
    path
}

fn ffmpeg(arguments: &str, output: &Path) {
    let told = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-y"])
        .args(arguments.split_whitespace())
        .arg(output)
        .output()
        .unwrap();
    assert!(
        told.status.success(),
        "ffmpeg {arguments}: {}",
        String::from_utf8_lossy(&told.stderr)
    );
}

/// One picture, 4:2:0.
fn picture(number: u32) -> Vec<u8> {
    let (width, height) = SIZE;
    let mut bytes = Vec::with_capacity(width * height * 3 / 2);
    for y in 0..height {
        bytes.extend((0..width).map(|x| brightness(number, x, y)));
    }
    for colour in [|corner: [u8; 3]| corner[1], |corner: [u8; 3]| corner[2]] {
        for y in 0..height / 2 {
            bytes.extend((0..width / 2).map(|x| corner(x * 2, y * 2).map_or(128, |corner| colour(CORNERS[corner]))));
        }
    }
    bytes
}

/// Which corner's colour stands at a place.
pub fn corner(x: usize, y: usize) -> Option<usize> {
    let side = |at: usize, length: usize| if at < 32 { Some(0) } else { (at >= length - 32).then_some(1) };
    let (across, down) = (side(x, SIZE.0)?, side(y, SIZE.1)?);
    Some(down * 2 + across)
}

fn brightness(number: u32, x: usize, y: usize) -> u8 {
    if let Some(corner) = corner(x, y) {
        return CORNERS[corner][0];
    }
    let middle = SIZE.1 / 2;
    if (middle - BLOCK / 2..middle + BLOCK / 2).contains(&y) {
        let is_white = match x / BLOCK {
            0 => true,
            9 => false,
            block => number >> (8 - block) & 1 == 1,
        };
        return if is_white { 210 } else { 40 };
    }
    // Hills that move to the left.
    let phase = (x + y + 2 * number as usize) % 64;
    (70 + phase.min(64 - phase) * 3) as u8
}

fn tone(case: &Case) -> Vec<u8> {
    let twice = |sample: usize| [tone_at(sample as f64 / RATE as f64); 2];
    let samples = (0..(tone_lasts(case) * RATE as f64) as usize).flat_map(twice);
    samples.flat_map(|value| ((value * 32_767.0) as i16).to_le_bytes()).collect()
}

/// The sound at a time from its beginning.
pub fn tone_at(t: f64) -> f64 {
    (TAU * (300.0 * t + 400.0 * t * t)).sin() / 2.0
}

/// Seconds of it.
pub fn tone_lasts(case: &Case) -> f64 {
    let lasts = case.time(case.pictures);
    match case.sound {
        Sound::Whole => lasts,
        Sound::Late => lasts - SOUND_LATE_S,
        Sound::Short => lasts / 2.0,
        Sound::Long => lasts + 0.5,
    }
}

fn sources(case: &Case, pictures: &Path, sound: &Path) -> String {
    let rate = if case.variable { (25, 1) } else { case.rate };
    let (width, height) = SIZE;
    let mut text = format!(
        "-f rawvideo -pix_fmt yuv420p -s {width}x{height} -framerate {}/{} -i {}",
        rate.0,
        rate.1,
        pictures.display()
    );
    if case.audio.is_some() {
        if case.sound == Sound::Late {
            text += &format!(" -itsoffset {SOUND_LATE_S}");
        }
        text += &format!(" -f s16le -ar {RATE} -ac 2 -i {}", sound.display());
    }
    if case.variable {
        text += " -vf settb=1/1000,setpts=40*N+10*mod(N\\,3) -fps_mode passthrough -enc_time_base:v 1/1000";
    }
    text
}

fn codecs(case: &Case) -> String {
    let (gop, b_frames) = (case.gop, case.b_frames);
    let open = u8::from(!case.closed);
    let video = match case.video {
        "h264" => format!("libx264 -preset veryfast -crf 8 -g {gop} -bf {b_frames} -x264-params open-gop={open}"),
        "hevc" => {
            let tag = if matches!(case.container, "mp4" | "mov") {
                "-tag:v hvc1"
            } else {
                ""
            };
            format!("libx265 -preset ultrafast -crf 8 {tag} -x265-params log-level=none:keyint={gop}:bframes={b_frames}:open-gop={open}")
        }
        "vp8" => format!(
            "libvpx -deadline realtime -cpu-used 8 -b:v 3M -g {gop} -auto-alt-ref {}",
            u8::from(b_frames > 0)
        ),
        "vp9" => format!(
            "libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 3M -g {gop} -auto-alt-ref {}",
            u8::from(b_frames > 0)
        ),
        other => {
            let closed = if case.closed { "-flags +cgop -sc_threshold 1000000000" } else { "" };
            format!("{other} -q:v 2 -g {gop} -bf {b_frames} {closed}")
        }
    };
    let audio = match case.audio {
        Some("mp3") => "-c:a libmp3lame",
        Some("opus") => "-c:a libopus",
        Some("vorbis") => "-c:a libvorbis",
        Some("flac") => "-c:a flac",
        Some("aac") => "-c:a aac",
        Some("ac3") => "-c:a ac3",
        Some("mp2") => "-c:a mp2",
        Some("pcm_s16be") => "-c:a pcm_s16be",
        Some(_) => "-c:a pcm_s16le",
        None => "",
    };
    format!("-c:v {video} -pix_fmt yuv420p -threads 1 -strict -2 {audio} {}", layout(case))
}

fn layout(case: &Case) -> &'static str {
    match case.layout {
        Layout::IndexLast => "",
        Layout::IndexFirst => "-movflags +faststart",
        Layout::Fragments => "-movflags +frag_keyframe+empty_moov+delay_moov+default_base_moof",
    }
}

fn find(bytes: &[u8], kind: &[u8; 4], from: usize) -> Option<usize> {
    bytes.get(from..)?.windows(4).position(|window| window == kind).map(|at| from + at)
}

fn number(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// Moves the beginning of every edit that shows media.
fn trim(bytes: &mut [u8], by_ms: u32) {
    let index = find(bytes, b"moov", 0).unwrap();
    let movie_scale = number(bytes, find(bytes, b"mvhd", index).unwrap() + 16);
    let mut from = index;
    while let Some(track) = find(bytes, b"trak", from) {
        from = track + 4;
        let scale = number(bytes, find(bytes, b"mdhd", track).unwrap() + 16);
        let Some(list) = find(bytes, b"elst", track).filter(|list| find(bytes, b"trak", from).is_none_or(|next| *list < next)) else {
            continue;
        };
        for entry in 0..number(bytes, list + 8) as usize {
            let at = list + 12 + entry * 12;
            let (length, media) = (number(bytes, at), number(bytes, at + 4) as i32);
            let (less, later) = (by_ms * movie_scale / 1000, by_ms * scale / 1000);
            if media >= 0 && length > less {
                bytes[at..at + 4].copy_from_slice(&(length - less).to_be_bytes());
                bytes[at + 4..at + 8].copy_from_slice(&(media as u32 + later).to_be_bytes());
            }
        }
    }
}

/// Writes a matrix into the first track, which is the picture's.
fn turn(bytes: &mut [u8], degrees: u32) {
    let index = find(bytes, b"moov", 0).unwrap();
    let at = find(bytes, b"tkhd", index).unwrap() + 44;
    let one = 0x1_0000u32;
    let (a, b, c, d) = match degrees {
        90 => (0, one, one.wrapping_neg(), 0),
        180 => (one.wrapping_neg(), 0, 0, one.wrapping_neg()),
        _ => (0, one.wrapping_neg(), one, 0),
    };
    for (place, value) in [a, b, 0, c, d, 0, 0, 0, 0x4000_0000].into_iter().enumerate() {
        bytes[at + place * 4..at + place * 4 + 4].copy_from_slice(&value.to_be_bytes());
    }
}

fn harm(case: &Case, bytes: &mut Vec<u8>) {
    let mut dice = Dice::new(case.seed ^ 0x5eed);
    match case.harm {
        Harm::Unharmed => {}
        Harm::Cut(percent) => bytes.truncate(bytes.len() * percent as usize / 100),
        Harm::Flips(count) => {
            for _ in 0..count {
                let bit = dice.next() as usize % (bytes.len() * 8);
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
        }
    }
}
