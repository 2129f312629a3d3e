//! How an environment stands: in a cluster as its status says, with files as its rows say.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use kube::Api;
use kube::api::ListParams;
use serde::Deserialize;
use sower_controllers::reason::Reason;
use sower_controllers::seeding::Trouble;
use sower_core::manifest::LoadedEnvironment;
use sower_core::plan::Conflict;
use sower_core::report::Failure as Entry;
use sower_core::snapshot::{full_revision, short_revision};
use sower_crds::environment::{Counts, EnvironmentSpec, EnvironmentStatus, PlanStatus};
use sower_store::{EnvironmentRow, Listed, LogStatus, Logged};

use crate::commands::seed::FOREIGN_ROW;
use crate::environments::Broken;
use crate::failure::Failure;
use crate::output::document::Fields;
use crate::session::{Member, Session};

/// Seedings that are looked at.
const LAST: u32 = 5;

/// How an environment stands.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    /// Its name.
    pub environment: String,
    /// Its namespace; empty with files.
    pub namespace: String,
    /// True, False or Unknown.
    pub ready: String,
    /// Why, in one word.
    pub reason: String,
    /// Why, in a sentence.
    pub message: String,
    /// What is applied, for people; `-` for nothing.
    pub revision: String,
    /// What is applied, for programs.
    pub full_revision: Option<String>,
    /// Number of integrations; `-` where it is not known.
    pub integrations: String,
    /// Number of open conflicts.
    pub conflicts: String,
    /// When rows were written last.
    pub seeded_at: Option<Timestamp>,
    /// What holds of it, worst first.
    pub conditions: Vec<Condition>,
    /// What was refused.
    pub failures: Vec<Entry>,
    /// The plan that waits.
    pub plan: Option<PlanStatus>,
    /// What it holds, and what it does not.
    pub counts: Option<Counts>,
    /// What to type, and what for.
    pub needs: Vec<(String, String)>,
    /// The last seedings, where the database can be read.
    pub seedings: Vec<Logged>,
}

/// Something that holds, or does not.
#[derive(Debug, Clone)]
pub struct Condition {
    /// What.
    pub kind: String,
    /// True, False or Unknown.
    pub status: String,
    /// Why, in one word.
    pub reason: String,
    /// Why, in a sentence.
    pub message: String,
    /// Since when, where it is known.
    pub since: Option<Timestamp>,
}

impl Condition {
    /// The worst first: what stalls, what is not ready, what is being tried, what is well.
    fn rank(&self) -> u8 {
        match (self.kind.as_str(), self.status.as_str()) {
            ("Ready", "True") => 4,
            ("Ready", _) => 0,
            ("Stalled", "True") => 1,
            ("Reconciling", "True") => 2,
            (_, "False") => 3,
            _ => 5,
        }
    }
}

/// What the writer of an environment's row notes of its outcome.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Noted {
    conflicts: Vec<Conflict>,
    failures: Vec<Entry>,
    processed: usize,
    excluded: usize,
    invalid: usize,
    trouble: Option<Trouble>,
}

/// How one environment stands.
///
/// # Errors
/// With files, where the database does not answer.
pub async fn of(session: &Session, member: &Member) -> Result<Standing, Failure> {
    let mut standing = match &member.resource {
        Some(resource) => {
            session.say_from(None, false);
            of_status(session, member, resource.status.clone().unwrap_or_default())
        }
        None => of_rows(session, member).await?,
    };
    standing.conditions.sort_by_key(Condition::rank);
    Ok(standing)
}

