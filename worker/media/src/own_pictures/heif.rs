//! HEIC and AVIF: the main picture, which `heif-convert` of libheif decodes in a process of its own, under limits, into a PNG in the pass's
//! folder. It turns and cuts the picture by itself; colours are brought to sRGB here.

use std::{
    fs::{self, File},
    io::{self, BufReader, Read, Seek, SeekFrom, Write},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use image::{DynamicImage, ImageDecoder, codecs::png::PngDecoder};
use moxcms::{CicpColorPrimaries, CicpProfile, ColorProfile, Layout, MatrixCoefficients, TransferCharacteristics, TransformOptions};

use super::{Picture, Summary, unless_too_large};
use crate::{
    isobmff::{read_body, top_level},
    parse::heif::{self, Colours, HIDDEN, Main},
};

pub const CONTAINERS: [&str; 2] = ["heif", "avif"];
/// The program, what limits it, and what it decodes.
const PROGRAM: &str = "heif-convert";
const LIMITER: &str = "prlimit";
const CODECS: [&str; 2] = ["hevc", "av1"];
/// Address space: of the program with its libraries and threads, and for each pixel of the picture, whose samples stand there several times.
const BASE_BYTES: u64 = 2 << 30;
const PIXEL_BYTES: u64 = 64;
/// Bytes of a pixel in the PNG, at most, and of what surrounds it.
const WRITTEN_PIXEL_BYTES: u64 = 9;
const WRITTEN_BASE_BYTES: u64 = 16 << 20;
/// Time of the processor, and for each megapixel; and how many times as long it may take by the clock. A megapixel takes half a second.
const BASE_SECONDS: u64 = 20;
const MEGAPIXEL_SECONDS: u64 = 4;
const PATIENCE: u32 = 3;
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Signal of the kernel where memory is short.
const KILLED: i32 = 9;
/// More than what is left in the last block of a file.
const A_BLOCK: usize = 64 << 10;
/// Brands of films of pictures, of which the program knows none by name; their main picture it reads under that of still ones.
const SEQUENCES: [&[u8; 4]; 5] = [b"avis", b"msf1", b"hevc", b"hevx", b"hevm"];
const BRAND_AT: u64 = 8;
/// Bytes of the program's words that are passed on.
const LONGEST_WORDS: u64 = 300;

/// Whether the program decodes a codec.
pub fn decodes(codec: &str) -> bool {
    CODECS.contains(&codec)
}

/// The same, and whether it is there.
pub fn is_decodable(codec: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = |name: &str| std::env::split_paths(&path).any(|folder| folder.join(name).is_file());
    decodes(codec) && is_there(PROGRAM) && is_there(LIMITER)
}

pub fn summarize(path: &Path) -> io::Result<Summary> {
    let main = main_picture(path)?;
    Ok(Summary {
        codec: main.codec,
        is_sequence: is_sequence(path)?,
        is_hdr: main.colours.as_ref().is_some_and(Colours::are_high_dynamic_range),
        ..Summary::still((main.width, main.height))
    })
}

fn is_sequence(path: &Path) -> io::Result<bool> {
    let mut brand = [0; 4];
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(BRAND_AT))?;
    file.read_exact(&mut brand)?;
    Ok(SEQUENCES.contains(&&brand))
}

/// What the file says of its main picture.
pub fn main_picture(path: &Path) -> io::Result<Main> {
    read_meta(path).map(|(_, main)| main)
}

/// Where the body of `meta` begins, and what it says.
fn read_meta(path: &Path) -> io::Result<(u64, Main)> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    let boxes = top_level(&mut file, size)?;
    let mut metas = boxes.iter().filter(|found| found.kind == *b"meta");
    let meta = metas.next().ok_or_else(|| io::Error::other("it has no still picture"))?;
    if metas.next().is_some() {
        // The program may take another one.
        return Err(io::Error::other("it describes its pictures twice"));
    }
    let main = heif::main_picture(&read_body(&mut file, meta)?);
    let main = main.ok_or_else(|| io::Error::other("its main picture is not described"))?;
    Ok((meta.start + meta.header, main))
}

