//! What is new in an outcome, beside what was told last: nothing is said twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sower_controllers::drift::Found;
use sower_controllers::seeding::Seeded;
use sower_core::compare::{Change, summary};
use sower_core::plan::{Conflict, ConflictType, Operation, Plan, Verb};
use sower_core::report::{Failure as Entry, Report};

use super::line::Line;
use crate::commands::seed;
use crate::failure::Exit;
use crate::trouble::Trouble;

/// Integrations that one line names.
const NAMED: usize = 3;

/// What became of one round.
pub struct Outcome {
    /// The seeding, or why there was none.
    pub result: Result<Seeded, Trouble>,
    /// What changed inside the integrations that were updated.
    pub updates: BTreeMap<String, Vec<Change>>,
    /// What drifted; none: not known.
    pub drift: Option<Arc<Found>>,
}

/// What was told last.
#[derive(Debug, Clone, Default)]
pub struct Told {
    revision: String,
    errors: Vec<Entry>,
    conflicts: BTreeSet<(String, ConflictType, Option<String>)>,
    /// Why nothing could be done.
    stopped: Option<String>,
    /// What drifted.
    drift: String,
}

impl Told {
    /// The lines of an outcome, and what was told with them.
    pub fn lines(&mut self, environment: &str, outcome: &Outcome) -> Vec<Line> {
        let before = self.clone();
        self.take_in(outcome);
        let line =
            Line { environment: environment.to_owned(), revision: self.revision.clone(), ..Line::default() };
        let drift = self.new_drift(&before, &line);
        if let Some(stopped) = &self.stopped {
            let new = before.stopped.as_ref() != Some(stopped);
            let stopped = new.then(|| Line { told: stopped.clone(), warns: true, ..line });
            return drift.into_iter().chain(stopped).collect();
        }
        let Ok(seeded) = &outcome.result else { return Vec::new() };
        let (report, mut lines) = (seeded.report(), Vec::from_iter(drift));
        if let Seeded::Applied { planned, .. } = seeded {
            lines.push(Line {
                counts: counts(report),
                told: operations(&planned.plan, &outcome.updates),
                took: Some(report.duration),
                report: Some(Box::new(report.clone())),
                ..line.clone()
            });
        }
        let refused = self.errors.iter().filter(|error| !before.errors.contains(error));
        lines.extend(refusals(refused, seeded).into_iter().map(|told| Line {
            told,
            warns: true,
            ..line.clone()
        }));
        lines.extend(self.new_conflicts(&before, report).map(|told| Line {
            counts: "!".into(),
            told,
            ..line.clone()
        }));
        let differs =
            before.revision != self.revision || before.errors != self.errors || before.stopped.is_some();
        if lines.is_empty() && differs {
            let report = Some(Box::new(report.clone()));
            lines.push(Line { counts: format!("={}", seeded.report().unchanged), report, ..line });
        }
        lines
    }

    fn take_in(&mut self, outcome: &Outcome) {
        if let Some(found) = &outcome.drift {
            self.drift.clone_from(&found.told);
        }
        match &outcome.result {
            Err(trouble) => self.stopped = Some(stopped(trouble)),
            Ok(Seeded::Held { held, planned, .. }) => {
                self.revision = planned.reading.revision_short();
                self.stopped = Some(format!("held: {}", held.message));
            }
            Ok(seeded) => {
                let report = seeded.report();
                self.stopped = None;
                self.revision = seed::revision(seeded);
                self.errors.clone_from(&report.errors);
                self.conflicts = report.conflicts.iter().filter(|c| c.keeps()).map(key).collect();
            }
        }
    }

    /// That rows are not what was seeded, or are again.
    fn new_drift(&self, before: &Self, line: &Line) -> Option<Line> {
        let told = match self.drift.as_str() {
            now if now == before.drift => return None,
            "" => "no drift any more".to_owned(),
            now => format!("drift: {now}"),
        };
        Some(Line { told, warns: !self.drift.is_empty(), ..line.clone() })
    }

    fn new_conflicts(&self, before: &Self, report: &Report) -> impl Iterator<Item = String> {
        let new = |conflict: &&Conflict| {
            let key = key(conflict);
            self.conflicts.contains(&key) && !before.conflicts.contains(&key)
        };
        let told: Vec<String> = report.conflicts.iter().filter(new).map(conflict).collect();
        told.into_iter()
    }
}

