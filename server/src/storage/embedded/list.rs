//! Listing a folder in the order of S3: bytewise by whole key, which is the order of a walk that takes `name/` for each folder.

use std::{fs, io, path::Path};

/// An item of a listing.
#[derive(Debug, PartialEq, Eq)]
pub enum Item {
    Object(String),
    /// A made folder, listed as an object whose key ends in `/`.
    Marker(String),
    /// A common prefix.
    Folder(String),
}

impl Item {
    pub fn key(&self) -> &str {
        let (Self::Object(key) | Self::Marker(key) | Self::Folder(key)) = self;
        key
    }
}

/// What to list.
pub struct Listing<'a> {
    pub prefix: &'a str,
    /// Only items after this one.
    pub after: &'a str,
    /// Whether folders are items of their own instead of being entered.
    pub by_folder: bool,
    pub limit: usize,
    pub is_marked: &'a dyn Fn(&str) -> bool,
}

impl Listing<'_> {
    /// At most `limit` items of a bucket's folder.
    pub fn items(&self, bucket: &Path) -> io::Result<Vec<Item>> {
        let mut items = Vec::new();
        // The walk begins at the last folder that the prefix names.
        let start = self.prefix.rfind('/').map_or("", |end| &self.prefix[..=end]);
        self.walk(&bucket.join(start), start, &mut items)?;
        Ok(items)
    }

    fn walk(&self, folder: &Path, base: &str, items: &mut Vec<Item>) -> io::Result<()> {
        for (name, is_folder) in sorted(folder)? {
            if items.len() >= self.limit {
                return Ok(());
            }
            let key = format!("{base}{name}");
            match is_folder {
                true => self.enter(folder, &name, key, items)?,
                false if key.starts_with(self.prefix) && *key > *self.after => items.push(Item::Object(key)),
                false => {}
            }
        }
        Ok(())
    }

    fn enter(&self, folder: &Path, name: &str, key: String, items: &mut Vec<Item>) -> io::Result<()> {
        let is_inside = key.starts_with(self.prefix);
        if !is_inside && !self.prefix.starts_with(&key) {
            return Ok(());
        }
        if is_inside && self.by_folder {
            if *key > *self.after && !self.after.starts_with(&key) {
                items.push(Item::Folder(key));
            }
            return Ok(());
        }
        // Everything in it sorts before the place to go on from.
        if *key < *self.after && !self.after.starts_with(&key) {
            return Ok(());
        }
        if is_inside && *key > *self.after && (self.is_marked)(&key) {
            items.push(Item::Marker(key.clone()));
        }
        self.walk(&folder.join(name.trim_end_matches('/')), &key, items)
    }
}

/// Names in a folder, folders with a `/` at their end, bytewise. A folder that is not there is empty.
fn sorted(folder: &Path) -> io::Result<Vec<(String, bool)>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        let kind = entry.file_type()?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        if kind.is_dir() {
            names.push((format!("{name}/"), true));
        } else if kind.is_file() {
            names.push((name, false));
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILES: [&str; 7] = ["a", "a.b", "b/1", "b/2", "b/c/3", "b.x", "d/4"];

    fn list(prefix: &str, after: &str, by_folder: bool, limit: usize) -> Vec<String> {
        let bucket = tempfile::tempdir().unwrap();
        for file in FILES {
            let path = bucket.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, b"x").unwrap();
        }
        fs::create_dir(bucket.path().join("e")).unwrap();
        let listing = Listing {
            prefix,
            after,
            by_folder,
            limit,
            is_marked: &|key| key == "e/",
        };
        listing
            .items(bucket.path())
            .unwrap()
            .iter()
            .map(|item| item.key().to_owned())
            .collect()
    }

    #[test]
    fn keys_come_in_bytewise_order_over_folders() {
        assert_eq!(list("", "", false, 100), ["a", "a.b", "b.x", "b/1", "b/2", "b/c/3", "d/4", "e/"]);
    }

    #[test]
    fn folders_are_items_of_their_own_with_a_delimiter() {
        assert_eq!(list("", "", true, 100), ["a", "a.b", "b.x", "b/", "d/", "e/"]);
        assert_eq!(list("b/", "", true, 100), ["b/1", "b/2", "b/c/"]);
        assert_eq!(list("b", "", true, 100), ["b.x", "b/"]);
        assert_eq!(list("b/c", "", true, 100), ["b/c/"]);
        assert!(list("zz/", "", true, 100).is_empty());
    }

    #[test]
    fn pages_go_on_where_the_last_one_ended() {
        for by_folder in [false, true] {
            let whole = list("", "", by_folder, 100);
            let mut paged: Vec<String> = Vec::new();
            loop {
                let after = paged.last().cloned().unwrap_or_default();
                let page = list("", &after, by_folder, 2);
                if page.is_empty() {
                    break;
                }
                paged.extend(page);
            }
            assert_eq!(paged, whole);
        }
    }
}
