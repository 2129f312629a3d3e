//! The Environments of a checkout: their documents on disk, and what is wrong with them.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use sower_core::manifest::{LoadedEnvironment, load_environments};
use sower_core::problem::{self, Code, Problem};

use crate::failure::Failure;

/// The largest file that is read, in bytes: that of a manifest.
const LARGEST: u64 = 5 << 20;

/// What a folder or a file of Environments holds.
#[derive(Debug, Default)]
pub struct EnvironmentFiles {
    /// The valid ones, by name.
    pub environments: Vec<LoadedEnvironment>,
    /// What is wrong, sorted by file and line.
    pub problems: Vec<Problem>,
    /// Number of files that hold an invalid one.
    pub invalid: usize,
    /// The text of each file that was read, by the path that problems name.
    pub texts: BTreeMap<String, String>,
}

impl EnvironmentFiles {
    /// Reads a file, or every YAML and JSON file of a folder. Problems name them below `shown`.
    ///
    /// # Errors
    /// Usage, where the path is not there or cannot be read.
    pub fn read(path: &Path, shown: &Path) -> Result<Self, Failure> {
        let files = if path.is_dir() { listed(path)? } else { vec![path.to_path_buf()] };
        let mut all = Self::default();
        for file in files {
            let shown = match file.strip_prefix(path) {
                Ok(below) if !below.as_os_str().is_empty() => shown.join(below),
                _ => shown.to_path_buf(),
            };
            let bytes =
                read(&file).map_err(|error| Failure::usage(format!("{}: {error}", shown.display())))?;
            all.add(&shown.display().to_string(), &bytes);
        }
        all.refuse_duplicates();
        problem::sort(&mut all.problems);
        all.environments.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    /// Adds what one file holds.
    pub fn add(&mut self, shown: &str, bytes: &[u8]) {
        let (loaded, problems) = load_environments(shown, bytes);
        if loaded.is_empty() && problems.is_empty() {
            return;
        }
        self.invalid += usize::from(problems.iter().any(Problem::is_error));
        self.environments.extend(loaded);
        self.problems.extend(problems);
        self.texts.insert(shown.to_owned(), String::from_utf8_lossy(bytes).into_owned());
    }

    /// Of several Environments of one name none can be taken: which one was meant?
    fn refuse_duplicates(&mut self) {
        let mut places: BTreeMap<&str, Vec<(&str, u32)>> = BTreeMap::new();
        for one in &self.environments {
            places.entry(&one.name).or_default().push((&one.path, self.line_of_name(one)));
        }
        let mut problems = Vec::new();
        for (name, places) in places.iter().filter(|(_, places)| places.len() > 1) {
            for (own, (file, line)) in places.iter().enumerate() {
                let others = places.iter().enumerate().filter(|(other, _)| *other != own);
                let others: Vec<String> = others.map(|(_, (file, line))| format!("{file}:{line}")).collect();
                problems.push(duplicate(name, file, *line, &others.join(", ")));
            }
        }
        let refused = |one: &LoadedEnvironment| {
            problems.iter().any(|p| p.message.starts_with(&format!("`{}`", one.name)))
        };
        self.invalid += self.environments.iter().filter(|one| refused(one)).count();
        self.environments.retain(|one| !refused(one));
        self.problems.extend(problems);
    }

    /// The line of `metadata.name`, or the first.
    fn line_of_name(&self, one: &LoadedEnvironment) -> u32 {
        let Some(text) = self.texts.get(&one.path) else { return 1 };
        let named = |line: &str| {
            let value = line.trim().trim_start_matches("metadata:").trim_start_matches(['{', ' ']);
            value
                .strip_prefix("name:")
                .is_some_and(|rest| rest.trim_matches([' ', '"', '\'', '}']) == one.name)
        };
        let at = text.lines().position(named).unwrap_or(0);
        u32::try_from(at + 1).unwrap_or(1)
    }

    /// A line of a file, for drawing.
    #[must_use]
    pub fn line(&self, file: &str, line: u32) -> Option<String> {
        let text = self.texts.get(file)?;
        text.lines().nth(line.checked_sub(1)? as usize).map(str::to_owned)
    }
}

fn duplicate(name: &str, file: &str, line: u32, others: &str) -> Problem {
    Problem {
        code: Code::DuplicateManifest,
        severity: Code::DuplicateManifest.severity(),
        file: file.to_owned(),
        line,
        column: 1,
        length: 1,
        pointer: "/metadata/name".into(),
        message: format!("`{name}` is the name of another environment too: {others}"),
        expected: "not the only environment of this name".into(),
        hint: Some("rename one of them, or delete it".into()),
        integration: None,
    }
}

fn listed(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let failed = |error: std::io::Error| Failure::usage(format!("{}: {error}", folder.display()));
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let document =
            path.extension().is_some_and(|end| ["yaml", "yml", "json"].iter().any(|known| end == *known));
        if document && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(std::io::Error::other("larger than 5 MiB"));
    }
    Ok(bytes)
}
