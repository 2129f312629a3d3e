//! `sower drift`: rows that no longer are what the last seeding wrote. Reads rows only.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sower_core::drift::{Counted, Drifted, Foreign, Ignored, What};
use sower_crds::DriftMode;
use sower_store::Drift;

use crate::cli::DriftArgs;
use crate::commands::Context;
use crate::failure::{Exit, Failure};
use crate::output::changes::{MOST_ON_A_TERMINAL, some};
use crate::output::document;
use crate::output::document::Fields;
use crate::output::table::Table;
use crate::session::{Member, Session};

/// Runs it.
///
/// # Errors
/// Where a database does not answer.
pub async fn run(args: &DriftArgs, context: &Context) -> Result<Exit, Failure> {
    let session = Session::ask(&args.at, &args.which, context).await?;
    let (found, mut exit) = session
        .each(async |member| {
            let ignored = Ignored::of(&member.loaded.spec.drift.ignore_fields);
            let drift = session.rows(member).await?.drift(member.name(), &ignored).await;
            drift.map_err(|error| session.trouble(&error.into(), member))
        })
        .await?;
    if args.exit_code && found.iter().any(|(_, drift)| !drift.rows.is_empty()) {
        exit = exit.worse(Exit::Differences);
    }
    let documents: Vec<Fields> = found.iter().map(|(member, drift)| described(member, drift)).collect();
    if document::write_each(&context.style, args.output, session.named, &documents)? {
        return Ok(exit);
    }
    if session.says_that_none_is_there() {
        return Ok(exit);
    }
    let most = if context.style.terminal { MOST_ON_A_TERMINAL } else { usize::MAX };
    context.style.say(&text(&found, session.everywhere(), most));
    let total: usize = found.iter().map(|(_, drift)| drift.rows.len()).sum();
    if total > most {
        context.style.hint(&format!("{} more rows: sower drift -o json", total - most));
    }
    if session.cluster.is_none() {
        for (member, drift) in found.iter().filter(|(_, drift)| mends(drift)) {
            let (name, flags) = (member.name(), session.flags());
            // Where drift is corrected, a seeding corrects it.
            let corrects = member.loaded.spec.drift.mode == DriftMode::Correct;
            let reseed = if corrects { "" } else { " --reseed" };
            let again = again(drift);
            context
                .style
                .hint(&format!("Write {name} as it was seeded{again}: sower seed -e {name}{reseed}{flags}"));
        }
    }
    Ok(exit)
}

/// Whether writing all rows again would mend any of it.
fn mends(drift: &Drift) -> bool {
    drift.rows.iter().any(|row| matches!(row.what, What::Missing | What::Changed(_)))
}

/// `, and begin the rollout of stripe again from its first step`: a rollout that is not what Sower wrote ends, and what git
/// offers is rolled out anew.
fn again(drift: &Drift) -> String {
    let rollouts = drift.rows.iter().filter(|row| row.kind() == "rollout");
    let ids: BTreeSet<&str> = rollouts.map(|row| row.integration.as_str()).collect();
    match ids.len() {
        0 => String::new(),
        1 => format!(", and begin the rollout of {} again from its first step", some(ids, 20)),
        _ => format!(", and begin the rollouts of {} again from their first steps", some(ids, 20)),
    }
}

/// How many rows are missing, changed and foreign.
pub(super) fn counts(drift: &Drift) -> [usize; 3] {
    let Counted { missing, changed, foreign } = Counted::of(&drift.rows);
    [missing, changed, foreign]
}

/// `missing`, `changed` or `foreign`.
fn word(what: &What) -> &'static str {
    match what {
        What::Missing => "missing",
        What::Changed(_) => "changed",
        What::Foreign(_) => "foreign",
    }
}

/// What is off, for people.
fn said(what: &What) -> String {
    let more = match what {
        What::Missing => String::new(),
        What::Changed(columns) if columns.is_empty() => String::new(),
        What::Changed(columns) => format!(": {}", columns.join(", ")),
        What::Foreign(Foreign::Beside) => String::new(),
        What::Foreign(Foreign::InPlace) => ", in place of a seeded row".to_owned(),
        What::Foreign(Foreign::Claiming) => ", though it names a seeding".to_owned(),
    };
    format!("{}{more}", word(what))
}

fn described(member: &Member, drift: &Drift) -> Fields {
    let Drift { seeding, integrations, compared: _, rows } = drift;
    let [missing, changed, foreign] = counts(drift);
    let rows: Vec<Value> = rows.iter().map(row).collect();
    let mut fields = Fields::default().with("environment", member.name());
    if !member.namespace().is_empty() {
        fields = fields.with("namespace", member.namespace());
    }
    fields
        .with("seeding", seeding.map(|number| format!("{}-{number}", member.name())))
        .with("integrations", integrations)
        .with("missing", missing)
        .with("changed", changed)
        .with("foreign", foreign)
        .with("rows", rows)
        .with("errors", Vec::<Value>::new())
}

/// One row, for programs.
fn row(drifted: &Drifted) -> Value {
    let columns = match &drifted.what {
        What::Changed(columns) => columns.as_slice(),
        What::Missing | What::Foreign(_) => &[],
    };
    let foreign = match &drifted.what {
        What::Foreign(Foreign::Beside) => Some("beside"),
        What::Foreign(Foreign::InPlace) => Some("in-place"),
        What::Foreign(Foreign::Claiming) => Some("claiming"),
        What::Missing | What::Changed(_) => None,
    };
    json!({
        "kind": drifted.kind(), "id": drifted.id, "integration": drifted.integration, "what": word(&drifted.what),
        "columns": columns, "foreign": foreign, "version": drifted.version,
    })
}

/// The rows, then one line an environment.
fn text(found: &[(&Member, Drift)], everywhere: bool, most: usize) -> String {
    let name = |member: &Member| match everywhere {
        true => format!("{}/{}", member.namespace(), member.name()),
        false => member.name().to_owned(),
    };
    let mut text = String::new();
    if found.iter().any(|(_, drift)| !drift.rows.is_empty()) {
        let mut table = Table::new(&["ENVIRONMENT", "KIND", "ID", "WHAT"]);
        let rows = found.iter().flat_map(|(member, drift)| drift.rows.iter().map(move |row| (*member, row)));
        for (member, row) in rows.take(most) {
            // What lives beside the stable rows is told apart by its version.
            let version = row.version.iter().map(String::as_str);
            let id = std::iter::once(row.id.as_str()).chain(version).collect::<Vec<_>>().join(" ");
            table.row([name(member), row.kind().to_owned(), id, said(&row.what)]);
        }
        text = table.text() + "\n";
    }
    for (member, drift) in found {
        let line = match (drift.seeding, counts(drift)) {
            (None, [0, 0, 0]) => "not seeded yet".to_owned(),
            (None, [_, _, foreign]) => format!("not seeded yet; {foreign} foreign"),
            (Some(seeding), counts) => {
                let [missing, changed, foreign] = counts;
                let drift_is = match counts {
                    [0, 0, 0] => "no drift".to_owned(),
                    _ => format!("{missing} missing, {changed} changed, {foreign} foreign"),
                };
                let integrations = match drift.integrations {
                    1 => "1 integration".to_owned(),
                    several => format!("{several} integrations"),
                };
                format!("{drift_is} since seeding {seeding} ({integrations})")
            }
        };
        text.push_str(&format!("{}: {line}\n", name(member)));
    }
    text
}
