//! `sower status`: what every environment holds, and what needs you.

mod pipeline;

use crate::cli::StatusArgs;
use crate::commands::{Context, history};
use crate::failure::{Exit, Failure};
use crate::output::document::Fields;
use crate::output::table::Table;
use crate::output::{document, time};
use crate::session::Session;
use crate::standing::{self, Standing};
use jiff::Timestamp;
use sower_crds::environment::RolloutStatus;

/// Runs it.
///
/// # Errors
/// Where the API server or, with files, a database does not answer.
pub async fn run(args: &StatusArgs, context: &Context) -> Result<Exit, Failure> {
    let session = Session::ask(&args.at, &args.which, context).await?;
    let (answers, exit) = session
        .each(async |member| {
            let mut standing = standing::of(&session, member).await?;
            standing::add_seedings(&session, member, &mut standing).await;
            Ok(standing)
        })
        .await?;
    let mut all: Vec<Standing> = answers.into_iter().map(|(_, standing)| standing).collect();
    for broken in &session.broken {
        all.push(standing::of_broken(&session, broken).await);
    }
    all.sort_by(|a, b| (&a.namespace, &a.environment).cmp(&(&b.namespace, &b.environment)));
    standing::add_events(&session, &mut all).await;
    let documents: Vec<Fields> = all.iter().map(|standing| described(standing, session.named)).collect();
    if document::write_each(&context.style, args.output, session.named, &documents)? {
        return Ok(exit);
    }
    let now = Timestamp::now();
    let text = match all.as_slice() {
        [] => {
            let _ = session.says_that_none_is_there();
            String::new()
        }
        [only] if session.named => detail(only, now),
        several => table(several, now),
    };
    context.style.raw(&(text + &pipeline::drawn(&all, !session.named) + &needs(&all)));
    Ok(exit)
}

fn described(standing: &Standing, whole: bool) -> Fields {
    let fields = standing.described();
    if !whole {
        return fields;
    }
    fields.with("seedings", standing.seedings.iter().map(history::described).collect::<Vec<_>>())
}

fn table(all: &[Standing], now: Timestamp) -> String {
    let namespaces: std::collections::BTreeSet<&str> =
        all.iter().map(|standing| standing.namespace.as_str()).collect();
    let several = namespaces.len() > 1;
    let heads =
        ["NAMESPACE", "ENVIRONMENT", "READY", "REVISION", "INTEGRATIONS", "CONFLICTS", "SEEDED", "STATUS"];
    let mut table = Table::new(if several { &heads } else { &heads[1..] });
    for standing in all {
        let cells = [
            standing.namespace.clone(),
            standing.environment.clone(),
            standing.ready.clone(),
            standing.revision.clone(),
            standing.integrations.clone(),
            standing.conflicts.clone(),
            standing.seeded_at.map_or_else(|| "-".to_owned(), |at| time::ago(at, now)),
            standing.message.clone(),
        ];
        table.row(cells.into_iter().skip(usize::from(!several)));
    }
    table.text()
}

/// What to type for whom.
fn needs(all: &[Standing]) -> String {
    let mut text = String::new();
    for standing in all.iter().filter(|standing| !standing.needs.is_empty()) {
        text.push_str(&format!("\n{} needs you:\n", standing.environment));
        let width = standing.needs.iter().map(|(command, _)| command.chars().count()).max().unwrap_or(0);
        for (command, what) in &standing.needs {
            text.push_str(&format!("  {command:width$}    {what}\n"));
        }
    }
    text
}

/// One environment: conditions, failures, plan and last seedings.
fn detail(standing: &Standing, now: Timestamp) -> String {
    let mut head = format!(
        "{}   {}   {} {}",
        standing.environment,
        standing.revision,
        standing.integrations,
        if standing.integrations == "1" { "integration" } else { "integrations" }
    );
    if let Some(counts) = &standing.counts {
        let rest = [
            (counts.conflicts, "in conflict"),
            (counts.orphaned, "orphaned"),
            (counts.prune_disabled, "gone and kept"),
            (counts.quarantined, "quarantined"),
            (counts.rollouts, "being rolled out"),
            (counts.waiting, "waiting"),
            (counts.excluded, "excluded"),
            (counts.invalid, "invalid"),
        ];
        for (count, what) in rest.into_iter().filter(|(count, _)| *count > 0) {
            head.push_str(&format!(", {count} {what}"));
        }
    }
    let mut text = format!("{head}\n\n");
    let mut conditions = Table::new(&["CONDITION", "STATUS", "REASON", "SINCE", "MESSAGE"]);
    for condition in &standing.conditions {
        let or_none = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
        conditions.row([
            condition.kind.clone(),
            condition.status.clone(),
            or_none(&condition.reason),
            condition.since.map_or_else(|| "-".to_owned(), |since| time::ago(since, now)),
            condition.message.clone(),
        ]);
    }
    text.push_str(&conditions.text());
    if !standing.failures.is_empty() {
        let mut failures = Table::new(&["REFUSED", "PROBLEM", "WHERE", "WHAT"]);
        for failure in &standing.failures {
            failures.row([
                failure.integration.clone().unwrap_or_else(|| "-".into()),
                failure.code.clone(),
                failure.location.clone().unwrap_or_else(|| "-".into()),
                failure.message.clone(),
            ]);
        }
        text.push_str(&format!("\n{}", failures.text()));
        text.extend(standing.unlisted().map(|more| more + "\n"));
    }
    if !standing.waiting.is_empty() {
        let mut waiting = Table::new(&["WAITING", "VERSION", "FOR"]);
        for one in &standing.waiting {
            let version = if one.version.is_empty() { "-" } else { &one.version };
            waiting.row([one.integration.clone(), version.to_owned(), one.reason.clone()]);
        }
        text.push_str(&format!("\n{}", waiting.text()));
    }
    if let Some(plan) = &standing.plan {
        text.push_str(&format!(
            "\nPlan {} waits: {} create, {} update, {} delete, {} conflicts\n",
            plan.hash, plan.create, plan.update, plan.delete, plan.conflicts
        ));
    }
    if !standing.rollouts.is_empty() {
        let mut rollouts = Table::new(&["ROLLOUT", "FROM", "TO", "STATE", "STEP", "WEIGHT", "REASON"]);
        for rollout in &standing.rollouts {
            let RolloutStatus { integration, state, step, steps, weight, from, to, reason } = rollout;
            let (step, weight) = (format!("{step}/{steps}"), format!("{weight}%"));
            rollouts.row([integration, from, to, state, &step, &weight, reason].map(String::as_str));
        }
        text.push_str(&format!("\n{}", rollouts.text()));
    }
    if !standing.seedings.is_empty() {
        text.push_str(&format!("\n{}", history::table(&standing.seedings, false, now).text()));
    }
    text
}
