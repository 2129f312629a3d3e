//! What `run --standalone` says first: where everything is, what each environment came to, and what to do next.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use sower_controllers::seeding::{Origin, Seeded};

use super::line::Line;
use super::member::{Round, Shared, Spec};
use super::supervisor::Supervisor;
use crate::commands::seed;
use crate::databases;
use crate::output::table::Table;
use crate::output::time;
use crate::project::Project;
use crate::settings::Settings;

/// `from: files (sower.toml) · sqlite://.sower/sower.db (new)`.
pub fn from(project: &Project) -> String {
    let mut shown: Vec<String> = Vec::new();
    for environment in project.environments() {
        let url = databases::url(&project.settings, &environment.name).ok();
        let new = url.and_then(|url| url.file().map(|file| !file.exists())).unwrap_or(false);
        let database =
            format!("{}{}", project.database_shown(&environment.name), if new { " (new)" } else { "" });
        if !shown.contains(&database) {
            shown.push(database);
        }
    }
    let database = if shown.is_empty() { String::new() } else { format!(" · {}", shown.join(", ")) };
    format!("from: {}{database}", project.target())
}

/// The command that goes on from here.
pub fn again(settings: &Settings) -> String {
    let make = makefile(settings).is_some_and(|text| text.lines().any(|line| line.starts_with("run:")));
    if make { "`make run`" } else { "`sower run --standalone`" }.to_owned()
}

fn makefile(settings: &Settings) -> Option<String> {
    std::fs::read_to_string(settings.root.as_ref()?.join("Makefile")).ok()
}

/// The table and the hints; for programs one record an environment.
pub async fn tell(supervisor: &Supervisor, shared: &Shared, listening: SocketAddr) {
    let log = &shared.log;
    let mut carried: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut rows = Vec::new();
    for (spec, round) in &supervisor.first {
        let ids = held(shared, spec).await;
        rows.push(row(spec, round, ids.as_ref().map(BTreeSet::len)));
        carried.insert(spec.environment.name.clone(), ids.unwrap_or_default());
        if !log.is_text()
            && let Ok(seeded) = &round.outcome.result
        {
            let (environment, revision) = (spec.environment.name.clone(), seed::revision(seeded));
            let report = Some(Box::new(seeded.report().clone()));
            log.record(&Line { environment, revision, report, ..Line::default() });
        }
    }
    let edits = edited(supervisor);
    let dirty = if edits.is_empty() { 0 } else { "-dirty".len() };
    log.expect(
        rows.iter().map(|row| row[0].chars().count()),
        rows.iter().map(|row| row[1].trim_end_matches("-dirty").chars().count() + dirty),
    );
    if rows.is_empty() {
        let folder = shared.settings.environments.value.display();
        log.for_people(&format!("No environment yet: write one into {folder}, and it is seeded."));
    } else {
        let heads = ["ENVIRONMENT", "REVISION", "INTEGRATIONS", "CHANGED", "CONFLICTS", "PROBLEMS", "TOOK"];
        let mut table = Table::new(&heads);
        rows.into_iter().for_each(|row| table.row(row));
        log.for_people(&table.text());
    }
    supervisor.more.iter().for_each(|line| log.line(line));
    if log.is_text() {
        log.for_people(&format!("\nWatching. {}", reaches(supervisor, &edits)));
        log.for_people(&format!("Health and metrics: http://{listening} · Stop: Ctrl-C"));
        log.hint(&hints(shared, &carried, &edits));
        log.for_people("");
    } else {
        tracing::info!(listen = %listening, "watching");
    }
}

/// The ids that an environment holds; none where its database does not answer.
async fn held(shared: &Shared, spec: &Spec) -> Option<BTreeSet<String>> {
    let store = shared.databases.of(&shared.settings, &spec.environment).await.ok()?;
    let listed = store.integrations(Some(&spec.environment.name)).await.ok()?;
    Some(listed.into_iter().map(|listed| listed.id).collect())
}

fn row(spec: &Spec, round: &Round, held: Option<usize>) -> [String; 7] {
    let name = spec.environment.name.clone();
    let held = held.map_or_else(|| "-".to_owned(), |count| count.to_string());
    let none = || "-".to_owned();
    match &round.outcome.result {
        Err(_) => [name, none(), held, none(), none(), none(), none()],
        Ok(seeded) => {
            let report = seeded.report();
            let changed = match seeded {
                Seeded::Held { .. } => "held".to_owned(),
                _ => format!("+{} ~{} -{}", report.created, report.updated, report.deleted),
            };
            let (conflicts, problems) = (report.conflicts.len().to_string(), report.errors.len().to_string());
            [name, seed::revision(seeded), held, changed, conflicts, problems, time::took(round.milliseconds)]
        }
    }
}

/// The environments that see edits, with the paths they read.
fn edited(supervisor: &Supervisor) -> Vec<(String, BTreeSet<String>)> {
    let specs = supervisor.specs();
    let edits = specs.iter().filter_map(|spec| {
        let sources = spec.job.as_ref().ok()?.sources.iter();
        let paths: BTreeSet<String> = sources
            .filter(|source| matches!(source.origin, Origin::Folder(_)))
            .map(|source| source.path.trim_end_matches('/').to_owned())
            .collect();
        (!paths.is_empty()).then(|| (spec.environment.name.clone(), paths))
    });
    edits.collect()
}

