//! A command to a rollout in a cluster: an annotation asks the operator, its status answers.

use jiff::Timestamp;
use kube::ResourceExt as _;
use kube::api::{Patch, PatchParams};
use kube::runtime::wait::await_condition;
use serde_json::json;
use sower_core::rollout::Command;
use sower_crds::environment::RolloutCommandStatus;
use sower_crds::period::parse;
use sower_crds::{Environment, EnvironmentStatus, REQUESTED_AT, ROLLOUT, ROLLOUT_BY};

use super::change::{Came, Given, where_it_is};
use crate::choice::Asked;
use crate::cli::RolloutChangeArgs;
use crate::cluster::Cluster;
use crate::commands::Context;
use crate::commands::seed::refusal;
use crate::failure::Failure;
use crate::output::progress::Progress;

/// Asks the operator, and waits for its answer.
///
/// # Errors
/// Usage, and where the API server or the operator does not answer, or the rollout cannot do that.
pub async fn ask(args: &RolloutChangeArgs, given: &Given, context: &Context) -> Result<Came, Failure> {
    let waiting = args.timeout.as_deref().unwrap_or("5m");
    let timeout = parse(waiting).map_err(|bad| Failure::usage(format!("--timeout: {bad}")))?;
    let cluster = Cluster::connect(&args.at).await?;
    let asked = Asked { environment: args.environment.as_deref(), all: false };
    let chosen = cluster.to_change(&given.typed(), asked).await?;
    let [environment] = chosen.as_slice() else { return Err(Failure::usage("which environment?")) };
    let name = environment.name_any();
    let style = &context.style;
    style.hint(&cluster.from());
    // The time makes it another command than the same one before.
    let token = Timestamp::now().to_string();
    let wish = written(&given.integration, given.command, &token);
    let annotations = json!({ ROLLOUT: wish, ROLLOUT_BY: given.by, REQUESTED_AT: token });
    let patch = Patch::Merge(json!({ "metadata": { "annotations": annotations } }));
    let patched = cluster.api().patch(&name, &PatchParams::default(), &patch).await;
    patched.map_err(|error| cluster.failed(&error))?;
    if args.no_wait {
        return Ok(Came::Asked(name));
    }
    style.hint("asked the operator; waiting");
    let progress = Progress::start(style, "the operator is at it");
    let api = cluster.api();
    let handled =
        |found: Option<&Environment>| answer(found, &wish).is_some() || in_vain(found, &token).is_some();
    let waited = tokio::select! {
        waited = tokio::time::timeout(timeout, await_condition(api, &name, handled)) => waited,
        () = context.cancel.cancelled() => {
            drop(progress);
            style.note("No longer waiting: the operator goes on by itself.");
            return Ok(Came::Interrupted);
        }
    };
    drop(progress);
    let flags = &cluster.flags;
    let found = match waited {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => {
            return Err(Failure::failed(format!("the operator's answer cannot be read: {error}")));
        }
        Err(_) => {
            return Err(Failure::failed(format!("the operator did not answer within {waiting}"))
                .next("is it there?", format!("kubectl{flags} get pods"))
                .next("where it stands", format!("sower status -e {name}{flags}")));
        }
    };
    match (answer(found.as_ref(), &wish), in_vain(found.as_ref(), &token)) {
        (Some(RolloutCommandStatus { message, failed: false, .. }), _) => {
            Ok(Came::Done { environment: name, message: message.clone() })
        }
        (Some(RolloutCommandStatus { message, failed: true, .. }), _) => {
            let failure = Failure::failed(format!("{message}. Nothing was written."));
            Err(where_it_is(failure, given, &name, flags))
        }
        (None, Some(status)) => {
            let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready");
            let reason = ready.map(|ready| ready.reason.clone()).unwrap_or_default();
            Err(refusal(&name, &reason, status, &cluster))
        }
        // The resource is gone.
        (None, None) => Err(Failure::failed(format!("{name} is gone"))),
    }
}

/// What the annotation says: what comes after the blank is no part of the command.
fn written(integration: &str, command: Command, token: &str) -> String {
    format!("{integration}={} {token}", command.as_str())
}

/// What came of the command, once it was obeyed.
fn answer<'a>(found: Option<&'a Environment>, wish: &str) -> Option<&'a RolloutCommandStatus> {
    let answer = found?.status.as_ref()?.rollout_command.as_ref()?;
    (answer.last_handled == wish).then_some(answer)
}

/// The operator has looked since, and could not come to it.
fn in_vain<'a>(found: Option<&'a Environment>, token: &str) -> Option<&'a EnvironmentStatus> {
    let status = found?.status.as_ref()?;
    let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready");
    let stopped = ready.is_some_and(|ready| ready.status != "True" || ready.reason == "Suspended");
    (status.last_handled_reconcile_at.as_deref() == Some(token) && stopped).then_some(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(status: serde_json::Value) -> Environment {
        serde_json::from_value(json!({
            "apiVersion": "sower.dev/v1alpha1", "kind": "Environment", "metadata": { "name": "e" }, "spec": {},
            "status": status,
        }))
        .expect("an environment")
    }

    #[test]
    fn an_answer_is_that_to_this_command() {
        let wish = written("stripe", Command::Abort, "2026-11-21T14:05:00Z");
        assert_eq!(wish, "stripe=abort 2026-11-21T14:05:00Z");
        let status =
            |handled: &str| json!({ "rolloutCommand": { "lastHandled": handled, "message": "Aborted" } });
        let (other, this) = (environment(status("stripe=abort 1")), environment(status(&wish)));
        assert_eq!(answer(Some(&other), &wish), None);
        assert_eq!(answer(Some(&this), &wish).map(|answer| answer.message.as_str()), Some("Aborted"));
        assert_eq!(answer(None, &wish), None);
    }

    #[test]
    fn who_could_not_come_to_it_has_looked_since() {
        let status = |token: &str, ready: &str, reason: &str| {
            environment(json!({ "lastHandledReconcileAt": token, "conditions": [{
                "type": "Ready", "status": ready, "reason": reason, "message": "m", "lastTransitionTime": "2026-11-21T14:05:00Z",
            }] }))
        };
        for (found, expect) in [
            (status("1", "False", "DatabaseUnavailable"), false),
            (status("2", "False", "DatabaseUnavailable"), true),
            (status("2", "True", "Suspended"), true),
            (status("2", "True", "Seeded"), false),
        ] {
            assert_eq!(in_vain(Some(&found), "2").is_some(), expect);
        }
    }
}
