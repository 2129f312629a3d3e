//! The folder that `sower export` writes: one folder an integration, and a list of what was written with its hashes.
//!
//! Whatever is in the folder and not on the list, or not as it was written, is somebody's own: then nothing is written at all.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::output::changes::some;

/// The list, in the form that `sha256sum --check` reads.
const LIST: &str = ".sower-export";
/// Files of a folder that are looked at: more were never written by an export.
const MOST: usize = 200_000;

/// A folder to export into.
#[derive(Debug)]
pub struct Backup {
    dir: PathBuf,
    shown: String,
    /// Paths of the list, as they were found.
    held: BTreeSet<String>,
    /// Hash of what was written now, by path.
    written: BTreeMap<String, String>,
}

impl Backup {
    /// Opens a folder: makes it where it is not there, and looks through it where it is.
    ///
    /// # Errors
    /// Refused, where it holds anything that no export wrote, or that was changed since; failed, where it cannot be read.
    pub fn open(dir: &Path) -> Result<Self, Failure> {
        let shown = dir.display().to_string();
        let failed = |error: std::io::Error| Failure::failed(format!("{shown}: {error}"));
        fs::create_dir_all(dir).map_err(failed)?;
        let listed = listed(&dir.join(LIST)).map_err(failed)?;
        let mut held = BTreeSet::new();
        let mut strange = Vec::new();
        for (path, file) in files(dir).map_err(failed)? {
            let Some(file) = file else {
                strange.push(path);
                continue;
            };
            if path == LIST {
                continue;
            }
            let known = listed.get(&path);
            let same = || fs::read(&file).map(|bytes| hash(&bytes)).map_err(failed);
            match known {
                Some(hashes) if hashes.contains(&same()?) => drop(held.insert(path)),
                Some(_) => strange.push(format!("{path} (changed)")),
                None => strange.push(path),
            }
        }
        if !strange.is_empty() {
            let named = some(strange.iter().map(String::as_str), 3);
            return Err(Failure::refused(format!(
                "`{shown}` holds what no export wrote: {named}. Nothing was written."
            ))
            .next("elsewhere", "--dir names an empty folder, or one of an earlier export"));
        }
        Ok(Self { dir: dir.to_path_buf(), shown, held, written: BTreeMap::new() })
    }

    /// Writes a file of one integration, whose id is one.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn put(&mut self, id: &str, text: &str) -> Result<(), Failure> {
        let path = format!("{id}/integration.yaml");
        let hash = hash(text.as_bytes());
        // It is on the list before it is there, so that an export that was cut off is gone on with.
        let noted = || {
            let mut list = fs::OpenOptions::new().append(true).create(true).open(self.dir.join(LIST))?;
            list.write_all(line(&hash, &path).as_bytes())?;
            fs::create_dir_all(self.dir.join(id))?;
            replace(&self.dir.join(&path), text)
        };
        noted().map_err(|error| Failure::failed(format!("{}/{path}: {error}", self.shown)))?;
        self.written.insert(path, hash);
        Ok(())
    }

    /// Takes away what an earlier export wrote and this one did not; how many files that were.
    ///
    /// # Errors
    /// Where it cannot be taken away, or the list cannot be written.
    pub fn finish(self) -> Result<usize, Failure> {
        let failed = |error: std::io::Error| Failure::failed(format!("{}: {error}", self.shown));
        let gone: Vec<&String> = self.held.iter().filter(|path| !self.written.contains_key(*path)).collect();
        for path in &gone {
            let file = self.dir.join(path);
            fs::remove_file(&file).map_err(failed)?;
            // A folder with something else in it stays.
            let _ = file.parent().map(fs::remove_dir);
        }
        let list: String = self.written.iter().map(|(path, hash)| line(hash, path)).collect();
        replace(&self.dir.join(LIST), &list).map_err(failed)?;
        Ok(gone.len())
    }
}

fn line(hash: &str, path: &str) -> String {
    format!("{hash}  {path}\n")
}

