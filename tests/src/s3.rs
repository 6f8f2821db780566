//! Foreign S3 servers for the commit suite: whichever of MinIO, versitygw and moto are installed (scripts/install-test-tools).

use std::{path::PathBuf, process::Command, time::Duration};

use crate::process::{Process, free_port};

/// Access key of every foreign server.
pub const ACCESS_KEY: &str = "mps-test-key";
/// Its secret.
pub const SECRET_KEY: &str = "mps-test-secret";

/// A running S3 server that is not ours.
pub struct ForeignS3 {
    pub name: &'static str,
    pub endpoint: String,
    pub process: Process,
    _folder: tempfile::TempDir,
}

/// Starts each foreign server that this machine has. `make test` names those that are missing.
pub fn start_all() -> Vec<ForeignS3> {
    [
        ("minio", minio as fn(&std::path::Path, u16) -> Option<Command>),
        ("versitygw", versitygw),
        ("moto", moto),
    ]
    .into_iter()
    .filter_map(|(name, command)| start(name, command))
    .collect()
}

fn start(name: &'static str, command: fn(&std::path::Path, u16) -> Option<Command>) -> Option<ForeignS3> {
    let folder = tempfile::Builder::new().prefix("mps-s3-").tempdir().ok()?;
    let port = free_port();
    let mut command = command(folder.path(), port)?;
    let process = Process::start(&mut command, &folder.path().join("server.log"));
    for _ in 0..1000 {
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return Some(ForeignS3 {
                name,
                endpoint: format!("http://127.0.0.1:{port}"),
                process,
                _folder: folder,
            });
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("{name} does not listen within 20 s: {}", process.log_text());
}

fn minio(folder: &std::path::Path, port: u16) -> Option<Command> {
    let mut command = Command::new(tool("minio")?);
    command.args(["server", "--quiet", "--address", &format!("127.0.0.1:{port}"), "--console-address"]);
    command.arg(format!("127.0.0.1:{}", free_port())).arg(folder.join("data"));
    command
        .env("MINIO_ROOT_USER", ACCESS_KEY)
        .env("MINIO_ROOT_PASSWORD", SECRET_KEY)
        .env("MINIO_UPDATE", "off")
        .env("HOME", folder);
    Some(command)
}

fn versitygw(folder: &std::path::Path, port: u16) -> Option<Command> {
    let (data, sidecar) = (folder.join("data"), folder.join("sidecar"));
    std::fs::create_dir_all(&data).ok()?;
    std::fs::create_dir_all(&sidecar).ok()?;
    let mut command = Command::new(tool("versitygw")?);
    command.args([
        "--port",
        &format!("127.0.0.1:{port}"),
        "--access",
        ACCESS_KEY,
        "--secret",
        SECRET_KEY,
        "posix",
        "--sidecar",
    ]);
    command.arg(sidecar).arg(data);
    Some(command)
}

fn moto(_: &std::path::Path, port: u16) -> Option<Command> {
    let mut command = Command::new(tool("moto/bin/moto_server")?);
    command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
    Some(command)
}

fn tool(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent()?.join(".tools/bin").join(name);
    path.exists().then_some(path)
}
