//! `sower rollback` in a cluster: an annotation asks the operator, its status answers.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::ResourceExt as _;
use kube::api::{Patch, PatchParams};
use kube::runtime::wait::await_condition;
use serde_json::json;
use sower_controllers::reason::Reason;
use sower_core::report::{Failure as Entry, Outcome, Report};
use sower_core::rollback::Request;
use sower_crds::environment::RollbackStatus;
use sower_crds::period::parse;
use sower_crds::{Environment, EnvironmentStatus, REQUESTED_AT, ROLLBACK, ROLLED_BACK_BY};

use super::{listed, tell_what_stays_out, typed};
use crate::choice::Asked;
use crate::cli::{Format, RollbackArgs, Which};
use crate::cluster::Cluster;
use crate::commands::Context;
use crate::commands::seed::refusal;
use crate::failure::{Exit, Failure};
use crate::output::progress::Progress;
use crate::output::{changes, document, time};
use crate::session::Session;
use crate::trouble::Trouble;

/// Asks the operator to roll back, and waits for it.
///
/// # Errors
/// Usage, and where the API server does not answer.
pub async fn roll_back(args: &RollbackArgs, request: &Request, context: &Context) -> Result<Exit, Failure> {
    let waiting = args.timeout.as_deref().unwrap_or("5m");
    let timeout = parse(waiting).map_err(|bad| Failure::usage(format!("--timeout: {bad}")))?;
    let cluster = Cluster::connect(&args.at).await?;
    let asked = Asked { environment: args.environment.as_deref(), all: false };
    let chosen = cluster.to_change(&typed(request), asked).await?;
    let [environment] = chosen.as_slice() else { return Err(Failure::usage("which environment?")) };
    let (name, style) = (environment.name_any(), &context.style);
    style.hint(&cluster.from());
    let started = Instant::now();
    let answered = tokio::select! {
        answered = ask(&cluster, environment, args, request, (timeout, waiting), context) => answered,
        () = context.cancel.cancelled() => {
            style.note("No longer waiting: the operator goes on by itself.");
            return Ok(Exit::Interrupted);
        }
    };
    let took = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let (answer, after) = match answered {
        Ok(Some(answered)) => answered,
        Ok(None) => {
            if args.output == Format::Table {
                style.say(&format!("Asked the operator to roll {name} back\n"));
            }
            document::write_each::<Report>(style, args.output, false, &[])?;
            return Ok(Exit::Done);
        }
        Err(trouble) => {
            style.note(&trouble.failure.text());
            document::write_each(style, args.output, true, &[trouble.report(&name, took)])?;
            return Ok(trouble.failure.exit);
        }
    };
    let ready = after.conditions.iter().find(|condition| condition.type_ == "Ready");
    let took_back = answer.message.starts_with(TOOK_BACK);
    // What is refused of a catalog keeps nothing else out.
    let invalid = ready.is_some_and(|ready| ready.reason == Reason::ManifestsInvalid.as_str());
    let held = ready
        .filter(|ready| took_back && !invalid && ready.status != "True")
        .map(|_| stopped(&name, &after, &cluster));
    if answer.failed {
        let (label, command) = listed(request, &name, &cluster.flags);
        let text = format!("{}. Nothing was written.", answer.message);
        style.note(&Failure::failed(text).next(label, command).text());
    } else if args.output == Format::Table {
        if let (Some(number), false) = (answer.seeding, style.quiet) {
            style.say(&changed(args, &name, number, context).await);
        }
        let in_time = answer.seeding.map(|_| format!(" in {}", time::took(took))).unwrap_or_default();
        style.say(&format!("{}{in_time}\n", answer.message));
        match (answer.seeding, &request.to) {
            (Some(_), _) => {
                let left = environment.status.as_ref().and_then(|status| status.revision.as_deref());
                tell_what_stays_out(request, left, &name, &cluster.flags, style);
            }
            // What the seeding after it came to.
            (None, None) if held.is_none() => {
                style.say(&ready.map(|ready| format!("{name}: {}\n", ready.message)).unwrap_or_default());
            }
            (None, _) => {}
        }
    }
    if let Some(trouble) = held {
        style.note(&trouble.failure.text());
        document::write_each(style, args.output, true, &[trouble.report(&name, took)])?;
        return Ok(trouble.failure.exit);
    }
    document::write_each(style, args.output, true, &[report(&name, &answer, took)])?;
    Ok(if answer.failed || took_back && invalid { Exit::Failed } else { Exit::Done })
}

/// So an answer begins that asks something back: it comes with the seeding after it, if nothing holds that.
const TOOK_BACK: &str = "Took ";

