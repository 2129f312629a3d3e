use jiff::Timestamp;
use serde_json::json;
use sower_core::plan::Content;
use sower_core::rollout::{Event, Progress, Rollout, State};
use sower_core::snapshot::Revision;
use sower_crds::environment::{Counts, Environment, Failure, LastSeeding, PlanStatus};

use super::conditions::find;
use super::*;
use crate::reason::Reason;

pub(crate) fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + minute * 60).expect("a time")
}

fn revision(commit: &str) -> Revision {
    Revision { label: "main".into(), digest: format!("sha1:{commit:0<40}"), dirty: false }
}

pub(crate) fn environment() -> Environment {
    serde_json::from_value(json!({
        "apiVersion": "sower.dev/v1alpha1", "kind": "Environment",
        "metadata": { "namespace": "sower", "name": "production", "generation": 3 },
        "spec": {},
    }))
    .expect("an environment")
}

pub(crate) fn with(environment: &Environment, outcome: &Outcome, minute: i64) -> Environment {
    Environment { status: Some(compose(environment, outcome, at(minute))), ..environment.clone() }
}

/// A rollout of 1.1.0 in place of 1.0.0: 10% for ten minutes, 50% for an hour; in its first step.
pub(crate) fn rollout(integration: &str, state: State) -> Rollout {
    let strategy = json!({ "type": "Staged", "steps": [{ "weight": 10.0, "hold": "10m" }, { "weight": 50.0, "hold": "1h" }] });
    let content = |version: &str| Content { version: version.into(), checksum: format!("v1:{version}") };
    let (step, weight) = if state == State::Pending { (0, 0) } else { (1, 1000) };
    let event = Event { at: at(0), state, step, weight, reason: String::new(), by: None };
    Rollout {
        id: format!("rollout-of-{integration}"),
        environment: "production".into(),
        integration: integration.into(),
        from: content("1.0.0"),
        to: content("1.1.0"),
        variants: Vec::new(),
        salt: "salt".into(),
        step,
        weight,
        state,
        events: vec![event],
        strategy: serde_json::from_value(strategy).expect("a strategy"),
        verdict: None,
        progress: Progress::default(),
        source: "catalog".into(),
        path: format!("{integration}.yaml"),
        revision: "main@sha1:0".into(),
        seeding: "s".into(),
        started_at: at(0),
        step_started_at: at(0),
        due_at: Some(at(1)),
        ended_at: None,
    }
}

fn source(applied: Option<&str>, attempted: Option<&str>) -> Vec<SourceOutcome> {
    vec![SourceOutcome {
        name: "catalog".into(),
        applied: applied.map(revision),
        attempted: attempted.map(revision),
    }]
}

fn seeded(commit: &str, skipped: &[&str]) -> Outcome {
    Outcome {
        sources: source(Some(commit), Some(commit)),
        database_read: true,
        counts: Some(Counts { integrations: 42, ..Counts::default() }),
        failures: Some(Vec::new()),
        conflicts: Some(Conflicts {
            skipped: skipped.iter().map(ToString::to_string).collect(),
            told: Vec::new(),
            unmerged: Vec::new(),
        }),
        ..Outcome::of(Verdict::Seeded)
    }
}

fn failed(reason: Reason, message: &str, secret: Option<&str>) -> Outcome {
    Outcome::of(Verdict::Failed {
        reason,
        message: message.into(),
        detail: None,
        source: Some("catalog".into()),
        secret: secret.map(Into::into),
    })
}

fn invalid() -> Outcome {
    let failure = Failure {
        integration: Some("slack".into()),
        code: "bad-version".into(),
        location: Some("integrations/slack/integration.yaml:6:12".into()),
        message: "`v2.1` is not a semantic version".into(),
        keeps: Some("2.0.3".into()),
    };
    let first = "integrations/slack/integration.yaml:6:12 bad-version".into();
    Outcome {
        verdict: Verdict::Invalid { invalid: 1, total: 43, first },
        failures: Some(vec![failure]),
        ..seeded("9d41e07", &[])
    }
}

/// An integration whose id a row of somebody else's holds.
fn foreign() -> Outcome {
    Outcome {
        verdict: Verdict::Invalid { invalid: 1, total: 0, first: "slack foreign-row".into() },
        ..seeded("9d41e07", &[])
    }
}

