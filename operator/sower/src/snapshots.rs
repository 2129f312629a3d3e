//! Files on disk as sources hand them over, without git, cluster or database.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use sower_core::catalog::Found;
use sower_core::manifest::{self, Limits as LoadLimits};
use sower_core::snapshot::Tree as _;
use sower_source::{Folder, FolderTree, Limits};

use crate::environments::EnvironmentFiles;
use crate::failure::Failure;
use crate::settings::Settings;

/// The name of the source: nothing is told of it.
const SOURCE: &str = "default";

/// A folder whose manifests are read.
pub struct Disk {
    folder: Folder,
    prefix: PathBuf,
}

/// What was read of a folder.
pub struct Read {
    /// Every document found, and every manifest that is empty.
    pub found: Vec<Found>,
    tree: FolderTree,
    prefix: PathBuf,
    /// The file that was read last: problems come file by file.
    last: RefCell<Option<(String, Vec<u8>)>>,
}

impl Disk {
    /// Opens a folder.
    ///
    /// # Errors
    /// Usage, where it is not there.
    pub fn new(folder: &Path, settings: &Settings) -> Result<Self, Failure> {
        let opened =
            Folder::new(folder, Limits::default()).map_err(|error| Failure::usage(error.to_string()))?;
        Ok(Self { prefix: prefix(opened.dir(), settings), folder: opened })
    }

    /// Every manifest below a path, sorted by place; then those that are empty.
    ///
    /// # Errors
    /// Where the folder cannot be read.
    pub fn load(&self, path: &str) -> Result<Read, Failure> {
        let tree = self.scan(path)?;
        let mut found = manifest::load(SOURCE, &tree, LoadLimits::FILES.without_bytes(), &|_| None);
        found.extend(manifest::empty_files(SOURCE, &tree, manifest::is_named, &found));
        Ok(Read { found, tree, prefix: self.prefix.clone(), last: RefCell::default() })
    }

    /// One file, which is a manifest whatever its name.
    ///
    /// # Errors
    /// Where the folder cannot be read.
    pub fn load_file(&self, path: &str) -> Result<Read, Failure> {
        let tree = self.scan(path)?;
        let mut found = manifest::load_file(SOURCE, &tree, path);
        found.extend(manifest::empty_files(SOURCE, &tree, |named| named == path, &found));
        Ok(Read { found, tree, prefix: self.prefix.clone(), last: RefCell::default() })
    }

    fn scan(&self, path: &str) -> Result<FolderTree, Failure> {
        self.folder.scan(path).map_err(|error| Failure::failed(error.to_string()))
    }
}

impl Read {
    /// A path of the tree as people see it: from the project, or from where they are.
    #[must_use]
    pub fn shown(&self, path: &str) -> String {
        let shown = self.prefix.join(path);
        // A whole path is that of a folder above this one.
        let here = std::env::current_dir().and_then(|here| here.canonicalize());
        let below = here.ok().and_then(|here| shown.strip_prefix(here).map(Path::to_path_buf).ok());
        below.unwrap_or(shown).display().to_string()
    }

    /// A line of a file.
    #[must_use]
    pub fn line(&self, path: &str, line: u32) -> Option<String> {
        let mut last = self.last.borrow_mut();
        if last.as_ref().is_none_or(|(known, _)| known != path) {
            *last = Some((path.to_owned(), self.tree.read(path).ok()?));
        }
        line_of(&last.as_ref()?.1, line)
    }

    /// The Environments among the files.
    #[must_use]
    pub fn environments(&self) -> EnvironmentFiles {
        let mut files = EnvironmentFiles::default();
        let ours: Vec<&str> = self.found.iter().map(|found| found.place.path.as_str()).collect();
        for file in self.tree.files() {
            let document =
                file.path.rsplit_once('.').is_some_and(|(_, end)| matches!(end, "yaml" | "yml" | "json"));
            if !document || ours.contains(&file.path.as_str()) {
                continue;
            }
            let Ok(bytes) = self.tree.read(&file.path) else { continue };
            if contains(&bytes, b"sower.dev") {
                files.add(&self.shown(&file.path), &bytes);
            }
        }
        files
    }
}

/// A line of a text, from 1, without its end.
#[must_use]
pub fn line_of(bytes: &[u8], line: u32) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    text.lines().nth(line.checked_sub(1)? as usize).map(str::to_owned)
}

/// What stands before the paths of a folder: nothing for the project itself, as a compiler shows its workspace.
#[must_use]
pub fn prefix(folder: &Path, settings: &Settings) -> PathBuf {
    let full = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let here = std::env::current_dir().map(|dir| full(&dir)).unwrap_or_default();
    let base = settings.root.as_deref().map_or_else(|| here.clone(), full);
    let folder = full(folder);
    for start in [&base, &here] {
        if let Ok(below) = folder.strip_prefix(start) {
            return below.to_path_buf();
        }
    }
    folder
}

fn contains(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|window| window == word)
}
