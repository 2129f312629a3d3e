//! What the operator's answer tells, as its status says it.

mod record;

use std::collections::BTreeSet;

use sower_controllers::reason::Reason;
use sower_core::report::{Report, begun};
use sower_crds::environment::LastSeeding;
use sower_crds::{Condition, EnvironmentStatus, FREEZE_OVERRIDE};

use super::told::{in_an_hour, is_whole_file};
use super::{FOREIGN_ROW, for_people};
use crate::cli::Format;
use crate::cluster::Cluster;
use crate::commands::Context;
use crate::failure::{Exit, Failure};
use crate::output::{changes, time};
use crate::standing::{IN_A_STATUS, unlisted};
use crate::trouble::{NOTHING_WRITTEN, sentence};
use record::report;

/// The reasons that a guard gives.
const GUARDS: [Reason; 6] = [
    Reason::PruneLimitExceeded,
    Reason::ApprovalRequired,
    Reason::Frozen,
    Reason::KeptElsewhere,
    Reason::Suspended,
    Reason::DependencyNotReady,
];
/// The guards that hold a plan: what waits is known.
const LOOKED: [Reason; 4] =
    [Reason::PruneLimitExceeded, Reason::ApprovalRequired, Reason::Frozen, Reason::DependencyNotReady];
/// The guards that an approval answers.
const APPROVABLE: [Reason; 2] = [Reason::PruneLimitExceeded, Reason::ApprovalRequired];

/// What the operator answered.
pub struct Answer {
    /// The status before it was asked.
    pub before: EnvironmentStatus,
    /// The status that answers.
    pub after: EnvironmentStatus,
    /// What its event says of a plan that waits.
    pub gone: Option<String>,
    /// How long it took.
    pub milliseconds: u64,
}

impl Answer {
    /// What was written since it was asked.
    fn seeding(&self) -> Option<&LastSeeding> {
        let last = self.after.last_seeding.as_ref();
        last.filter(|_| last != self.before.last_seeding.as_ref())
    }

    /// Those of the integrations that were to be let in of which neither something came nor waits, as far as the status tells:
    /// the operator looked, and wrote nothing.
    pub fn of_which_nothing_came<'a>(&self, ids: &'a [String]) -> impl Iterator<Item = &'a str> {
        let counted = self.after.counts.map_or(0, |counts| number(counts.waiting));
        let looked = matches!(End::of(&self.after), End::Seeded | End::Invalid)
            || ready(&self.after).is_some_and(|ready| LOOKED.iter().any(|one| one.as_str() == ready.reason));
        let tells = looked && self.seeding().is_none() && counted <= self.after.waiting.len();
        let waits: BTreeSet<String> = self.after.waiting.iter().map(|one| one.integration.clone()).collect();
        ids.iter().filter(move |id| tells && !waits.contains(*id)).map(String::as_str)
    }

    /// The same of the plan that was applied: what waits since is another matter.
    pub fn of_what_was_applied(mut self) -> Self {
        let guards = GUARDS.map(Reason::as_str);
        let ready = self.after.conditions.iter_mut().find(|condition| condition.type_ == "Ready");
        if let Some(ready) = ready.filter(|ready| guards.contains(&ready.reason.as_str())) {
            ready.reason = Reason::Seeded.as_str().to_owned();
            self.after.plan = None;
        }
        self
    }

    /// Integrations that are carried as the sources have them: those refused that keep rows are not.
    fn processed(&self) -> usize {
        let counts = self.after.counts.unwrap_or_default();
        let keeping = self.after.failures.iter().filter(|failure| failure.keeps.is_some());
        let kept: BTreeSet<&str> = keeping.filter_map(|failure| failure.integration.as_deref()).collect();
        // What is not listed is taken to keep rows: a manifest breaks more often than a broken one comes.
        let unlisted = number(counts.invalid).saturating_sub(self.after.failures.len());
        number(counts.integrations).saturating_sub(kept.len() + unlisted)
    }
}

