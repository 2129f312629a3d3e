//! `sower rollout status`: where rollouts are, from the rows.

use jiff::Timestamp;
use serde_json::{Value, json};
use sower_core::rollout::course::percent;
use sower_core::rollout::{Event, Rollout, State, Variant};
use sower_store::{Store, StoreError, Which};

use super::drawn::{Place, Since, drawn};
use super::watch::watch;
use crate::cli::RolloutStatusArgs;
use crate::commands::Context;
use crate::failure::{Exit, Failure};
use crate::output::document::{self, Fields};
use crate::output::table::Table;
use crate::output::time;
use crate::session::{Member, Session};
use crate::standing::is_ours;

/// Runs it.
///
/// # Errors
/// Where a database does not answer, or the integration that was named has had no rollout.
pub async fn run(args: &RolloutStatusArgs, context: &Context) -> Result<Exit, Failure> {
    let session = Session::ask_rows(&args.at, &args.which, context).await?;
    let id = args.id.as_deref();
    let (answers, exit) = session.each(async |member| of(&session, member, id).await).await?;
    let mut all: Vec<(&Member, Last)> = answers
        .into_iter()
        .flat_map(|(member, rollouts)| rollouts.into_iter().map(move |last| (member, last)))
        .collect();
    if let (Some(id), true) = (id, all.is_empty() && !session.members.is_empty()) {
        return Err(none(&session, id));
    }
    let mut exit = exit;
    if args.watch {
        let for_people = args.output == crate::cli::Format::Table;
        let Some(last) = watch(&session, all, for_people).await? else { return Ok(Exit::Interrupted) };
        all = last;
    }
    // Those under way come first.
    all.sort_by_key(|(_, last)| last.rollout.state.is_over());
    all.sort_by_key(|(member, _)| (member.namespace(), member.name()));
    if id.is_some() && all.iter().any(|(_, last)| last.rollout.ended_badly()) {
        exit = exit.worse(Exit::Failed);
    }
    let documents: Vec<Fields> = all.iter().map(|(member, last)| described(member, last)).collect();
    let one = session.named && id.is_some();
    if document::write_each(&context.style, args.output, one, &documents)? || args.watch {
        return Ok(exit);
    }
    if session.says_that_none_is_there() {
        return Ok(exit);
    }
    if all.is_empty() {
        let which = session.members.iter().map(Member::name).collect::<Vec<_>>().join(", ");
        context.style.hint(&format!("No rollout yet in {which}"));
        return Ok(exit);
    }
    let now = Timestamp::now();
    let text = match id {
        Some(_) => each(&session, &all, now),
        None => table(&session, &all, now).text(),
    };
    context.style.raw(&text);
    Ok(exit)
}

/// The last rollout of an integration.
#[derive(Debug, Clone)]
pub struct Last {
    /// The rollout.
    pub rollout: Rollout,
    /// What became of it since.
    pub since: Since,
}

/// Of every integration of an environment the last rollout, or that of one.
///
/// # Errors
/// Where the database does not answer.
pub async fn of(session: &Session, member: &Member, id: Option<&str>) -> Result<Vec<Last>, Failure> {
    let store = session.rows(member).await?;
    last(&store, member.name(), id).await.map_err(|error| session.trouble(&error.into(), member))
}

async fn last(store: &Store, environment: &str, id: Option<&str>) -> Result<Vec<Last>, StoreError> {
    let mut found = store.rollouts(Some(environment), Which::Latest).await?;
    found.retain(|rollout| id.is_none_or(|id| rollout.integration == id));
    let (mut listed, mut kept_out) = (Vec::new(), Vec::new());
    if found.iter().any(|rollout| rollout.state.is_over()) {
        listed = match id {
            Some(id) => store.integration(environment, id).await?.map(|one| one.listed).into_iter().collect(),
            None => store.integrations(Some(environment)).await?,
        };
        kept_out = store.quarantined(Some(environment)).await?;
    }
    let since = |rollout: &Rollout| {
        let Rollout { integration, from, state, .. } = rollout;
        if !state.is_over() {
            return Since { stable: Some(from.version.clone()), kept_out: None };
        }
        let row = listed.iter().find(|row| row.id == *integration && is_ours(row));
        let tried = rollout.blamed().checksum;
        let out = kept_out.iter().find(|out| out.integration == *integration && out.checksum == tried);
        Since {
            stable: row.map(|row| row.version.clone()),
            kept_out: out.map(|out| out.asked_back_at.is_some()),
        }
    };
    Ok(found.into_iter().map(|rollout| Last { since: since(&rollout), rollout }).collect())
}

