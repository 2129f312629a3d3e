//! A bare repository on a git server, and a clone to work in.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process::{clean, folder, output};

/// A bare repository that a server serves.
#[derive(Debug, Clone)]
pub struct Repository {
    folder: PathBuf,
    push_url: String,
}

impl Repository {
    /// Makes it in this folder; `push_url` is where clones push to, credentials included.
    pub(crate) fn create(folder: PathBuf, push_url: String) -> Result<Self> {
        git(
            Path::new("/"),
            &["init", "--bare", "--quiet", "--initial-branch=main", &folder.to_string_lossy()],
        )?;
        let repository = Self { folder, push_url };
        // As the hosted services: any commit that a branch reaches may be asked for by its id.
        for (key, value) in [
            ("http.receivepack", "true"),
            ("uploadpack.allowReachableSHA1InWant", "true"),
            ("uploadpack.allowFilter", "true"),
            ("core.fsync", "none"),
        ] {
            repository.configure(key, value)?;
        }
        Ok(repository)
    }

    /// Where it lies on this machine.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its `file://` URL.
    pub fn file_url(&self) -> String {
        format!("file://{}", self.folder.display())
    }

    /// Sets one of its settings.
    pub fn configure(&self, key: &str, value: &str) -> Result<()> {
        git(&self.folder, &["config", key, value]).map(drop)
    }

    /// A clone of it, whose pushes go through the server.
    pub fn work_tree(&self) -> Result<WorkTree> {
        let folder = folder("work-tree")?;
        git(&folder, &["clone", "--quiet", &self.folder.to_string_lossy(), "."])?;
        git(&folder, &["remote", "set-url", "origin", &self.push_url])?;
        WorkTree::adopt(folder)
    }

    /// Makes the server answer as if the repository had never been; the other way round with `false`.
    pub fn hide(&self, hidden: bool) -> Result<()> {
        let away = self.folder.with_extension("hidden");
        let (from, to) = if hidden { (&self.folder, &away) } else { (&away, &self.folder) };
        fs::rename(from, to).context("rename the repository")
    }
}

/// A clone to work in, on branch `main` at first.
#[derive(Debug)]
pub struct WorkTree {
    folder: PathBuf,
}

impl WorkTree {
    /// A new repository of its own in a new folder, without a server.
    pub fn create() -> Result<Self> {
        let folder = folder("work-tree")?;
        git(&folder, &["init", "--quiet", "--initial-branch=main"])?;
        Self::adopt(folder)
    }

    fn adopt(folder: PathBuf) -> Result<Self> {
        let tree = Self { folder };
        for (key, value) in
            [("user.name", "Ada Sower"), ("user.email", "ada@sower.example"), ("core.fsync", "none")]
        {
            tree.git(&["config", key, value])?;
        }
        Ok(tree)
    }

    /// Where it lies.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Runs git in it; its standard output, trimmed.
    pub fn git(&self, args: &[&str]) -> Result<String> {
        git(&self.folder, args)
    }

    /// Writes a file, and its folders.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) -> Result<()> {
        let path = self.folder.join(path);
        fs::create_dir_all(path.parent().context("a path with a folder")?)?;
        Ok(fs::write(path, content)?)
    }

    /// Reads a file.
    pub fn read(&self, path: &str) -> Result<String> {
        fs::read_to_string(self.folder.join(path)).with_context(|| path.to_owned())
    }

    /// Replaces a text in a file, which must be there.
    pub fn replace(&self, path: &str, from: &str, to: &str) -> Result<()> {
        let text = self.read(path)?;
        anyhow::ensure!(text.contains(from), "{path} has no `{from}`");
        self.write(path, text.replace(from, to))
    }

    /// Removes a file or a folder.
    pub fn remove(&self, path: &str) -> Result<()> {
        let path = self.folder.join(path);
        let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        Ok(removed?)
    }

    /// Copies a folder of this machine into the tree.
    pub fn copy_from(&self, folder: &Path, to: &str) -> Result<()> {
        let target = self.folder.join(to);
        fs::create_dir_all(&target)?;
        let mut command = Command::new("cp");
        output(clean(&mut command).arg("-R").arg(folder.join(".")).arg(target)).map(drop)
    }

    /// Commits everything, an empty change too; the id of the commit.
    pub fn commit(&self, message: &str) -> Result<String> {
        self.git(&["add", "--all"])?;
        self.git(&["commit", "--quiet", "--allow-empty", "-m", message])?;
        self.head()
    }

    /// The id of the checked-out commit.
    pub fn head(&self) -> Result<String> {
        self.git(&["rev-parse", "HEAD"])
    }

    /// Pushes the checked-out branch.
    pub fn push(&self) -> Result<()> {
        self.git(&["push", "--quiet", "origin", "HEAD"]).map(drop)
    }

    /// Commits everything and pushes; the id of the commit.
    pub fn commit_and_push(&self, message: &str) -> Result<String> {
        let id = self.commit(message)?;
        self.push()?;
        Ok(id)
    }

    /// Pushes the checked-out branch over whatever the server has.
    pub fn force_push(&self) -> Result<()> {
        self.git(&["push", "--quiet", "--force", "origin", "HEAD"]).map(drop)
    }

    /// Undoes a commit by a new one; its id.
    pub fn revert(&self, commit: &str) -> Result<String> {
        self.git(&["revert", "--no-edit", commit])?;
        self.head()
    }

    /// Checks out a branch, new or known.
    pub fn branch(&self, name: &str) -> Result<()> {
        self.git(&["checkout", "--quiet", "-B", name]).map(drop)
    }

    /// Deletes a branch on the server.
    pub fn delete_branch(&self, name: &str) -> Result<()> {
        self.git(&["push", "--quiet", "origin", "--delete", name]).map(drop)
    }

    /// Tags the checked-out commit, and pushes the tag.
    pub fn tag(&self, name: &str) -> Result<()> {
        self.git(&["tag", name])?;
        self.git(&["push", "--quiet", "origin", name]).map(drop)
    }
}

/// Runs git in a folder, with no other configuration than the repository's; its standard output, trimmed.
pub fn git(folder: &Path, args: &[&str]) -> Result<String> {
    let mut command = Command::new("git");
    clean(&mut command).current_dir(folder).args(args);
    Ok(output(&mut command)?.trim().to_owned())
}
