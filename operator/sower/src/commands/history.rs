//! `sower history`: the seedings of environments, newest first.

use jiff::Timestamp;
use serde_json::Value;
use sower_core::snapshot::{full_revision, short_revision};
use sower_store::{LogStatus, Logged};

use crate::cli::HistoryArgs;
use crate::commands::Context;
use crate::failure::{Exit, Failure};
use crate::output::document::Fields;
use crate::output::table::Table;
use crate::output::{document, time};
use crate::session::Session;

/// Runs it.
///
/// # Errors
/// Where a database does not answer.
pub async fn run(args: &HistoryArgs, context: &Context) -> Result<Exit, Failure> {
    let session = Session::ask(&args.at, &args.which, context).await?;
    let (rows, exit) = session
        .each(async |member| {
            let logged = session.rows(member).await?.history(Some(member.name()), args.limit).await;
            logged.map_err(|error| session.trouble(&error.into(), member))
        })
        .await?;
    let mut rows: Vec<Logged> = rows.into_iter().flat_map(|(_, rows)| rows).collect();
    rows.sort_by(|a, b| (b.started_at, &b.id).cmp(&(a.started_at, &a.id)));
    rows.truncate(args.limit as usize);
    let documents: Vec<Fields> = rows.iter().map(described).collect();
    if document::write(&context.style, args.output, &documents)? {
        return Ok(exit);
    }
    if session.says_that_none_is_there() {
        return Ok(exit);
    }
    if rows.is_empty() {
        let which = session.members.iter().map(crate::session::Member::name).collect::<Vec<_>>().join(", ");
        context.style.hint(&format!("No seeding yet of {which}"));
        return Ok(exit);
    }
    context.style.raw(&table(&rows, !session.named, Timestamp::now()).text());
    Ok(exit)
}

/// One seeding, for programs.
#[must_use]
pub fn described(row: &Logged) -> Fields {
    let revision = full_revision(row.revisions.iter().map(|(name, revision)| (name.as_str(), revision)));
    Fields::default()
        .with("seeding", row.seq.map(|number| format!("{}-{number}", row.environment)))
        .with("revision", Some(revision).filter(|text| !text.is_empty()))
        .with("status", row.status.as_str())
        .with("completedAt", row.completed_at)
        .with("created", row.count("created"))
        .with("updated", row.count("updated"))
        .with("deleted", row.count("deleted"))
        .with("reason", &row.reason)
        .with("environment", &row.environment)
        .with("startedAt", row.started_at)
        .with("unchanged", row.count("unchanged"))
        .with_some("staged", Some(row.count("staged")).filter(|count| *count > 0))
        .with_some("givenUp", Some(row.count("givenUp")).filter(|count| *count > 0))
        .with("integrationsProcessed", row.processed)
        .with("actionsCreated", row.actions_created)
        .with("triggersCreated", row.triggers_created)
        .with("connectionsCreated", row.connections_created)
        .with("conflicts", row.metadata.get("conflicts").cloned().unwrap_or_else(|| Value::Array(Vec::new())))
        .with("errors", &row.errors)
        .with("duration", row.metadata.get("duration"))
}

/// Seedings as rows; with `all` the environment comes first.
#[must_use]
pub fn table(rows: &[Logged], all: bool, now: Timestamp) -> Table {
    let heads = ["ENVIRONMENT", "SEEDING", "WHEN", "REVISION", "CHANGED", "RESULT", "REASON"];
    let mut table = Table::new(if all { &heads } else { &heads[1..] });
    for row in rows {
        let number = row.seq.map_or_else(|| "-".to_owned(), |number| number.to_string());
        let changed = match row.status {
            LogStatus::Completed => {
                format!("+{} ~{} -{}", row.count("created"), row.count("updated"), row.count("deleted"))
            }
            LogStatus::Running | LogStatus::Failed => "-".to_owned(),
        };
        let revision = short_revision(row.revisions.iter().map(|(name, revision)| (name.as_str(), revision)));
        let reason = match (row.status, row.errors.first()) {
            (LogStatus::Failed, Some(error)) => nothing_written(&error.message),
            _ => row.reason.clone(),
        };
        let cells = [
            row.environment.clone(),
            number,
            time::ago(row.completed_at.unwrap_or(row.started_at), now),
            if revision.is_empty() { "-".to_owned() } else { revision },
            changed,
            row.status.as_str().to_owned(),
            reason,
        ];
        table.row(cells.into_iter().skip(usize::from(!all)));
    }
    table
}

/// Why a seeding failed, and that it wrote nothing, said once.
fn nothing_written(why: &str) -> String {
    const NOTHING: &str = "; nothing written";
    format!("{}{NOTHING}", why.trim_end_matches('.').trim_end_matches(NOTHING))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_nothing_was_written_is_said_once() {
        for why in ["interrupted; nothing written", "interrupted.", "interrupted"] {
            assert_eq!(nothing_written(why), "interrupted; nothing written");
        }
    }
}
