//! Small pictures of fields with known progressive ones.

use super::*;

/// A plane of 8 bits without padding.
fn plane(data: &[u8], width: usize) -> Plane<'_> {
    Plane {
        data,
        stride: width,
        width,
        height: data.len() / width,
        values: 1,
        bytes: 1,
    }
}

fn made(fields: &Fields) -> Vec<u8> {
    let mut to = vec![0; fields.own.data.len()];
    Deinterlacer::default().plane(fields, 8, &mut to, fields.own.stride);
    to
}

/// A ramp from left to right, with a dot.
fn still() -> Vec<u8> {
    let mut picture: Vec<u8> = (0..12 * 9).map(|at| (at % 12 * 20) as u8).collect();
    picture[4 * 12 + 5] = 255;
    picture[5 * 12 + 5] = 255;
    picture
}

#[test]
fn what_stands_still_stays_as_it_is() {
    let picture = still();
    let own = plane(&picture, 12);
    for top_first in [true, false] {
        let fields = Fields {
            before: Some(own),
            own,
            behind: Some(own),
            top_first,
        };
        assert_eq!(made(&fields), picture, "{top_first}");
    }
}

#[test]
fn a_picture_alone_keeps_its_first_field_and_fills_the_other() {
    // The second field is of another time: white.
    let woven: Vec<u8> = (0..8 * 6).map(|at| if at / 8 % 2 == 0 { 40 } else { 255 }).collect();
    let fields = Fields {
        before: None,
        own: plane(&woven, 8),
        behind: None,
        top_first: true,
    };
    assert_eq!(made(&fields), vec![40; 8 * 6]);
    assert_eq!(
        made(&Fields {
            top_first: false,
            ..fields
        }),
        vec![255; 8 * 6]
    );
}

#[test]
fn what_moves_leaves_no_comb() {
    // A bar that moves four pixels from field to field.
    let field = |time: usize, line: usize| {
        (0..32).map(move |x| {
            if (4 * time..4 * time + 8).contains(&x) {
                200u8
            } else {
                16 + (line % 2) as u8
            }
        })
    };
    let woven = |time: usize| -> Vec<u8> { (0..16).flat_map(|line| field(2 * time + line % 2, line)).collect() };
    let pictures = [woven(0), woven(1), woven(2)];
    let [before, own, behind] = pictures.each_ref().map(|picture| plane(picture, 32));
    let fields = Fields {
        before: Some(before),
        own,
        behind: Some(behind),
        top_first: true,
    };
    let made = made(&fields);
    for (at, value) in made.iter().enumerate() {
        let wanted = if (8..16).contains(&(at % 32)) { 200 } else { 16 };
        assert!(value.abs_diff(wanted) <= 1, "{at}: {value}, {wanted}");
    }
}

#[test]
fn deep_values_and_pixels_of_several_values_are_kept_apart() {
    // Two values of 16 bits a pixel, far apart: what was taken from a neighbour of the other kind would show.
    let woven: Vec<u8> = (0..6 * 8 * 2)
        .flat_map(|at: usize| (if at.is_multiple_of(2) { 1_000u16 } else { 60_000 }).to_le_bytes())
        .collect();
    let own = Plane {
        stride: 6 * 4,
        values: 2,
        bytes: 2,
        ..plane(&woven, 6)
    };
    let own = Plane { height: 8, ..own };
    let fields = Fields {
        before: None,
        own,
        behind: Some(own),
        top_first: false,
    };
    let mut to = vec![0; woven.len()];
    Deinterlacer::default().plane(&fields, 16, &mut to, own.stride);
    assert_eq!(to, woven);
}

#[test]
fn pictures_of_a_line_or_two_and_short_data_are_taken() {
    for (width, height) in [(1, 1), (1, 2), (2, 3), (3, 1)] {
        let data = vec![7; width * height];
        let own = plane(&data, width);
        let fields = Fields {
            before: Some(own),
            own,
            behind: None,
            top_first: false,
        };
        assert_eq!(made(&fields), data, "{width}x{height}");
    }
    let cut = Plane {
        height: 9,
        ..plane(&[1; 10], 4)
    };
    let fields = Fields {
        before: Some(cut),
        own: cut,
        behind: None,
        top_first: true,
    };
    Deinterlacer::default().plane(&fields, 8, &mut [0; 36], 4);
}
