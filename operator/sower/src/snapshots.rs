//! Files on disk as sources hand them over, without git, cluster or database.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use sower_core::catalog::Found;
use sower_core::manifest::{self, Limits as LoadLimits, Unread};
use sower_core::problem::Problem;
use sower_core::snapshot::{Tree, is_lossy};
use sower_source::{Folder, FolderTree, Limits};

use crate::environments::EnvironmentFiles;
use crate::failure::Failure;
use crate::output::problems::{Excerpt, excerpt};
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
    last: LastFile,
}

/// The file that was read last, as text: problems come file by file.
#[derive(Debug, Default)]
pub struct LastFile(RefCell<Option<Text>>);

#[derive(Debug)]
struct Text {
    path: String,
    text: String,
    /// Where each line begins.
    lines: Vec<usize>,
}

impl Text {
    fn of(path: &str, bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned();
        let behind = text.match_indices('\n').map(|(at, _)| at + 1);
        let lines = std::iter::once(0).chain(behind).collect();
        Self { path: path.to_owned(), text, lines }
    }

    /// A line, from 1, without its end.
    fn line(&self, line: u32) -> Option<&str> {
        let line = line.checked_sub(1)? as usize;
        let begin = *self.lines.get(line)?;
        let end = self.lines.get(line + 1).copied().unwrap_or(self.text.len());
        // Behind the last line break there is no line.
        let line = self.text.get(begin..end).filter(|line| !line.is_empty())?;
        let line = line.strip_suffix('\n').unwrap_or(line);
        Some(line.strip_suffix('\r').unwrap_or(line))
    }
}

impl LastFile {
    /// What is drawn of the line of a problem, in the file of its tree.
    #[must_use]
    pub fn excerpt(&self, tree: &dyn Tree, problem: &Problem) -> Option<Excerpt> {
        // What is wrong with a name stands in no line.
        if is_lossy(&problem.file) {
            return None;
        }
        let mut last = self.0.borrow_mut();
        if last.as_ref().is_none_or(|known| known.path != problem.file) {
            *last = tree.read(&problem.file).ok().map(|bytes| Text::of(&problem.file, &bytes));
        }
        let line = last.as_ref()?.line(problem.line)?;
        Some(excerpt(line, problem))
    }
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
    /// Where the folder, or a file in it, cannot be read.
    pub fn load(&self, path: &str) -> Result<Read, Failure> {
        let tree = self.scan(path)?;
        let mut found =
            manifest::load(SOURCE, &tree, LoadLimits::FILES.without_bytes(), &|_| None).map_err(unread)?;
        found.extend(manifest::empty_files(SOURCE, &tree, manifest::is_named, &found));
        Ok(Read { found, tree, prefix: self.prefix.clone(), last: LastFile::default() })
    }

    /// One file, which is a manifest whatever its name.
    ///
    /// # Errors
    /// Where the folder or the file cannot be read.
    pub fn load_file(&self, path: &str) -> Result<Read, Failure> {
        // By a name that is not UTF-8 no file is found: its folder lists it.
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let tree = self.scan(if is_lossy(path) { folder } else { path })?;
        let mut found = manifest::load_file(SOURCE, &tree, path).map_err(unread)?;
        found.extend(manifest::empty_files(SOURCE, &tree, |named| named == path, &found));
        Ok(Read { found, tree, prefix: self.prefix.clone(), last: LastFile::default() })
    }

    fn scan(&self, path: &str) -> Result<FolderTree, Failure> {
        self.folder.scan(path).map_err(|error| Failure::failed(error.to_string()))
    }
}

fn unread(unread: Unread) -> Failure {
    Failure::failed(unread.to_string())
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

    /// What is drawn of the line of a problem.
    #[must_use]
    pub fn excerpt(&self, problem: &Problem) -> Option<Excerpt> {
        self.last.excerpt(&self.tree, problem)
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

#[cfg(test)]
mod tests {
    use super::Text;

    #[test]
    fn lines_are_those_of_the_text() {
        for text in ["", "a", "a\n", "a\r\n\nb\rc\n", "\u{feff}a\nb", "\n\n"] {
            let known = Text::of("x", text.as_bytes());
            let plain: Vec<&str> = text.strip_prefix('\u{feff}').unwrap_or(text).lines().collect();
            let ours: Vec<&str> = (1..9).filter_map(|line| known.line(line)).collect();
            assert_eq!((ours, known.line(0)), (plain, None), "{text:?}");
        }
    }
}
