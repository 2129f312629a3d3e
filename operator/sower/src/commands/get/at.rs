//! `sower get integration ID --at SEEDING`: an integration as a seeding left it, from the database's own history.

use sower_store::{CameFrom, Listed, Turn};

use crate::cli::GetArgs;
use crate::commands::Context;
use crate::commands::get::of_one;
use crate::failure::{Exit, Failure};
use crate::output::document::{self, Fields};
use crate::past::{Past, SeedingName, never_carried};
use crate::session::{Member, Session};

/// What was there, as far as it is known.
struct Then {
    listed: Listed,
    manifest: String,
    source: Option<String>,
    path: Option<String>,
    turn: Turn,
}

/// Runs it.
///
/// # Errors
/// Usage, where it is not plain which environment is meant; else where the database does not answer, or what is asked for
/// was not there or is not kept.
pub async fn run(args: &GetArgs, id: &str, at: &SeedingName, context: &Context) -> Result<Exit, Failure> {
    let mut which = args.which.clone();
    match (&which.environment, &at.environment) {
        (Some(named), Some(other)) if named != other => {
            let number = at.number;
            return Err(Failure::usage(format!("{other}-{number} is no seeding of {named}"))
                .next("there", format!("sower get integration {id} -e {other} --at {number}"))
                .next("here", format!("sower get integration {id} -e {named} --at {number}")));
        }
        (None, named) => which.environment.clone_from(named),
        _ => {}
    }
    let session = Session::ask(&args.at, &which, context).await?;
    if let [first, _, ..] = session.members.as_slice() {
        let names: Vec<&str> = session.members.iter().map(Member::name).collect();
        let text = format!("seeding {} of which environment? There are {}", at.number, names.join(", "));
        let flags = session.flags();
        return Err(Failure::usage(text).next(
            "one",
            format!("sower get integration {id} -e {} --at {}{flags}", first.name(), at.number),
        ));
    }
    let (answers, exit) = session.each(async |member| then(&session, member, id, at.number).await).await?;
    let documents: Vec<Fields> =
        answers.iter().map(|(member, then)| described(member, then, at.number)).collect();
    if document::write(&session.style, args.output, &documents)? || session.says_that_none_is_there() {
        return Ok(exit);
    }
    let rows: Vec<(&Member, Listed)> =
        answers.into_iter().map(|(member, then)| (member, then.listed)).collect();
    session.style.raw(&of_one(&rows).text());
    let (here, number) = (session.flags(), at.number);
    for (member, _) in rows {
        let name = member.name();
        session
            .style
            .hint(&format!("All of it: sower get integration {id} -e {name} --at {number}{here} -o yaml"));
    }
    Ok(exit)
}

