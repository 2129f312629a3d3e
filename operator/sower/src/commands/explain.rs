//! `sower explain`: why an integration is, or is not, in an environment.

pub mod evidence;
pub mod verdict;

use jiff::Timestamp;
use serde_json::json;
use sower_core::catalog::Found;
use sower_core::snapshot::Revision;
use sower_source::CommitInfo;

use crate::cli::ExplainArgs;
use crate::commands::Context;
use crate::failure::{Exit, Failure};
use crate::output::document::Fields;
use crate::output::{document, time};
use crate::session::{Member, Session};
use evidence::{Evidence, Ground};
use verdict::Verdict;

/// Runs it.
///
/// # Errors
/// Where a source or a database does not answer, or nothing has that id.
pub async fn run(args: &ExplainArgs, context: &Context) -> Result<Exit, Failure> {
    let session = Session::ask(&args.at, &args.which, context).await?;
    let (answers, exit) =
        session.each(async |member| evidence::gather(&session, member, &args.id).await).await?;
    session.say_source();
    if answers.iter().all(|(_, (_, evidence))| evidence.is_nothing()) {
        let ids = answers.iter().flat_map(|(_, (ground, _))| ground.ids());
        return Err(unknown(&args.id, ids, &session.flags()));
    }
    let judged = |(member, (_, evidence)): (_, (Ground, Evidence))| {
        let verdict = Verdict::of(member, &evidence, &args.id);
        (member, evidence, verdict)
    };
    let all: Vec<(&Member, Evidence, Verdict)> = answers.into_iter().map(judged).collect();
    let head = head(&args.id, &session, &all);
    let documents: Vec<Fields> =
        all.iter().map(|(_, _, verdict)| verdict.described(&args.id, &head.described())).collect();
    if document::write_each(&context.style, args.output, session.named, &documents)? {
        return Ok(exit);
    }
    let now = Timestamp::now();
    let mut text = format!("{}\n\n", head.text(now));
    text.push_str(&verdict::table(
        all.iter().map(|(member, _, verdict)| (member.name(), verdict)),
        session.widest,
        now,
    ));
    let named = all.iter().map(|(member, _, verdict)| (member.name(), verdict));
    let remedies = verdict::remedies(named, &session.flags());
    if !remedies.is_empty() {
        text.push_str(&format!("\n{remedies}"));
    }
    context.style.say(&text);
    Ok(exit)
}

fn unknown<'a>(id: &str, ids: impl Iterator<Item = &'a String>, flags: &str) -> Failure {
    let nearest = ids
        .filter(|known| *known != id)
        .map(|known| (strsim::damerau_levenshtein(known, id), known))
        .min()
        .filter(|(distance, _)| *distance <= 2 || *distance * 3 <= id.len());
    let meant = nearest.map(|(_, known)| format!(": did you mean `{known}`?")).unwrap_or_default();
    Failure::failed(format!(
        "no integration is called `{id}`, neither in the sources nor in a database{meant}"
    ))
    .next("what there is", format!("sower get integrations{flags}"))
}

/// The integration itself: its version, where it is written, and who touched it last.
struct Head {
    id: String,
    version: Option<String>,
    path: Option<String>,
    commit: Option<CommitInfo>,
    /// Where no source was read.
    brought: Option<Brought>,
    edited: bool,
}

/// What the database knows of how a content came: the seeding's reason names the author of a push.
struct Brought {
    revision: Revision,
    /// `production-57`.
    seeding: String,
    reason: String,
    at: Timestamp,
}

