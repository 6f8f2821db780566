//! Files with secrets: mode 0600, written whole or not at all.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// Writes a file that only its owner reads, replacing an older one in one step.
pub fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let (folder, temporary) = prepare(path)?;
    write_new(&temporary, content)?;
    fs::rename(&temporary, path)?;
    File::open(folder)?.sync_all()
}

/// Writes a file that only its owner reads unless one is there; gives the content that stands in the end.
pub fn create_private(path: &Path, content: impl FnOnce() -> String) -> io::Result<String> {
    match fs::read_to_string(path) {
        Ok(text) => return Ok(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let (folder, temporary) = prepare(path)?;
    write_new(&temporary, content().as_bytes())?;
    // A link never replaces: of two processes that start at once, one wins and both read the same.
    let linked = fs::hard_link(&temporary, path);
    fs::remove_file(&temporary)?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => File::open(folder)?.sync_all()?,
    }
    fs::read_to_string(path)
}

fn prepare(path: &Path) -> io::Result<(&Path, std::path::PathBuf)> {
    let folder = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "path names no file"))?;
    let temporary = folder.join(format!(".{}.{}", name.to_string_lossy(), mps_proto::name::new_id()));
    Ok((folder, temporary))
}

fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}
