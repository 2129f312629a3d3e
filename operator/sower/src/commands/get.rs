//! `sower get`: integrations, environments, open conflicts and what there was, from the rows.

mod at;
mod quarantine;
mod versions;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use sower_core::manifest::LoadedEnvironment;
use sower_crds::EnvironmentSpec;
use sower_store::{Definition, Listed, OpenConflict};

use crate::cli::{Format, GetArgs, Kind};
use crate::commands::Context;
use crate::failure::{Exit, Failure};
use crate::output::document::Fields;
use crate::output::table::Table;
use crate::output::{document, time};
use crate::session::{Member, Session};
use crate::standing::{self, Standing};

/// The status of a row that Sower did not write.
const FOREIGN: &str = "foreign";

/// Runs it.
///
/// # Errors
/// Where a database does not answer, or nothing has the name that was asked for.
pub async fn run(args: &GetArgs, context: &Context) -> Result<Exit, Failure> {
    match (args.kind, &args.name, &args.at_seeding) {
        (_, _, None) => {}
        (Kind::Integrations, Some(id), Some(seeding)) => return at::run(args, id, seeding, context).await,
        _ => {
            return Err(Failure::usage("--at is about one integration")
                .next("of that seeding", "sower get integration ID -e ENVIRONMENT --at SEEDING"));
        }
    }
    if args.kind == Kind::Versions && args.name.is_none() {
        return Err(Failure::usage("versions of which integration?").next("of one", "sower get versions ID"));
    }
    let session = Session::ask(&args.at, &args.which, context).await?;
    match (args.kind, &args.name) {
        (Kind::Integrations, Some(id)) => one_integration(&session, id, args.output).await,
        (Kind::Integrations, None) => integrations(&session, args.output).await,
        (Kind::Versions, id) => versions::run(&session, id.as_deref().unwrap_or_default(), args.output).await,
        (Kind::Environments, name) => environments(&session, name.as_deref(), args.output).await,
        (Kind::Quarantine, name) => quarantine::run(&session, name.as_deref(), args.output).await,
        (Kind::Conflicts, name) => conflicts(&session, name.as_deref(), args.output).await,
    }
}

fn version(row: &Listed) -> String {
    format!("{}{}", row.version, if row.in_conflict { " !" } else { "" })
}

/// `foreign` where the row is not Sower's.
fn status(row: &Listed) -> &str {
    if standing::is_ours(row) { &row.status } else { FOREIGN }
}

fn described(member: &Member, row: &Listed) -> Fields {
    let fields = Fields::default()
        .with("environment", &row.environment)
        .with("id", &row.id)
        .with("name", &row.name)
        .with("version", &row.version)
        .with("status", status(row))
        .with("actions", row.actions)
        .with("triggers", row.triggers)
        .with("revision", row.revision.as_ref().map(sower_core::snapshot::Revision::full))
        .with("seeding", row.seeding.map(|number| format!("{}-{number}", row.environment)))
        .with("checksum", &row.checksum)
        .with("conflict", row.in_conflict);
    match member.namespace() {
        "" => fields,
        namespace => fields.with("namespace", namespace),
    }
}

async fn integrations(session: &Session, format: Format) -> Result<Exit, Failure> {
    let (answers, exit) = session
        .each(async |member| {
            let rows = session.rows(member).await?.integrations(Some(member.name())).await;
            rows.map_err(|error| session.trouble(&error.into(), member))
        })
        .await?;
    let answered: Vec<&Member> = answers.iter().map(|(member, _)| *member).collect();
    let each = |(member, rows): (_, Vec<Listed>)| rows.into_iter().map(move |row| (member, row));
    let rows: Vec<(&Member, Listed)> = answers.into_iter().flat_map(each).collect();
    let documents: Vec<Fields> = rows.iter().map(|(member, row)| described(member, row)).collect();
    if document::write(&session.style, format, &documents)? {
        return Ok(exit);
    }
    if session.says_that_none_is_there() {
        return Ok(exit);
    }
    if rows.is_empty() {
        let seed =
            if session.named { format!("-e {}", session.members[0].name()) } else { "--all".to_owned() };
        session
            .style
            .hint(&format!("No integration yet. Bring them in: sower seed {seed}{}", session.flags()));
        return Ok(exit);
    }
    session.style.raw(&shown(session, &rows, &answered).text());
    if session.members.len() > 1 {
        let here = session.flags();
        let hint =
            format!("- not carried: sower explain ID{here} · ! in conflict: sower get conflicts{here}");
        session.style.hint(&hint);
    }
    Ok(exit)
}

