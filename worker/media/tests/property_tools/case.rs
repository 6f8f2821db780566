//! What a seed means: one film and what is asked of it. A seed gives the same case in each run.

/// Width and height of the coded picture.
pub const SIZE: (usize, usize) = (160, 96);

/// What of the film's sound there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sound {
    /// As long as the picture.
    Whole,
    /// It begins 0.6 s behind the picture.
    Late,
    /// It ends in the middle of the picture.
    Short,
    /// It ends 0.5 s behind the picture.
    Long,
}

/// How an MP4 or MOV is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    IndexLast,
    IndexFirst,
    Fragments,
}

/// What an edit list leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edit {
    /// Nothing; there may be one for the order of pictures.
    Plain,
    /// A copy from a time on, in milliseconds.
    Cut(u32),
    /// The list is written anew: this much is left out in front, in milliseconds.
    Trimmed(u32),
}

/// What happened to the file's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Harm {
    Unharmed,
    /// This share of it is left, in percent.
    Cut(u32),
    /// So many bits are other than they were.
    Flips(u32),
}

/// The kind of file that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    pub container: &'static str,
    /// "copy": streams as they are.
    pub video: &'static str,
    pub audio: &'static str,
}

#[derive(Debug, Clone)]
pub struct Case {
    pub seed: u64,
    pub container: &'static str,
    pub video: &'static str,
    pub audio: Option<&'static str>,
    pub sound: Sound,
    /// Pictures per second.
    pub rate: (u32, u32),
    pub variable: bool,
    pub pictures: u32,
    pub gop: u32,
    pub b_frames: u32,
    pub closed: bool,
    pub layout: Layout,
    pub edit: Edit,
    /// By how many degrees it is shown turned.
    pub turn: u32,
    pub harm: Harm,
    /// Offsets of its beginning and its end in milliseconds.
    pub clip: Option<(u32, u32)>,
    pub wanted: Wanted,
    /// Offset of a single picture that is wanted besides, in milliseconds.
    pub snapshot: Option<u32>,
}

/// Containers with what they are made with here.
const INPUTS: &[(&str, &[&str], &[&str])] = &[
    (
        "mp4",
        &["h264", "hevc", "mpeg4", "vp9", "mpeg2video"],
        &["aac", "mp3", "ac3", "opus", "flac"],
    ),
    (
        "mov",
        &["h264", "hevc", "mpeg4", "mpeg2video"],
        &["aac", "ac3", "pcm_s16le", "pcm_s16be"],
    ),
    (
        "mkv",
        &["h264", "hevc", "mpeg2video", "mpeg4", "vp8", "vp9"],
        &["aac", "mp3", "ac3", "opus", "vorbis", "flac", "pcm_s16le"],
    ),
    ("webm", &["vp8", "vp9"], &["opus", "vorbis"]),
    ("ts", &["h264", "hevc", "mpeg2video", "mpeg4"], &["aac", "mp3", "ac3", "mp2"]),
    ("vob", &["mpeg2video"], &["mp2", "ac3"]),
    ("flv", &["h264"], &["aac", "mp3"]),
    ("avi", &["mpeg4", "h264", "mpeg2video"], &["mp3", "ac3", "pcm_s16le"]),
];

/// Containers with what they take as it is.
const COPIES: &[(&str, &[&str], &[&str])] = &[
    ("mp4", &["h264", "hevc", "mpeg4", "vp9"], &["aac", "mp3", "ac3", "opus"]),
    ("mov", &["h264", "hevc", "mpeg4"], &["aac", "mp3", "ac3", "pcm_s16le", "pcm_s16be"]),
    (
        "mkv",
        &["h264", "hevc", "mpeg2video", "mpeg4", "vp8", "vp9"],
        &["aac", "mp3", "mp2", "ac3", "opus", "vorbis", "flac", "pcm_s16le", "pcm_s16be"],
    ),
    ("webm", &["vp8", "vp9"], &["opus", "vorbis"]),
    (
        "ts",
        &["h264", "hevc", "mpeg2video", "mpeg4"],
        &["aac", "mp3", "mp2", "ac3", "opus"],
    ),
    ("flv", &["h264"], &["aac", "mp3"]),
];

const ENCODES: &[(&str, &str, &str)] = &[
    ("mp4", "h264", "aac"),
    ("mp4", "h264", "aac"),
    ("mp4", "h264", "mp3"),
    ("mkv", "h264", "opus"),
    ("mkv", "h264", "flac"),
    ("ts", "h264", "aac"),
    ("ts", "h264", "mp3"),
    ("mov", "h264", "pcm_s16le"),
    ("webm", "vp8", "vorbis"),
    ("webm", "vp9", "opus"),
    ("flv", "h264", "aac"),
    ("mp4", "hevc", "ac3"),
];

const RATES: &[(u32, u32)] = &[(24_000, 1001), (25, 1), (30, 1), (50, 1), (60_000, 1001)];

