//! The files on disk, uncommitted edits included.

use std::collections::{HashMap, HashSet};
use std::fs::{self, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use git2::{ObjectType, Oid};
use sha2::{Digest, Sha256};
use sower_core::hash::hex;
use sower_core::snapshot::{FileEntry, ReadError, Revision, Tree, is_lossy};

use crate::checkout::Checkout;
use crate::walk::is_plain;
use crate::{FetchError, GitTree, Limits, place};

const MAX_DEPTH: usize = 64;
/// A file this young may change again within one tick of its clock: its id is not remembered.
const YOUNG: Duration = Duration::from_millis(100);

/// A folder that is scanned again and again. Unchanged files are hashed once.
#[derive(Debug)]
pub struct Folder {
    dir: PathBuf,
    limits: Limits,
    hashed: Mutex<HashMap<PathBuf, (Stamp, Oid)>>,
    /// What HEAD held at the last scan, by source path.
    committed: Mutex<HashMap<String, GitTree>>,
}

/// What a file looks like from outside; it differs wherever the content may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: (i64, i64),
    changed: (i64, i64),
    size: u64,
    inode: (u64, u64),
}

impl Stamp {
    fn of(data: &Metadata) -> Self {
        Self {
            modified: (data.mtime(), data.mtime_nsec()),
            changed: (data.ctime(), data.ctime_nsec()),
            size: data.size(),
            inode: (data.dev(), data.ino()),
        }
    }
}

/// A folder's files at one instant.
#[derive(Debug, Clone)]
pub struct FolderTree {
    root: PathBuf,
    files: Vec<FileEntry>,
    /// Blob and place of each file whose name is not UTF-8, by the path that stands for it.
    odd: HashMap<String, (String, PathBuf)>,
    revision: Revision,
    dirty: Vec<String>,
    committed: Option<GitTree>,
    limits: Limits,
}

impl Folder {
    /// A folder on disk.
    ///
    /// # Errors
    /// [`FetchError::NotFound`] where it is no folder.
    pub fn new(dir: impl AsRef<Path>, limits: Limits) -> Result<Self, FetchError> {
        let missing =
            || FetchError::NotFound { what: "folder".into(), place: dir.as_ref().display().to_string() };
        let root = dir.as_ref().canonicalize().map_err(|_| missing())?;
        if !root.is_dir() {
            return Err(missing());
        }
        Ok(Self { dir: root, limits, hashed: Mutex::default(), committed: Mutex::default() })
    }

    /// The folder, without links.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Lists the files below `path`. In a git checkout the revision is the branch and commit, dirty where a file below
    /// `path` differs from the commit; files that git ignores are left out, since no commit will ever hold them.
    /// Without git it is a digest of the files. Links, `.git`, `.sower` and folders marked with a `CACHEDIR.TAG` are
    /// passed over. Reads the disk: call it where blocking is allowed.
    ///
    /// # Errors
    /// [`FetchError::BadRequest`] for a path that leaves the folder and for a bare repository, [`FetchError::TooLarge`]
    /// beyond the limits, [`FetchError::Io`] where the disk cannot be read.
    pub fn scan(&self, path: &str) -> Result<FolderTree, FetchError> {
        let path = place::inside(path)?;
        let checkout = match Checkout::discover(&self.dir) {
            Ok(checkout) if checkout.is_bare() => {
                let (dir, branch) = (self.dir.display(), checkout.branch());
                return Err(FetchError::bad(format!(
                    "{dir} is a bare repository, which has no files; a commit of it is {dir}#{branch}"
                )));
            }
            // A folder that the repository around it ignores is none of its.
            Ok(checkout) if checkout.ignores("") => None,
            Ok(checkout) => Some(checkout),
            Err(error) => {
                tracing::debug!(%error, "no git here");
                None
            }
        };
        let head = checkout.as_ref().and_then(|checkout| checkout.head().ok());
        let committed = match (&checkout, &head) {
            (Some(checkout), Some(head)) => Some(self.committed(checkout, head, &path)?),
            _ => None,
        };
        let mut scan = Scan {
            folder: self,
            checkout: checkout.as_ref(),
            committed: committed.as_ref(),
            files: Vec::new(),
            odd: HashMap::new(),
            bytes: 0,
        };
        scan.start(&path)?;
        let (mut files, odd) = (scan.files, scan.odd);
        files.sort_unstable();
        // Of names that look alike, for they are not UTF-8, one is told.
        files.dedup_by(|a, b| a.path == b.path);
        self.forget_gone(&path, &files);
        let (revision, dirty) = match (head, &committed) {
            (Some(head), Some(committed)) => {
                let dirty = differing(committed.files(), &files);
                (Revision { dirty: !dirty.is_empty(), ..head }, dirty)
            }
            _ => {
                let digest = format!("sha256:{}", digest(&files));
                (Revision { label: "folder".into(), digest, dirty: false }, Vec::new())
            }
        };
        Ok(FolderTree { root: self.dir.clone(), files, odd, revision, dirty, committed, limits: self.limits })
    }

