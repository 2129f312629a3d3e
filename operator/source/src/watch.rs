//! Noticing edits and commits, for `run --standalone`.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use notify::{Config, Event, EventKind, PollWatcher, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

use crate::{Checkout, FetchError};

/// An editor's save is several events: this long nothing more may come before they are reported.
const QUIET: Duration = Duration::from_millis(40);
/// Reported after this long even if more keeps coming.
const LONGEST: Duration = Duration::from_millis(400);
/// Between two looks where the system cannot notify.
const POLL: Duration = Duration::from_secs(1);

/// What changed since the last report. It says where to look, not what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Changed {
    /// A file below one of the folders may differ.
    pub files: bool,
    /// A branch, a tag or HEAD may point elsewhere.
    pub commits: bool,
}

const FILES: u8 = 1;
const COMMITS: u8 = 2;

/// Watches folders, and the repository around them.
pub struct Watch {
    watcher: Box<dyn Watcher + Send>,
    targets: Vec<Target>,
    signal: Arc<Signal>,
    polling: bool,
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch")
            .field("targets", &self.targets)
            .field("polling", &self.polling)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct Signal {
    changed: AtomicU8,
    bell: Notify,
}

impl Signal {
    fn ring(&self, what: u8) {
        if what != 0 {
            self.changed.fetch_or(what, Ordering::AcqRel);
            self.bell.notify_one();
        }
    }
}

/// A folder to watch, and which folder of that name is being watched now: it may go and come back.
#[derive(Debug, Clone)]
struct Target {
    path: PathBuf,
    mode: RecursiveMode,
    watched: Option<(u64, u64)>,
}

impl Watch {
    /// Starts watching `folders`, which need not exist yet, and HEAD and the refs of the repository that holds `base`,
    /// if one does. Where the system refuses to notify, looks each second.
    ///
    /// # Errors
    /// [`FetchError::Io`] where neither way works.
    pub fn start(base: &Path, folders: &[PathBuf]) -> Result<Self, FetchError> {
        let mut targets = Vec::new();
        let mut git = Vec::new();
        let target = |path: PathBuf, mode| Target { path, mode, watched: None };
        for folder in folders {
            let folder = folder
                .canonicalize()
                .or_else(|_| std::path::absolute(folder))
                .map_err(|error| FetchError::io("a folder cannot be watched", error))?;
            // The folder above tells when this one is made, moved or made again.
            if let Some(above) = folder.parent() {
                targets.push(target(above.to_owned(), RecursiveMode::NonRecursive));
            }
            targets.push(target(folder, RecursiveMode::Recursive));
        }
        if let Ok(checkout) = Checkout::discover(base) {
            let (own, common) = checkout.git_folders();
            // The longer one first: a linked working tree's folder lies in the common one.
            git = vec![own.clone(), common.clone()];
            targets.push(target(common.join("refs"), RecursiveMode::Recursive));
            if own != common {
                targets.push(target(own, RecursiveMode::NonRecursive));
            }
            targets.push(target(common, RecursiveMode::NonRecursive));
        }
        // One watch a folder; the one that sees more wins.
        targets.sort_by_key(|t| (t.path.clone(), t.mode == RecursiveMode::NonRecursive));
        targets.dedup_by(|later, first| later.path == first.path);
        Self::notified(targets.clone(), git.clone()).or_else(|error| {
            tracing::info!(%error, "the system does not notify of changes: looking each second");
            Self::polled(targets, git).map_err(|error| FetchError::io("folders cannot be watched", error))
        })
    }

    fn notified(targets: Vec<Target>, git: Vec<PathBuf>) -> notify::Result<Self> {
        let signal = Arc::new(Signal::default());
        let watcher = Box::new(RecommendedWatcher::new(handler(&signal, git), Config::default())?);
        let mut watch = Self { watcher, targets, signal, polling: false };
        watch.arm().map(|()| watch)
    }

