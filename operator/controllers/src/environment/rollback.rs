//! `sower.dev/rollback`: obeyed once, whoever leads and however often the annotation is applied again.
//!
//! What was asked is noted as answered by the transaction that does it. So a process that dies before the status is
//! written, and one that leads after it, find the answer in the database and only tell it.

use std::time::Instant;

use kube::ResourceExt as _;
use sower_core::report::Outcome as Ended;
use sower_core::rollback::Request;
use sower_crds::environment::{LastSeeding, RollbackStatus};
use sower_crds::{Environment, ROLLBACK, ROLLED_BACK_BY};
use sower_store::{HandledRollback, Store};

use super::approving::asker;
use crate::metrics::EnvironmentLabels;
use crate::reason::Reason;
use crate::seeding::{Rollback, RollbackError, RolledBack, Seeder, SeedingError};
use crate::status::RollbackOutcome;
use crate::term::Term;

/// As much of an annotation as the CRD takes into a status, in characters.
pub(super) const LONGEST: usize = 256;
/// As much of a name as a reason tells, in characters.
const LONGEST_NAME: usize = 100;

/// Does what the annotation asks for, unless it was done; none: there is nothing to tell. What cannot be had is an answer,
/// too: the seeding goes on as before.
///
/// # Errors
/// Where the database does not answer, or it is no longer this process that writes: nothing was written then.
pub async fn obey(
    seeder: &Seeder,
    environment: &Environment,
    store: &Store,
    keeper: &str,
    epoch: Option<i64>,
    term: &Term,
) -> Result<Option<RollbackOutcome>, SeedingError> {
    let told = environment.status.as_ref().and_then(|status| status.rollback.as_ref());
    let name = environment.name_any();
    let Some(asked) = asked(environment) else {
        if told.is_none() && term.has_forgotten(store, &name, ROLLBACK) {
            return Ok(None);
        }
        // The same may be asked again from now on.
        forget(store, &name, keeper, epoch).await?;
        term.note_forgotten(store, &name, ROLLBACK, true);
        return Ok(told.map(|_| RollbackOutcome::default()));
    };
    term.note_forgotten(store, &name, ROLLBACK, false);
    if told.is_some_and(|told| told.last_handled == asked) {
        return Ok(None);
    }
    let Some(row) = store.environment(&name).await? else { return Ok(None) };
    if let Some(handled) = row.rollback.filter(|handled| handled.request == asked) {
        return Ok(Some(told_as(status(handled))));
    }
    let started = Instant::now();
    let labels = EnvironmentLabels::of(keeper, &name);
    let request = match Request::parse(&asked) {
        Ok(request) => request,
        // It is refused with its own words.
        Err(_) => Request { integration: None, to: Some(asked.clone()) },
    };
    let integration = request.integration.clone();
    let rollback = Rollback {
        environment: name.clone(),
        spec: environment.spec.clone(),
        keeper: keeper.to_owned(),
        epoch,
        request,
        by: by(environment),
        asked: Some(asked.clone()),
    };
    let done = seeder.roll_back(store, &rollback).await;
    let ended = match &done {
        Ok(RolledBack::Applied { .. }) => Ended::Completed,
        Ok(RolledBack::Unchanged { .. } | RolledBack::AskedBack(_)) => Ended::Unchanged,
        Err(_) => Ended::Failed,
    };
    seeder.count_rollback(&labels, ended, started.elapsed());
    match done {
        Ok(done) => {
            let message = done.told(&name, integration.as_deref());
            tracing::info!(request = asked, "{message}");
            let told =
                RollbackStatus { last_handled: asked, seeding: done.seeding(), message, failed: false };
            Ok(Some(RollbackOutcome { told: Some(told), written: written(&done) }))
        }
        Err(RollbackError::Impossible(why)) => {
            tracing::warn!(request = asked, "no rollback: {why}");
            let failed = RollbackStatus { last_handled: asked, seeding: None, message: why, failed: true };
            Ok(Some(told_as(failed)))
        }
        Err(RollbackError::Seeding(error)) => Err(error),
    }
}

/// Whether a rollback waits for the environment to be taken over: the seeding does that.
#[must_use]
pub fn waits_for_take_over(error: &SeedingError, take_over: bool) -> bool {
    take_over && error.reason == Reason::KeptElsewhere
}

