//! The report as one page of HTML: charts as SVG, readable in light and dark, without script and without anything from
//! elsewhere. Every text of somebody else's is escaped.

use std::fmt::Write as _;

use jiff::Timestamp;
use sower_core::figures::{Bar, Figures, Span, Spread};

use super::{Reported, text};
use crate::output::chart::{self, Place, Series, escaped};
use crate::output::time::{ago, took};

const STYLE: &str = "\
:root{color-scheme:light dark;--page:#f6f7f9;--card:#fff;--text:#1b1f27;--dim:#5f6b7a;--edge:#dfe3e9;--ok:#2f8f6b;--bad:#c8443a;--half:#3567c4;--most:#b8711a}
@media(prefers-color-scheme:dark){:root{--page:#12151b;--card:#1a1f27;--text:#e6e9ee;--dim:#95a1b1;--edge:#2c343f;--ok:#4fb78f;--bad:#ea6a5e;--half:#78a2f2;--most:#e3a04a}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--text);font:15px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif}
main{max-width:1120px;margin:0 auto;padding:32px 20px 48px}
h1{font-size:24px;margin:0}h2{font-size:20px;margin:40px 0 12px}h3{font-size:14px;margin:0 0 10px;font-weight:600}
.dim,.foot{color:var(--dim)}.foot{margin-top:40px;font-size:13px}
nav a{color:var(--half);margin-right:14px}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(165px,1fr));gap:12px;margin-bottom:12px}
.tile,.card{background:var(--card);border:1px solid var(--edge);border-radius:10px;padding:14px 16px}
.tile b{display:block;font-size:22px;line-height:1.25;font-variant-numeric:tabular-nums}
.tile span{color:var(--dim);font-size:13px}.tile .label{display:block;color:var(--text);font-weight:600;margin-bottom:2px}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,480px),1fr));gap:12px}
svg{display:block;width:100%;height:auto}
svg text{fill:var(--dim);font-size:11px}
svg .beside,svg .name{text-anchor:end}svg .below{text-anchor:middle}svg .name{fill:var(--text);font-size:13px}svg .count{fill:var(--text);font-size:12px}
svg .grid{stroke:var(--edge);stroke-width:1}svg .none{fill:transparent}svg .line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
rect.ok,circle.ok{fill:var(--ok)}rect.bad{fill:var(--bad)}circle.half{fill:var(--half)}circle.most{fill:var(--most)}
path.half{stroke:var(--half)}path.most{stroke:var(--most)}rect.half{fill:var(--half)}
.legend{margin:6px 0 0;font-size:12px;color:var(--dim)}.legend span{margin-right:16px}
.legend i{display:inline-block;width:10px;height:10px;border-radius:3px;margin-right:6px;vertical-align:-1px}
i.ok{background:var(--ok)}i.bad{background:var(--bad)}i.half{background:var(--half)}i.most{background:var(--most)}
table{border-collapse:collapse;width:100%;font-size:14px}th{text-align:left;color:var(--dim);font-weight:600;font-size:12px}
td,th{padding:6px 14px 6px 0;border-bottom:1px solid var(--edge);vertical-align:top}td:not(:first-child){font-variant-numeric:tabular-nums}
@media print{body{background:#fff}.tile,.card{break-inside:avoid}}
";

const ENDED: [Series; 2] = [("ok", "completed"), ("bad", "failed")];
const SPREAD: [Series; 2] =
    [("half", "half took at most this (p50)"), ("most", "95 of 100 took at most this (p95)")];

/// The page.
pub(super) fn page(all: &[Reported], since: Timestamp, now: Timestamp) -> String {
    let time = format!("{} to {}", text::day(since), text::day(now));
    let names: Vec<&str> = all.iter().map(|one| one.environment.as_str()).collect();
    let title = match names.as_slice() {
        [only] => format!("Sower report: {only}, {time}"),
        _ => format!("Sower report, {time}"),
    };
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{}</title>\n<style>\n{STYLE}</style>\n\
         </head>\n<body>\n<main>\n<h1>What became of the seedings</h1>\n<p class=\"dim\">{time}; made {} UTC</p>\n",
        escaped(&title),
        now.strftime("%Y-%m-%d %H:%M"),
    );
    if names.len() > 1 {
        page.push_str("<nav>");
        for (number, name) in names.iter().enumerate() {
            let _ = write!(page, "<a href=\"#environment-{number}\">{}</a>", escaped(name));
        }
        page.push_str("</nav>\n");
    }
    for (number, one) in all.iter().enumerate() {
        section(&mut page, number, one);
    }
    if all.is_empty() {
        page.push_str("<p>There is no environment.</p>\n");
    }
    page.push_str(
        "<p class=\"foot\">Counted from the log in the database. A seeding that had nothing to do leaves no row there and is not \
         counted; every attempt that failed is. From commit to rows is the time from a commit to the end of the seeding that \
         brought it. Times are UTC.</p>\n</main>\n</body>\n</html>\n",
    );
    page
}

fn section(page: &mut String, number: usize, reported: &Reported) {
    let Reported { environment, figures, drift, .. } = reported;
    let _ = write!(page, "<section id=\"environment-{number}\">\n<h2>{}</h2>\n", escaped(environment));
    let (opened, ..) = figures.conflicts();
    page.push_str("<div class=\"tiles\">\n");
    let or_none = |milliseconds: Option<u64>| milliseconds.map_or_else(|| "unknown".to_owned(), took);
    let wait = &figures.commit_to_rows.spread;
    let waited = match (wait.count, figures.commit_to_rows.unknown) {
        (0, 0) => "no push".to_owned(),
        _ => or_none(wait.p50),
    };
    let off = drift.missing + drift.changed + drift.foreign;
    for (label, value, more) in [
        ("Completed", text::rate(figures), text::seedings(figures)),
        ("Duration", or_none(figures.duration.p50), text::spread(&figures.duration)),
        ("Commit to rows", waited, text::commit_to_rows(figures)),
        ("Conflicts", opened.to_string(), text::conflicts(figures)),
        ("Drift", off.to_string(), text::drifted(figures, *drift)),
    ] {
        let _ = writeln!(
            page,
            "<div class=\"tile\"><span class=\"label\">{label}</span><b>{}</b><span>{}</span></div>",
            escaped(&value),
            escaped(&more)
        );
    }
    page.push_str("</div>\n<div class=\"cards\">\n");
    let per = figures.per.as_str();
    let bars: Vec<(Place, Vec<u64>)> = figures
        .course
        .iter()
        .map(|bar| {
            let title =
                format!("{}: {} completed, {} failed", begins(bar, figures.per), bar.completed, bar.failed);
            (Place { label: label(bar, figures.per), title }, vec![bar.completed, bar.failed])
        })
        .collect();
    card(
        page,
        &format!("Seedings per {per}"),
        &chart::stacked(&format!("Seedings per {per}"), &ENDED, &bars),
    );
    for (title, pick) in [
        ("How long a seeding took", duration as fn(&Bar) -> &Spread),
        ("From commit to rows", commit_to_rows),
    ] {
        let points = spreads(figures, pick);
        let drawn = match points.iter().any(|(_, values)| values.iter().any(Option::is_some)) {
            true => chart::lines(&format!("{title}, per {per}"), &SPREAD, &points, axis),
            false => "<p class=\"dim\">Nothing was measured in this time.</p>\n".to_owned(),
        };
        card(page, title, &drawn);
    }
    card(page, "Changed most often", &most_changed(figures));
    page.push_str("</div>\n</section>\n");
}

fn duration(bar: &Bar) -> &Spread {
    &bar.duration
}

fn commit_to_rows(bar: &Bar) -> &Spread {
    &bar.commit_to_rows
}

fn card(page: &mut String, title: &str, inside: &str) {
    let _ = write!(page, "<div class=\"card\"><h3>{title}</h3>\n{inside}</div>\n");
}

fn most_changed(figures: &Figures) -> String {
    if figures.most_changed.is_empty() {
        return "<p class=\"dim\">No integration changed in this time.</p>\n".to_owned();
    }
    let rows: Vec<(&str, u64)> =
        figures.most_changed.iter().map(|one| (one.integration.as_str(), one.seedings)).collect();
    let mut text = chart::ranks("Seedings that changed an integration", "half", &rows);
    let last = figures.most_changed.iter().max_by_key(|one| one.last_at);
    if let Some(last) = last {
        let _ = writeln!(
            text,
            "<p class=\"legend\">Seedings that changed it. The last: {}, {}.</p>",
            escaped(&last.integration),
            ago(last.last_at, figures.until)
        );
    }
    text
}

fn spreads(figures: &Figures, pick: fn(&Bar) -> &Spread) -> Vec<(Place, Vec<Option<u64>>)> {
    let point = |bar: &Bar| {
        let spread = pick(bar);
        let title =
            format!("{}: {} ({} measured)", begins(bar, figures.per), text::spread(spread), spread.count);
        (Place { label: label(bar, figures.per), title }, vec![spread.p50, spread.p95])
    };
    figures.course.iter().map(point).collect()
}

/// A time beside an axis: `2s`, not `2.0s`.
fn axis(milliseconds: u64) -> String {
    took(milliseconds).replace(".0s", "s")
}

fn label(bar: &Bar, per: Span) -> String {
    let form = match per {
        Span::Hour => "%H:%M",
        Span::Day | Span::Week => "%b %-d",
        Span::Month => "%b %Y",
    };
    bar.from.strftime(form).to_string()
}

fn begins(bar: &Bar, per: Span) -> String {
    let form = if per == Span::Hour { "%Y-%m-%d %H:%M" } else { "%Y-%m-%d" };
    let from = bar.from.strftime(form);
    match per {
        Span::Hour | Span::Day => from.to_string(),
        Span::Week | Span::Month => format!("{} from {from}", per.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use sower_core::figures::{Account, Changed, Ended, Seeding, figures};

    use super::super::Now;
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn reported(environment: &str, integration: &str) -> Reported {
        let seeding = |seq: i64, day: i64| Seeding {
            seq: Some(seq),
            ended: if seq % 5 == 0 { Ended::Failed } else { Ended::Completed },
            started_at: at("2026-11-01T08:00:00Z") + jiff::SignedDuration::from_hours(24 * day),
            completed_at: Some(
                at("2026-11-01T08:00:00Z")
                    + jiff::SignedDuration::from_millis(86_400_000 * day + 80 * (seq % 7)),
            ),
            attempts: 1,
            reason: "push: \"x\" (AUTHOR)".into(),
            committed_at: Some(
                at("2026-11-01T07:59:10Z") + jiff::SignedDuration::from_secs(86_400 * day - 20 * (seq % 3)),
            ),
        };
        let account = Account {
            seedings: (2..50).map(|seq| seeding(seq, seq * 7 % 20)).collect(),
            changed: vec![
                Changed {
                    integration: integration.into(),
                    seedings: 12,
                    last_at: at("2026-11-20T08:00:00Z"),
                },
                Changed { integration: "stripe".into(), seedings: 4, last_at: at("2026-11-12T08:00:00Z") },
            ],
            ..Account::default()
        };
        let figures = figures(account, at("2026-10-22T14:00:00Z"), at("2026-11-21T14:00:00Z"));
        let drift = Now { missing: 0, changed: 1, foreign: 0 };
        Reported { environment: environment.into(), namespace: String::new(), figures, drift }
    }

    #[test]
    fn a_page_stands_alone_and_says_nothing_unescaped() {
        let hostile = "<script>alert('x')</script>\"&";
        let all = [reported(hostile, hostile), reported("staging", "slack")];
        let page = page(&all, at("2026-10-22T14:00:00Z"), at("2026-11-21T14:00:00Z"));
        if let Some(path) = std::env::var_os("SOWER_REPORT_PAGE") {
            std::fs::write(path, &page).expect("written");
        }
        for part in ["<script", "http:", "https:", "url(", "@import", "src=", "onload", "alert('x')"] {
            assert!(!page.contains(part), "{part}");
        }
        assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
        assert_eq!(page.matches("<svg").count(), 8);
        for element in ["section", "div", "p", "main", "html", "g", "text", "title"] {
            let opened =
                page.matches(&format!("<{element}>")).count() + page.matches(&format!("<{element} ")).count();
            assert_eq!(opened, page.matches(&format!("</{element}>")).count(), "{element}");
        }
    }

    #[test]
    fn nothing_is_told_as_nothing() {
        let figures = figures(Account::default(), at("2026-10-22T14:00:00Z"), at("2026-11-21T14:00:00Z"));
        let drift = Now::default();
        let empty = Reported { environment: "qa".into(), namespace: String::new(), figures, drift };
        let page = page(&[empty], at("2026-10-22T14:00:00Z"), at("2026-11-21T14:00:00Z"));
        assert!(page.contains("No integration changed") && page.contains("Nothing was measured"), "{page}");
    }
}
