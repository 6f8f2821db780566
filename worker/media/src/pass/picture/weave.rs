//! An element that weaves pictures whose two fields come one by one, as H.265's decoder gives them, into pictures of both. All others pass.

use std::sync::{LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};

use gst::{glib, prelude::*, subclass::prelude::*};
use gst_video::{VideoBufferFlags, VideoFrameExt, VideoFrameRef, VideoInfo, video_frame::VideoBufferExt};
use mps_proto::worker::v1::Failure;

use super::{canvas::PlaneShape, carry_over};
use crate::pass::elements::{self, broken};

/// How caps say that fields come one by one.
const ONE_BY_ONE: &str = "format:Interlaced";

/// Makes the element. `rate`: of woven pictures; containers count fields where they know nothing of them.
pub fn element(pipeline: &gst::Pipeline, name: &str, rate: gst::Fraction) -> Result<gst::Element, Failure> {
    let element = glib::Object::builder::<Weave>().property("name", name).build();
    let set = element.imp().rate.set(rate);
    set.map_err(|_| broken("a weaver was set up twice"))?;
    pipeline.add(&element).map_err(|error| broken(&error.to_string()))?;
    Ok(element.upcast())
}

glib::wrapper! {
    pub struct Weave(ObjectSubclass<Weaver>)
        @extends gst::Element, gst::Object;
}

pub struct Weaver {
    sink: gst::Pad,
    source: gst::Pad,
    rate: OnceLock<gst::Fraction>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// `None`: pictures pass.
    form: Option<Form>,
    first: Option<gst::Buffer>,
}

/// What fields are, and what becomes of them.
struct Form {
    field: VideoInfo,
    picture: VideoInfo,
}

#[glib::object_subclass]
impl ObjectSubclass for Weaver {
    const NAME: &'static str = "MpsWeave";
    type Type = Weave;
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
            rate: OnceLock::new(),
            state: Mutex::default(),
        }
    }
}

impl ObjectImpl for Weaver {
    fn constructed(&self) {
        self.parent_constructed();
        for pad in [&self.sink, &self.source] {
            let _ = self.obj().add_pad(pad);
        }
    }
}

impl GstObjectImpl for Weaver {}

impl ElementImpl for Weaver {
    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> =
            LazyLock::new(|| super::pad_templates(&taken(), &gst::Caps::builder("video/x-raw").build()));
        &TEMPLATES
    }
}

fn taken() -> gst::Caps {
    let plain = gst::Caps::builder("video/x-raw").build();
    let fields = gst::Caps::builder("video/x-raw").features([ONE_BY_ONE]).build();
    [plain, fields].into_iter().collect::<gst::Caps>()
}

impl Weaver {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        let mut state = self.state();
        if state.form.is_none() {
            drop(state);
            return self.source.push(buffer);
        }
        let ready = state.next(buffer);
        drop(state);
        ready?.map_or(Ok(gst::FlowSuccess::Ok), |picture| self.source.push(picture))
    }

    fn hear(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        if event.type_() == gst::EventType::FlushStop {
            self.state().first = None;
        } else if super::ends_what_waits(&event) {
            // A field without its other one stands for both.
            let last = self.state().last();
            if let Ok(Some(picture)) = last {
                let _ = self.source.push(picture);
            }
        }
        let gst::EventView::Caps(caps) = event.view() else {
            return gst::Pad::event_default(pad, Some(&*self.obj()), event);
        };
        let rate = self.rate.get().copied().unwrap_or(gst::Fraction::new(0, 1));
        let told = caps.caps();
        let Some(form) = Form::of(told) else {
            self.state().form = None;
            return self.source.push_event(event);
        };
        self.state().form = Some(form);
        let woven = gst::event::Caps::builder(&woven_caps(told, rate)).seqnum(event.seqnum()).build();
        self.source.push_event(woven)
    }

    fn answer(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        match query.view_mut() {
            gst::QueryViewMut::Allocation(allocation) if self.state().form.is_some() => {
                allocation.add_allocation_meta::<gst_video::VideoMeta>(None);
                true
            }
            gst::QueryViewMut::Caps(caps) => {
                elements::answer(caps, &taken());
                true
            }
            _ => gst::Pad::query_default(pad, Some(&*self.obj()), query),
        }
    }
}

