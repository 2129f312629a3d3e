//! What a seeding tells: problems, changes, the counts, and what to do about the rest.

use jiff::Timestamp;
use sower_controllers::seeding::{Files, Planned, Reading, Seeded};
use sower_core::gate::{Held, HeldReason};
use sower_core::manifest::LoadedEnvironment;
use sower_core::plan::{Operation, Plan, Verb};
use sower_core::problem::Problem;
use sower_core::report::{Failure as Entry, Report, begun, given_up};
use sower_crds::FREEZE_OVERRIDE;

use super::{FOREIGN_ROW, Tried, for_people};
use crate::cli::Format;
use crate::failure::{Exit, Failure};
use crate::output::style::Style;
use crate::output::{changes, problems, time};
use crate::project::Project;
use crate::settings::quoted;
use crate::snapshots::LastFile;
use crate::trouble::{NOTHING_WRITTEN, sentence};

/// The short revision of what was read.
pub fn revision(seeded: &Seeded) -> String {
    match seeded {
        Seeded::Unchanged { revision, .. } => revision.clone(),
        Seeded::Held { planned, .. } | Seeded::Applied { planned, .. } => planned.reading.revision_short(),
    }
}

/// Tells what became of one environment; its exit status.
pub fn tell(tried: &Tried<'_>, seeded: &Seeded, project: &Project, format: Format, style: &Style) -> Exit {
    let given = project.settings.given.as_str();
    let reading = seeded.planned().map(|planned| &planned.reading).or(tried.reading.as_ref());
    if let (Seeded::Applied { planned, .. }, true) = (seeded, for_people(format) || !style.quiet)
        && let Some(warning) = uncommitted(&planned.reading)
    {
        style.note(&warning);
    }
    if let Some(reading) = reading {
        draw(reading, style);
    }
    for Entry { code, location, message, .. } in
        seeded.report().errors.iter().filter(|e| is_whole_file(e.location.as_deref()))
    {
        style.note(&format!("error[{code}]: {}: {message}", location.as_deref().unwrap_or_default()));
    }
    for left_out in seeded.planned().iter().flat_map(|p| changes::left_out(p, &project.settings.given)) {
        style.note(&left_out);
    }
    let unknown = seeded.planned().and_then(|planned| changes::unknown(planned, &project.settings.given));
    if let Some(failure) = &unknown {
        style.note(&failure.text());
    }
    for (id, replaced_by) in seeded.planned().map(|p| p.plan.deprecated.as_slice()).unwrap_or_default() {
        style.note(&changes::deprecated(id, replaced_by.as_deref()));
    }
    let Report { environment: name, orphaned, prune_disabled, .. } = seeded.report();
    if let Some(first) = prune_disabled.first() {
        let ids = changes::some(prune_disabled.iter().map(String::as_str), 20);
        style.hint(&format!(
            "Gone, and kept by sower.dev/prune: {ids}. To let one go: sower explain {first} -e {name}{given}"
        ));
    }
    if let Some(first) = orphaned.first() {
        let ids = changes::some(orphaned.iter().map(String::as_str), 20);
        style.hint(&format!(
            "Orphaned, and kept: {ids}; allowedIntegrations names them no longer. Why: sower explain {first} -e {name}{given}"
        ));
    }
    if !seeded.report().waiting.is_empty() && for_people(format) {
        let lines = changes::waits(&seeded.report().waiting, jiff::Timestamp::now());
        let all = format!("sower plan -e {name}{given}");
        style.hint(changes::bounded(lines, true, &all).trim_end());
    }
    let exit = match seeded {
        Seeded::Unchanged { report, revision, planned: _ } => {
            if for_people(format) && unknown.is_none() {
                style.say(&format!(
                    "Nothing to do: {} is at {revision} ({} unchanged{}{})\n",
                    report.environment,
                    report.unchanged,
                    changes::besides(report.conflicts.len(), refused(report)),
                    beside(report)
                ));
            }
            refusals(tried, report, given, style)
        }
        Seeded::Held { planned, held, .. } => {
            if for_people(format) && !style.quiet && held.reason != HeldReason::ManifestsInvalid {
                style.say(&held_changes(planned));
            }
            let failure = refusal(planned, held, tried.environment, project);
            style.note(&failure.text());
            failure.exit
        }
        Seeded::Applied { planned, report } => {
            if for_people(format) {
                if !style.quiet {
                    style.say(&applied_changes(planned, style));
                }
                style.say(&seeded_line(planned, report));
            }
            refusals(tried, report, given, style)
        }
    };
    moved(tried, format, style);
    unknown.map_or(exit, |failure| exit.worse(failure.exit))
}

