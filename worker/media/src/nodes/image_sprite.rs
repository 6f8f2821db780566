//! Sprites: sheets of tiles, and the WebVTT file that says where each is.

use std::{
    fs, io,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use mps_proto::{
    v1::{ErrorReason, ImageFormat, ImageSpriteSettings, MediaInfo},
    worker::v1::{Failure, FileResult, PlanNode, PlanOutput, PlanSeries, SeriesFile},
};

use super::{
    Branch, Checking, Context, Job, Made, Needs, Resolved, first_output,
    sampling::{Distance, Sampling, too_many},
    style,
    vtt::{self, Cue},
};
use crate::{
    check::{Expectation, check_output},
    failure,
    outputs::{CHECK_DEADLINE, described},
    pass::{
        Graph, Range,
        counters::NodeCounters,
        output_path,
        picture::Look,
        pictures::{self, Arrived, Taker},
        sheets::{Layout, Sheets},
    },
    rules::{self, Clip, Frame, Geometry, unsupported},
};

const MOST_TILES: usize = 1_000_000;
const DEFAULT_MOST_SHEETS: usize = 1000;
const MOST_SIDE: usize = 8192;
const DEFAULT_WIDTH: i32 = 160;
const DEFAULT_LINES: i32 = 10;
const DEFAULT_QUALITY: i32 = 85;
/// How long a still picture's only tile is shown.
const STILL: Duration = Duration::from_secs(1);

/// A sprite, or the part of one that a leap makes.
#[derive(Debug, Clone)]
struct Sprite {
    look: Look,
    sampling: Sampling,
    before: usize,
    most_sheets: usize,
    layout: Layout,
    vtt: PlanOutput,
    series: PlanSeries,
    duration: Option<Duration>,
    /// Shared by the parts; made anew with the job.
    sheets: Arc<Mutex<Option<Sheets>>>,
}

pub(super) fn resolve(node: &PlanNode, settings: &ImageSpriteSettings, context: &Context) -> Resolved {
    let facts = context.facts;
    let stream = style::film(facts, "leave the sprite out")?;
    let frame = Frame::of(stream);
    let width = match (settings.tile_width_px, settings.tile_height_px) {
        (None, None) => Some(DEFAULT_WIDTH),
        (width, _) => width,
    };
    let geometry = Geometry::resolve(frame, width, settings.tile_height_px, settings.fit(), true, 1);
    let mut look = style::look(stream, geometry);
    look.fill = settings.pad_fill();
    let sheet = first_output(node)?;
    let layout = Layout {
        tile_width: geometry.width.max(1) as usize,
        tile_height: geometry.height.max(1) as usize,
        rows: settings.rows.unwrap_or(DEFAULT_LINES).max(1) as usize,
        columns: settings.columns.unwrap_or(DEFAULT_LINES).max(1) as usize,
        format: settings.format(),
        quality: settings.quality.unwrap_or(DEFAULT_QUALITY),
        stem: sheet.output_id.clone().into(),
        suffix: sheet.format,
    };
    if layout.width() > MOST_SIDE || layout.rows * layout.tile_height > MOST_SIDE {
        return Err(too_large(&layout));
    }
    let series = node.series.clone().ok_or_else(|| unsupported("the plan names no series"))?;
    let most_sheets = usize::try_from(series.max_files).ok().filter(|most| *most > 0);
    let most_sheets = most_sheets.unwrap_or(DEFAULT_MOST_SHEETS);
    let distance = Distance {
        interval: settings.interval,
        percent: settings.interval_percent,
    };
    let most_tiles = most_sheets.saturating_mul(layout.tiles()).min(MOST_TILES);
    let clip = Clip::WHOLE;
    let vtt = node.outputs.iter().find(|output| output.format == "vtt").cloned();
    Ok(Box::new(Sprite {
        look,
        sampling: Sampling::resolve(&distance, clip, facts, stream, most_tiles)?,
        before: 0,
        most_sheets,
        vtt: vtt.ok_or_else(|| unsupported("the plan names no WebVTT file"))?,
        series,
        duration: rules::duration(facts),
        sheets: Arc::new(Mutex::new(None)),
        layout,
    }))
}

fn too_large(layout: &Layout) -> Failure {
    failure::data(
        ErrorReason::LimitExceeded,
        format!(
            "a sheet would have {}x{} pixels; at most {MOST_SIDE} a side are allowed",
            layout.width(),
            layout.rows * layout.tile_height
        ),
        "lower rows, columns or the size of the tiles",
    )
}

impl Job for Sprite {
    fn needs(&self) -> Needs {
        Needs {
            decoded_video: true,
            ..Needs::default()
        }
    }

    fn part(&self) -> Range {
        self.sampling.part()
    }

    fn is_idle(&self) -> bool {
        self.sampling.times.at.is_empty()
    }

    fn build(&self, graph: &mut Graph, node: usize) -> Result<Box<dyn Branch>, Failure> {
        let chain = pictures::shaped(&self.look, graph.pipeline, &format!("n{node}-picture"))?;
        let layout = Layout {
            stem: graph.order.folder.join(&self.layout.stem),
            ..self.layout.clone()
        };
        if self.before == 0 {
            *self.sheets.lock().unwrap_or_else(PoisonError::into_inner) = Some(Sheets::new(layout));
        }
        let tiler = Tiler {
            sheets: self.sheets.clone(),
            before: self.before,
            most: self.most_sheets * self.layout.tiles(),
        };
        pictures::start(graph, node, self.sampling.times.clone(), chain, Box::new(tiler))?;
        Ok(Box::new(Tiled(self.clone())))
    }

    fn position(&self, counters: &NodeCounters, duration: Option<Duration>) -> (Option<f64>, u64) {
        let taken = counters.pictures();
        (self.sampling.share(taken, duration), taken)
    }

    fn looks_at(&self) -> Option<Vec<Duration>> {
        self.sampling.looks_at()
    }

    fn between(&self, start: Duration, end: Duration) -> Option<Box<dyn Job>> {
        let (before, sampling) = self.sampling.between(start, end);
        Some(Box::new(Self {
            sampling,
            before,
            ..self.clone()
        }))
    }
}

/// Lays pictures on sheets.
struct Tiler {
    sheets: Arc<Mutex<Option<Sheets>>>,
    before: usize,
    most: usize,
}

impl Taker for Tiler {
    fn picture(&mut self, picture: &Arrived) -> io::Result<()> {
        let tile = self.before + picture.number;
        let mut sheets = self.sheets.lock().unwrap_or_else(PoisonError::into_inner);
        match sheets.as_mut() {
            Some(sheets) if tile < self.most => sheets
                .put(tile, picture.bytes)
                .map_err(|failure| io::Error::other(failure.status.unwrap_or_default().message)),
            _ => Ok(()),
        }
    }
}

/// The branch that makes tiles. The first part's check speaks for all.
struct Tiled(Sprite);

impl Branch for Tiled {
    fn is_complete(&self) -> bool {
        let job = &self.0;
        let sheets = job.sheets.lock().unwrap_or_else(PoisonError::into_inner);
        let tiles = sheets.as_ref().map_or(0, |sheets| sheets.tiles);
        job.sampling.times.then_every.is_some() || tiles == job.before + job.sampling.times.at.len()
    }

    fn check(self: Box<Self>, checking: &Checking) -> Result<Made, Failure> {
        let job = &self.0;
        let taken = job.sheets.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut sheets) = taken else {
            return Ok(Made::default());
        };
        if checking.counters.pictures() > (job.most_sheets * job.layout.tiles()) as u64 {
            return Err(too_many(job.most_sheets * job.layout.tiles()));
        }
        let count = sheets.flush()?;
        if count == 0 {
            return Err(style::missing(Duration::ZERO));
        }
        Ok(Made {
            series: series(job, &sheets, count, checking.tick)?,
            files: vec![write_vtt(job, &sheets, count, checking.folder)?],
            ..Made::default()
        })
    }
}