fn head(id: &str, session: &Session, all: &[(&Member, Evidence, Verdict)]) -> Head {
    // Of several sources the general one is shown: that of an environment without a source of its own.
    let shown = all
        .iter()
        .filter(|(_, evidence, _)| evidence.shown().is_some())
        .min_by_key(|(member, ..)| !session.is_general(member))
        .or_else(|| all.iter().find(|(_, evidence, _)| evidence.carried.is_some()))
        .or_else(|| all.iter().find(|(_, evidence, _)| evidence.removed.is_some()));
    let Some((_, evidence, _)) = shown else {
        return Head {
            id: id.to_owned(),
            version: None,
            path: None,
            commit: None,
            brought: None,
            edited: false,
        };
    };
    let carried = evidence.carried.as_ref();
    let removed = evidence.removed.as_ref().map(|removed| &removed.row);
    let version = evidence.summary().map(|summary| summary.version.clone());
    let found = evidence.shown();
    let (commit, edited) = found.map_or((None, false), |found| last_commit(evidence, found));
    Head {
        id: id.to_owned(),
        version: version
            .or_else(|| carried.map(|carried| carried.listed.version.clone()))
            .or_else(|| removed.map(|row| row.content.version.clone())),
        path: found
            .map(|found| found.place.path.clone())
            .or_else(|| carried.and_then(|carried| carried.path.clone()))
            .or_else(|| removed.map(|row| row.path.clone())),
        commit,
        brought: evidence.summary().and_then(|summary| brought(&summary.checksum, all)),
        edited,
    }
}

/// What first brought this content to any of the environments.
fn brought(checksum: &str, all: &[(&Member, Evidence, Verdict)]) -> Option<Brought> {
    let known = all.iter().filter_map(|(_, evidence, _)| evidence.brought(checksum));
    let (revision, logged) = known.min_by_key(|(_, logged)| logged.started_at)?;
    Some(Brought {
        revision: revision.clone(),
        seeding: format!("{}-{}", logged.environment, logged.seq?),
        reason: logged.reason.clone(),
        at: logged.completed_at.unwrap_or(logged.started_at),
    })
}

/// The last commit that touched the integration's folder, or its file where others lie beside it; and whether there are
/// edits since.
fn last_commit(evidence: &Evidence, found: &Found) -> (Option<CommitInfo>, bool) {
    let sources = evidence.reading.iter().flat_map(|reading| &reading.sources);
    let Some(source) = sources.into_iter().find(|source| source.snapshot.name == found.place.source) else {
        return (None, false);
    };
    let path = &found.place.path;
    let folder = path.rsplit_once('/').map(|(folder, _)| folder).unwrap_or_default();
    let alone = folder.rsplit('/').next() == found.id.as_deref();
    let place = if alone { folder } else { path };
    let edited = source
        .snapshot
        .dirty
        .iter()
        .any(|dirty| dirty == path || (alone && dirty.starts_with(&format!("{folder}/"))));
    (source.snapshot.git.as_ref().and_then(|git| git.log(place, 1).into_iter().next()), edited)
}

impl Head {
    fn text(&self, now: Timestamp) -> String {
        let mut parts = vec![match &self.version {
            Some(version) => format!("{} {version}", self.id),
            None => self.id.clone(),
        }];
        parts.extend(self.path.clone());
        if let Some(commit) = &self.commit {
            let when = Timestamp::from_second(commit.time).map(|then| format!(", {}", time::ago(then, now)));
            parts.push(format!("{} {}{}", commit.short(), commit.author, when.unwrap_or_default()));
        }
        if let Some(Brought { revision, seeding, reason, at }) = &self.brought {
            parts.push(format!("{revision} by {seeding}, {reason}, {}", time::ago(*at, now)));
        }
        if self.edited {
            parts.push("edited since".to_owned());
        }
        parts.join(" · ")
    }

    fn described(&self) -> Fields {
        let commit = self.commit.as_ref();
        let brought = self.brought.as_ref().map(|Brought { revision, seeding, reason, at }| {
            json!({ "revision": revision.full(), "seeding": seeding, "reason": reason, "at": at })
        });
        Fields::default()
            .with("version", &self.version)
            .with("path", &self.path)
            .with("edited", self.edited)
            .with("commit", commit.map(|commit| &commit.id))
            .with("author", commit.map(|commit| &commit.author))
            .with("committedAt", commit.and_then(|commit| Timestamp::from_second(commit.time).ok()))
            .with("brought", brought)
    }
}