impl Form {
    /// `None` for pictures that come whole.
    fn of(caps: &gst::CapsRef) -> Option<Self> {
        let comes_in_fields = caps.features(0).is_some_and(|features| features.contains(ONE_BY_ONE));
        let told = VideoInfo::from_caps(caps).ok().filter(|_| comes_in_fields)?;
        let sized = |height: u32| VideoInfo::builder(told.format(), told.width(), height).build().ok();
        Some(Self {
            field: sized(told.height().div_ceil(2))?,
            picture: sized(told.height())?,
        })
    }
}

/// Caps of pictures that are woven of fields. Which field comes first stands at each picture.
fn woven_caps(fields: &gst::CapsRef, rate: gst::Fraction) -> gst::Caps {
    let mut caps = fields.to_owned();
    let woven = caps.make_mut();
    woven.set_features(0, Some(gst::CapsFeatures::new_empty()));
    woven.set("interlace-mode", "mixed");
    woven.set("framerate", rate);
    if let Some(structure) = woven.structure_mut(0) {
        structure.remove_field("field-order");
    }
    caps
}

impl State {
    fn next(&mut self, buffer: gst::Buffer) -> Result<Option<gst::Buffer>, gst::FlowError> {
        let Some(first) = self.first.take() else {
            self.first = Some(buffer);
            return Ok(None);
        };
        // Two of one kind: the one between them is lost.
        if is_top(&first) == is_top(&buffer) {
            self.first = Some(buffer);
            return self.woven(&first, &first).map(Some);
        }
        self.woven(&first, &buffer).map(Some)
    }

    fn last(&mut self) -> Result<Option<gst::Buffer>, gst::FlowError> {
        let Some(first) = self.first.take() else { return Ok(None) };
        self.woven(&first, &first).map(Some)
    }

    fn woven(&self, first: &gst::Buffer, second: &gst::Buffer) -> Result<gst::Buffer, gst::FlowError> {
        let form = self.form.as_ref().ok_or(gst::FlowError::NotNegotiated)?;
        let (top, bottom) = if is_top(first) { (first, second) } else { (second, first) };
        let mut output = gst::Buffer::with_size(form.picture.size()).map_err(|_| gst::FlowError::Error)?;
        let writable = output.get_mut().ok_or(gst::FlowError::Error)?;
        carry_over(first, writable);
        if let (Some(one), Some(other)) = (first.duration(), second.duration()) {
            writable.set_duration(one + other);
        }
        writable.set_video_flags(VideoBufferFlags::INTERLACED);
        if is_top(first) {
            writable.set_video_flags(VideoBufferFlags::TFF);
        }
        weave(form, [top, bottom], writable).ok_or(gst::FlowError::Error)?;
        Ok(output)
    }
}

fn is_top(field: &gst::BufferRef) -> bool {
    field.video_flags().contains(VideoBufferFlags::TFF)
}

/// Lays the lines of the top and the bottom field one below another.
fn weave(form: &Form, fields: [&gst::Buffer; 2], output: &mut gst::BufferRef) -> Option<()> {
    let mut picture = VideoFrameRef::from_buffer_ref_writable(output, &form.picture).ok()?;
    let fields = fields.map(|field| VideoFrameRef::from_buffer_ref_readable(field, &form.field).ok());
    for plane in 0..picture.n_planes() {
        let shape = PlaneShape::of(&form.picture, plane);
        let bytes = shape.width * shape.pixel();
        let stride = usize::try_from(*picture.plane_stride().get(plane as usize)?).ok()?;
        let target = picture.plane_data_mut(plane).ok()?;
        for (number, line) in target.chunks_mut(stride.max(1)).take(shape.height).enumerate() {
            let field = fields.get(number % 2)?.as_ref()?;
            let from = number / 2 * usize::try_from(*field.plane_stride().get(plane as usize)?).ok()?;
            let source = field.plane_data(plane).ok()?.get(from..from + bytes)?;
            line.get_mut(..bytes)?.copy_from_slice(source);
        }
    }
    Some(())
}