/// Why nothing could be done, as a line has it: that nothing was written goes without saying.
fn stopped(trouble: &Trouble) -> String {
    let failure = &trouble.failure;
    let message = [". Nothing was written.", ". Nothing was pruned."]
        .iter()
        .find_map(|end| failure.message.strip_suffix(end))
        .unwrap_or(&failure.message);
    format!("{}: {message}", if failure.exit == Exit::Refused { "refused" } else { "error" })
}

fn key(conflict: &Conflict) -> (String, ConflictType, Option<String>) {
    (conflict.integration.clone(), conflict.kind, conflict.new_version.clone())
}

fn conflict(conflict: &Conflict) -> String {
    let line = crate::output::changes::conflict(conflict);
    line.trim_start_matches("! ").replacen("   ", ": ", 1)
}

/// `+1 ~2 -1`, without what is none.
fn counts(report: &Report) -> String {
    let all = [('+', report.created), ('~', report.updated), ('-', report.deleted)];
    let some = all.iter().filter(|(_, count)| *count > 0).map(|(mark, count)| format!("{mark}{count}"));
    some.collect::<Vec<_>>().join(" ")
}

/// `slack 1.0.1: action post-message; stripe 1.1.0`.
fn operations(plan: &Plan, updates: &BTreeMap<String, Vec<Change>>) -> String {
    let mut told: Vec<String> =
        plan.operations.iter().take(NAMED).map(|operation| one(operation, plan, updates)).collect();
    if plan.operations.len() > NAMED {
        told.push(format!("and {} more", plan.operations.len() - NAMED));
    }
    told.join("; ")
}

fn one(operation: &Operation, plan: &Plan, updates: &BTreeMap<String, Vec<Change>>) -> String {
    let id = &operation.id;
    let version = |content: &Option<sower_core::plan::Content>| content.as_ref().map(|c| c.version.clone());
    let (from, to) = (version(&operation.from), version(&operation.to));
    let named = format!("{id} {}", to.clone().unwrap_or_default());
    match operation.verb {
        Verb::Create => named,
        Verb::Remove => format!("{id} gone"),
        Verb::Move => {
            let path = operation.place.as_ref().map(|place| place.path.as_str()).unwrap_or_default();
            format!("{named}: now in {path}")
        }
        Verb::Update => {
            if operation.from == operation.to {
                return format!("{named}: as it was seeded");
            }
            let inside = updates.get(id).map(|changes| summary(changes)).filter(|text| !text.is_empty());
            let inside = inside.map(|text| format!(": {text}")).unwrap_or_default();
            let taken = |c: &&Conflict| c.integration == *id && c.ends_when_written();
            let why = match plan.conflicts.iter().find(taken) {
                _ if operation.revert => " (a revert)".to_owned(),
                Some(conflict) => {
                    let which = if from == to { "same" } else { "a lower" };
                    format!(" ({which} version: {})", conflict.resolution.as_str())
                }
                None => String::new(),
            };
            format!("{named}{inside}{why}")
        }
    }
}

/// What is refused: one line an integration, with its first problem.
fn refusals<'a>(errors: impl Iterator<Item = &'a Entry>, seeded: &Seeded) -> Vec<String> {
    let kept = seeded.planned().map(|planned| planned.plan.kept.as_slice()).unwrap_or_default();
    let mut seen = BTreeSet::new();
    let mut lines = Vec::new();
    for error in errors {
        let at = error.location.as_deref().unwrap_or_default();
        let file = at.rsplitn(3, ':').last().unwrap_or(at);
        let whose = error.integration.clone().unwrap_or_else(|| file.to_owned());
        if !seen.insert(whose) {
            continue;
        }
        let what = match &error.integration {
            Some(id) if kept.iter().any(|kept| kept.id == *id && kept.version.is_some()) => {
                format!("{id} keeps its rows")
            }
            Some(id) => format!("{id} is refused"),
            None => "nothing is pruned until its id can be read".to_owned(),
        };
        lines.push(if at.is_empty() {
            format!("{what}: {}", error.message)
        } else {
            format!("{what}: {at} {}", error.code)
        });
    }
    lines
}
