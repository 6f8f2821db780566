//! Pictures of two fields, plane by plane.

use gst_video::{VideoFrameExt, VideoFrameRef};
use mps_pixels::{
    Plane,
    deinterlace::{Deinterlacer, Fields},
};

use crate::pass::picture::canvas::PlaneShape;

type Picture<'a> = VideoFrameRef<&'a gst::BufferRef>;

/// A picture of two fields and those beside it, as far as there are any.
pub struct Pictures<'a> {
    pub before: Option<Picture<'a>>,
    pub own: Picture<'a>,
    pub behind: Option<Picture<'a>>,
    /// Whether its first field is that of the topmost line.
    pub top_first: bool,
}

impl Pictures<'_> {
    /// Makes the picture of the first field's time; `None` when planes do not lie in memory as they should.
    pub fn make(&self, deinterlacer: &mut Deinterlacer, output: &mut VideoFrameRef<&mut gst::BufferRef>) -> Option<()> {
        let info = output.info().clone();
        let bits = (0..info.n_components()).map(|component| info.comp_depth(component as u8)).max()?;
        for number in 0..output.n_planes() {
            let shape = PlaneShape::of(&info, number);
            let fields = Fields {
                before: beside(self.before.as_ref(), number, shape)?,
                own: plane(&self.own, number, shape)?,
                behind: beside(self.behind.as_ref(), number, shape)?,
                top_first: self.top_first,
            };
            let stride = usize::try_from(*output.plane_stride().get(number as usize)?).ok()?;
            deinterlacer.plane(&fields, bits, output.plane_data_mut(number).ok()?, stride);
        }
        Some(())
    }
}

/// A plane of a picture that need not be there.
fn beside<'a>(picture: Option<&'a Picture>, number: u32, shape: PlaneShape) -> Option<Option<Plane<'a>>> {
    match picture {
        Some(picture) => plane(picture, number, shape).map(Some),
        None => Some(None),
    }
}

fn plane<'a>(picture: &'a Picture, number: u32, shape: PlaneShape) -> Option<Plane<'a>> {
    Some(Plane {
        data: picture.plane_data(number).ok()?,
        stride: usize::try_from(*picture.plane_stride().get(number as usize)?).ok()?,
        width: shape.width,
        height: shape.height,
        values: shape.values,
        bytes: shape.bytes,
    })
}