fn held() -> Outcome {
    let deleted = ["asana", "bamboohr", "clickup"].map(str::to_owned).into_iter();
    let deleted = deleted.chain((0..11).map(|n| format!("x{n}"))).collect();
    Outcome {
        verdict: Verdict::Held {
            reason: Reason::PruneLimitExceeded,
            message: "Plan 7c1e09b4d2f8 would delete 14 of 42 integrations; pruneLimit is 20%".into(),
            opens: None,
            deleted,
            because: Some("their folders are gone since 9d41e07 (AUTHOR: \"Tidy up\")".into()),
            besides: vec!["~ hubspot 3.1.0 -> 3.2.0".into(), "+ zoom 1.0.0".into()],
        },
        sources: source(Some("3f2c1a9"), Some("9d41e07")),
        plan: Some(PlanStatus {
            hash: "7c1e09b4d2f8".into(),
            create: 0,
            update: 2,
            delete: 14,
            conflicts: 0,
        }),
        ..seeded("3f2c1a9", &[])
    }
}

/// Nothing of this revision is written.
fn strict() -> Outcome {
    let first = "integrations/slack/integration.yaml:6:12 bad-version";
    Outcome {
        verdict: Verdict::Held {
            reason: Reason::ManifestsInvalid,
            message: format!("1 of 43 manifests is invalid: {first}"),
            opens: None,
            deleted: Vec::new(),
            because: None,
            besides: Vec::new(),
        },
        failures: invalid().failures,
        plan: Some(PlanStatus { hash: "7c1e09b4d2f8".into(), create: 0, update: 2, delete: 0, conflicts: 0 }),
        sources: source(Some("3f2c1a9"), Some("9d41e07")),
        ..seeded("3f2c1a9", &[])
    }
}

fn outcomes() -> Vec<Outcome> {
    use Reason::*;
    vec![
        seeded("3f2c1a9", &[]),
        seeded("9d41e07", &["wordpress"]),
        invalid(),
        strict(),
        held(),
        failed(AuthenticationFailed, "Credentials rejected by git.acme.example", Some("partners-git")),
        failed(DatabaseUnavailable, "Database unavailable at db-qa.internal:5432; retrying", None),
        failed(InvalidSpec, "the git URL has no host", None),
        failed(KeptElsewhere, "production in this database is kept by files", None),
        failed(SchemaIncompatible, "the tables are of schema 9; this Sower knows 1", None),
        failed(SourceNotFound, "Branch `main` not found in https://git.acme.example/a.git", None),
        failed(SourceEmpty, "catalog at main@9d41e07 holds no manifest", None),
        failed(FetchFailed, "git.acme.example does not answer: connection refused", None),
        failed(SeedingFailed, "The connection to the database was lost", None),
        Outcome::of(Verdict::Suspended),
    ]
}

#[test]
fn ready_says_what_the_table_of_kubectl_shows() {
    use Reason::*;
    let table = [
        (seeded("3f2c1a9", &[]), "True", "Seeded main@3f2c1a9"),
        (seeded("9d41e07", &["wordpress"]), "True", "Seeded main@9d41e07; 1 conflict skipped"),
        (seeded("9d41e07", &["a", "b"]), "True", "Seeded main@9d41e07; 2 conflicts skipped"),
        (
            invalid(),
            "False",
            "1 of 43 manifests is invalid: integrations/slack/integration.yaml:6:12 bad-version",
        ),
        (held(), "False", "Plan 7c1e09b4d2f8 would delete 14 of 42 integrations; pruneLimit is 20%"),
        (
            failed(AuthenticationFailed, "Credentials rejected by git.acme.example", Some("partners-git")),
            "False",
            "Credentials rejected by git.acme.example (secret partners-git)",
        ),
        (
            failed(DatabaseUnavailable, "Database unavailable at db-qa.internal:5432; retrying", None),
            "False",
            "Database unavailable at db-qa.internal:5432; retrying",
        ),
        (Outcome::of(Verdict::Suspended), "Unknown", "Suspended"),
    ];
    for (outcome, status, message) in table {
        let status_now = compose(&environment(), &outcome, at(0));
        let ready = find(&status_now.conditions, kind::READY).expect("Ready is always there");
        assert_eq!((ready.status.as_str(), ready.message.as_str()), (status, message));
        assert_eq!(ready.reason, outcome.verdict.reason().as_str());
    }
}

/// What kstatus (cli-utils) computes from a status of the current generation.
fn kstatus(environment: &Environment) -> &'static str {
    let status = environment.status.as_ref().expect("a status");
    assert_eq!(status.observed_generation, environment.metadata.generation);
    let is = |kind: &str, value: &str| find(&status.conditions, kind).is_some_and(|c| c.status == value);
    if is(kind::RECONCILING, "True") {
        "InProgress"
    } else if is(kind::STALLED, "True") {
        "Failed"
    } else if is(kind::READY, "True") {
        "Current"
    } else {
        "InProgress"
    }
}

