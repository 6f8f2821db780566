//! How the channels of a track become those of an output: by where they stand in the room, also where the input does not say.
//!
//! A mix to fewer channels follows ITU-R BS.775-3, annex 4, table 2: centre and surrounds go into left and right at −3 dB, a lone rear channel
//! into both at −6 dB, low frequencies nowhere; one channel is the sum of those two at −3 dB. Then all is scaled so that no output can exceed
//! full scale, as ffmpeg's libswresample does for integer samples.

use std::f32::consts::FRAC_1_SQRT_2 as MINUS_3_DB;

use gst::prelude::*;
use gst_audio::AudioChannelPosition::{
    self as Position, BottomFrontLeft, BottomFrontRight, FrontCenter, FrontLeft, FrontLeftOfCenter, FrontRight, FrontRightOfCenter, Lfe1,
    Lfe2, Mono, RearCenter, RearLeft, RearRight, SideLeft, SideRight, SurroundLeft, SurroundRight, TopCenter, TopFrontLeft, TopFrontRight,
    TopRearCenter, TopRearLeft, TopRearRight, TopSideLeft, TopSideRight, TopSurroundLeft, TopSurroundRight, WideLeft, WideRight,
};
use mps_proto::worker::v1::Failure;

use super::elements::{answer, make, pad};

/// For each channel of the output, the share of each channel of the input.
type Matrix = Vec<Vec<f32>>;

/// 5.1: the low frequencies stand before the rear.
pub const SURROUND: [Position; 6] = [FrontLeft, FrontRight, FrontCenter, Lfe1, RearLeft, RearRight];

/// Layouts of the output.
fn layout(channels: i32) -> &'static [Position] {
    match channels {
        1 => &[Mono],
        6 => &SURROUND,
        _ => &[FrontLeft, FrontRight],
    }
}

/// Where channels stand when the input does not say: by ISO/IEC 23091-3 for up to eight, in the order of WAVE files; more are pairs of left
/// and right, as recorders of many tracks lay them.
fn usual(channels: usize) -> Vec<Position> {
    let known: &[Position] = match channels {
        1 => &[Mono],
        2 => &[FrontLeft, FrontRight],
        3 => &[FrontLeft, FrontRight, FrontCenter],
        4 => &[FrontLeft, FrontRight, FrontCenter, RearCenter],
        5 => &[FrontLeft, FrontRight, FrontCenter, RearLeft, RearRight],
        6 => &SURROUND,
        7 => &[FrontLeft, FrontRight, FrontCenter, Lfe1, RearCenter, SideLeft, SideRight],
        8 => &[FrontLeft, FrontRight, FrontCenter, Lfe1, RearLeft, RearRight, SideLeft, SideRight],
        _ => return [FrontLeft, FrontRight].into_iter().cycle().take(channels).collect(),
    };
    known.to_vec()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Middle,
    Right,
}

/// What a channel is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Front(Side),
    Surround(Side),
    Low,
}

fn place(position: Position) -> Place {
    match position {
        FrontLeft | FrontLeftOfCenter | WideLeft | TopFrontLeft | BottomFrontLeft => Place::Front(Side::Left),
        FrontRight | FrontRightOfCenter | WideRight | TopFrontRight | BottomFrontRight => Place::Front(Side::Right),
        RearLeft | SideLeft | SurroundLeft | TopSideLeft | TopRearLeft | TopSurroundLeft => Place::Surround(Side::Left),
        RearRight | SideRight | SurroundRight | TopSideRight | TopRearRight | TopSurroundRight => Place::Surround(Side::Right),
        RearCenter | TopRearCenter | TopCenter => Place::Surround(Side::Middle),
        Lfe1 | Lfe2 => Place::Low,
        _ => Place::Front(Side::Middle),
    }
}

/// The mix from an input to a number of channels; `None`: they are the same.
fn mix(input: &[Position], channels: i32) -> Option<Matrix> {
    let told = !input.iter().any(|position| matches!(position, Position::None | Position::Invalid));
    let output = layout(channels);
    if told && input == output {
        return None;
    }
    let input = if told && input.len() > 1 {
        input.to_vec()
    } else {
        usual(input.len())
    };
    let mut rows: Matrix = match output {
        [_] => vec![input.iter().map(|from| MINUS_3_DB * (to_left(*from) + to_right(*from))).collect()],
        [_, _] if input == [Mono] => vec![vec![1.0], vec![1.0]],
        [_, _] => vec![
            input.iter().copied().map(to_left).collect(),
            input.iter().copied().map(to_right).collect(),
        ],
        _ => output
            .iter()
            .map(|to| input.iter().map(|from| to_surround(*from, *to, &input)).collect())
            .collect(),
    };
    let loudest = rows.iter().map(|row| row.iter().sum::<f32>()).fold(1.0, f32::max);
    rows.iter_mut().flatten().for_each(|share| *share /= loudest);
    Some(rows)
}

/// The share of a channel in the left of two.
fn to_left(from: Position) -> f32 {
    match place(from) {
        Place::Front(Side::Left) => 1.0,
        Place::Front(Side::Middle) | Place::Surround(Side::Left) => MINUS_3_DB,
        Place::Surround(Side::Middle) => 0.5,
        _ => 0.0,
    }
}

