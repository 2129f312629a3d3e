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
use sower_core::report::{Failure as Entry, Outcome, Report};
use sower_crds::period::parse;
use sower_crds::{Condition, Environment, EnvironmentStatus};

use super::for_people;
use crate::choice::{self, Asked};
use crate::cli::SeedArgs;
use crate::cluster::Cluster;
use crate::commands::Context;
use crate::failure::{Exit, Failure};
use crate::output::progress::Progress;
use crate::output::{changes, document, time};
use crate::settings::Settings;
use crate::trouble::Trouble;

/// The annotation that asks for a seeding.
const REQUESTED_AT: &str = "sower.dev/requestedAt";
/// The annotation that takes an environment from another keeper.
const TAKE_OVER: &str = "sower.dev/take-over";

/// What the operator answered.
struct Answer {
    before: EnvironmentStatus,
    after: EnvironmentStatus,
    /// `57` and `0 created, 1 updated, …`, from the event of the seeding.
    seeding: Option<(String, String)>,
    milliseconds: u64,
}

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
    let timeout = parse(&args.timeout).map_err(|bad| Failure::usage(format!("--timeout: {bad}")))?;
    let cluster = Cluster::connect(&args.at).await?;
    let environments = cluster.environments().await?;
    let names: Vec<String> = environments.iter().map(kube::ResourceExt::name_any).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let asked = Asked { environment: args.environment.as_deref(), all: args.all };
    let chosen =
        choice::to_change("seed", &names, asked).map_err(|failure| with_flags(failure, &cluster.flags))?;
    let style = &context.style;
    style.hint(&cluster.from());
    let chosen: Vec<&Environment> = chosen.into_iter().map(|index| &environments[index]).collect();
    if !args.no_wait {
        style.hint("asked the operator; waiting (fetch, plan, apply)");
    }
    let progress = Progress::start(style, "the operator is at it");
    let answers = join_all(chosen.iter().map(|environment| ask(&cluster, environment, args, timeout))).await;
    drop(progress);
    let mut exit = Exit::Done;
    let mut reports = Vec::new();
    for (environment, answer) in chosen.iter().zip(answers) {
        let name = environment.name_any();
        match answer {
            Ok(Some(answer)) => {
                let (report, ended) = tell(&name, &answer, &cluster, args, context);
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
        annotations[TAKE_OVER] = json!(token);
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
            let failure = Failure::failed(format!("the operator did not answer within {}", args.timeout))
                .next("is it there?", format!("kubectl{flags} get pods"))
                .next("where it stands", format!("sower status -e {name}{flags}"));
            return Err(Trouble::of(Reason::SeedingFailed, failure));
        }
    };
    let milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let before = environment.status.clone().unwrap_or_default();
    let seeding = seeded_since(cluster, environment, &token).await;
    Ok(Some(Answer { before, after, seeding, milliseconds }))
}