fn number(value: i32) -> usize {
    usize::try_from(value).unwrap_or(0)
}

/// How the operator's answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Rows are what the sources say.
    Seeded,
    /// Some manifests are refused; the rest is in.
    Invalid,
    /// Some manifests are refused; the spec is strict, so nothing is in.
    Strict,
    /// Something else stands in the way.
    Refused,
}

impl End {
    fn of(status: &EnvironmentStatus) -> Self {
        let reason = ready(status).map(|ready| ready.reason.as_str()).unwrap_or_default();
        if reason == Reason::Seeded.as_str() {
            Self::Seeded
        } else if reason != Reason::ManifestsInvalid.as_str() {
            Self::Refused
        } else if status.plan.is_some() {
            // A plan in the status is one that waits.
            Self::Strict
        } else {
            Self::Invalid
        }
    }
}

fn ready(status: &EnvironmentStatus) -> Option<&Condition> {
    status.conditions.iter().find(|condition| condition.type_ == "Ready")
}

/// `Plan 7c1e09b4d2f8 of main@9d41e07 would delete asana and 13 more: their folders are gone since 9d41e07 (AUTHOR: "Tidy up")`
/// as the last line of a list of changes.
fn deletions(message: &str) -> Option<String> {
    let (_, rest) = message.strip_prefix("Plan ")?.split_once(" would delete ")?;
    let (names, why) = rest.split_once(": ").unwrap_or((rest, ""));
    let (names, with) = names.split_once(" (with ").unwrap_or((names, ""));
    let with: String = with
        .trim_end_matches(')')
        .split(", ")
        .filter(|line| !line.is_empty())
        .map(|line| format!("{line}\n"))
        .collect();
    let why = why.replacen("their folders are gone", "folders gone", 1);
    let why = why.replacen("its folder is gone", "folder gone", 1);
    let why = match why.split_once(" (") {
        Some((since, author)) => format!("{since}, {}", author.trim_end_matches(')')),
        None => why,
    };
    let why = if why.is_empty() { why } else { format!(" ({why})") };
    Some(format!("{with}- {names}{why}"))
}

/// Tells the answer of one environment; its record and its exit status. `unwritten` says in a sentence what came of what is
/// refused, where that is more than nothing.
pub fn tell(
    name: &str,
    answer: &Answer,
    cluster: &Cluster,
    format: Format,
    unwritten: Option<&str>,
    context: &Context,
) -> (Report, Exit) {
    let (style, after) = (&context.style, &answer.after);
    let end = End::of(after);
    if matches!(end, End::Seeded | End::Invalid) && for_people(format) {
        style.say(&line(name, answer));
    }
    if let Some(orphaned) = after.counts.map(|counts| counts.orphaned).filter(|orphaned| *orphaned > 0) {
        let flags = &cluster.flags;
        style.hint(&format!("Orphaned, and kept: {orphaned}; which: sower plan -e {name}{flags}"));
    }
    if let Some(kept) = after.counts.map(|counts| counts.prune_disabled).filter(|kept| *kept > 0) {
        let flags = &cluster.flags;
        style.hint(&format!("Gone, and kept by sower.dev/prune: {kept}; which: sower plan -e {name}{flags}"));
    }
    if matches!(end, End::Invalid | End::Strict) {
        for failure in &after.failures {
            let at = failure.location.as_deref().map(|at| format!("{at}: ")).unwrap_or_default();
            style.note(&format!("{at}error[{}]: {}", failure.code, failure.message));
        }
        let listed = after.failures.iter();
        let listed = listed.map(|f| (f.integration.as_deref(), f.code.as_str(), f.location.as_deref()));
        if let Some(more) = unlisted(listed, after.counts.unwrap_or_default().invalid, IN_A_STATUS) {
            style.note(&more);
        }
    }
    let exit = match end {
        End::Seeded => Exit::Done,
        End::Invalid => {
            style.note("Mend what is refused, and push: the rest is in.");
            Exit::Failed
        }
        End::Strict => {
            let failure = strict(name, after, &cluster.flags);
            style.note(&failure.text());
            failure.exit
        }
        End::Refused => {
            if for_people(format) {
                let gone = answer.gone.as_deref().and_then(deletions);
                style.say(&gone.map(|line| line + "\n").unwrap_or_default());
            }
            let reason = ready(after).map(|ready| ready.reason.as_str()).unwrap_or_default();
            let mut failure = refusal(name, reason, after, cluster);
            if let Some(unwritten) = unwritten {
                for nothing in ["Nothing was pruned.", NOTHING_WRITTEN] {
                    failure.message = failure.message.replacen(nothing, unwritten, 1);
                }
            }
            style.note(&failure.text());
            failure.exit
        }
    };
    (report(name, answer, exit), exit)
}

