//! From what a walk saw of a stream to what the contract says of it.

use std::collections::BTreeMap;

use gst::{StructureRef, TagList, tags};
use mps_proto::v1::{AudioProperties, MediaStream, VideoProperties};

use super::{headers::Headers, names, pace};
use crate::{
    parse::{dv, flac, h265, jpeg, shown::Turn},
    walk::Track,
};

/// Tags that say in words what the contract has fields for.
const TAGS_LEFT_OUT: &[&str] = &[
    "container-format",
    "video-codec",
    "audio-codec",
    "subtitle-codec",
    "codec",
    "language-code",
    "image-orientation",
    "encoder-version",
];
const LONGEST_TAG: usize = 1024;

/// One stream; `None` when it never told its caps, or is neither picture nor sound nor text.
pub fn describe(index: i32, track: &Track, file_tags: &[TagList]) -> Option<MediaStream> {
    if let Some((kind, codec)) = track.unshown {
        return Some(MediaStream {
            index,
            kind: kind.to_owned(),
            codec: codec.to_owned(),
            ..MediaStream::default()
        });
    }
    let caps = track.caps.as_ref()?.structure(0)?;
    let kind = kind_of(caps.name())?;
    let lists = || track.tags.iter();
    Some(MediaStream {
        index,
        kind: kind.to_owned(),
        codec: names::codec(caps),
        duration: None,
        bitrate_bps: bitrate(track),
        language: language(track),
        video: (kind == "video").then(|| by_packets(video(caps, &track.beginning, turn(lists().chain(file_tags))), track)),
        audio: (kind == "audio").then(|| audio(caps)),
    })
}

fn kind_of(name: &str) -> Option<&'static str> {
    match name.split_once('/')? {
        ("video" | "image", _) => Some("video"),
        ("audio", _) => Some("audio"),
        ("text" | "subpicture" | "closedcaption", _) => Some("subtitle"),
        ("application", "x-ass" | "x-ssa" | "x-subtitle" | "x-subtitle-vtt" | "ttml+xml") => Some("subtitle"),
        _ => None,
    }
}

/// Containers write "und" for a language that nobody told.
fn language(track: &Track) -> String {
    let told = track
        .tags
        .iter()
        .find_map(|list| list.get::<tags::LanguageCode>().map(|tag| tag.get().to_owned()));
    told.filter(|language| language != "und").unwrap_or_default()
}

fn bitrate(track: &Track) -> i64 {
    let exact = track.tags.iter().find_map(|list| list.get::<tags::Bitrate>().map(|tag| tag.get()));
    let nominal = || {
        track
            .tags
            .iter()
            .find_map(|list| list.get::<tags::NominalBitrate>().map(|tag| tag.get()))
    };
    exact.or_else(nominal).map_or(0, i64::from)
}

/// Of the tags.
fn turn<'a>(mut lists: impl Iterator<Item = &'a TagList>) -> Turn {
    let told = lists.find_map(|list| list.get::<tags::ImageOrientation>().map(|tag| tag.get().to_owned()));
    let told = told.unwrap_or_default();
    let rotation = told.trim_start_matches("flip-").trim_start_matches("rotate-").parse();
    Turn {
        mirrored: told.starts_with("flip-"),
        rotation_deg: rotation.unwrap_or(0),
    }
}

fn audio(caps: &StructureRef) -> AudioProperties {
    AudioProperties {
        sample_rate_hz: caps.get("rate").unwrap_or(0),
        channels: caps.get("channels").unwrap_or(0),
    }
}

fn video(caps: &StructureRef, packet: &[u8], turn: Turn) -> VideoProperties {
    let headers = Headers { caps, packet };
    let (frame_rate_num, frame_rate_den) = fraction(caps, "framerate").filter(|(num, _)| *num > 0).unwrap_or((0, 1));
    let (pixel_aspect_num, pixel_aspect_den) = fraction(caps, "pixel-aspect-ratio")
        .filter(|(num, den)| *num > 0 && *den > 0)
        .unwrap_or((1, 1));
    let colorimetry = colorimetry(&headers);
    let (pixel_format, bit_depth) = pixel_format(caps);
    VideoProperties {
        width_px: caps.get("width").unwrap_or(0),
        height_px: caps.get("height").unwrap_or(0),
        frame_rate_num,
        frame_rate_den,
        pixel_aspect_num,
        pixel_aspect_den,
        rotation_deg: turn.rotation_deg,
        mirrored: turn.mirrored,
        interlaced: is_interlaced(&headers),
        pixel_format,
        bit_depth,
        hdr: high_dynamic_range(&colorimetry).to_owned(),
        colorimetry,
        profile: caps.get::<&str>("profile").unwrap_or_default().to_owned(),
    }
}

