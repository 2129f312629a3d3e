//! How far a change reaches among integrations that need each other.

use std::collections::{BTreeMap, BTreeSet};

/// An integration, and those that it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tie<'a> {
    /// The integration.
    pub id: &'a str,
    /// Ids of its dependencies.
    pub needs: Vec<&'a str>,
}

/// All whose fate a change of `changed` may change: they, and whoever needs them, however far; with `beside`, and with
/// all that any of these needs, so that each can be settled as if nothing else were there.
#[must_use]
pub fn reach<'a>(
    changed: BTreeSet<&'a str>,
    beside: impl IntoIterator<Item = &'a str>,
    ties: &[Tie<'a>],
) -> BTreeSet<&'a str> {
    let (mut needs, mut needed_by) = (BTreeMap::<_, Vec<_>>::new(), BTreeMap::<_, Vec<_>>::new());
    for Tie { id, needs: others } in ties {
        needs.entry(*id).or_default().extend(others);
        for other in others {
            needed_by.entry(*other).or_default().push(*id);
        }
    }
    let mut reached = follow(changed, &needed_by);
    reached.extend(beside);
    follow(reached, &needs)
}

/// Everything that the arrows lead to, the start included.
fn follow<'a>(start: BTreeSet<&'a str>, arrows: &BTreeMap<&'a str, Vec<&'a str>>) -> BTreeSet<&'a str> {
    let mut open: Vec<&str> = start.iter().copied().collect();
    let mut reached = start;
    while let Some(id) = open.pop() {
        open.extend(arrows.get(id).into_iter().flatten().filter(|next| reached.insert(next)));
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_reaches_whoever_needs_it_and_what_those_need() {
        let ties: Vec<Tie<'_>> =
            [("crm", "http"), ("mail", "http"), ("sales", "crm"), ("sales", "tax"), ("http", "tls")]
                .map(|(id, needs)| Tie { id, needs: vec![needs] })
                .into();
        let reached = |changed: &[&'static str], beside: &[&'static str]| -> Vec<&str> {
            reach(changed.iter().copied().collect(), beside.iter().copied(), &ties).into_iter().collect()
        };
        assert_eq!(reached(&["tax"], &[]), ["crm", "http", "sales", "tax", "tls"]);
        assert_eq!(reached(&["mail"], &[]), ["http", "mail", "tls"], "not crm, which needs http too");
        assert_eq!(reached(&[], &["mail"]), ["http", "mail", "tls"]);
        assert_eq!(reached(&["alone"], &["other"]), ["alone", "other"]);
    }

    #[test]
    fn a_cycle_ends() {
        let ties = [("a", "b"), ("b", "c"), ("c", "a")].map(|(id, needs)| Tie { id, needs: vec![needs] });
        assert_eq!(reach(["b"].into(), [], &ties), ["a", "b", "c"].into());
    }
}
