//! Where segments become files: a thread of each set writes them, takes their checksums and tells of them, so that no stream of the pass
//! waits for a disk while others want to go on. What waits for it is bounded.

use std::{
    fmt::Display,
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, atomic::Ordering::Relaxed, mpsc::Receiver},
    time::Duration,
};

use mps_proto::{
    v1::ErrorReason,
    worker::v1::{ChildMember, Failure, SetMember, SetTrack},
};
use sha2::{Digest, Sha256};

use super::{Packet, config::TrackConfig, fmp4, ts};
use crate::{failure, job::Members, pass::counters::Counters};

/// Largest member: what one upload takes.
const MOST_BYTES: u64 = 5 << 30;

/// What is to be done.
pub enum Work {
    /// A track is known.
    Track(SetTrack),
    Piece(Box<Piece>),
    /// Nothing more comes of one of so many groups of tracks.
    End,
}

/// A file of a set.
pub struct Piece {
    pub member: SetMember,
    /// In units of the time scale.
    pub start: i64,
    pub length: i64,
    pub timescale: u32,
    pub suffix: &'static str,
    pub body: Body,
}

/// What is in it.
pub enum Body {
    Bytes(Vec<u8>),
    /// A segment of MPEG-TS.
    Transport(Vec<Part>),
    /// A segment of fragmented MP4.
    Fragment(Box<Part>),
}

/// The packets of a stream in a segment, with what describes them.
pub struct Part {
    pub config: TrackConfig,
    pub packets: Vec<Packet>,
    pub end: i64,
    pub first_dts: Option<i64>,
    pub lead: Vec<u8>,
}

impl Part {
    pub fn view(&self) -> fmp4::Part<'_> {
        fmp4::Part {
            config: &self.config,
            packets: &self.packets,
            end: self.end,
            first_dts: self.first_dts,
            lead: &self.lead,
        }
    }

    fn bytes(&self) -> u64 {
        self.packets.iter().map(|packet| packet.data.size() as u64).sum()
    }
}

/// The node whose set it is.
pub struct Outlet {
    pub set_id: String,
    pub folder: PathBuf,
    pub members: Members,
    pub node: usize,
    pub counters: Arc<Counters>,
    /// Tracks, and groups of tracks that are cut together.
    pub tracks: usize,
    pub groups: usize,
    pub trouble: Arc<Trouble>,
}

/// Why a set cannot go on: the first reason counts.
#[derive(Default)]
pub struct Trouble {
    failure: Mutex<Option<Failure>>,
    /// An element of the node, by which the pass is told.
    element: Mutex<Option<gst::glib::WeakRef<gst::Element>>>,
}

impl Trouble {
    pub fn tell_by(&self, element: &gst::Element) {
        use gst::prelude::*;
        if let Ok(mut place) = self.element.lock() {
            place.get_or_insert_with(|| element.downgrade());
        }
    }

    /// The node ends: `take` tells why.
    pub fn fail(&self, failure: Failure) {
        let Ok(mut place) = self.failure.lock() else { return };
        if place.is_some() {
            return;
        }
        *place = Some(failure);
        drop(place);
        let element = self.element.lock().ok().and_then(|element| element.as_ref()?.upgrade());
        if let Some(element) = element {
            gst::element_error!(element, gst::StreamError::Mux, ["segments cannot be written"]);
        }
    }

    pub fn take(&self) -> Option<Failure> {
        self.failure.lock().ok()?.take()
    }

    fn is_there(&self) -> bool {
        self.failure.lock().is_ok_and(|failure| failure.is_some())
    }
}

/// What was told so far: tracks are told together, before any member.
#[derive(Default)]
struct Order {
    tracks: Vec<SetTrack>,
    waiting: Vec<ChildMember>,
    is_told: bool,
    ended: usize,
}

impl Outlet {
    /// Works until nothing more comes.
    pub fn run(self, works: &Receiver<Work>) {
        let mut order = Order::default();
        for work in works {
            self.counters.tick();
            if self.trouble.is_there() || self.counters.is_abandoned.load(Relaxed) {
                continue;
            }
            match work {
                Work::Track(track) => self.learn(track, &mut order),
                Work::Piece(piece) => match self.write(*piece) {
                    Ok(member) if order.is_told => (self.members)(member),
                    Ok(member) => order.waiting.push(member),
                    Err(failure) => self.trouble.fail(failure),
                },
                Work::End => {
                    order.ended += 1;
                    self.end_with(order.ended);
                }
            }
        }
    }

