//! A real sshd on a free loopback port, and the keys for it.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub struct Sshd {
    child: Child,
    dir: TempDir,
    port: u16,
}

impl Sshd {
    pub fn start() -> Self {
        let dir = TempDir::new().unwrap();
        keygen(dir.path(), "host", "ed25519", "");
        keygen(dir.path(), "other_host", "ed25519", "");
        keygen(dir.path(), "user", "ed25519", "");
        keygen(dir.path(), "locked", "rsa", "passphrase-secret");
        keygen(dir.path(), "stranger", "ed25519", "");
        let public = |name: &str| fs::read_to_string(dir.path().join(format!("{name}.pub"))).unwrap();
        fs::write(dir.path().join("authorized"), public("user") + &public("locked")).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let at = dir.path().display();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {at}/host\nAuthorizedKeysFile {at}/authorized\n\
             PidFile none\nUsePAM no\nStrictModes no\nPasswordAuthentication no\nPermitRootLogin yes\n"
        );
        fs::write(dir.path().join("config"), config).unwrap();
        // Root's sshd wants its empty folder; anyone else's does without.
        let _ = fs::create_dir_all("/run/sshd");
        let child = Command::new("/usr/sbin/sshd")
            .args(["-D", "-e", "-f"])
            .arg(dir.path().join("config"))
            .stderr(Stdio::null())
            .spawn()
            .expect("sshd (package openssh-server) is installed");
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(started.elapsed() < Duration::from_secs(10), "sshd answers");
            std::thread::yield_now();
        }
        Self { child, dir, port }
    }

    pub fn url(&self, repository: &Path) -> String {
        let user = Command::new("id").arg("-un").output().unwrap().stdout;
        format!(
            "ssh://{}@127.0.0.1:{}{}",
            String::from_utf8(user).unwrap().trim(),
            self.port,
            repository.display()
        )
    }

    /// A private key: `user`, `locked` or `stranger`.
    pub fn key(&self, name: &str) -> String {
        fs::read_to_string(self.dir.path().join(name)).unwrap()
    }

    /// known_hosts with `host`'s own key, or with the one of `other_host` under its name.
    pub fn known_hosts(&self, name: &str) -> String {
        let key = fs::read_to_string(self.dir.path().join(format!("{name}.pub"))).unwrap();
        format!("[127.0.0.1]:{} {key}", self.port)
    }

    /// The same with the names hashed, as Debian writes them.
    pub fn hashed_known_hosts(&self) -> String {
        let file = self.dir.path().join("hashed");
        fs::write(&file, self.known_hosts("host")).unwrap();
        let status =
            Command::new("ssh-keygen").args(["-q", "-H", "-f"]).arg(&file).output().map(|o| o.status);
        assert!(status.unwrap().success());
        fs::read_to_string(file).unwrap()
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn keygen(dir: &Path, name: &str, kind: &str, password: &str) {
    let status = Command::new("ssh-keygen")
        .args(["-q", "-t", kind, "-N", password, "-f"])
        .arg(dir.join(name))
        .status()
        .expect("ssh-keygen (package openssh-client) is installed");
    assert!(status.success());
}