fn line(name: &str, answer: &Answer) -> String {
    let Answer { before, after, gone: _, milliseconds } = answer;
    let counts = after.counts.unwrap_or_default();
    let aside =
        after.failures.iter().filter(|f| f.code == FOREIGN_ROW || is_whole_file(f.location.as_deref()));
    let besides = changes::besides(number(counts.conflicts), number(counts.invalid) + aside.count());
    let besides = besides + &changes::quarantined(number(counts.quarantined));
    let revision = after.revision.clone().unwrap_or_default();
    match answer.seeding() {
        Some(LastSeeding { seeding, created, updated, staged, given_up, deleted, unchanged, .. }) => {
            let seq = seeding.rsplit('-').next().unwrap_or(seeding);
            let took = time::took(*milliseconds);
            let counted =
                format!("{created} created, {updated} updated, {deleted} deleted, {unchanged} unchanged");
            let rollouts = begun(number(*staged)) + &sower_core::report::given_up(number(*given_up));
            format!("Seeded {name} at {revision} (seeding {seq}): {counted}{rollouts}{besides} in {took}\n")
        }
        None => {
            let moved = before.last_applied_revision != after.last_applied_revision;
            let is = if moved { "is now" } else { "is" };
            format!("Nothing to do: {name} {is} at {revision} ({} unchanged{besides})\n", answer.processed())
        }
    }
}

/// As with files: what is valid waits for the rest.
fn strict(name: &str, after: &EnvironmentStatus, flags: &str) -> Failure {
    let message = ready(after).map(|ready| ready.message.as_str()).unwrap_or_default();
    let told = message.split_once(": ").map_or(message, |(told, _)| told);
    let failure = Failure::failed(format!("{told}, and {name} is strict. Nothing was written."));
    let unset =
        format!("kubectl{flags} patch env/{name} --type=merge -p '{{\"spec\":{{\"strict\":false}}}}'");
    match &after.next {
        Some(next) => failure.next("what it means", next.clone()),
        None => failure,
    }
    .next("take the others", unset)
}