    fn learn(&self, track: SetTrack, order: &mut Order) {
        order.tracks.push(track);
        if order.tracks.len() < self.tracks {
            return;
        }
        order.tracks.sort_by_key(|track| track.number);
        (self.members)(self.told(std::mem::take(&mut order.tracks), None));
        order.waiting.drain(..).for_each(|member| (self.members)(member));
        order.is_told = true;
    }

    fn told(&self, tracks: Vec<SetTrack>, member: Option<(SetMember, &Path)>) -> ChildMember {
        let path = member.as_ref().map(|(_, path)| path.display().to_string()).unwrap_or_default();
        ChildMember {
            set_id: self.set_id.clone(),
            tracks,
            member: member.map(|(member, _)| member),
            path,
        }
    }

    fn end_with(&self, ended: usize) {
        use std::sync::atomic::Ordering::Relaxed;
        if ended == self.groups
            && let Some(node) = self.counters.nodes.get(self.node)
        {
            node.done.store(true, Relaxed);
        }
    }

    fn write(&self, piece: Piece) -> Result<ChildMember, Failure> {
        let mut member = piece.member;
        let bytes = piece.body.bytes();
        if bytes > MOST_BYTES {
            return Err(too_large(bytes, piece.length, piece.timescale));
        }
        let name = format!("{}-{}-{}.{}", self.set_id, member.track, member.index, piece.suffix);
        let path = self.folder.join(name);
        let written = Counted::create(&path, &self.counters).and_then(|mut file| {
            let picture = piece.body.write(&mut file, i64::from(member.index))?;
            Ok((file.finish()?, picture))
        });
        let ((size, sha256), picture) = written.map_err(|error| unwritten(&error))?;
        let span = |ticks: i64| {
            let time = Duration::from_secs_f64(ticks.max(0) as f64 / f64::from(piece.timescale.max(1)));
            time.try_into().ok()
        };
        member.size_bytes = i64::try_from(size).unwrap_or(i64::MAX);
        member.sha256 = sha256;
        member.start = span(piece.start);
        member.duration = span(piece.length);
        (member.i_frame_offset, member.i_frame_bytes) = picture;
        Ok(self.told(Vec::new(), Some((member, &path))))
    }
}

impl Body {
    fn bytes(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Transport(parts) => parts.iter().map(Part::bytes).sum(),
            Self::Fragment(part) => part.bytes(),
        }
    }

    /// Gives where the bytes of the first picture begin, and how many they are.
    fn write(&self, into: &mut impl Write, index: i64) -> io::Result<(i64, i64)> {
        match self {
            Self::Bytes(bytes) => into.write_all(bytes)?,
            Self::Transport(parts) => {
                let parts: Vec<fmp4::Part> = parts.iter().map(Part::view).collect();
                ts::write(into, index, &parts)?;
            }
            Self::Fragment(part) => {
                let (offset, bytes) = fmp4::write(into, u32::try_from(index + 1).unwrap_or(u32::MAX), &part.view())?;
                return Ok(if part.config.is_video {
                    (offset as i64, bytes as i64)
                } else {
                    (0, 0)
                });
            }
        }
        Ok((0, 0))
    }
}

/// A file with its size and checksum.
struct Counted {
    file: BufWriter<File>,
    bytes: u64,
    hash: Sha256,
    /// Ticks while a large segment is written.
    counters: Arc<Counters>,
}

impl Counted {
    fn create(path: &Path, counters: &Arc<Counters>) -> io::Result<Self> {
        Ok(Self {
            counters: counters.clone(),
            file: BufWriter::with_capacity(1 << 18, File::create(path)?),
            bytes: 0,
            hash: Sha256::new(),
        })
    }

    fn finish(mut self) -> io::Result<(u64, String)> {
        self.file.flush()?;
        Ok((self.bytes, hex::encode(self.hash.finalize())))
    }
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_all(bytes)?;
        self.counters.tick();
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

pub fn sha256_of(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

pub fn unwritten(error: impl Display) -> Failure {
    failure::node(
        ErrorReason::DiskFull,
        format!("a segment could not be written: {error}"),
        "give the worker more scratch space",
    )
}

fn too_large(bytes: u64, length: i64, timescale: u32) -> Failure {
    failure::data(
        ErrorReason::Unsupported,
        format!(
            "between two key frames of the film lie {:.0} s and {:.1} GiB, and a segment holds 5 GiB at most",
            length as f64 / f64::from(timescale.max(1)),
            bytes as f64 / f64::from(1 << 30)
        ),
        "encode the film instead of copying it",
    )
}
