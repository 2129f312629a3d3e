//! What a seeding came to → what its status needs. Pure.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use sower_core::gate::{Held, HeldReason};
use sower_core::plan::{Conflict, Operation, Plan, Verb};
use sower_core::promotion::Waiting;
use sower_core::report::{self, Report};
use sower_core::snapshot::Revision;
use sower_crds::environment::{
    ConflictStatus, Counts, Environment, Failure, LastSeeding, PlanStatus, WaitingStatus,
};
use sower_source::{CommitInfo, GitTree};
use sower_store::EnvironmentRow;

use super::dereference::secret_of;
use crate::integration::Holding;
use crate::reason::Reason;
use crate::seeding::{Files, Planned, Seeded, SeedingError, soaked_at};
use crate::status::{Conflicts, Outcome, SourceOutcome, Verdict};

/// Most failures that are carried on; a status holds fewer.
const FAILURES: usize = 100;
/// Most of what waits that a status holds.
const WAITING: usize = 20;
/// Most conflicts that a status holds.
const CONFLICTS: usize = 20;

/// Of a seeding that went through, held plans included. `row` is the environment's row after it, `holding` what it
/// holds, and `commit` the one that took away what a held plan would delete.
#[must_use]
pub fn of_seeded(
    environment: &Environment,
    seeded: &Seeded,
    row: Option<&EnvironmentRow>,
    holding: &Holding,
    commit: Option<&CommitInfo>,
) -> Outcome {
    let report = seeded.report();
    let planned = seeded.planned();
    let (unmerged, skipped): (Vec<&Conflict>, Vec<&Conflict>) = report
        .conflicts
        .iter()
        .filter(|conflict| conflict.keeps())
        .partition(|conflict| conflict.unmerged.is_some());
    let ids = |conflicts: Vec<&Conflict>| -> Vec<String> {
        let ids: BTreeSet<String> =
            conflicts.into_iter().map(|conflict| conflict.integration.clone()).collect();
        ids.into_iter().collect()
    };
    let conflicts =
        Conflicts { skipped: ids(skipped), unmerged: ids(unmerged), told: open_conflicts(report) };
    let verdict = match seeded {
        Seeded::Held { planned, held, .. } => held_verdict(planned, held, commit),
        Seeded::Unchanged { .. } | Seeded::Applied { .. } => verdict(report),
    };
    let waits = matches!(seeded, Seeded::Held { .. });
    let sources = sources(environment, report, planned, row);
    Outcome {
        verdict,
        database_read: planned.is_some() || sources.iter().all(|source| source.applied.is_some()),
        sources,
        counts: Some(counts(report, holding, conflicts.skipped.len() + conflicts.unmerged.len())),
        failures: Some(failures(report, holding)),
        plan: planned.filter(|_| waits).map(|planned| plan(&planned.plan)),
        conflicts: Some(conflicts),
        drift: None,
        corrected: None,
        waiting: Some(waiting(&report.waiting)),
        soaked_at: soaked_at(&report.waiting),
        all_waiting: Some(number(report.waiting.len())),
        promoted: promoted(seeded),
        not_promoted: None,
        written: written(seeded),
        approval: None,
        rollback: None,
        command: None,
        rollouts: None,
    }
}

/// Of a seeding that failed.
#[must_use]
pub fn of_error(environment: &Environment, error: &SeedingError) -> Outcome {
    let SeedingError { reason, message, detail, source_name, read, .. } = error;
    let secret = match reason {
        Reason::AuthenticationFailed => secret_of(environment, source_name.as_deref()).map(str::to_owned),
        // Of the database's Secret, which no source names.
        Reason::InvalidSpec if source_name.is_none() => secret_of(environment, None)
            .filter(|secret| message.contains(&format!("secret {secret} ")))
            .map(str::to_owned),
        _ => None,
    };
    let verdict = Verdict::Failed {
        reason: *reason,
        message: message.clone(),
        detail: detail.clone(),
        source: source_name.clone(),
        secret,
    };
    let sources = read.iter().flat_map(|read| read.iter()).map(|(name, revision)| SourceOutcome {
        name: name.clone(),
        applied: None,
        attempted: Some(revision.clone()),
    });
    Outcome { sources: sources.collect(), ..Outcome::of(verdict) }
}