async fn forget(store: &Store, name: &str, keeper: &str, epoch: Option<i64>) -> Result<(), SeedingError> {
    let row = store.environment(name).await?;
    let ours = |row: &sower_store::EnvironmentRow| row.keeper.as_deref() == Some(keeper);
    if row.filter(ours).is_some_and(|row| row.rollback.is_some()) {
        let mut fence = store.claim_under(name, keeper, false, epoch).await?;
        fence.epoch = epoch.unwrap_or(fence.epoch);
        store.note_rollback(&fence, None).await?;
    }
    Ok(())
}

/// Whether the annotation asks for something that the status does not answer yet.
#[must_use]
pub fn is_asked(environment: &Environment) -> bool {
    let told = environment.status.as_ref().and_then(|status| status.rollback.as_ref());
    asked(environment).is_some_and(|asked| told.is_none_or(|told| told.last_handled != asked))
}

/// What the annotation holds, if it asks for anything.
fn asked(environment: &Environment) -> Option<String> {
    let value = environment.annotations().get(ROLLBACK)?.trim();
    (!value.is_empty()).then(|| value.chars().take(LONGEST).collect())
}

/// Who asks, for people.
fn by(environment: &Environment) -> String {
    name_of(asker(environment, ROLLBACK, ROLLED_BACK_BY))
}

/// A name for people; that of the annotation itself where nobody is named.
pub(super) fn name_of(asker: Option<String>) -> String {
    let name = asker.unwrap_or_default();
    let name: String = name.chars().filter(|c| !c.is_control()).take(LONGEST_NAME).collect();
    if name.trim().is_empty() { "annotation".to_owned() } else { name.trim().to_owned() }
}

fn told_as(status: RollbackStatus) -> RollbackOutcome {
    RollbackOutcome { told: Some(status), written: None }
}

fn written(done: &RolledBack) -> Option<LastSeeding> {
    let RolledBack::Applied { report, .. } = done else { return None };
    let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    Some(LastSeeding {
        seeding: report.seeding.clone()?,
        created: number(report.created),
        updated: number(report.updated),
        staged: 0,
        given_up: 0,
        deleted: number(report.deleted),
        unchanged: number(report.unchanged),
        actions_created: number(report.actions_created),
        triggers_created: number(report.triggers_created),
        connections_created: number(report.connections_created),
    })
}

fn status(handled: HandledRollback) -> RollbackStatus {
    let HandledRollback { request, seeding, message, failed } = handled;
    RollbackStatus { last_handled: request, seeding, message, failed }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn environment(metadata: serde_json::Value) -> Environment {
        serde_json::from_value(json!({
            "apiVersion": "sower.dev/v1alpha1", "kind": "Environment", "metadata": metadata, "spec": {},
        }))
        .expect("an environment")
    }

    #[test]
    fn who_asks_is_named_or_owns_the_field() {
        let owned = json!({
            "name": "e", "annotations": { ROLLBACK: "57" },
            "managedFields": [
                { "manager": "argocd", "fieldsV1": { "f:spec": {} } },
                { "manager": "flux", "fieldsV1": { "f:metadata": { "f:annotations": { "f:sower.dev/rollback": {} } } } },
            ],
        });
        assert_eq!(by(&environment(owned.clone())), "flux");
        let mut named = owned;
        named["annotations"][ROLLED_BACK_BY] = json!("jane\n");
        assert_eq!(by(&environment(named.clone())), "flux", "somebody else's name was left behind");
        named["managedFields"][1]["fieldsV1"]["f:metadata"]["f:annotations"]["f:sower.dev/rolled-back-by"] =
            json!({});
        assert_eq!(by(&environment(named)), "jane");
        assert_eq!(by(&environment(json!({ "name": "e", "annotations": { ROLLBACK: "57" } }))), "annotation");
    }

    #[test]
    fn an_empty_annotation_asks_for_nothing() {
        for (value, expect) in [(json!(""), None), (json!(" "), None), (json!(" 57 "), Some("57"))] {
            let environment = environment(json!({ "name": "e", "annotations": { ROLLBACK: value } }));
            assert_eq!(asked(&environment).as_deref(), expect);
        }
        let long = environment(json!({ "name": "e", "annotations": { ROLLBACK: "x".repeat(300) } }));
        assert_eq!(asked(&long).map(|asked| asked.len()), Some(LONGEST));
    }
}
