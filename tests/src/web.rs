//! A small web server with the habits of real ones: ranges or not, lengths or not, connections that are cut, files that change.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// How the server answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Habit {
    /// Length, ETag and ranges.
    Plain,
    /// Length, no ranges.
    NoRange,
    /// Chunks, no length.
    Chunked,
    /// Neither length nor chunks: the end of the connection is the end.
    NoLength,
    /// Ranges, but each answer is cut after a third of the file.
    Cut,
    /// As `Cut`, and the file is another one each time.
    Changing,
    /// Accepts and never answers.
    Silent,
    /// 404.
    Missing,
    /// 302 to the address that was given.
    Redirect(u16),
}

/// A running server; it ends when the value drops.
pub struct Web {
    pub port: u16,
    requests: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Web {
    pub async fn start(habit: Habit, body: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let port = listener.local_addr().expect("address is known").port();
        let requests = Arc::new(AtomicUsize::new(0));
        let counter = requests.clone();
        let body = Arc::new(body);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = counter.fetch_add(1, Ordering::SeqCst);
                let body = body.clone();
                tokio::spawn(async move {
                    let _ = answer(stream, habit, &body, number).await;
                });
            }
        });
        Self { port, requests, task }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }

    /// Connections so far.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(mut stream: TcpStream, habit: Habit, body: &[u8], number: usize) -> std::io::Result<()> {
    let head = read_head(&mut stream).await?;
    let ranges = matches!(habit, Habit::Plain | Habit::Cut | Habit::Changing);
    let start = if ranges {
        range_start(&head).unwrap_or(0).min(body.len())
    } else {
        0
    };
    let etag = if habit == Habit::Changing {
        format!("\"v{number}\"")
    } else {
        "\"v\"".into()
    };
    let rest = &body[start..];
    match habit {
        Habit::Silent => tokio::time::sleep(Duration::from_secs(3600)).await,
        Habit::Missing => {
            stream
                .write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                .await?;
        }
        Habit::Redirect(port) => {
            let text =
                format!("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:{port}/x.mp4\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(text.as_bytes()).await?;
        }
        Habit::Chunked => {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n")
                .await?;
            for chunk in body.chunks(50_000) {
                stream.write_all(format!("{:x}\r\n", chunk.len()).as_bytes()).await?;
                stream.write_all(chunk).await?;
                stream.write_all(b"\r\n").await?;
            }
            stream.write_all(b"0\r\n\r\n").await?;
        }
        Habit::NoLength => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n").await?;
            stream.write_all(body).await?;
        }
        Habit::Plain | Habit::NoRange | Habit::Cut | Habit::Changing => {
            let mut text = match range_start(&head) {
                Some(_) if ranges => format!(
                    "HTTP/1.1 206 Partial Content\r\ncontent-range: bytes {start}-{}/{}\r\n",
                    body.len() - 1,
                    body.len()
                ),
                _ => "HTTP/1.1 200 OK\r\n".into(),
            };
            let accept = if ranges { "bytes" } else { "none" };
            text += &format!(
                "content-length: {}\r\naccept-ranges: {accept}\r\netag: {etag}\r\nconnection: close\r\n\r\n",
                rest.len()
            );
            stream.write_all(text.as_bytes()).await?;
            let cut = matches!(habit, Habit::Cut | Habit::Changing);
            let sent = if cut { rest.len().min(body.len() / 3 + 1) } else { rest.len() };
            stream.write_all(&rest[..sent]).await?;
        }
    }
    stream.shutdown().await
}

async fn read_head(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).await? > 0 {
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).to_lowercase())
}

fn range_start(head: &str) -> Option<usize> {
    let value = head.lines().find_map(|line| line.strip_prefix("range: bytes="))?;
    value.split('-').next()?.parse().ok()
}