/// A guard holds what was asked for, or something is in its way: as the status says it.
pub fn refusal(name: &str, reason: &str, after: &EnvironmentStatus, cluster: &Cluster) -> Failure {
    let flags = &cluster.flags;
    let message = ready(after).map_or("The operator says nothing of it", |ready| ready.message.as_str());
    let told = match message.strip_prefix("Credentials rejected by ") {
        Some(rest) => {
            let (host, secret) = rest.split_once(" (secret ").unwrap_or((rest, ""));
            let secret = secret.trim_end_matches(')');
            let secret = match secret.is_empty() {
                true => String::new(),
                false => format!(" (secret {}/{secret})", cluster.namespace),
            };
            format!("{host} rejected the credentials of {name}{secret}")
        }
        None => match message.strip_prefix("Frozen ") {
            Some(until) => format!("{name} is frozen {until}"),
            None => with_percent(&sentence(message)),
        },
    };
    let mut failure = match GUARDS.map(Reason::as_str).contains(&reason) {
        true => Failure::refused(format!("{told}. Nothing was written.")),
        false if reason == Reason::DatabaseUnavailable.as_str() => {
            return Failure::failed(format!("{told}. Nothing was written."))
                .next("check it", format!("sower doctor{flags}"));
        }
        false => Failure::failed(format!("{told}. Nothing was pruned.")),
    };
    let approvable = APPROVABLE.map(Reason::as_str).contains(&reason);
    if approvable || reason == Reason::Frozen.as_str() {
        failure = failure.next("see all of it", format!("sower plan -e {name}{flags}"));
    }
    if let (true, Some(plan)) = (approvable, &after.plan) {
        return failure.next("allow it once", format!("sower apply {} -e {name}{flags}", plan.hash));
    }
    let label = match reason {
        "AuthenticationFailed" => "renew them",
        "KeptElsewhere" => "take it over",
        _ => "then",
    };
    match &after.next {
        Some(next) => failure.next(label, next.clone()),
        None if reason == Reason::Frozen.as_str() => {
            let until = in_an_hour();
            let lift = format!("kubectl{flags} annotate --overwrite env/{name} {FREEZE_OVERRIDE}={until}");
            failure.next("lift the freeze", lift)
        }
        None => failure.next("see more", format!("sower status -e {name}{flags}")),
    }
}

