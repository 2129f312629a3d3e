//! What environments hold, as far as Integration resources and statuses need to know.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use sower_core::plan::{Plan, State, Verb};
use sower_core::report::Failure;
use sower_crds::EnvironmentSpec;

use crate::cluster::cluster_sources;

/// What one environment holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holding {
    /// Number of integrations.
    pub integrations: usize,
    /// The versions of those that come from Integration resources, by the resource's name.
    pub resources: BTreeMap<String, String>,
    /// The versions of those whose manifest is refused: they stay.
    pub kept: BTreeMap<String, String>,
}

impl Holding {
    /// Of the rows of an environment, of a plan where it was applied to them, and of what was refused. `beyond` more are
    /// carried, of which none comes from a resource.
    #[must_use]
    pub fn of(
        namespace: &str,
        spec: &EnvironmentSpec,
        state: &State,
        applied: Option<&Plan>,
        failures: &[Failure],
        beyond: usize,
    ) -> Self {
        let sources: BTreeSet<String> = cluster_sources(spec).map(|(name, _)| name).collect();
        let folder = format!("Integration/{namespace}/");
        let resource = |source: &str, path: &str| {
            if sources.contains(source) { path.strip_prefix(&folder).map(str::to_owned) } else { None }
        };
        let rows = state.rows.values().filter(|current| !current.removed);
        let mut held: BTreeMap<&str, (Option<String>, &str)> = rows
            .map(|row| {
                // What is rolled out is not what all have.
                let stable = state.stable(&row.id).unwrap_or(&row.content);
                (row.id.as_str(), (resource(&row.source, &row.path), stable.version.as_str()))
            })
            .collect();
        let done = applied.iter().flat_map(|plan| &plan.operations).filter(|operation| !operation.staged);
        for operation in done {
            match (operation.verb, &operation.place, &operation.to) {
                (Verb::Remove, ..) => drop(held.remove(operation.id.as_str())),
                (_, Some(place), Some(to)) => {
                    held.insert(&operation.id, (resource(&place.source, &place.path), &to.version));
                }
                _ => {}
            }
        }
        let integrations = held.len() + beyond;
        // What has no location is refused for somebody else's row.
        let refused = failures.iter().filter(|failure| failure.location.is_some());
        let kept = refused
            .filter_map(|failure| failure.integration.as_deref())
            .filter_map(|id| Some((id.to_owned(), held.get(id)?.1.to_owned())))
            .collect();
        let resources =
            held.into_values().filter_map(|(name, version)| Some((name?, version.to_owned()))).collect();
        Self { integrations, resources, kept }
    }
}

/// What every environment holds, since this process first looked.
#[derive(Debug, Default)]
pub struct Carriers(Mutex<BTreeMap<(String, String), Holding>>);

impl Carriers {
    /// What an environment holds, if it was looked at.
    #[must_use]
    pub fn of(&self, namespace: &str, environment: &str) -> Option<Holding> {
        let key = (namespace.to_owned(), environment.to_owned());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned()
    }

    /// Notes what an environment holds; the names of the Integration resources that this is news for.
    pub fn note(&self, namespace: &str, environment: &str, holding: Holding) -> BTreeSet<String> {
        let key = (namespace.to_owned(), environment.to_owned());
        let after = holding.resources.clone();
        let before = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key, holding);
        let before = before.map(|holding| holding.resources).unwrap_or_default();
        let names = before.keys().chain(after.keys());
        names.filter(|name| before.get(*name) != after.get(*name)).cloned().collect()
    }

    /// The environment is gone.
    pub fn forget(&self, namespace: &str, environment: &str) {
        let key = (namespace.to_owned(), environment.to_owned());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sower_core::plan::{Content, Current};

    fn row(id: &str, source: &str, path: &str, removed: bool) -> (String, Current) {
        let content = Content { version: "1.0.0".into(), checksum: "v1:0".into() };
        let (source, path) = (source.into(), path.into());
        (id.into(), Current { id: id.into(), content, source, path, removed, prune_disabled: false })
    }

    #[test]
    fn only_rows_of_this_namespaces_resources_are_carried() {
        let rows = [
            row("acme", "default", "Integration/n/acme", false),
            row("other", "default", "Integration/other/other", false),
            row("git", "catalog", "Integration/n/git", false),
            row("gone", "default", "Integration/n/gone", true),
        ];
        let state = State { rows: rows.into(), ..State::default() };
        let failures = ["git", "gone", "new"].map(|id| Failure {
            integration: Some(id.into()),
            code: "bad-version".into(),
            location: Some(format!("{id}/integration.yaml:3:1")),
            message: "wrong".into(),
        });
        let holding = Holding::of("n", &EnvironmentSpec::default(), &state, None, &failures, 7);
        assert_eq!(holding.integrations, 3 + 7);
        assert_eq!(holding.resources, BTreeMap::from([("acme".to_owned(), "1.0.0".to_owned())]));
        assert_eq!(holding.kept, BTreeMap::from([("git".to_owned(), "1.0.0".to_owned())]));
    }

    #[test]
    fn only_news_wakes() {
        let carriers = Carriers::default();
        let holding = |all: &[(&str, &str)]| Holding {
            integrations: all.len(),
            resources: all
                .iter()
                .map(|(name, version)| ((*name).to_owned(), (*version).to_owned()))
                .collect(),
            kept: BTreeMap::new(),
        };
        let news =
            |all: &[(&str, &str)]| carriers.note("n", "e", holding(all)).into_iter().collect::<Vec<_>>();
        assert_eq!(news(&[("a", "1"), ("b", "1")]), ["a", "b"]);
        assert_eq!(news(&[("a", "1"), ("b", "2")]), ["b"]);
        assert_eq!(news(&[("b", "2")]), ["a"]);
        assert_eq!(news(&[("b", "2")]), Vec::<String>::new());
    }
}
