//! `sower report`: what became of the seedings of a time, as figures, and as a page with charts.

mod page;
mod text;

use jiff::Timestamp;
use sower_core::drift::Ignored;
use sower_core::figures::{Figures, figures};
use sower_store::Drift;

use crate::cli::{ReportArgs, ReportFormat};
use crate::commands::Context;
use crate::failure::{Exit, Failure};
use crate::output::document::{self, Fields};
use crate::output::progress::Progress;
use crate::session::{Member, Session};

/// The figures of one environment, and what has drifted in it now.
struct Reported {
    /// Its name; with several namespaces the namespace comes before it.
    environment: String,
    namespace: String,
    figures: Figures,
    drift: Now,
}

/// Rows that are off now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Now {
    missing: usize,
    changed: usize,
    foreign: usize,
}

impl Now {
    fn of(drift: &Drift) -> Self {
        let [missing, changed, foreign] = super::drift::counts(drift);
        Self { missing, changed, foreign }
    }
}

/// Runs it.
///
/// # Errors
/// Usage, where the time is still to come; and where a database does not answer.
pub async fn run(args: &ReportArgs, context: &Context) -> Result<Exit, Failure> {
    let now = Timestamp::now();
    let Some(since) = args.since.of(now) else {
        return Err(Failure::usage(format!("--since {} is still to come", args.since)));
    };
    let session = Session::ask(&args.at, &args.which, context).await?;
    let progress = Progress::start(&context.style, "counting");
    let (reported, exit) = session.each(async |member| one(&session, member, since, now).await).await?;
    drop(progress);
    let reported: Vec<Reported> = reported.into_iter().map(|(_, one)| one).collect();
    if args.output == ReportFormat::Html {
        context.style.raw(&page::page(&reported, since, now));
        return Ok(exit);
    }
    let documents: Vec<Fields> = reported.iter().map(described).collect();
    if document::write_each(&context.style, args.output.document(), session.named, &documents)? {
        return Ok(exit);
    }
    if session.says_that_none_is_there() {
        return Ok(exit);
    }
    match reported.as_slice() {
        [only] if session.named => context.style.raw(&text::whole(only)),
        all => {
            context.style.raw(&text::lines(all).text());
            let since = match args.since.to_string().as_str() {
                "30d" => String::new(),
                since => format!(" --since {since}"),
            };
            let flags = session.flags();
            context.style.hint(&format!(
                "All of it: sower report -e ENVIRONMENT{since}{flags} · with charts: -o html > report.html"
            ));
        }
    }
    Ok(exit)
}

async fn one(
    session: &Session,
    member: &Member,
    since: Timestamp,
    now: Timestamp,
) -> Result<Reported, Failure> {
    let store = session.rows(member).await?;
    let ignored = Ignored::of(&member.loaded.spec.drift.ignore_fields);
    let read = async {
        Ok((store.account(member.name(), since).await?, store.drift(member.name(), &ignored).await?))
    };
    let read: Result<_, sower_store::StoreError> = read.await;
    let (account, drift) = read.map_err(|error| session.trouble(&error.into(), member))?;
    let environment = match session.everywhere() {
        true => format!("{}/{}", member.namespace(), member.name()),
        false => member.name().to_owned(),
    };
    let figures = figures(account, since, now);
    Ok(Reported { environment, namespace: member.namespace().to_owned(), figures, drift: Now::of(&drift) })
}

/// For programs.
fn described(reported: &Reported) -> Fields {
    let Reported { environment, namespace, figures, drift } = reported;
    let Figures {
        since,
        until,
        seedings,
        cut,
        success_rate,
        duration,
        commit_to_rows,
        conflicts,
        corrections,
        most_changed,
        per,
        course,
    } = figures;
    let name = environment.rsplit('/').next().unwrap_or_default();
    let mut fields = Fields::default().with("environment", name);
    if !namespace.is_empty() {
        fields = fields.with("namespace", namespace);
    }
    let (opened, closed, open) = figures.conflicts();
    let told = Fields::default()
        .with("opened", opened)
        .with("closed", closed)
        .with("open", open)
        .with("byType", conflicts);
    let drifted = Fields::default()
        .with("corrections", corrections)
        .with("missing", drift.missing)
        .with("changed", drift.changed)
        .with("foreign", drift.foreign);
    fields
        .with("since", since)
        .with("until", until)
        .with("seedings", seedings)
        .with("complete", !cut)
        .with("successRate", success_rate)
        .with("duration", duration)
        .with("commitToRows", commit_to_rows)
        .with("conflicts", told)
        .with("drift", drifted)
        .with("mostChanged", most_changed)
        .with("per", per)
        .with("course", course)
        .with("errors", Vec::<Fields>::new())
}
