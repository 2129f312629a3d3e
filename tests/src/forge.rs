//! A server that takes the statuses of commits, as the providers of git repositories do over http.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Bytes of a request that are read.
const LONGEST: usize = 64 << 10;

/// A request as it came.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// `/api/v1/repos/a/b/statuses/3f2c1a9`.
    pub path: String,
    /// The header that proves who sends it.
    pub authorization: String,
    /// The body.
    pub body: Value,
}

/// The server; it ends when it is dropped.
pub struct Forge {
    address: SocketAddr,
    token: String,
    told: Arc<Mutex<Vec<Told>>>,
    serving: JoinHandle<()>,
}

impl Forge {
    /// Starts one that takes this token alone.
    pub async fn start(token: &str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let told = Arc::new(Mutex::new(Vec::new()));
        let (kept, authorization) = (told.clone(), format!("token {token}"));
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (kept, authorization) = (kept.clone(), authorization.clone());
                tokio::spawn(async move { answer(stream, &kept, &authorization).await });
            }
        });
        Ok(Self { address, token: token.to_owned(), told, serving })
    }

    /// The address of its API.
    #[must_use]
    pub fn api(&self) -> String {
        format!("http://{}/api/v1", self.address)
    }

    /// The token that it takes.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// What it was told so far, refused requests left out.
    #[must_use]
    pub fn told(&self) -> Vec<Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Forge {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(mut stream: TcpStream, told: &Mutex<Vec<Told>>, authorization: &str) -> Result<()> {
    let request = read(&mut stream).await?;
    let accepted = request.authorization == authorization;
    if accepted {
        told.lock().unwrap_or_else(PoisonError::into_inner).push(request);
    }
    let status = if accepted { "201 Created" } else { "401 Unauthorized" };
    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}");
    stream.write_all(answer.as_bytes()).await?;
    Ok(stream.shutdown().await?)
}

async fn read(stream: &mut TcpStream) -> Result<Told> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let header = |name: &str| {
                let mut lines = head.lines().filter_map(|line| line.split_once(": "));
                lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
            };
            let length: usize = header("content-length").context("no length")?.parse()?;
            if body.len() >= length {
                let path = head.split(' ').nth(1).context("no path")?.to_owned();
                let authorization = header("authorization").unwrap_or_default();
                return Ok(Told { path, authorization, body: serde_json::from_str(body)? });
            }
        }
        let mut piece = [0; 4096];
        let count = stream.read(&mut piece).await?;
        if count == 0 || bytes.len() > LONGEST {
            bail!("no whole request");
        }
        bytes.extend_from_slice(&piece[..count]);
    }
}
