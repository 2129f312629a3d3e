//! The environments that wait for each other, drawn as a pipeline, with what waits.

use std::collections::{BTreeMap, BTreeSet};

use crate::standing::Standing;

/// Most lines of what waits, of one environment.
const MOST: usize = 10;

/// `development -> staging (soak 1h: 2 wait) -> production (soak 24h: 3 wait)`, a line for each way, then what waits; nothing
/// where no environment waits for another. Of an environment that is none of these it says so, if these are all there are.
pub fn drawn(all: &[Standing], whole: bool) -> String {
    let mut text = String::new();
    let namespaces: BTreeSet<&str> = all.iter().map(|standing| standing.namespace.as_str()).collect();
    for namespace in namespaces {
        let of: BTreeMap<&str, &Standing> = all
            .iter()
            .filter(|standing| standing.namespace == namespace)
            .map(|standing| (standing.environment.as_str(), standing))
            .collect();
        for way in ways(&of) {
            let named: Vec<String> =
                way.iter().map(|name| label(of.get(name).copied(), name, whole)).collect();
            text.push_str(&format!("{}\n", named.join(" -> ")));
        }
        for standing in of.values().filter(|standing| standing.stage.from.is_some()) {
            text.push_str(&waiting(standing));
        }
    }
    if text.is_empty() { text } else { format!("\n{text}") }
}

/// What an environment waits for: what it is promoted from first.
fn before(standing: &Standing) -> Vec<&str> {
    let from = standing.stage.from.as_ref().map(|(from, _)| from.as_str());
    let on = standing.stage.on.iter().map(String::as_str).filter(|on| Some(*on) != from);
    from.into_iter().chain(on).collect()
}

/// Every way from an environment that waits for none to one that none waits for.
fn ways<'a>(of: &BTreeMap<&str, &'a Standing>) -> Vec<Vec<&'a str>> {
    let waited_for: BTreeSet<&str> = of.values().flat_map(|standing| before(standing)).collect();
    let last = of.values().filter(|standing| !waited_for.contains(standing.environment.as_str()));
    let mut ways = Vec::new();
    for standing in last.filter(|standing| !before(standing).is_empty()) {
        back(of, &standing.environment, &mut Vec::new(), &mut ways);
    }
    ways.sort();
    ways
}

/// Goes back from an environment to those that it waits for.
fn back<'a>(
    of: &BTreeMap<&str, &'a Standing>,
    name: &'a str,
    way: &mut Vec<&'a str>,
    ways: &mut Vec<Vec<&'a str>>,
) {
    way.push(name);
    let standing = of.get(name).copied();
    let earlier = standing.map(before).unwrap_or_default();
    let open: Vec<&str> = earlier.iter().copied().filter(|before| !way.contains(before)).collect();
    if open.is_empty() && ways.len() < MOST {
        ways.push(way.iter().rev().copied().collect());
    }
    for before in open {
        back(of, before, way, ways);
    }
    way.pop();
}

fn label(standing: Option<&Standing>, name: &str, whole: bool) -> String {
    let Some(standing) = standing else {
        return if whole { format!("{name} (not there)") } else { name.to_owned() };
    };
    let Some((_, soak)) = &standing.stage.from else { return name.to_owned() };
    let waits = standing.counts.map_or(0, |counts| counts.waiting);
    let soak = soak.as_ref().map(|soak| format!("soak {soak}"));
    let waits = match waits {
        0 => None,
        1 => Some("1 waits".to_owned()),
        several => Some(format!("{several} wait")),
    };
    let told: Vec<String> = soak.into_iter().chain(waits).collect();
    if told.is_empty() { name.to_owned() } else { format!("{name} ({})", told.join(": ")) }
}

fn waiting(standing: &Standing) -> String {
    let mut text = String::new();
    for one in standing.waiting.iter().take(MOST) {
        let version = if one.version.is_empty() { "its deletion" } else { &one.version };
        text.push_str(&format!("  {}: {} {version} {}\n", standing.environment, one.integration, one.reason));
    }
    let all = standing.counts.map_or(0, |counts| usize::try_from(counts.waiting).unwrap_or(0));
    match all.saturating_sub(MOST.min(standing.waiting.len())) {
        0 => text,
        more => text + &format!("  {}: and {more} more\n", standing.environment),
    }
}

#[cfg(test)]
mod tests {
    use sower_crds::environment::{Counts, WaitingStatus};

    use super::*;
    use crate::standing::Stage;

    fn standing(name: &str, from: Option<(&str, &str)>, on: &[&str], waits: &[&str]) -> Standing {
        let waiting = waits.iter().map(|id| WaitingStatus {
            integration: (*id).to_owned(),
            version: "1.1.0".to_owned(),
            reason: "waits for staging: staging does not carry 1.1.0 yet".to_owned(),
        });
        let waiting: Vec<WaitingStatus> = waiting.collect();
        let stage = Stage {
            from: from.map(|(from, soak)| (from.to_owned(), Some(soak.to_owned()))),
            on: on.iter().map(|on| (*on).to_owned()).collect(),
        };
        let count = i32::try_from(waiting.len()).expect("few");
        let counts = Some(Counts { waiting: count, ..Counts::default() });
        Standing { environment: name.to_owned(), waiting, stage, counts, ..Standing::default() }
    }

    #[test]
    fn a_line_shows_who_waits_for_whom() {
        let development = standing("development", None, &[], &[]);
        let staging = standing("staging", Some(("development", "1h")), &[], &[]);
        let production = standing("production", Some(("staging", "24h")), &["staging"], &["slack", "stripe"]);
        let qa = standing("qa", None, &[], &[]);
        assert_eq!(drawn(&[development.clone(), qa.clone()], true), "");
        assert_eq!(
            drawn(&[development, production, qa, staging], true),
            "\ndevelopment -> staging (soak 1h) -> production (soak 24h: 2 wait)\n  \
             production: slack 1.1.0 waits for staging: staging does not carry 1.1.0 yet\n  \
             production: stripe 1.1.0 waits for staging: staging does not carry 1.1.0 yet\n"
        );
    }

    #[test]
    fn a_circle_or_a_gap_ends() {
        let a = standing("a", Some(("b", "1h")), &[], &[]);
        let b = standing("b", Some(("a", "1h")), &[], &[]);
        assert_eq!(drawn(&[a, b], true), "");
        let lost = standing("lost", Some(("nowhere", "1h")), &[], &[]);
        assert_eq!(drawn(std::slice::from_ref(&lost), true), "\nnowhere (not there) -> lost (soak 1h)\n");
        assert_eq!(drawn(&[lost], false), "\nnowhere -> lost (soak 1h)\n");
    }
}