/// Number and counts of the seeding that the operator told as an event since it was asked.
async fn seeded_since(cluster: &Cluster, environment: &Environment, token: &str) -> Option<(String, String)> {
    let asked: Timestamp = token.parse().ok()?;
    let uid = environment.metadata.uid.as_deref()?;
    let events: Api<Event> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let params = ListParams::default().fields(&format!("involvedObject.uid={uid},reason=Seeded"));
    // An event is told after the status that it goes with.
    for _ in 0..10 {
        let listed = events.list(&params).await.ok()?;
        let mut told: Vec<(Timestamp, String)> = listed
            .items
            .into_iter()
            .filter_map(|event| Some((seen(&event)?, event.message?)))
            .filter(|(at, _)| at.as_second() >= asked.as_second())
            .collect();
        told.sort();
        if let Some((_, message)) = told.pop() {
            return number_and_counts(&message);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    None
}

fn seen(event: &Event) -> Option<Timestamp> {
    let series =
        event.series.as_ref().and_then(|series| series.last_observed_time.as_ref()).map(|time| time.0);
    let last = event.last_timestamp.as_ref().map(|time| time.0);
    series.or(event.event_time.as_ref().map(|time| time.0)).or(last)
}

/// `Seeding 57 of main@3f2c1a9: 0 created, 1 updated, 0 deleted, 41 unchanged`.
fn number_and_counts(message: &str) -> Option<(String, String)> {
    let rest = message.strip_prefix("Seeding ")?;
    let (number, rest) = rest.split_once(" of ")?;
    let (_, counts) = rest.split_once(": ")?;
    Some((number.to_owned(), counts.to_owned()))
}

fn count(counts: &str, word: &str) -> usize {
    let number = counts.split(", ").find_map(|part| part.strip_suffix(word)?.trim().parse().ok());
    number.unwrap_or(0)
}

fn tell(
    name: &str,
    answer: &Answer,
    cluster: &Cluster,
    args: &SeedArgs,
    context: &Context,
) -> (Report, Exit) {
    let (style, after, flags) = (&context.style, &answer.after, &cluster.flags);
    let ready = after.conditions.iter().find(|condition| condition.type_ == "Ready");
    let reason = ready.map(|ready| ready.reason.clone()).unwrap_or_default();
    let message = ready.map(|ready| ready.message.clone()).unwrap_or_default();
    let revision = after.revision.clone().unwrap_or_default();
    let counts = after.counts.unwrap_or_default();
    let number = |value: i32| usize::try_from(value).unwrap_or(0);
    let (conflicts, invalid) = (number(counts.conflicts), number(counts.invalid));
    let taken = [Reason::Seeded, Reason::ManifestsInvalid].map(Reason::as_str).contains(&reason.as_str());
    if taken && for_people(args.output) {
        let besides = changes::besides(conflicts, invalid);
        style.say(&match &answer.seeding {
            Some((seeding, counted)) => {
                let counted = counted.split(", ").take(4).collect::<Vec<_>>().join(", ");
                let took = time::took(answer.milliseconds);
                format!("Seeded {name} at {revision} (seeding {seeding}): {counted}{besides} in {took}\n")
            }
            None if answer.before.last_applied_revision == after.last_applied_revision => {
                format!(
                    "Nothing to do: {name} is at {revision} ({} unchanged{besides})\n",
                    counts.integrations
                )
            }
            None => format!("Seeded {name} at {revision} ({} integrations{besides})\n", counts.integrations),
        });
    }
    let exit = match reason.as_str() {
        _ if reason == Reason::Seeded.as_str() => Exit::Done,
        _ if reason == Reason::ManifestsInvalid.as_str() => {
            for failure in &after.failures {
                let at = failure.location.as_deref().map(|at| format!("{at}: ")).unwrap_or_default();
                style.note(&format!("{at}error[{}]: {}", failure.code, failure.message));
            }
            style.note("Mend what is refused, and push: the rest is in.");
            Exit::Failed
        }
        _ => {
            let failure = refusal(name, ready, &message, flags);
            style.note(&with_next(failure, after).text());
            if is_guard(&reason) { Exit::Refused } else { Exit::Failed }
        }
    };
    (report(name, answer, exit), exit)
}

fn is_guard(reason: &str) -> bool {
    [Reason::PruneLimitExceeded, Reason::KeptElsewhere, Reason::Suspended]
        .iter()
        .any(|r| r.as_str() == reason)
}

fn refusal(name: &str, ready: Option<&Condition>, message: &str, flags: &str) -> Failure {
    let reason = ready.map(|ready| ready.reason.as_str()).unwrap_or_default();
    let mut characters = message.chars();
    let lower = characters.next().map(|first| first.to_lowercase().chain(characters).collect::<String>());
    let told = lower.unwrap_or_else(|| "the operator says nothing of it".to_owned());
    if is_guard(reason) {
        let failure = Failure::refused(format!("{told}. Nothing was written."));
        return match reason {
            "PruneLimitExceeded" => failure.next("see all of it", format!("sower plan -e {name}{flags}")),
            "KeptElsewhere" => failure.next(
                "take it over",
                format!("suspend it there, then sower seed -e {name}{flags} --take-over"),
            ),
            _ => failure,
        };
    }
    Failure::failed(format!("{told}. Nothing was pruned."))
        .next("see more", format!("sower status -e {name}{flags}"))
}

/// The one command that unblocks it, as the operator says it.
fn with_next(failure: Failure, status: &EnvironmentStatus) -> Failure {
    match &status.next {
        Some(next) => failure.next("then", next.clone()),
        None => failure,
    }
}

fn report(name: &str, answer: &Answer, exit: Exit) -> Report {
    let Answer { before: _, after, seeding, milliseconds } = answer;
    let counts = after.counts.unwrap_or_default();
    let counted = seeding.as_ref().map(|(_, counted)| counted.as_str()).unwrap_or_default();
    let processed = usize::try_from(counts.integrations).unwrap_or(0);
    let failures = after.failures.iter().map(|failure| Entry {
        integration: failure.integration.clone(),
        code: failure.code.clone(),
        location: failure.location.clone(),
        message: failure.message.clone(),
    });
    Report {
        environment: name.to_owned(),
        seeding: seeding.as_ref().map(|(number, _)| format!("{name}-{number}")),
        revision: after.last_applied_revision.clone(),
        status: match (exit, seeding) {
            (Exit::Refused, _) => Outcome::Refused,
            (_, Some(_)) => Outcome::Completed,
            (Exit::Done, None) => Outcome::Unchanged,
            (_, None) => Outcome::Failed,
        },
        integrations_processed: processed,
        created: count(counted, " created"),
        updated: count(counted, " updated"),
        deleted: count(counted, " deleted"),
        unchanged: if seeding.is_some() { count(counted, " unchanged") } else { processed },
        actions_created: 0,
        triggers_created: 0,
        connections_created: 0,
        conflicts: Vec::new(),
        errors: failures.collect(),
        excluded: usize::try_from(counts.excluded).unwrap_or(0),
        invalid: usize::try_from(counts.invalid).unwrap_or(0),
        duration: *milliseconds,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_event_of_a_seeding_tells_its_number_and_counts() {
        let message = "Seeding 57 of main@3f2c1a9: 0 created, 1 updated, 0 deleted, 41 unchanged";
        let (number, counts) = number_and_counts(message).expect("read");
        assert_eq!(
            (number.as_str(), counts.as_str()),
            ("57", "0 created, 1 updated, 0 deleted, 41 unchanged")
        );
        assert_eq!(
            (count(&counts, " updated"), count(&counts, " unchanged"), count(&counts, " asleep")),
            (1, 41, 0)
        );
        assert_eq!(number_and_counts("Something else"), None);
    }
}
