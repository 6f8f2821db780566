//! mps probe.

use mps_proto::v1::{MediaInfo, MediaStream, ProbeMediaRequest};

use crate::{
    commands::process,
    context::Context,
    exit::{self, Exit, UsageError},
    output::{Table, bytes, duration, print_json, print_line},
    reference::Reference,
};

pub async fn run(context: &Context, input: &str) -> anyhow::Result<Exit> {
    let reference = Reference::parse(input).map_err(UsageError)?;
    let input = process::place(context, &reference, "local").await?;
    let request = ProbeMediaRequest {
        parent: context.parent(),
        input: Some(input),
    };
    let media = context
        .client
        .storages()
        .probe_media(request)
        .await?
        .into_inner()
        .media
        .unwrap_or_default();
    if context.json {
        print_json("mps.v1.MediaInfo", &media)?;
    } else {
        show(&media);
    }
    Ok(exit::SUCCESS)
}

fn show(media: &MediaInfo) {
    let rate = if media.bitrate_bps > 0 {
        format!(", {} kbit/s", media.bitrate_bps / 1000)
    } else {
        String::new()
    };
    // not known of a playlist
    let size = match media.size_bytes {
        0 => String::new(),
        known => format!(", {}", bytes(known)),
    };
    print_line(&format!("{}, {}{size}{rate}", media.container, duration(media.duration.as_ref())));
    let mut table = Table::new(["#", "KIND", "CODEC", "DETAILS", "LANGUAGE"]);
    for stream in &media.streams {
        table.row([
            stream.index.to_string(),
            stream.kind.clone(),
            stream.codec.clone(),
            details(stream),
            stream.language.clone(),
        ]);
    }
    table.print();
    for (name, value) in &media.tags {
        print_line(&format!("{name}: {value}"));
    }
}

fn details(stream: &MediaStream) -> String {
    if let Some(audio) = &stream.audio {
        return format!("{} Hz, {} channels", audio.sample_rate_hz, audio.channels);
    }
    let Some(video) = &stream.video else { return String::new() };
    let mut parts = vec![format!("{}×{}", video.width_px, video.height_px)];
    if video.frame_rate_num > 0 {
        parts.push(format!(
            "{:.3} fps",
            f64::from(video.frame_rate_num) / f64::from(video.frame_rate_den.max(1))
        ));
    }
    if video.mirrored {
        parts.push("mirrored".into());
    }
    if video.rotation_deg != 0 {
        parts.push(format!("rotated {}°", video.rotation_deg));
    }
    if video.interlaced {
        parts.push("interlaced".into());
    }
    for text in [&video.profile, &video.pixel_format, &video.colorimetry, &video.hdr] {
        if !text.is_empty() {
            parts.push(text.clone());
        }
    }
    parts.join(", ")
}
