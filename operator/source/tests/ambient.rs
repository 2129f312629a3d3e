//! The command line's own ways in: ssh-agent, known_hosts and git's credential helpers of the user at the keyboard.

#![allow(clippy::unwrap_used, reason = "tests and what they share")]

mod kit;

use std::io::{ErrorKind, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use kit::http::Server;
use kit::ssh::Sshd;
use kit::{Fetch, Repository};
use sower_source::{FetchError, FetchRequest, Fetcher, Reference};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// Not a test: what the fetches below start.
#[test]
#[ignore = "the process of a fetch"]
fn fetch_child() {
    std::process::exit(sower_source::fetch_child_main());
}

/// Not a test: the command line, as a user with another environment runs it.
#[tokio::test]
#[ignore = "the process of a user"]
async fn user() {
    let fetch = Fetch::new();
    let Fetch { fetcher, cache: _cache } = fetch;
    let fetcher: Fetcher = fetcher.ambient(true);
    let request = FetchRequest::new(std::env::var("TEST_URL").unwrap(), Reference::Default);
    match fetcher.fetch(&request, &CancellationToken::new()).await {
        Ok(fetched) => println!("\nfetched {}", fetched.revision.label),
        Err(error @ FetchError::AuthenticationFailed { .. }) => println!("\nrefused: {error}"),
        Err(error) => println!("\nfailed: {error:?}"),
    }
}

fn as_user(home: &Path, url: &str, agent: Option<&Path>) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "--ignored", "--nocapture", "user"]).env("HOME", home).env("TEST_URL", url);
    command.env_remove("XDG_CONFIG_HOME").env_remove("SSH_AUTH_SOCK");
    if let Some(agent) = agent {
        command.env("SSH_AUTH_SOCK", agent);
    }
    let said = String::from_utf8(command.output().unwrap().stdout).unwrap();
    let of_interest =
        |line: &&str| ["fetched", "refused", "failed"].iter().any(|word| line.starts_with(word));
    said.lines().find(of_interest).unwrap_or_else(|| panic!("{said}")).to_owned()
}

#[test]
fn a_credential_helper_is_asked() {
    let (repository, home) = (Repository::new(), TempDir::new().unwrap());
    let server = Server::start(repository.path(), Some("Basic Y2k6aHVudGVyMi1zZWNyZXQ="));
    assert_eq!(
        as_user(home.path(), &server.url(".git"), None),
        "refused: 127.0.0.1 asks for credentials, and none were given"
    );
    let helper = "!f() { echo username=ci; echo password=hunter2-secret; }; f";
    std::fs::write(home.path().join(".gitconfig"), format!("[credential]\n\thelper = \"{helper}\"\n"))
        .unwrap();
    assert_eq!(as_user(home.path(), &server.url(".git"), None), "fetched main");
    std::fs::write(
        home.path().join(".gitconfig"),
        "[credential]\n\thelper = \"!echo username=ci; echo password=no\"\n",
    )
    .unwrap();
    assert_eq!(
        as_user(home.path(), &server.url(".git"), None),
        "refused: 127.0.0.1 rejected the credentials"
    );
}

#[test]
fn a_fetch_does_not_outlive_who_asked_for_it() {
    let (listener, home) = (std::net::TcpListener::bind("127.0.0.1:0").unwrap(), TempDir::new().unwrap());
    let mut user = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "--nocapture", "user"])
        .env("HOME", home.path())
        .env("TEST_URL", format!("http://{}/catalog.git", listener.local_addr().unwrap()))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let (mut connection, _) = listener.accept().unwrap();
    user.kill().unwrap();
    user.wait().unwrap();
    connection.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    // The end of the connection is the end of the process that held it.
    let ended = connection.read_to_end(&mut Vec::new());
    assert!(!ended.is_err_and(|error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)));
}

struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_agent_is_asked_and_the_users_known_hosts_are_believed() {
    let (repository, sshd, home) = (Repository::new(), Sshd::start(), TempDir::new().unwrap());
    let url = sshd.url(repository.path());
    let socket = home.path().join("agent");
    let agent =
        Command::new("ssh-agent").args(["-D", "-a"]).arg(&socket).stdout(Stdio::null()).spawn().unwrap();
    let _agent = Agent(agent);
    while !socket.exists() {
        std::thread::yield_now();
    }
    let key = home.path().join("key");
    std::fs::write(&key, sshd.key("user")).unwrap();
    let chmod = Command::new("chmod").arg("600").arg(&key).status().unwrap();
    assert!(chmod.success());
    let added = Command::new("ssh-add").arg("-q").arg(&key).env("SSH_AUTH_SOCK", &socket).status().unwrap();
    assert!(added.success());
    let unknown = "refused: 127.0.0.1 shows an ssh host key that known_hosts does not hold";
    assert_eq!(as_user(home.path(), &url, Some(&socket)), unknown);
    std::fs::create_dir(home.path().join(".ssh")).unwrap();
    std::fs::write(home.path().join(".ssh/known_hosts"), sshd.known_hosts("host")).unwrap();
    assert_eq!(as_user(home.path(), &url, Some(&socket)), "fetched main");
    let alone = as_user(home.path(), &url, None);
    assert!(alone.starts_with("refused: "), "{alone}");
}
