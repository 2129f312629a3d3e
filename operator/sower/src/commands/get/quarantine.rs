//! `sower get quarantine`: what stays out of environments because they were rolled back from it.

use jiff::Timestamp;
use sower_core::quarantine::ABSENCE;
use sower_store::Quarantined;

use crate::cli::Format;
use crate::failure::{Exit, Failure};
use crate::output::document::{self, Fields};
use crate::output::table::Table;
use crate::output::time;
use crate::session::{Member, Session};

/// Characters of a checksum in a table, as plan hashes have them.
const SHOWN: usize = 12;

/// Runs it.
///
/// # Errors
/// Where a database does not answer.
pub async fn run(session: &Session, id: Option<&str>, format: Format) -> Result<Exit, Failure> {
    let (answers, exit) = session
        .each(async |member| {
            let open = session.rows(member).await?.quarantined(Some(member.name())).await;
            open.map_err(|error| session.trouble(&error.into(), member))
        })
        .await?;
    let each = |(member, open): (_, Vec<Quarantined>)| open.into_iter().map(move |open| (member, open));
    let mut all: Vec<(&Member, Quarantined)> = answers.into_iter().flat_map(each).collect();
    all.retain(|(_, open)| id.is_none_or(|id| id == open.integration));
    let documents: Vec<Fields> = all.iter().map(|(member, open)| described(member, open)).collect();
    if document::write(&session.style, format, &documents)? || session.says_that_none_is_there() {
        return Ok(exit);
    }
    if all.is_empty() {
        session.style.hint("Nothing is in quarantine");
        return Ok(exit);
    }
    let mut table = Table::new(&["ENVIRONMENT", "ID", "VERSION", "CHECKSUM", "SEEDING", "SINCE", "REASON"]);
    let now = Timestamp::now();
    for (_, open) in &all {
        let hex = open.checksum.rsplit(':').next().unwrap_or_default();
        let absent = open.checksum == ABSENCE;
        let asked = if open.asked_back_at.is_some() { "; taken back, waits for a seeding" } else { "" };
        table.row([
            open.environment.clone(),
            open.integration.clone(),
            open.version.clone().unwrap_or_else(|| "absent".to_owned()),
            if absent { "-" } else { hex.get(..SHOWN).unwrap_or(hex) }.to_owned(),
            open.seeding.map_or_else(|| "-".to_owned(), |number| number.to_string()),
            time::ago(open.since, now),
            format!("{}{asked}", open.reason),
        ]);
    }
    session.style.raw(&table.text());
    let here = session.flags();
    session.style.hint(&format!("Take one back: sower rollback ID -e ENVIRONMENT --undo{here}"));
    Ok(exit)
}

fn described(member: &Member, open: &Quarantined) -> Fields {
    let absent = open.checksum == ABSENCE;
    let fields = Fields::default()
        .with("environment", &open.environment)
        .with("integration", &open.integration)
        .with("version", &open.version)
        .with("checksum", (!absent).then_some(&open.checksum))
        .with("absence", absent)
        .with("seeding", open.seeding.map(|number| format!("{}-{number}", open.environment)))
        .with("since", open.since)
        .with("askedBackAt", open.asked_back_at)
        .with("reason", &open.reason);
    match member.namespace() {
        "" => fields,
        namespace => fields.with("namespace", namespace),
    }
}