/// The answer to the request, and what the seeding after it left.
async fn ask(
    cluster: &Cluster,
    environment: &Environment,
    args: &RollbackArgs,
    request: &Request,
    (timeout, waiting): (Duration, &str),
    context: &Context,
) -> Result<Option<(RollbackStatus, EnvironmentStatus)>, Trouble> {
    let (name, flags) = (environment.name_any(), &cluster.flags);
    if environment.spec.suspend {
        let failure = Failure::refused(format!("{name} is suspended. Nothing was written."))
            .next("go on", format!("sower resume -e {name}{flags}"));
        return Err(Trouble::of(Reason::Suspended, failure));
    }
    // The time makes it another request than the same one before.
    let token = Timestamp::now().to_string();
    let wish = format!("{request} {token}");
    let annotations = json!({ ROLLBACK: wish, ROLLED_BACK_BY: crate::person::name(std::path::Path::new(".")), REQUESTED_AT: token });
    let patch = Patch::Merge(json!({ "metadata": { "annotations": annotations } }));
    let failed = |error: kube::Error| Trouble::of(Reason::SeedingFailed, cluster.failed(&error));
    cluster.api().patch(&name, &PatchParams::default(), &patch).await.map_err(failed)?;
    if args.no_wait {
        return Ok(None);
    }
    context.style.hint("asked the operator; waiting");
    let _progress = Progress::start(&context.style, "the operator is at it");
    let answer = |found: Option<&Environment>| {
        let status = found?.status.as_ref()?;
        // It is written with what came of the seeding after it.
        let done = status.rollback.as_ref().filter(|rollback| rollback.last_handled == wish)?;
        Some((done.clone(), status.clone()))
    };
    // The operator has looked, and could not do it.
    let in_vain = |found: Option<&Environment>| {
        let status = found?.status.as_ref()?;
        let stands = |kind: &str| status.conditions.iter().any(|c| c.type_ == kind && c.status == "True");
        let looked = status.last_handled_reconcile_at.as_ref() == Some(&token);
        let suspended = status.conditions.iter().any(|c| c.reason == Reason::Suspended.as_str());
        (looked && (suspended || !stands("Ready"))).then(|| status.clone())
    };
    let handled = |found: Option<&Environment>| answer(found).is_some() || in_vain(found).is_some();
    match tokio::time::timeout(timeout, await_condition(cluster.api(), &name, handled)).await {
        Ok(Ok(found)) => match (answer(found.as_ref()), in_vain(found.as_ref())) {
            (None, Some(status)) => Err(stopped(&name, &status, cluster)),
            (answer, _) => Ok(answer),
        },
        Ok(Err(error)) => {
            let failure = Failure::failed(format!("the operator's answer cannot be read: {error}"));
            Err(Trouble::of(Reason::SeedingFailed, failure))
        }
        Err(_) => {
            let failure = Failure::failed(format!("the operator did not answer within {waiting}"))
                .next("is it there?", format!("kubectl{flags} get pods"))
                .next("where it stands", format!("sower status -e {name}{flags}"));
            Err(Trouble::of(Reason::SeedingFailed, failure))
        }
    }
}

/// Why the operator did not come to it, as its status says; it will, once that is out of the way.
fn stopped(name: &str, status: &EnvironmentStatus, cluster: &Cluster) -> Trouble {
    let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready");
    let reason = ready.map(|ready| ready.reason.as_str()).unwrap_or_default();
    Trouble { code: reason.to_owned(), failure: refusal(name, reason, status, cluster) }
}

/// What was changed, line by line, where the rows can be read from here.
async fn changed(args: &RollbackArgs, name: &str, number: i64, context: &Context) -> String {
    let which = Which { environment: Some(name.to_owned()), all_namespaces: false };
    let Ok(session) = Session::ask(&args.at, &which, context).await else { return String::new() };
    let [member] = session.members.as_slice() else { return String::new() };
    let Ok(store) = session.store(member).await else { return String::new() };
    let changes = store.changed_by(name, number).await.unwrap_or_default();
    let lines = changes.iter().map(|change| match (&change.from, &change.to) {
        (None, Some(to)) => format!("+ {} {to}", change.integration),
        (Some(from), None) => format!("- {} {from}", change.integration),
        (from, to) if from == to => format!("~ {} {}", change.integration, to.as_deref().unwrap_or_default()),
        (from, to) => {
            let (from, to) = (from.as_deref().unwrap_or_default(), to.as_deref().unwrap_or_default());
            format!("~ {} {from} -> {to}", change.integration)
        }
    });
    changes::bounded(lines.collect(), context.style.terminal, &format!("sower get integrations -e {name}"))
}

fn report(name: &str, answer: &RollbackStatus, duration: u64) -> Report {
    let RollbackStatus { last_handled: _, seeding, message, failed } = answer;
    let count = |word: &str| {
        let (before, _) = message.rsplit_once(word)?;
        before.rsplit([' ', ',']).next()?.parse::<usize>().ok()
    };
    let counted = |word: &str| seeding.and_then(|_| count(word)).unwrap_or(0);
    let entry = || Entry {
        integration: None,
        code: "RollbackFailed".to_owned(),
        location: None,
        message: message.clone(),
    };
    Report {
        environment: name.to_owned(),
        seeding: seeding.map(|number| format!("{name}-{number}")),
        revision: None,
        status: match (failed, seeding) {
            (true, _) => Outcome::Failed,
            (false, Some(_)) => Outcome::Completed,
            (false, None) => Outcome::Unchanged,
        },
        integrations_processed: 0,
        created: counted(" created"),
        updated: counted(" updated"),
        staged: 0,
        given_up: 0,
        deleted: counted(" deleted"),
        unchanged: 0,
        actions_created: 0,
        triggers_created: 0,
        connections_created: 0,
        orphaned: Vec::new(),
        prune_disabled: Vec::new(),
        quarantined: Vec::new(),
        waiting: Vec::new(),
        conflicts: Vec::new(),
        errors: failed.then(entry).into_iter().collect(),
        excluded: 0,
        invalid: 0,
        duration,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_operator_answered_is_reported_as_with_files() {
        let told = "Rolled production back to seeding 57 (main@3f2c1a9), as seeding 59: 0 created, 2 updated, 1 deleted";
        let answer = RollbackStatus {
            last_handled: "57".into(),
            seeding: Some(59),
            message: told.into(),
            failed: false,
        };
        let done = report("production", &answer, 7);
        assert_eq!((done.created, done.updated, done.deleted), (0, 2, 1));
        assert_eq!((done.seeding.as_deref(), done.status), (Some("production-59"), Outcome::Completed));
        let failed = RollbackStatus { seeding: None, failed: true, message: "no".into(), ..answer };
        assert_eq!(report("production", &failed, 7).errors[0].message, "no");
    }
}
