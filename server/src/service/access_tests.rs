//! Projects and keys on SQLite.

use std::os::unix::fs::PermissionsExt;

use mps_proto::v1::{self, ErrorReason, Role};

use super::{access, storage_tests::Fixture};
use crate::grpc::caller::Caller;

fn key_request(role: Role) -> v1::CreateApiKeyRequest {
    v1::CreateApiKeyRequest {
        display_name: "test".into(),
        role: role as i32,
        ..Default::default()
    }
}

async fn admin(fixture: &Fixture) -> Caller {
    let text = std::fs::read_to_string(fixture.folder.path().join("admin.key")).unwrap();
    access::authenticate(&fixture.app, text.trim()).await.unwrap()
}

#[tokio::test]
async fn the_first_start_writes_a_key_of_the_installation_that_only_its_owner_reads() {
    let fixture = Fixture::start().await;
    let path = fixture.folder.path().join("admin.key");
    let first = std::fs::read_to_string(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    access::bootstrap(&fixture.app).await.unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), first);
    let caller = admin(&fixture).await;
    assert!(caller.installation);
    assert_eq!((caller.project.as_str(), caller.role), ("default", Role::Admin));
}

#[tokio::test]
async fn a_key_is_stored_as_a_hash_and_ends_at_once_when_it_is_revoked_here() {
    let fixture = Fixture::start().await;
    let made = access::create_key(&fixture.app, "default", key_request(Role::Operator))
        .await
        .unwrap();
    let caller = access::authenticate(&fixture.app, &made.secret).await.unwrap();
    assert_eq!((caller.role, caller.installation), (Role::Operator, false));
    let database = fixture.database_bytes();
    let secret = made.secret.rsplit('_').next().unwrap();
    assert!(!database.windows(secret.len()).any(|window| window == secret.as_bytes()));

    let owner = admin(&fixture).await;
    let revoked = access::revoke_key(&fixture.app, &owner, "default", &caller.key_id).await.unwrap();
    assert!(revoked.revoke_time.is_some());
    let refused = access::authenticate(&fixture.app, &made.secret).await.unwrap_err();
    assert_eq!(refused.reason, ErrorReason::Unauthenticated);
}

#[tokio::test]
async fn a_key_that_another_replica_revokes_ends_within_five_seconds() {
    let fixture = Fixture::start().await;
    let made = access::create_key(&fixture.app, "default", key_request(Role::Viewer))
        .await
        .unwrap();
    let caller = access::authenticate(&fixture.app, &made.secret).await.unwrap();
    crate::store::keys::revoke(&fixture.app.store, "default", &caller.key_id, false)
        .await
        .unwrap();
    let start = std::time::Instant::now();
    while access::authenticate(&fixture.app, &made.secret).await.is_ok() {
        assert!(start.elapsed().as_secs() < 5);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn wrong_malformed_and_ended_keys_are_refused() {
    let fixture = Fixture::start().await;
    let mut request = key_request(Role::Viewer);
    request.ttl = Some(prost_types::Duration { seconds: 1, nanos: 0 });
    let made = access::create_key(&fixture.app, "default", request).await.unwrap();
    assert!(access::authenticate(&fixture.app, &made.secret).await.is_ok());
    let mut wrong = made.secret.clone();
    wrong.pop();
    for bad in [
        "",
        "mps_",
        "mps_x",
        "mps__",
        "Bearer x",
        wrong.as_str(),
        &format!("{}0", made.secret),
        &"m".repeat(10_000),
    ] {
        assert!(access::authenticate(&fixture.app, bad).await.is_err(), "{bad}");
    }
    let start = std::time::Instant::now();
    while access::authenticate(&fixture.app, &made.secret).await.is_ok() {
        assert!(start.elapsed().as_secs() < 3);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn only_the_installation_makes_projects_and_sees_all_of_them() {
    let fixture = Fixture::start().await;
    let owner = admin(&fixture).await;
    let request = |id: &str| v1::CreateProjectRequest {
        project_id: id.into(),
        ..Default::default()
    };
    access::create_project(&fixture.app, &owner, request("other")).await.unwrap();
    let again = access::create_project(&fixture.app, &owner, request("other")).await.unwrap_err();
    assert_eq!(again.reason, ErrorReason::AlreadyExists);
    assert!(access::create_project(&fixture.app, &owner, request("Bad")).await.is_err());

    let made = access::create_key(&fixture.app, "other", key_request(Role::Admin)).await.unwrap();
    let caller = access::authenticate(&fixture.app, &made.secret).await.unwrap();
    let refused = access::create_project(&fixture.app, &caller, request("third")).await.unwrap_err();
    assert_eq!(refused.reason, ErrorReason::RoleTooLow);
    let names = |answer: v1::ListProjectsResponse| answer.projects.into_iter().map(|project| project.name).collect::<Vec<_>>();
    let list = |caller: Caller| {
        let app = fixture.app.clone();
        async move {
            access::list_projects(&app, &caller, v1::ListProjectsRequest::default())
                .await
                .unwrap()
        }
    };
    assert_eq!(names(list(owner).await), ["projects/default", "projects/other"]);
    assert_eq!(names(list(caller).await), ["projects/other"]);
}

#[tokio::test]
async fn keys_of_the_installation_are_out_of_reach_for_admins_of_a_project() {
    let fixture = Fixture::start().await;
    let owner = admin(&fixture).await;
    let made = access::create_key(&fixture.app, "default", key_request(Role::Admin)).await.unwrap();
    let caller = access::authenticate(&fixture.app, &made.secret).await.unwrap();
    let seen = access::list_keys(&fixture.app, &caller, "default", v1::ListApiKeysRequest::default())
        .await
        .unwrap();
    assert_eq!(seen.api_keys.len(), 1);
    assert!(access::revoke_key(&fixture.app, &caller, "default", &owner.key_id).await.is_err());
    let all = access::list_keys(&fixture.app, &owner, "default", v1::ListApiKeysRequest::default())
        .await
        .unwrap();
    assert_eq!(all.api_keys.iter().filter(|key| key.installation).count(), 1);
    assert_eq!(all.api_keys.len(), 2);
}
