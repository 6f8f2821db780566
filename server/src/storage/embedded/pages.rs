//! Pages of listings, from the walk of `list` to what goes out.

use s3s::{S3Result, dto, s3_error};

use super::{
    folder::{Folder, fault},
    list::{Item, Listing},
    s3::{FolderStore, modified, strong},
};

const MAX_KEYS: i32 = 1000;

/// A page of a listing as it goes out.
pub struct Page {
    pub objects: Vec<dto::Object>,
    pub folders: Vec<dto::CommonPrefix>,
    pub next: Option<String>,
}

impl FolderStore {
    pub(super) async fn list(&self, input: &dto::ListObjectsV2Input) -> S3Result<Page> {
        let by_folder = match input.delimiter.as_deref() {
            None | Some("") => false,
            Some("/") => true,
            Some(_) => return Err(s3_error!(NotImplemented, "the delimiter can only be /")),
        };
        let size = usize::try_from(input.max_keys.unwrap_or(MAX_KEYS).clamp(0, MAX_KEYS)).unwrap_or_default();
        let after = input
            .continuation_token
            .clone()
            .or_else(|| input.start_after.clone())
            .unwrap_or_default();
        let (bucket, prefix) = (input.bucket.clone(), input.prefix.clone().unwrap_or_default());
        // The prefix becomes a path.
        if prefix.split('/').any(|segment| matches!(segment, "." | "..")) || prefix.starts_with('/') || prefix.contains("//") {
            return Err(s3_error!(InvalidArgument, "the prefix has an empty segment or a dot segment"));
        }
        self.call(move |folder| page(folder, &bucket, &prefix, &after, by_folder, size))
            .await
    }
}

fn page(folder: &Folder, bucket: &str, prefix: &str, after: &str, by_folder: bool, size: usize) -> S3Result<Page> {
    let path = folder.bucket(bucket)?;
    let listing = Listing {
        prefix,
        after,
        by_folder,
        limit: size + 1,
        is_marked: &|key| folder.is_marked(bucket, key),
    };
    let mut items = listing.items(&path).map_err(fault)?;
    let is_more = items.len() > size && size > 0;
    items.truncate(size);
    let next = items.last().filter(|_| is_more).map(|item| item.key().to_owned());
    let mut page = Page {
        objects: Vec::new(),
        folders: Vec::new(),
        next,
    };
    for item in items {
        match item {
            Item::Folder(key) => page.folders.push(dto::CommonPrefix { prefix: Some(key) }),
            Item::Marker(key) => page.objects.push(dto::Object {
                key: Some(key),
                size: Some(0),
                ..Default::default()
            }),
            Item::Object(key) => {
                // Gone since the walk: not there to list.
                let Ok(stat) = std::fs::metadata(path.join(&key)) else {
                    continue;
                };
                page.objects.push(dto::Object {
                    e_tag: strong(&folder.attributes(bucket, &key, &stat).etag),
                    last_modified: modified(&stat),
                    size: i64::try_from(stat.len()).ok(),
                    key: Some(key),
                    ..Default::default()
                });
            }
        }
    }
    Ok(page)
}
