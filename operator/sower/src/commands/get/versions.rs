//! `sower get versions ID`: every content of an integration that environments ever carried.

use sower_core::snapshot::Revision;

use crate::cli::Format;
use crate::failure::{Exit, Failure};
use crate::output::document::{self, Fields};
use crate::output::table::Table;
use crate::past::{Past, never_carried};
use crate::session::{Member, Session};

/// Characters of a checksum in a table, as plan hashes have them.
const SHOWN: usize = 12;

/// One content.
struct Content {
    version: String,
    checksum: String,
    /// Numbers of the seedings that brought it first and last; absent: no change of it is kept.
    first: Option<i64>,
    last: Option<i64>,
    revision: Option<Revision>,
    is_current: bool,
    is_kept: bool,
}

/// Runs it.
///
/// # Errors
/// Where a database does not answer, or no environment ever carried it.
pub async fn run(session: &Session, id: &str, format: Format) -> Result<Exit, Failure> {
    let (answers, exit) = session
        .each(async |member| {
            let store = session.rows(member).await?;
            let past = Past::read(&store, member.name(), id).await;
            past.map_err(|error| session.trouble(&error.into(), member))
        })
        .await?;
    if !answers.is_empty() && answers.iter().all(|(_, past)| past.is_nothing()) {
        return Err(never_carried(session, id));
    }
    let each = answers.iter().flat_map(|(member, past)| {
        let member: &Member = member;
        contents(past).into_iter().map(move |content| (member, content))
    });
    let all: Vec<(&Member, Content)> = each.collect();
    let documents: Vec<Fields> = all.iter().map(|(member, content)| described(member, id, content)).collect();
    if document::write(&session.style, format, &documents)? || session.says_that_none_is_there() {
        return Ok(exit);
    }
    let several = session.members.len() > 1;
    let heads = ["ENVIRONMENT", "VERSION", "CHECKSUM", "FIRST", "LAST", "REVISION", "STATE"];
    let mut table = Table::new(if several { &heads } else { &heads[1..] });
    let number = |number: Option<i64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    for (member, content) in &all {
        let hex = content.checksum.rsplit(':').next().unwrap_or_default();
        let cells = [
            member.name().to_owned(),
            content.version.clone(),
            hex.get(..SHOWN).unwrap_or(hex).to_owned(),
            number(content.first),
            number(content.last),
            content.revision.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
            match (content.is_current, content.is_kept) {
                (true, _) => "current",
                (false, true) => "kept",
                (false, false) => "forgotten",
            }
            .to_owned(),
        ];
        table.row(cells.into_iter().skip(usize::from(!several)));
    }
    session.style.raw(&table.text());
    let here = session.flags();
    let which = if session.named { session.members[0].name() } else { "ENVIRONMENT" };
    session
        .style
        .hint(&format!("One of them: sower get integration {id} -e {which} --at SEEDING{here} -o yaml"));
    Ok(exit)
}

/// The contents, those that came last first.
fn contents(past: &Past) -> Vec<Content> {
    let mut all: Vec<Content> = Vec::new();
    for turn in &past.turns {
        let (Some(version), Some(checksum)) = (&turn.version, &turn.checksum) else { continue };
        if let Some(known) = all.iter_mut().find(|known| known.checksum == *checksum) {
            known.last = Some(turn.seq);
            continue;
        }
        let kept = past.kept(turn);
        all.push(Content {
            version: version.clone(),
            checksum: checksum.clone(),
            first: Some(turn.seq),
            last: Some(turn.seq),
            revision: past.revision(turn),
            is_current: false,
            is_kept: kept.is_some(),
        });
    }
    let untold = past.versions.iter().filter(|kept| !all.iter().any(|known| known.checksum == kept.checksum));
    let untold: Vec<Content> = untold
        .map(|kept| Content {
            version: kept.version.clone(),
            checksum: kept.checksum.clone(),
            first: None,
            last: None,
            revision: kept.revision.clone(),
            is_current: false,
            is_kept: true,
        })
        .collect();
    all.extend(untold);
    let current = past.turns.last().and_then(|turn| turn.checksum.as_ref());
    all.iter_mut().for_each(|content| content.is_current = current == Some(&content.checksum));
    all.sort_by_key(|content| std::cmp::Reverse((content.last, content.first)));
    all
}

fn described(member: &Member, id: &str, content: &Content) -> Fields {
    let seeding = |number: Option<i64>| number.map(|number| format!("{}-{number}", member.name()));
    let fields = Fields::default()
        .with("environment", member.name())
        .with("integration", id)
        .with("version", &content.version)
        .with("checksum", &content.checksum)
        .with("firstSeeding", seeding(content.first))
        .with("lastSeeding", seeding(content.last))
        .with("revision", content.revision.as_ref().map(Revision::full))
        .with("current", content.is_current)
        .with("kept", content.is_kept);
    match member.namespace() {
        "" => fields,
        namespace => fields.with("namespace", namespace),
    }
}
