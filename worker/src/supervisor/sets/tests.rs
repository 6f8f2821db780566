//! Uploads of members against a scripted server.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures::stream::BoxStream;
use mps_proto::worker::v1::{
    self as api, SetTrack, TrackProgress,
    worker_service_server::{WorkerService, WorkerServiceServer},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tonic::{Request, Response, Status};

use super::*;
use crate::{fetch::Http, rpc::Rpc};

/// Set, number of tracks, (track, index) of members.
type Commit = (String, usize, Vec<(i32, i32)>);

/// What the server saw, and how it answers.
#[derive(Default)]
struct Script {
    storage: String,
    commits: Mutex<Vec<Commit>>,
    puts: AtomicUsize,
    /// Answers to PUTs before they succeed.
    refusals: AtomicUsize,
    urls: AtomicUsize,
    refuse_commits: bool,
}

struct Server(Arc<Script>);

/// Calls that the script has no answer for, as `async_trait` would write them: it does not look into macros.
macro_rules! unscripted {
    ($($name:ident: $request:ident => $response:ident),* $(,)?) => {$(
        fn $name<'own, 'call>(
            &'own self,
            _: Request<api::$request>,
        ) -> std::pin::Pin<Box<dyn Future<Output = Result<Response<api::$response>, Status>> + Send + 'call>>
        where
            'own: 'call,
            Self: 'call,
        {
            Box::pin(async { Err(Status::unimplemented("not in the script")) })
        }
    )*};
}

#[tonic::async_trait]
impl WorkerService for Server {
    type OpenChannelStream = BoxStream<'static, Result<api::OpenChannelResponse, Status>>;

    async fn open_channel(
        &self,
        _: Request<tonic::Streaming<api::OpenChannelRequest>>,
    ) -> Result<Response<Self::OpenChannelStream>, Status> {
        Err(Status::unimplemented("not in the script"))
    }

    async fn get_member_urls(&self, request: Request<api::GetMemberUrlsRequest>) -> Result<Response<api::GetMemberUrlsResponse>, Status> {
        self.0.urls.fetch_add(1, Ordering::SeqCst);
        let url = |member: &api::MemberName| format!("{}/{}-{}", self.0.storage, member.track, member.index);
        Ok(Response::new(api::GetMemberUrlsResponse {
            urls: request.into_inner().members.iter().map(url).collect(),
            expire_time: None,
        }))
    }

    async fn commit_members(&self, request: Request<api::CommitMembersRequest>) -> Result<Response<api::CommitMembersResponse>, Status> {
        let request = request.into_inner();
        if self.0.refuse_commits && !request.members.is_empty() {
            return Err(Status::failed_precondition("another worker made it"));
        }
        let members = request.members.iter().map(|member| (member.track, member.index)).collect();
        let mut commits = self.0.commits.lock().unwrap();
        commits.push((request.set_id, request.tracks.len(), members));
        Ok(Response::new(api::CommitMembersResponse {}))
    }

    unscripted!(
        join: JoinRequest => JoinResponse,
        lease_unit: LeaseUnitRequest => LeaseUnitResponse,
        renew_leases: RenewLeasesRequest => RenewLeasesResponse,
        get_input_url: GetInputUrlRequest => GetInputUrlResponse,
        get_input_member_urls: GetInputMemberUrlsRequest => GetInputMemberUrlsResponse,
        create_output_upload: CreateOutputUploadRequest => CreateOutputUploadResponse,
        get_part_urls: GetPartUrlsRequest => GetPartUrlsResponse,
        declare_outputs: DeclareOutputsRequest => DeclareOutputsResponse,
        complete_unit: CompleteUnitRequest => CompleteUnitResponse,
        fail_unit: FailUnitRequest => FailUnitResponse,
    );
}

/// Takes PUTs; the first ones are refused as the script says.
async fn serve_put(mut stream: TcpStream, script: Arc<Script>) {
    let mut bytes = Vec::new();
    while !bytes.windows(4).any(|window| window == b"\r\n\r\n") {
        if stream.read_buf(&mut bytes).await.unwrap() == 0 {
            return;
        }
    }
    let head = String::from_utf8_lossy(&bytes).to_lowercase();
    let length: usize = head
        .split("content-length: ")
        .nth(1)
        .unwrap()
        .split("\r\n")
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4 + length;
    while bytes.len() < end {
        stream.read_buf(&mut bytes).await.unwrap();
    }
    let refused = script
        .refusals
        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
        .is_ok();
    let status = if refused { "403 Forbidden" } else { "200 OK" };
    if !refused {
        assert!(head.contains("content-type: video/"), "{head}");
        script.puts.fetch_add(1, Ordering::SeqCst);
    }
    let answer = format!("HTTP/1.1 {status}\r\netag: \"e\"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    stream.write_all(answer.as_bytes()).await.unwrap();
}

/// A server and uploads to it.
async fn start(script: Script) -> (Arc<Script>, SetUploads, tempfile::TempDir) {
    let storage = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let script = Arc::new(Script {
        storage: format!("http://{}", storage.local_addr().unwrap()),
        ..script
    });
    let puts = script.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = storage.accept().await {
            tokio::spawn(serve_put(stream, puts.clone()));
        }
    });
    let calls = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", calls.local_addr().unwrap());
    let service = WorkerServiceServer::new(Server(script.clone()));
    let incoming = tokio_stream::wrappers::TcpListenerStream::new(calls);
    tokio::spawn(
        tonic::transport::Server::builder()
            .add_service(service)
            .serve_with_incoming(incoming),
    );

    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "t").unwrap();
    let environment = [
        ("MPS_WORKER_SERVER", url),
        ("MPS_WORKER_TOKEN_FILE", token.display().to_string()),
        ("MPS_WORKER_SCRATCH", folder.path().display().to_string()),
    ];
    let environment = environment.into_iter().map(|(name, value)| (name.to_owned(), value));
    let config = crate::config::load(None, environment).unwrap().config;
    let http = Http::new(&config.fetch, &config.ca_file).unwrap();
    let uploads = SetUploads {
        uploader: Arc::new(Uploader::new(Rpc::new(&config).unwrap(), http, config.upload)),
        unit: UnitAttempt {
            unit_id: "u".into(),
            attempt: 1,
        },
        folder: folder.path().to_owned(),
        failed: Mutex::default(),
    };
    (script, uploads, folder)
}