/// Tells what became of its rollouts.
pub fn moved(tried: &Tried<'_>, format: Format, style: &Style) {
    if for_people(format) {
        tried.stepped.changes.iter().for_each(|change| style.say(&format!("{}\n", change.line())));
    }
}

fn refused(report: &Report) -> usize {
    report.invalid
        + report
            .errors
            .iter()
            .filter(|e| e.code == FOREIGN_ROW || is_whole_file(e.location.as_deref()))
            .count()
}

/// It is no document that is refused, but a file in which there is none any more: its place has no line.
pub fn is_whole_file(location: Option<&str>) -> bool {
    let is_number = |part: Option<&str>| part.is_some_and(|part| part.parse::<u32>().is_ok());
    location.is_some_and(|at| {
        let mut parts = at.rsplitn(3, ':');
        !(is_number(parts.next()) && is_number(parts.next()))
    })
}

/// What stays as it is although the sources say otherwise, counted.
fn beside(report: &Report) -> String {
    changes::quarantined(report.quarantined.len()) + &changes::waiting(report.waiting.len())
}

/// `Seeded production at main@c58e2f0 (seeding 2): 0 created, …`.
fn seeded_line(planned: &Planned, report: &Report) -> String {
    let number = report.seeding.as_deref().and_then(|id| id.rsplit('-').next()).unwrap_or_default();
    format!(
        "Seeded {} at {} (seeding {number}): {} created, {} updated, {} deleted, {} unchanged{}{}{}{} in {}\n",
        report.environment,
        planned.reading.revision_short(),
        report.created,
        report.updated,
        report.deleted,
        report.unchanged,
        begun(report.staged),
        given_up(report.given_up),
        changes::besides(report.conflicts.len(), refused(report)),
        beside(report),
        time::took(report.duration)
    )
}

fn applied_changes(planned: &Planned, style: &Style) -> String {
    let plan = &planned.plan;
    let told = |operation| changes::operation(operation, &planned.state);
    let operations = changes::in_order(&plan.operations).into_iter().map(told);
    let lines: Vec<String> = operations.chain(plan.conflicts.iter().map(changes::conflict)).collect();
    changes::bounded(lines, style.terminal, &format!("sower get integrations -e {}", plan.environment))
}

fn held_changes(planned: &Planned) -> String {
    let stays = planned.plan.operations.iter().filter(|operation| operation.verb != Verb::Remove);
    let mut lines: Vec<String> =
        stays.map(|operation| changes::operation(operation, &planned.state)).collect();
    lines.extend(changes::grouped(&removed(planned)));
    lines.extend(planned.plan.conflicts.iter().map(changes::conflict));
    lines.into_iter().map(|line| line + "\n").collect()
}

/// What goes, each with why: `folder gone since 9d41e07, AUTHOR: "Tidy up"`.
pub fn removed(planned: &Planned) -> Vec<(String, String)> {
    let gone = planned.plan.operations.iter().filter(|operation| operation.verb == Verb::Remove);
    gone.map(|operation| (operation.id.clone(), why_gone(planned, operation))).collect()
}

