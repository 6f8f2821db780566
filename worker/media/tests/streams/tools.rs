//! Films, and what the child tells of the sets that are made of them.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use mps_proto::worker::v1::{ChildMember, ChildOrder, PlanNode, SetMember, SetResume, SetTrack};

use crate::pass_tools::{carry_out, carry_out_watched, ffmpeg, order};

/// What the child told of a set, with the bytes of each member by track and index.
pub struct Told {
    pub tracks: Vec<SetTrack>,
    pub members: BTreeMap<(i32, i32), (SetMember, Vec<u8>)>,
}

impl Told {
    pub fn indices(&self, track: i32) -> Vec<i32> {
        self.members
            .keys()
            .filter(|(of, _)| *of == track)
            .map(|(_, index)| *index)
            .collect()
    }

    /// Segments of a track in their order.
    pub fn segments(&self, track: i32) -> Vec<&SetMember> {
        let of_track = self.members.iter().filter(|((of, index), _)| *of == track && *index >= 0);
        of_track.map(|(_, (member, _))| member).collect()
    }

    /// Length of all segments.
    pub fn length(&self, track: i32) -> f64 {
        self.segments(track).iter().map(|member| seconds(member.duration)).sum()
    }

    /// The segments of a track that need one initialisation segment, behind that.
    pub fn run(&self, track: i32, init: i32) -> Vec<u8> {
        let of_run = |((of, index), (member, _)): &(&(i32, i32), &(SetMember, Vec<u8>))| {
            *of == track && if *index < 0 { *index == -1 - init } else { member.init == init }
        };
        let members = self.members.iter().filter(of_run);
        members.flat_map(|(_, (_, bytes))| bytes.clone()).collect()
    }

    pub fn joined(&self, track: i32) -> Vec<u8> {
        let of_track = self.members.iter().filter(|((of, _), _)| *of == track);
        of_track.flat_map(|(_, (_, bytes))| bytes.clone()).collect()
    }
}

pub struct Film {
    folder: tempfile::TempDir,
    name: String,
}

impl Film {
    /// 9 s of 640x360 at 30 fps with B-frames and sound.
    pub fn new() -> Self {
        Self::of("30", 9)
    }

    pub fn of(rate: &str, seconds: u32) -> Self {
        Self::made(&format!(
            "-f lavfi -i testsrc2=s=640x360:r={rate}:d={seconds} -f lavfi -i sine=f=440:r=48000:d={seconds} -c:v libx264 -preset veryfast \
             -bf 2 -g 75 -pix_fmt yuv420p -c:a aac"
        ))
    }

    pub fn made(arguments: &str) -> Self {
        Self::named(arguments, "film.mp4")
    }

    pub fn named(arguments: &str, name: &str) -> Self {
        let film = Self {
            folder: tempfile::tempdir().unwrap(),
            name: name.to_owned(),
        };
        ffmpeg(arguments, &film.path(name));
        film
    }

    /// Recordings of transport streams one behind another, as a cable tuner writes them.
    pub fn spliced(recordings: &[&str]) -> Self {
        let film = Self {
            folder: tempfile::tempdir().unwrap(),
            name: "film.ts".into(),
        };
        let mut bytes = Vec::new();
        for arguments in recordings {
            let part = film.path("part.ts");
            ffmpeg(arguments, &part);
            bytes.extend(fs::read(part).unwrap());
        }
        fs::write(film.path("film.ts"), bytes).unwrap();
        film
    }

    /// Writes bytes beside the film.
    pub fn keep(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What the failure of a node says.
    pub fn refused(&self, node: PlanNode) -> String {
        let order = order(&self.path(&self.name), vec![node], &self.path("outputs"));
        let result = carry_out(&order);
        format!("{:?} {:?}", result.failure, result.nodes.first().map(|node| &node.failure))
    }

    pub fn stream(&self, node: PlanNode, sets: Vec<SetResume>) -> Told {
        let order = ChildOrder {
            sets,
            ..order(&self.path(&self.name), vec![node], &self.path("outputs"))
        };
        let told: Arc<Mutex<Vec<ChildMember>>> = Arc::default();
        let sink = told.clone();
        let members: mps_media::job::Members = Arc::new(move |member| sink.lock().unwrap().push(member));
        let result = carry_out_watched(&order, &|_| (), &members);
        assert!(result.failure.is_none(), "{:?}", result.failure);
        assert!(result.nodes[0].failure.is_none(), "{:?}", result.nodes[0].failure);
        assert_eq!(result.nodes[0].complete_sets, ["set"]);
        let told = told.lock().unwrap();
        let read = |member: &ChildMember| {
            let described = member.member.clone()?;
            let bytes = fs::read(&member.path).unwrap();
            assert_eq!(bytes.len() as i64, described.size_bytes);
            Some(((described.track, described.index), (described, bytes)))
        };
        assert!(!told[0].tracks.is_empty(), "tracks are told first");
        Told {
            tracks: told[0].tracks.clone(),
            members: told.iter().filter_map(read).collect(),
        }
    }
}

pub fn seconds(span: Option<prost_types::Duration>) -> f64 {
    span.map_or(0.0, |span| span.seconds as f64 + f64::from(span.nanos) / 1e9)
}

/// What ffmpeg says.
pub fn ffmpeg_log(arguments: &str) -> String {
    let output = std::process::Command::new("ffmpeg")
        .args(["-nostdin", "-hide_banner"])
        .args(arguments.split_whitespace())
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stderr).into_owned()
}