fn to_right(from: Position) -> f32 {
    match place(from) {
        Place::Front(Side::Right) => 1.0,
        Place::Front(Side::Middle) | Place::Surround(Side::Right) => MINUS_3_DB,
        Place::Surround(Side::Middle) => 0.5,
        _ => 0.0,
    }
}

/// The share of a channel in one of 5.1. Side and rear are one pair there; where the input has both, each gives its part.
fn to_surround(from: Position, to: Position, input: &[Position]) -> f32 {
    let (from, to) = (place(from), place(to));
    match (from, to) {
        (Place::Surround(Side::Middle), Place::Surround(_)) => MINUS_3_DB,
        _ if from == to => match from {
            Place::Surround(_) => (input.iter().filter(|other| place(**other) == from).count() as f32).sqrt().recip(),
            _ => 1.0,
        },
        _ => 0.0,
    }
}

/// An audioconvert that mixes to a number of channels.
pub fn mixer(pipeline: &gst::Pipeline, name: &str, channels: i32) -> Result<gst::Element, Failure> {
    let convert = make(pipeline, "audioconvert", name)?;
    let entry = pad(&convert, "sink")?;
    // What it takes depends on the matrix, which comes with the caps: until then it takes every sound.
    entry.add_probe(gst::PadProbeType::QUERY_DOWNSTREAM, |pad, info| {
        let Some(query) = info.query_mut() else {
            return gst::PadProbeReturn::Ok;
        };
        match query.view_mut() {
            gst::QueryViewMut::AcceptCaps(accept) => accept.set_result(true),
            gst::QueryViewMut::Caps(caps) => answer(caps, &pad.pad_template_caps()),
            _ => return gst::PadProbeReturn::Ok,
        }
        gst::PadProbeReturn::Handled
    });
    let weak = convert.downgrade();
    entry.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        if let Some(gst::EventView::Caps(caps)) = info.event().map(|event| event.view())
            && let (Some(convert), Ok(sound)) = (weak.upgrade(), gst_audio::AudioInfo::from_caps(caps.caps()))
        {
            let nowhere = || vec![Position::None; usize::try_from(sound.channels()).unwrap_or(0)];
            let positions = sound.positions().map_or_else(nowhere, <[Position]>::to_vec);
            convert.set_property("mix-matrix", as_value(&mix(&positions, channels).unwrap_or_default()));
        }
        gst::PadProbeReturn::Ok
    });
    Ok(convert)
}

fn as_value(matrix: &Matrix) -> gst::Array {
    gst::Array::from_iter(matrix.iter().map(|row| gst::Array::new(row.iter().copied()).to_send_value()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounded(input: &[Position], channels: i32) -> Option<Vec<Vec<i32>>> {
        let thousandths = |row: Vec<f32>| row.into_iter().map(|share| (share * 1000.0).round() as i32).collect();
        mix(input, channels).map(|rows| rows.into_iter().map(thousandths).collect())
    }

    #[test]
    fn low_frequencies_are_left_out_and_nothing_clips() {
        let stereo = rounded(&SURROUND, 2).unwrap();
        assert_eq!(stereo, [[414, 0, 293, 0, 293, 0], [0, 414, 293, 0, 0, 293]]);
        assert_eq!(rounded(&SURROUND, 1).unwrap(), [[207, 207, 293, 0, 146, 146]]);
        for count in 1..=16 {
            for channels in [1, 2, 6] {
                for row in mix(&vec![Position::None; count], channels).unwrap() {
                    assert!(row.iter().sum::<f32>() < 1.0001, "{count} to {channels}: {row:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_alike_stays_and_sides_are_rears() {
        assert_eq!(rounded(&SURROUND, 6), None);
        assert_eq!(rounded(&[FrontLeft, FrontRight], 2), None);
        assert_eq!(rounded(&[Mono], 1), None);
        let side = [FrontLeft, FrontRight, FrontCenter, Lfe1, SideLeft, SideRight];
        let same: Vec<Vec<i32>> = (0..6)
            .map(|row| (0..6).map(|at| if at == row { 1000 } else { 0 }).collect())
            .collect();
        assert_eq!(rounded(&side, 6).unwrap(), same);
        assert_eq!(rounded(&[Position::None; 6], 6).unwrap(), same);
    }

    #[test]
    fn one_channel_is_heard_on_both_sides_and_many_are_pairs() {
        assert_eq!(rounded(&[Mono], 2).unwrap(), [[1000], [1000]]);
        assert_eq!(rounded(&[FrontLeft], 2).unwrap(), [[1000], [1000]]);
        assert_eq!(rounded(&[Mono], 6).unwrap().concat(), [0, 0, 1000, 0, 0, 0]);
        assert_eq!(rounded(&[FrontLeft, FrontRight], 1).unwrap(), [[500, 500]]);
        let sixteen = rounded(&[Position::None; 16], 2).unwrap();
        assert!(sixteen[0].chunks(2).all(|pair| pair == [125, 0]), "{sixteen:?}");
    }
}
