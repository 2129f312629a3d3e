//! Deletions of Integrations that were watched: an empty listing is meant only after them, and nobody lists in the middle
//! of them.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

/// No more change for this long, and a deletion is over.
const QUIET: Duration = Duration::from_secs(2);
/// Nobody waits longer than this, whatever changes.
const LONGEST: Duration = Duration::from_secs(30);

/// A cluster source, as it was when something it selects went. Another selector is another source.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Selected {
    /// Namespace of the Environment.
    pub namespace: String,
    /// Name of the Environment.
    pub environment: String,
    /// Name of the source.
    pub source: String,
    /// Its selector.
    pub selector: String,
}

#[derive(Debug, Clone, Copy)]
struct Span {
    /// The first of those that went one soon after the other.
    first: Instant,
    /// The last of all.
    last: Instant,
}

/// Which sources lost something since their last listing that was applied.
#[derive(Debug, Default)]
pub struct Deletions {
    since: BTreeMap<Selected, Span>,
    /// The last change of an Integration, by namespace.
    changed: BTreeMap<String, Instant>,
}

impl Deletions {
    /// An Integration of this namespace changed in any way.
    pub fn changed(&mut self, namespace: &str, at: Instant) {
        self.changed.insert(namespace.to_owned(), at);
    }

    /// What a source selects was seen going.
    pub fn note(&mut self, of: Selected, at: Instant) {
        let span = self.since.entry(of).or_insert(Span { first: at, last: at });
        if at > span.last + QUIET {
            span.first = at;
        }
        span.last = at;
    }

    /// What a source selects went unseen: an empty listing of it may be no one's will.
    pub fn doubt(&mut self, of: &Selected) {
        self.since.remove(of);
    }

    /// Whether something was seen going since the last listing that was applied.
    #[must_use]
    pub fn seen(&self, of: &Selected) -> bool {
        self.since.contains_key(of)
    }

    /// A listing begun at `begun` was applied. What went later counts for the next.
    pub fn applied(&mut self, namespace: &str, environment: &str, begun: Instant) {
        self.since.retain(|of, span| {
            if of.namespace != namespace || of.environment != environment {
                return true;
            }
            span.first = span.first.max(begun);
            span.last >= begun
        });
    }

    /// Until when to wait with a listing; None where all is quiet.
    #[must_use]
    pub fn quiet_at(&self, namespace: &str, environment: &str, now: Instant) -> Option<Instant> {
        let first =
            self.since.iter().filter(|(of, _)| of.namespace == namespace && of.environment == environment);
        let first = first.map(|(_, span)| span.first).min()?;
        let changed = self.changed.get(namespace).copied().unwrap_or(first);
        Some((changed + QUIET).min(first + LONGEST)).filter(|at| *at > now)
    }

    /// The Environment is gone.
    pub fn forget(&mut self, namespace: &str, environment: &str) {
        self.since.retain(|of, _| of.namespace != namespace || of.environment != environment);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(environment: &str, selector: &str) -> Selected {
        Selected {
            namespace: "n".into(),
            environment: environment.into(),
            source: "cluster".into(),
            selector: selector.into(),
        }
    }

    #[test]
    fn only_what_was_selected_is_missed_and_only_until_it_is_applied() {
        let (mut deletions, start) = (Deletions::default(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        deletions.note(of("e", "tier=gold"), after(1));
        assert!(deletions.seen(&of("e", "tier=gold")));
        assert!(!deletions.seen(&of("e", "tier=glod")), "a typo in the selector");
        assert!(!deletions.seen(&of("other", "tier=gold")));
        deletions.applied("n", "other", after(9));
        deletions.applied("n", "e", after(1));
        assert!(deletions.seen(&of("e", "tier=gold")), "it went while that was listed");
        deletions.applied("n", "e", after(2));
        assert!(!deletions.seen(&of("e", "tier=gold")));
        deletions.note(of("e", "tier=gold"), after(3));
        deletions.doubt(&of("e", "tier=gold"));
        assert!(!deletions.seen(&of("e", "tier=gold")));
    }

    #[test]
    fn a_listing_waits_for_the_end_of_a_deletion_but_not_for_ever() {
        let (mut deletions, start) = (Deletions::default(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        deletions.changed("n", start);
        assert_eq!(deletions.quiet_at("n", "e", start), None, "nothing went");
        for second in 0..40 {
            deletions.changed("n", after(second));
            deletions.note(of("e", ""), after(second));
            let wanted = (second < 30).then(|| after((second + 2).min(30)));
            assert_eq!(deletions.quiet_at("n", "e", after(second)), wanted);
        }
        deletions.applied("n", "e", after(50));
        deletions.changed("n", after(60));
        deletions.note(of("e", ""), after(60));
        assert_eq!(deletions.quiet_at("n", "e", after(61)), Some(after(62)));
        assert_eq!(deletions.quiet_at("n", "e", after(62)), None);
        assert_eq!(deletions.quiet_at("n", "other", after(61)), None);
    }
}
