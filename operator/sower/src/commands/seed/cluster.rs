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
use sower_crds::period::parse;
use sower_crds::{Environment, EnvironmentStatus, REQUESTED_AT, TAKE_OVER};

use super::answer::{self, Answer};
use super::for_people;
use crate::choice::{self, Asked};
use crate::cli::SeedArgs;
use crate::cluster::Cluster;
use crate::commands::Context;
use crate::failure::{Exit, Failure};
use crate::output::document;
use crate::output::progress::Progress;
use crate::settings::Settings;
use crate::trouble::Trouble;

/// How often, and how far apart, the events of what was done are looked for.
const EVENT_TRIES: usize = 20;
const EVENT_PAUSE: Duration = Duration::from_millis(50);

/// Asks the operator to seed, and waits for it.
///
/// # Errors
/// Usage, and where the API server does not answer; what befalls an environment is printed with the others.
pub async fn seed(args: &SeedArgs, _: &Settings, context: &Context) -> Result<Exit, Failure> {
    for (set, flag) in [(!args.only.is_empty(), "--only"), (args.reseed, "--reseed")] {
        if set {
            return Err(Failure::usage(format!(
                "{flag} is for files: an operator is asked by {REQUESTED_AT} and {TAKE_OVER} alone"
            )));
        }
    }
    let timeout = parse(waiting(args)).map_err(|bad| Failure::usage(format!("--timeout: {bad}")))?;
    let cluster = Cluster::connect(&args.at).await?;
    let environments = cluster.environments().await?;
    let names: Vec<String> = environments.iter().map(kube::ResourceExt::name_any).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let asked = Asked { environment: args.environment.as_deref(), all: args.all };
    if names.is_empty() && args.environment.is_none() {
        return Err(cluster.no_environment(false));
    }
    let chosen =
        choice::to_change("seed", &names, asked).map_err(|failure| with_flags(failure, &cluster.flags))?;
    let style = &context.style;
    style.hint(&cluster.from());
    let chosen: Vec<&Environment> = chosen.into_iter().map(|index| &environments[index]).collect();
    if !args.no_wait {
        style.hint("asked the operator; waiting (fetch, plan, apply)");
    }
    let progress = Progress::start(style, "the operator is at it");
    let asking = join_all(chosen.iter().map(|environment| ask(&cluster, environment, args, timeout)));
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
                let (report, ended) = answer::tell(&name, &answer, &cluster, args, context);
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

async fn ask(
    cluster: &Cluster,
    environment: &Environment,
    args: &SeedArgs,
    timeout: Duration,
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
    let mut annotations = json!({ REQUESTED_AT: token });
    if args.take_over {
        annotations[TAKE_OVER] = json!("true");
    }
    let patch = Patch::Merge(json!({ "metadata": { "annotations": annotations } }));
    let failed = |error: kube::Error| Trouble::of(Reason::SeedingFailed, cluster.failed(&error));
    cluster.api().patch(&name, &PatchParams::default(), &patch).await.map_err(failed)?;
    if args.no_wait {
        return Ok(None);
    }
    let handled = |found: Option<&Environment>| {
        found
            .and_then(|found| found.status.as_ref())
            .and_then(|status| status.last_handled_reconcile_at.as_deref())
            == Some(token.as_str())
    };
    let after = match tokio::time::timeout(timeout, await_condition(cluster.api(), &name, handled)).await {
        Ok(Ok(found)) => found.and_then(|found| found.status).unwrap_or_default(),
        Ok(Err(error)) => {
            let failure = Failure::failed(format!("the operator's answer cannot be read: {error}"));
            return Err(Trouble::of(Reason::SeedingFailed, failure));
        }
        Err(_) => {
            let failure = Failure::failed(format!("the operator did not answer within {}", waiting(args)))
                .next("is it there?", format!("kubectl{flags} get pods"))
                .next("where it stands", format!("sower status -e {name}{flags}"));
            return Err(Trouble::of(Reason::SeedingFailed, failure));
        }
    };
    let milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let before = environment.status.clone().unwrap_or_default();
    // Where the status says what it said before, nothing happened: no event is waited for.
    let handled = before.last_handled_reconcile_at.clone();
    let same = before == EnvironmentStatus { last_handled_reconcile_at: handled, ..after.clone() };
    let events = Events::of(cluster, environment);
    let told = if same { Vec::new() } else { events.since(&token).await };
    let kept = match after.failures.first() {
        None => 0,
        Some(first) => {
            let tries = if before.failures == after.failures { 1 } else { EVENT_TRIES };
            let event = events.beginning(&answer::begins(first), tries).await;
            answer::kept(&after.failures, event.as_deref())
        }
    };
    Ok(Some(Answer { before, after, told, kept, milliseconds }))
}

/// What the operator tells of an environment as events. They come after the status that they go with.
struct Events {
    api: Api<Event>,
    params: ListParams,
}

impl Events {
    fn of(cluster: &Cluster, environment: &Environment) -> Self {
        let uid = environment.metadata.uid.as_deref().unwrap_or_default();
        Self {
            api: Api::namespaced(cluster.client.clone(), &cluster.namespace),
            params: ListParams::default().fields(&format!("involvedObject.uid={uid}")),
        }
    }

    /// What was told since it was asked, oldest first.
    async fn since(&self, token: &str) -> Vec<String> {
        let Ok(asked) = token.parse::<Timestamp>() else { return Vec::new() };
        for _ in 0..EVENT_TRIES {
            let Some(told) = self.all().await else { break };
            let told: Vec<String> =
                told.into_iter().filter(|(at, _)| *at >= asked).map(|(_, message)| message).collect();
            if !told.is_empty() {
                return told;
            }
            tokio::time::sleep(EVENT_PAUSE).await;
        }
        Vec::new()
    }

    /// The newest that begins so, where it is not forgotten.
    async fn beginning(&self, text: &str, tries: usize) -> Option<String> {
        for attempt in 1..=tries {
            let told = self.all().await?.into_iter().map(|(_, message)| message);
            if let Some(message) = told.rev().find(|message| message.starts_with(text)) {
                return Some(message);
            }
            if attempt < tries {
                tokio::time::sleep(EVENT_PAUSE).await;
            }
        }
        None
    }

    /// Whatever is still known, oldest first; none where it cannot be listed.
    async fn all(&self) -> Option<Vec<(Timestamp, String)>> {
        let listed = self.api.list(&self.params).await.ok()?;
        let told = listed.items.into_iter();
        let mut told: Vec<(Timestamp, String)> =
            told.filter_map(|event| Some((event.event_time.as_ref()?.0, event.message?))).collect();
        told.sort();
        Some(told)
    }
}
