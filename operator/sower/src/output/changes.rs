//! Plans and seedings for people: one line an integration, one line a conflict, and the counts.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sower_controllers::seeding::Planned;
use sower_core::plan::{Conflict, Content, Operation, State, Verb};
use sower_core::promotion::Waiting;

use crate::failure::Failure;

/// On a terminal a list of changes ends here.
pub const MOST_ON_A_TERMINAL: usize = 50;

/// The mark of an operation.
#[must_use]
pub fn mark(verb: Verb) -> char {
    match verb {
        Verb::Create => '+',
        Verb::Update | Verb::Move => '~',
        Verb::Remove => '-',
    }
}

/// `~ stripe 1.0.0 -> 1.1.0`.
#[must_use]
pub fn operation(operation: &Operation, state: &State) -> String {
    let Operation { id, verb, from, to, place, revision: _, source, revert, prune_disabled: _, staged } =
        operation;
    let version = |content: &Option<Content>| {
        content.as_ref().map(|content| content.version.clone()).unwrap_or_default()
    };
    let (from, to) = (version(from), version(to));
    let mark = mark(*verb);
    let line = match verb {
        Verb::Create if state.rows.get(id).is_some_and(|row| row.removed) => {
            format!("{mark} {id} {to}   (restored)")
        }
        Verb::Create => format!("{mark} {id} {to}"),
        Verb::Remove => format!("{mark} {id} {from}"),
        Verb::Move => {
            let path = place.as_ref().map(|place| place.path.as_str()).unwrap_or_default();
            let moved = state.rows.get(id).is_none_or(|row| row.path != path);
            let now = if moved { format!("in {path}") } else { format!("from source {source}") };
            format!("{mark} {id} {to}   now {now}")
        }
        Verb::Update if operation.from == operation.to => format!("{mark} {id} {to}   (as it was seeded)"),
        Verb::Update if from == to => format!("{mark} {id} {to}"),
        Verb::Update => format!("{mark} {id} {from} -> {to}"),
    };
    let begins = match (revert, staged) {
        (_, true) => Some("a rollout begins".to_owned()),
        (true, false) => Some("a revert".to_owned()),
        (false, false) => None,
    };
    let ends = state.ends(operation).map(|Content { version, .. }| match staged {
        true => format!("that of {version} ends"),
        false => format!("the rollout of {version} ends"),
    });
    let notes: Vec<String> = begins.into_iter().chain(ends).collect();
    if notes.is_empty() { line } else { format!("{line}   ({})", notes.join("; ")) }
}

/// `! wordpress 1.0.0   version conflict: git has 1.0.0 too, with other content; skipped`.
#[must_use]
pub fn conflict(conflict: &Conflict) -> String {
    let version = conflict.current_version.as_ref().or(conflict.new_version.as_ref());
    let version = version.map(|version| format!(" {version}")).unwrap_or_default();
    format!(
        "! {}{version}   {} conflict: {}; {}",
        conflict.integration,
        conflict.kind.as_str(),
        conflict.message,
        conflict.done()
    )
}

/// Operations in the order in which they are told: what comes and changes, then what goes; each by id.
#[must_use]
pub fn in_order(operations: &[Operation]) -> Vec<&Operation> {
    let (gone, stays): (Vec<&Operation>, Vec<&Operation>) =
        operations.iter().partition(|o| o.verb == Verb::Remove);
    stays.into_iter().chain(gone).collect()
}

/// The lines, cut where a terminal would overflow; `rest` says how to see them all.
#[must_use]
pub fn bounded(lines: Vec<String>, terminal: bool, rest: &str) -> String {
    let total = lines.len();
    let most = if terminal { MOST_ON_A_TERMINAL } else { usize::MAX };
    let mut text: String = lines.into_iter().take(most).map(|line| line + "\n").collect();
    if total > most {
        text.push_str(&format!("and {} more: {rest}\n", total - most));
    }
    text
}

/// `, 1 conflict`, `, 2 refused`, or nothing.
#[must_use]
pub fn besides(conflicts: usize, refused: usize) -> String {
    let conflicts = match conflicts {
        0 => String::new(),
        1 => ", 1 conflict".to_owned(),
        several => format!(", {several} conflicts"),
    };
    let refused = if refused == 0 { String::new() } else { format!(", {refused} refused") };
    format!("{conflicts}{refused}")
}

/// `, 2 quarantined`, or nothing.
#[must_use]
pub fn quarantined(count: usize) -> String {
    if count == 0 { String::new() } else { format!(", {count} quarantined") }
}

/// `, 2 waiting`, or nothing.
#[must_use]
pub fn waiting(count: usize) -> String {
    if count == 0 { String::new() } else { format!(", {count} waiting") }
}

