//! An element that makes one picture of each two fields: that of the first field's time. It takes every depth and subsampling that decoders
//! give, keeps stamps and counts as they are, and lets progressive pictures through. GStreamer 1.22's own element has 8 bits only, takes
//! padded pictures for plain ones (greedyh), and stamps two pictures alike at both ends.

mod planes;

use std::sync::{LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};

use gst::{glib, prelude::*, subclass::prelude::*};
use gst_video::{
    VideoBufferFlags, VideoFieldOrder, VideoFormat, VideoFrameRef, VideoInfo, VideoInterlaceMode, video_frame::VideoBufferExt,
};
use mps_pixels::deinterlace::Deinterlacer as Maker;
use mps_proto::worker::v1::Failure;

use super::carry_over;
use crate::pass::elements::{self, broken};
use planes::Pictures;

/// Formats of fields: every component of a plane at one distance from pixel to pixel.
const FORMATS: [VideoFormat; 39] = [
    VideoFormat::I420,
    VideoFormat::Yv12,
    VideoFormat::Y42b,
    VideoFormat::Y444,
    VideoFormat::Y41b,
    VideoFormat::Nv12,
    VideoFormat::Nv21,
    VideoFormat::Nv16,
    VideoFormat::Gray8,
    VideoFormat::A420,
    VideoFormat::Ayuv,
    VideoFormat::Gbr,
    VideoFormat::Gbra,
    VideoFormat::Rgb,
    VideoFormat::Bgr,
    VideoFormat::Rgba,
    VideoFormat::Bgra,
    VideoFormat::Argb,
    VideoFormat::Abgr,
    VideoFormat::Rgbx,
    VideoFormat::Bgrx,
    VideoFormat::Xrgb,
    VideoFormat::Xbgr,
    VideoFormat::I42010le,
    VideoFormat::I42210le,
    VideoFormat::Y44410le,
    VideoFormat::I42012le,
    VideoFormat::I42212le,
    VideoFormat::Y44412le,
    VideoFormat::A42010le,
    VideoFormat::A42210le,
    VideoFormat::A44410le,
    VideoFormat::Gbr10le,
    VideoFormat::Gbra10le,
    VideoFormat::Gbr12le,
    VideoFormat::Gray16Le,
    VideoFormat::Y44416le,
    VideoFormat::Argb64Le,
    VideoFormat::Rgba64Le,
];

/// Makes the element. `always`: also of pictures that claim to be progressive.
pub fn element(pipeline: &gst::Pipeline, name: &str, always: bool) -> Result<gst::Element, Failure> {
    let element = glib::Object::builder::<Deinterlace>().property("name", name).build();
    let set = element.imp().always.set(always);
    set.map_err(|_| broken("a deinterlacer was set up twice"))?;
    pipeline.add(&element).map_err(|error| broken(&error.to_string()))?;
    Ok(element.upcast())
}

glib::wrapper! {
    pub struct Deinterlace(ObjectSubclass<Deinterlacer>)
        @extends gst::Element, gst::Object;
}

pub struct Deinterlacer {
    sink: gst::Pad,
    source: gst::Pad,
    always: OnceLock<bool>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// `None`: pictures are let through.
    form: Option<Form>,
    before: Option<gst::Buffer>,
    /// The picture that waits for the one behind it.
    waiting: Option<gst::Buffer>,
    maker: Maker,
}

/// What the pictures of fields are.
struct Form {
    input: VideoInfo,
    output: VideoInfo,
    pool: gst_video::VideoBufferPool,
    /// Whether each picture says by itself if it is of fields.
    mixed: bool,
    top_first: Option<bool>,
}

impl Form {
    fn shown<'a>(&self, buffer: &'a gst::Buffer) -> Result<VideoFrameRef<&'a gst::BufferRef>, gst::FlowError> {
        VideoFrameRef::from_buffer_ref_readable(buffer, &self.input).map_err(|_| gst::FlowError::Error)
    }
}

impl Drop for Form {
    fn drop(&mut self) {
        let _ = self.pool.set_active(false);
    }
}

#[glib::object_subclass]
impl ObjectSubclass for Deinterlacer {
    const NAME: &'static str = "MpsDeinterlace";
    type Type = Deinterlace;
    type ParentType = gst::Element;

    fn with_class(class: &Self::Class) -> Self {
        let pad = |name: &str| class.pad_template(name).map(|template| gst::Pad::builder_from_template(&template));
        let sink = pad("sink").unwrap_or_else(|| gst::Pad::builder(gst::PadDirection::Sink));
        let source = pad("src").unwrap_or_else(|| gst::Pad::builder(gst::PadDirection::Src));
        Self {
            sink: sink
                .chain_function(|_, parent, buffer| {
                    Self::catch_panic_pad_function(parent, || Err(gst::FlowError::Error), |this| this.take(buffer))
                })
                .event_function(|pad, parent, event| Self::catch_panic_pad_function(parent, || false, |this| this.hear(pad, event)))
                .query_function(|pad, parent, query| Self::catch_panic_pad_function(parent, || false, |this| this.answer(pad, query)))
                .build(),
            source: source.build(),
            always: OnceLock::new(),
            state: Mutex::default(),
        }
    }
}

impl ObjectImpl for Deinterlacer {
    fn constructed(&self) {
        self.parent_constructed();
        for pad in [&self.sink, &self.source] {
            let _ = self.obj().add_pad(pad);
        }
    }
}

impl GstObjectImpl for Deinterlacer {}

impl ElementImpl for Deinterlacer {
    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let any = gst::Caps::builder("video/x-raw").build();
            super::pad_templates(&taken(), &any)
        });
        &TEMPLATES
    }
}

