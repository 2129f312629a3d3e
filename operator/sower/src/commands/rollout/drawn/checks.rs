//! What the last analysis found: one line a check, with the versions as heads.

use sower_core::rollout::Rollout;
use sower_core::rollout::analysis::{Check, Outcome};

/// Characters of the column of limits.
const LIMIT: usize = 11;

/// The table.
pub(super) fn table(rollout: &Rollout, checks: &[Check]) -> String {
    let judged = rollout.verdict.as_ref().map(|verdict| verdict.version.as_str());
    let judged = judged.filter(|version| !version.is_empty()).unwrap_or(&rollout.to.version);
    let heads = ["", &rollout.from.version, judged, "LIMIT", "VERDICT"].map(str::to_owned);
    let rows: Vec<[String; 5]> = std::iter::once(heads).chain(checks.iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let (name, stable, candidate, limit) = (width(0), width(1), width(2), width(3).max(LIMIT));
    let mut text = String::new();
    for [check, old, new, bound, verdict] in &rows {
        let line =
            format!("{check:name$}   {old:>stable$}   {new:>candidate$}    {bound:limit$}   {verdict}");
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn row(check: &Check) -> [String; 5] {
    let Check { name, candidate, stable, limit, outcome, note } = check;
    let word = match outcome {
        Outcome::Success => "ok",
        Outcome::Failure => "failed",
        Outcome::Inconclusive => "inconclusive",
    };
    let verdict = if note.is_empty() { word.to_owned() } else { format!("{word} ({note})") };
    [name.clone(), stable.clone(), candidate.clone(), limit.clone(), verdict]
}
