//! Adaptive streams as tests ask for them, and as players read them from the bucket.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use mps_proto::v1::{self, AdaptiveStreamNode, AdaptiveStreamSettings, ObjectInfo};

use crate::{Stack, media};

/// Renditions of these heights and one of sound, in segments of 2 s.
pub fn ladder(heights: &[i32]) -> AdaptiveStreamSettings {
    let rendition = |height: &i32| v1::Rendition {
        video: Some(v1::VideoSettings {
            height_px: Some(*height),
            ..Default::default()
        }),
    };
    AdaptiveStreamSettings {
        segment_duration: Some(Duration::from_secs(2).try_into().expect("short")),
        renditions: heights.iter().map(rendition).collect(),
        audio: vec![v1::AudioRendition {
            audio: Some(v1::AudioSettings::default()),
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// A node with files named `film…`: track 1 has `film_1.m3u8`.
pub fn stream(settings: AdaptiveStreamSettings) -> AdaptiveStreamNode {
    AdaptiveStreamNode {
        source: Some(v1::adaptive_stream_node::Source::Inline(settings)),
        output_path: "film.{format}".into(),
        sub_stream_path: "film_{subStreamNumber}.{format}".into(),
        segment_path: "film_{subStreamNumber}_{segmentNumber}.{format}".into(),
        ..Default::default()
    }
}

pub fn node(stream: AdaptiveStreamNode) -> v1::Node {
    v1::Node {
        operation: Some(v1::node::Operation::AdaptiveStream(stream)),
        ..Default::default()
    }
}

/// An HLS media playlist.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MediaPlaylist {
    pub init: Option<String>,
    pub segments: Vec<String>,
    /// Length of all segments.
    pub seconds: f64,
    pub is_ended: bool,
}

impl MediaPlaylist {
    pub fn parse(text: &str) -> Self {
        let mut playlist = Self::default();
        assert!(text.starts_with("#EXTM3U\n") && text.ends_with('\n'), "{text}");
        for line in text.lines() {
            if let Some(length) = line.strip_prefix("#EXTINF:") {
                playlist.seconds += length.trim_end_matches(',').parse::<f64>().expect("a length in seconds");
            } else if let Some(uri) = line.strip_prefix("#EXT-X-MAP:URI=\"") {
                playlist.init = Some(uri.trim_end_matches('"').to_owned());
            } else if line == "#EXT-X-ENDLIST" {
                playlist.is_ended = true;
            } else if !line.starts_with('#') {
                playlist.segments.push(line.to_owned());
            }
        }
        playlist
    }

    /// Everything that it names.
    pub fn files(&self) -> impl Iterator<Item = &String> {
        self.init.iter().chain(&self.segments)
    }

    /// All that it names, joined, is one film whose packets follow each other at one distance. `folder`: where its files are.
    pub fn assert_continuous(&self, folder: &Path) {
        let read = |file: &String| std::fs::read(folder.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        let bytes: Vec<u8> = self.files().flat_map(read).collect();
        let joined = folder.join("joined");
        std::fs::write(&joined, bytes).expect("it can be written");
        let times = media::decoding_times(&joined);
        let distances: BTreeSet<i64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(distances.len(), 1, "{:?} has a gap: {distances:?}", self.segments);
    }
}

impl Stack {
    /// Every object of the built-in storage below a directory, without folders.
    pub async fn objects(&self, directory: &str) -> Vec<ObjectInfo> {
        let request = v1::ListObjectsRequest {
            storage: "local".into(),
            directory: directory.into(),
            recursive: true,
            page_size: 1000,
            ..Default::default()
        };
        let listed = self.client().await.storages().list_objects(request).await;
        let listed = listed.expect("objects can be listed").into_inner();
        assert!(listed.next_page_token.is_empty(), "more than a page");
        listed.objects.into_iter().filter(|object| !object.folder).collect()
    }

    /// A text object as it is now; `None`: there is none.
    pub async fn text(&self, key: &str) -> Option<String> {
        let path = self.folder.path().join("read.txt");
        self.client().await.download("local", key, &path, |_| {}).await.ok()?;
        Some(std::fs::read_to_string(path).expect("the object is text"))
    }

    pub async fn playlist(&self, key: &str) -> Option<MediaPlaylist> {
        self.text(key).await.map(|text| MediaPlaylist::parse(&text))
    }

    /// Copies all objects below a directory to a folder, where they have the same names.
    pub async fn mirror(&self, directory: &str) -> PathBuf {
        let client = self.client().await;
        let folder = self.folder.path().join("mirror");
        for object in self.objects(directory).await {
            let file = folder.join(object.key.trim_start_matches(directory));
            std::fs::create_dir_all(file.parent().expect("it lies in the folder")).expect("the folder can be made");
            client.download("local", &object.key, &file, |_| {}).await.expect("download works");
        }
        folder
    }
}
