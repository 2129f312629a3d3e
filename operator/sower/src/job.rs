//! An Environment from a file, with this checkout's settings, as a job for a seeding.

use std::path::{Path, PathBuf};

use sower_controllers::metrics::Metrics;
use sower_controllers::rollout::Steps;
use sower_controllers::seeding::{Job, Origin, Promote, Seeder};
use sower_core::manifest::LoadedEnvironment;
use sower_source::Fetcher;

use crate::cli::TargetKind;
use crate::failure::Failure;
use crate::origin::{self, Secrets};
use crate::settings::Settings;

/// The keeper of what is seeded from files.
pub const KEEPER: &str = "files";

/// The job of one environment.
///
/// # Errors
/// Usage, where a source cannot be read with files.
pub fn job(settings: &Settings, environment: &LoadedEnvironment, secrets: &Secrets) -> Result<Job, Failure> {
    Ok(Job {
        environment: environment.name.clone(),
        spec: environment.spec.clone(),
        sources: origin::sources(settings, &environment.name, &environment.spec, secrets)?,
        keeper: KEEPER.to_owned(),
        take_over: false,
        only: None,
        reseed: false,
        mend: Job::unmended(),
        resolve: sower_core::resolution::Once::new(),
        freeze_override: environment.freeze_override,
        upstream: None,
        promote: Promote::default(),
        epoch: None,
    })
}

/// The rollouts of one environment, which go on whether its sources can be read or not.
#[must_use]
pub fn steps<'a>(environment: &'a LoadedEnvironment, secrets: &'a Secrets) -> Steps<'a> {
    Steps {
        environment: &environment.name,
        spec: &environment.spec,
        keeper: KEEPER,
        epoch: None,
        freeze_override: environment.freeze_override,
        secrets,
    }
}

/// What on this disk may change under a job's sources.
#[derive(Debug, Clone, Default)]
pub struct Watched {
    /// Folders whose files are read, edits included.
    pub folders: Vec<PathBuf>,
    /// Folders in repositories whose commits are read.
    pub repositories: Vec<PathBuf>,
}

/// What on this disk may change under a job's sources.
#[must_use]
pub fn watched(job: &Job) -> Watched {
    let mut watched = Watched::default();
    for source in &job.sources {
        match &source.origin {
            Origin::Folder(dir) => {
                watched.folders.push(dir.join(&source.path));
                watched.repositories.push(dir.clone());
            }
            Origin::Checkout { dir, .. } => watched.repositories.push(dir.clone()),
            Origin::Git(_) | Origin::Listing(_) | Origin::Glance(_) => {}
        }
    }
    watched
}

/// A seeder. With files it has this user's own credentials and disk; what a resource of a cluster names is somebody
/// else's word, and is read with what that resource brings alone, as the operator does. Mirrors lie in `cache`; else in
/// the project's `.sower`, or for a cluster in the user's cache.
///
/// # Errors
/// Where the folder of the mirrors cannot be made.
pub fn seeder(
    settings: &Settings,
    metrics: Option<Metrics>,
    cache: Option<&Path>,
) -> Result<Seeder, Failure> {
    let files = settings.target.value == TargetKind::Files;
    let cache = match (cache, &settings.root) {
        (Some(cache), _) => cache.to_path_buf(),
        (None, Some(root)) if files => own_folder(root)?.join("git"),
        (None, _) => users_cache().join("sower").join("git"),
    };
    let fetcher = Fetcher::new(&cache)
        .map_err(|error| Failure::failed(format!("the folder of git mirrors, {}: {error}", cache.display())))?
        .ambient(files)
        .allow_local(files);
    Ok(Seeder::new(fetcher, platform(), metrics))
}

fn users_cache() -> PathBuf {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home);
    cache.unwrap_or_else(std::env::temp_dir)
}

/// The version that manifests may ask for.
#[must_use]
pub fn platform() -> semver::Version {
    semver::Version::parse(env!("CARGO_PKG_VERSION")).expect("cargo takes semantic versions alone")
}

/// `.sower` of the project, which git does not see.
fn own_folder(root: &Path) -> Result<PathBuf, Failure> {
    let folder = root.join(".sower");
    let failed = |error: std::io::Error| Failure::failed(format!("{}: {error}", folder.display()));
    std::fs::create_dir_all(&folder).map_err(failed)?;
    let ignore = folder.join(".gitignore");
    if !ignore.exists() {
        std::fs::write(ignore, "*\n").map_err(failed)?;
    }
    Ok(folder)
}
