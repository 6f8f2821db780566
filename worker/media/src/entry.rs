//! Where a decoder can begin. Parsers of GStreamer 1.22 call every picture of H.264 a key frame whose slices refer to nothing, also where
//! the pictures behind it refer to those before it.

use crate::parse::pictures;

/// Whether a decoder can begin with a packet; `caps`: of the packet's parser.
pub fn is_entry(caps: Option<&gst::CapsRef>, packet: &gst::BufferRef) -> bool {
    let structure = caps.and_then(|caps| caps.structure(0));
    if structure.is_some_and(is_mpeg2) {
        return packet.map_readable().is_ok_and(|map| pictures::is_intra_of_mpeg2(&map));
    }
    if packet.flags().contains(gst::BufferFlags::DELTA_UNIT) {
        return false;
    }
    let Some(structure) = structure.filter(|structure| structure.name() == "video/x-h264") else {
        return true;
    };
    let length_bytes = length_bytes(structure);
    packet
        .map_readable()
        .is_ok_and(|map| pictures::is_entry_of_h264(&map, length_bytes))
}

/// Whether it is a film of MPEG-1 or MPEG-2.
pub fn is_mpeg2(caps: &gst::StructureRef) -> bool {
    caps.name() == "video/mpeg" && caps.get::<i32>("mpegversion").is_ok_and(|version| version < 4)
}

/// Bytes of the lengths in front of units; `None`: they stand behind start codes.
pub fn length_bytes(caps: &gst::StructureRef) -> Option<usize> {
    let record = caps.get::<gst::Buffer>("codec_data").ok()?;
    let record = record.map_readable().ok()?;
    Some(usize::from(record.get(4)? & 3) + 1)
}