/// Hashes by path: several where an export was cut off.
fn listed(list: &Path) -> std::io::Result<BTreeMap<String, BTreeSet<String>>> {
    let text = match fs::read_to_string(list) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        text => text?,
    };
    let mut listed: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (hash, path) in text.lines().filter_map(|line| line.split_once("  ")) {
        listed.entry(path.to_owned()).or_default().insert(hash.to_owned());
    }
    Ok(listed)
}

/// What is in a folder, by path from there; without a file where it is neither a file nor a folder: a link may lead anywhere.
fn files(dir: &Path) -> std::io::Result<BTreeMap<String, Option<PathBuf>>> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![dir.to_path_buf()];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let kind = fs::symlink_metadata(&path)?.file_type();
            let shown = path.strip_prefix(dir).unwrap_or(&path).to_string_lossy().into_owned();
            if kind.is_dir() {
                waiting.push(path);
            } else {
                found.insert(shown, kind.is_file().then_some(path));
            }
            if found.len() + waiting.len() > MOST {
                return Err(std::io::Error::other(format!("it holds more than {MOST} files")));
            }
        }
    }
    Ok(found)
}

/// 64 hex digits.
fn hash(bytes: &[u8]) -> String {
    let checksum = sower_core::manifest::checksum(bytes);
    checksum.rsplit(':').next().unwrap_or_default().to_owned()
}

/// A file is the old or the new one, never a part.
fn replace(file: &Path, text: &str) -> std::io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    let mut new = tempfile::Builder::new().prefix(".sower-").permissions(readable()).tempfile_in(folder)?;
    new.write_all(text.as_bytes())?;
    new.persist(file).map_err(|error| error.error)?;
    Ok(())
}

/// As any file that a program makes; the user's own mask takes away from it.
fn readable() -> fs::Permissions {
    use std::os::unix::fs::PermissionsExt as _;
    fs::Permissions::from_mode(0o666)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn export(dir: &Path, files: &[(&str, &str)]) -> Result<usize, Failure> {
        let mut backup = Backup::open(dir)?;
        for (id, text) in files {
            backup.put(id, text)?;
        }
        backup.finish()
    }

    fn names(dir: &Path) -> Vec<String> {
        files(dir).expect("read").into_keys().collect()
    }

    #[test]
    fn what_an_export_wrote_is_written_anew() {
        let dir = tempfile::tempdir().expect("a folder");
        let dir = dir.path().join("backup");
        assert_eq!(export(&dir, &[("a", "1"), ("b", "1")]), Ok(0));
        assert_eq!(names(&dir), [LIST, "a/integration.yaml", "b/integration.yaml"]);
        assert_eq!(export(&dir, &[("a", "2")]), Ok(1));
        assert_eq!(names(&dir), [LIST, "a/integration.yaml"]);
        assert!(!dir.join("b").exists());
        // One that was cut off is gone on with.
        Backup::open(&dir).expect("open").put("c", "3").expect("written");
        assert_eq!(export(&dir, &[("a", "2")]), Ok(1));
        assert_eq!(names(&dir), [LIST, "a/integration.yaml"]);
    }

    #[test]
    fn what_somebody_wrote_is_left_alone() {
        let dir = tempfile::tempdir().expect("a folder");
        let dir = dir.path();
        assert_eq!(export(dir, &[("a", "1")]), Ok(0));
        let refused = |what: &str| {
            let failure = export(dir, &[("a", "2")]).expect_err("refused");
            assert_eq!(failure.exit, crate::failure::Exit::Refused);
            assert!(failure.message.contains(what), "{}", failure.message);
            assert_ne!(fs::read_to_string(dir.join("a/integration.yaml")).expect("read"), "2");
        };
        fs::write(dir.join("notes.md"), "mine").expect("written");
        refused("notes.md");
        fs::remove_file(dir.join("notes.md")).expect("removed");
        fs::write(dir.join("a/integration.yaml"), "3").expect("written");
        refused("a/integration.yaml (changed)");
        fs::write(dir.join("a/integration.yaml"), "1").expect("written");
        std::os::unix::fs::symlink("/tmp", dir.join("b")).expect("linked");
        refused("b");
        assert!(fs::symlink_metadata(dir.join("b")).is_ok());
    }
}
