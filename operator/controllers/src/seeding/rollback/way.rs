//! Where a rollback leads: what its words name in the database's own history.

use std::collections::BTreeMap;

use sower_core::plan::{Content, State};
use sower_core::rollback::{NamedRevision, Target, Then, names_content};
use sower_core::snapshot::{Revision, full_revision, short_revision};
use sower_store::{EnvironmentRow, Logged, Store, Version};

use super::{RollbackError, impossible, some};

/// Where a rollback leads.
pub(super) struct Way {
    /// For people: `seeding 57 (main@3f2c1a9)`; of one integration `1.0.0`.
    pub(super) told: String,
    /// For the log: `57`, `1.0.0`.
    pub(super) short: String,
    /// What the environment is to hold, by integration.
    pub(super) then: BTreeMap<String, Option<Then>>,
    /// The revision of it, by source; none of one integration.
    pub(super) revisions: Option<BTreeMap<String, Revision>>,
    /// Number of the seeding that left it so.
    pub(super) seq: Option<i64>,
    /// What it does not bring back, because the spec's lists leave it out.
    pub(super) left_out: BTreeMap<String, Option<Then>>,
}

impl Way {
    /// For people, with what is not brought back and is otherwise now.
    pub(super) fn told_with(&self, state: &State) -> String {
        let otherwise = |(id, then): &(&String, &Option<Then>)| {
            let now = state.rows.get(*id).filter(|row| !row.removed).map(|row| &row.content.checksum);
            now != then.as_ref().map(|then| &then.content.checksum)
        };
        let ids: Vec<&str> = self.left_out.iter().filter(otherwise).map(|(id, _)| id.as_str()).collect();
        match ids.as_slice() {
            [] => self.told.clone(),
            ids => format!("{} but for what the lists leave out ({})", self.told, some(ids)),
        }
    }
}

/// `seeding 57 (main@3f2c1a9)`.
fn seeding_told(logged: &Logged, seq: i64) -> String {
    let revision = short_revision(logged.revisions.iter().map(|(name, revision)| (name.as_str(), revision)));
    if revision.is_empty() { format!("seeding {seq}") } else { format!("seeding {seq} ({revision})") }
}

async fn numbered(store: &Store, row: &EnvironmentRow, seq: i64) -> Result<Logged, RollbackError> {
    let name = &row.name;
    if seq > row.seq {
        return impossible(format!("{name} has no seeding {seq}: its last one is {}", row.seq));
    }
    match store.numbered(name, seq).await? {
        Some(logged) if seq >= row.forgotten => Ok(logged),
        _ => impossible(format!("seeding {seq} of {name} is not kept any more")),
    }
}

pub(super) async fn way_of_all(store: &Store, row: &EnvironmentRow, to: &str) -> Result<Way, RollbackError> {
    let name = &row.name;
    let (logged, seq) = match Target::of(name, to, row.seq) {
        Target::Seeding(seq) => (numbered(store, row, seq).await?, seq),
        Target::Named(text) => at_revision(store, row, &text).await?,
    };
    let then = store.held_at(name, seq, None).await?;
    Ok(Way {
        told: seeding_told(&logged, seq),
        short: seq.to_string(),
        then,
        revisions: Some(logged.revisions),
        seq: Some(seq),
        left_out: BTreeMap::new(),
    })
}

/// The newest seeding that stood at a revision.
async fn at_revision(
    store: &Store,
    row: &EnvironmentRow,
    text: &str,
) -> Result<(Logged, i64), RollbackError> {
    let name = &row.name;
    let Some(named) = NamedRevision::parse(text) else {
        return impossible(format!("`{text}` is no seeding and no revision, as `sower history` shows them"));
    };
    let found = store.seedings_at(name, named.digits()).await?;
    // A seeding or a rollback of some integrations left the others as they were.
    let whole = |logged: &&Logged| {
        let of_one =
            logged.metadata.get("rollback").is_some_and(|rollback| !rollback["integration"].is_null());
        !of_one && !logged.metadata.contains_key("only")
    };
    let mut at: Vec<&Logged> =
        found.iter().filter(|logged| named.is_at(&logged.revisions)).filter(whole).collect();
    let mut revisions: Vec<String> = at
        .iter()
        .map(|logged| {
            full_revision(logged.revisions.iter().map(|(name, revision)| (name.as_str(), revision)))
        })
        .collect();
    revisions.sort();
    revisions.dedup();
    if revisions.len() > 1 && !text.contains('@') {
        let shown: Vec<&str> = revisions.iter().map(String::as_str).collect();
        return impossible(format!("`{text}` names several revisions: {}", some(&shown)));
    }
    at.sort_by_key(|logged| std::cmp::Reverse(logged.seq));
    match at.first().and_then(|logged| Some(((*logged).clone(), logged.seq?))) {
        Some(found) => Ok(found),
        None => impossible(format!("no seeding of {name} stood at {text}")),
    }
}

