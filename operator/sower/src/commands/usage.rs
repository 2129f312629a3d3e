//! `sower usage`: what consumers counted of their executions, by version; and `sower usage record`, which counts some.

use jiff::Timestamp;
use sower_core::usage::{Observed, Record, bad_records};
use sower_store::{Unknown, Used};

use crate::choice::{self, Asked};
use crate::cli::{RecordArgs, UsageArgs, Which};
use crate::commands::Context;
use crate::failure::{Exit, Failure};
use crate::output::document::Fields;
use crate::output::table::Table;
use crate::output::{document, time};
use crate::session::{Member, Session};
use crate::settings::quoted;

/// What an environment used.
struct Told {
    environment: String,
    used: Used,
}

/// Runs it.
///
/// # Errors
/// Usage, where the time is still to come; and where a database does not answer.
pub async fn run(args: &UsageArgs, context: &Context) -> Result<Exit, Failure> {
    let now = Timestamp::now();
    let Some(since) = args.since.of(now) else {
        return Err(Failure::usage(format!("--since {} is still to come", args.since)));
    };
    let session = Session::ask(&args.at, &args.which, context).await?;
    let (used, exit) = session
        .each(async |member| {
            let used = session.rows(member).await?.usage(member.name(), args.id.as_deref(), since).await;
            used.map_err(|error| session.trouble(&error.into(), member))
        })
        .await?;
    let several = |(member, used): (&Member, Vec<Used>)| {
        let environment = member.name().to_owned();
        used.into_iter().map(move |used| Told { environment: environment.clone(), used }).collect::<Vec<_>>()
    };
    let told: Vec<Told> = used.into_iter().flat_map(several).collect();
    let documents: Vec<Fields> = told.iter().map(described).collect();
    if document::write(&context.style, args.output, &documents)? || session.says_that_none_is_there() {
        return Ok(exit);
    }
    if told.is_empty() {
        let which = session.members.iter().map(Member::name).collect::<Vec<_>>().join(", ");
        let of = args.id.as_ref().map_or_else(String::new, |id| format!("{id} in "));
        context.style.hint(&format!("No usage of {of}{which} since {} was counted", args.since));
        return Ok(exit);
    }
    context.style.raw(&table(&told, !session.named, now).text());
    Ok(exit)
}

/// The part in the middle of the slowest twentieth.
const SLOW: f64 = 0.95;

fn described(Told { environment, used }: &Told) -> Fields {
    let Used { integration, version, observed, last_used } = used;
    Fields::default()
        .with("environment", environment)
        .with("integration", integration)
        .with("version", version)
        .with("executions", observed.executions)
        .with("errors", observed.errors)
        .with("successRate", observed.success_rate())
        .with("meanMs", observed.mean_ms())
        .with("p95", observed.latency.quantile(SLOW))
        .with("lastUsed", last_used)
}

fn table(told: &[Told], all: bool, now: Timestamp) -> Table {
    let heads = ["ENVIRONMENT", "ID", "VERSION", "EXECUTIONS", "SUCCESS", "MEAN", "P95", "LAST USED"];
    let mut table = Table::new(if all { &heads } else { &heads[1..] });
    for Told { environment, used } in told {
        let Used { integration, version, observed, last_used } = used;
        let shown = |ms: Option<f64>| ms.map_or_else(|| "-".to_owned(), milliseconds);
        let cells = [
            environment.clone(),
            integration.clone(),
            version.clone(),
            observed.executions.to_string(),
            percent(observed),
            shown(observed.mean_ms()),
            shown(observed.latency.quantile(SLOW)),
            time::ago(*last_used, now),
        ];
        table.row(cells.into_iter().skip(usize::from(!all)));
    }
    table
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a quantile is no less than nothing"
)]
fn milliseconds(quantile: f64) -> String {
    time::took(quantile.round() as u64)
}

/// `99.78%`: cut, so that only all is a hundred.
fn percent(observed: &Observed) -> String {
    let good = u128::from(observed.executions.saturating_sub(observed.errors));
    match (good * 10_000).checked_div(observed.executions.into()) {
        None => "-".to_owned(),
        Some(hundredths) if hundredths % 100 == 0 => format!("{}%", hundredths / 100),
        Some(hundredths) => format!("{}.{:02}%", hundredths / 100, hundredths % 100),
    }
}