/// How an environment stands that is there in files and cannot be read: its rows may be there.
pub async fn of_broken(session: &Session, broken: &Broken) -> Standing {
    let loaded = LoadedEnvironment {
        name: broken.name.clone(),
        spec: EnvironmentSpec::default(),
        path: broken.path.clone(),
        document: 0,
        lines: BTreeMap::new(),
    };
    let rows = of_rows(session, &Member { loaded, resource: None }).await;
    let mut standing = rows.unwrap_or_else(|_| Standing {
        environment: broken.name.clone(),
        revision: "-".into(),
        integrations: "-".into(),
        conflicts: "-".into(),
        ..Standing::default()
    });
    standing.ready = "False".into();
    standing.reason = Reason::InvalidSpec.as_str().to_owned();
    standing.message = format!("Cannot be read: {}", broken.problem);
    standing.needs = vec![("sower validate".to_owned(), "see what is wrong".to_owned())];
    for ready in standing.conditions.iter_mut().filter(|condition| condition.kind == "Ready") {
        ready.status.clone_from(&standing.ready);
        ready.reason.clone_from(&standing.reason);
        ready.message.clone_from(&standing.message);
        ready.since = None;
    }
    standing
}

/// Adds the last seedings of a resource's environment, where its database was named: nothing is waited for otherwise.
pub async fn add_seedings(session: &Session, member: &Member, standing: &mut Standing) {
    let reachable =
        session.settings.database.value.is_some() || std::env::var_os("SOWER_DATABASE_SECRET").is_some();
    if member.resource.is_none() || !reachable {
        return;
    }
    let Ok(store) = session.store(member).await else { return };
    if let Ok(Some(row)) = store.environment(member.name()).await {
        standing.seeded_at = row.seeded_at;
    }
    standing.seedings = store.history(Some(member.name()), LAST).await.unwrap_or_default();
}

/// When the resources were seeded last, as far as events still tell.
pub async fn add_events(session: &Session, standings: &mut [Standing]) {
    let Some(cluster) = &session.cluster else { return };
    let api: Api<Event> = cluster.api();
    let wanted = ListParams::default().fields("reason=Seeded,involvedObject.kind=Environment").limit(1000);
    let Ok(events) = cluster.answered(api.list(&wanted)).await else { return };
    let mut latest: BTreeMap<(String, String), Timestamp> = BTreeMap::new();
    for event in events {
        let at = event
            .series
            .and_then(|series| series.last_observed_time.map(|time| time.0))
            .or(event.last_timestamp.map(|time| time.0))
            .or(event.event_time.map(|time| time.0));
        let object = event.involved_object;
        if let (Some(at), Some(namespace), Some(name)) = (at, object.namespace, object.name) {
            let known = latest.entry((namespace, name)).or_insert(at);
            *known = at.max(*known);
        }
    }
    for standing in standings {
        let key = (standing.namespace.clone(), standing.environment.clone());
        standing.seeded_at = standing.seeded_at.or_else(|| latest.get(&key).copied());
    }
}

fn of_status(session: &Session, member: &Member, status: EnvironmentStatus) -> Standing {
    let EnvironmentStatus {
        conditions,
        observed_generation: _,
        revision,
        last_attempted_revision: _,
        last_applied_revision,
        sources: _,
        last_handled_reconcile_at: _,
        plan,
        counts,
        next,
        failures,
    } = status;
    let conditions: Vec<Condition> = conditions
        .into_iter()
        .map(|condition| Condition {
            kind: condition.type_,
            status: condition.status,
            reason: condition.reason,
            message: condition.message,
            since: Some(condition.last_transition_time.0),
        })
        .collect();
    let ready = conditions.iter().find(|condition| condition.kind == "Ready").cloned();
    let ready = ready.unwrap_or(Condition {
        kind: "Ready".into(),
        status: "Unknown".into(),
        reason: String::new(),
        message: "No operator has looked at it yet".into(),
        since: None,
    });
    let counted = |of: fn(&Counts) -> i32| {
        counts.as_ref().map_or_else(|| "-".to_owned(), |counts| of(counts).to_string())
    };
    let failures: Vec<Entry> = failures
        .into_iter()
        .map(|f| Entry { integration: f.integration, code: f.code, location: f.location, message: f.message })
        .collect();
    Standing {
        environment: member.name().to_owned(),
        namespace: member.namespace().to_owned(),
        needs: needs(session, member, &ready, next),
        ready: ready.status,
        reason: ready.reason,
        message: ready.message,
        revision: revision.unwrap_or_else(|| "-".to_owned()),
        full_revision: last_applied_revision,
        integrations: counted(|counts| counts.integrations),
        conflicts: counted(|counts| counts.conflicts),
        seeded_at: None,
        conditions,
        failures,
        plan,
        counts,
        seedings: Vec::new(),
    }
}

