//! What the status of an Environment says of how it stands, and what is asked beside it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use kube::Api;
use kube::api::ListParams;
use sower_core::report::Failure as Entry;
use sower_crds::environment::{Counts, EnvironmentStatus, PlanStatus};

use super::{Condition, LAST, Stage, Standing, to_approve};
use crate::session::{Member, Session};

/// How an environment stands that has a resource.
pub(super) fn of(session: &Session, member: &Member, status: EnvironmentStatus) -> Standing {
    let EnvironmentStatus {
        conditions,
        observed_generation: _,
        approval: _,
        revision,
        last_attempted_revision: _,
        last_applied_revision,
        sources: _,
        last_handled_reconcile_at: _,
        rollback: _,
        rollout_command: _,
        rollouts,
        waiting,
        plan,
        last_seeding: _,
        counts,
        conflicts: _,
        notifications: _,
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
        needs: needs(session, member, &ready, plan.as_ref(), next),
        kept_elsewhere: false,
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
        rollouts,
        counts,
        waiting,
        stage: Stage::default(),
        seedings: Vec::new(),
    }
}

/// What to type for an environment of a cluster.
fn needs(
    session: &Session,
    member: &Member,
    ready: &Condition,
    plan: Option<&PlanStatus>,
    next: Option<String>,
) -> Vec<(String, String)> {
    let at = session.cluster.as_ref().map(|cluster| cluster.flags_to(member)).unwrap_or_default();
    let mut needs = Vec::new();
    match ready.reason.as_str() {
        reason @ ("PruneLimitExceeded" | "ApprovalRequired") => {
            needs.extend(to_approve(reason, member.name(), plan, &at));
        }
        "ManifestsInvalid" => {
            needs.extend(next.map(|next| (next, "what it means, and how to mend it".to_owned())))
        }
        "AuthenticationFailed" => needs.extend(next.map(|next| (next, "renew the credentials".to_owned()))),
        _ => needs.extend(next.map(|next| (next, "unblock it".to_owned()))),
    }
    needs
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