/// Counts executions of one version.
///
/// # Errors
/// Usage, where it is not plain in which environment, or the numbers cannot be; else where the environment does not carry such a
/// version, or its database does not answer.
pub async fn record(args: &RecordArgs, context: &Context) -> Result<Exit, Failure> {
    let which = Which { environment: args.environment.clone(), all_namespaces: false };
    let session = Session::ask(&args.at, &which, context).await?;
    let member = one(&session, args)?;
    let now = Timestamp::now();
    let record = Record {
        environment: member.name().to_owned(),
        integration: args.id.clone(),
        version: args.of_version.clone(),
        action: args.action.clone(),
        trigger: args.trigger.clone(),
        at: args.when.unwrap_or(now),
        observed: Observed::of(args.executions, args.errors, args.latency_ms),
    };
    let why: Vec<String> =
        bad_records(std::slice::from_ref(&record), now).into_iter().map(|bad| bad.why).collect();
    if !why.is_empty() {
        return Err(Failure::usage(format!("it cannot be counted: {}", why.join("; "))));
    }
    let (_, exit) = session
        .each(async |asked| match asked.name() == member.name() {
            true => count(&session, member, &record).await,
            false => Ok(()),
        })
        .await?;
    let Record { environment, integration, version, observed, at, .. } = &record;
    let document = Fields::default()
        .with("environment", environment)
        .with("integration", integration)
        .with("version", version)
        .with("executions", observed.executions)
        .with("errors", observed.errors)
        .with("at", at);
    if !document::write(&context.style, args.output, &document)? {
        let failed =
            if observed.errors > 0 { format!(", {} failed", observed.errors) } else { String::new() };
        let times = if observed.executions == 1 { "execution" } else { "executions" };
        let executions = observed.executions;
        context.style.say(&format!(
            "Counted {executions} {times} of {integration} {version} in {environment}{failed}\n"
        ));
    }
    Ok(exit)
}

/// The environment that is meant.
fn one<'a>(session: &'a Session, args: &RecordArgs) -> Result<&'a Member, Failure> {
    session.some_environment()?;
    let (id, version) = (quoted(&args.id), quoted(&args.of_version));
    let typed = format!("usage record {id} --version {version} --executions {}", args.executions);
    // One that cannot be read may be the one that was meant.
    let broken = session.broken.iter().map(|broken| broken.name.as_str());
    let names: Vec<&str> = session.members.iter().map(Member::name).chain(broken).collect();
    let asked = Asked { environment: args.environment.as_deref(), all: false };
    let index = match args.environment {
        Some(_) => 0,
        None => choice::to_change(&typed, &names, asked)?.first().copied().unwrap_or(0),
    };
    match (session.members.get(index), session.broken.first()) {
        (Some(member), _) => Ok(member),
        (None, Some(broken)) => Err(broken.failure()),
        (None, None) => Err(Failure::usage("which environment?")),
    }
}

async fn count(session: &Session, member: &Member, record: &Record) -> Result<(), Failure> {
    let trouble = |error: sower_store::StoreError| session.trouble(&error.into(), member);
    let Record { environment, integration, version, action, trigger, .. } = record;
    let store = session.rows(member).await?;
    let unknown = store.unknown_usage(environment, &[record]).await.map_err(trouble)?;
    if let Some((_, unknown)) = unknown.first() {
        let (id, flags) = (quoted(integration), session.flags());
        let (what, part) = match unknown {
            Unknown::Version => {
                let told =
                    format!("{environment} never carried {integration} {version}. Nothing was counted.");
                return Err(Failure::failed(told)
                    .next("what it carries", format!("sower get integrations -e {environment}{flags}"))
                    .next("what it carried", format!("sower get versions {id} -e {environment}{flags}")));
            }
            Unknown::Action => ("action", action),
            Unknown::Trigger => ("trigger", trigger),
        };
        let part = part.as_deref().unwrap_or_default();
        let told =
            format!("{integration} {version} has no {what} {part} in {environment}. Nothing was counted.");
        return Err(Failure::failed(told)
            .next("what it has", format!("sower get integration {id} -e {environment}{flags} -o yaml")));
    }
    store.record_usage(std::slice::from_ref(record)).await.map_err(trouble)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_all_is_a_hundred_percent() {
        for (executions, errors, expected) in [
            (0, 0, "-"),
            (100, 0, "100%"),
            (1_000_000, 1, "99.99%"),
            (24_117, 53, "99.78%"),
            (200, 1, "99.50%"),
            (3, 3, "0%"),
            (u64::MAX, 1, "99.99%"),
        ] {
            assert_eq!(percent(&Observed::of(executions, errors, None)), expected);
        }
    }
}
