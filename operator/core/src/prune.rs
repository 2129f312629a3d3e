//! What guards rows that nothing selects any more.

use std::collections::{BTreeMap, BTreeSet};

use sower_crds::environment::EnvironmentSpec;

use crate::catalog::SourceCatalog;
use crate::plan::{Current, KeptWhy};
use crate::resolve::Fate;
use crate::select::touches;

/// Judges rows that nothing selects any more.
pub(crate) struct Prune<'a> {
    spec: &'a EnvironmentSpec,
    /// The sources that were read, and whether each keeps all.
    read: BTreeMap<&'a str, bool>,
    /// Files that are there and hold nothing of ours any more, by source.
    mute: BTreeMap<&'a str, &'a BTreeSet<String>>,
    /// The sources that the environment names.
    named: BTreeSet<&'a str>,
}

impl<'a> Prune<'a> {
    pub(crate) fn new(spec: &'a EnvironmentSpec, sources: &'a [SourceCatalog]) -> Self {
        Self {
            spec,
            read: sources.iter().map(|source| (source.name.as_str(), source.keeps_all().is_some())).collect(),
            mute: sources.iter().map(|source| (source.name.as_str(), &source.mute)).collect(),
            named: spec.sources.iter().map(|source| source.name.as_str()).collect(),
        }
    }

    /// Whether such a row goes, or why it stays.
    pub(crate) fn fate(&self, current: &Current) -> Fate<'static> {
        if !touches(self.spec, &current.id) {
            Fate::Keep(KeptWhy::Orphaned)
        } else if !self.spec.prune {
            Fate::Keep(KeptWhy::NotPruned)
        } else if self.keeps(&current.source) {
            Fate::Keep(KeptWhy::SourceKeepsAll)
        } else if self.mute.get(current.source.as_str()).is_some_and(|paths| paths.contains(&current.path)) {
            Fate::Keep(KeptWhy::Invalid)
        } else {
            Fate::Remove
        }
    }

    /// A source that was not read whole keeps its rows. Those of a source that the environment no longer names go, but
    /// only while every other source is known whole: it may have been renamed, and its documents be the unreadable ones.
    fn keeps(&self, source: &str) -> bool {
        match self.read.get(source) {
            Some(keeps) => *keeps,
            None => {
                self.named.contains(source) || self.read.is_empty() || self.read.values().any(|keeps| *keeps)
            }
        }
    }
}
