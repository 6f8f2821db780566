//! A small web server that gives the files of a folder, with ranges.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// A running server; it ends when the value drops.
pub struct Site {
    port: u16,
    task: tokio::task::JoinHandle<()>,
}

impl Site {
    pub async fn start(folder: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let port = listener.local_addr().expect("address is known").port();
        let folder = Arc::new(folder.to_owned());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let folder = folder.clone();
                tokio::spawn(async move {
                    let _gone = answer(stream, &folder).await;
                });
            }
        });
        Self { port, task }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(mut stream: TcpStream, folder: &Path) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path: PathBuf = head.split([' ', '?']).nth(1).unwrap_or_default().trim_start_matches('/').into();
    let Ok(body) = std::fs::read(folder.join(path)) else {
        return stream
            .write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            .await;
    };
    let head = head.to_lowercase();
    let range = head.lines().find_map(|line| line.strip_prefix("range: bytes="));
    let (status, part) = match range.and_then(|range| range.split_once('-')) {
        Some((first, last)) => {
            let first: usize = first.parse().unwrap_or_default();
            let end = last.parse().map_or(body.len(), |last: usize| body.len().min(last + 1));
            let status = format!("206 Partial Content\r\ncontent-range: bytes {first}-{}/{}", end - 1, body.len());
            (status, body.get(first..end).unwrap_or_default())
        }
        None => ("200 OK".to_owned(), body.as_slice()),
    };
    let text = format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\netag: \"a\"\r\nconnection: close\r\n\r\n",
        part.len()
    );
    stream.write_all(text.as_bytes()).await?;
    stream.write_all(part).await?;
    stream.shutdown().await
}