/// With what packets tell and caps do not: where fields come one by one, two of them are a picture, and rates count fields.
fn by_packets(mut video: VideoProperties, track: &Track) -> VideoProperties {
    let of_dv = (track.media_type() == "video/x-dv").then(|| dv::pixel_aspect(&track.beginning));
    if let Some((num, den)) = of_dv.flatten() {
        (video.pixel_aspect_num, video.pixel_aspect_den) = (num, den);
    }
    let told = f64::from(video.frame_rate_num) / f64::from(video.frame_rate_den.max(1));
    if track.pace.per_second().is_some_and(|per_second| pace::is_clock(told, per_second)) {
        (video.frame_rate_num, video.frame_rate_den) = (0, 1);
    }
    if !track.is_of_fields {
        return video;
    }
    video.interlaced = true;
    let coded = track.caps.as_ref().and_then(|caps| caps.structure(0)).and_then(coded_height);
    video.height_px = coded.unwrap_or(video.height_px) * 2;
    (video.frame_rate_num, video.frame_rate_den) = match video.frame_rate_num % 2 {
        0 => (video.frame_rate_num / 2, video.frame_rate_den),
        _ => (video.frame_rate_num, video.frame_rate_den * 2),
    };
    video
}

/// Lines of a coded picture of H.265: parsers tell those of two fields, containers those of one.
fn coded_height(caps: &StructureRef) -> Option<i32> {
    let codec_data = caps.get::<gst::Buffer>("codec_data").ok()?;
    let record = codec_data.map_readable().ok()?;
    i32::try_from(h265::height_in_record(&record)?).ok()
}

/// Of what the caps tell, and the range by the stream's own headers: MP4's demuxer takes full range for limited, and parsers keep silent
/// where nothing else is told.
fn colorimetry(headers: &Headers) -> String {
    let told = headers.caps.get::<&str>("colorimetry").unwrap_or_default();
    match headers.colours() {
        Some(colours) => with_range(told, colours.full_range),
        None => told.to_owned(),
    }
}

/// Whether a colorimetry in GStreamer's words has the full range; `None`: it does not tell a range.
pub fn is_full_range(told: &str) -> Option<bool> {
    match told.parse::<gst_video::VideoColorimetry>().ok()?.range() {
        gst_video::VideoColorRange::Range0_255 => Some(true),
        gst_video::VideoColorRange::Range16_235 => Some(false),
        _ => None,
    }
}

/// A colorimetry in GStreamer's words with that range.
pub fn with_range(told: &str, full: bool) -> String {
    use gst_video::{VideoColorMatrix, VideoColorPrimaries, VideoColorRange, VideoColorimetry, VideoTransferFunction};
    let range = if full {
        VideoColorRange::Range0_255
    } else {
        VideoColorRange::Range16_235
    };
    let (matrix, transfer, primaries) = match told.parse::<VideoColorimetry>() {
        Ok(told) if told.matrix() == VideoColorMatrix::Rgb => return told.to_string(),
        Ok(told) => (told.matrix(), told.transfer(), told.primaries()),
        // Without a word, limited range is what everybody takes.
        Err(_) if !full => return told.to_owned(),
        Err(_) => (
            VideoColorMatrix::Unknown,
            VideoTransferFunction::Unknown,
            VideoColorPrimaries::Unknown,
        ),
    };
    VideoColorimetry::new(range, matrix, transfer, primaries).to_string()
}

fn is_interlaced(headers: &Headers) -> bool {
    let told = matches!(
        headers.caps.get::<&str>("interlace-mode"),
        Ok("interleaved" | "mixed" | "fields" | "alternate")
    );
    told || headers.caps.name() == "video/x-dv" || headers.may_hold_fields()
}

fn fraction(caps: &StructureRef, field: &str) -> Option<(i32, i32)> {
    caps.get::<gst::Fraction>(field).ok().map(|value| (value.numer(), value.denom()))
}

fn high_dynamic_range(colorimetry: &str) -> &'static str {
    use gst_video::VideoTransferFunction::{AribStdB67, Smpte2084};
    match colorimetry.parse::<gst_video::VideoColorimetry>().map(|parsed| parsed.transfer()) {
        Ok(Smpte2084) => "pq",
        Ok(AribStdB67) => "hlg",
        _ => "",
    }
}

/// Name of the pixel format and bits per sample, as far as parsers tell or the codec leaves no choice.
fn pixel_format(caps: &StructureRef) -> (String, i32) {
    if caps.name() == "video/x-raw" {
        return raw_pixel_format(caps);
    }
    let usual_bits = if caps.name() == "video/x-prores" { 10 } else { 8 };
    let bits = caps.get::<u32>("bit-depth-luma").unwrap_or(usual_bits);
    let chroma = caps.get::<&str>("chroma-format").ok().or_else(|| chroma_by_codec(caps));
    let Some(chroma) = chroma else { return (String::new(), 0) };
    let name = match (chroma, bits) {
        ("4:2:0", 8) => "I420".to_owned(),
        ("4:2:2", 8) => "Y42B".to_owned(),
        ("4:4:4", 8) => "Y444".to_owned(),
        ("4:0:0", 8) => "GRAY8".to_owned(),
        ("4:2:0", bits) => format!("I420_{bits}LE"),
        ("4:2:2", bits) => format!("I422_{bits}LE"),
        ("4:4:4", bits) => format!("Y444_{bits}LE"),
        _ => String::new(),
    };
    (name, i32::try_from(bits).unwrap_or(0))
}

