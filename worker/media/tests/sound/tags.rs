//! Titles and attached pictures: where they are kept, and that nothing of them is left where they are not.

use std::path::{Path, PathBuf};

use mps_proto::{
    v1::{self, AudioCodec, Container, MetadataPolicy, VideoCodec},
    worker::v1::PlanNode,
};

use crate::{
    pass_tools::{ffmpeg, ffprobe},
    tools::bench,
    transcode_tools::{Film, audio, node, video},
};

const TITLE: &str = "Inmost";
const PNG: &[u8] = b"\x89PNG\r\n";
/// The same within Base64, by how many bytes are in front of it.
const PNG_64: [&str; 3] = ["iVBORw", "lQTkcN", "JUE5HD"];
const KEEP: MetadataPolicy = MetadataPolicy::Keep;
const STRIP: MetadataPolicy = MetadataPolicy::Strip;

fn policies(settings: v1::TranscodeSettings, tags: MetadataPolicy, cover: MetadataPolicy) -> PlanNode {
    node(
        "n",
        v1::TranscodeSettings {
            metadata: Some(tags.into()),
            cover_art: Some(cover.into()),
            ..settings
        },
    )
}

fn sound((container, codec): (Container, AudioCodec), tags: MetadataPolicy, cover: MetadataPolicy) -> PlanNode {
    let settings = v1::TranscodeSettings {
        container: Some(container.into()),
        audio: Some(audio(codec)),
        ..Default::default()
    };
    policies(settings, tags, cover)
}

/// Files of nodes of one pass.
fn made(film: &Film, input: &str, nodes: Vec<PlanNode>) -> Vec<PathBuf> {
    let numbered = (0..).zip(nodes).map(|(number, mut node): (u32, _)| {
        node.key = format!("n{number}");
        node.outputs[0].output_id = format!("out{number}");
        node
    });
    let files = film.transcode_of(input, numbered.collect());
    files.into_iter().map(|file| file.unwrap()).collect()
}

/// Whether a file says the title, and shows the picture, to ffprobe.
fn told(file: &Path) -> (bool, bool) {
    let entries = "format_tags=title:stream_tags=title:chapter_tags=title:stream_disposition=attached_pic";
    let told = ffprobe(file, &format!("-of default=nw=1 -show_entries {entries}"));
    (told.contains(TITLE), told.contains("attached_pic=1"))
}

/// The same by bytes, whoever reads them.
fn holds(file: &Path) -> (bool, bool) {
    let bytes = std::fs::read(file).unwrap();
    let has = |part: &[u8]| bytes.windows(part.len()).any(|bytes| bytes == part);
    (has(TITLE.as_bytes()), has(PNG) || PNG_64.iter().any(|part| has(part.as_bytes())))
}

/// Sound with title and picture.
fn record(film: &Film, name: &str) {
    let cover = film.path("cover.png");
    ffmpeg("-f lavfi -i testsrc2=s=64x64:d=1 -frames:v 1", &cover);
    let sound = "-f lavfi -i sine=d=0.5:r=48000 -i";
    let options = format!("{sound} {} -map 0 -map 1 -c:v copy -disposition:v attached_pic", cover.display());
    ffmpeg(
        &format!("{options} -metadata title={TITLE} -metadata:s:v title=Cover"),
        &film.path(name),
    );
    assert_eq!(told(&film.path(name)), (true, true), "{name}");
}

#[test]
fn titles_and_pictures_of_sound_are_where_they_are_wanted() {
    let encoded = [
        (Container::Flac, AudioCodec::Flac),
        (Container::Ogg, AudioCodec::Opus),
        (Container::Ogg, AudioCodec::Vorbis),
        (Container::Ogg, AudioCodec::Flac),
        (Container::M4a, AudioCodec::Aac),
        (Container::Mp3, AudioCodec::Mp3),
        (Container::Mp4, AudioCodec::Aac),
        (Container::Mkv, AudioCodec::Aac),
        (Container::Mkv, AudioCodec::Flac),
        (Container::Mkv, AudioCodec::Vorbis),
    ];
    let of_flac = [Container::Flac, Container::Ogg, Container::Mkv].map(|container| (container, AudioCodec::Copy));
    let of_mp3 = [Container::Mp3, Container::Mp4, Container::Mkv].map(|container| (container, AudioCodec::Copy));
    let film = bench();
    let mut wrong = Vec::new();
    for (name, copied) in [("a.flac", of_flac), ("a.mp3", of_mp3)] {
        record(&film, name);
        let outputs = encoded.iter().chain(&copied);
        // Of nodes that would share an encoder, one pass makes both.
        let outputs: Vec<_> = outputs.flat_map(|output| [(output, KEEP, STRIP), (output, STRIP, KEEP)]).collect();
        let nodes = outputs.iter().map(|(output, tags, cover)| sound(**output, *tags, *cover)).collect();
        for ((output, tags, cover), file) in outputs.iter().zip(made(&film, name, nodes)) {
            let (told, holds) = (told(&file), holds(&file));
            let wanted = (*tags == KEEP, *cover == KEEP);
            let is_right = match output {
                (Container::Mkv, _) => !told.1,
                // Its pictures are blocks of FLAC, which ffprobe does not read in Ogg.
                (Container::Ogg, AudioCodec::Flac | AudioCodec::Copy) => holds.1 == wanted.1,
                _ => told.1 == wanted.1,
            };
            if !is_right || (told.0, holds.0) != (wanted.0, wanted.0) || !wanted.1 && holds.1 {
                wrong.push(format!("{name} {output:?} {tags:?} {cover:?}: told {told:?}, holds {holds:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn titles_of_films_are_left_out_where_they_are_not_wanted() {
    let film = bench();
    let chapters = format!(";FFMETADATA1\ntitle={TITLE}\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=500\ntitle={TITLE}\n");
    std::fs::write(film.path("meta.txt"), chapters).unwrap();
    let options = format!(
        "-f lavfi -i testsrc2=s=64x64:d=1 -f lavfi -i sine=d=1:r=48000 -f ffmetadata -i {} -map_metadata 2 -map_chapters 2 -map 0 -map 1 \
         -c:v libx264 -preset ultrafast -pix_fmt yuv420p -c:a aac -metadata:s:a title={TITLE} -metadata:s:v title={TITLE}",
        film.path("meta.txt").display()
    );
    let mut wrong = Vec::new();
    for (name, codec) in [("a.mp4", VideoCodec::H264), ("a.mkv", VideoCodec::Copy)] {
        ffmpeg(&options, &film.path(name));
        let outputs = [Container::Mp4, Container::Mkv, Container::Mov].map(|container| (container, codec));
        for tags in [KEEP, STRIP] {
            let node = |(container, codec): &(Container, VideoCodec)| {
                let is_copy = *codec == VideoCodec::Copy;
                let settings = v1::TranscodeSettings {
                    container: Some((*container).into()),
                    video: Some(if is_copy {
                        v1::VideoSettings {
                            codec: Some((*codec).into()),
                            ..Default::default()
                        }
                    } else {
                        video(*codec)
                    }),
                    audio: Some(audio(if is_copy { AudioCodec::Copy } else { AudioCodec::Aac })),
                    ..Default::default()
                };
                policies(settings, tags, STRIP)
            };
            for (output, file) in outputs.iter().zip(made(&film, name, outputs.iter().map(node).collect())) {
                let (told, holds) = (told(&file), holds(&file));
                if (told.0, holds.0) != (tags == KEEP, tags == KEEP) {
                    wrong.push(format!("{name} {output:?} {tags:?}: told {told:?}, holds {holds:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