/// Progressive pictures of any format, and fields of those above.
fn taken() -> gst::Caps {
    let formats = gst::List::new(FORMATS.iter().map(|format| format.to_str()));
    let fields = gst::Structure::builder("video/x-raw")
        .field("format", formats)
        .field("interlace-mode", gst::List::new(["interleaved", "mixed", "fields"]));
    let progressive = gst::Structure::builder("video/x-raw").field("interlace-mode", "progressive");
    [progressive.build(), fields.build()].into_iter().collect()
}

impl Deinterlacer {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        let mut state = self.state();
        if state.form.is_none() {
            drop(state);
            return self.source.push(buffer);
        }
        // Behind a gap, the pictures are no neighbours.
        let old = if buffer.flags().contains(gst::BufferFlags::DISCONT) {
            state.last()?
        } else {
            None
        };
        let ready = state.next(buffer)?;
        drop(state);
        old.into_iter()
            .chain(ready)
            .try_fold(gst::FlowSuccess::Ok, |_, picture| self.source.push(picture))
    }

    fn hear(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        if event.type_() == gst::EventType::FlushStop {
            let mut state = self.state();
            (state.before, state.waiting) = (None, None);
        } else if super::ends_what_waits(&event) {
            let last = self.state().last();
            if let Ok(Some(picture)) = last {
                let _ = self.source.push(picture);
            }
        }
        let gst::EventView::Caps(caps) = event.view() else {
            return gst::Pad::event_default(pad, Some(&*self.obj()), event);
        };
        let made = self.set_up(caps.caps());
        made.is_ok_and(|caps| {
            self.source
                .push_event(gst::event::Caps::builder(&caps).seqnum(event.seqnum()).build())
        })
    }

    /// Gives the caps of what leaves.
    fn set_up(&self, caps: &gst::CapsRef) -> Result<gst::Caps, glib::BoolError> {
        let input = VideoInfo::from_caps(caps)?;
        let always = self.always.get().copied().unwrap_or(false);
        if input.interlace_mode() == VideoInterlaceMode::Progressive && !always {
            self.state().form = None;
            return Ok(caps.to_owned());
        }
        let mut plain = caps.to_owned();
        for structure in plain.make_mut().iter_mut() {
            structure.set("interlace-mode", "progressive");
            structure.remove_field("field-order");
        }
        let output = VideoInfo::from_caps(&plain)?;
        let pool = gst_video::VideoBufferPool::new();
        let mut config = pool.config();
        config.set_params(Some(&plain), u32::try_from(output.size()).unwrap_or(u32::MAX), 2, 0);
        pool.set_config(config)?;
        pool.set_active(true)?;
        self.state().form = Some(Form {
            mixed: input.interlace_mode() == VideoInterlaceMode::Mixed && !always,
            top_first: match (input.interlace_mode(), input.field_order()) {
                (_, VideoFieldOrder::TopFieldFirst) => Some(true),
                (_, VideoFieldOrder::BottomFieldFirst) => Some(false),
                // Nobody knows: the more frequent one.
                (VideoInterlaceMode::Progressive, _) => Some(true),
                _ => None,
            },
            input,
            output,
            pool,
        });
        Ok(plain)
    }

    fn answer(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        match query.view_mut() {
            gst::QueryViewMut::Caps(caps) => {
                elements::answer(caps, &taken());
                true
            }
            // Pictures are read as they lie, padded or not.
            gst::QueryViewMut::Allocation(allocation) if self.state().form.is_some() => {
                allocation.add_allocation_meta::<gst_video::VideoMeta>(None);
                true
            }
            _ => gst::Pad::query_default(pad, Some(&*self.obj()), query),
        }
    }
}

impl State {
    /// The picture that waited, now that the one behind it is there.
    fn next(&mut self, buffer: gst::Buffer) -> Result<Option<gst::Buffer>, gst::FlowError> {
        let Some(own) = self.waiting.replace(buffer) else { return Ok(None) };
        let made = self.make(&own)?;
        self.before = Some(own);
        Ok(Some(made))
    }

    /// The picture that waited, with none behind it; what comes then begins anew.
    fn last(&mut self) -> Result<Option<gst::Buffer>, gst::FlowError> {
        let Some(own) = self.waiting.take() else { return Ok(None) };
        let made = self.make(&own);
        self.before = None;
        made.map(Some)
    }

    fn make(&mut self, own: &gst::Buffer) -> Result<gst::Buffer, gst::FlowError> {
        let form = self.form.as_ref().ok_or(gst::FlowError::NotNegotiated)?;
        if form.mixed && !own.video_flags().contains(VideoBufferFlags::INTERLACED) {
            return Ok(own.clone());
        }
        let mut output = form.pool.acquire_buffer(None)?;
        let pictures = Pictures {
            before: self.before.as_ref().map(|buffer| form.shown(buffer)).transpose()?,
            own: form.shown(own)?,
            behind: self.waiting.as_ref().map(|buffer| form.shown(buffer)).transpose()?,
            top_first: own.video_flags().contains(VideoBufferFlags::TFF) || form.top_first == Some(true),
        };
        let writable = output.get_mut().ok_or(gst::FlowError::Error)?;
        let mut picture = VideoFrameRef::from_buffer_ref_writable(writable, &form.output).map_err(|_| gst::FlowError::Error)?;
        pictures.make(&mut self.maker, &mut picture).ok_or(gst::FlowError::Error)?;
        drop(picture);
        carry_over(own, writable);
        Ok(output)
    }
}