fn verdict(report: &Report) -> Verdict {
    let Some(first) = report.errors.first() else { return Verdict::Seeded };
    let foreign = report.errors.iter().all(|failure| failure.location.is_none());
    let first_at = first.location.as_deref().or(first.integration.as_deref()).unwrap_or_default();
    let first = format!("{first_at} {}", first.code);
    if report.invalid == 0 || foreign {
        return Verdict::Invalid { invalid: report.errors.len(), total: 0, first };
    }
    let total = report.integrations_processed + report.excluded + report.invalid;
    Verdict::Invalid { invalid: report.invalid, total, first }
}

fn held_verdict(planned: &Planned, held: &Held, commit: Option<&CommitInfo>) -> Verdict {
    let deleted: Vec<String> = going(planned, held).map(|operation| operation.id.clone()).collect();
    let because = commit.map(|commit| {
        let gone = if deleted.len() == 1 { "its folder is gone" } else { "their folders are gone" };
        format!("{gone} since {} ({}: \"{}\")", commit.short(), commit.author, commit.subject)
    });
    Verdict::Held {
        reason: match held.reason {
            HeldReason::PruneLimitExceeded => Reason::PruneLimitExceeded,
            HeldReason::ApprovalRequired => Reason::ApprovalRequired,
            HeldReason::Frozen => Reason::Frozen,
            HeldReason::ManifestsInvalid => Reason::ManifestsInvalid,
        },
        opens: held.frozen.as_ref().and_then(|frozen| frozen.opens),
        message: held.message.clone(),
        deleted,
        because,
        besides: besides(planned),
    }
}

/// What of a plan is no deletion, a line each, and how many more there are.
fn besides(planned: &Planned) -> Vec<String> {
    /// An Event holds 1 KiB in all.
    const MOST: usize = 5;
    let others = planned.plan.operations.iter().filter(|operation| operation.verb != Verb::Remove);
    let line = |operation: &Operation| {
        let to = operation.to.as_ref().map_or("", |to| to.version.as_str());
        match &operation.from {
            Some(from) if from.version != to => format!("~ {} {} -> {to}", operation.id, from.version),
            Some(_) => format!("~ {} {to}", operation.id),
            None => format!("+ {} {to}", operation.id),
        }
    };
    let mut lines: Vec<String> = others.clone().take(MOST).map(line).collect();
    let more = others.count() - lines.len();
    lines.extend((more > 0).then(|| format!("and {more} more")));
    lines
}

/// What would go of the source that the guard speaks of.
fn going<'a>(planned: &'a Planned, held: &'a Held) -> impl Iterator<Item = &'a Operation> {
    let removals = planned.plan.operations.iter().filter(|operation| operation.verb == Verb::Remove);
    removals.filter(|operation| held.source.as_ref().is_none_or(|source| operation.source == *source))
}

/// Where to look for the commit that took the first of them away: the source's repository, and the file that is gone.
/// None where a file is still there, or the spec leaves an integration out: no commit is to blame then.
#[must_use]
pub fn first_gone(seeded: &Seeded) -> Option<(GitTree, String)> {
    let Seeded::Held { planned, held, .. } = seeded else { return None };
    let excluded: HashSet<&str> = planned.plan.excluded.iter().map(|excluded| excluded.id.as_str()).collect();
    let gone = |operation: &Operation| {
        let current = planned.state.rows.get(&operation.id).filter(|row| !excluded.contains(&*row.id))?;
        let source = planned.reading.sources.iter().find(|source| source.snapshot.name == current.source)?;
        let Files::Tree(tree) = &source.snapshot.files else { return None };
        let there = tree.files().binary_search_by(|file| file.path.as_str().cmp(&current.path)).is_ok();
        source.snapshot.git.as_ref().filter(|_| !there).map(|git| (git, &current.path))
    };
    let all: Option<Vec<_>> = going(planned, held).map(gone).collect();
    all?.first().map(|(git, path)| ((*git).clone(), (*path).clone()))
}