/// The main picture, upright. Gives up once it is not wanted any more.
pub fn read(path: &Path, folder: &Path, max_pixels: u64, is_wanted: &dyn Fn() -> bool) -> io::Result<Picture> {
    let (meta_at, main) = read_meta(path)?;
    unless_too_large(main.width, main.height, max_pixels)?;
    if max_pixels > 0 && main.coded_pixels > max_pixels {
        return Err(io::Error::other("what the picture is cut from is too large"));
    }
    let files = Files::within(folder);
    let is_sequence = is_sequence(path)?;
    let input = if main.others.is_empty() && main.profiles.is_empty() && !is_sequence {
        path
    } else {
        leave_alone(path, &files.alone, meta_at, &main)?;
        if is_sequence {
            let brand = if main.codec == "av1" { b"avif" } else { b"heic" };
            write_at(&files.alone, BRAND_AT, brand)?;
        }
        &files.alone
    };
    let child = start(input, &files, main.coded_pixels)?;
    wait(child, &files.words, main.coded_pixels, is_wanted)?;
    if fs::metadata(&files.picture).map_or(0, |written| written.len()) == 0 {
        unless_full(&files.words)?;
        return Err(io::Error::other(format!("{PROGRAM} wrote no picture: {}", said(&files.words))));
    }
    Ok(Picture {
        pixels: read_png(&files.picture, &main)?,
        start: Duration::ZERO,
        duration: None,
    })
}

/// What the program reads and writes; gone when it drops.
struct Files {
    alone: PathBuf,
    picture: PathBuf,
    words: PathBuf,
}

impl Files {
    fn within(folder: &Path) -> Self {
        Self {
            alone: folder.join("main-picture.heif"),
            picture: folder.join("main-picture.png"),
            words: folder.join("main-picture.log"),
        }
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        for file in [&self.alone, &self.picture, &self.words] {
            let _not_made = fs::remove_file(file);
        }
    }
}

/// A copy in which only the main picture is shown, since the program writes every one that is; and without profiles, since it writes no
/// picture with one that libpng does not like.
fn leave_alone(path: &Path, copy: &Path, meta_at: u64, main: &Main) -> io::Result<()> {
    fs::copy(path, copy)?;
    let mut file = File::options().read(true).write(true).open(copy)?;
    for flags_at in &main.others {
        let at = SeekFrom::Start(meta_at + *flags_at as u64);
        let mut flags = [0];
        file.seek(at)?;
        file.read_exact(&mut flags)?;
        file.seek(at)?;
        file.write_all(&[flags[0] | HIDDEN])?;
    }
    for name_at in &main.profiles {
        file.seek(SeekFrom::Start(meta_at + *name_at as u64))?;
        file.write_all(b"free")?;
    }
    Ok(())
}

fn write_at(path: &Path, at: u64, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::options().write(true).open(path)?;
    file.seek(SeekFrom::Start(at))?;
    file.write_all(bytes)
}

fn seconds(pixels: u64) -> u64 {
    BASE_SECONDS + MEGAPIXEL_SECONDS * (pixels >> 20)
}

fn start(input: &Path, files: &Files, pixels: u64) -> io::Result<Child> {
    let space = BASE_BYTES + pixels.saturating_mul(PIXEL_BYTES);
    let written = WRITTEN_BASE_BYTES + pixels.saturating_mul(WRITTEN_PIXEL_BYTES);
    Command::new(LIMITER)
        .args([
            format!("--as={space}"),
            // The limit's own signal comes first: one that cannot be caught is somebody else's.
            format!("--cpu={}:{}", seconds(pixels), seconds(pixels) + 1),
            format!("--fsize={written}"),
        ])
        .args(["--core=0", "--", PROGRAM])
        .args([input, &files.picture])
        .env_clear()
        .envs(std::env::vars_os().filter(|(name, _)| name == "PATH"))
        // Each thread's own arena would take address space that nothing uses.
        .env("MALLOC_ARENA_MAX", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(&files.words)?)
        .spawn()
}

