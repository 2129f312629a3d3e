//! What did not come in, as the report, the log row and the environment's row tell it.

use std::collections::{BTreeMap, BTreeSet};

use sower_core::plan::KeptWhy;
use sower_core::problem::{self, Code, Problem};
use sower_core::report::Failure;

use super::Planned;

/// The most failures that a report and its log row hold.
const MOST_FAILURES: usize = 1000;

/// The code of an update that `policy.semver: deny` keeps out.
pub const UNDERSTATED: &str = "understated-version";

/// What did not come in.
pub(super) struct Failures {
    /// At most [`MOST_FAILURES`].
    pub(super) told: Vec<Failure>,
    /// Number of all of them, told or not.
    pub(super) all: usize,
}

/// Every problem that refuses a manifest, and every integration whose id somebody else's row holds. Where there are too many
/// to be told, the first problems are, in the order of files and lines.
pub(super) fn failures(planned: &Planned) -> Failures {
    let foreign = planned.plan.kept.iter().filter(|k| k.why == KeptWhy::ForeignRow);
    let foreign = foreign.map(|kept| foreign_row(&kept.id));
    let denied = planned.plan.kept.iter().filter(|k| k.why == KeptWhy::Understated).map(|k| Failure {
        integration: Some(k.id.clone()),
        code: UNDERSTATED.to_owned(),
        location: planned.state.denied.get(&k.id).map(|denied| denied.path.clone()),
        message: planned.state.denied.get(&k.id).map(|denied| denied.why.clone()).unwrap_or_default(),
    });
    let mut beside: Vec<Failure> = foreign.chain(denied).chain(mute(planned)).collect();
    let problems = planned.reading.found().flat_map(|found| &found.problems);
    let mut refused: Vec<&Problem> = problems.filter(|problem| problem.is_error()).collect();
    let all = refused.len() + beside.len();
    beside.truncate(MOST_FAILURES);
    problem::sort(&mut refused);
    let refused = refused.into_iter().take(MOST_FAILURES - beside.len()).map(|p| Failure {
        location: Some(p.location()),
        integration: p.integration.clone(),
        code: p.code.to_string(),
        message: p.message.clone(),
    });
    Failures { told: refused.chain(beside).collect(), all }
}

/// An integration whose id somebody else's row holds.
pub(super) fn foreign_row(id: &str) -> Failure {
    Failure {
        integration: Some(id.to_owned()),
        code: "foreign-row".to_owned(),
        location: None,
        message: format!("a row that Sower did not write holds the id `{id}`"),
    }
}

/// Integrations whose file is there, and holds no document of ours any more.
fn mute(planned: &Planned) -> impl Iterator<Item = Failure> {
    let sources = planned.reading.sources.iter();
    let mute: BTreeMap<&str, &BTreeSet<String>> =
        sources.map(|source| (source.snapshot.name.as_str(), &source.catalog.mute)).collect();
    let rows = planned.state.rows.values();
    let silent =
        rows.filter(move |row| mute.get(&*row.source).is_some_and(|paths| paths.contains(&row.path)));
    silent.map(|row| Failure {
        integration: Some(row.id.clone()),
        code: Code::Syntax.to_string(),
        location: Some(row.path.clone()),
        message: "no document can be read in this file any more; delete the file to delete the integration"
            .to_owned(),
    })
}
