//! Animated images: GIF and WebP of a clip.

use std::{fs::File, io, io::BufWriter, path::Path, time::Duration};

use mps_proto::{
    v1::{AnimatedFormat, AnimatedImageSettings, ErrorReason, MediaInfo, MediaStream, VideoProperties},
    worker::v1::{Failure, PlanNode, PlanOutput},
};

use super::{Branch, Checking, Context, Job, Made, Needs, Resolved, first_output, style};
use crate::{
    animation::{GifOptions, Histogram, PIXEL, Palette, Spool, WebpOptions, write_gif, write_webp},
    failure,
    outputs::described,
    pass::{
        Graph, Range,
        counters::NodeCounters,
        output_path,
        pick::Times,
        picture::Look,
        pictures::{self, Arrived, Taker},
        rgb,
    },
    probe,
    rules::{self, Clip, Frame, Geometry},
};

const MOST_PICTURES: usize = 3000;
/// Pixels wait in a scratch file; this much of it at most.
const MOST_SPOOLED_BYTES: u64 = 16 << 30;
const DEFAULT_WIDTH: i32 = 480;
const DEFAULT_FPS: i32 = 10;
const DEFAULT_QUALITY: i32 = 75;

/// An animated image.
#[derive(Debug, Clone)]
struct Animation {
    output: PlanOutput,
    look: Look,
    format: AnimatedFormat,
    quality: i32,
    loop_count: i32,
    times: Vec<Duration>,
    /// When each picture ends, from the beginning of the clip.
    ends: Vec<Duration>,
}

pub(super) fn resolve(node: &PlanNode, settings: &AnimatedImageSettings, context: &Context) -> Resolved {
    let facts = context.facts;
    let stream = style::film(facts, "leave the animated image out")?;
    let clip = Clip::resolve(node.start_offset.as_ref(), node.end_offset.as_ref(), rules::duration(facts), None)?;
    let fps = settings.fps.unwrap_or(DEFAULT_FPS).clamp(1, 100) as u32;
    let length = match clip.end.or(rules::stream_end(facts, stream)) {
        Some(end) => end.saturating_sub(clip.start),
        None if facts.still_picture => Duration::from_secs(1) / fps,
        None => return Err(length_unknown()),
    };
    let count = ((length.as_secs_f64() * f64::from(fps)).round() as usize).max(1);
    if count > MOST_PICTURES {
        return Err(limit(&format!(
            "the clip has {count} pictures; at most {MOST_PICTURES} are allowed"
        )));
    }
    let look = look(settings, stream);
    let bytes = (frame_bytes(&look, PIXEL) * count) as u64;
    if bytes > MOST_SPOOLED_BYTES {
        return Err(limit("the pictures of the clip are too many and too large"));
    }
    // From the whole, so that rounding does not add up.
    let tick = |number: usize| Duration::from_nanos(number as u64 * 1_000_000_000 / u64::from(fps));
    Ok(Box::new(Animation {
        output: first_output(node)?,
        look,
        format: settings.format(),
        quality: settings.quality.unwrap_or(DEFAULT_QUALITY),
        loop_count: settings.loop_count.unwrap_or(0),
        times: (0..count).map(|number| clip.start + tick(number)).collect(),
        ends: (1..=count).map(tick).collect(),
    }))
}

fn look(settings: &AnimatedImageSettings, stream: &MediaStream) -> Look {
    let frame = Frame::of(stream);
    let width = match (settings.width_px, settings.height_px) {
        (None, None) => Some(DEFAULT_WIDTH),
        (width, _) => width,
    };
    let geometry = Geometry::resolve(frame, width, settings.height_px, settings.fit(), false, 1);
    let mut look = style::look(stream, geometry);
    look.fill = settings.pad_fill();
    look.keeps_clear = true;
    look
}

fn frame_bytes(look: &Look, pixel: usize) -> usize {
    (look.geometry.width.max(1) as usize) * (look.geometry.height.max(1) as usize) * pixel
}

fn limit(message: &str) -> Failure {
    failure::data(
        ErrorReason::LimitExceeded,
        message,
        "shorten the clip, lower fps or make it smaller",
    )
}

fn length_unknown() -> Failure {
    failure::data(
        ErrorReason::OffsetOutOfRange,
        "the input does not say how long it is",
        "give the clip an end_offset",
    )
}

impl Job for Animation {
    fn needs(&self) -> Needs {
        Needs {
            decoded_video: true,
            ..Needs::default()
        }
    }

    fn part(&self) -> Range {
        Range::around_pictures(self.times.iter().copied())
    }

    fn build(&self, graph: &mut Graph, node: usize) -> Result<Box<dyn Branch>, Failure> {
        let chain = pictures::shaped(&self.look, graph.pipeline, &format!("n{node}-picture"))?;
        let times = Times {
            at: self.times.clone(),
            then_every: None,
        };
        let writer = Writer {
            job: self.clone(),
            folder: graph.order.folder.to_owned(),
            histogram: Histogram::default(),
            pixel: PIXEL,
            spool: None,
        };
        pictures::start(graph, node, times, chain, Box::new(writer))?;
        Ok(Box::new(Written(self.clone())))
    }