    fn polled(targets: Vec<Target>, git: Vec<PathBuf>) -> notify::Result<Self> {
        let signal = Arc::new(Signal::default());
        let config = Config::default().with_poll_interval(POLL);
        let watcher = Box::new(PollWatcher::new(handler(&signal, git), config)?);
        let mut watch = Self { watcher, targets, signal, polling: true };
        watch.arm().map(|()| watch)
    }

    /// Waits for the next change, and a little longer, so that one save is one report. May be dropped at any point;
    /// nothing is lost.
    pub async fn changed(&mut self) -> Changed {
        loop {
            // What a dropped call had seen already needs no second bell.
            if self.signal.changed.load(Ordering::Acquire) == 0 {
                self.signal.bell.notified().await;
            }
            let first = Instant::now();
            while first.elapsed() < LONGEST {
                if tokio::time::timeout(QUIET, self.signal.bell.notified()).await.is_err() {
                    break;
                }
            }
            if let Err(error) = self.arm() {
                tracing::warn!(%error, "a folder can no longer be watched");
            }
            let what = self.signal.changed.swap(0, Ordering::AcqRel);
            if what != 0 {
                return Changed { files: what & FILES != 0, commits: what & COMMITS != 0 };
            }
        }
    }

    /// Watches what exists and is not watched yet.
    fn arm(&mut self) -> notify::Result<()> {
        for target in &mut self.targets {
            let now = fs::metadata(&target.path).ok().map(|data| (data.dev(), data.ino()));
            if now == target.watched {
                continue;
            }
            if target.watched.take().is_some() {
                let _ = self.watcher.unwatch(&target.path);
            }
            if now.is_some() {
                match self.watcher.watch(&target.path, target.mode) {
                    Ok(()) => target.watched = now,
                    // It went in this very moment; the folder above will tell of its return.
                    Err(_) if !target.path.exists() => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }
}

fn handler(signal: &Arc<Signal>, git: Vec<PathBuf>) -> impl Fn(notify::Result<Event>) + Send + 'static {
    let signal = signal.clone();
    move |event| {
        let what = match event {
            Ok(event) if event.need_rescan() => FILES | COMMITS,
            Ok(event) if matches!(event.kind, EventKind::Access(_)) => 0,
            Ok(event) => event.paths.iter().fold(0, |all, path| all | meaning(path, &git)),
            // Something was missed.
            Err(_) => FILES | COMMITS,
        };
        signal.ring(what);
    }
}

/// What a change of `path` may mean, given the folders of the repository itself.
fn meaning(path: &Path, git: &[PathBuf]) -> u8 {
    let Some(inside) = git.iter().find_map(|folder| path.strip_prefix(folder).ok()) else {
        let ours = |part: &std::ffi::OsStr| part == ".git" || part == ".sower";
        return if path.iter().any(ours) { 0 } else { FILES };
    };
    let lock = path.extension().is_some_and(|extension| extension == "lock");
    let moves =
        inside == Path::new("HEAD") || inside == Path::new("packed-refs") || inside.starts_with("refs");
    if moves && !lock { COMMITS } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_says_where_to_look() {
        let git = [PathBuf::from("/a/.git")];
        for (path, expected) in [
            ("/a/integrations/x.yaml", FILES),
            ("/a/.git/HEAD", COMMITS),
            ("/a/.git/refs/heads/main", COMMITS),
            ("/a/.git/refs/heads/main.lock", 0),
            ("/a/.git/index", 0),
            ("/a/.git/logs/HEAD", 0),
            ("/a/.sower/sower.db-wal", 0),
            ("/a/integrations/vendored/.git/HEAD", 0),
        ] {
            assert_eq!(meaning(Path::new(path), &git), expected, "{path}");
        }
    }

    #[tokio::test]
    async fn without_notifications_changes_are_looked_for() {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().to_owned();
        let target = Target { path: path.clone(), mode: RecursiveMode::Recursive, watched: None };
        let mut watch = Watch::polled(vec![target], Vec::new()).unwrap();
        fs::write(path.join("integration.yaml"), "id: a").unwrap();
        let changed = tokio::time::timeout(Duration::from_secs(20), watch.changed()).await.unwrap();
        assert_eq!(changed, Changed { files: true, commits: false });
    }
}
