//! Bare mirrors below the cache folder: one per URL and credentials, written by one process at a time, and never taken
//! away from those who read it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use git2::{Oid, Repository};
use sha2::{Digest, Sha256};
use sower_core::hash::hex;

use crate::{Address, Credentials, FetchError};

/// Packs a mirror may gather before they are made into one.
const MANY_PACKS: usize = 24;
/// A mirror used within this time may be being read.
const IN_USE: Duration = Duration::from_secs(60);

/// The folder of the mirror for `address` as `credentials` see it. Another tenant's credentials name another folder,
/// so that nobody reads what somebody else was allowed to fetch.
pub(crate) fn folder(cache: &Path, address: &Address, credentials: &Credentials) -> PathBuf {
    let mut hash = Sha256::new();
    hash.update(&address.url);
    hash.update([0]);
    hash.update(credentials.digest());
    let digest: [u8; 32] = hash.finalize().into();
    cache.join(format!("{}.git", hex(&digest)))
}

/// A mirror that this process alone writes, until it is dropped.
pub(crate) struct Mirror {
    pub repository: Repository,
    _lock: File,
}

impl Mirror {
    /// Waits for the lock, then opens or makes the mirror and clears away what a killed process left.
    pub fn open(path: &Path) -> Result<Self, FetchError> {
        let failed = |error: io::Error| FetchError::io("the mirror cannot be used", error);
        let lock = lock_file(path).map_err(failed)?;
        lock.lock().map_err(failed)?;
        let repository = match Repository::open_bare(path) {
            Ok(repository) => {
                clear_leftovers(path).map_err(failed)?;
                repository
            }
            Err(_) => {
                // Absent, or broken beyond opening: everything in it can be fetched again.
                if path.exists() && !remove(path).map_err(failed)? {
                    return Err(FetchError::Io { detail: "the mirror is broken, and still read".into() });
                }
                Repository::init_bare(path)
                    .map_err(|e| FetchError::io("the mirror cannot be made", e.message()))?
            }
        };
        Ok(Self { repository, _lock: lock })
    }

    /// Empties it, still under the same lock. False where somebody reads it: then it stays as it is.
    pub fn make_anew(&mut self) -> Result<bool, FetchError> {
        let path = self.repository.path().to_owned();
        if !remove(&path).map_err(|error| FetchError::io("the mirror cannot be emptied", error))? {
            return Ok(false);
        }
        self.repository = Repository::init_bare(&path)
            .map_err(|error| FetchError::io("the mirror cannot be made", error.message()))?;
        Ok(true)
    }

    /// Whether a completed fetch ended at `commit`.
    pub fn holds_tip(&self, commit: Oid) -> bool {
        self.tips().contains(&commit)
    }

    /// Whether any fetch was ever completed here.
    pub fn is_empty(&self) -> bool {
        self.tips().is_empty()
    }

    fn tips(&self) -> Vec<Oid> {
        let Ok(references) = self.repository.references_glob("refs/sower/*") else { return Vec::new() };
        references.flatten().filter_map(|reference| reference.target()).collect()
    }

    /// Notes that everything of `commit` is here. The commit before it is kept too: a plan may still name it.
    pub fn record(&self, reference: &str, commit: Oid) -> Result<(), git2::Error> {
        let slot = slot(reference);
        let current = format!("refs/sower/{slot}/current");
        if let Ok(before) = self.repository.refname_to_id(&current)
            && before != commit
        {
            self.repository.reference(&format!("refs/sower/{slot}/previous"), before, true, "")?;
        }
        self.repository.reference(&current, commit, true, "").map(drop)
    }

    /// Notes that the history of `commit` is as deep as it will get.
    pub fn record_deepened(&self, reference: &str, commit: Oid) -> Result<(), git2::Error> {
        let name = format!("refs/sower/{}/deepened", slot(reference));
        self.repository.reference(&name, commit, true, "").map(drop)
    }

    /// Whether the history of `commit` is as deep as it will get.
    pub fn is_deepened(&self, reference: &str, commit: Oid) -> bool {
        let name = format!("refs/sower/{}/deepened", slot(reference));
        self.repository.refname_to_id(&name).is_ok_and(|id| id == commit)
    }

    /// Whether it has gathered so much that fetching it anew is the way to be rid of it: twice what one fetch may bring, or
    /// packs upon packs where making them into one takes more memory than there is.
    pub fn is_overgrown(&self, max_bytes: u64) -> bool {
        packs(&self.repository.path().join("objects/pack")).len() >= 2 * MANY_PACKS
            || bytes(self.repository.path()) > max_bytes.saturating_mul(2)
    }

    /// Makes one pack of many, where nobody reads them: what no reference leads to any more may still be read.
    pub fn tidy(&self) -> Result<(), git2::Error> {
        let mirror = self.repository.path();
        let alone = || unread(mirror).ok().flatten();
        let folder = mirror.join("objects/pack");
        let packs = packs(&folder);
        if packs.len() < MANY_PACKS || alone().is_none() {
            return Ok(());
        }
        let mut walk = self.repository.revwalk()?;
        walk.push_glob("refs/sower/*")?;
        let mut builder = self.repository.packbuilder()?;
        builder.insert_walk(&mut walk)?;
        builder.write(&folder, 0o600)?;
        let written = builder.name()?.map(|name| format!("pack-{name}"));
        // Whoever began to read meanwhile waited for none of this.
        let Some(_alone) = alone() else { return Ok(()) };
        for stem in packs {
            if written.as_deref().is_some_and(|name| stem.ends_with(name)) {
                continue;
            }
            // The index goes first: without it a pack is not looked at.
            for extension in ["idx", "pack"] {
                let _ = fs::remove_file(stem.with_extension(extension));
            }
        }
        Ok(())
    }
}

