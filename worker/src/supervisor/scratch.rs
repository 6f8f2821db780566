//! Scratch space: `{root}/{worker id}/{unit}/{attempt}`. One worker per root; what an earlier worker left is removed at start.

use std::{
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use nix::sys::statvfs::statvfs;

/// Under this many free bytes, or under a twentieth of the disk, nothing is taken on.
const RESERVE: u64 = 2 << 30;
/// How long a worker that is just ending may still hold the root.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// The root, locked while this lives.
pub struct Scratch {
    root: PathBuf,
    own: PathBuf,
    _lock: File,
}

/// Folder of one attempt; removed when it drops.
pub struct AttemptFolder {
    path: PathBuf,
}

impl Scratch {
    /// Makes and locks the root, removes what is left of earlier workers, and makes this worker's own folder.
    pub fn open(root: &Path, worker_id: &str) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(root)?;
        let lock = lock(root)?;
        remove_leftovers(root)?;
        let own = root.join(worker_id);
        DirBuilder::new().mode(0o700).create(&own)?;
        Ok(Self {
            root: root.to_owned(),
            own,
            _lock: lock,
        })
    }

    /// An empty folder with an `out` folder in it.
    pub fn attempt(&self, unit_id: &str, attempt: i32) -> io::Result<AttemptFolder> {
        let is_plain = !unit_id.is_empty() && unit_id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        if !is_plain {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("\"{unit_id}\" is no id")));
        }
        let path = self.own.join(unit_id).join(attempt.to_string());
        if path.exists() {
            fs::remove_dir_all(&path)?;
        }
        fs::create_dir_all(path.join("out"))?;
        Ok(AttemptFolder { path })
    }

    /// Bytes that units may use: what is free beyond the reserve.
    pub fn free_bytes(&self) -> io::Result<u64> {
        let disk = statvfs(&self.root)?;
        let all = disk.blocks() * disk.fragment_size();
        Ok(self.free_bytes_and_reserve()?.saturating_sub(RESERVE.max(all / 20)))
    }

    /// Bytes that are free, with the reserve.
    pub fn free_bytes_and_reserve(&self) -> io::Result<u64> {
        let disk = statvfs(&self.root)?;
        Ok(disk.blocks_available() * disk.fragment_size())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _next_start_removes_it = fs::remove_dir_all(&self.own);
    }
}

impl AttemptFolder {
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn outputs(&self) -> PathBuf {
        self.path.join("out")
    }

    /// The file's real path, if it is a regular file among the outputs. The child read bytes from outside; what it says is checked.
    pub fn output(&self, path: &str) -> Option<PathBuf> {
        file_within(&self.outputs(), path)
    }
}

/// The real path of a regular file inside a folder.
pub fn file_within(folder: &Path, path: &str) -> Option<PathBuf> {
    let real = fs::canonicalize(path).ok()?;
    let inside = real.starts_with(fs::canonicalize(folder).ok()?);
    let regular = fs::symlink_metadata(path).is_ok_and(|meta| meta.is_file());
    (inside && regular).then_some(real)
}

impl Drop for AttemptFolder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!(%error, path = %self.path.display(), "scratch of an attempt cannot be removed");
        }
        if let Some(unit) = self.path.parent() {
            let _another_attempt_is_there = fs::remove_dir(unit);
        }
    }
}

fn lock(root: &Path) -> io::Result<File> {
    let folder = File::open(root)?;
    let start = Instant::now();
    while let Err(error) = folder.try_lock() {
        match error {
            fs::TryLockError::WouldBlock if start.elapsed() < LOCK_PATIENCE => std::thread::sleep(Duration::from_millis(50)),
            fs::TryLockError::WouldBlock => {
                let text = "another worker uses this folder; give each worker its own (MPS_WORKER_SCRATCH)";
                return Err(io::Error::new(io::ErrorKind::ResourceBusy, text));
            }
            fs::TryLockError::Error(error) => return Err(error),
        }
    }
    Ok(folder)
}

/// Removes folders that are named as a worker's; whatever else lies in the root is left alone.
fn remove_leftovers(root: &Path) -> io::Result<()> {
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        let is_worker = entry.file_name().to_str().is_some_and(|name| ulid::Ulid::from_string(name).is_ok());
        if is_worker && entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new_id() -> String {
        ulid::Ulid::new().to_string().to_lowercase()
    }

    #[test]
    fn start_removes_what_earlier_workers_left_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let old = new_id();
        fs::create_dir_all(root.path().join(&old).join("unit/1")).unwrap();
        fs::create_dir_all(root.path().join("photos")).unwrap();
        let _scratch = Scratch::open(root.path(), &new_id()).unwrap();
        assert!(!root.path().join(old).exists());
        assert!(root.path().join("photos").exists());
    }

    #[test]
    fn second_worker_on_one_root_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let first = Scratch::open(root.path(), &new_id()).unwrap();
        let folder = File::open(root.path()).unwrap();
        assert!(matches!(folder.try_lock(), Err(fs::TryLockError::WouldBlock)));
        drop(first);
        assert!(Scratch::open(root.path(), &new_id()).is_ok());
    }

    #[test]
    fn attempts_have_folders_of_their_own_that_vanish() {
        let root = tempfile::tempdir().unwrap();
        let scratch = Scratch::open(root.path(), &new_id()).unwrap();
        let (first, second) = (scratch.attempt("u1", 1).unwrap(), scratch.attempt("u1", 2).unwrap());
        let path = first.path().to_owned();
        fs::write(path.join("input"), b"x").unwrap();
        drop(first);
        assert!(!path.exists() && second.path().exists());
        drop(second);
        assert!(!path.parent().unwrap().exists());
        assert!(scratch.attempt("../u1", 1).is_err());
    }

    #[test]
    fn outputs_outside_of_the_folder_are_refused() {
        let root = tempfile::tempdir().unwrap();
        let scratch = Scratch::open(root.path(), &new_id()).unwrap();
        let folder = scratch.attempt("u", 1).unwrap();
        let good = folder.outputs().join("a.mp4");
        fs::write(&good, b"x").unwrap();
        let link = folder.outputs().join("b.mp4");
        std::os::unix::fs::symlink("/etc/passwd", &link).unwrap();
        assert!(folder.output(good.to_str().unwrap()).is_some());
        assert!(folder.output(link.to_str().unwrap()).is_none());
        assert!(folder.output("/etc/passwd").is_none());
        assert!(folder.output(&format!("{}/../../../x", folder.outputs().display())).is_none());
    }
}
