//! What guards rows that nothing selects any more.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};

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
    /// Files that hold a document whose id cannot be read: source and path.
    unread: BTreeSet<(&'a str, &'a str)>,
    /// The sources that the environment names.
    named: BTreeSet<&'a str>,
    sources: &'a [SourceCatalog],
    /// What valid documents say of [`Current::prune_disabled`], by source, path and id; made when it is asked for first.
    said: OnceCell<HashMap<(&'a str, &'a str, &'a str), bool>>,
}

impl<'a> Prune<'a> {
    pub(crate) fn new(spec: &'a EnvironmentSpec, sources: &'a [SourceCatalog]) -> Self {
        let without_id = sources.iter().flat_map(|source| &source.found).filter(|found| found.id.is_none());
        Self {
            spec,
            unread: without_id.map(|found| (&*found.place.source, &*found.place.path)).collect(),
            read: sources.iter().map(|source| (source.name.as_str(), source.keeps_all().is_some())).collect(),
            mute: sources.iter().map(|source| (source.name.as_str(), &source.mute)).collect(),
            named: spec.sources.iter().map(|source| source.name.as_str()).collect(),
            sources,
            said: OnceCell::new(),
        }
    }

    /// Whether such a row goes, or why it stays.
    pub(crate) fn fate(&self, current: &Current) -> Fate<'static> {
        if !touches(self.spec, &current.id) {
            Fate::Keep(KeptWhy::Orphaned)
        } else if self.unread.contains(&(&*current.source, &*current.path)) {
            // It is not gone: what stands in its file is not known.
            Fate::Keep(KeptWhy::Invalid)
        } else if self.disabled(current) {
            Fate::Keep(KeptWhy::PruneDisabled)
        } else if !self.spec.prune {
            Fate::Keep(KeptWhy::NotPruned)
        } else if self.keeps(&current.source) {
            Fate::Keep(KeptWhy::SourceKeepsAll)
        } else if self.is_mute(&current.source, &current.path) {
            Fate::Keep(KeptWhy::Invalid)
        } else {
            Fate::Remove
        }
    }

    /// Whether what a document of a source offered is gone, as far as that can be told.
    pub(crate) fn is_gone(&self, source: &str, path: &str) -> bool {
        !self.unread.contains(&(source, path)) && !self.keeps(source) && !self.is_mute(source, path)
    }

    fn is_mute(&self, source: &str, path: &str) -> bool {
        self.mute.get(source).is_some_and(|paths| paths.contains(path))
    }

    /// Its document says whether it stays; where that is gone or invalid, what it said last.
    fn disabled(&self, current: &Current) -> bool {
        let said = self.said.get_or_init(|| {
            let all = self.sources.iter().flat_map(|source| &source.found);
            all.filter_map(|found| {
                let summary = found.summary.as_ref()?;
                let key = (found.place.source.as_str(), found.place.path.as_str(), summary.id.as_str());
                Some((key, summary.annotations.prune_disabled))
            })
            .collect()
        });
        let key = (current.source.as_str(), current.path.as_str(), current.id.as_str());
        said.get(&key).copied().unwrap_or(current.prune_disabled)
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
