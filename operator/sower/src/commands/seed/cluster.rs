//! `sower seed` in a cluster: an annotation asks the operator, its status answers.

use std::time::{Duration, Instant};

use futures::future::join_all;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use kube::api::{ListParams, Patch, PatchParams};
use kube::runtime::wait::await_condition;
use kube::{Api, ResourceExt as _};
use serde_json::json;
use sower_controllers::reason::Reason;
use sower_core::resolution::write_once;
use sower_crds::environment::ApprovalResult;
use sower_crds::period::parse;
use sower_crds::{Environment, EnvironmentStatus, REQUESTED_AT, RESOLVE, TAKE_OVER};

use super::answer::{self, Answer};
use super::{for_people, once};
use crate::choice::Asked;
use crate::cli::SeedArgs;
use crate::cluster::Cluster;
use crate::commands::Context;
use crate::failure::{Exit, Failure};
use crate::output::document;
use crate::output::progress::Progress;
use crate::settings::Settings;
use crate::trouble::Trouble;

/// How long, and how far apart, the event of a held plan is looked for: it comes after the status that it goes with.
const EVENT_LIMIT: Duration = Duration::from_secs(5);
const EVENT_PAUSE: Duration = Duration::from_millis(50);

/// Asks the operator to seed, and waits for it.
///
/// # Errors
/// Usage, and where the API server does not answer; what befalls an environment is printed with the others.
pub async fn seed(args: &SeedArgs, _: &Settings, context: &Context) -> Result<Exit, Failure> {
    let resolve = once(args)?;
    for (set, flag) in [(!args.only.is_empty() && resolve.is_empty(), "--only"), (args.reseed, "--reseed")] {
        if set {
            return Err(Failure::usage(format!(
                "{flag} is for files: an operator is asked by {REQUESTED_AT}, {TAKE_OVER} and {RESOLVE} alone"
            )));
        }
    }
    let timeout = parse(waiting(args)).map_err(|bad| Failure::usage(format!("--timeout: {bad}")))?;
    let cluster = Cluster::connect(&args.at).await?;
    let asked = Asked { environment: args.environment.as_deref(), all: args.all };
    let chosen = cluster.to_change("seed", asked).await?;
    let style = &context.style;
    style.hint(&cluster.from());
    if !args.no_wait {
        style.hint("asked the operator; waiting (fetch, plan, apply)");
    }
    let progress = Progress::start(style, "the operator is at it");
    let mut annotations = json!({});
    if args.take_over {
        annotations[TAKE_OVER] = json!("true");
    }
    if !resolve.is_empty() {
        annotations[RESOLVE] = json!(write_once(&resolve));
    }
    let request = Request { annotations, timeout, waiting: waiting(args), no_wait: args.no_wait, plan: None };
    let asking = join_all(chosen.iter().map(|environment| ask(&cluster, environment, &request)));
    let answers = tokio::select! {
        answers = asking => answers,
        () = context.cancel.cancelled() => {
            drop(progress);
            style.note("No longer waiting: the operator goes on by itself.");
            return Ok(Exit::Interrupted);
        }
    };
    drop(progress);
    let mut exit = Exit::Done;
    let mut reports = Vec::new();
    for (environment, answer) in chosen.iter().zip(answers) {
        let name = environment.name_any();
        match answer {
            Ok(Some(answer)) => {
                let (report, ended) = answer::tell(&name, &answer, &cluster, args.output, None, context);
                exit = exit.worse(ended);
                reports.push(report);
            }
            Ok(None) => {
                if for_people(args.output) {
                    style.say(&format!("Asked the operator to seed {name}\n"));
                }
            }
            Err(trouble) => {
                style.note(&trouble.failure.text());
                exit = exit.worse(trouble.failure.exit);
                reports.push(trouble.report(&name, 0));
            }
        }
    }
    document::write_each(style, args.output, args.environment.is_some(), &reports)?;
    Ok(exit)
}

/// How long the operator is waited for.
fn waiting(args: &SeedArgs) -> &str {
    args.timeout.as_deref().unwrap_or("5m")
}

/// What to type next, with the flags that lead to this cluster.
pub fn with_flags(mut failure: Failure, flags: &str) -> Failure {
    for (_, command) in failure.next.iter_mut().filter(|(_, command)| command.starts_with("sower ")) {
        command.push_str(flags);
    }
    failure
}

/// What an operator is asked for.
pub struct Request<'a> {
    /// The annotations that ask, but for the one that asks for any answer.
    pub annotations: serde_json::Value,
    /// How long it is waited for.
    pub timeout: Duration,
    /// The same, as it was said.
    pub waiting: &'a str,
    /// It is not waited for.
    pub no_wait: bool,
    /// The plan that is approved: that it was applied is an answer, whatever was asked since.
    pub plan: Option<&'a str>,
}

