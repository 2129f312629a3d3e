//! What a seeding says of the rows that drifted and that it writes again.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sower_core::drift::{Counted, Drifted};

use super::Planned;
use super::job::Job;

/// The rows that drifted of the integrations that the plan writes.
#[must_use]
pub fn mends<'a>(job: &'a Job, planned: &Planned) -> Vec<&'a Drifted> {
    if job.mend.is_empty() {
        return Vec::new();
    }
    let written: BTreeSet<&str> = planned.plan.operations.iter().map(|o| o.id.as_str()).collect();
    job.mend.iter().filter(|row| written.contains(row.integration.as_str())).collect()
}

/// Why a seeding is made that does nothing else: `drift: 3 rows corrected`.
pub(super) fn reason(mends: &[&Drifted]) -> String {
    let noun = if mends.len() == 1 { "row" } else { "rows" };
    format!("drift: {} {noun} corrected", mends.len())
}

/// How many of which kind, for the log row.
pub(super) fn metadata(mends: &[&Drifted]) -> Option<(String, Value)> {
    let Counted { missing, changed, foreign } = Counted::of(mends.iter().copied());
    let drift = json!({ "missing": missing, "changed": changed, "claiming": foreign });
    (!mends.is_empty()).then(|| ("drift".to_owned(), drift))
}
