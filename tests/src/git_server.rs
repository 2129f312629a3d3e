//! A git server over http and https: nginx, fcgiwrap and git's own http-backend, with basic authentication.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use rustix::process::geteuid;
use tokio::net::TcpStream;
use tokio::sync::OnceCell;

use crate::certificates::Certificates;
use crate::process::{Launch, Process, folder, free_port, home};
use crate::repository::Repository;

/// The only user of the git server.
pub const USER: &str = "robot";
/// Its password, which may appear in no output.
pub const PASSWORD: &str = "git-password-to-be-kept";

/// The bearer token that stands in for them at [`GitServer::bearer_url`], which may appear in no output either.
pub const TOKEN: &str = "git-token-to-be-kept";

const READY: Duration = Duration::from_secs(30);

/// A running git server.
#[derive(Debug)]
pub struct GitServer {
    folder: PathBuf,
    certificates: Certificates,
    port: u16,
    tls_port: u16,
    // Ended before the programs that it asks.
    nginx: Process,
    _fcgiwrap: Process,
}

impl GitServer {
    /// The server that the tests of this binary share. Each takes a [`Repository`] of its own.
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<GitServer> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }

    /// Starts one for a single test: to end it, or to make it hang.
    pub async fn start() -> Result<Self> {
        let folder = folder("git-server")?;
        let certificates = Certificates::make()?;
        for name in ["repositories", "nginx"] {
            fs::create_dir(folder.join(name))?;
        }
        fs::write(folder.join("users"), format!("{USER}:{{PLAIN}}{PASSWORD}\n"))?;
        let socket = folder.join("fcgiwrap.sock");
        let fcgiwrap = Launch::new("fcgiwrap", "/usr/sbin/fcgiwrap")
            .args(["-f", "-c", "4", "-s", &format!("unix:{}", socket.display())])
            .start()?;
        let exists = async || Ok(fs::metadata(&socket).map(drop)?);
        fcgiwrap.ready(READY, exists).await?;
        let (port, tls_port) = (free_port()?, free_port()?);
        let conf = folder.join("nginx.conf");
        fs::write(&conf, configuration(&folder.display().to_string(), &certificates, port, tls_port))?;
        let nginx = Launch::new("nginx", "/usr/sbin/nginx")
            .args(["-e", "stderr", "-p"])
            .arg(folder.join("nginx"))
            .arg("-c")
            .arg(&conf)
            .start()?;
        nginx.ready(READY, async || Ok(TcpStream::connect(("127.0.0.1", port)).await.map(drop)?)).await?;
        Ok(Self { folder, certificates, port, tls_port, nginx, _fcgiwrap: fcgiwrap })
    }

    /// A new, empty repository; `name` may be used once.
    pub fn repository(&self, name: &str) -> Result<Repository> {
        let push_url = format!("http://{USER}:{PASSWORD}@127.0.0.1:{}/git/{name}.git", self.port);
        Repository::create(self.folder.join("repositories").join(format!("{name}.git")), push_url)
    }

    /// Its URL, without credentials, which are asked for.
    pub fn url(&self, repository: &str) -> String {
        format!("http://127.0.0.1:{}/git/{repository}.git", self.port)
    }

    /// Its URL for reading, where no credentials are asked for.
    pub fn public_url(&self, repository: &str) -> String {
        format!("http://127.0.0.1:{}/public/{repository}.git", self.port)
    }

    /// Its URL over TLS, signed by [`Self::ca_pem`]'s authority only; credentials are asked for.
    pub fn tls_url(&self, repository: &str) -> String {
        format!("https://127.0.0.1:{}/git/{repository}.git", self.tls_port)
    }

    /// Its URL for reading, where [`TOKEN`] is asked for.
    pub fn bearer_url(&self, repository: &str) -> String {
        format!("http://127.0.0.1:{}/bearer/{repository}.git", self.port)
    }

    /// The authority to trust for [`Self::tls_url`].
    pub fn ca_pem(&self) -> Result<String> {
        self.certificates.ca_pem()
    }

    /// nginx, to end it or to make it hang.
    pub fn process(&self) -> &Process {
        &self.nginx
    }

    /// The requests so far: one line each, `METHOD URI STATUS BYTES`.
    pub fn requests(&self) -> Result<Vec<String>> {
        Ok(fs::read_to_string(self.folder.join("requests.log"))?.lines().map(str::to_owned).collect())
    }
}

fn configuration(folder: &str, certificates: &Certificates, port: u16, tls_port: u16) -> String {
    let mut text = String::new();
    if geteuid().is_root() {
        // The workers read repositories that this user made.
        text.push_str("user root;\n");
    }
    let (certificate, key) = (certificates.server(), certificates.server_key());
    let mut paths = String::new();
    for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        // Writing to a String cannot fail.
        let _ = writeln!(paths, "  {kind}_temp_path {folder}/nginx/{kind};");
    }
    let backend = format!(
        "fastcgi_pass unix:{folder}/fcgiwrap.sock;
      fastcgi_param SCRIPT_FILENAME /usr/lib/git-core/git-http-backend;
      fastcgi_param GIT_PROJECT_ROOT {folder}/repositories;
      fastcgi_param GIT_HTTP_EXPORT_ALL 1;
      fastcgi_param GIT_PROTOCOL $http_git_protocol;
      fastcgi_param HOME {home}/home;
      fastcgi_param GIT_CONFIG_NOSYSTEM 1;
      fastcgi_param PATH_INFO $1;
      fastcgi_param QUERY_STRING $query_string;
      fastcgi_param REQUEST_METHOD $request_method;
      fastcgi_param CONTENT_TYPE $content_type;
      fastcgi_param CONTENT_LENGTH $content_length;",
        home = home().display(),
    );
    text + &format!(
        r#"daemon off;
worker_processes 1;
pid {folder}/nginx/pid;
error_log stderr warn;
events {{ worker_connections 256; }}
http {{
{paths}
  log_format requests '$request_method $request_uri $status $body_bytes_sent';
  access_log {folder}/requests.log requests;
  client_max_body_size 0;
  server {{
    listen 127.0.0.1:{port};
    listen 127.0.0.1:{tls_port} ssl;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    location ~ ^/git(/.*)$ {{
      auth_basic "repositories";
      auth_basic_user_file {folder}/users;
      fastcgi_param REMOTE_USER $remote_user;
      {backend}
    }}
    location ~ ^/bearer(/.*)$ {{
      if ($http_authorization != "Bearer {TOKEN}") {{ return 401; }}
      {backend}
    }}
    location ~ ^/public(/.*)$ {{
      {backend}
    }}
  }}
}}
"#,
        certificate = certificate.display(),
        key = key.display(),
    )
}