/// One environment with everything about it, several side by side.
fn shown(session: &Session, rows: &[(&Member, Listed)], answered: &[&Member]) -> Table {
    match session.members.as_slice() {
        [_] => of_one(rows),
        _ => matrix(rows, session, answered),
    }
}

fn of_one(rows: &[(&Member, Listed)]) -> Table {
    let mut table = Table::new(&["ID", "VERSION", "STATUS", "ACTIONS", "TRIGGERS", "REVISION", "SEEDING"]);
    for (_, row) in rows {
        table.row([
            row.id.clone(),
            version(row),
            status(row).to_owned(),
            row.actions.to_string(),
            row.triggers.to_string(),
            row.revision.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
            row.seeding.map_or_else(|| "-".to_owned(), |number| number.to_string()),
        ]);
    }
    table
}

fn matrix(rows: &[(&Member, Listed)], session: &Session, answered: &[&Member]) -> Table {
    let (members, everywhere) = (&session.members, session.everywhere());
    let head = |member: &Member| match everywhere {
        true => format!("{}/{}", member.namespace(), member.name()).to_uppercase(),
        false => member.name().to_uppercase(),
    };
    let heads: Vec<String> = members.iter().map(head).collect();
    let mut all = vec!["ID"];
    all.extend(heads.iter().map(String::as_str));
    let mut table = Table::new(&all);
    let key = |member: &Member| (member.namespace().to_owned(), member.name().to_owned());
    let ids: BTreeSet<&str> = rows.iter().map(|(_, row)| row.id.as_str()).collect();
    let held: BTreeMap<_, &Listed> =
        rows.iter().map(|(member, row)| ((row.id.as_str(), key(member)), row)).collect();
    for id in ids {
        let cell = |member: &Member| match held.get(&(id, key(member))) {
            Some(row) if !standing::is_ours(row) => format!("{} ({FOREIGN})", row.version),
            Some(row) => version(row),
            // What could not be asked is not known to be absent.
            None if !answered.iter().any(|known| key(known) == key(member)) => "?".to_owned(),
            None => "-".to_owned(),
        };
        table.row(std::iter::once(id.to_owned()).chain(members.iter().map(cell)));
    }
    table
}

async fn one_integration(session: &Session, id: &str, format: Format) -> Result<Exit, Failure> {
    let (answers, exit) = session
        .each(async |member| {
            let definition = session.rows(member).await?.integration(member.name(), id).await;
            definition.map_err(|error| session.trouble(&error.into(), member))
        })
        .await?;
    let answered: Vec<&Member> = answers.iter().map(|(member, _)| *member).collect();
    let found: Vec<(&Member, Definition)> =
        answers.into_iter().filter_map(|(member, definition)| Some((member, definition?))).collect();
    if found.is_empty() {
        let names: Vec<&str> = session.members.iter().map(Member::name).collect();
        return Err(Failure::failed(format!("no integration `{id}` in {}", names.join(", ")))
            .next("why", format!("sower explain {id}{}", session.flags())));
    }
    let documents: Vec<Fields> = found.iter().map(|(member, definition)| whole(member, definition)).collect();
    if document::write(&session.style, format, &documents)? {
        return Ok(exit);
    }
    let rows: Vec<(&Member, Listed)> =
        found.into_iter().map(|(member, definition)| (member, definition.listed)).collect();
    session.style.raw(&shown(session, &rows, &answered).text());
    let here = session.flags();
    session.style.hint(&format!("All of it: sower get integration {id} -e ENVIRONMENT{here} -o yaml"));
    Ok(exit)
}

/// An integration in whole, for programs: its line, where it came from, and its manifest.
fn whole(member: &Member, definition: &Definition) -> Fields {
    let manifest: serde_json::Value = serde_json::from_str(&definition.manifest).unwrap_or_default();
    described(member, &definition.listed)
        .with("source", &definition.source)
        .with("path", &definition.path)
        .with("createdAt", definition.created_at)
        .with("updatedAt", definition.updated_at)
        .with("seededAt", definition.seeded_at)
        .with("manifest", manifest)
}

