//! `sower plan`: what a seeding would change. Writes nothing.

mod document;
mod markdown;
mod text;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use futures::stream::{self, StreamExt as _};
use serde_json::Value;
use sower_controllers::drift;
use sower_controllers::environment::{self, Resources};
use sower_controllers::reason::Reason;
use sower_controllers::seeding::{Job, Planned, not_compared};
use sower_core::compatibility::{self, Judged};
use sower_core::gate::{Gate, HeldReason};
use sower_core::plan::{Kept, KeptWhy, Operation, Plan, Verb};
use sower_core::report::given_up;
use sower_store::Store;

use crate::cli::{PlanArgs, PlanFormat};
use crate::cluster::Cluster;
use crate::commands::{Context, seed};
use crate::failure::{self, Exit, Failure};
use crate::output::progress::Progress;
use crate::output::table::Table;
use crate::output::{changes, document as program};
use crate::session::{Member, Session};
use crate::settings::quoted;
use crate::trouble::{Trouble, sentence};
use document::Document;
pub use document::field;
pub use text::inside_of;

/// Environments that are planned side by side.
const SIDE_BY_SIDE: usize = 8;

/// Runs it.
///
/// # Errors
/// Usage; what befalls an environment is printed with the others.
pub async fn run(args: &PlanArgs, context: &Context) -> Result<Exit, Failure> {
    let session = Session::ask(&args.at, &args.which, context).await?;
    session.some_environment()?;
    let only: Option<BTreeSet<String>> = (!args.only.is_empty()).then(|| args.only.iter().cloned().collect());
    let progress = Progress::start(&context.style, "planning");
    let plans = session.members.iter().map(|member| make(&session, member, only.clone(), args.reseed));
    let made: Vec<_> = stream::iter(plans).buffered(SIDE_BY_SIDE).collect().await;
    drop(progress);
    session.say_source();
    let mut exit = session.exit;
    for made in &made {
        exit = exit.worse(match made {
            Ok(made) => made.exit(args.exit_code),
            Err(trouble) => trouble.failure.exit,
        });
        if let Ok(made) = made {
            seed::draw(&made.planned.reading, &context.style);
            if let Some(failure) = changes::unknown(&made.planned, &session.flags()) {
                context.style.note(&failure.text());
                exit = exit.worse(failure.exit);
            }
        }
    }
    if args.output == PlanFormat::Markdown {
        let (flags, made_in_all) = (session.flags(), made.len());
        let applies =
            Some(narrowed(args)).filter(|narrowed| narrowed.is_empty() || session.cluster.is_none());
        for (member, made) in session.members.iter().zip(&made) {
            context.style.raw(&markdown::comment(
                member.name(),
                made,
                applies.as_deref(),
                &flags,
                made_in_all,
            ));
        }
    } else if args.output == PlanFormat::Table {
        match (made.as_slice(), session.named) {
            ([Ok(one)], true) => one.tell(&session, &narrowed(args), context),
            (_, true) => {}
            (several, false) => context.style.say(&table(&session.members, several)),
        }
    } else {
        let documents: Vec<Document> = session
            .members
            .iter()
            .zip(&made)
            .map(|(member, made)| Document::of(member.name(), made))
            .collect();
        program::write_each(&context.style, args.output.document(), session.named, &documents)?;
    }
    let befell = |made: &Result<Made, Trouble>| made.as_ref().err().map(|trouble| trouble.failure.clone());
    let befell: Vec<(&str, Failure)> = session
        .members
        .iter()
        .zip(&made)
        .filter_map(|(member, made)| Some((member.name(), befell(made)?)))
        .collect();
    failure::each_once(&befell, |failure| context.style.note(&failure.text()));
    Ok(exit)
}

/// `--only` as it was given, for the command that applies the plan.
fn narrowed(args: &PlanArgs) -> String {
    let only = if args.only.is_empty() {
        String::new()
    } else {
        format!(" --only {}", quoted(&args.only.join(",")))
    };
    if args.reseed { format!("{only} --reseed") } else { only }
}

/// The command that applies exactly this plan: one of some integrations, or with unchanged rows, by its file.
fn exactly(plan: &Plan, narrowed: &str, flags: &str) -> String {
    let (hash, name) = (plan.short_hash(), &plan.environment);
    if narrowed.is_empty() {
        format!("sower apply {hash} -e {name}{flags}")
    } else {
        format!("sower plan -e {name}{narrowed}{flags} -o json >plan.json && sower apply plan.json{flags}")
    }
}

/// The guard of an environment that is not to be seeded.
const SUSPENDED: &str = "suspended";
/// The guard of an environment that somebody else seeds.
const ELSEWHERE: &str = "another keeper";

/// The guard of an environment that waits for another.
const DEPENDENCY: &str = "dependency";