/// `An edit under integrations/ reaches development, a commit all three.`
fn reaches(supervisor: &Supervisor, edits: &[(String, BTreeSet<String>)]) -> String {
    let all = supervisor.specs();
    let commits = all.iter().filter(|spec| {
        let sources = spec.job.as_ref().map(|job| job.sources.as_slice()).unwrap_or_default();
        sources.iter().any(|source| matches!(source.origin, Origin::Checkout { .. } | Origin::Folder(_)))
    });
    let commits: Vec<&str> = commits.map(|spec| spec.environment.name.as_str()).collect();
    let names: Vec<&str> = edits.iter().map(|(name, _)| name.as_str()).collect();
    let paths: BTreeSet<&String> = edits.iter().flat_map(|(_, paths)| paths).collect();
    let under = paths.iter().map(|path| format!("{path}/")).collect::<Vec<_>>().join(" or ");
    let total = all.len();
    match (names.is_empty(), commits.len() > names.len()) {
        (true, false) => "Every source is asked at its interval.".to_owned(),
        (true, true) => format!("A commit reaches {}.", whom(&commits, total)),
        (false, false) => format!("An edit under {under} reaches {}.", whom(&names, total)),
        (false, true) => format!(
            "An edit under {under} reaches {}, a commit {}.",
            whom(&names, total),
            whom(&commits, total)
        ),
    }
}

/// `development`, `both`, `all three`.
fn whom(names: &[&str], total: usize) -> String {
    const NUMBERS: [&str; 8] = ["two", "three", "four", "five", "six", "seven", "eight", "nine"];
    match names.len() {
        count if count < total || count < 2 => sower_core::conflict::listed(names.iter().copied(), count),
        2 => "both".to_owned(),
        count => NUMBERS.get(count - 2).map_or_else(|| format!("all {count}"), |word| format!("all {word}")),
    }
}

fn hints(
    shared: &Shared,
    carried: &BTreeMap<String, BTreeSet<String>>,
    edits: &[(String, BTreeSet<String>)],
) -> String {
    let mut lines = Vec::new();
    let line = |command: &str, what: &str| format!("  {command:37} {what}");
    if makefile(&shared.settings).is_some_and(|text| text.lines().any(|line| line.starts_with("install:"))) {
        lines.push(line("make install", "puts sower on your PATH"));
    }
    lines.push(line("sower get integrations", "what each environment holds"));
    let missing = missing(carried);
    if let Some((id, environment)) = &missing {
        lines.push(line(&format!("sower explain {id}"), &format!("why {environment} has no {id}")));
    }
    // The folder of an integration is called as it is, as a rule; the file is named only if it is there.
    let id = missing.as_ref().map(|(id, _)| id).or_else(|| carried.values().flatten().next());
    let file = id.and_then(|id| {
        let (_, paths) = edits.first()?;
        let path = format!("{}/{id}/integration.yaml", paths.first()?);
        shared.settings.root.as_ref()?.join(&path).exists().then_some(path)
    });
    if let Some(file) = file {
        lines.push(format!("  edit {file} and watch this terminal"));
    }
    format!("\nIn a second terminal, in this folder:\n{}", lines.join("\n"))
}

/// An integration that the most environments lack although another has it, and the first of them.
fn missing(carried: &BTreeMap<String, BTreeSet<String>>) -> Option<(String, String)> {
    let all: BTreeSet<&String> = carried.values().flatten().collect();
    let lacking = |id: &String| {
        carried.iter().filter(|(_, ids)| !ids.contains(id)).map(|(name, _)| name).collect::<Vec<_>>()
    };
    let (id, lacking) = all
        .into_iter()
        .map(|id| (id, lacking(id)))
        .filter(|(_, lacking)| !lacking.is_empty())
        .max_by(|(a, la), (b, lb)| la.len().cmp(&lb.len()).then_with(|| b.cmp(a)))?;
    Some((id.clone(), (*lacking.first()?).clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_called_by_their_number() {
        assert_eq!(whom(&["a"], 3), "a");
        assert_eq!(whom(&["a", "b"], 3), "a and b");
        assert_eq!(whom(&["a", "b"], 2), "both");
        assert_eq!(whom(&["a", "b", "c"], 3), "all three");
        assert_eq!(whom(&["a"], 1), "a");
        assert_eq!(whom(&["x"; 12], 12), "all 12");
    }

    #[test]
    fn what_most_lack_is_what_is_explained() {
        let of = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<BTreeSet<_>>();
        let carried = BTreeMap::from([
            ("development".to_owned(), of(&["monday", "slack", "stripe"])),
            ("production".to_owned(), of(&["stripe"])),
            ("staging".to_owned(), of(&["monday", "stripe"])),
        ]);
        assert_eq!(missing(&carried), Some(("slack".to_owned(), "production".to_owned())));
    }
}