/// Of what is not in the history.
fn never(row: &EnvironmentRow) -> &'static str {
    if row.forgets() { "never carried, or forgot," } else { "never carried" }
}

pub(super) async fn way_of_one(
    store: &Store,
    row: &EnvironmentRow,
    id: &str,
    to: &str,
) -> Result<Way, RollbackError> {
    let name = &row.name;
    if let Target::Seeding(seq) = Target::of(name, to, row.seq) {
        numbered(store, row, seq).await?;
        let then = store.held_at(name, seq, Some(id)).await?;
        if then.is_empty() {
            return impossible(format!("{name} {} {id}", never(row)));
        }
        let version = then.values().flatten().next().map(|then| then.content.version.as_str());
        let told = match version {
            Some(version) => format!("{version} (seeding {seq})"),
            None => format!("its absence (seeding {seq})"),
        };
        return Ok(Way {
            told,
            short: seq.to_string(),
            then,
            revisions: None,
            seq: Some(seq),
            left_out: BTreeMap::new(),
        });
    }
    let versions = store.versions(name, id).await?;
    let contents: Vec<(String, String)> =
        versions.iter().map(|kept| (id.to_owned(), kept.checksum.clone())).collect();
    let tried = store.tried(name, &contents).await?;
    let (tried, versions): (Vec<Version>, Vec<Version>) =
        versions.into_iter().partition(|kept| tried.iter().any(|(_, checksum)| *checksum == kept.checksum));
    // What never reached everybody is nothing to go back to.
    let was_tried = || tried.iter().any(|kept| names_content(to, &content(kept)));
    if versions.is_empty() {
        return impossible(format!("{name} {} {id}", never(row)));
    }
    let trail = store.trail(name, id).await?;
    let current = trail.last().and_then(|turn| turn.checksum.as_deref());
    let named: Vec<&Version> = versions.iter().filter(|kept| names_content(to, &content(kept))).collect();
    // Of two contents of one version, the one that is not there is meant.
    let others: Vec<&Version> =
        named.iter().copied().filter(|kept| current != Some(kept.checksum.as_str())).collect();
    let kept = match (others.as_slice(), named.as_slice()) {
        ([], []) if was_tried() => {
            return impossible(format!("{id} {to} never reached everybody: see `sower rollout status {id}`"));
        }
        ([], []) => {
            let mut known: Vec<&str> = versions.iter().map(|kept| kept.version.as_str()).collect();
            known.dedup();
            return impossible(format!("{name} {} {id} {to}; it had {}", never(row), some(&known)));
        }
        ([one], _) | ([], [one, ..]) => *one,
        (several, _) => {
            let shown: Vec<&str> = several.iter().filter_map(|kept| kept.checksum.get(3..15)).collect();
            return impossible(format!("{id} {to} had several contents, by checksum: {}", some(&shown)));
        }
    };
    // As it was when it was last there.
    let last = trail.iter().rev().find(|turn| turn.checksum.as_deref() == Some(kept.checksum.as_str()));
    let mut then = match last {
        Some(turn) => store.held_at(name, turn.seq, Some(id)).await?,
        None => BTreeMap::new(),
    };
    let first = || Then {
        content: content(kept),
        source: kept.source.clone(),
        path: kept.path.clone(),
        revision: kept.revision.as_ref().map(Revision::full).unwrap_or_default(),
    };
    let held = then.entry(id.to_owned()).or_insert_with(|| Some(first()));
    if held.as_ref().is_none_or(|held| held.content.checksum != kept.checksum) {
        *held = Some(first());
    }
    let short = kept.version.clone();
    let seq = last.map(|turn| turn.seq);
    Ok(Way { told: kept.version.clone(), short, then, revisions: None, seq, left_out: BTreeMap::new() })
}

fn content(kept: &Version) -> Content {
    Content { version: kept.version.clone(), checksum: kept.checksum.clone() }
}