/// A plan, with what it changes inside the integrations.
struct Made {
    planned: Planned,
    updates: Vec<(String, Vec<Judged>)>,
    /// Of the comparisons that begin with it: the variants that nobody gets.
    unknown: BTreeMap<String, Vec<String>>,
    guard: Option<Cow<'static, str>>,
    /// What keeps the environment from being seeded: another that is not as it wants it. One sentence.
    unmet: Option<String>,
    /// Unchanged rows are part of it.
    reseed: bool,
}

async fn make(
    session: &Session,
    member: &Member,
    only: Option<BTreeSet<String>>,
    reseed: bool,
) -> Result<Made, Trouble> {
    let store = session.store(member).await.inspect_err(|_| session.cannot_read()).map_err(unnamed)?;
    let job = match (&session.cluster, &member.resource) {
        (Some(reach), Some(resource)) => {
            let Cluster { client, name, .. } = &reach.cluster;
            let job = environment::job(client, Resources::Listed, resource, name).await;
            let job = job.map_err(|error| {
                session.cannot_read();
                session.troubled(&error, member)
            })?;
            Job { take_over: false, ..job }
        }
        _ => session.job(member).map_err(|failure| Trouble::of(Reason::InvalidSpec, failure))?,
    };
    let job = Job { only, reseed, ..job };
    let job = drift::mending(&store, job).await.map_err(|error| session.troubled(&error, member))?;
    let planned = session.plan_of(member, &store, &job).await?;
    if let Some(empty) = planned.empty_source() {
        let mut trouble = session.troubled(&empty, member);
        trouble.failure.message = format!("{}. Nothing would be pruned.", empty.full());
        return Err(trouble);
    }
    let updates = updates(&store, &planned).await.map_err(|error| session.troubled(&error.into(), member))?;
    let unknown = not_compared(&store, &job, &planned).await;
    let unknown = unknown.map_err(|error| session.troubled(&error.into(), member))?;
    let unmet = session.unmet(member).await;
    let guard = guard(member, &job, &planned, unmet.is_some());
    // What another keeper waits for is not known from here; what is suspended waits for nobody.
    let unmet = unmet.filter(|_| guard.as_deref() == Some(DEPENDENCY));
    Ok(Made { planned, updates, unknown, guard, unmet, reseed })
}

fn unnamed(failure: Failure) -> Trouble {
    Trouble { code: failure.coded().to_owned(), failure }
}

/// What changes inside each integration that is updated.
///
/// # Errors
/// Where the database does not answer.
async fn updates(
    store: &Store,
    planned: &Planned,
) -> Result<Vec<(String, Vec<Judged>)>, sower_store::StoreError> {
    let updated: Vec<&Operation> =
        planned.plan.operations.iter().filter(|o| o.verb == Verb::Update && o.from != o.to).collect();
    let ids: Vec<&str> = updated.iter().map(|operation| operation.id.as_str()).collect();
    let before = store.manifests(&planned.plan.environment, &ids).await?;
    let told = updated.iter().filter_map(|operation| {
        let from = parsed(before.get(&operation.id)?)?;
        let to = parsed(&planned.content(operation)?)?;
        Some((operation.id.clone(), compatibility::judge(&from, &to)))
    });
    Ok(told.collect())
}

fn parsed(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok()
}

/// What would hold the plan.
fn guard(member: &Member, job: &Job, planned: &Planned, unmet: bool) -> Option<Cow<'static, str>> {
    let elsewhere = planned
        .row
        .as_ref()
        .and_then(|row| row.keeper.as_ref())
        .is_some_and(|keeper| is_other(keeper, member, job));
    match &planned.gate {
        _ if member.loaded.spec.suspend => Some(SUSPENDED.into()),
        _ if elsewhere => Some(ELSEWHERE.into()),
        _ if unmet => Some(DEPENDENCY.into()),
        Gate::Open => None,
        Gate::Held(held) => Some(match held.reason {
            HeldReason::PruneLimitExceeded => "prune limit".into(),
            HeldReason::ApprovalRequired => "approval".into(),
            HeldReason::Frozen => {
                held.frozen.as_ref().map_or("frozen".into(), |frozen| frozen.told.clone().into())
            }
            HeldReason::ManifestsInvalid => "strict".into(),
        }),
    }
}

/// Whether a row's keeper is not who seeds this environment. What an operator calls its cluster is not known from here:
/// a keeper of the same namespace and name is another one only where the operator says so.
fn is_other(keeper: &str, member: &Member, job: &Job) -> bool {
    if member.resource.is_none() {
        return keeper != job.keeper;
    }
    let own = format!("/{}/{}", member.namespace(), member.name());
    !keeper.ends_with(&own) || member.is_stalled_by(Reason::KeptElsewhere, "")
}