    fn committed(&self, checkout: &Checkout, head: &Revision, path: &str) -> Result<GitTree, FetchError> {
        let mut known = self.committed.lock().unwrap_or_else(PoisonError::into_inner);
        let tree = match known.get(path) {
            Some(before) if head.digest.ends_with(&before.commit()) => return Ok(before.clone()),
            before => checkout.unlisted(head, path, self.limits)?.listed(before)?,
        };
        known.insert(path.to_owned(), tree.clone());
        Ok(tree)
    }

    fn forget_gone(&self, path: &str, files: &[FileEntry]) {
        let here: HashSet<PathBuf> = files.iter().map(|file| self.dir.join(&file.path)).collect();
        let below = self.dir.join(path);
        let mut hashed = self.hashed.lock().unwrap_or_else(PoisonError::into_inner);
        hashed.retain(|file, _| here.contains(file) || !file.starts_with(&below));
    }

    fn blob(&self, file: &Path, data: &Metadata) -> io::Result<Oid> {
        let stamp = Stamp::of(data);
        {
            let hashed = self.hashed.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((known, id)) = hashed.get(file)
                && *known == stamp
            {
                return Ok(*id);
            }
        }
        let id = Oid::hash_file(ObjectType::Blob, file)
            .map_err(|error| io::Error::other(error.message().to_owned()))?;
        let age =
            data.modified().and_then(|at| SystemTime::now().duration_since(at).map_err(io::Error::other));
        let same = fs::symlink_metadata(file).is_ok_and(|now| Stamp::of(&now) == stamp);
        if same && age.is_ok_and(|age| age > YOUNG) {
            self.hashed.lock().unwrap_or_else(PoisonError::into_inner).insert(file.to_owned(), (stamp, id));
        }
        Ok(id)
    }
}

struct Scan<'a> {
    folder: &'a Folder,
    checkout: Option<&'a Checkout>,
    committed: Option<&'a GitTree>,
    files: Vec<FileEntry>,
    odd: HashMap<String, (String, PathBuf)>,
    bytes: u64,
}

impl Scan<'_> {
    fn start(&mut self, path: &str) -> Result<(), FetchError> {
        // The source's path is reached without a link on the way.
        let mut at = self.folder.dir.clone();
        for part in path.split('/').filter(|part| !part.is_empty()) {
            at.push(part);
            match fs::symlink_metadata(&at) {
                Ok(data) if data.is_file() => return self.file(path, &at, &data),
                Ok(data) if data.is_dir() => {}
                _ => return Ok(()),
            }
        }
        self.folder(path, &at, 0)
    }

    fn folder(&mut self, path: &str, at: &Path, depth: usize) -> Result<(), FetchError> {
        if depth > MAX_DEPTH {
            return Err(self.too_large(format!("folders are nested deeper than {MAX_DEPTH}")));
        }
        let entries = match fs::read_dir(at) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(FetchError::io(&format!("{path} cannot be read"), error)),
        };
        for entry in entries {
            let entry = entry.map_err(|error| FetchError::io(&format!("{path} cannot be read"), error))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if !is_plain(&name) || name == ".sower" {
                continue;
            }
            let (path, at) = (place::join(path, &name), entry.path());
            // What vanished since the listing is not there.
            let Ok(data) = fs::symlink_metadata(&at) else { continue };
            if data.is_dir() {
                if !at.join("CACHEDIR.TAG").exists() && !self.is_ignored(&path, true) {
                    self.folder(&path, &at, depth + 1)?;
                }
            } else if data.is_file() && !self.is_ignored(&path, false) {
                self.file(&path, &at, &data)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &str, at: &Path, data: &Metadata) -> Result<(), FetchError> {
        let limits = self.folder.limits;
        self.bytes = self.bytes.saturating_add(data.len());
        if self.files.len() >= limits.max_files {
            return Err(self.too_large(format!("more than {} files", limits.max_files)));
        }
        if self.bytes > limits.max_bytes {
            return Err(self.too_large(format!("more than {} bytes", limits.max_bytes)));
        }
        let blob = match self.folder.blob(at, data) {
            Ok(id) => id.to_string(),
            Err(_) if !at.exists() => return Ok(()),
            Err(error) => return Err(FetchError::io(&format!("{path} cannot be read"), error)),
        };
        if is_lossy(path) && self.odd.get(path).is_none_or(|(known, _)| blob < *known) {
            self.odd.insert(path.to_owned(), (blob.clone(), at.to_owned()));
        }
        self.files.push(FileEntry { path: path.to_owned(), blob, size: data.len() });
        Ok(())
    }

    /// Whether git ignores the path and no commit holds anything there.
    fn is_ignored(&self, path: &str, folder: bool) -> bool {
        let (Some(checkout), Some(committed)) = (self.checkout, self.committed) else { return false };
        let files = committed.files();
        let wanted = if folder { format!("{path}/") } else { path.to_owned() };
        let next = files.partition_point(|file| file.path.as_str() < wanted.as_str());
        let tracked = files
            .get(next)
            .is_some_and(|f| if folder { f.path.starts_with(&wanted) } else { f.path == wanted });
        !tracked && checkout.ignores(&wanted)
    }

    fn too_large(&self, detail: String) -> FetchError {
        FetchError::TooLarge { what: self.folder.dir.display().to_string(), detail }
    }
}

