//! What becomes of the rows when an Environment goes: under `deletionPolicy: Delete` a finalizer waits for their
//! deletion, else they stay. The finalizer never stands in the way of a namespace that goes.

use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use serde_json::json;
use sower_crds::Environment;
use sower_crds::environment::DeletionPolicy;

use super::{Context, dereference};
use crate::reason::Reason;
use crate::secrets::PATIENCE;
use crate::seeding::{Kind, SeedingError};
use crate::status::{Notice, Tone};

/// The finalizer.
pub const FINALIZER: &str = "sower.dev/rows";

/// How a reconcile goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// As ever.
    Reconcile,
    /// Nothing is left to do, or not for this process.
    Gone,
    /// The rows could not be deleted now.
    Again(Kind),
}

/// What is to be done about the finalizer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Duty {
    Nothing,
    Add,
    Remove,
    DeleteRows,
    Leave,
}

/// Keeps the finalizer as the policy says; with a deletion under way, deletes the rows and releases it.
///
/// # Errors
/// Where the API server does not answer.
pub async fn finalizer(context: &Context, environment: &Environment) -> Result<Next, kube::Error> {
    match duty(environment) {
        Duty::Nothing => Ok(Next::Reconcile),
        Duty::Add => {
            let mut all = environment.finalizers().to_vec();
            all.push(FINALIZER.to_owned());
            set(context, environment, &all).await.map(|()| Next::Reconcile)
        }
        Duty::Remove => release(context, environment).await.map(|()| after_release(environment)),
        Duty::Leave => Ok(Next::Gone),
        Duty::DeleteRows => delete(context, environment).await,
    }
}

fn duty(environment: &Environment) -> Duty {
    let has = environment.finalizers().iter().any(|name| name == FINALIZER);
    let wants = environment.spec.deletion_policy == DeletionPolicy::Delete;
    match (environment.metadata.deletion_timestamp.is_some(), has, wants) {
        (true, false, _) => Duty::Leave,
        (true, true, true) => Duty::DeleteRows,
        (_, true, false) => Duty::Remove,
        (false, false, true) => Duty::Add,
        (false, true, true) | (false, false, false) => Duty::Nothing,
    }
}

/// Without the finalizer one that goes is gone: it is not seeded once more.
fn after_release(environment: &Environment) -> Next {
    if environment.metadata.deletion_timestamp.is_some() { Next::Gone } else { Next::Reconcile }
}

async fn delete(context: &Context, environment: &Environment) -> Result<Next, kube::Error> {
    let events = &context.shared.events;
    let deleted = rows(context, environment).await;
    let stay = |error: &SeedingError| {
        matches!(error.reason, Reason::AuthenticationFailed | Reason::InvalidSpec | Reason::KeptElsewhere)
    };
    let going = match &deleted {
        Err(error) if !stay(error) => events.is_going(environment).await,
        _ => false,
    };
    if context.term.lost.is_cancelled() {
        // Whoever leads now finds what is left to do, and says it.
        return Ok(Next::Gone);
    }
    match deleted {
        Ok(()) => tracing::info!("deleted the rows of this environment"),
        Err(error) => {
            tracing::warn!(reason = %error.reason, going, "the rows are not deleted: {}", error.full());
            if !stay(&error) && !going {
                return Ok(Next::Again(error.kind));
            }
            let message = format!("The rows stay: {}", error.full());
            events
                .say(environment, &[Notice { tone: Tone::Warning, reason: "RowsRetained".into(), message }])
                .await;
        }
    }
    release(context, environment).await.map(|()| Next::Gone)
}

/// Deletes what Sower wrote for this environment, if this one seeds it.
async fn rows(context: &Context, environment: &Environment) -> Result<(), SeedingError> {
    let shared = &context.shared;
    let (namespace, name) = (environment.namespace().unwrap_or_default(), environment.name_any());
    let (database, migrate) = dereference::database(&shared.client, environment, &shared.rules).await?;
    let store = shared.stores.open(&namespace, &name, database, migrate).await?;
    let keeper = dereference::keeper(environment, &shared.rules.cluster_name);
    let row = store.environment(&name).await.map_err(SeedingError::from).inspect_err(|error| {
        if error.tables_gone {
            shared.stores.reopen(&namespace, &name);
        }
    });
    let Some(row) = row? else { return Ok(()) };
    if row.keeper.as_ref().is_some_and(|other| *other != keeper) {
        let (environment, keeper) = (name, row.keeper.unwrap_or_default());
        return Err(sower_store::StoreError::KeptElsewhere { environment, keeper }.into());
    }
    let epoch = context.term.epoch(&store, &name, &keeper, false).await?;
    let mut fence = store.claim_under(&name, &keeper, false, epoch).await?;
    fence.epoch = epoch.unwrap_or(fence.epoch);
    store.delete_environment(&fence).await?;
    context.term.forget(&store, &name, &keeper).await;
    Ok(())
}

async fn release(context: &Context, environment: &Environment) -> Result<(), kube::Error> {
    let others: Vec<String> =
        environment.finalizers().iter().filter(|name| *name != FINALIZER).cloned().collect();
    set(context, environment, &others).await
}

/// Sets the finalizers, if nobody changed the object meanwhile.
async fn set(context: &Context, environment: &Environment, finalizers: &[String]) -> Result<(), kube::Error> {
    let namespace = environment.namespace().unwrap_or_default();
    let patch = json!({
        "metadata": { "finalizers": finalizers, "resourceVersion": environment.metadata.resource_version },
    });
    let api: Api<Environment> = Api::namespaced(context.shared.client.clone(), &namespace);
    let name = environment.name_any();
    let params = PatchParams::default();
    match tokio::time::timeout(PATIENCE, api.patch_metadata(&name, &params, &Patch::Merge(&patch))).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(kube::Error::Api(status))) if status.code == 404 => Ok(()),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(kube::Error::Service("no answer in time".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finalizer_is_there_under_delete_alone() {
        use Duty::{Add, DeleteRows, Leave, Nothing, Remove};
        let table = [
            (false, false, "Retain", Nothing),
            (false, true, "Retain", Remove),
            (false, false, "Delete", Add),
            (false, true, "Delete", Nothing),
            (true, false, "Retain", Leave),
            (true, true, "Retain", Remove),
            (true, false, "Delete", Leave),
            (true, true, "Delete", DeleteRows),
        ];
        for (going, has, policy, expect) in table {
            let mut metadata = json!({ "namespace": "n", "name": "e" });
            if going {
                metadata["deletionTimestamp"] = json!("2026-11-21T14:00:00Z");
            }
            if has {
                metadata["finalizers"] = json!(["other", FINALIZER]);
            }
            let environment: Environment = serde_json::from_value(json!({
                "apiVersion": "sower.dev/v1alpha1", "kind": "Environment", "metadata": metadata,
                "spec": { "deletionPolicy": policy },
            }))
            .expect("an environment");
            assert_eq!(duty(&environment), expect, "going {going}, finalizer {has}, {policy}");
            assert_eq!(after_release(&environment) == Next::Gone, going);
        }
    }
}