/// Rollouts as they are drawn; where several environments were asked, each under its name.
pub fn each(session: &Session, all: &[(&Member, Last)], now: Timestamp) -> String {
    let flags = |member: &Member| match &session.cluster {
        Some(cluster) => cluster.flags_to(member),
        None => session.settings.given.clone(),
    };
    let one = |(member, last): &(&Member, Last)| {
        let flags = flags(member);
        let place = Place {
            environment: member.name(),
            flags: &flags,
            files: session.cluster.is_none(),
            spec: &member.loaded.spec,
            freeze_override: member.loaded.freeze_override,
            since: &last.since,
        };
        let text = drawn(&last.rollout, &place, now);
        match (session.named, session.everywhere()) {
            (true, _) => text,
            (false, false) => format!("{}\n{text}", member.name()),
            (false, true) => format!("{}/{}\n{text}", member.namespace(), member.name()),
        }
    };
    all.iter().map(one).collect::<Vec<_>>().join("\n")
}

fn table(session: &Session, all: &[(&Member, Last)], now: Timestamp) -> Table {
    let heads =
        ["NAMESPACE", "ENVIRONMENT", "ID", "FROM", "TO", "STATE", "STEP", "WEIGHT", "SINCE", "REASON"];
    let skipped = usize::from(!session.everywhere());
    let mut table = Table::new(&heads[skipped..]);
    for (member, Last { rollout, since: left }) in all {
        // What everybody had by its end they may have no longer.
        let undone = rollout.state == State::Completed && left.stable.as_ref() != Some(&rollout.to.version);
        let now_has = match &left.stable {
            Some(version) => format!("; everyone has {version} now"),
            None => "; nobody has it now".to_owned(),
        };
        let now_has = if undone { now_has } else { String::new() };
        let since = rollout.last_event().map_or(rollout.started_at, |event| event.at);
        let cells = [
            member.namespace().to_owned(),
            member.name().to_owned(),
            rollout.integration.clone(),
            rollout.from.version.clone(),
            rollout.to.version.clone(),
            rollout.state.as_str().to_owned(),
            format!("{}/{}", rollout.reached().0, rollout.steps()),
            format!("{}%", percent(rollout.weight)),
            time::ago(since, now),
            format!("{}{now_has}", rollout.reason()),
        ];
        table.row(cells.into_iter().skip(skipped));
    }
    table
}

/// There was no rollout of this integration.
pub fn none(session: &Session, id: &str) -> Failure {
    let names: Vec<&str> = session.members.iter().map(Member::name).collect();
    let which = if session.named { format!(" -e {}", names[0]) } else { String::new() };
    let flags = session.flags();
    Failure::failed(format!("{} has had no rollout of {id}", names.join(", ")))
        .next("is it there?", format!("sower explain {id}{which}{flags}"))
        .next("all of them", format!("sower rollout status{which}{flags}"))
}

/// A rollout, for programs. Weights are percent.
pub fn described(member: &Member, Last { rollout, since }: &Last) -> Fields {
    let mut fields = Fields::default().with("environment", member.name());
    if !member.namespace().is_empty() {
        fields = fields.with("namespace", member.namespace());
    }
    fields
        .with("integration", &rollout.integration)
        .with("id", &rollout.id)
        .with("state", rollout.state)
        .with("step", rollout.step)
        .with("steps", rollout.steps())
        .with("weight", number(percent(rollout.weight)))
        .with("from", &rollout.from.version)
        .with("to", &rollout.to.version)
        .with("stable", &since.stable)
        .with("reason", rollout.reason())
        .with("type", rollout.strategy.kind)
        .with("startedAt", rollout.started_at)
        .with("stepStartedAt", rollout.step_started_at)
        .with("dueAt", rollout.due_at)
        .with("endedAt", rollout.ended_at)
        .with("variants", rollout.variants.iter().map(variant).collect::<Vec<_>>())
        .with_some("unknown", Some(rollout.unknown()).filter(|unknown| !unknown.is_empty()))
        .with("verdict", &rollout.verdict)
        .with("events", rollout.events.iter().map(event).collect::<Vec<_>>())
}

fn variant(variant: &Variant) -> Value {
    let Variant { version, checksum, weight, keys, labels } = variant;
    json!({
        "version": version, "checksum": checksum, "weight": number(percent(*weight)), "keys": keys, "labels": labels,
    })
}

fn event(event: &Event) -> Value {
    let Event { at, state, step, weight, reason, by } = event;
    json!({
        "at": at, "state": state, "step": step, "weight": number(percent(*weight)), "reason": reason, "by": by,
    })
}

/// `50` and `12.5`, not `50.0`.
#[allow(clippy::cast_possible_truncation, reason = "percent, without a fraction")]
fn number(percent: f64) -> Value {
    if percent.fract() == 0.0 { Value::from(percent as i64) } else { Value::from(percent) }
}
