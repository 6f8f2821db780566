//! Subtitles of nodes.

use super::*;

fn soft(url: &str) -> Subtitle {
    Subtitle {
        source: Some(Source::Url(url.into())),
        language: "en".into(),
        ..Default::default()
    }
}

fn burnt(url: &str) -> Subtitle {
    Subtitle {
        mode: Some(Mode::BurnIn.into()),
        language: String::new(),
        ..soft(url)
    }
}

fn checked(subtitles: &[Subtitle], takes: Takes) -> (Vec<SubtitleDraft>, Vec<String>) {
    let mut faults = Faults::default();
    let drafts = check_all(subtitles, "n", takes, "p", &mut faults);
    (drafts, faults.fields().into_iter().map(str::to_owned).collect())
}

#[test]
fn defaults_are_filled_in() {
    let (drafts, fields) = checked(&[soft("http://h/a.srt"), burnt("http://h/b.vtt")], Takes::ANY);
    assert_eq!(fields, Vec::<String>::new());
    let (track, drawn) = (&drafts[0].subtitle, &drafts[1].subtitle);
    assert_eq!(
        (track.mode(), track.display_name.as_str(), track.font.as_ref()),
        (Mode::Soft, "en", None)
    );
    assert_eq!(
        (drawn.font.as_deref(), drawn.font_size_percent, drawn.color.as_deref()),
        (Some("Sans"), Some(5.0), Some("#FFFFFF"))
    );
    assert_eq!(
        (drafts[0].source.field.as_str(), drafts[0].source.max_bytes),
        ("n.subtitles[0].url", SUBTITLE_BYTES)
    );
    let (drafts, fields) = checked(&[burnt("http://h/b.ASS?x=1")], Takes::ANY);
    assert!(
        fields.is_empty() && drafts[0].subtitle.font.is_none(),
        "ASS says itself how it looks"
    );
}

#[test]
fn wrong_subtitles_are_named() {
    let srt = "http://h/a.srt";
    let red = Some("red".to_owned());
    let cases: Vec<(Vec<Subtitle>, &[&str])> = vec![
        (vec![Subtitle { source: None, ..soft(srt) }], &["[0]"]),
        (vec![soft("ftp://h/a")], &["[0].url"]),
        (
            vec![Subtitle {
                language: String::new(),
                ..soft(srt)
            }],
            &["[0].language"],
        ),
        (
            vec![Subtitle {
                language: "e_n".into(),
                ..soft(srt)
            }],
            &["[0].language"],
        ),
        (
            vec![Subtitle {
                display_name: "x".repeat(65),
                ..soft(srt)
            }],
            &["[0].display_name"],
        ),
        (
            vec![Subtitle {
                color: red.clone(),
                ..soft(srt)
            }],
            &["[0].color"],
        ),
        (
            vec![Subtitle {
                mode: Some(7),
                ..soft(srt)
            }],
            &["[0].mode"],
        ),
        (vec![soft("http://h/a.ass")], &["[0].mode"]),
        (
            vec![Subtitle {
                color: red.clone(),
                ..burnt(srt)
            }],
            &["[0].color"],
        ),
        (
            vec![Subtitle {
                color: red,
                ..burnt("http://h/a.ssa")
            }],
            &["[0].color"],
        ),
        (
            vec![Subtitle {
                font_size_percent: Some(31.0),
                ..burnt(srt)
            }],
            &["[0].font_size_percent"],
        ),
        (
            vec![Subtitle {
                language: "en".into(),
                is_default: true,
                ..burnt(srt)
            }],
            &["[0].language", "[0].is_default"],
        ),
        (vec![burnt(srt), burnt(srt)], &["[1].mode"]),
        (
            vec![
                Subtitle {
                    is_default: true,
                    ..soft(srt)
                },
                Subtitle {
                    is_default: true,
                    ..soft(srt)
                },
            ],
            &["[1].is_default"],
        ),
        (vec![soft(srt); 11], &[""]),
    ];
    for (subtitles, names) in cases {
        let expected: Vec<String> = names.iter().map(|name| format!("n.subtitles{name}")).collect();
        assert_eq!(checked(&subtitles, Takes::ANY).1, expected);
    }
}

#[test]
fn the_output_says_what_it_takes() {
    let takes = Takes {
        no_tracks: Some("no tracks"),
        no_picture: Some("no picture"),
    };
    let subtitles = [soft("http://h/a.srt"), burnt("http://h/a.srt")];
    assert_eq!(checked(&subtitles, takes).1, ["n.subtitles[0].mode", "n.subtitles[1].mode"]);
}
