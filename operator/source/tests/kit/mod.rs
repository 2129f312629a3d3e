//! Repositories made with git itself, and a fetcher whose child process is this test program.

#![allow(dead_code)]

pub mod http;
pub mod ssh;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use sower_source::{FetchError, FetchRequest, Fetched, Fetcher, GitTree, Limits, Reference};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

pub struct Repository {
    pub dir: TempDir,
}

pub fn git(dir: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .arg("-C")
        .arg(dir)
        .args(["-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "protocol.file.allow=always"])
        .args(arguments)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .expect("git runs");
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

impl Repository {
    /// A working tree on branch `main` with one commit.
    pub fn new() -> Self {
        let repository = Self { dir: TempDir::new().unwrap() };
        repository.git(&["init", "-q", "-b", "main"]);
        repository.write("integrations/slack/integration.yaml", "id: slack\n");
        repository.write("README.md", "A catalog\n");
        repository.commit("Start");
        repository
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn url(&self) -> String {
        format!("file://{}", self.path().display())
    }

    pub fn git(&self, arguments: &[&str]) -> String {
        git(self.path(), arguments)
    }

    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// Commits everything and returns the commit.
    pub fn commit(&self, subject: &str) -> String {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", subject]);
        self.git(&["rev-parse", "HEAD"])
    }
}

pub struct Fetch {
    pub fetcher: Fetcher,
    pub cache: TempDir,
}

impl Fetch {
    pub fn new() -> Self {
        Self::with_limits(Limits { timeout: Duration::from_secs(30), ..Limits::default() })
    }

    pub fn with_limits(limits: Limits) -> Self {
        let cache = TempDir::new().unwrap();
        let fetcher = Fetcher::new(cache.path())
            .unwrap()
            .with_program(
                std::env::current_exe().unwrap(),
                ["--exact", "--ignored", "--nocapture", "fetch_child"],
            )
            .with_limits(limits)
            .allow_local(true);
        Self { fetcher, cache }
    }

    pub async fn get(&self, url: &str, reference: Reference) -> Result<Fetched, FetchError> {
        self.fetcher.fetch(&FetchRequest::new(url, reference), &CancellationToken::new()).await
    }

    pub fn mirrors(&self) -> Vec<PathBuf> {
        let mut found: Vec<PathBuf> = std::fs::read_dir(self.cache.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|e| e == "git"))
            .collect();
        found.sort();
        found
    }

    pub fn scratch(&self) -> usize {
        let name =
            |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
        std::fs::read_dir(self.cache.path()).unwrap().map(name).filter(|n| n.starts_with("scratch-")).count()
    }
}

/// A tree whose files are listed, at once.
pub trait Whole {
    fn tree(&self, path: &str) -> Result<GitTree, FetchError>;
}

impl Whole for Fetched {
    fn tree(&self, path: &str) -> Result<GitTree, FetchError> {
        self.unlisted(path)?.listed(None)
    }
}

pub fn paths(tree: &impl sower_core::snapshot::Tree) -> Vec<&str> {
    tree.files().iter().map(|file| file.path.as_str()).collect()
}
