//! `sower suspend` and `sower resume`: `spec.suspend` of an Environment in a cluster. With files it is a line to edit.

use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use sower_core::manifest::LoadedEnvironment;
use sower_crds::Environment;

use crate::choice::Asked;
use crate::cli::{SuspendArgs, TargetKind};
use crate::cluster::Cluster;
use crate::commands::Context;
use crate::failure::{Exit, Failure};
use crate::project::Project;
use crate::settings::Settings;

/// Runs it; `suspend` says which of the two it is.
///
/// # Errors
/// Usage with files, and where it is not plain which environment; else what the API server says.
pub async fn run(args: &SuspendArgs, suspend: bool, context: &Context) -> Result<Exit, Failure> {
    let settings = Settings::read(&args.at, false)?;
    let asked = Asked { environment: args.environment.as_deref(), all: args.all };
    let command = if suspend { "suspend" } else { "resume" };
    if settings.target.value == TargetKind::Files {
        let project = Project::open(settings)?;
        // Nothing is changed here: without a name the lines of all are named.
        let asked = Asked { all: asked.all || asked.environment.is_none(), ..asked };
        let chosen = project.to_change(command, asked)?;
        return Err(edit(command, suspend, &chosen, &project));
    }
    let cluster = Cluster::connect(&args.at).await?;
    let mut exit = Exit::Done;
    for environment in cluster.to_change(command, asked).await? {
        let name = environment.name_any();
        let patch = Patch::Merge(json!({ "spec": { "suspend": suspend } }));
        match cluster.api().patch(&name, &PatchParams::default(), &patch).await {
            Ok(patched) => context.style.say(&told(&name, suspend, &patched, &cluster.flags)),
            Err(error) => {
                let failure = cluster.failed(&error);
                context.style.note(&failure.text());
                exit = exit.worse(failure.exit);
            }
        }
    }
    Ok(exit)
}

fn told(name: &str, suspend: bool, environment: &Environment, flags: &str) -> String {
    let revision = environment.status.as_ref().and_then(|status| status.revision.as_ref());
    let at = revision.map(|revision| format!(" at {revision}")).unwrap_or_default();
    if suspend {
        format!("Suspended {name}{at}. Go on: sower resume -e {name}{flags}\n")
    } else {
        format!("Resumed {name}{at}. See it: sower status -e {name}{flags}\n")
    }
}

/// With files nothing is patched: the line is named.
fn edit(command: &str, suspend: bool, chosen: &[&LoadedEnvironment], project: &Project) -> Failure {
    let what = if suspend { "stops seeding it" } else { "lets it be seeded" };
    let failure = Failure::usage(format!(
        "{command} patches a resource of a cluster; with files `spec.suspend: {suspend}` {what}"
    ));
    let failure = chosen.iter().fold(failure, |failure, environment| {
        failure.next(format!("edit {}", environment.name), line(environment, suspend, project))
    });
    failure.next("in a cluster", format!("sower {command} {}-n NAMESPACE", one_of(chosen)))
}

/// The line that says it, or below which it is to be said.
fn line(environment: &LoadedEnvironment, suspend: bool, project: &Project) -> String {
    let place = project.place(environment, "/suspend");
    if environment.lines.contains_key("/suspend") {
        return place;
    }
    if !suspend {
        return format!("{place} does not suspend it");
    }
    let text = project.files.texts.get(&environment.path).map(String::as_str).unwrap_or_default();
    // Of several documents, the nearest `spec` above what is known of this one's.
    let below = environment.lines.values().map(|(line, _)| *line as usize).min().unwrap_or(usize::MAX);
    let spec = text.lines().enumerate().filter(|(at, line)| *at < below && line.starts_with("spec:")).last();
    match spec {
        Some((at, _)) => format!("{place}:{}, below `spec`", at + 1),
        None => format!("{place}, in its `spec`"),
    }
}

fn one_of(chosen: &[&LoadedEnvironment]) -> String {
    match chosen {
        [only] => format!("-e {} ", only.name),
        _ => "--all ".to_owned(),
    }
}