/// The sources in the order of the spec, with what the database holds and what was read. Without a plan nothing was
/// read, because the sources are where they were: what the report says is both.
fn sources(
    environment: &Environment,
    report: &Report,
    planned: Option<&Planned>,
    row: Option<&EnvironmentRow>,
) -> Vec<SourceOutcome> {
    let names: Vec<&str> = match environment.spec.sources.as_slice() {
        [] => vec![super::DEFAULT_SOURCE],
        sources => sources.iter().map(|source| source.name.as_str()).collect(),
    };
    let settled = match planned {
        Some(_) => BTreeMap::new(),
        None => told(&names, report.revision.as_deref().unwrap_or_default()),
    };
    let applied: BTreeMap<&str, Revision> = match row {
        Some(row) => row.revisions().map(|(name, revision)| (name, revision.clone())).collect(),
        None => settled.clone(),
    };
    let attempted = |name: &str| match planned {
        Some(planned) => {
            let source = planned.reading.sources.iter().find(|source| source.snapshot.name == name);
            source.map(|source| source.snapshot.revision.clone())
        }
        None => settled.get(name).cloned(),
    };
    let of = |name: &str| SourceOutcome {
        name: name.to_owned(),
        applied: applied.get(name).cloned(),
        attempted: attempted(name),
    };
    names.into_iter().map(of).collect()
}

/// The revisions of these sources in the long form of several (`name=revision,…`) or of one.
fn told<'a>(names: &[&'a str], full: &str) -> BTreeMap<&'a str, Revision> {
    if let [only] = names {
        return Revision::parse(full).map(|revision| (*only, revision)).into_iter().collect();
    }
    let mut rest = full;
    let mut all = BTreeMap::new();
    for (index, name) in names.iter().enumerate() {
        let Some(after) = rest.strip_prefix(*name).and_then(|rest| rest.strip_prefix('=')) else { break };
        let next = names.get(index + 1).and_then(|next| after.find(&format!(",{next}=")));
        let (this, remaining) = next.map_or((after, ""), |at| (&after[..at], &after[at + 1..]));
        all.extend(Revision::parse(this).map(|revision| (*name, revision)));
        rest = remaining;
    }
    all
}

fn counts(report: &Report, holding: &Holding, conflicts: usize) -> Counts {
    Counts {
        integrations: number(holding.integrations),
        conflicts: number(conflicts),
        orphaned: number(report.orphaned.len()),
        prune_disabled: number(report.prune_disabled.len()),
        rollouts: 0,
        waiting: number(report.waiting.len()),
        quarantined: number(report.quarantined.len()),
        excluded: number(report.excluded),
        invalid: number(report.invalid),
    }
}

fn plan(plan: &Plan) -> PlanStatus {
    PlanStatus {
        hash: plan.short_hash().to_owned(),
        create: number(plan.created()),
        update: number(plan.updated()),
        delete: number(plan.deleted()),
        conflicts: number(plan.conflicts.len()),
    }
}

/// The same whether or not the sources were read this time: what nothing changed is no news.
fn failures(report: &Report, holding: &Holding) -> Vec<Failure> {
    // What has no place is refused for somebody else's row: there is none of its own.
    let keeps = |failure: &report::Failure| {
        let id = failure.integration.as_ref().filter(|_| failure.location.is_some())?;
        holding.kept.get(id).cloned()
    };
    let failures = report.errors.iter().take(FAILURES);
    failures
        .map(|failure| Failure {
            keeps: keeps(failure),
            integration: failure.integration.clone(),
            code: failure.code.clone(),
            location: failure.location.as_deref().map(|place| cut(place, 2048)),
            message: cut(&failure.message, 4096),
        })
        .collect()
}