    fn position(&self, counters: &NodeCounters, _duration: Option<Duration>) -> (Option<f64>, u64) {
        let taken = counters.pictures();
        (Some((taken as f64 / self.times.len().max(1) as f64).min(1.0)), taken)
    }
}

/// Spools the frames, and writes the file after the last one.
struct Writer {
    job: Animation,
    folder: std::path::PathBuf,
    histogram: Histogram,
    /// Bytes of a pixel: one more where pictures are clear in parts.
    pixel: usize,
    spool: Option<Spool>,
}

impl Writer {
    fn spool(&mut self) -> io::Result<&mut Spool> {
        let spool = match self.spool.take() {
            Some(spool) => spool,
            None => {
                let path = self.folder.join(format!("{}.frames", self.job.output.output_id));
                let file = File::options().read(true).write(true).create(true).truncate(true).open(&path)?;
                // Without a name it goes with its last handle, however this ends.
                std::fs::remove_file(&path)?;
                Spool::new(file, frame_bytes(&self.job.look, self.pixel))
            }
        };
        Ok(self.spool.insert(spool))
    }
}

impl Taker for Writer {
    fn picture(&mut self, picture: &Arrived) -> io::Result<()> {
        let (frame, pixel) = rgb::of(picture).ok_or_else(|| io::Error::other("a picture of another kind"))?;
        self.pixel = pixel;
        if self.job.format != AnimatedFormat::Webp {
            self.histogram.add(&frame, pixel);
        }
        self.spool()?.push(&frame)
    }

    fn end(&mut self, tick: &dyn Fn()) -> io::Result<()> {
        let Some(spool) = self.spool.take() else { return Ok(()) };
        let (job, mut tick) = (&self.job, || tick());
        let frames = spool.read()?;
        let file = BufWriter::new(File::create(output_path(&self.folder, &job.output))?);
        let (width, height) = (job.look.geometry.width, job.look.geometry.height);
        if job.format == AnimatedFormat::Webp {
            let options = WebpOptions {
                width: width as u32,
                height: height as u32,
                ends: job.ends.clone(),
                loop_count: job.loop_count,
                quality: job.quality,
                pixel: self.pixel,
            };
            return write_webp(file, frames, &options, &mut tick);
        }
        let options = GifOptions {
            width: width as u16,
            height: height as u16,
            ends: job.ends.clone(),
            loop_count: u16::try_from(job.loop_count).unwrap_or(u16::MAX),
            pixel: self.pixel,
        };
        write_gif(file, Palette::of(&self.histogram), frames, &options, &mut tick)
    }
}

/// The branch that writes the file.
struct Written(Animation);

impl Branch for Written {
    fn check(self: Box<Self>, checking: &Checking) -> Result<Made, Failure> {
        let job = &self.0;
        let path = output_path(checking.folder, &job.output);
        if !path.exists() {
            return Err(style::missing(job.times.first().copied().unwrap_or_default()));
        }
        let duration = job.ends.last().copied().unwrap_or_default();
        let media = checked(job, &path).map_err(|problem| {
            failure::node(
                ErrorReason::OutputCheckFailed,
                format!("the output did not pass its check: {problem}"),
                "the node is tried again; if it fails again, report it with the input",
            )
        })?;
        let media = MediaInfo {
            duration: probe::to_proto(duration),
            ..media
        };
        Ok(Made {
            files: vec![described(&job.output, &path, media, job.times.first().copied())],
            ..Made::default()
        })
    }
}

/// Reads the file to its end and compares it with what was written.
fn checked(job: &Animation, path: &Path) -> Result<MediaInfo, String> {
    let bytes = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    let wanted = (job.look.geometry.width as u32, job.look.geometry.height as u32);
    let size = probe::picture_size(path).ok_or("its header does not tell its size")?;
    if size != wanted {
        return Err(format!("its picture is {}x{}, not {}x{}", size.0, size.1, wanted.0, wanted.1));
    }
    let name = match job.format {
        AnimatedFormat::Webp => "webp",
        _ => {
            let summary = crate::gif::summarize(path).map_err(|error| error.to_string())?;
            if summary.broken || summary.frames != job.ends.len() as u64 {
                return Err(format!("{} of its {} pictures can be read", summary.frames, job.ends.len()));
            }
            "gif"
        }
    };
    let video = VideoProperties {
        width_px: job.look.geometry.width,
        height_px: job.look.geometry.height,
        ..VideoProperties::default()
    };
    Ok(MediaInfo {
        container: name.into(),
        size_bytes: i64::try_from(bytes).unwrap_or(i64::MAX),
        streams: vec![MediaStream {
            kind: "image".into(),
            codec: name.into(),
            video: Some(video),
            ..MediaStream::default()
        }],
        ..MediaInfo::default()
    })
}