fn table(members: &[Member], made: &[Result<Made, Trouble>]) -> String {
    let mut table = Table::new(&["ENVIRONMENT", "PLAN", "CHANGED", "CONFLICTS", "GUARD"]);
    for (member, made) in members.iter().zip(made) {
        let name = member.name().to_owned();
        match made {
            Ok(Made { planned, guard, updates: _, unknown: _, unmet: _, reseed: _ }) => {
                let plan = &planned.plan;
                let changed = format!("+{} ~{} -{}", plan.created(), plan.updated(), plan.deleted());
                let hash = plan.short_hash().to_owned();
                table.row([
                    name,
                    hash,
                    changed,
                    plan.conflicts.len().to_string(),
                    guard.as_deref().unwrap_or("-").to_owned(),
                ]);
            }
            Err(_) => table.row([name.as_str(), "-", "-", "-", "failed"]),
        }
    }
    table.text()
}

impl Made {
    fn exit(&self, differences: bool) -> Exit {
        match (refused(&self.planned) > 0, differences && !self.planned.plan.is_empty()) {
            (true, _) => Exit::Failed,
            (false, true) => Exit::Differences,
            (false, false) => Exit::Done,
        }
    }

    fn tell(&self, session: &Session, only: &str, context: &Context) {
        let Self { planned, updates: _, unknown: _, guard, unmet, reseed: _ } = self;
        let (plan, style) = (&planned.plan, &context.style);
        let flags = format!("{only}{}", session.flags());
        let rest = format!("sower plan -e {}{flags} | less", plan.environment);
        let text = changes::bounded(self.lines(), style.terminal, &rest);
        style.say(&text);
        let gap = if text.is_empty() { "" } else { "\n" };
        style.say(&format!(
            "{gap}Plan {} for {}: {} create, {} update, {} delete, {} unchanged{}{}{}\n",
            plan.short_hash(),
            plan.environment,
            plan.created(),
            plan.updated() - self.given_up(),
            plan.deleted(),
            plan.unchanged,
            given_up(self.given_up()),
            changes::besides(plan.conflicts.len(), refused(planned)),
            excluded(planned)
        ));
        for (id, replaced_by) in &plan.deprecated {
            style.note(&changes::deprecated(id, replaced_by.as_deref()));
        }
        for understated in self.understated() {
            style.note(&format!("warning: {understated}"));
        }
        if let Some(why) = unmet {
            style.hint(&format!("It would be held: {}", sentence(why)));
        }
        match (&planned.gate, guard.as_deref()) {
            (Gate::Held(held), _) => {
                style.hint(&format!("It would be held: {}", seed::held_text(planned, held)));
                // An operator plans everything, and writes what differs.
                if held.reason.is_approvable() && (only.is_empty() || session.cluster.is_none()) {
                    style.hint(&format!("Allow it once: {}", exactly(plan, only, &session.flags())));
                }
            }
            (Gate::Open, Some(SUSPENDED)) => style.hint("It would be held: spec.suspend is true"),
            (Gate::Open, Some(ELSEWHERE)) => {
                style.hint("It would be held: another keeper seeds this environment");
            }
            (Gate::Open, Some(_)) => {}
            (Gate::Open, None) if plan.is_empty() => {}
            (Gate::Open, None) => {
                style.hint(&format!("Apply it: sower seed -e {}{flags}", plan.environment));
            }
        }
    }
}

/// How many manifests are refused, integrations kept out by rows of others, and files that hold no manifest any more.
fn refused(planned: &Planned) -> usize {
    let kept = planned.plan.kept.iter();
    let aside = kept
        .filter(|kept| {
            matches!(kept.why, KeptWhy::ForeignRow | KeptWhy::Understated) || is_emptied(planned, kept)
        })
        .count();
    planned.reading.invalid() + aside
}

/// Whether rows stay because the file they came from is there and holds no manifest.
fn is_emptied(planned: &Planned, kept: &Kept) -> bool {
    let Some(row) = planned.state.rows.get(&kept.id) else { return false };
    let mut sources = planned.reading.sources.iter().map(|source| &source.catalog);
    kept.why == KeptWhy::Invalid
        && sources.any(|catalog| catalog.name == row.source && catalog.mute.contains(&row.path))
}

/// `; 2 excluded (monday, slack)`.
fn excluded(planned: &Planned) -> String {
    let ids: BTreeSet<&str> = planned.plan.excluded.iter().map(|excluded| excluded.id.as_str()).collect();
    match ids.len() {
        0 => String::new(),
        count => format!("; {count} excluded ({})", changes::some(ids, 20)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_quoted_where_a_shell_would_part_it() {
        assert_eq!(quoted("."), ".");
        assert_eq!(quoted(".#HEAD"), "'.#HEAD'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted("sqlite://.sower/a.db"), "sqlite://.sower/a.db");
    }
}
