//! Where the folder of the manifests lies: inside a source of the environment, so that its next seeding finds the adopted
//! rows where it would have put them, or elsewhere, in place of one.

use std::path::{Path, PathBuf};

use sower_controllers::seeding::{Origin, SourceInput};
use sower_core::manifest::LoadedEnvironment;

use crate::failure::Failure;
use crate::origin;
use crate::project::Project;

/// The folder, as a source to read.
pub(super) struct Lies {
    /// The folder on this disk.
    pub(super) root: PathBuf,
    /// What is read.
    pub(super) source: SourceInput,
    /// Comes before every path that was read: the folder stands for this one of the source.
    before: Option<String>,
}

impl Lies {
    /// The path that the rows name.
    pub(super) fn in_source(&self, path: &str) -> String {
        match &self.before {
            Some(before) if !before.is_empty() => format!("{before}/{path}"),
            _ => path.to_owned(),
        }
    }
}

/// Looks where a folder lies.
///
/// # Errors
/// Usage, where there is no such folder, or the environment's sources are no files.
pub(super) fn of(dir: &Path, project: &Project, environment: &LoadedEnvironment) -> Result<Lies, Failure> {
    let shown = dir.display();
    let whole = dir.canonicalize().map_err(|error| Failure::usage(format!("{shown}: {error}")))?;
    if !whole.is_dir() {
        return Err(Failure::usage(format!("{shown} is no folder")));
    }
    let settings = &project.settings;
    let sources = origin::sources(settings, &environment.name, &environment.spec, &project.secrets)?;
    for source in &sources {
        let root = match &source.origin {
            Origin::Folder(root) | Origin::Checkout { dir: root, .. } => Some(root.clone()),
            // The repository is most likely this one.
            Origin::Git(_) => settings.root.clone(),
            Origin::Listing(_) | Origin::Glance(_) => None,
        };
        let Some(root) = root.and_then(|root| root.canonicalize().ok()) else { continue };
        if let (true, Ok(below)) = (whole.starts_with(root.join(&source.path)), whole.strip_prefix(&root)) {
            let path = slashed(below);
            return Ok(Lies {
                root: whole.clone(),
                source: SourceInput { path, origin: Origin::Folder(root), ..source.clone() },
                before: None,
            });
        }
    }
    let Some(first) = sources.into_iter().next() else {
        return Err(Failure::usage(format!("{} has no source that rows could come from", environment.name)));
    };
    let before = first.path.trim_matches('/').trim_start_matches("./").to_owned();
    let before = if before == "." { String::new() } else { before };
    let source = SourceInput { path: String::new(), origin: Origin::Folder(whole.clone()), ..first };
    Ok(Lies { root: whole, source, before: Some(before) })
}

fn slashed(path: &Path) -> String {
    let parts: Vec<String> =
        path.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
    PathBuf::from_iter(parts).to_string_lossy().into_owned()
}
