//! What is new about an object, and what is noise: own status writes wake nobody.

use std::collections::{BTreeMap, BTreeSet};

use kube::ResourceExt;
use kube::runtime::watcher::Event;

/// An object that came, changed in a way that matters, or went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change<M> {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// What was remembered of it; absent: it is new.
    pub before: Option<M>,
    /// What is remembered now; absent: it is gone.
    pub after: Option<M>,
    /// Noticed in a new listing, not in an event of its own.
    pub listed: bool,
}

/// Remembers of each object only what may wake somebody.
#[derive(Debug)]
pub struct Seen<M> {
    known: BTreeMap<(String, String), M>,
    /// While a listing goes on.
    listing: Option<Listing<M>>,
}

/// Which objects a listing held so far, and what was new in it.
type Listing<M> = (BTreeSet<(String, String)>, Vec<Change<M>>);

impl<M> Default for Seen<M> {
    fn default() -> Self {
        Self { known: BTreeMap::new(), listing: None }
    }
}

impl<M: Clone + PartialEq> Seen<M> {
    /// What an event of a watch means. Changes of a listing are told at its end, when the store holds it.
    pub fn notice<K: ResourceExt>(&mut self, event: &Event<K>, memo: impl Fn(&K) -> M) -> Vec<Change<M>> {
        match event {
            Event::Init => {
                self.listing = Some((BTreeSet::new(), Vec::new()));
                Vec::new()
            }
            Event::InitApply(object) => {
                let change = self.remember(key(object), memo(object), true);
                if let Some((held, changes)) = &mut self.listing {
                    held.insert(key(object));
                    changes.extend(change);
                    Vec::new()
                } else {
                    change.into_iter().collect()
                }
            }
            Event::InitDone => self.listed(),
            Event::Apply(object) => self.remember(key(object), memo(object), false).into_iter().collect(),
            Event::Delete(object) => self.forget(key(object), false).into_iter().collect(),
        }
    }

    fn listed(&mut self) -> Vec<Change<M>> {
        let Some((held, mut changes)) = self.listing.take() else { return Vec::new() };
        let gone: Vec<_> = self.known.keys().filter(|key| !held.contains(*key)).cloned().collect();
        changes.extend(gone.into_iter().filter_map(|key| self.forget(key, true)));
        changes
    }

    fn remember(&mut self, key: (String, String), memo: M, listed: bool) -> Option<Change<M>> {
        let before = self.known.insert(key.clone(), memo.clone());
        let (namespace, name) = key;
        (before.as_ref() != Some(&memo)).then_some(Change {
            namespace,
            name,
            before,
            after: Some(memo),
            listed,
        })
    }

    fn forget(&mut self, key: (String, String), listed: bool) -> Option<Change<M>> {
        let before = self.known.remove(&key)?;
        let (namespace, name) = key;
        Some(Change { namespace, name, before: Some(before), after: None, listed })
    }
}

fn key<K: ResourceExt>(object: &K) -> (String, String) {
    (object.namespace().unwrap_or_default(), object.name_any())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::scope::{EnvironmentMemo, environment_memo};
    use kube::core::DeserializeGuard;
    use serde_json::{Value, json};
    use sower_crds::Environment;

    fn environment(name: &str, extra: &[(&str, Value)]) -> DeserializeGuard<Environment> {
        let mut object = json!({
            "apiVersion": "sower.dev/v1alpha1", "kind": "Environment",
            "metadata": { "namespace": "n", "name": name, "uid": "1", "generation": 1, "resourceVersion": "1" },
            "spec": {},
        });
        for (pointer, value) in extra {
            let (parent, last) = pointer.rsplit_once('/').expect("a pointer");
            let parent = object.pointer_mut(parent).expect("a parent").as_object_mut().expect("an object");
            parent.insert(last.to_owned(), value.clone());
        }
        serde_json::from_value(object).expect("an environment")
    }

    fn names(changes: &[Change<EnvironmentMemo>]) -> Vec<(&str, bool)> {
        changes.iter().map(|change| (change.name.as_str(), change.after.is_some())).collect()
    }

    #[test]
    fn only_generation_and_annotations_wake() {
        let table = [
            (
                "a status write",
                vec![("/metadata/resourceVersion", json!("2")), ("/status", json!({}))],
                false,
            ),
            ("a label", vec![("/metadata/labels", json!({ "a": "b" }))], false),
            ("a finalizer", vec![("/metadata/finalizers", json!(["sower.dev/rows"]))], false),
            ("a spec", vec![("/metadata/generation", json!(2))], true),
            (
                "an annotation",
                vec![("/metadata/annotations", json!({ "sower.dev/requestedAt": "now" }))],
                true,
            ),
            ("another object of that name", vec![("/metadata/uid", json!("2"))], true),
        ];
        for (what, extra, wakes) in table {
            let mut seen = Seen::default();
            seen.notice(&Event::Apply(environment("a", &[])), environment_memo);
            let changes = seen.notice(&Event::Apply(environment("a", &extra)), environment_memo);
            assert_eq!(!changes.is_empty(), wakes, "{what}");
        }
    }

    #[test]
    fn a_new_listing_tells_what_changed_and_what_went_at_its_end() {
        let mut seen = Seen::default();
        for name in ["gone", "same", "changed"] {
            seen.notice(&Event::Apply(environment(name, &[])), environment_memo);
        }
        let changed = environment("changed", &[("/metadata/generation", json!(2))]);
        for event in [
            Event::Init,
            Event::InitApply(environment("same", &[])),
            Event::InitApply(changed),
            Event::InitApply(environment("new", &[])),
        ] {
            assert_eq!(seen.notice(&event, environment_memo), []);
        }
        let changes = seen.notice(&Event::<DeserializeGuard<Environment>>::InitDone, environment_memo);
        assert_eq!(names(&changes), [("changed", true), ("new", true), ("gone", false)]);
        assert!(changes.iter().all(|change| change.listed));
        let deleted = seen.notice(&Event::Delete(environment("new", &[])), environment_memo);
        assert_eq!(names(&deleted), [("new", false)]);
        assert!(!deleted[0].listed);
    }
}