fn why_gone(planned: &Planned, operation: &Operation) -> String {
    if let Some(excluded) = planned.plan.excluded.iter().find(|excluded| excluded.id == operation.id) {
        return excluded.why.message();
    }
    let source = planned.reading.sources.iter().find(|source| source.snapshot.name == operation.source);
    let path = planned.state.rows.get(&operation.id).map(|row| row.path.as_str());
    let (Some(source), Some(path)) = (source, path) else { return "gone".to_owned() };
    let what = match path.rsplit_once('/') {
        Some((_, name)) if name.starts_with("integration.") || name.starts_with("manifest.") => "folder",
        _ => "file",
    };
    if source.snapshot.dirty.iter().any(|edited| edited == path) {
        return format!("{what} gone, uncommitted");
    }
    match source.snapshot.git.as_ref().and_then(|git| git.log(path, 1).into_iter().next()) {
        Some(commit) => {
            format!("{what} gone since {}, {}: \"{}\"", commit.short(), commit.author, commit.subject)
        }
        None => format!("{what} gone"),
    }
}

/// What a guard says of a plan, as the rest of a sentence.
pub fn held_text(planned: &Planned, held: &Held) -> String {
    let Held { reason, message, source: _, deleted, total, limit, frozen: _ } = held;
    match reason {
        HeldReason::PruneLimitExceeded => {
            let noun = if *total == 1 { "integration" } else { "integrations" };
            let (hash, percent) = (planned.plan.short_hash(), held.percent());
            format!(
                "plan {hash} would delete {deleted} of {total} {noun} ({percent}%); pruneLimit is {limit}"
            )
        }
        HeldReason::Frozen => match message.strip_prefix("Frozen ") {
            Some(until) => format!("{} is frozen {until}", planned.plan.environment),
            None => sentence(message),
        },
        HeldReason::ApprovalRequired | HeldReason::ManifestsInvalid => sentence(message),
    }
}

/// In an hour, to the minute: a freeze is lifted for so long where nobody says otherwise.
pub fn in_an_hour() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second() - now.as_second().rem_euclid(60) + 3600).unwrap_or(now)
}

fn refusal(planned: &Planned, held: &Held, environment: &LoadedEnvironment, project: &Project) -> Failure {
    let name = &environment.name;
    match held.reason {
        HeldReason::PruneLimitExceeded => {
            Failure::refused(format!("{}. {}", held_text(planned, held), unwritten(planned)))
                .next("see all of it", format!("sower plan -e {name}{}", flags(planned, project)))
                .next("allow it once", allow(planned, project))
        }
        HeldReason::ApprovalRequired => {
            Failure::refused(format!("{}. {}", held_text(planned, held), unwritten(planned)))
                .next("see all of it", format!("sower plan -e {name}{}", flags(planned, project)))
                .next("allow it once", allow(planned, project))
        }
        HeldReason::Frozen => {
            let place = &environment.path;
            Failure::refused(format!("{}. {}", held_text(planned, held), unwritten(planned)))
                .next("see all of it", format!("sower plan -e {name}{}", flags(planned, project)))
                .next(
                    "lift the freeze",
                    format!(
                        "in {place}, under metadata.annotations: {FREEZE_OVERRIDE}: \"{}\"",
                        in_an_hour()
                    ),
                )
        }
        HeldReason::ManifestsInvalid => {
            let verb = if held.deleted == 1 { "is" } else { "are" };
            Failure::failed(format!(
                "{} of {} manifests {verb} invalid, and {name} is strict. Nothing was written.",
                held.deleted, held.total
            ))
            .next(
                "take the others",
                format!("unset spec.strict in {}", project.place(environment, "/strict")),
            )
        }
    }
}

/// Nothing came of a plan that is held, but that somebody let something of it in.
fn unwritten(planned: &Planned) -> String {
    let by_hand = planned.state.admission.iter().flat_map(|admission| admission.by_hand.keys());
    let let_in = by_hand.filter(|id| planned.plan.operations.iter().any(|operation| operation.id == **id));
    let_in_alone(&let_in.map(String::as_str).collect::<Vec<_>>())
}