/// What waits for another environment, a line each: `= stripe 1.1.0 waits for staging: carried there since 14:02 UTC, …`.
#[must_use]
pub fn waits(waiting: &[Waiting], now: Timestamp) -> Vec<String> {
    let line = |one: &Waiting| {
        let what = one.version.as_deref().map_or_else(|| "its deletion".to_owned(), str::to_owned);
        format!("= {} {what} {}", one.integration, one.told(Some(now)))
    };
    waiting.iter().map(line).collect()
}

/// `asana, bamboohr, clickup and 11 more`.
#[must_use]
pub fn some<'a>(names: impl IntoIterator<Item = &'a str>, most: usize) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    if names.len() <= most {
        return names.join(", ");
    }
    format!("{} and {} more", names[..most].join(", "), names.len() - most)
}

/// What `--only` names and neither the sources nor the database know.
#[must_use]
pub fn unknown(planned: &Planned, flags: &str) -> Option<Failure> {
    let known = |id: &String| {
        planned.state.rows.contains_key(id)
            || planned.reading.found().any(|found| found.id.as_ref() == Some(id))
    };
    let unknown: Vec<&str> =
        planned.plan.scope.iter().flatten().filter(|id| !known(id)).map(String::as_str).collect();
    let named = unknown.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", ");
    (!unknown.is_empty()).then(|| {
        let meant = match unknown.as_slice() {
            [one] => nearest(one, planned).map(|known| format!(": did you mean `{known}`?")),
            _ => None,
        };
        let meant = meant.unwrap_or_default();
        Failure::failed(format!("no integration is called {named} in {}{meant}", planned.plan.environment))
            .next("all of them", format!("sower get integrations -e {}{flags}", planned.plan.environment))
    })
}

/// What `--only` names and the environment does not carry, each with why.
#[must_use]
pub fn left_out(planned: &Planned, flags: &str) -> Vec<String> {
    let plan = &planned.plan;
    let named = |id: &String| plan.scope.as_ref().is_some_and(|scope| scope.contains(id));
    let excluded = plan.excluded.iter().filter(|excluded| named(&excluded.id));
    let told = excluded.map(|excluded| {
        let (id, why, name) = (&excluded.id, excluded.why.message(), &plan.environment);
        format!("{id} is excluded: {why}\n  more:  sower explain {id} -e {name}{flags}")
    });
    told.collect()
}

/// The known id that a mistyped one is closest to.
fn nearest<'a>(typed: &str, planned: &'a Planned) -> Option<&'a String> {
    let read = planned.reading.found().filter_map(|found| found.id.as_ref());
    let known = planned.state.rows.keys().chain(read);
    let measured = known.map(|known| (strsim::damerau_levenshtein(known, typed), known)).min();
    measured.filter(|(distance, _)| *distance <= 2).map(|(_, known)| known)
}

/// Removals by why they go, each group with its names in order.
#[must_use]
pub fn grouped(removed: &[(String, String)]) -> Vec<String> {
    let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (id, why) in removed {
        groups.entry(why).or_default().push(id);
    }
    let line = |(why, ids): (&str, Vec<&str>)| {
        let noun = if ids.len() == 1 { why.to_owned() } else { why.replacen("folder ", "folders ", 1) };
        format!("- {} ({noun})", some(ids, 3))
    };
    groups.into_iter().map(line).collect()
}

/// The warning for a deprecated integration that is carried.
#[must_use]
pub fn deprecated(id: &str, replaced_by: Option<&str>) -> String {
    match replaced_by {
        Some(other) => format!("warning: {id} is deprecated: use {other}"),
        None => format!("warning: {id} is deprecated"),
    }
}

#[cfg(test)]
mod tests {
    use sower_core::catalog::Place;
    use sower_core::plan::{ConflictType, Current, Resolution, UnderWay};

    use super::*;

    fn content(version: &str) -> Option<Content> {
        Some(Content { version: version.into(), checksum: "v1:0".into() })
    }

    fn changed(verb: Verb, from: Option<Content>, to: Option<Content>) -> Operation {
        Operation {
            id: "stripe".into(),
            verb,
            from,
            to,
            place: None,
            revision: None,
            source: "default".into(),
            revert: false,
            prune_disabled: false,
            staged: false,
        }
    }