/// `would delete 14 of 42 integrations` with the share that is.
fn with_percent(told: &str) -> String {
    let share = || {
        let (_, rest) = told.split_once(" would delete ")?;
        let (gone, rest) = rest.split_once(" of ")?;
        let (all, _) = rest.split_once(' ')?;
        (gone.parse::<usize>().ok()? * 100).checked_div(all.parse().ok()?)
    };
    match share() {
        Some(percent) => told.replacen("; ", &format!(" ({percent}%); "), 1),
        None => told.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use sower_core::report::Outcome;

    use super::*;

    #[test]
    fn what_is_refused_and_keeps_its_rows_is_not_unchanged() {
        let status = |integrations: i32, invalid: i32, failures: serde_json::Value| -> EnvironmentStatus {
            serde_json::from_value(serde_json::json!({
                "counts": { "integrations": integrations, "conflicts": 0, "excluded": 0, "invalid": invalid },
                "failures": failures,
            }))
            .expect("a status")
        };
        let failure = |id: &str, keeps: Option<&str>| serde_json::json!({ "integration": id, "code": "bad-version", "message": "no", "keeps": keeps });
        let ash = failure("ash", Some("1.0.0"));
        for (after, expect) in [
            (status(5, 0, serde_json::json!([])), 5),
            (status(5, 2, serde_json::json!([ash, ash])), 4),
            (status(5, 2, serde_json::json!([ash, failure("new", None)])), 4),
            (status(5, 4, serde_json::json!([ash, failure("new", None)])), 2),
        ] {
            let answer = Answer { before: after.clone(), after, gone: None, milliseconds: 1 };
            assert_eq!(answer.processed(), expect, "{:?}", answer.after);
        }
    }

    #[test]
    fn a_seeding_is_told_from_one_that_was_before() {
        let status = |seeding: &str| EnvironmentStatus {
            last_seeding: Some(LastSeeding { seeding: seeding.into(), updated: 1, ..LastSeeding::default() }),
            ..EnvironmentStatus::default()
        };
        let answer = |before: &str, after: &str| Answer {
            before: status(before),
            after: status(after),
            gone: None,
            milliseconds: 84,
        };
        assert_eq!(answer("production-57", "production-57").seeding(), None);
        let report = report("production", &answer("production-57", "production-58"), Exit::Done);
        assert_eq!((report.status, report.updated), (Outcome::Completed, 1));
        assert_eq!(report.seeding.as_deref(), Some("production-58"));
    }

    #[test]
    fn under_strict_nothing_is_said_to_be_in() {
        let status = |plan: serde_json::Value| -> EnvironmentStatus {
            serde_json::from_value(serde_json::json!({
                "conditions": [{
                    "type": "Ready", "status": "False", "reason": "ManifestsInvalid",
                    "message": "1 of 2 manifests is invalid: integrations/oak/integration.yaml:3:10 bad-version",
                    "lastTransitionTime": "2026-11-21T14:00:00Z",
                }],
                "plan": plan, "next": "sower rule bad-version",
            }))
            .expect("a status")
        };
        assert_eq!(End::of(&status(serde_json::Value::Null)), End::Invalid);
        let held = status(
            serde_json::json!({ "hash": "7c1e09b4d2f8", "create": 0, "update": 1, "delete": 0, "conflicts": 0 }),
        );
        assert_eq!(End::of(&held), End::Strict);
        assert_eq!(
            strict("production", &held, " -n sower").text(),
            "error: 1 of 2 manifests is invalid, and production is strict. Nothing was written.\n  \
             what it means:    sower rule bad-version\n  \
             take the others:  kubectl -n sower patch env/production --type=merge -p '{\"spec\":{\"strict\":false}}'\n"
        );
        let answer = Answer { before: held.clone(), after: held, gone: None, milliseconds: 1 };
        let report = report("production", &answer, Exit::Failed);
        assert_eq!((report.status, report.errors[0].code.as_str()), (Outcome::Refused, "ManifestsInvalid"));
    }

    #[test]
    fn a_held_plan_is_reported_as_with_files() {
        let held: EnvironmentStatus = serde_json::from_value(serde_json::json!({
            "conditions": [{
                "type": "Ready", "status": "False", "reason": "PruneLimitExceeded",
                "message": "Plan 7c1e09b4d2f8 would delete 14 of 42 integrations; pruneLimit is 20%",
                "lastTransitionTime": "2026-11-21T14:00:00Z",
            }],
            "plan": { "hash": "7c1e09b4d2f8", "create": 1, "update": 2, "delete": 14, "conflicts": 1 },
            "counts": { "integrations": 42, "conflicts": 1, "excluded": 0, "invalid": 0 },
            "lastAttemptedRevision": "main@sha1:9d41e07b2f6c5a3e1d8b4c7f9a0e2d6b8c1f3a57",
            "lastAppliedRevision": "main@sha1:3f2c1a9d4be87c60f15a29e3b7d8c4f1a6e05b92",
        }))
        .expect("a status");
        let attempted = held.last_attempted_revision.clone();
        let answer = Answer { before: held.clone(), after: held, gone: None, milliseconds: 1 };
        let report = report("production", &answer, Exit::Refused);
        assert_eq!((report.status, report.revision), (Outcome::Refused, attempted));
        assert_eq!((report.integrations_processed, report.unchanged, report.deleted), (29, 25, 0));
        let codes: Vec<&str> = report.errors.iter().map(|error| error.code.as_str()).collect();
        assert_eq!(codes, ["PruneLimitExceeded"]);
    }

    #[test]
    fn the_event_of_a_held_plan_tells_what_would_go() {
        let message = "Plan 7c1e09b4d2f8 of main@9d41e07 would delete asana, bamboohr, clickup and 11 more: \
                       their folders are gone since 9d41e07 (AUTHOR: \"Tidy up\")";
        let line = "- asana, bamboohr, clickup and 11 more (folders gone since 9d41e07, AUTHOR: \"Tidy up\")";
        assert_eq!(deletions(message).as_deref(), Some(line));
        let message = message.replace("11 more:", "11 more (with ~ hubspot 3.1.0 -> 3.2.0, + zoom 1.0.0):");
        let lines = format!("~ hubspot 3.1.0 -> 3.2.0\n+ zoom 1.0.0\n{line}");
        assert_eq!(deletions(&message), Some(lines));
        assert_eq!(
            with_percent("plan 7c1e09b4d2f8 would delete 14 of 42 integrations; pruneLimit is 20%"),
            "plan 7c1e09b4d2f8 would delete 14 of 42 integrations (33%); pruneLimit is 20%"
        );
        assert_eq!(with_percent("kept; elsewhere"), "kept; elsewhere");
    }
}
