//! Where the parts of the stack are, on which ports and folders, and how each is called.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{args::UpArgs, commands::task::is_installed};

/// Longest path that a Unix socket takes, with its final zero.
const MAX_SOCKET_PATH: usize = 107;

/// The four listeners.
#[derive(Clone, Copy)]
pub struct Ports {
    pub api: u16,
    pub worker: u16,
    pub http: u16,
    pub store: u16,
}

impl Ports {
    /// Four ports from `first` on, each free now; 0: any that are free.
    pub fn choose(first: u16) -> anyhow::Result<Self> {
        if first == 0 {
            let listeners: Vec<TcpListener> = (0..4).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<_, _>>()?;
            let ports: Vec<u16> = listeners
                .iter()
                .map(|listener| listener.local_addr().map(|address| address.port()))
                .collect::<Result<_, _>>()?;
            return match ports.as_slice() {
                &[api, worker, http, store] => Ok(Self { api, worker, http, store }),
                _ => anyhow::bail!("no free ports"),
            };
        }
        let port = |offset: u16| {
            first
                .checked_add(offset)
                .context("--port is too high: the next three are needed too")
        };
        let ports = Self {
            api: first,
            worker: port(1)?,
            http: port(2)?,
            store: port(3)?,
        };
        for port in [ports.api, ports.worker, ports.http, ports.store] {
            TcpListener::bind(("127.0.0.1", port))
                .with_context(|| format!("port {port} is taken: choose another --port, or 0 for free ones"))?;
        }
        Ok(ports)
    }
}

/// Everything that a child needs to know.
pub struct Parts {
    pub data: PathBuf,
    pub ports: Ports,
    /// Folder of mps-server and mps-worker.
    pub programs: PathBuf,
    pub verbose: bool,
    socket: PathBuf,
    socket_folder: Option<PathBuf>,
    slots: Option<u32>,
}

impl Parts {
    pub fn find(data: &Path, ports: Ports, args: &UpArgs) -> anyhow::Result<Self> {
        let programs = std::env::current_exe()?.parent().context("this program has no folder")?.to_owned();
        for program in ["mps-server", "mps-worker"] {
            anyhow::ensure!(
                programs.join(program).is_file(),
                "{program} is not beside mps in {}: run `make build`",
                programs.display()
            );
        }
        anyhow::ensure!(
            is_installed("redis-server"),
            "redis-server is not installed: apt-get install redis-server"
        );
        let (socket, socket_folder) = socket_path(data)?;
        Ok(Self {
            data: data.to_owned(),
            ports,
            programs,
            verbose: args.verbose,
            socket,
            socket_folder,
            slots: args.slots,
        })
    }

    pub fn log(&self, name: &str) -> PathBuf {
        self.data.join("logs").join(format!("{name}.log"))
    }

    /// Removes the socket and its own folder.
    pub fn clean_up(&self) {
        let _ = fs::remove_file(&self.socket);
        if let Some(folder) = &self.socket_folder {
            let _ = fs::remove_dir(folder);
        }
    }

    pub fn redis(&self) -> Vec<String> {
        let text = |value: &Path| value.display().to_string();
        let mut command: Vec<String> = [
            "redis-server",
            "--port",
            "0",
            "--save",
            "",
            "--appendonly",
            "no",
            "--daemonize",
            "no",
        ]
        .map(String::from)
        .into();
        command.extend(["--unixsocket".into(), text(&self.socket), "--dir".into(), text(&self.data)]);
        command
    }

    pub fn server(&self) -> Vec<String> {
        vec![self.programs.join("mps-server").display().to_string()]
    }

    pub fn worker(&self) -> Vec<String> {
        vec![self.programs.join("mps-worker").display().to_string(), "run".into()]
    }

    /// Environment of server and worker.
    pub fn environment(&self) -> Vec<(String, String)> {
        let local = |port: u16| format!("127.0.0.1:{port}");
        let redis = format!("redis+unix://{}", self.socket.display());
        let mut environment = vec![
            ("MPS_DATA_DIR", self.data.display().to_string()),
            ("MPS_REDIS_URL", redis.clone()),
            ("MPS_LISTEN", local(self.ports.api)),
            ("MPS_WORKER_LISTEN", local(self.ports.worker)),
            ("MPS_HTTP_LISTEN", local(self.ports.http)),
            ("MPS_LOCAL_STORE__LISTEN", local(self.ports.store)),
            ("MPS_WORKER_SERVER", format!("http://{}", local(self.ports.worker))),
            ("MPS_WORKER_TOKEN_FILE", self.data.join("worker.token").display().to_string()),
            ("MPS_WORKER_REDIS_URL", redis),
            ("MPS_WORKER_POOL", "cpu".into()),
            ("MPS_WORKER_SCRATCH", self.data.join("scratch").display().to_string()),
        ];
        if let Some(slots) = self.slots {
            environment.push(("MPS_WORKER_SLOTS", slots.to_string()));
        }
        environment.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }

    /// Returns when a part answers. The worker has nobody to ask: `mps doctor` and the server's list of workers tell.
    pub async fn wait_ready(&self, name: &str) {
        loop {
            let ready = match name {
                "redis" => tokio::net::UnixStream::connect(&self.socket).await.is_ok(),
                "server" => http_ok(self.ports.http, "/readyz").await,
                _ => true,
            };
            if ready {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The built-in store's keys, for other S3 clients.
    pub fn store_keys(&self) -> String {
        let path = self.data.join("local-store.key");
        match fs::read_to_string(&path) {
            Ok(text) => text.split_whitespace().collect::<Vec<_>>().join(" "),
            Err(_) => format!("keys in {}", path.display()),
        }
    }
}

/// The socket lies with the data, or in a folder of its own where that path is too long for a socket.
fn socket_path(data: &Path) -> anyhow::Result<(PathBuf, Option<PathBuf>)> {
    let socket = data.join("redis.sock");
    if socket.as_os_str().len() <= MAX_SOCKET_PATH {
        let _ = fs::remove_file(&socket);
        return Ok((socket, None));
    }
    let folder = std::env::temp_dir().join(format!("mps-{}", ulid::Ulid::new().to_string().to_lowercase()));
    fs::create_dir(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    Ok((folder.join("redis.sock"), Some(folder)))
}

/// Whether a GET on loopback answers 200.
pub async fn http_ok(port: u16, path: &str) -> bool {
    let exchange = async {
        let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await?;
        Ok::<_, std::io::Error>(answer.ends_with(b" 200"))
    };
    matches!(tokio::time::timeout(Duration::from_secs(2), exchange).await, Ok(Ok(true)))
}
