//! A plan as a comment of a merge request: bounded, and no text of a manifest is more than text.

use std::fmt::Write as _;

use sower_core::gate::Gate;
use sower_core::plan::{Conflict, Operation, Verb};
use sower_core::report::given_up;

use super::{DEPENDENCY, Made, exactly, refused};
use crate::commands::seed;
use crate::output::changes;
use crate::trouble::{Trouble, sentence};

/// Most lines of one table.
const LINES: usize = 50;
/// Most changed fields that are named of one integration.
const FIELDS: usize = 5;
/// Characters of one cell.
const CELL: usize = 300;
/// Bytes of all that is listed in one comment: the smallest bound of a server is GitHub's, 65,536 characters.
const ROOM: usize = 56_000;

/// What a seeding would do to one environment, of `share` that stand in one comment; with how it is applied, unless nobody
/// could do that: `narrowed` are the flags that make it this plan.
pub(super) fn comment(
    name: &str,
    made: &Result<Made, Trouble>,
    narrowed: Option<&str>,
    flags: &str,
    share: usize,
) -> String {
    match made {
        Ok(made) => planned(made, narrowed, flags, ROOM / share.max(1)),
        Err(trouble) => format!("### No plan for {}\n\n{}\n\n", text(name), text(&trouble.failure.message)),
    }
}

fn planned(made: &Made, narrowed: Option<&str>, flags: &str, room: usize) -> String {
    let plan = &made.planned.plan;
    let hash = plan.short_hash();
    let mut out = format!(
        "### Plan `{hash}` for {}\n\n{} create, {} update, {} delete, {} unchanged{}{} at {}\n\n",
        text(&plan.environment),
        plan.created(),
        plan.updated() - made.given_up(),
        plan.deleted(),
        plan.unchanged,
        given_up(made.given_up()),
        changes::besides(plan.conflicts.len(), refused(&made.planned)),
        text(&made.planned.reading.revision_short()),
    );
    let operations = changes::in_order(&plan.operations);
    if !operations.is_empty() {
        out.push_str(
            "| | integration | version | compatibility | what changes |\n| --- | --- | --- | --- | --- |\n",
        );
        list(&mut out, room, operations.iter().map(|operation| line(made, operation)));
        out.push('\n');
    }
    if !plan.conflicts.is_empty() {
        out.push_str(
            "| conflict | integration | here | offered | resolution |\n| --- | --- | --- | --- | --- |\n",
        );
        list(&mut out, room, plan.conflicts.iter().map(conflicting));
        out.push('\n');
    }
    let denied = made.planned.state.denied.values();
    list(&mut out, room, denied.map(|denied| format!("- :x: {}\n", text(&denied.why))));
    let warnings: Vec<String> = made.understated().collect();
    list(&mut out, room, warnings.iter().map(|warning| format!("- :warning: {}\n", text(warning))));
    if !warnings.is_empty() || !made.planned.state.denied.is_empty() {
        out.push('\n');
    }
    let apply = narrowed.map(|narrowed| exactly(plan, narrowed, flags));
    let apply = apply.as_deref();
    out.push_str(&match (&made.planned.gate, made.guard.as_deref()) {
        _ if plan.is_empty() => "Nothing is to be done.\n\n".to_owned(),
        (Gate::Held(held), _) => {
            let told = text(&seed::held_text(&made.planned, held));
            let allow = match apply.filter(|_| held.reason.is_approvable()) {
                Some(apply) => format!(" Allow it once:\n\n```sh\n{apply}\n```\n\n"),
                None => "\n\n".to_owned(),
            };
            format!("It is held: {told}.{allow}")
        }
        (Gate::Open, Some(guard)) => {
            let why = made.unmet.as_deref().filter(|_| guard == DEPENDENCY).map(sentence);
            format!("It is held: {}.\n\n", text(why.as_deref().unwrap_or(guard)))
        }
        (Gate::Open, None) => {
            apply.map(|apply| format!("Apply exactly this:\n\n```sh\n{apply}\n```\n\n")).unwrap_or_default()
        }
    });
    out
}

/// As many lines as there is room for, and how many more there are.
fn list(out: &mut String, room: usize, mut lines: impl Iterator<Item = String>) {
    for (count, line) in lines.by_ref().enumerate() {
        if count == LINES || out.len() + line.len() > room {
            let _ = writeln!(out, "\nand {} more", lines.count() + 1);
            return;
        }
        out.push_str(&line);
    }
}

fn line(made: &Made, operation: &Operation) -> String {
    let mark = match operation.verb {
        Verb::Remove => "delete",
        verb => verb.as_str(),
    };
    let version = |content: &Option<sower_core::plan::Content>| {
        content.as_ref().map(|content| text(&content.version)).unwrap_or_default()
    };
    let versions = match (&operation.from, &operation.to) {
        (Some(_), Some(_)) => format!("{} → {}", version(&operation.from), version(&operation.to)),
        (from, to) => format!("{}{}", version(from), version(to)),
    };
    let means = made.means(operation).map(|means| means.as_str()).unwrap_or_default();
    let means = if means == "breaking" { format!("**{means}**") } else { means.to_owned() };
    let inside = made.inside(&operation.id).unwrap_or_default();
    let mut fields: Vec<String> = inside
        .iter()
        .take(FIELDS)
        .map(|judged| {
            let change = &judged.change;
            let item = change.item.as_ref().map(|item| format!(" {item}")).unwrap_or_default();
            let why = judged.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            text(&format!("{}{item} {}{why}", change.kind, change.pointer))
        })
        .collect();
    if let Some(more) = inside.len().checked_sub(FIELDS).filter(|more| *more > 0) {
        fields.push(format!("and {more} more"));
    }
    let id = text(&operation.id);
    format!("| {mark} | {id} | {versions} | {means} | {} |\n", fields.join("<br>"))
}

fn conflicting(conflict: &Conflict) -> String {
    let version = |version: &Option<String>| version.as_deref().map(text).unwrap_or_default();
    format!(
        "| {} | {} | {} | {} | {} |\n",
        conflict.kind.as_str(),
        text(&conflict.integration),
        version(&conflict.current_version),
        version(&conflict.new_version),
        conflict.resolution.as_str()
    )
}

/// Foreign text as one line that Markdown leaves alone: no markup, no mention of anybody, no link.
fn text(foreign: &str) -> String {
    let mut out = String::new();
    for c in foreign.chars().take(CELL) {
        match c {
            c if c.is_control() => out.push(' '),
            // As character references they are what they are, wherever they stand.
            '<' | '>' | '&' | '@' | '#' | '|' | '`' | '*' | '_' | '~' | '[' | ']' | '!' | '\\' | ':' => {
                let _ = write!(out, "&#{};", u32::from(c));
            }
            c => out.push(c),
        }
    }
    if foreign.chars().nth(CELL).is_some() {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_stays_text() {
        assert_eq!(text("a|b\n<b>@ada"), "a&#124;b &#60;b&#62;&#64;ada");
        assert_eq!(text(&"x".repeat(400)).chars().count(), CELL + 1);
    }
}