    #[test]
    fn an_operation_is_one_line() {
        for (verb, from, to, expected) in [
            (Verb::Create, None, content("1.0.0"), "+ stripe 1.0.0"),
            (Verb::Update, content("1.0.0"), content("1.1.0"), "~ stripe 1.0.0 -> 1.1.0"),
            (Verb::Update, content("1.0.0"), content("1.0.0"), "~ stripe 1.0.0   (as it was seeded)"),
            (Verb::Remove, content("1.0.0"), None, "- stripe 1.0.0"),
        ] {
            assert_eq!(operation(&changed(verb, from, to), &State::default()), expected);
        }
        let reverted =
            Operation { revert: true, ..changed(Verb::Update, content("1.1.0"), content("1.0.0")) };
        assert_eq!(operation(&reverted, &State::default()), "~ stripe 1.1.0 -> 1.0.0   (a revert)");
        let to = Content { version: "1.1.0".into(), checksum: "v1:1".into() };
        let under_way =
            UnderWay { id: "r".into(), to, source: "default".into(), path: "a".into(), stable: None };
        let state = State { rollouts: [("stripe".to_owned(), under_way)].into(), ..State::default() };
        let told = "~ stripe 1.1.0 -> 1.0.0   (a revert; the rollout of 1.1.0 ends)";
        assert_eq!(operation(&reverted, &state), told);
        let put_back = changed(Verb::Update, content("1.0.0"), content("1.0.0"));
        assert_eq!(operation(&put_back, &state), "~ stripe 1.0.0   (as it was seeded)");
        let staged = Operation { staged: true, ..changed(Verb::Update, content("1.0.0"), content("1.2.0")) };
        let told = "~ stripe 1.0.0 -> 1.2.0   (a rollout begins; that of 1.1.0 ends)";
        assert_eq!(operation(&staged, &state), told);
        // One that another's hand changed ends, whatever is put back.
        let to = Content { version: "1.1.0".into(), checksum: "v1:1".into() };
        let state = State { tampered: [("stripe".to_owned(), to)].into(), ..State::default() };
        assert_eq!(operation(&staged, &state), told);
        let told = "~ stripe 1.0.0   (as it was seeded)   (the rollout of 1.1.0 ends)";
        assert_eq!(operation(&put_back, &state), told);
    }

    #[test]
    fn a_move_says_what_is_another() {
        let row = Current {
            id: "stripe".into(),
            content: content("1.0.0").expect("one"),
            source: "old".into(),
            path: "stripe.yaml".into(),
            removed: false,
            prune_disabled: false,
        };
        let state = State { rows: [("stripe".to_owned(), row)].into(), ..State::default() };
        for (path, expected) in [
            ("stripe.yaml", "~ stripe 1.0.0   now from source default"),
            ("a/stripe.yaml", "~ stripe 1.0.0   now in a/stripe.yaml"),
        ] {
            let place = Place { source: "default".into(), path: path.into(), document: 0 };
            let moved = changed(Verb::Move, content("1.0.0"), content("1.0.0"));
            assert_eq!(operation(&Operation { place: Some(place), ..moved }, &state), expected);
        }
        let removed = Current { removed: true, ..state.rows["stripe"].clone() };
        let state = State { rows: [("stripe".to_owned(), removed)].into(), ..State::default() };
        let back = changed(Verb::Create, None, content("1.0.0"));
        assert_eq!(operation(&back, &state), "+ stripe 1.0.0   (restored)");
    }

    #[test]
    fn a_conflict_says_what_was_done() {
        let skipped = Conflict {
            integration: "wordpress".into(),
            kind: ConflictType::Version,
            current_version: Some("1.0.0".into()),
            new_version: Some("1.0.0".into()),
            resolution: Resolution::Skip,
            unmerged: None,
            clashes: Vec::new(),
            message: "git has 1.0.0 too, with other content".into(),
            fingerprint: String::new(),
        };
        let text = "! wordpress 1.0.0   version conflict: git has 1.0.0 too, with other content; skipped";
        assert_eq!(conflict(&skipped), text);
        let merged = Conflict { resolution: Resolution::Merge, ..skipped };
        assert_eq!(conflict(&merged), text.replace("skipped", "merged"));
        let unmerged = Conflict { unmerged: Some("both sides changed /name".into()), ..merged };
        let expect = text.replace("skipped", "not merged: both sides changed /name");
        assert_eq!(conflict(&unmerged), expect);
    }

    #[test]
    fn a_long_list_ends_on_a_terminal_alone() {
        let lines = || (0..60).map(|n| format!("+ a{n} 1.0.0")).collect::<Vec<_>>();
        assert!(bounded(lines(), true, "sower plan").ends_with("+ a49 1.0.0\nand 10 more: sower plan\n"));
        assert_eq!(bounded(lines(), false, "").lines().count(), 60);
    }

    #[test]
    fn removals_are_told_by_why_they_go() {
        let gone = |id: &str| (id.to_owned(), "folder gone since 9d41e07, AUTHOR: \"Tidy up\"".to_owned());
        let ids = ["asana", "bamboohr", "clickup", "dropbox"];
        assert_eq!(
            grouped(&ids.map(gone)),
            ["- asana, bamboohr, clickup and 1 more (folders gone since 9d41e07, AUTHOR: \"Tidy up\")"]
        );
    }
}