/// Splitmix64: small, and every seed does.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From `least` to `most`.
    pub fn between(&mut self, least: u32, most: u32) -> u32 {
        least + (self.next() % u64::from(most - least + 1)) as u32
    }

    fn percent(&mut self, share: u32) -> bool {
        self.between(0, 99) < share
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[(self.next() % of.len() as u64) as usize]
    }
}

impl Case {
    pub fn of(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let (container, videos, audios) = dice.one(INPUTS);
        let video = dice.one(videos);
        let audio = (!dice.percent(15)).then(|| dice.one(audios));
        let rate = dice.one(RATES);
        let variable = !matches!(container, "avi" | "vob") && video != "mpeg2video" && dice.percent(20);
        // Pictures have eight bits for their numbers.
        let per_second = if variable { 25 } else { rate.0.div_ceil(rate.1) };
        let pictures = dice.between(per_second * 2, (per_second * 7 / 2).min(250));
        let may_reorder = !(container == "avi" && video == "h264");
        let in_boxes = matches!(container, "mp4" | "mov");
        let b_frames = if may_reorder { dice.one(&[0, 0, 1, 2, 3]) } else { 0 };
        let mut case = Self {
            seed,
            container,
            video,
            audio,
            sound: dice.one(&[Sound::Whole, Sound::Whole, Sound::Late, Sound::Short, Sound::Long]),
            rate,
            variable,
            pictures,
            gop: dice.one(&[1, 6, 12, 25, 250]),
            b_frames,
            closed: dice.percent(50),
            layout: if in_boxes {
                dice.one(&[Layout::IndexLast, Layout::IndexFirst, Layout::Fragments])
            } else {
                Layout::IndexLast
            },
            edit: Edit::Plain,
            turn: if in_boxes { dice.one(&[0, 0, 0, 90, 180, 270]) } else { 0 },
            harm: Harm::Unharmed,
            clip: None,
            wanted: Wanted {
                container: "mp4",
                video: "h264",
                audio: "aac",
            },
            snapshot: None,
        };
        if case.gop == 1 {
            case.b_frames = 0;
        }
        case.ask(&mut dice);
        case
    }

    /// What is done to the film and asked of it.
    fn ask(&mut self, dice: &mut Dice) {
        if matches!(self.container, "mp4" | "mov") && self.layout != Layout::Fragments && dice.percent(40) {
            let by = dice.between(150, 900);
            self.edit = dice.one(&[Edit::Cut(by), Edit::Trimmed(by)]);
        }
        self.harm = match dice.between(0, 99) {
            0..=11 => Harm::Cut(dice.between(30, 95)),
            12..=27 => Harm::Flips(dice.one(&[1, 5, 30, 200])),
            _ => Harm::Unharmed,
        };
        if dice.percent(45) {
            let start = dice.between(0, 900);
            self.clip = Some((start, start + dice.between(200, 1000)));
        }
        let (container, video, audio) = dice.one(ENCODES);
        self.wanted = Wanted { container, video, audio };
        if dice.percent(25) {
            let takes =
                |row: &&(&str, &[&str], &[&str])| row.1.contains(&self.video) && self.audio.is_none_or(|audio| row.2.contains(&audio));
            let rows: Vec<&str> = COPIES.iter().filter(takes).map(|row| row.0).collect();
            if !rows.is_empty() {
                self.wanted = Wanted {
                    container: dice.one(&rows),
                    video: "copy",
                    audio: "copy",
                };
            }
        }
        if dice.percent(30) {
            self.snapshot = Some(dice.between(0, 1200));
        }
    }

    /// What it has of everything, in words.
    pub fn values(&self) -> Vec<String> {
        let kind = |value: &dyn std::fmt::Debug| format!("{value:?}").split('(').next().unwrap_or_default().to_owned();
        let Wanted { container, video, audio } = self.wanted;
        vec![
            format!("{} of {}", self.video, self.container),
            format!("sound {:?} of {}", self.audio, self.container),
            format!("sound {:?}", self.sound),
            format!("rate {:?} {}", self.rate, self.variable),
            format!("gop {}, closed {}", self.gop, self.closed),
            format!("b-frames {}", self.b_frames),
            format!("{:?} {}", self.layout, kind(&self.edit)),
            format!("turn {}", self.turn),
            format!("{} of {}", kind(&self.harm), self.container),
            format!("clip of {}: {}", self.container, self.clip.is_some()),
            format!("{container} with {video} and {audio}"),
            format!("snapshot {}", self.snapshot.is_some()),
        ]
    }

    pub fn is_copy(&self) -> bool {
        self.wanted.video == "copy"
    }

    /// Seconds from one picture to the next, as a rule.
    pub fn step(&self) -> f64 {
        if self.variable {
            0.04
        } else {
            f64::from(self.rate.1) / f64::from(self.rate.0)
        }
    }

    /// Seconds at which a picture of the source stands.
    pub fn time(&self, picture: u32) -> f64 {
        if self.variable {
            f64::from(variable_ms(picture)) / 1000.0
        } else {
            f64::from(picture) * self.step()
        }
    }
}

/// Stamps of a film without a rate: 50, 50 and 20 ms apart.
pub fn variable_ms(picture: u32) -> u32 {
    picture * 40 + picture % 3 * 10
}
