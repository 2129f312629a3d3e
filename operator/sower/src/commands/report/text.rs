//! Figures for people: one line an environment, or one environment in whole.

use sower_core::figures::{Counted, Figures, Spread};

use super::{Now, Reported};
use crate::output::table::Table;
use crate::output::time::{ago, took};

/// One line an environment.
pub(super) fn lines(all: &[Reported]) -> Table {
    let heads = [
        "ENVIRONMENT",
        "SEEDINGS",
        "FAILED",
        "SUCCESS",
        "P50",
        "P95",
        "COMMIT TO ROWS",
        "CONFLICTS",
        "DRIFT",
    ];
    let mut table = Table::new(&heads);
    for Reported { environment, figures, drift, .. } in all {
        let (opened, _, open) = figures.conflicts();
        table.row([
            environment.clone(),
            figures.seedings.count.to_string(),
            figures.seedings.failed.to_string(),
            rate(figures),
            or_none(figures.duration.p50),
            or_none(figures.duration.p95),
            or_none(figures.commit_to_rows.spread.p50),
            format!("{opened} ({open} open)"),
            (drift.missing + drift.changed + drift.foreign).to_string(),
        ]);
    }
    table
}

/// One environment.
pub(super) fn whole(reported: &Reported) -> String {
    let Reported { environment, figures, drift, .. } = reported;
    let mut text = format!("{environment}, {} to {}\n\n", day(figures.since), day(figures.until));
    for (label, said) in [
        ("seedings", seedings(figures)),
        ("duration", spread(&figures.duration)),
        ("commit to rows", commit_to_rows(figures)),
        ("conflicts", conflicts(figures)),
        ("drift", drifted(figures, *drift)),
    ] {
        text.push_str(&format!("{label:<17}{said}\n"));
    }
    if !figures.most_changed.is_empty() {
        let mut table = Table::new(&["MOST CHANGED", "SEEDINGS", "LAST"]);
        for one in &figures.most_changed {
            table.row([one.integration.clone(), one.seedings.to_string(), ago(one.last_at, figures.until)]);
        }
        text.push_str(&format!("\n{}", table.text()));
    }
    text
}

/// `57: 55 completed, 2 failed (96.4% completed)`.
pub(super) fn seedings(figures: &Figures) -> String {
    let Counted { count, completed, failed, running } = figures.seedings;
    let mut text = match count {
        0 => "none".to_owned(),
        _ => format!("{count}: {completed} completed, {failed} failed ({} completed)", rate(figures)),
    };
    if running > 0 {
        text.push_str(&format!("; {running} running"));
    }
    if figures.cut {
        text.push_str("; the oldest are not counted");
    }
    text
}

/// `p50 84ms, p95 1.2s`.
pub(super) fn spread(spread: &Spread) -> String {
    match (spread.p50, spread.p95) {
        (Some(p50), Some(p95)) => format!("p50 {}, p95 {}", took(p50), took(p95)),
        _ => "unknown".to_owned(),
    }
}

/// `p50 41s, p95 3m 10s, of 50 pushes; 5 unknown`.
pub(super) fn commit_to_rows(figures: &Figures) -> String {
    let of = &figures.commit_to_rows;
    let unknown = if of.unknown > 0 { format!("; {} unknown", of.unknown) } else { String::new() };
    match of.spread.count {
        0 if of.unknown == 0 => "no push".to_owned(),
        0 => spread(&of.spread),
        1 => format!("{}, of 1 push{unknown}", spread(&of.spread)),
        several => format!("{}, of {several} pushes{unknown}", spread(&of.spread)),
    }
}

/// `4 opened, 3 closed; 1 open (version)`.
pub(super) fn conflicts(figures: &Figures) -> String {
    let (opened, closed, open) = figures.conflicts();
    let standing = figures.conflicts.iter().filter(|one| one.open > 0);
    let standing: Vec<String> = standing.map(|one| format!("{} {}", one.open, one.kind.as_str())).collect();
    let kinds = if standing.is_empty() { String::new() } else { format!(" ({})", standing.join(", ")) };
    format!("{opened} opened, {closed} closed; {open} open{kinds}")
}

/// `2 corrections; now 0 missing, 1 changed, 0 foreign`.
pub(super) fn drifted(figures: &Figures, Now { missing, changed, foreign }: Now) -> String {
    let corrections = match figures.corrections {
        1 => "1 correction".to_owned(),
        several => format!("{several} corrections"),
    };
    format!("{corrections}; now {missing} missing, {changed} changed, {foreign} foreign")
}

/// `96.4%`.
pub(super) fn rate(figures: &Figures) -> String {
    let Some(rate) = figures.success_rate else { return "-".to_owned() };
    let percent = rate * 100.0;
    // All but one of many is not all.
    let shown = if percent > 99.9 && percent < 100.0 { 99.9 } else { percent };
    let text = format!("{shown:.1}%");
    text.strip_suffix(".0%").map_or(text.clone(), |whole| format!("{whole}%"))
}

/// `2026-11-21`.
pub(super) fn day(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%d").to_string()
}

fn or_none(milliseconds: Option<u64>) -> String {
    milliseconds.map_or_else(|| "-".to_owned(), took)
}