fn slot(reference: &str) -> String {
    hex(&<[u8; 32]>::from(Sha256::digest(reference))[..8])
}

fn packs(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let path = |entry: io::Result<fs::DirEntry>| entry.ok().map(|entry| entry.path());
    let is_pack = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "pack");
    entries.filter_map(path).filter(is_pack).map(|path| path.with_extension("")).collect()
}

/// Bytes of a mirror's packs: beside them it holds next to nothing.
fn bytes(mirror: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(mirror.join("objects/pack")) else { return 0 };
    entries.flatten().filter_map(|entry| entry.metadata().ok()).map(|data| data.len()).sum()
}

fn lock_file(mirror: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).write(true).open(mirror.with_extension("lock"))
}

fn readers_file(mirror: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).write(true).open(mirror.with_extension("readers"))
}

/// Keeps a mirror from being removed until the file is closed. Another lock than the writer's: reading waits for no
/// fetch, and no fetch for reading. Waits for a removal that has begun: call it where blocking is allowed.
pub(crate) fn hold_for_reading(mirror: &Path) -> io::Result<File> {
    let readers = readers_file(mirror)?;
    readers.lock_shared()?;
    Ok(readers)
}

/// Nobody reads the mirror, and nobody begins to until the file is closed. None where somebody does.
fn unread(mirror: &Path) -> io::Result<Option<File>> {
    let readers = readers_file(mirror)?;
    match readers.try_lock() {
        Ok(()) => Ok(Some(readers)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Removes a mirror, unless somebody reads it: then false. Only ever called under the mirror's own lock.
fn remove(mirror: &Path) -> io::Result<bool> {
    let Some(_alone) = unread(mirror)? else { return Ok(false) };
    fs::remove_dir_all(mirror).map(|()| true)
}

/// Removes lock files and unfinished packs. Only ever called under the mirror's own lock, so nobody is using them.
fn clear_leftovers(mirror: &Path) -> io::Result<()> {
    let mut folders = vec![mirror.to_owned(), mirror.join("objects/pack")];
    let mut below = vec![mirror.join("refs")];
    while let Some(folder) = below.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                below.push(entry.path());
            }
        }
        folders.push(folder);
    }
    for folder in folders {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry?.path();
            let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
            let unfinished = name.starts_with("pack_") || name.starts_with("tmp_");
            if name.ends_with(".lock") || unfinished {
                fs::remove_file(&path)?;
            }
        }
    }
    Ok(())
}

/// Removes the mirrors below `cache` that no fetch has used for `unused`, and what killed fetches left beside them.
/// Returns how many mirrors went.
///
/// # Errors
/// The cache folder cannot be listed.
pub fn remove_unused(cache: &Path, unused: Duration) -> io::Result<usize> {
    let old = |path: &Path| {
        let modified = fs::metadata(path).and_then(|data| data.modified());
        modified.is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|age| age >= unused))
    };
    let mut removed = 0;
    for entry in fs::read_dir(cache)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        if name.starts_with(SCRATCH) && old(&path) {
            let _ = fs::remove_dir_all(&path);
        }
        if !name.ends_with(".git") || !old(&path.with_extension("lock")) {
            continue;
        }
        let lock = lock_file(&path)?;
        if lock.try_lock().is_ok() && remove(&path).is_ok_and(|gone| gone) {
            removed += 1;
        }
    }
    Ok(removed)
}

/// Removes mirrors beside `own`, those first that were not used for longest, until all are within `most` bytes. Those in
/// use stay.
pub(crate) fn remove_least_used(own: &Path, most: u64) -> io::Result<()> {
    let Some(cache) = own.parent() else { return Ok(()) };
    let (mut total, mut others) = (bytes(own), Vec::new());
    for entry in fs::read_dir(cache)? {
        let path = entry?.path();
        if path == own || path.extension().is_none_or(|extension| extension != "git") {
            continue;
        }
        let used = fs::metadata(path.with_extension("lock")).and_then(|data| data.modified());
        let size = bytes(&path);
        total = total.saturating_add(size);
        others.push((used.unwrap_or(SystemTime::UNIX_EPOCH), size, path));
    }
    others.sort();
    let idle = |at: SystemTime| SystemTime::now().duration_since(at).is_ok_and(|age| age >= IN_USE);
    for (used, size, path) in others {
        if total <= most || !idle(used) {
            break;
        }
        let lock = lock_file(&path)?;
        if lock.try_lock().is_ok() && remove(&path).is_ok_and(|gone| gone) {
            total = total.saturating_sub(size);
        }
    }
    Ok(())
}

/// Marks the mirror as used just now, for [`remove_unused`] and [`remove_least_used`].
pub(crate) fn touch(mirror: &Path) {
    let Ok(lock) = lock_file(mirror) else { return };
    let _ = lock.set_modified(SystemTime::now());
}

/// Starts the name of a fetch's own folder.
pub(crate) const SCRATCH: &str = "scratch-";
