//! A git server over ssh: Debian's sshd with keys of its own, for the user that runs the tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::geteuid;
use tokio::net::TcpStream;

use crate::process::{Launch, Process, clean, folder, free_port, output};
use crate::repository::Repository;

/// A running sshd.
#[derive(Debug)]
pub struct SshServer {
    folder: PathBuf,
    port: u16,
    user: String,
    _process: Process,
}

impl SshServer {
    /// Starts it.
    pub async fn start() -> Result<Self> {
        let folder = folder("ssh-server")?;
        for name in ["host", "user", "stranger"] {
            let mut command = Command::new("ssh-keygen");
            clean(&mut command)
                .args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"])
                .arg(folder.join(name));
            output(&mut command)?;
        }
        fs::copy(folder.join("user.pub"), folder.join("authorized"))?;
        if geteuid().is_root() {
            // sshd gives up its rights there, and Debian makes the folder only when the service starts.
            fs::create_dir_all("/run/sshd")?;
        }
        let port = free_port()?;
        let at = folder.display();
        let settings = format!(
            "ListenAddress 127.0.0.1:{port}\nHostKey {at}/host\nAuthorizedKeysFile {at}/authorized\nPidFile none\n\
             StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
             PermitRootLogin prohibit-password\nPrintMotd no\n"
        );
        let conf = folder.join("sshd_config");
        fs::write(&conf, settings)?;
        let process = Launch::new("sshd", "/usr/sbin/sshd").args(["-D", "-e", "-f"]).arg(&conf).start()?;
        let answers = async || Ok(TcpStream::connect(("127.0.0.1", port)).await.map(drop)?);
        process.ready(Duration::from_secs(30), answers).await?;
        let user = output(Command::new("id").arg("-un"))?.trim().to_owned();
        Ok(Self { folder, port, user, _process: process })
    }

    /// Where it serves a repository, which may be another server's, too.
    pub fn url(&self, repository: &Repository) -> String {
        format!("ssh://{}@127.0.0.1:{}{}", self.user, self.port, repository.folder().display())
    }

    /// The private key that may log in, as text and as it lies there.
    pub fn identity(&self) -> Result<(String, PathBuf)> {
        read(&self.folder.join("user"))
    }

    /// A private key that may not.
    pub fn stranger(&self) -> Result<(String, PathBuf)> {
        read(&self.folder.join("stranger"))
    }

    /// The line of known_hosts that names this server.
    pub fn known_hosts(&self) -> Result<String> {
        self.line_of("host")
    }

    /// A line of known_hosts that names another key for this server.
    pub fn wrong_known_hosts(&self) -> Result<String> {
        self.line_of("stranger")
    }

    fn line_of(&self, key: &str) -> Result<String> {
        let (key, _) = read(&self.folder.join(key).with_extension("pub"))?;
        Ok(format!("[127.0.0.1]:{} {key}", self.port))
    }
}

fn read(path: &Path) -> Result<(String, PathBuf)> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    Ok((text, path.to_owned()))
}