#[test]
fn conditions_keep_their_rules_from_every_status_to_every_other() {
    for first in outcomes() {
        for second in outcomes() {
            let before = with(&environment(), &first, 0);
            let after = with(&before, &second, 5);
            let status = after.status.as_ref().expect("a status");
            let conditions = &status.conditions;
            let find = |kind| find(conditions, kind);
            let ready = find(kind::READY).expect("Ready is always there");
            assert!(!(find(kind::STALLED).is_some() && find(kind::RECONCILING).is_some()), "{conditions:?}");
            for condition in conditions {
                assert!(condition.message.chars().count() <= 100, "{}", condition.message);
                assert_eq!(condition.message.lines().count(), 1, "{condition:?}");
                assert_eq!(conditions.iter().filter(|c| c.type_ == condition.type_).count(), 1);
            }
            for kind in [kind::STALLED, kind::RECONCILING] {
                assert!(find(kind).is_none_or(|c| c.status == "True" && c.reason == ready.reason));
            }
            let expect = match second.verdict.reason().with() {
                crate::reason::With::Stalled => "Failed",
                crate::reason::With::Reconciling => "InProgress",
                crate::reason::With::Neither if ready.status == "True" => "Current",
                crate::reason::With::Neither => "InProgress",
            };
            assert_eq!(kstatus(&after), expect);
            // Said again later, it is the same status, and no news.
            let again = with(&after, &second, 9);
            assert_eq!(again.status, after.status);
            let written = Outcome { written: None, ..second };
            assert_eq!(notices(after.status.as_ref(), status, &written), []);
        }
    }
}

#[test]
fn a_transition_keeps_its_time_while_the_status_stays() {
    let ready = |environment: &Environment| {
        let status = environment.status.as_ref().expect("a status");
        find(&status.conditions, kind::READY).expect("Ready").last_transition_time.0
    };
    let first = with(&environment(), &seeded("3f2c1a9", &[]), 0);
    let second = with(&first, &seeded("9d41e07", &[]), 5);
    assert_eq!(ready(&second), at(0));
    let third = with(&second, &held(), 6);
    assert_eq!(ready(&third), at(6));
    let suspended = with(&second, &Outcome::of(Verdict::Suspended), 7);
    assert_eq!(ready(&suspended), at(0));
    let status = suspended.status.expect("a status");
    let said = find(&status.conditions, kind::READY).expect("Ready");
    assert_eq!((said.status.as_str(), said.message.as_str()), ("True", "Suspended at main@9d41e07"));
}

#[test]
fn what_is_not_known_stays() {
    let first = with(&environment(), &seeded("3f2c1a9", &["wordpress"]), 0);
    let down = failed(Reason::DatabaseUnavailable, "Database unavailable at db:5432; retrying", None);
    let status = with(&first, &down, 1).status.expect("a status");
    assert_eq!(status.revision.as_deref(), Some("main@3f2c1a9"));
    assert_eq!(status.counts.map(|counts| counts.integrations), Some(42));
    assert_eq!(find(&status.conditions, kind::CONFLICT_FREE).map(|c| c.status.as_str()), Some("False"));
    assert_eq!(
        find(&status.conditions, kind::SOURCE_READY).map(|c| c.message.as_str()),
        Some("catalog at main@3f2c1a9")
    );
    assert_eq!(status.next, None);
}

#[test]
fn a_held_plan_is_told_once_and_says_what_to_type() {
    let before = with(&environment(), &seeded("3f2c1a9", &[]), 0);
    let after = with(&before, &held(), 1);
    let status = after.status.as_ref().expect("a status");
    assert_eq!(status.revision.as_deref(), Some("main@3f2c1a9"));
    let attempted = status.last_attempted_revision.as_deref().expect("a revision");
    assert!(attempted.starts_with("main@sha1:9d41e07"), "{attempted}");
    assert_eq!(status.plan.as_ref().map(|plan| plan.delete), Some(14));
    assert_eq!(
        status.next.as_deref(),
        Some("kubectl -n sower annotate --overwrite env/production sower.dev/approve=7c1e09b4d2f8")
    );
    let told = notices(before.status.as_ref(), status, &held());
    assert_eq!(
        told,
        [Notice {
            tone: Tone::Warning,
            reason: "PruneLimitExceeded".into(),
            message:
                "Plan 7c1e09b4d2f8 of main@9d41e07 would delete asana, bamboohr, clickup and 11 more (with \
                      ~ hubspot 3.1.0 -> 3.2.0, + zoom 1.0.0): their folders are gone since 9d41e07 (AUTHOR: \"Tidy up\")"
                    .into(),
        }]
    );
    // Once it is applied, nothing waits any more.
    let applied = with(&after, &seeded("9d41e07", &[]), 2).status.expect("a status");
    assert_eq!((applied.plan, applied.next), (None, None));
}