/// Reports of members of one track, with their files.
fn reports(folder: &tempfile::TempDir, count: i32) -> Vec<ChildMember> {
    let report = |index: i32| {
        let path = folder.path().join(format!("{index}.m4s"));
        std::fs::write(&path, b"12345").unwrap();
        ChildMember {
            set_id: "s".into(),
            tracks: if index < 0 { vec![SetTrack::default()] } else { Vec::new() },
            member: Some(SetMember {
                index,
                size_bytes: 5,
                ..SetMember::default()
            }),
            path: path.display().to_string(),
        }
    };
    (-1..count).map(report).collect()
}

async fn run(uploads: SetUploads, reports: Vec<ChildMember>) -> FailedSets {
    let (sender, receiver) = mpsc::channel(2);
    let sending = async move {
        for report in reports {
            sender.send(report).await.unwrap();
        }
    };
    let both = async { tokio::join!(uploads.run(receiver), sending).0 };
    tokio::time::timeout(Duration::from_secs(20), both).await.unwrap()
}

fn files_left(folder: &tempfile::TempDir) -> usize {
    let entries = std::fs::read_dir(folder.path()).unwrap();
    entries.filter(|entry| entry.as_ref().unwrap().path().extension().is_some()).count()
}

#[tokio::test]
async fn members_are_committed_in_order_after_their_tracks_and_their_files_go() {
    let (script, uploads, folder) = start(Script::default()).await;
    let reports = reports(&folder, 40);
    assert!(run(uploads, reports).await.is_empty());
    let commits = script.commits.lock().unwrap().clone();
    assert_eq!(commits[0], ("s".into(), 1, vec![]), "tracks come first");
    let indexes: Vec<i32> = commits[1..]
        .iter()
        .flat_map(|(.., members)| members)
        .map(|member| member.1)
        .collect();
    assert_eq!(indexes, (-1..40).collect::<Vec<_>>());
    assert!(commits.len() < 20, "{} commits for 41 members", commits.len());
    assert_eq!(files_left(&folder), 0);
}

#[tokio::test]
async fn url_that_ended_is_asked_for_once_more() {
    let script = Script {
        refusals: AtomicUsize::new(1),
        ..Script::default()
    };
    let (script, uploads, folder) = start(script).await;
    let reports = reports(&folder, 0);
    assert!(run(uploads, reports).await.is_empty());
    assert_eq!((script.urls.load(Ordering::SeqCst), script.puts.load(Ordering::SeqCst)), (2, 1));
}

#[tokio::test]
async fn set_that_is_refused_fails_and_takes_no_more_while_the_child_goes_on() {
    let script = Script {
        refuse_commits: true,
        ..Script::default()
    };
    let (script, uploads, folder) = start(script).await;
    let reports = reports(&folder, 60);
    let failed = run(uploads, reports).await;
    let failure = failed["s"].status.clone().unwrap();
    assert!(failure.message.contains("another worker made it"), "{}", failure.message);
    assert!(script.puts.load(Ordering::SeqCst) <= 61);
    assert_eq!(files_left(&folder), 0, "files go all the same");
}

#[tokio::test]
async fn segment_outside_the_folder_is_no_segment() {
    let (_script, uploads, folder) = start(Script::default()).await;
    let mut reports = reports(&folder, 0);
    reports[0].path = "/etc/hostname".into();
    assert!(run(uploads, reports).await.contains_key("s"));
}

#[test]
fn child_is_told_how_far_each_track_is() {
    let track = |segments, init: &str| TrackProgress {
        segments,
        init_sha256: init.into(),
        ..TrackProgress::default()
    };
    let progress = SetProgress {
        set_id: "s".into(),
        tracks: vec![track(3, "ab"), track(2, "")],
    };
    let resumes = resumes(&[progress]);
    assert_eq!(resumes[0].segments, [3, 2]);
    assert_eq!(resumes[0].init_sha256, ["ab", ""]);
}
