//! `sower blame`: which seeding, and with it which commit and whom, last changed each part of an integration.

mod commits;

use jiff::Timestamp;
use serde_json::Value;
use sower_core::blame::{Blame, Held, Part, Since};
use sower_core::snapshot::Revision;
use sower_source::CommitInfo;
use sower_store::{Store, Turn};

use crate::cli::BlameArgs;
use crate::commands::Context;
use crate::commands::blame::commits::Commits;
use crate::failure::{Exit, Failure};
use crate::output::document::{self, Fields};
use crate::output::table::Table;
use crate::output::time;
use crate::past::{Past, never_carried};
use crate::session::{Member, Session};

/// Contents that are asked for at a time.
const PIECE: usize = 16;

/// One environment's answer.
struct Blamed {
    version: String,
    checksum: String,
    lines: Vec<Line>,
}

/// One part, and what brought it.
struct Line {
    part: Part,
    since: Since,
    /// Absent where the log row of the seeding is forgotten.
    brought: Option<Brought>,
}

/// What is known of a seeding.
#[derive(Clone)]
struct Brought {
    revision: Option<Revision>,
    /// The commit that brought it, where the repository lies here.
    commit: Option<CommitInfo>,
    /// Subject and author of the pushed commit, as the log has them.
    pushed: Option<(String, String)>,
    reason: String,
    at: Timestamp,
}

/// Runs it.
///
/// # Errors
/// Where a database does not answer, or no environment carries it.
pub async fn run(args: &BlameArgs, context: &Context) -> Result<Exit, Failure> {
    let session = Session::ask(&args.at, &args.which, context).await?;
    let (answers, exit) = session.each(async |member| of(&session, member, &args.id).await).await?;
    let mut all: Vec<(&Member, Blamed)> = Vec::new();
    let mut gone = None;
    for (member, answer) in answers {
        match answer {
            Answer::Carried(blamed) => all.push((member, blamed)),
            Answer::Gone(failure) => gone = Some(failure),
            Answer::Never => {}
        }
    }
    let none_at_all = session.members.is_empty();
    if all.is_empty() && !none_at_all {
        return Err(gone.unwrap_or_else(|| never_carried(&session, &args.id)));
    }
    let documents: Vec<Fields> =
        all.iter().map(|(member, blamed)| described(member, &args.id, blamed)).collect();
    if document::write_each(&session.style, args.output, session.named, &documents)?
        || session.says_that_none_is_there()
    {
        return Ok(exit);
    }
    session.style.raw(&table(&all, session.members.len() > 1, Timestamp::now()).text());
    Ok(exit)
}

/// What there is to say of one environment.
enum Answer {
    /// It carries the integration.
    Carried(Blamed),
    /// It did once, or nobody knows any more what.
    Gone(Failure),
    /// It never did.
    Never,
}

async fn of(session: &Session, member: &Member, id: &str) -> Result<Answer, Failure> {
    let store = session.rows(member).await?;
    let name = member.name();
    let failed = |error: sower_store::StoreError| session.trouble(&error.into(), member);
    let past = Past::read(&store, name, id).await.map_err(failed)?;
    let versions = format!("sower get versions {id} -e {name}{}", session.flags());
    let (version, checksum) = match past.turns.last() {
        None => return Ok(Answer::Never),
        Some(Turn { version: Some(version), checksum: Some(checksum), .. }) => {
            (version.clone(), checksum.clone())
        }
        Some(gone) => {
            let text = format!("{name} does not carry {id} any more: seeding {} took it out", gone.seq);
            return Ok(Answer::Gone(Failure::failed(text).next("what there was", versions)));
        }
    };
    let parts = parts(&store, name, id, &past.turns).await.map_err(failed)?;
    if parts.is_empty() {
        let text = format!("the content of {id} {version} in {name} is not kept");
        return Ok(Answer::Gone(Failure::failed(text).next("what is kept", versions)));
    }
    let commits = Commits::on_disk(session, member, id);
    let line = |(part, since): (Part, Since)| {
        let turn = past.turns.iter().find(|turn| turn.seq == since.seeding);
        let brought = turn.and_then(|turn| brought(&past, turn, &commits));
        Line { part, since, brought }
    };
    Ok(Answer::Carried(Blamed { version, checksum, lines: parts.into_iter().map(line).collect() }))
}

/// Every part with its seeding, from the contents since the integration came last. They are read a few at a time.
async fn parts(
    store: &Store,
    environment: &str,
    id: &str,
    turns: &[Turn],
) -> Result<Vec<(Part, Since)>, sower_store::StoreError> {
    let taken_out = turns.iter().rposition(|turn| turn.checksum.is_none());
    let mut turns: Vec<&Turn> = turns[taken_out.map_or(0, |at| at + 1)..].iter().collect();
    // Moved, or written again: the content is the same.
    turns.dedup_by(|later, earlier| later.checksum == earlier.checksum);
    let mut blame = Blame::default();
    // What stands first may have changed what is forgotten.
    if turns.first().is_some_and(|first| !matches!(first.operation.as_str(), "create" | "restore")) {
        blame.after(0, Held::Forgotten);
    }
    for piece in turns.chunks(PIECE) {
        let checksums: Vec<&str> = piece.iter().filter_map(|turn| turn.checksum.as_deref()).collect();
        let manifests = store.version_manifests(environment, id, &checksums).await?;
        for turn in piece {
            let manifest = turn.checksum.as_ref().and_then(|checksum| manifests.get(checksum));
            match manifest.and_then(|text| serde_json::from_str::<Value>(text).ok()) {
                Some(content) => blame.after(turn.seq, Held::Content(&content)),
                None => blame.after(turn.seq, Held::Forgotten),
            }
        }
    }
    Ok(blame.parts())
}

