//! The header of MP3 files: room for it in front of the first packet, and what it says once the file is finished. Without it players would
//! play what encoder and decoder add, 25 ms in front and up to 50 ms behind; and the first packet could not be left out instead, since those
//! behind it lean on its bits.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use gst::prelude::*;

use crate::parse::mp3::{self, Frame, info};

/// Samples that LAME puts in front.
const ENCODER_DELAY: u64 = 576;

/// Event by which an encoder tells how many samples it took.
const TOLD: &str = "mps-samples";
const SAMPLES: &str = "samples";

/// Counts the samples that come to an encoder, and tells of them where its packets leave.
pub fn tell_samples(entry: &gst::Pad, exit: &gst::Pad) {
    let counted = AtomicU64::new(0);
    let exit = exit.downgrade();
    entry.add_probe(gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM, move |pad, info| {
        let format = || pad.current_caps().and_then(|caps| gst_audio::AudioInfo::from_caps(&caps).ok());
        if let Some((buffer, format)) = info.buffer().zip(format()) {
            counted.fetch_add(buffer.size() as u64 / u64::from(format.bpf().max(1)), Relaxed);
        }
        // Before the end reaches the packets' pad: behind it nothing passes there.
        let is_end = info.event().is_some_and(|event| event.type_() == gst::EventType::Eos);
        if let Some(exit) = exit.upgrade().filter(|_| is_end) {
            let told = gst::Structure::builder(TOLD).field(SAMPLES, counted.load(Relaxed)).build();
            exit.push_event(gst::event::CustomDownstream::new(told));
        }
        gst::PadProbeReturn::Ok
    });
}

/// Puts an empty frame before the first packet that passes a pad. Gives where the number of samples is told.
pub fn reserve(exit: &gst::Pad) -> Arc<AtomicU64> {
    let told = Arc::new(AtomicU64::new(0));
    let (first, hears) = (AtomicBool::new(true), told.clone());
    exit.add_probe(gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        match &mut info.data {
            Some(gst::PadProbeData::Buffer(packet)) if first.swap(false, Relaxed) => {
                if let Some(both) = with_room(packet) {
                    *packet = both;
                }
            }
            Some(gst::PadProbeData::Event(event)) => {
                let samples = event.structure().filter(|structure| structure.name() == TOLD);
                if let Some(samples) = samples.and_then(|structure| structure.get::<u64>(SAMPLES).ok()) {
                    hears.store(samples, Relaxed);
                }
            }
            _ => {}
        }
        gst::PadProbeReturn::Ok
    });
    told
}

fn with_room(packet: &gst::Buffer) -> Option<gst::Buffer> {
    let blank = info::blank(&packet.map_readable().ok()?)?;
    let mut both = gst::Buffer::from_slice(blank);
    let flags = gst::BufferCopyFlags::TIMESTAMPS | gst::BufferCopyFlags::FLAGS;
    packet.copy_into(both.make_mut(), flags, ..).ok()?;
    both.append(packet.copy());
    Some(both)
}

/// Says in a finished file how long its sound is, in samples of one channel.
pub fn write(path: &Path, samples: u64) -> io::Result<()> {
    let wrong = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why.to_owned());
    let mut file = File::options().read(true).write(true).open(path)?;
    let start = mp3::id3_end(&mut file)?;
    let counted = mp3::count(path, u64::MAX)?.ok_or_else(|| wrong("it holds no frames"))?;
    file.seek(SeekFrom::Start(start))?;
    let mut head = [0; 4];
    file.read_exact(&mut head)?;
    let frame = Frame::of(&head).ok_or_else(|| wrong("it begins with no frame"))?;
    let mut bytes = vec![0; frame.bytes];
    bytes
        .get_mut(..4)
        .ok_or_else(|| wrong("its first frame is too short"))?
        .copy_from_slice(&head);
    let frames = counted.frames.saturating_sub(1);
    let told = info::Info {
        frames: u32::try_from(frames).unwrap_or(u32::MAX),
        bytes: u32::try_from(counted.bytes).unwrap_or(u32::MAX),
        delay: ENCODER_DELAY,
        padding: (frames * u64::from(frame.samples)).saturating_sub(ENCODER_DELAY + samples),
    };
    info::fill(&mut bytes, &told).ok_or_else(|| wrong("its first frame has no room"))?;
    file.seek(SeekFrom::Start(start))?;
    file.write_all(&bytes)
}