async fn environments(session: &Session, name: Option<&str>, format: Format) -> Result<Exit, Failure> {
    if let Some(name) = name {
        let broken = session.broken.iter().map(|broken| broken.name.as_str());
        let names: Vec<&str> = session.members.iter().map(Member::name).chain(broken).collect();
        crate::choice::to_ask(&names, Some(name))?;
    }
    let (answers, exit) = session.each(async |member| standing::of(session, member).await).await?;
    let written = |(member, standing): (&Member, Standing)| {
        let LoadedEnvironment { path, spec, .. } = &member.loaded;
        (standing, path.clone(), Some(spec.clone()))
    };
    let mut all: Vec<(Standing, String, Option<EnvironmentSpec>)> =
        answers.into_iter().map(written).collect();
    for broken in &session.broken {
        all.push((standing::of_broken(session, broken).await, broken.path.clone(), None));
    }
    let place = |standing: &Standing| (standing.namespace.clone(), standing.environment.clone());
    all.sort_by_key(|(standing, ..)| place(standing));
    all.retain(|(standing, ..)| name.is_none_or(|name| name == standing.environment));
    let documents: Vec<Fields> = all
        .iter()
        .map(|(standing, path, spec)| standing.described().with("path", path).with("spec", spec))
        .collect();
    if document::write(&session.style, format, &documents)? {
        return Ok(exit);
    }
    if session.says_that_none_is_there() {
        return Ok(exit);
    }
    let several = session.everywhere();
    let heads = ["NAMESPACE", "NAME", "READY", "REVISION", "INTEGRATIONS", "CONFLICTS", "WRITTEN IN"];
    let mut table = Table::new(if several { &heads } else { &heads[1..] });
    for (standing, path, _) in &all {
        let cells = [
            standing.namespace.clone(),
            standing.environment.clone(),
            standing.ready.clone(),
            standing.revision.clone(),
            standing.integrations.clone(),
            standing.conflicts.clone(),
            path.clone(),
        ];
        table.row(cells.into_iter().skip(usize::from(!several)));
    }
    session.style.raw(&table.text());
    Ok(exit)
}

async fn conflicts(session: &Session, id: Option<&str>, format: Format) -> Result<Exit, Failure> {
    let (answers, exit) = session
        .each(async |member| {
            let open = session.rows(member).await?.open_conflicts(Some(member.name())).await;
            open.map_err(|error| session.trouble(&error.into(), member))
        })
        .await?;
    let mut all: Vec<OpenConflict> = answers.into_iter().flat_map(|(_, open)| open).collect();
    all.retain(|open| id.is_none_or(|id| id == open.conflict.integration));
    let documents: Vec<Fields> = all.iter().map(conflict).collect();
    if document::write(&session.style, format, &documents)? {
        return Ok(exit);
    }
    if session.says_that_none_is_there() {
        return Ok(exit);
    }
    if all.is_empty() {
        session.style.hint("No open conflict");
        return Ok(exit);
    }
    let mut table = Table::new(&["ENVIRONMENT", "ID", "TYPE", "HERE", "GIT", "RESOLUTION", "SINCE"]);
    let now = Timestamp::now();
    let or_none = |version: &Option<String>| version.clone().unwrap_or_else(|| "-".to_owned());
    for OpenConflict { environment, conflict, since } in &all {
        table.row([
            environment.clone(),
            conflict.integration.clone(),
            conflict.kind.as_str().to_owned(),
            or_none(&conflict.current_version),
            or_none(&conflict.new_version),
            conflict.resolution.as_str().to_owned(),
            time::ago(*since, now),
        ]);
    }
    session.style.raw(&table.text());
    session.style.hint(&format!("Why, and what to do: sower explain ID -e ENVIRONMENT{}", session.flags()));
    Ok(exit)
}

fn conflict(open: &OpenConflict) -> Fields {
    let OpenConflict { environment, conflict, since } = open;
    Fields::default()
        .with("environment", environment)
        .with("integration", &conflict.integration)
        .with("type", conflict.kind)
        .with("currentVersion", &conflict.current_version)
        .with("newVersion", &conflict.new_version)
        .with("resolution", conflict.resolution)
        .with("unmerged", &conflict.unmerged)
        .with("clashes", &conflict.clashes)
        .with("message", &conflict.message)
        .with("since", since)
}
