//! A Prometheus server that watches itself, as Debian packages it.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::certificates::Certificates;
use crate::process::{Launch, Process, folder, free_port};

/// Checks rules and their tests: `promtool test rules FILE`.
pub const PROMTOOL: &str = "/usr/bin/promtool";

/// Who may ask a server that is [`Prometheus::guarded`].
pub const USER: &str = "sower";
/// The password, which may appear in no output.
pub const PASSWORD: &str = "prometheus-password-to-be-kept";
/// Its hash, as the server wants it (bcrypt of the least cost).
const HASH: &str = "$2b$04$abcdefghijklmnopqrstuulKPOKggDWu0nCpuwYhihFmy.XErmBk2";

const READY: Duration = Duration::from_secs(60);

/// A running server.
#[derive(Debug)]
pub struct Prometheus {
    address: String,
    _process: Process,
}

impl Prometheus {
    /// Starts one that anybody may ask. It scrapes itself each second, as job `stripe`.
    pub async fn start() -> Result<Self> {
        Self::run("http", None).await
    }

    /// Starts one that wants [`USER`] and [`PASSWORD`], over TLS with this certificate.
    pub async fn guarded(certificates: &Certificates) -> Result<Self> {
        let [certificate, key] =
            [certificates.server(), certificates.server_key()].map(|path| path.display().to_string());
        let web = format!(
            "tls_server_config: {{ cert_file: {certificate}, key_file: {key} }}\nbasic_auth_users: {{ {USER}: '{HASH}' }}\n"
        );
        Self::run("https", Some(&web)).await
    }

    async fn run(scheme: &str, web: Option<&str>) -> Result<Self> {
        let (home, port) = (folder("prometheus")?, free_port()?);
        let scrape = format!(
            "global: {{ scrape_interval: 1s }}\n\
             scrape_configs:\n- {{ job_name: stripe, static_configs: [{{ targets: ['127.0.0.1:{port}'] }}] }}\n"
        );
        fs::write(home.join("prometheus.yml"), scrape)?;
        let mut launch = Launch::new("prometheus", program()?)
            .arg("--config.file=prometheus.yml")
            .arg("--storage.tsdb.path=data")
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .current_dir(&home);
        if let Some(web) = web {
            fs::write(home.join("web.yml"), web)?;
            launch = launch.arg("--web.config.file=web.yml");
        }
        let process = launch.start()?;
        // What it answers is the tests' business; that it listens means that it has read its files.
        process.ready(READY, async || Ok(TcpStream::connect(("127.0.0.1", port)).map(drop)?)).await?;
        Ok(Self { address: format!("{scheme}://127.0.0.1:{port}"), _process: process })
    }

    /// Where it is asked.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }
}

fn program() -> Result<&'static Path> {
    let path = Path::new("/usr/bin/prometheus");
    path.exists().then_some(path).context("Prometheus is not installed: tests/install")
}