fn series(job: &Sprite, sheets: &Sheets, count: usize, tick: &dyn Fn()) -> Result<Vec<SeriesFile>, Failure> {
    let layout = &sheets.layout;
    let codec = match layout.format {
        ImageFormat::Png => "png",
        ImageFormat::Webp => "webp",
        _ => "mjpeg",
    };
    let mut files = Vec::with_capacity(count);
    for sheet in 0..count {
        let tiles = (sheets.tiles - sheet * layout.tiles()).min(layout.tiles());
        let expected = Expectation {
            width_px: layout.width() as i32,
            height_px: layout.height(tiles) as i32,
            video_codec: Some(codec.to_owned()),
            ..Expectation::default()
        };
        let path = layout.path(sheet);
        files.push(SeriesFile {
            media: Some(check_output(&path, &expected, CHECK_DEADLINE, tick)?),
            path: path.display().to_string(),
            source_offset: (job.sampling.distance * (sheet * layout.tiles()) as u32).try_into().ok(),
        });
    }
    Ok(files)
}

fn write_vtt(job: &Sprite, sheets: &Sheets, count: usize, folder: &Path) -> Result<FileResult, Failure> {
    let names = (0..count).map(|sheet| name(&job.series, sheet)).collect::<Result<Vec<_>, _>>()?;
    let layout = &sheets.layout;
    let distance = if job.sampling.distance.is_zero() {
        STILL
    } else {
        job.sampling.distance
    };
    let cues = (0..sheets.tiles).filter_map(|tile| {
        let (sheet, left, top) = layout.place(tile);
        let next = distance * (tile as u32 + 1);
        let end = match job.duration {
            // The last tile stays until the end.
            Some(duration) if tile + 1 == sheets.tiles || next > duration => duration,
            _ => next,
        };
        Some(Cue {
            start: distance * tile as u32,
            end,
            sheet: names.get(sheet)?,
            area: [left, top, layout.tile_width, layout.tile_height],
        })
    });
    let text = vtt::text(cues);
    let path = output_path(folder, &job.vtt);
    fs::write(&path, &text).map_err(|error| {
        failure::node(
            ErrorReason::DiskFull,
            format!("the WebVTT file could not be written: {error}"),
            "give the worker more scratch space",
        )
    })?;
    let media = MediaInfo {
        container: "webvtt".into(),
        size_bytes: text.len() as i64,
        ..MediaInfo::default()
    };
    Ok(described(&job.vtt, &path, media, None))
}

/// How the WebVTT file names a sheet.
fn name(series: &PlanSeries, sheet: usize) -> Result<String, Failure> {
    let named = PlanSeries {
        key: series.reference.clone(),
        ..series.clone()
    };
    mps_plan::series_key(&named, i32::try_from(sheet).unwrap_or(i32::MAX))
        .map_err(|problem| unsupported(&format!("the plan names a sheet that {problem}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sheets_are_named_relative_to_the_file() {
        let series = PlanSeries {
            key: "a/sheets/{number}.jpg".into(),
            reference: "sheets/{number}.jpg".into(),
            number_format: Some(mps_proto::v1::NumberFormat {
                initial_value: Some(1),
                increment: Some(2),
                min_length: Some(3),
                place_holder: "0".into(),
            }),
            ..PlanSeries::default()
        };
        assert_eq!(name(&series, 0).unwrap(), "sheets/001.jpg");
        assert_eq!(name(&series, 1).unwrap(), "sheets/003.jpg");
    }
}
