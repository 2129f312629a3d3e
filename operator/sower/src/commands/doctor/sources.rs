//! The sources of the environments, read as a seeding would read them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sower_controllers::seeding::{Origin, SourceInput};
use sower_core::manifest::LoadedEnvironment;
use sower_crds::EnvironmentSpec;

use super::{Check, State, failed};
use crate::commands::Context;
use crate::environments::EnvironmentFiles;
use crate::failure::Failure;
use crate::settings::Settings;
use crate::snapshots::prefix;
use crate::trouble::sentence;
use crate::{job, origin};

/// Environments that read the same.
struct Group<'a> {
    /// What they read: `--source` or its like, and what the spec says beside it.
    key: (Option<String>, String),
    members: Vec<&'a LoadedEnvironment>,
    /// `sower.toml` says something of them alone.
    own: bool,
}

/// What was read.
struct Read {
    revision: String,
    /// Files that differ from it.
    dirty: usize,
    /// Where there is no manifest.
    empty: Vec<String>,
}

/// A check for each that differs; what `sower.toml` says of some environments alone is told beside the first.
pub(super) async fn checks(settings: &Settings, files: &EnvironmentFiles, context: &Context) -> Vec<Check> {
    let nobody = LoadedEnvironment {
        name: String::new(),
        spec: EnvironmentSpec::default(),
        freeze_override: None,
        path: String::new(),
        document: 0,
        lines: BTreeMap::new(),
    };
    let (own, general): (Vec<Group<'_>>, Vec<Group<'_>>) =
        groups(settings, files, &nobody).into_iter().partition(|group| group.own);
    let several = general.len() > 1;
    let mut checks: Vec<Check> = Vec::new();
    for group in &general {
        let mut check = check(settings, files, group, context).await;
        if several {
            beside(&mut check.remark, &names(group));
        }
        checks.push(check);
    }
    for group in &own {
        match checks.first_mut() {
            Some(first) => add(first, settings, files, group, context).await,
            None => checks.push(check(settings, files, group, context).await),
        }
    }
    checks
}

fn groups<'a>(
    settings: &Settings,
    files: &'a EnvironmentFiles,
    nobody: &'a LoadedEnvironment,
) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    let nobody = files.environments.is_empty().then_some(nobody);
    for environment in files.environments.iter().chain(nobody) {
        let source = settings.source_of(&environment.name).0;
        let sources = environment.spec.sources.iter();
        let said = match &source {
            // The path alone stays of what the spec says.
            Some(_) => sources.map(|source| format!("{}:{}\n", source.name, source.folder_path())).collect(),
            None => format!("{:?}", environment.spec.sources),
        };
        let own = source != settings.source.value;
        let key = (source, said);
        match groups.iter_mut().find(|group| group.key == key) {
            Some(group) => group.members.push(environment),
            None => groups.push(Group { key, members: vec![environment], own }),
        }
    }
    groups
}

fn names(group: &Group<'_>) -> String {
    group.members.iter().map(|member| member.name.as_str()).collect::<Vec<_>>().join(", ")
}

fn described(settings: &Settings, group: &Group<'_>) -> String {
    let LoadedEnvironment { name, spec, .. } = group.members[0];
    origin::described(settings, Some((name, spec)))
}

async fn check(settings: &Settings, files: &EnvironmentFiles, group: &Group<'_>, context: &Context) -> Check {
    let described = described(settings, group);
    let set = match &group.key.0 {
        Some(_) if group.own => "sower.toml".to_owned(),
        None if !group.members[0].spec.sources.is_empty() => "spec.sources".to_owned(),
        _ => settings.source.origin.to_string(),
    };
    match read(settings, files, group.members[0], context).await {
        Ok(Read { revision, dirty, empty }) => {
            let state = if empty.is_empty() { State::Ok } else { State::Failed };
            let value = format!("{described} at {revision}");
            Check {
                remark: edited(dirty),
                detail: empty.join("\n"),
                ..Check::new(state, "source", value, set)
            }
        }
        Err(cause) => failed("source", described, set, cause),
    }
}

/// Adds to a check what differs for some environments.
async fn add(
    check: &mut Check,
    settings: &Settings,
    files: &EnvironmentFiles,
    group: &Group<'_>,
    context: &Context,
) {
    let told = format!("{}: {}", names(group), described(settings, group));
    let causes = match read(settings, files, group.members[0], context).await {
        Ok(Read { revision: _, dirty, empty }) => {
            let edited = edited(dirty);
            let comma = if edited.is_empty() { "" } else { ", " };
            beside(&mut check.remark, &format!("{told}{comma}{edited}"));
            empty
        }
        Err(cause) => vec![cause],
    };
    for cause in causes {
        check.state = State::Failed;
        let _ = write!(check.detail, "\n{told}: {cause}");
        check.detail = check.detail.trim_start().to_owned();
    }
}

fn beside(remark: &mut String, more: &str) {
    *remark = if remark.is_empty() { more.to_owned() } else { format!("{remark}; {more}") };
}

fn edited(files: usize) -> String {
    match files {
        0 => String::new(),
        1 => "1 uncommitted file".to_owned(),
        several => format!("{several} uncommitted files"),
    }
}

async fn read(
    settings: &Settings,
    files: &EnvironmentFiles,
    environment: &LoadedEnvironment,
    context: &Context,
) -> Result<Read, String> {
    let text = |failure: Failure| failure.message;
    let job = job::job(settings, environment, &origin::Secrets::of(files)).map_err(text)?;
    let seeder = job::seeder(settings, None, None).map_err(text)?;
    let reading = seeder.read(&job, &context.cancel).await.map_err(|error| sentence(error.full()))?;
    let without = reading.sources.iter().filter(|source| source.catalog.found.is_empty());
    let empty = without.filter_map(|source| {
        let input = job.sources.iter().find(|input| input.name == source.snapshot.name)?;
        Some(format!("no manifest {}: the `path` of a source names their folder", place(input, settings)))
    });
    Ok(Read {
        revision: reading.revision_short(),
        dirty: reading.sources.iter().map(|source| source.snapshot.dirty.len()).sum(),
        empty: empty.collect(),
    })
}

/// Where the manifests of a source are looked for.
fn place(input: &SourceInput, settings: &Settings) -> String {
    let SourceInput { name, priority: _, path, origin } = input;
    match origin {
        Origin::Folder(dir) | Origin::Checkout { dir, .. } => {
            let below = prefix(dir, settings).join(path).display().to_string();
            format!("in `{}`", if below.is_empty() { "." } else { &below })
        }
        Origin::Git(request) if path.is_empty() => format!("in {}", origin::without_user(&request.url)),
        Origin::Git(request) => format!("in `{path}` of {}", origin::without_user(&request.url)),
        Origin::Listing(_) | Origin::Glance(_) => format!("in {name}"),
    }
}
