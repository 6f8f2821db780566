//! Copies of streams that change in their middle, and what stands in the segments of copies.

use mps_proto::v1::SegmentFormat;

use crate::{
    hls::{copied, decodes, node, sound_length},
    pass_tools::{ffprobe, frames, number},
    tools::{Film, Told, seconds},
};

/// Four seconds of 160x90 at 30 fps. `channels`: of its sound.
fn recording(settings: &str, tone: u32, channels: u32) -> String {
    format!(
        "-f lavfi -i testsrc2=s=160x90:r=30:d=4 -f lavfi -i sine=f={tone}:r=48000:d=4 -c:v libx264 -g 30 -pix_fmt yuv420p {settings} -c:a aac \
         -ac {channels}"
    )
}

fn spliced() -> Film {
    Film::spliced(&[
        &recording("-preset veryfast", 440, 2),
        &recording("-preset medium -profile:v main -bf 3", 880, 1),
    ])
}

fn breaks(told: &Told, track: i32) -> Vec<(i32, i32, bool)> {
    let of_member = |member: &&mps_proto::worker::v1::SetMember| (member.index, member.init, member.discontinuity);
    told.segments(track).iter().map(of_member).collect()
}

#[test]
fn copies_of_joined_recordings_are_whole_and_tell_where_they_change() {
    let film = spliced();
    let told = film.stream(node(SegmentFormat::Ts, copied()), Vec::new());
    let [changed] = breaks(&told, 0).into_iter().filter(|(.., breaks)| *breaks).collect::<Vec<_>>()[..] else {
        panic!("one change, not {:?}", breaks(&told, 0));
    };
    let whole = film.keep("copy.ts", &told.joined(0));
    decodes(&whole);
    assert_eq!(frames(&whole), 240);
    assert!((told.length(0) - 8.0).abs() < 0.05 && (sound_length(&whole) - 8.0).abs() < 0.06);
    // Each segment stands for itself: its parameter sets and its sound's layout are those of its own recording.
    for (member, channels) in told
        .segments(0)
        .into_iter()
        .map(|member| (member, if member.index < changed.0 { 2 } else { 1 }))
    {
        let alone = film.keep("alone.ts", &told.members[&(0, member.index)].1);
        decodes(&alone);
        let streams = ffprobe(&alone, "-select_streams a -show_entries stream=channels");
        assert_eq!(
            number(streams.lines().next().unwrap_or_default()) as u32,
            channels,
            "segment {}",
            member.index
        );
    }
}

#[test]
fn fragments_of_joined_recordings_have_an_initialisation_each() {
    let film = spliced();
    let told = film.stream(node(SegmentFormat::Fmp4, copied()), Vec::new());
    for track in 0..2 {
        let inits: Vec<i32> = breaks(&told, track).iter().map(|(_, init, _)| *init).collect();
        assert!(
            inits.is_sorted() && inits.first() == Some(&0) && inits.last() == Some(&1),
            "track {track}: {inits:?}"
        );
        assert_eq!(
            breaks(&told, track).iter().map(|found| found.2).collect::<Vec<_>>(),
            breaks(&told, 0).iter().map(|found| found.2).collect::<Vec<_>>()
        );
        for init in 0..2 {
            decodes(&film.keep("run.mp4", &told.run(track, init)));
        }
        assert!((told.length(track) - 8.0).abs() < 0.05, "track {track}");
    }
    let pictures = |init| frames(&film.keep("run.mp4", &told.run(0, init)));
    assert_eq!((pictures(0), pictures(1)), (120, 120));
    // Players that know the first initialisation section alone find the parameter sets of the second.
    let whole = film.keep("whole.mp4", &[told.run(0, 0), told.run(0, 1)].concat());
    assert_eq!(frames(&whole), 240);
}

/// Kinds of the units of H.264 that a file's packets hold.
fn units(file: &std::path::Path) -> Vec<u8> {
    let output = std::process::Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-i"])
        .arg(file)
        .args(["-map", "0:v:0", "-c", "copy", "-f", "rawvideo", "-"])
        .output()
        .unwrap();
    let (mut kinds, mut rest) = (Vec::new(), output.stdout.as_slice());
    while let Some((length, tail)) = rest.split_first_chunk::<4>() {
        let length = u32::from_be_bytes(*length) as usize;
        kinds.push(tail[0] & 0x1f);
        rest = &tail[length..];
    }
    kinds
}

#[test]
fn packets_hold_no_parameter_sets_that_stand_in_the_initialisation() {
    let film = Film::named(
        &recording("-preset veryfast -x264-params repeat-headers=1:aud=1", 440, 2),
        "film.ts",
    );
    let told = film.stream(node(SegmentFormat::Fmp4, copied()), Vec::new());
    let kinds = units(&film.keep("copy.mp4", &told.joined(0)));
    assert_eq!(
        kinds.len(),
        kinds.iter().filter(|kind| matches!(kind, 1 | 5 | 6)).count(),
        "{kinds:?}"
    );
    assert_eq!(kinds.iter().filter(|kind| matches!(kind, 1 | 5)).count(), 120);
    let brands = &told.members[&(0, -1)].1[8..32];
    assert!(brands.chunks(4).any(|brand| brand == b"cmf2"), "{brands:?}");
    assert!(told.segments(0).iter().all(|member| !member.needs_previous));
}

/// Clock references of a transport stream in seconds.
fn clock_references(stream: &[u8]) -> Vec<f64> {
    let field = |packet: &[u8]| {
        let has_clock = packet[3] & 0x20 != 0 && packet[4] > 6 && packet[5] & 0x10 != 0;
        let base = packet[6..11].iter().fold(0u64, |base, byte| base << 8 | u64::from(*byte)) >> 7;
        has_clock.then_some(base as f64 / 90_000.0)
    };
    stream.chunks(188).filter_map(field).collect()
}

#[test]
fn clocks_of_transport_streams_tick_ten_times_a_second() {
    let slow = Film::named(
        "-f lavfi -i testsrc2=s=160x90:r=1:d=6 -f lavfi -i sine=f=440:r=48000:d=6 -c:v libx264 -bf 0 -g 2 -pix_fmt yuv420p -c:a aac -b:a 48k",
        "film.mp4",
    );
    for what in [copied(), (None, copied().1)] {
        let told = slow.stream(node(SegmentFormat::Ts, what), Vec::new());
        for member in told.segments(0) {
            let clocks = clock_references(&told.members[&(0, member.index)].1);
            let longest = clocks.windows(2).map(|pair| pair[1] - pair[0]).fold(0.0, f64::max);
            let enough = clocks.len() as f64 >= seconds(member.duration) * 10.0;
            assert!(enough && longest <= 0.1, "{longest} s between two of {clocks:?}");
        }
    }
}