impl Request<'_> {
    fn is_applied(&self, found: &Environment, before: &EnvironmentStatus) -> bool {
        let approval = found.status.as_ref().and_then(|status| status.approval.as_ref());
        let news = approval.filter(|_| approval != before.approval.as_ref());
        news.is_some_and(|news| {
            Some(news.plan.as_str()) == self.plan && news.result == ApprovalResult::Applied
        })
    }
}

/// Asks the operator of an environment, and waits for its answer.
///
/// # Errors
/// Where the API server or the operator does not answer, and where the environment is suspended.
pub async fn ask(
    cluster: &Cluster,
    environment: &Environment,
    request: &Request<'_>,
) -> Result<Option<Answer>, Trouble> {
    let name = environment.name_any();
    let flags = &cluster.flags;
    if environment.spec.suspend {
        let failure = Failure::refused(format!("{name} is suspended. Nothing was written."))
            .next("go on", format!("sower resume -e {name}{flags}"));
        return Err(Trouble::of(Reason::Suspended, failure));
    }
    let started = Instant::now();
    let token = Timestamp::now().to_string();
    let mut annotations = request.annotations.clone();
    annotations[REQUESTED_AT] = json!(token);
    let patch = Patch::Merge(json!({ "metadata": { "annotations": annotations } }));
    let failed = |error: kube::Error| Trouble::of(Reason::SeedingFailed, cluster.failed(&error));
    let asked = cluster.api().patch(&name, &PatchParams::default(), &patch).await.map_err(failed)?;
    if request.no_wait {
        return Ok(None);
    }
    let before = asked.status.unwrap_or_default();
    let handled = |found: Option<&Environment>| {
        found.is_some_and(|found| is_handled(found, &before) || request.is_applied(found, &before))
    };
    let after = match tokio::time::timeout(request.timeout, await_condition(cluster.api(), &name, handled))
        .await
    {
        Ok(Ok(found)) => found.and_then(|found| found.status).unwrap_or_default(),
        Ok(Err(error)) => {
            let failure = Failure::failed(format!("the operator's answer cannot be read: {error}"));
            return Err(Trouble::of(Reason::SeedingFailed, failure));
        }
        Err(_) => {
            let failure = Failure::failed(format!("the operator did not answer within {}", request.waiting))
                .next("is it there?", format!("kubectl{flags} get pods"))
                .next("where it stands", format!("sower status -e {name}{flags}"));
            return Err(Trouble::of(Reason::SeedingFailed, failure));
        }
    };
    let milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    // Of a plan that waits for an approval alone, the event names no deletions.
    let prunes = after
        .conditions
        .iter()
        .any(|c| c.type_ == "Ready" && c.reason == Reason::PruneLimitExceeded.as_str());
    let gone = match after.plan.as_ref().filter(|plan| plan.delete > 0 && prunes) {
        Some(plan) => told_of_plan(cluster, environment, &plan.hash).await,
        None => None,
    };
    Ok(Some(Answer { before, after, gone, milliseconds }))
}

/// The operator has done what was asked last: by us, or by somebody who asked after us.
fn is_handled(found: &Environment, before: &EnvironmentStatus) -> bool {
    let handled = found.status.as_ref().and_then(|status| status.last_handled_reconcile_at.as_ref());
    handled.is_some()
        && handled != before.last_handled_reconcile_at.as_ref()
        && handled == found.annotations().get(REQUESTED_AT)
}

/// What the event of a plan says that waits, where it is not forgotten.
async fn told_of_plan(cluster: &Cluster, environment: &Environment, hash: &str) -> Option<String> {
    let uid = environment.metadata.uid.as_deref().unwrap_or_default();
    let events: Api<Event> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let params = ListParams::default().fields(&format!("involvedObject.uid={uid}"));
    let beginning = format!("Plan {hash} of ");
    let deadline = Instant::now() + EVENT_LIMIT;
    loop {
        let mut messages =
            events.list(&params).await.ok()?.items.into_iter().filter_map(|event| event.message);
        match messages.rfind(|message| message.starts_with(&beginning)) {
            None if Instant::now() < deadline => tokio::time::sleep(EVENT_PAUSE).await,
            told => return told,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asked_first_hears_what_was_done_for_who_asked_last() {
        let found = |requested: &str, handled: Option<&str>| -> Environment {
            serde_json::from_value(json!({
                "apiVersion": "sower.dev/v1alpha1", "kind": "Environment",
                "metadata": { "name": "e", "annotations": { "sower.dev/requestedAt": requested } },
                "spec": {}, "status": { "lastHandledReconcileAt": handled },
            }))
            .expect("an environment")
        };
        let before = EnvironmentStatus { last_handled_reconcile_at: Some("1".into()), ..Default::default() };
        for (requested, handled, expect) in [
            ("2", None, false),
            ("2", Some("1"), false),
            ("2", Some("2"), true),
            ("3", Some("2"), false),
            ("3", Some("3"), true),
        ] {
            assert_eq!(is_handled(&found(requested, handled), &before), expect, "{requested} {handled:?}");
        }
    }
}