fn raw_pixel_format(caps: &StructureRef) -> (String, i32) {
    let name = caps.get::<&str>("format").unwrap_or_default();
    let bits = name
        .parse::<gst_video::VideoFormat>()
        .map_or(0, |format| gst_video::VideoFormatInfo::from_format(format).bits());
    (name.to_owned(), i32::try_from(bits).unwrap_or(0))
}

fn chroma_by_codec(caps: &StructureRef) -> Option<&'static str> {
    match caps.name().as_str() {
        "video/mpeg" if caps.get::<&str>("profile").is_ok_and(|profile| profile.starts_with("4:2:2")) => Some("4:2:2"),
        "video/x-prores" if caps.get::<&str>("variant").is_ok_and(|variant| variant.starts_with("4444")) => Some("4:4:4"),
        "video/x-prores" => Some("4:2:2"),
        "video/mpeg" | "video/x-vp8" | "video/x-theora" | "video/x-h263" | "video/x-flash-video" => Some("4:2:0"),
        _ => None,
    }
}

/// Most bits of a sample of FLAC whose frames GStreamer 1.22 finds.
const MOST_FLAC_BITS: u32 = 24;

/// Sound that GStreamer 1.22 takes and does not read: IMA ADPCM of one channel, whose samples in a block it miscounts, and FLAC of 32 bits.
fn is_missed(caps: &StructureRef) -> bool {
    match caps.name().as_str() {
        "audio/x-adpcm" => caps.get::<&str>("layout") == Ok("dvi") && caps.get::<i32>("channels") == Ok(1),
        "audio/x-flac" => flac_bits(caps).is_some_and(|bits| bits > MOST_FLAC_BITS),
        _ => false,
    }
}

/// Of chroma that is coarser than by half jpegdec leaves the memory as it finds it, and avdec_mjpeg dies.
fn is_missed_jpeg(track: &Track) -> bool {
    track.media_type() == "image/jpeg" && jpeg::frame(&track.beginning).is_some_and(|frame| frame.has_coarse_chroma())
}

/// By the first of the stream's headers, where the magic stands behind those of a container.
fn flac_bits(caps: &StructureRef) -> Option<u32> {
    let headers = caps.get::<gst::ArrayRef>("streamheader").ok()?;
    let first = headers.as_slice().first()?.get::<gst::Buffer>().ok()?;
    let bytes = first.map_readable().ok()?;
    let at = bytes.windows(4).position(|window| window == b"fLaC")?;
    Some(flac::stream_info(bytes.get(at..)?)?.bits)
}

/// Whether an installed decoder takes the stream; raw ones need none.
pub fn is_decodable(track: &Track, decoders: &[gst::ElementFactory]) -> bool {
    let Some(caps) = &track.caps else { return false };
    if caps.structure(0).is_some_and(is_missed) || is_missed_jpeg(track) {
        return false;
    }
    track.media_type().ends_with("/x-raw") || decoders.iter().any(|factory| factory.can_sink_any_caps(caps))
}

/// Attached pictures, as streams; they come as tags.
pub fn attached_pictures(lists: &[TagList], first_index: i32) -> Vec<MediaStream> {
    let samples = lists
        .iter()
        .flat_map(|list| list.iter_tag::<tags::Image>().map(|tag| tag.get()).collect::<Vec<_>>());
    let mut found: Vec<MediaStream> = Vec::new();
    for sample in samples {
        let codec = sample
            .caps()
            .and_then(|caps| caps.structure(0))
            .map(names::codec)
            .unwrap_or_default();
        let size = sample.buffer().map_or(0, gst::BufferRef::size);
        // The same tag may come with the file and with each stream.
        let again = found.iter().any(|known| known.codec == codec && known.bitrate_bps == size as i64);
        if !again {
            found.push(MediaStream {
                index: first_index + found.len() as i32,
                kind: "image".to_owned(),
                codec,
                bitrate_bps: size as i64,
                ..MediaStream::default()
            });
        }
    }
    for picture in &mut found {
        picture.bitrate_bps = 0;
    }
    found
}

/// Tags of the file that are words, numbers or dates.
pub fn file_tags(lists: &[TagList]) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for list in lists {
        for (name, value) in list.iter() {
            if TAGS_LEFT_OUT.contains(&name.as_str()) {
                continue;
            }
            if let Some(text) = tag_text(&value) {
                found
                    .entry(name.to_string())
                    .or_insert_with(|| text.chars().take(LONGEST_TAG).collect());
            }
        }
    }
    found
}

fn tag_text(value: &gst::glib::SendValue) -> Option<String> {
    if let Ok(text) = value.get::<String>() {
        return Some(text);
    }
    if let Ok(number) = value.get::<u32>() {
        return Some(number.to_string());
    }
    if let Ok(date) = value.get::<gst::DateTime>() {
        return date.to_iso8601_string().ok().map(|text| text.to_string());
    }
    None
}