/// What to type for an environment of a cluster.
fn needs(
    session: &Session,
    member: &Member,
    ready: &Condition,
    next: Option<String>,
) -> Vec<(String, String)> {
    let at = session.cluster.as_ref().map(|cluster| cluster.flags_to(member)).unwrap_or_default();
    let plan = format!("sower plan -e {}{at}", member.name());
    let mut needs = Vec::new();
    match ready.reason.as_str() {
        "PruneLimitExceeded" => {
            needs.push((plan, "see what would go".to_owned()));
            needs.extend(next.map(|next| (next, "allow it".to_owned())));
        }
        "ManifestsInvalid" => {
            needs.extend(next.map(|next| (next, "what it means, and how to mend it".to_owned())))
        }
        "AuthenticationFailed" => needs.extend(next.map(|next| (next, "renew the credentials".to_owned()))),
        _ => needs.extend(next.map(|next| (next, "unblock it".to_owned()))),
    }
    needs
}

/// Sower wrote the row, and keeps it.
#[must_use]
pub fn is_ours(row: &Listed) -> bool {
    row.checksum.is_some()
}

async fn of_rows(session: &Session, member: &Member) -> Result<Standing, Failure> {
    let store = session.rows(member).await?;
    let failed = |error: sower_store::StoreError| session.trouble(&error.into(), member);
    let name = member.name();
    let row = store.environment(name).await.map_err(failed)?;
    let seedings = store.history(Some(name), LAST).await.map_err(failed)?;
    let carried =
        store.integrations(Some(name)).await.map_err(failed)?.iter().filter(|row| is_ours(row)).count();
    let conflicts = store.open_conflicts(Some(name)).await.map_err(failed)?;
    let noted: Noted =
        row.as_ref().and_then(|row| serde_json::from_value(row.summary.clone()).ok()).unwrap_or_default();
    let mut standing = Standing {
        environment: name.to_owned(),
        integrations: carried.to_string(),
        conflicts: conflicts.len().to_string(),
        revision: row
            .as_ref()
            .map(|row| short_revision(row.revisions()))
            .filter(|r| !r.is_empty())
            .unwrap_or_else(|| "-".into()),
        full_revision: row.as_ref().map(|row| full_revision(row.revisions())).filter(|r| !r.is_empty()),
        seeded_at: row.as_ref().and_then(|row| row.seeded_at),
        counts: Some(Counts {
            integrations: count(carried),
            conflicts: count(conflicts.len()),
            excluded: count(noted.excluded),
            invalid: count(noted.invalid),
        }),
        ..Standing::default()
    };
    judge(&mut standing, member, row.as_ref(), &noted, seedings.first());
    standing.seedings = seedings;
    let ready = Condition {
        kind: "Ready".into(),
        status: standing.ready.clone(),
        reason: standing.reason.clone(),
        message: standing.message.clone(),
        since: noted.trouble.as_ref().map(|trouble| trouble.since).or(standing.seeded_at),
    };
    let first = conflicts.iter().map(|open| open.since).min();
    let named: Vec<&str> = conflicts.iter().map(|open| open.conflict.integration.as_str()).collect();
    let free = Condition {
        kind: "ConflictFree".into(),
        status: if conflicts.is_empty() { "True" } else { "False" }.into(),
        reason: if conflicts.is_empty() { "NoConflicts" } else { "ConflictsSkipped" }.into(),
        message: match conflicts.len() {
            0 => "No conflicts".to_owned(),
            several => format!(
                "{} open: {}",
                counted(several, "conflict"),
                sower_core::conflict::listed(named, several)
            ),
        },
        since: first.or(standing.seeded_at),
    };
    standing.failures = noted.failures;
    standing.conditions = vec![ready, free];
    Ok(standing)
}

