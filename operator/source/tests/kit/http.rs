//! A git server over http on a free loopback port: `git http-backend` behind the few lines of a server that it needs.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

pub struct Server {
    address: SocketAddr,
    scheme: &'static str,
    state: Arc<State>,
}

struct State {
    root: PathBuf,
    /// The whole Authorization header that is let in; none lets all in.
    wanted: Option<String>,
    /// Answered to everything, in place of git.
    status: Mutex<Option<String>>,
    requests: Mutex<Vec<String>>,
    stopped: AtomicBool,
}

impl Server {
    /// Serves the repositories below `root`.
    pub fn start(root: &Path, wanted: Option<&str>) -> Self {
        Self::over(root, wanted, None)
    }

    /// The same over https.
    pub fn start_tls(root: &Path, config: Arc<rustls::ServerConfig>) -> Self {
        Self::over(root, None, Some(config))
    }

    fn over(root: &Path, wanted: Option<&str>, tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            root: root.to_owned(),
            wanted: wanted.map(Into::into),
            status: Mutex::default(),
            requests: Mutex::default(),
            stopped: AtomicBool::new(false),
        });
        let (shared, scheme) = (state.clone(), if tls.is_some() { "https" } else { "http" });
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.stopped.load(Ordering::SeqCst) {
                    break;
                }
                let (state, stream, tls) = (shared.clone(), stream.unwrap(), tls.clone());
                std::thread::spawn(move || match tls {
                    None => state.serve(stream),
                    Some(config) => {
                        let session = rustls::ServerConnection::new(config).unwrap();
                        state.serve(rustls::StreamOwned::new(session, stream))
                    }
                });
            }
        });
        Self { address, scheme, state }
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}://{}/{path}", self.scheme, self.address)
    }

    pub fn answer_with(&self, status: &str) {
        *self.state.status.lock().unwrap() = Some(status.into());
    }

    /// The request lines since the last call.
    pub fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.state.requests.lock().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.state.stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

/// A server that answers each connection's first bytes with one text, and closes it.
pub struct Canned {
    address: SocketAddr,
    stopped: Arc<AtomicBool>,
}

impl Canned {
    pub fn start(answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, stopped) = (listener.local_addr().unwrap(), Arc::new(AtomicBool::new(false)));
        let stop = stopped.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().take_while(|_| !stop.load(Ordering::SeqCst)) {
                let Ok(mut stream) = stream else { continue };
                // Whoever is gone already needs no answer.
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        Self { address, stopped }
    }

    pub fn url(&self) -> String {
        format!("http://{}/a.git", self.address)
    }
}

impl Drop for Canned {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

impl State {
    fn serve(&self, stream: impl Read + Write) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let mut words = line.split_whitespace().map(str::to_owned);
            let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            self.requests.lock().unwrap().push(format!("{method} {target}"));
            let mut headers = Vec::new();
            loop {
                let mut line = String::new();
                reader.read_line(&mut line)?;
                let Some((key, value)) = line.split_once(':') else { break };
                headers.push((key.to_ascii_lowercase(), value.trim().to_owned()));
            }
            let header = |key: &str| headers.iter().find(|(k, _)| k == key).map(|(_, v)| v.clone());
            if header("expect").is_some() {
                reader.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            }
            let body = read_body(&mut reader, header("content-length"), header("transfer-encoding"))?;
            let status = self.status.lock().unwrap().clone();
            if let Some(status) = status {
                write!(reader.get_mut(), "HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n")?;
                continue;
            }
            if self.wanted.is_some() && header("authorization") != self.wanted {
                let challenge = "WWW-Authenticate: Basic realm=\"git\"";
                write!(
                    reader.get_mut(),
                    "HTTP/1.1 401 Unauthorized\r\n{challenge}\r\nContent-Length: 0\r\n\r\n"
                )?;
                continue;
            }
            let (path, query) = target.split_once('?').unwrap_or((&target, ""));
            let answer =
                self.backend(&method, path, query, &header("content-type").unwrap_or_default(), &body)?;
            reader.get_mut().write_all(&answer)?;
            reader.get_mut().flush()?;
        }
    }

    fn backend(
        &self,
        method: &str,
        path: &str,
        query: &str,
        kind: &str,
        body: &[u8],
    ) -> std::io::Result<Vec<u8>> {
        let mut child = Command::new("git")
            .args(["-c", "safe.directory=*", "http-backend"])
            .env("GIT_PROJECT_ROOT", &self.root)
            .env("GIT_HTTP_EXPORT_ALL", "1")
            .env("REQUEST_METHOD", method)
            .env("PATH_INFO", path)
            .env("QUERY_STRING", query)
            .env("CONTENT_TYPE", kind)
            .env("CONTENT_LENGTH", body.len().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut input = child.stdin.take().unwrap();
        let body = body.to_vec();
        let writer = std::thread::spawn(move || {
            let _ = input.write_all(&body);
        });
        let output = child.wait_with_output()?.stdout;
        writer.join().unwrap();
        let end = output.windows(4).position(|w| w == b"\r\n\r\n").unwrap_or(output.len());
        let head = String::from_utf8_lossy(&output[..end]).into_owned();
        let content = output.get(end + 4..).unwrap_or_default();
        let status = head.lines().find_map(|l| l.strip_prefix("Status: ")).unwrap_or("200 OK");
        let rest: Vec<&str> = head.lines().filter(|l| !l.starts_with("Status: ")).collect();
        let mut answer = format!(
            "HTTP/1.1 {status}\r\n{}\r\nContent-Length: {}\r\n\r\n",
            rest.join("\r\n"),
            content.len()
        )
        .into_bytes();
        answer.extend_from_slice(content);
        Ok(answer)
    }
}

fn read_body(
    reader: &mut impl BufRead,
    length: Option<String>,
    encoding: Option<String>,
) -> std::io::Result<Vec<u8>> {
    let mut body = Vec::new();
    if encoding.is_some_and(|e| e.eq_ignore_ascii_case("chunked")) {
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let size = u64::from_str_radix(line.trim(), 16).unwrap_or(0);
            reader.by_ref().take(size).read_to_end(&mut body)?;
            reader.read_line(&mut String::new())?;
            if size == 0 {
                return Ok(body);
            }
        }
    }
    let length = length.and_then(|l| l.parse().ok()).unwrap_or(0);
    reader.by_ref().take(length).read_to_end(&mut body)?;
    Ok(body)
}