#[test]
fn a_seeding_and_what_it_refused_are_told() {
    let written =
        LastSeeding { seeding: "production-57".into(), updated: 1, unchanged: 41, ..LastSeeding::default() };
    let outcome = Outcome { written: Some(written), ..invalid() };
    let status = compose(&environment(), &outcome, at(0));
    let told: Vec<String> =
        notices(None, &status, &outcome).into_iter().map(|n| format!("{} {}", n.reason, n.message)).collect();
    assert_eq!(
        told,
        [
            "Seeded Seeding 57 of main@9d41e07: 0 created, 1 updated, 0 deleted, 41 unchanged",
            "ManifestsInvalid integrations/slack/integration.yaml:6:12: bad-version: `v2.1` is not a semantic version; \
             slack keeps 2.0.3",
        ]
    );
    assert_eq!(status.next.as_deref(), Some("sower rule bad-version"));
    let failure = &status.failures[0];
    assert_eq!(
        (failure.message.as_str(), failure.keeps.as_deref()),
        ("`v2.1` is not a semantic version", Some("2.0.3"))
    );
    assert_eq!(status.last_seeding.as_ref().map(|last| last.seeding.as_str()), Some("production-57"));
    // What is not written leaves it as it was.
    let before = Environment { status: Some(status.clone()), ..environment() };
    let later = compose(&before, &seeded("9d41e07", &[]), at(1));
    assert_eq!(later.last_seeding, status.last_seeding);
}

#[test]
fn the_valid_ones_are_in_unless_the_spec_is_strict() {
    for (outcome, waits_for) in [
        (invalid(), "Waits for a push that mends them; the valid ones are in"),
        (foreign(), "Waits for whoever wrote those rows to delete or rename them"),
        (strict(), "Waits for a push that mends them; the spec is strict, so nothing is written until then"),
    ] {
        let status = compose(&environment(), &outcome, at(0));
        assert_eq!(find(&status.conditions, kind::STALLED).map(|c| c.message.as_str()), Some(waits_for));
        assert_eq!(
            find(&status.conditions, kind::READY).map(|c| c.reason.as_str()),
            Some("ManifestsInvalid")
        );
        if !waits_for.contains("rows") {
            assert_eq!(status.next.as_deref(), Some("sower rule bad-version"));
        }
    }
}

#[test]
fn what_is_to_be_typed_names_what_is_to_be_done_first() {
    let next = |outcome: &Outcome| compose(&environment(), outcome, at(0)).next.expect("asked");
    let kept = failed(Reason::KeptElsewhere, "production in this database is kept by files", None);
    assert!(
        next(&kept).ends_with("sower.dev/take-over=true # if it is still there, suspend it there first"),
        "{}",
        next(&kept)
    );
    let message = "The secret db is not there: the database needs its key url".to_owned();
    let missing = Outcome::of(Verdict::Failed {
        reason: Reason::InvalidSpec,
        message: message.clone(),
        detail: None,
        source: None,
        secret: Some("db".into()),
    });
    assert!(next(&missing).contains("create secret generic db --from-literal=url=URL"), "{}", next(&missing));
    // The sources are not to blame.
    let before = with(&environment(), &seeded("3f2c1a9", &[]), 0);
    let status = with(&before, &missing, 1).status.expect("a status");
    assert_eq!(find(&status.conditions, kind::READY).map(|c| c.message.as_str()), Some(message.as_str()));
    assert_eq!(find(&status.conditions, kind::SOURCE_READY).map(|c| c.status.as_str()), Some("True"));
}

#[test]
fn a_forced_reconcile_changes_only_that_it_was_handled() {
    let first = with(&environment(), &seeded("3f2c1a9", &[]), 0);
    let mut asked = first.clone();
    asked.metadata.annotations =
        Some([("sower.dev/requestedAt".to_owned(), "2026-11-21T08:03:48Z".to_owned())].into());
    let handled = compose(&asked, &seeded("3f2c1a9", &[]), at(9));
    let mut expect = first.status.clone().expect("a status");
    expect.last_handled_reconcile_at = Some("2026-11-21T08:03:48Z".into());
    assert_eq!(handled, expect);
}

#[test]
fn at_most_three_names_or_four() {
    let all = ["a", "b", "c", "d", "e"];
    let table = [(1, "a"), (3, "a, b, c"), (4, "a, b, c, d"), (5, "a, b, c and 2 more")];
    for (count, expect) in table {
        assert_eq!(names(&all[..count]), expect);
    }
}