async fn then(session: &Session, member: &Member, id: &str, number: i64) -> Result<Then, Failure> {
    let store = session.rows(member).await?;
    let failed = |error: sower_store::StoreError| session.trouble(&error.into(), member);
    let name = member.name();
    let past = Past::read(&store, name, id).await.map_err(failed)?;
    let turn = turn(session, member, &past, id, number)?;
    let checksum = turn.checksum.as_deref().unwrap_or_default();
    let mut contents = store.version_manifests(name, id, &[checksum]).await.map_err(failed)?;
    let Some(manifest) = contents.remove(checksum) else {
        let version = turn.version.as_deref().unwrap_or_default();
        return Err(Failure::failed(format!(
            "the content of {id} {version} that {name}-{} left is not kept any more",
            turn.seq
        ))
        .next("what is kept", format!("sower get versions {id} -e {name}{}", session.flags())));
    };
    let unreadable = |error: serde_json::Error| {
        Failure::failed(format!("the manifest of {id} that {name}-{} left cannot be read: {error}", turn.seq))
    };
    let rows = sower_core::rows::rows(&manifest).map_err(unreadable)?;
    let count = |kind| rows.registry.iter().filter(|row| row.kind == kind).count();
    let (actions, triggers) = (count(sower_core::rows::Kind::Action), count(sower_core::rows::Kind::Trigger));
    // An older Sower noted no place: what is still there says itself where it came from, and a move left no other trace.
    let is_last = past.turns.last().is_some_and(|last| last.seq == turn.seq);
    let now = if is_last { store.integration(name, id).await.map_err(failed)? } else { None };
    let now = now.filter(|definition| definition.listed.checksum.as_deref() == Some(checksum));
    let source = now.as_ref().and_then(|now| now.source.clone());
    let path = now.as_ref().and_then(|now| now.path.clone());
    let revision = now.as_ref().and_then(|now| now.listed.revision.clone());
    let of = |pick: fn(&CameFrom) -> &String| turn.came_from.as_ref().map(|from| pick(from).clone());
    let listed = Listed {
        environment: name.to_owned(),
        id: id.to_owned(),
        name: rows.definition.name.into_owned(),
        version: rows.definition.version.into_owned(),
        status: rows.definition.status.into_owned(),
        actions: i64::try_from(actions).unwrap_or(i64::MAX),
        triggers: i64::try_from(triggers).unwrap_or(i64::MAX),
        revision: revision.or_else(|| past.revision(turn)),
        seeding: Some(turn.seq),
        checksum: turn.checksum.clone(),
        in_conflict: false,
    };
    Ok(Then {
        listed,
        manifest: manifest.to_string(),
        source: of(|from| &from.source)
            .or(source)
            .or_else(|| past.kept(turn).map(|kept| kept.source.clone())),
        path: of(|from| &from.path).or(path).or_else(|| past.brought(turn).map(|kept| kept.path.clone())),
        turn: turn.clone(),
    })
}

/// The turn that left what was there.
fn turn<'a>(
    session: &Session,
    member: &Member,
    past: &'a Past,
    id: &str,
    number: i64,
) -> Result<&'a Turn, Failure> {
    let (name, here) = (member.name(), session.flags());
    let versions = format!("sower get versions {id} -e {name}{here}");
    if number > past.last {
        let text = match past.last {
            0 => format!("{name} has no seeding {number}: it was never seeded"),
            last => format!("{name} has no seeding {number}: its last one is {last}"),
        };
        return Err(Failure::failed(text).next("what there is", format!("sower history -e {name}{here}")));
    }
    let forgotten = |first: i64| {
        let text = format!("what {name} had of {id} before seeding {first} is not kept any more");
        Failure::failed(text).next("what is kept", versions.clone())
    };
    // What stood when the rest was forgotten may have come long before.
    if number < past.forgotten && past.at(number).is_none() {
        return Err(forgotten(past.forgotten));
    }
    match past.at(number) {
        Some(turn) if turn.checksum.is_some() => Ok(turn),
        Some(gone) => Err(Failure::failed(format!(
            "{id} was not in {name} at seeding {number}: seeding {} took it out",
            gone.seq
        ))
        .next("what there was", versions)),
        None => Err(match past.turns.first() {
            None => never_carried(session, id),
            Some(first) if first.operation == "create" => {
                let text =
                    format!("{id} was not in {name} at seeding {number}: seeding {} brought it", first.seq);
                Failure::failed(text).next("what there was", versions)
            }
            Some(first) => forgotten(first.seq),
        }),
    }
}

fn described(member: &Member, then: &Then, number: i64) -> Fields {
    let Then { listed, manifest, source, path, turn } = then;
    let manifest: serde_json::Value = serde_json::from_str(manifest).unwrap_or_default();
    let environment = &listed.environment;
    let fields = Fields::default()
        .with("environment", environment)
        .with("id", &listed.id)
        .with("name", &listed.name)
        .with("version", &listed.version)
        .with("status", &listed.status)
        .with("actions", listed.actions)
        .with("triggers", listed.triggers)
        .with("revision", listed.revision.as_ref().map(sower_core::snapshot::Revision::full))
        .with("seeding", format!("{environment}-{}", turn.seq))
        .with("checksum", &listed.checksum)
        .with("at", format!("{environment}-{number}"))
        .with("source", source)
        .with("path", path)
        .with("seededAt", turn.seeding.as_ref().map(|seeding| seeding.completed_at))
        .with("manifest", manifest);
    match member.namespace() {
        "" => fields,
        namespace => fields.with("namespace", namespace),
    }
}