/// What waits, as a status holds it: with times that stay true, so that time alone changes no status.
#[must_use]
pub fn waiting(all: &[Waiting]) -> Vec<WaitingStatus> {
    let told = all.iter().take(WAITING).map(|one| WaitingStatus {
        integration: cut(&one.integration, 256),
        version: cut(one.version.as_deref().unwrap_or_default(), 256),
        reason: cut(&one.told(None), 4096),
    });
    told.collect()
}

/// What a seeding let in from another environment, and who let it in, where somebody did.
fn promoted(seeded: &Seeded) -> Vec<(String, Option<String>)> {
    let Seeded::Applied { planned, .. } = seeded else { return Vec::new() };
    let Some(admission) = &planned.state.admission else { return Vec::new() };
    let operations = planned.plan.operations.iter();
    let let_in = operations.filter(|operation| admission.let_in.contains_key(&operation.id));
    let by = |id: &str| admission.by_hand.get(id).cloned();
    let_in.filter_map(|one| Some((format!("{} {}", one.id, one.to.as_ref()?.version), by(&one.id)))).collect()
}

/// As a status holds them.
fn open_conflicts(report: &Report) -> Vec<ConflictStatus> {
    let mut open: Vec<&Conflict> = report.conflicts.iter().filter(|conflict| conflict.keeps()).collect();
    open.sort_by(|a, b| (&a.integration, a.kind).cmp(&(&b.integration, b.kind)));
    let told = open.into_iter().take(CONFLICTS).map(|conflict| ConflictStatus {
        integration: conflict.integration.clone(),
        kind: conflict.kind.as_str().to_owned(),
        current_version: conflict.current_version.clone(),
        new_version: conflict.new_version.clone(),
        resolution: conflict.resolution.as_str().to_owned(),
        unmerged: conflict.unmerged.as_ref().map(|why| cut(why, 4096)),
    });
    told.collect()
}

fn written(seeded: &Seeded) -> Option<LastSeeding> {
    let Seeded::Applied { report, .. } = seeded else { return None };
    Some(LastSeeding {
        seeding: report.seeding.clone()?,
        created: number(report.created),
        updated: number(report.updated),
        staged: number(report.staged),
        given_up: number(report.given_up),
        deleted: number(report.deleted),
        unchanged: number(report.unchanged),
        actions_created: number(report.actions_created),
        triggers_created: number(report.triggers_created),
        connections_created: number(report.connections_created),
    })
}

/// As a status counts.
#[must_use]
pub fn number(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// A text as long as the CRD takes it, in characters.
fn cut(text: &str, longest: usize) -> String {
    if text.chars().count() <= longest {
        return text.to_owned();
    }
    text.chars().take(longest - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sower_core::snapshot::full_revision;

    #[test]
    fn what_a_report_says_of_several_sources_is_read_back() {
        let revision =
            |label: &str| Revision { label: label.into(), digest: format!("sha1:{:a<40}", 1), dirty: false };
        for names in [vec!["catalog"], vec!["b", "a", "c"]] {
            let revisions: Vec<Revision> =
                names.iter().map(|name| revision(&format!("x,{name}=y/feature"))).collect();
            let full = full_revision(names.iter().copied().zip(&revisions));
            let read = told(&names, &full);
            let expect: BTreeMap<&str, Revision> =
                names.iter().copied().zip(revisions.iter().cloned()).collect();
            if names.len() == 1 {
                assert_eq!(read, expect);
            } else {
                // A label may hold anything; then less is known, never something wrong about another source.
                assert!(
                    read.iter()
                        .all(|(name, revision)| expect.get(name).is_none_or(|e| e.digest == revision.digest))
                );
            }
        }
        let names = ["catalog", "partners"];
        let revisions = [revision("main"), revision("v1")];
        let full = full_revision(names.into_iter().zip(&revisions));
        assert_eq!(told(&names, &full), names.into_iter().zip(revisions).collect());
    }

    #[test]
    fn a_text_is_cut_at_characters() {
        assert_eq!(cut("äöü", 3), "äöü");
        assert_eq!(cut("äöüß", 3), "äö…");
    }
}