/// Ready and its reason, from the rows.
fn judge(
    standing: &mut Standing,
    member: &Member,
    row: Option<&EnvironmentRow>,
    noted: &Noted,
    last: Option<&Logged>,
) {
    let name = member.name();
    let at = standing.revision.clone();
    let skipped = noted
        .conflicts
        .iter()
        .filter(|conflict| conflict.resolution == sower_core::plan::Resolution::Skip)
        .count();
    let failed = last.filter(|last| last.status == LogStatus::Failed);
    let (ready, reason, message) = if member.loaded.spec.suspend {
        ("True", "Suspended", format!("Suspended at {at}"))
    } else if let Some(failed) = failed {
        standing.needs.push((format!("sower seed -e {name}"), "try again".to_owned()));
        let why = failed.errors.first().map_or("the last seeding failed", |error| error.message.as_str());
        ("False", "SeedingFailed", why.to_owned())
    } else if row.is_none_or(|row| row.applied.is_empty()) {
        standing.needs.push((format!("sower seed -e {name}"), "seed it".to_owned()));
        ("Unknown", "", "Not seeded yet".to_owned())
    } else if let Some(Trouble { reason, message, .. }) = &noted.trouble {
        let next = match reason.as_str() {
            "PruneLimitExceeded" => (format!("sower plan -e {name}"), "see what would go".to_owned()),
            "ManifestsInvalid" => ("sower validate".to_owned(), "see what is wrong".to_owned()),
            _ => ("sower doctor".to_owned(), "see what is in the way".to_owned()),
        };
        standing.needs.push(next);
        ("False", reason.as_str(), message.clone())
    } else if let Some(first) = noted.failures.first() {
        let (foreign, refused): (Vec<&Entry>, Vec<&Entry>) =
            noted.failures.iter().partition(|failure| failure.code == FOREIGN_ROW);
        if !refused.is_empty() {
            standing.needs.push(("sower validate".to_owned(), "see what is wrong".to_owned()));
        }
        for id in foreign.iter().filter_map(|failure| failure.integration.as_deref()) {
            standing
                .needs
                .push((format!("sower explain {id} -e {name}"), "see what stands in its way".to_owned()));
        }
        let place = first.location.clone().or_else(|| first.integration.clone()).unwrap_or_default();
        let total = noted.processed + noted.excluded + noted.invalid;
        let told = match noted.invalid {
            0 => format!("{} refused", counted(noted.failures.len(), "integration")),
            1 => format!("1 of {} is invalid", counted(total, "manifest")),
            several => format!("{several} of {} are invalid", counted(total, "manifest")),
        };
        ("False", "ManifestsInvalid", format!("{told}: {place} {}", first.code))
    } else if skipped > 0 {
        ("True", "Seeded", format!("Seeded {at}; {} skipped", counted(skipped, "conflict")))
    } else {
        ("True", "Seeded", format!("Seeded {at}"))
    };
    standing.ready = ready.to_owned();
    standing.reason = reason.to_owned();
    standing.message = message;
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

fn count(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

impl Standing {
    /// For programs.
    #[must_use]
    pub fn described(&self) -> Fields {
        let conditions: Vec<Fields> = self
            .conditions
            .iter()
            .map(|condition| {
                Fields::default()
                    .with("type", &condition.kind)
                    .with("status", &condition.status)
                    .with("reason", &condition.reason)
                    .with("message", &condition.message)
                    .with("lastTransitionTime", condition.since)
            })
            .collect();
        let next: Vec<&str> = self.needs.iter().map(|(command, _)| command.as_str()).collect();
        Fields::default()
            .with("environment", &self.environment)
            .with("namespace", Some(&self.namespace).filter(|namespace| !namespace.is_empty()))
            .with("ready", &self.ready)
            .with("reason", &self.reason)
            .with("status", &self.message)
            .with("revision", &self.full_revision)
            .with("integrations", self.integrations.parse::<u64>().ok())
            .with("conflicts", self.conflicts.parse::<u64>().ok())
            .with("seededAt", self.seeded_at)
            .with("counts", self.counts)
            .with("plan", &self.plan)
            .with("conditions", conditions)
            .with("failures", &self.failures)
            .with("next", next)
    }
}