fn changed() -> ReadError {
    ReadError::Io("the file changed while it was read".into())
}

/// The paths whose files differ, sorted. Both lists are sorted.
fn differing(committed: &[FileEntry], found: &[FileEntry]) -> Vec<String> {
    let before: HashMap<&str, &str> = committed.iter().map(|f| (f.path.as_str(), f.blob.as_str())).collect();
    let after: HashSet<&str> = found.iter().map(|f| f.path.as_str()).collect();
    let edited = found.iter().filter(|f| before.get(f.path.as_str()) != Some(&f.blob.as_str()));
    let gone = committed.iter().filter(|f| !after.contains(f.path.as_str()));
    let mut paths: Vec<String> = edited.chain(gone).map(|f| f.path.clone()).collect();
    paths.sort_unstable();
    paths
}

fn digest(files: &[FileEntry]) -> String {
    let mut hash = Sha256::new();
    for file in files {
        hash.update(&file.path);
        hash.update([0]);
        hash.update(&file.blob);
        hash.update([0]);
    }
    hex(&<[u8; 32]>::from(hash.finalize()))
}

impl FolderTree {
    /// The commit and whether it was edited, or a digest of the files.
    #[must_use]
    pub fn revision(&self) -> &Revision {
        &self.revision
    }

    /// The files below the source's path that differ from the commit, sorted. Empty without git.
    #[must_use]
    pub fn dirty(&self) -> &[String] {
        &self.dirty
    }

    /// sha256 over paths and blobs, hex: equal digests are equal files, also where the revision is dirty.
    #[must_use]
    pub fn digest(&self) -> String {
        digest(&self.files)
    }

    /// What the commit holds, for authors and history. None without git.
    #[must_use]
    pub fn committed(&self) -> Option<&GitTree> {
        self.committed.as_ref()
    }

    /// Opens a path inside the folder that is a plain file and not reached through a link.
    fn open(&self, path: &str) -> Result<(fs::File, Metadata), ReadError> {
        if place::inside(path).ok().as_deref() != Some(path) || path.is_empty() {
            return Err(ReadError::NotFound);
        }
        let at = self.odd.get(path).map_or_else(|| self.root.join(path), |(_, at)| at.clone());
        // The root holds no link, so neither does a path that stays as it is.
        if at.canonicalize().ok().as_deref() != Some(at.as_path()) || !at.is_file() {
            return Err(ReadError::NotFound);
        }
        let failed = |error: io::Error| match error.kind() {
            // To this process it is none; what a folder holds itself must be readable to be listed.
            io::ErrorKind::PermissionDenied => ReadError::NotFound,
            _ => ReadError::Io(error.to_string()),
        };
        let file = fs::File::open(&at).map_err(failed)?;
        let data = file.metadata().map_err(failed)?;
        if data.is_file() { Ok((file, data)) } else { Err(ReadError::NotFound) }
    }

    fn listed(&self, path: &str) -> Option<&FileEntry> {
        let at = self.files.binary_search_by(|file| file.path.as_str().cmp(path)).ok()?;
        self.files.get(at)
    }
}

impl Tree for FolderTree {
    fn files(&self) -> &[FileEntry] {
        &self.files
    }

    fn entry(&self, path: &str) -> Result<Option<FileEntry>, ReadError> {
        if let Some(file) = self.listed(path) {
            return Ok(Some(file.clone()));
        }
        let data = match self.open(path) {
            Ok((_, data)) if data.len() <= self.limits.max_bytes => data,
            Ok(_) | Err(ReadError::NotFound | ReadError::TooLarge { .. }) => return Ok(None),
            Err(error @ ReadError::Io(_)) => return Err(error),
        };
        let blob = Oid::hash_file(ObjectType::Blob, self.root.join(path))
            .map_err(|error| ReadError::Io(error.message().to_owned()))?;
        Ok(Some(FileEntry { path: path.to_owned(), blob: blob.to_string(), size: data.len() }))
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, ReadError> {
        let (file, data) = self.open(path)?;
        let limit = self.limits.max_blob;
        let mut content = Vec::new();
        file.take(limit + 1).read_to_end(&mut content).map_err(|error| ReadError::Io(error.to_string()))?;
        let size = content.len() as u64;
        let listed = self.listed(path);
        if size > limit {
            return match listed {
                Some(file) if file.size <= limit => Err(changed()),
                _ => Err(ReadError::TooLarge { size: data.len().max(size), limit }),
            };
        }
        if let Some(file) = listed {
            let now = Oid::hash_object(ObjectType::Blob, &content).map(|id| id.to_string());
            if now.as_deref() != Ok(file.blob.as_str()) {
                return Err(changed());
            }
        }
        Ok(content)
    }
}