fn brought(past: &Past, turn: &Turn, commits: &Commits) -> Option<Brought> {
    let seeding = turn.seeding.as_ref()?;
    // Of several sources the reason does not say which was pushed to.
    let pushed = pushed(&seeding.reason).filter(|_| seeding.revisions.len() == 1);
    Some(Brought {
        revision: past.revision(turn),
        commit: commits.of(past, turn),
        pushed: pushed.map(|(subject, author)| (subject.to_owned(), author.to_owned())),
        reason: seeding.reason.clone(),
        at: seeding.completed_at,
    })
}

impl Brought {
    fn author(&self) -> Option<&str> {
        let pushed = self.pushed.as_ref().map(|(_, author)| author.as_str());
        self.commit.as_ref().map(|commit| commit.author.as_str()).or(pushed)
    }

    fn subject(&self) -> Option<&str> {
        let pushed = self.pushed.as_ref().map(|(subject, _)| subject.as_str());
        self.commit.as_ref().map(|commit| commit.subject.as_str()).or(pushed)
    }

    /// 40 hex: the commit itself, else the one that was read.
    fn commit(&self) -> Option<&str> {
        let read = || self.revision.as_ref().filter(|revision| !revision.dirty)?.commit();
        self.commit.as_ref().map(|commit| commit.id.as_str()).or_else(read)
    }

    /// For people: a commit, or what stands for one.
    fn place(&self) -> Option<String> {
        let commit = self.commit().and_then(|commit| commit.get(..7)).map(str::to_owned);
        commit.or_else(|| self.revision.as_ref().map(ToString::to_string))
    }
}

/// Subject and author of the commit that a log row names: `push: "Raise the page size" (AUTHOR)`.
fn pushed(reason: &str) -> Option<(&str, &str)> {
    // A subject has no quotes of this kind; an author may have parentheses.
    reason.strip_prefix("push: \"")?.strip_suffix(')')?.split_once("\" (")
}

fn table(all: &[(&Member, Blamed)], several: bool, now: Timestamp) -> Table {
    let heads = ["ENVIRONMENT", "KIND", "NAME", "SEEDING", "WHEN", "COMMIT", "AUTHOR", "REASON"];
    let mut table = Table::new(if several { &heads } else { &heads[1..] });
    let dash = || "-".to_owned();
    for (member, blamed) in all {
        for Line { part, since, brought } in &blamed.lines {
            let brought = brought.as_ref();
            let subject = |brought: &Brought| brought.subject().unwrap_or(&brought.reason).to_owned();
            let cells = [
                member.name().to_owned(),
                part.kind.to_owned(),
                part.name.clone(),
                format!("{}{}", if since.or_before { "<=" } else { "" }, since.seeding),
                brought.map_or_else(dash, |brought| time::ago(brought.at, now)),
                brought.and_then(Brought::place).unwrap_or_else(dash),
                brought.and_then(Brought::author).map_or_else(dash, str::to_owned),
                brought.map_or_else(dash, subject),
            ];
            table.row(cells.into_iter().skip(usize::from(!several)));
        }
    }
    table
}

fn described(member: &Member, id: &str, blamed: &Blamed) -> Fields {
    let part = |Line { part, since, brought }: &Line| {
        let brought = brought.as_ref();
        let revision = brought.and_then(|brought| brought.revision.as_ref());
        let commit = brought.and_then(|brought| brought.commit.as_ref());
        Fields::default()
            .with("kind", part.kind)
            .with("name", &part.name)
            .with("seeding", format!("{}-{}", member.name(), since.seeding))
            .with("orBefore", since.or_before)
            .with("seededAt", brought.map(|brought| brought.at))
            .with("revision", revision.map(Revision::full))
            .with("commit", brought.and_then(Brought::commit))
            .with("committedAt", commit.and_then(|commit| Timestamp::from_second(commit.time).ok()))
            .with("author", brought.and_then(Brought::author))
            .with("subject", brought.and_then(Brought::subject))
            .with("reason", brought.map(|brought| &brought.reason))
    };
    let fields = Fields::default()
        .with("environment", member.name())
        .with("integration", id)
        .with("version", &blamed.version)
        .with("checksum", &blamed.checksum)
        .with("parts", blamed.lines.iter().map(part).collect::<Vec<_>>());
    match member.namespace() {
        "" => fields,
        namespace => fields.with("namespace", namespace),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_of_a_push_names_its_commit() {
        for (reason, expected) in [
            ("push: \"Raise the page size\" (AUTHOR)", Some(("Raise the page size", "AUTHOR"))),
            ("push: \"Mend (again)\" (An Author (EU))", Some(("Mend (again)", "An Author (EU)"))),
            ("first seeding", None),
            ("edit: integrations/slack/integration.yaml", None),
        ] {
            assert_eq!(pushed(reason), expected);
        }
    }
}
