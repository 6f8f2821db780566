//! Where workers read the members of an input that is a playlist in a storage: presigned URLs for keys of the playlist's own folder, and of no other.

use mps_proto::{
    name,
    v1::{ErrorReason, StorageObject, task_input::Source},
};
use tonic::Code;

use super::{
    fence::{self, UnitError},
    uploads::{self, URL_TTL},
};
use crate::{
    app::App,
    error::ApiError,
    storage::{Audience, keys},
    store::leases::Token,
};

/// Most keys of one call.
const MAX_KEYS: usize = 64;
const SUFFIXES: [&str; 2] = [".m3u8", ".m3u"];

/// URLs of keys, and when they end (ms since 1970).
pub async fn urls(app: &App, token: &Token, keys: &[String]) -> Result<(Vec<String>, i64), UnitError> {
    let unit = fence::leased(&app.store, token).await?;
    let source = uploads::input_of(app, &unit).await?.and_then(|input| input.source);
    let Some(Source::Object(playlist)) = source else {
        return Err(ApiError::wrong_state("the unit's input does not lie in a storage").into());
    };
    check(&playlist, keys)?;
    let storage = name::parse(&playlist.storage, "storages").map_or(playlist.storage.as_str(), |(_, id)| id);
    let bucket = app.storages.open(&unit.project, storage).await?;
    let end_ms = app.store.now_ms().await? + URL_TTL.as_millis() as i64;
    let mut urls = Vec::with_capacity(keys.len());
    for key in keys {
        urls.push(bucket.presign_get(key, Audience::Worker, URL_TTL).await?);
    }
    Ok((urls, end_ms))
}

/// A playlist may come from anybody: what it names elsewhere in the storage may be somebody else's.
fn check(playlist: &StorageObject, keys: &[String]) -> Result<(), ApiError> {
    let name = playlist.key.to_ascii_lowercase();
    if !SUFFIXES.iter().any(|suffix| name.ends_with(suffix)) {
        let message = "the input is a playlist, but its key does not end in .m3u8";
        return Err(forbidden(message).hint("give playlists keys that end in .m3u8"));
    }
    if keys.is_empty() || keys.len() > MAX_KEYS {
        return Err(ApiError::invalid_field("keys", format!("must be 1 to {MAX_KEYS} keys")));
    }
    let folder = playlist
        .key
        .rsplit_once('/')
        .map_or(String::new(), |(folder, _)| format!("{folder}/"));
    match keys.iter().find(|key| !key.starts_with(&folder) || keys::check(key).is_err()) {
        None => Ok(()),
        Some(key) => {
            let shown: String = key.chars().take(200).filter(|character| !character.is_control()).collect();
            let message = format!("the playlist names {shown}, which does not lie in its folder or below it");
            Err(forbidden(message).hint("put the playlist into a folder that holds all its members"))
        }
    }
}

fn forbidden(message: impl Into<String>) -> ApiError {
    ApiError::new(Code::PermissionDenied, ErrorReason::InputForbidden, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(playlist: &str, key: &str) -> Result<(), ApiError> {
        let playlist = StorageObject {
            storage: "local".into(),
            key: playlist.into(),
        };
        check(&playlist, &[key.to_owned()])
    }

    #[test]
    fn members_lie_in_the_folder_of_their_playlist() {
        for (playlist, key) in [
            ("a/b/list.m3u8", "a/b/s1.ts"),
            ("a/b/LIST.M3U8", "a/b/c/s1.ts"),
            ("list.m3u", "any/where.ts"),
        ] {
            assert!(judge(playlist, key).is_ok(), "{playlist} {key}");
        }
        for key in [
            "a/s1.ts",
            "a/bc/s1.ts",
            "a/b",
            "a/b/",
            "a/b/../s1.ts",
            "a/b//s1.ts",
            "a/b/./s",
            "/a/b/s1.ts",
            "",
            "a/b/\n",
        ] {
            let error = judge("a/b/list.m3u8", key).expect_err(key);
            assert_eq!(error.reason, ErrorReason::InputForbidden, "{key}");
        }
        assert!(judge("a/b/list.mp4", "a/b/s1.ts").is_err());
    }

    #[test]
    fn number_of_keys_is_bounded() {
        let playlist = StorageObject {
            storage: "local".into(),
            key: "list.m3u8".into(),
        };
        assert!(check(&playlist, &vec!["a".to_owned(); MAX_KEYS]).is_ok());
        assert!(check(&playlist, &vec!["a".to_owned(); MAX_KEYS + 1]).is_err());
        assert!(check(&playlist, &[]).is_err());
    }
}