fn wait(mut child: Child, words: &Path, pixels: u64, is_wanted: &dyn Fn() -> bool) -> io::Result<()> {
    let ends = Instant::now() + Duration::from_secs(seconds(pixels)) * PATIENCE;
    loop {
        let problem = match child.try_wait()? {
            Some(status) if status.success() => return Ok(()),
            Some(status) if status.signal() == Some(KILLED) => return Err(io::ErrorKind::OutOfMemory.into()),
            Some(status) => {
                unless_full(words)?;
                return Err(io::Error::other(format!("{PROGRAM} ended with {status}: {}", said(words))));
            }
            None if !is_wanted() => "it is not wanted any more",
            None if Instant::now() > ends => "its decoder took too long",
            None => {
                sleep(LOOK_EVERY);
                continue;
            }
        };
        child.kill()?;
        child.wait()?;
        return Err(io::Error::other(problem));
    }
}

/// An error where the disk takes nothing more; the program only says that it failed.
fn unless_full(words: &Path) -> io::Result<()> {
    let mut file = File::options().append(true).open(words)?;
    let before = file.metadata()?.len();
    file.write_all(&[0; A_BLOCK])?;
    file.set_len(before)
}

fn said(words: &Path) -> String {
    let mut bytes = Vec::new();
    let read = File::open(words).and_then(|file| file.take(LONGEST_WORDS).read_to_end(&mut bytes));
    let text = String::from_utf8_lossy(&bytes);
    read.map_or_else(|error| error.to_string(), |_| text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// RGBA in sRGB.
fn read_png(path: &Path, main: &Main) -> io::Result<Vec<u8>> {
    let decoder = PngDecoder::new(BufReader::new(File::open(path)?)).map_err(io::Error::other)?;
    if decoder.dimensions() != (main.width, main.height) {
        let (width, height) = decoder.dimensions();
        let problem = format!(
            "the picture has {width}x{height} pixels, and its header says {}x{}",
            main.width, main.height
        );
        return Err(io::Error::other(problem));
    }
    let pixels = DynamicImage::from_decoder(decoder)
        .map_err(io::Error::other)?
        .into_rgba8()
        .into_raw();
    let profile = match &main.colours {
        Some(Colours::Profile(profile)) => ColorProfile::new_from_slice(profile).ok(),
        Some(Colours::Numbers(numbers)) => of_numbers(*numbers),
        None => None,
    };
    Ok(profile.and_then(|profile| to_srgb(&pixels, &profile)).unwrap_or(pixels))
}

/// Primaries that are not those of sRGB; of all others the difference is small, or nobody knows it. The curve is taken for that of sRGB, as
/// everybody does with the camera's of BT.709.
fn of_numbers([primaries, _]: [u16; 2]) -> Option<ColorProfile> {
    let primaries = CicpColorPrimaries::try_from(u8::try_from(primaries).ok()?).ok()?;
    let wide = [
        CicpColorPrimaries::Bt2020,
        CicpColorPrimaries::Smpte432,
        CicpColorPrimaries::Smpte431,
    ];
    wide.contains(&primaries).then(|| {
        ColorProfile::new_from_cicp(CicpProfile {
            color_primaries: primaries,
            transfer_characteristics: TransferCharacteristics::Srgb,
            matrix_coefficients: MatrixCoefficients::Identity,
            full_range: true,
        })
    })
}

/// `None` where the profile is none of RGB.
fn to_srgb(pixels: &[u8], profile: &ColorProfile) -> Option<Vec<u8>> {
    let options = TransformOptions::default();
    let transform = profile
        .create_transform_8bit(Layout::Rgba, &ColorProfile::new_srgb(), Layout::Rgba, options)
        .ok()?;
    let mut converted = vec![0; pixels.len()];
    transform.transform(pixels, &mut converted).ok()?;
    Some(converted)
}