/// Nothing was written, but that these were let in.
pub fn let_in_alone(let_in: &[&str]) -> String {
    let (are, come) = if let_in.len() == 1 { ("is", "comes") } else { ("are", "come") };
    match let_in {
        [] => NOTHING_WRITTEN.to_owned(),
        some => format!(
            "No row was written; {} {are} let in, and {come} once nothing holds the plan.",
            changes::some(some.iter().copied(), 20)
        ),
    }
}

/// The command that approves a plan.
fn allow(planned: &Planned, project: &Project) -> String {
    let Plan { environment, .. } = &planned.plan;
    format!("sower apply {} -e {environment}{}", planned.plan.short_hash(), project.settings.given)
}

/// The flags that lead to the plan of this seeding.
fn flags(planned: &Planned, project: &Project) -> String {
    let only =
        planned.plan.scope.iter().map(|ids| ids.iter().map(String::as_str).collect::<Vec<_>>().join(","));
    let only = only.map(|ids| format!(" --only {}", quoted(&ids))).collect::<String>();
    format!("{only}{}", project.settings.given)
}

/// What was refused while the rest came in.
fn refusals(tried: &Tried<'_>, report: &Report, given: &str, style: &Style) -> Exit {
    if report.errors.is_empty() {
        return Exit::Done;
    }
    let foreign = report.errors.iter().filter(|error| error.code == FOREIGN_ROW);
    let foreign: Vec<&str> = foreign.filter_map(|error| error.integration.as_deref()).collect();
    if !foreign.is_empty() {
        let named = changes::some(foreign.iter().copied(), 20);
        style.note(&format!(
            "error[{FOREIGN_ROW}]: rows that Sower did not write hold the ids of {named}: they stay as they are"
        ));
        let name = &report.environment;
        style.hint(&format!(
            "Where they say what git says, take them over: sower adopt DIR -e {name} --dry-run{given}"
        ));
    }
    if report.errors.len() > foreign.len() {
        let whose = if refused(report) - foreign.len() == 1 { "its manifest" } else { "the manifests" };
        let keeps: Vec<String> =
            tried.kept.iter().map(|(id, version)| format!("{id} keeps {version}")).collect();
        let mut told = match keeps.as_slice() {
            [] => "Mend what is refused and seed again: the rest is in.".to_owned(),
            some => {
                let keeps = changes::some(some.iter().map(String::as_str), 20);
                format!("{keeps}. Mend {whose} and seed again: the rest is in.")
            }
        };
        let reading = tried.result.as_ref().ok().and_then(Seeded::planned).map(|planned| &planned.reading);
        let mut found = reading.or(tried.reading.as_ref()).into_iter().flat_map(Reading::found);
        if found.any(|found| found.id.is_none()) {
            told.push_str(" Deletions wait until then: the id of a document cannot be read.");
        }
        style.note(&told);
    }
    Exit::Failed
}

/// Draws every error, with its line as it was read.
pub fn draw(reading: &Reading, style: &Style) {
    for source in &reading.sources {
        let found = source.catalog.found.iter().flat_map(|found| &found.problems);
        let mut errors: Vec<&Problem> = found.filter(|problem| problem.is_error()).collect();
        errors.sort_by_key(|problem| (&problem.file, problem.line, problem.column));
        let last = LastFile::default();
        for problem in errors {
            let excerpt = match &source.snapshot.files {
                Files::Tree(tree) => last.excerpt(tree.as_ref(), problem),
                Files::Unlisted(_) | Files::Listing(_) => None,
            };
            style.note_raw(&problems::drawn_with(problem, excerpt.as_ref(), style.err));
        }
    }
}

/// The warning that no commit will explain these rows.
#[must_use]
pub fn uncommitted(reading: &Reading) -> Option<String> {
    let files: Vec<&str> =
        reading.sources.iter().flat_map(|s| &s.snapshot.dirty).map(String::as_str).collect();
    let noun = if files.len() == 1 { "file" } else { "files" };
    let named = changes::some(files.iter().copied(), 3);
    (!files.is_empty()).then(|| {
        format!("warning: {} uncommitted {noun} ({named}): no commit will explain these rows", files.len())
    })
}
