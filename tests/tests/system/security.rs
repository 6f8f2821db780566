//! Keys, roles and projects.

use mps_proto::v1;
use mps_tests::{Stack, StackOptions, media, stack};
use tonic::Code;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_without_a_key_or_with_a_low_role_or_of_another_project_are_refused() {
    let running = Stack::start(StackOptions::default().workers(0)).await;
    let admin = running.client().await;
    let anonymous = running.client_with("mps_nobody_0000").await;
    let list = v1::ListTasksRequest::default();
    assert_eq!(
        anonymous.tasks().list_tasks(list.clone()).await.unwrap_err().code(),
        Code::Unauthenticated
    );

    let clip = running.folder.path().join("clip.mp4");
    media::clip(&clip, 1, "320x240");
    running.upload(&clip, "in/clip.mp4").await;
    let name = stack::submit(&admin, stack::request("in/clip.mp4", vec![stack::transcode("preset-h264-360p")])).await;

    let mut access = admin.access();
    access
        .create_project(v1::CreateProjectRequest {
            project_id: "other".into(),
            ..Default::default()
        })
        .await
        .expect("project is made");
    let mut clients = Vec::new();
    for (project, role) in [("default", v1::Role::Viewer), ("other", v1::Role::Admin)] {
        let key = v1::CreateApiKeyRequest {
            parent: format!("projects/{project}"),
            role: role as i32,
            ..Default::default()
        };
        let secret = access.create_api_key(key).await.expect("key is made").into_inner().secret;
        clients.push(running.client_with(&secret).await);
    }
    let [viewer, other] = clients.as_slice() else { unreachable!() };
    assert_eq!(
        viewer
            .tasks()
            .list_tasks(list.clone())
            .await
            .expect("viewers list")
            .into_inner()
            .tasks
            .len(),
        1
    );
    let cancel = v1::CancelTaskRequest {
        name: name.clone(),
        ..Default::default()
    };
    assert_eq!(
        viewer.tasks().cancel_task(cancel.clone()).await.unwrap_err().code(),
        Code::PermissionDenied
    );

    assert!(
        other
            .tasks()
            .list_tasks(list)
            .await
            .expect("own project")
            .into_inner()
            .tasks
            .is_empty()
    );
    let id = name.rsplit('/').next().expect("name has an id").to_owned();
    for name in [name, id, "projects/default/tasks/x".to_owned()] {
        let error = other.tasks().get_task(v1::GetTaskRequest { name }).await.unwrap_err();
        assert_eq!(error.code(), Code::NotFound);
    }
    let secrets = std::fs::read(running.folder.path().join("mps.db")).expect("database file");
    let admin_secret = running.admin_key();
    let secret_part = admin_secret.rsplit('_').next().expect("key has a secret");
    assert!(!contains(&secrets, secret_part.as_bytes()), "the key stands in the database");
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker_without_a_token_leases_nothing() {
    use mps_proto::worker::v1::{LeaseUnitRequest, worker_service_client::WorkerServiceClient};
    let running = Stack::start(StackOptions::default().workers(0)).await;
    let address = format!("http://127.0.0.1:{}", running.worker_port);
    let mut client = WorkerServiceClient::connect(address).await.expect("listener is there");
    let error = client
        .lease_unit(LeaseUnitRequest {
            worker_id: "x".into(),
            free_slots: 1,
            ..Default::default()
        })
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::Unauthenticated);
    let mut public = WorkerServiceClient::connect(running.address()).await.expect("listener is there");
    let error = public.lease_unit(LeaseUnitRequest::default()).await.unwrap_err();
    assert!(
        matches!(error.code(), Code::Unimplemented | Code::Unauthenticated | Code::PermissionDenied),
        "{error:?}"
    );
}
