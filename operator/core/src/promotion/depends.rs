//! `dependsOn`: an environment is seeded once others are in a certain state.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value as Json, json};
use sower_crds::environment::EnvironmentSpec;

use crate::condition::Condition;

/// The name that an expression knows.
const STATUS: &str = "status";

/// Whether an expression can be evaluated at all.
///
/// # Errors
/// Why not, for people.
pub fn check(expression: &str) -> Result<(), String> {
    Condition::read(expression, &[STATUS]).map(drop)
}

/// Whether an expression over `status` is true.
///
/// # Errors
/// Where it cannot be told: one clause for people.
pub fn holds(expression: &str, status: &Json) -> Result<bool, String> {
    Condition::read(expression, &[STATUS])?.holds(&json!({ STATUS: status }))
}

/// The environments that an environment waits for: those that it depends on, and the one that it is promoted from.
pub fn waits_for(spec: &EnvironmentSpec) -> impl Iterator<Item = &str> {
    let on = spec.depends_on.iter().map(|on| on.name.as_str());
    on.chain(spec.promotion.as_ref().map(|promotion| promotion.from.as_str()))
}

/// Environments by the names of those that they wait for.
pub type Waits<'a> = BTreeMap<&'a str, Vec<&'a str>>;

/// A circle that an environment is in, from it back to it: `a, b, a`. None where it is in none.
#[must_use]
pub fn circle<'a>(waits: &Waits<'a>, name: &str) -> Option<Vec<&'a str>> {
    let (start, _) = waits.get_key_value(name)?;
    // The shortest way back: breadth first.
    let mut came_from: BTreeMap<&str, &str> = BTreeMap::new();
    let mut layer = vec![*start];
    while !layer.is_empty() {
        let mut next = Vec::new();
        for at in layer {
            for to in waits.get(at).into_iter().flatten() {
                if to == start {
                    let mut path = vec![*start, at];
                    let mut here = at;
                    while here != *start {
                        here = came_from.get(here).copied().unwrap_or(start);
                        path.push(here);
                    }
                    path.dedup();
                    path.reverse();
                    return Some(if path.len() == 1 { vec![*start, *start] } else { path });
                }
                if waits.contains_key(to) && !came_from.contains_key(to) {
                    came_from.insert(to, at);
                    next.push(*to);
                }
            }
        }
        layer = next;
    }
    None
}

/// The environments in rounds: each waits only for those of earlier ones, but for who waits in a circle.
#[must_use]
pub fn rounds<'a>(waits: &Waits<'a>) -> Vec<Vec<&'a str>> {
    let mut left: BTreeSet<&str> = waits.keys().copied().collect();
    let mut rounds = Vec::new();
    while !left.is_empty() {
        let free = |name: &&str| {
            let mut on = waits.get(name).into_iter().flatten();
            on.all(|on| on == name || !left.contains(on))
        };
        let mut round: Vec<&str> = left.iter().copied().filter(free).collect();
        if round.is_empty() {
            round = left.iter().copied().collect();
        }
        left.retain(|name| !round.contains(name));
        rounds.push(round);
    }
    rounds
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_expression_sees_the_status() {
        let status = json!({ "counts": { "conflicts": 0, "integrations": 3 }, "ready": "True" });
        let table = [
            ("status.counts.conflicts == 0", Ok(true)),
            ("status.counts.integrations > 5", Ok(false)),
            ("status.ready == 'True' && status.counts.integrations == 3", Ok(true)),
            ("has(status.plan)", Ok(false)),
        ];
        for (expression, expect) in table {
            assert_eq!(holds(expression, &status), expect, "{expression}");
        }
        for expression in ["status.counts", "status.nothing.at.all == 1", "1 +", "nobody"] {
            assert!(holds(expression, &status).is_err(), "{expression}");
        }
        assert!(check("status.counts.conflicts == 0").is_ok());
        assert!(check("status.(").is_err());
    }

    fn waits(pairs: &[(&'static str, &[&'static str])]) -> Waits<'static> {
        pairs.iter().map(|(name, on)| (*name, on.to_vec())).collect()
    }

    #[test]
    fn a_circle_is_found_and_named() {
        let line =
            waits(&[("production", &["staging"]), ("staging", &["development"]), ("development", &[])]);
        for name in ["production", "staging", "development", "nobody"] {
            assert_eq!(circle(&line, name), None, "{name}");
        }
        let ring = waits(&[("a", &["b"]), ("b", &["c", "x"]), ("c", &["a"]), ("d", &["a"])]);
        assert_eq!(circle(&ring, "a"), Some(vec!["a", "b", "c", "a"]));
        assert_eq!(circle(&ring, "c"), Some(vec!["c", "a", "b", "c"]));
        assert_eq!(circle(&ring, "d"), None, "it waits for a circle, and is in none");
        assert_eq!(circle(&waits(&[("a", &["a"])]), "a"), Some(vec!["a", "a"]));
    }

    #[test]
    fn who_is_waited_for_goes_first() {
        let line = waits(&[
            ("production", &["staging"]),
            ("staging", &["development"]),
            ("development", &[]),
            ("qa", &[]),
        ]);
        assert_eq!(rounds(&line), [vec!["development", "qa"], vec!["staging"], vec!["production"]]);
        let ring = waits(&[("a", &["b"]), ("b", &["a"]), ("c", &["elsewhere"])]);
        assert_eq!(rounds(&ring), [vec!["c"], vec!["a", "b"]]);
    }
}
