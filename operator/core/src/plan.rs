//! What is to be done: the row-level difference between a selection and a database, as values.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::catalog::{Place, Summary};
use crate::drift::Left;
use crate::merges::Merges;
use crate::promotion::Admission;
use crate::quarantine::Quarantine;
use crate::resolution::Resolutions;

/// A version with its content.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Content {
    /// Semantic version.
    pub version: String,
    /// `v1:<hex>`.
    pub checksum: String,
}

/// A definition row of ours, as the database holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Current {
    /// The integration.
    pub id: String,
    /// What it holds.
    pub content: Content,
    /// Name of the source it came from.
    pub source: String,
    /// Path it came from.
    pub path: String,
    /// It was taken out (status `removed`), and is kept for a while, or for the foreign rows that hang on it.
    pub removed: bool,
    /// Its manifest said so that it stays when it goes (`sower.dev/prune: disabled`).
    pub prune_disabled: bool,
}

/// An update that a policy keeps out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// Path of its manifest.
    pub path: String,
    /// Why, in a sentence.
    pub why: String,
}

/// All that the plan needs to know of a database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// Number of the last committed seeding.
    pub base: i64,
    /// Our rows, by id.
    pub rows: BTreeMap<String, Current>,
    /// Ids that are held by rows Sower did not write.
    pub foreign: BTreeSet<String>,
    /// Updates that `policy.semver: deny` keeps out, by integration, each with why.
    pub denied: BTreeMap<String, Denied>,
    /// Contents that this environment carried earlier: those of [`Plan`]'s lower versions that were asked for.
    pub carried: BTreeSet<(String, String)>,
    /// What is kept out, because it was rolled back from.
    pub quarantine: Quarantine,
    /// Checksums of the contents of git that hand edits were merged into, by integration, of those whose row holds the
    /// result.
    pub merged: BTreeMap<String, String>,
    /// What merging makes of the conflicts that were asked for.
    pub merges: Merges,
    /// The rollouts under way, by integration.
    pub rollouts: BTreeMap<String, UnderWay>,
    /// The rollouts that another's hand changed, by integration, each with what it rolled out: whatever is done of these, they
    /// end.
    pub tampered: BTreeMap<String, Content>,
    /// What may come in, where another environment decides that.
    pub admission: Option<Admission>,
}

/// A rollout under way, as far as a plan has to know: the environment's row holds the stable content still.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnderWay {
    /// Id of the rollout.
    pub id: String,
    /// What it rolls out.
    pub to: Content,
    /// Name of the source that this comes from.
    pub source: String,
    /// Path that it comes from.
    pub path: String,
    /// The row as it is.
    pub stable: Option<Current>,
}

impl State {
    /// What is rolled out counts as there already: git is held against the target of a rollout.
    pub fn take_targets(&mut self) {
        for (id, under_way) in &mut self.rollouts {
            let Some(row) = self.rows.get_mut(id).filter(|_| under_way.stable.is_none()) else { continue };
            under_way.stable = Some(row.clone());
            row.content = under_way.to.clone();
            row.source.clone_from(&under_way.source);
            row.path.clone_from(&under_way.path);
        }
    }

    /// What is rolled out, where that ends with an operation: whatever changes what all have takes its place.
    #[must_use]
    pub fn ends(&self, operation: &Operation) -> Option<&Content> {
        let under_way = self.rollouts.get(&operation.id).map(|under_way| &under_way.to);
        // What is only put back as it was leaves it be.
        let replaced = under_way.filter(|_| operation.from != operation.to);
        self.tampered.get(&operation.id).or(replaced)
    }

    /// A rollout is all that ends with an operation: everybody keeps what they have.
    #[must_use]
    pub fn gives_up(&self, operation: &Operation) -> bool {
        let keeps = operation.to.is_some() && operation.to.as_ref() == self.stable(&operation.id);
        keeps && self.ends(operation).is_some()
    }

    /// What everybody has of an integration who is in no rollout of it.
    #[must_use]
    pub fn stable(&self, id: &str) -> Option<&Content> {
        let under_way = self.rollouts.get(id).and_then(|under_way| under_way.stable.as_ref());
        let row = under_way.or_else(|| self.rows.get(id)).filter(|row| !row.removed);
        row.map(|row| &row.content)
    }

    /// What is to come of this integration waits for another environment: it stays as it is.
    #[must_use]
    pub fn waits(&self, id: &str) -> bool {
        self.admission.as_ref().is_some_and(|admission| admission.keeps(id))
    }

    /// Whether no other environment keeps this content out.
    #[must_use]
    pub fn admits(&self, id: &str, checksum: &str) -> bool {
        self.admission.as_ref().is_none_or(|admission| admission.admits(id, checksum))
    }

    /// What drifted counts as the last seeding left it.
    pub fn take_as_left(&mut self, left: &BTreeMap<String, Left>) {
        for (id, Left { content, source, path, revision: _, prune_disabled }) in left {
            let (content, source, path) = (content.clone(), source.clone(), path.clone());
            let (removed, prune_disabled) = (false, *prune_disabled);
            let current = Current { id: id.clone(), content, source, path, removed, prune_disabled };
            self.rows.insert(id.clone(), current);
        }
    }
}

/// The kinds of conflict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConflictType {
    /// A lower version, or the same with other content.
    Version,
    /// Something it needs is missing, outside the range, or needs it in turn.
    Dependency,
    /// Two sources offer one id.
    Duplicate,
}

impl ConflictType {
    /// As columns and JSON hold it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Version => "version",
            Self::Dependency => "dependency",
            Self::Duplicate => "duplicate",
        }
    }
}

/// What is done about a conflict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Resolution {
    /// What is there stays; of two sources the first wins.
    #[default]
    Skip,
    /// The new is taken; of two sources the last wins.
    Override,
    /// What is there and what is new become one; where they cannot, what is there stays.
    Merge,
}

impl Resolution {
    /// As columns and JSON hold it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Override => "override",
            Self::Merge => "merge",
        }
    }
}

impl From<sower_crds::environment::Resolution> for Resolution {
    fn from(resolution: sower_crds::environment::Resolution) -> Self {
        use sower_crds::environment::Resolution as Spec;
        match resolution {
            Spec::Skip => Self::Skip,
            Spec::Override => Self::Override,
            Spec::Merge => Self::Merge,
        }
    }
}

/// A conflict that was found, and what is done about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Conflict {
    /// The integration.
    pub integration: String,
    /// Which kind.
    #[serde(rename = "type")]
    pub kind: ConflictType,
    /// The version here, if any.
    pub current_version: Option<String>,
    /// The version that was offered.
    pub new_version: Option<String>,
    /// What is done about it.
    pub resolution: Resolution,
    /// Why it could not be merged, so that what is there stays: one clause for people.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub unmerged: Option<String>,
    /// JSON pointers, with ids of items, to what both sides have in different ways: what keeps a version from being
    /// merged, or where the first of several sources won.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub clashes: Vec<String>,
    /// One clause for people: `git has 1.0.0 too, with other content`.
    #[serde(skip)]
    pub message: String,
    /// What makes it this conflict and no other: equal fingerprints are one conflict, reported once.
    #[serde(skip)]
    pub fingerprint: String,
}

impl Conflict {
    /// What is there stays because of it.
    #[must_use]
    pub fn keeps(&self) -> bool {
        self.resolution == Resolution::Skip || self.unmerged.is_some()
    }

    /// Once its integration is written it is no conflict any more: a version that was taken or merged.
    #[must_use]
    pub fn ends_when_written(&self) -> bool {
        self.kind == ConflictType::Version && !self.keeps()
    }

    /// What was done about it, in a word or a clause: `skipped`, `merged`, `not merged: both sides changed /name`.
    #[must_use]
    pub fn done(&self) -> String {
        match (self.resolution, &self.unmerged) {
            (_, Some(why)) => format!("not merged: {why}"),
            (Resolution::Skip, None) => "skipped".to_owned(),
            (Resolution::Override, None) => "overridden".to_owned(),
            (Resolution::Merge, None) => "merged".to_owned(),
        }
    }
}

/// Why the selection leaves an integration out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Exclusion {
    /// The manifest's `environment` does not name this one.
    Environment,
    /// A pattern of blockedIntegrations matches.
    Blocked {
        /// The pattern.
        pattern: String,
        /// Its index in the list.
        index: usize,
    },
    /// No pattern of allowedIntegrations matches.
    NotAllowed,
    /// Beta, without the flag betaFeatures.
    Beta,
    /// Experimental, without the flag experimentalFeatures.
    Experimental,
    /// A draft.
    Draft,
    /// Wants a newer Sower.
    MinPlatformVersion {
        /// The version it wants.
        needs: String,
        /// The running one.
        running: String,
    },
    /// The strategy is selective, and no entry without a wildcard names it.
    NotNamed,
}

/// Where the line that causes something stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "in", rename_all = "camelCase")]
pub enum Cause {
    /// In the manifest.
    Manifest {
        /// Path of the file.
        path: String,
        /// Line, from 1.
        line: u32,
    },
    /// In the Environment.
    Environment {
        /// JSON pointer into the document: `/spec/allowedIntegrations`.
        pointer: String,
    },
}

/// An integration that the environment does not carry, with the reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excluded {
    /// The integration.
    pub id: String,
    /// The version that was offered.
    pub version: String,
    /// Where the manifest stands.
    pub place: Place,
    /// Why.
    pub why: Exclusion,
    /// The line that causes it.
    pub cause: Cause,
}

/// A manifest that is to be carried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// What is known of it.
    pub summary: Summary,
    /// Where it stands.
    pub place: Place,
    /// The long form of its source's revision.
    pub revision: String,
    /// What it says of its conflicts.
    pub resolve: Resolutions,
}

/// What an operation does to an integration's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// Rows that were not there.
    Create,
    /// Other content.
    Update,
    /// The same content from another file or source.
    Move,
    /// Rows that go.
    Remove,
}

impl Verb {
    /// As `seeding_changes.operation` holds it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Move => "move",
            Self::Remove => "remove",
        }
    }
}

/// One integration's change. It holds checksums, never manifests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// The integration.
    pub id: String,
    /// What is done.
    pub verb: Verb,
    /// What was there.
    pub from: Option<Content>,
    /// What will be there.
    pub to: Option<Content>,
    /// Where the new content stands; absent for a removal.
    pub place: Option<Place>,
    /// The long form of the revision that is written into the rows; absent for a removal.
    pub revision: Option<String>,
    /// Name of the source that owned the rows, or owns them from now on.
    pub source: String,
    /// A lower version that was carried before: a revert.
    pub revert: bool,
    /// What the manifest says of [`Current::prune_disabled`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub prune_disabled: bool,
    /// It begins a rollout: the rows that all have stay, and the new ones live beside them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub staged: bool,
}

/// An integration whose rows stay as they are although git says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
    /// The integration.
    pub id: String,
    /// The version that stays; absent where there is none.
    pub version: Option<String>,
    /// Why.
    pub why: KeptWhy,
}

/// Why rows stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum KeptWhy {
    /// Its manifest is invalid.
    Invalid,
    /// A row that Sower did not write holds the id.
    ForeignRow,
    /// It is gone from git, and the environment does not prune.
    NotPruned,
    /// It is gone from git, and its annotation `sower.dev/prune` says that it stays.
    PruneDisabled,
    /// It is gone from git, but its source is empty, not whole, or holds a document without a readable id.
    SourceKeepsAll,
    /// Selective: it is no longer named.
    Orphaned,
    /// What uses it would break, and its version does not say so.
    Understated,
    /// `--only` names others.
    NotNamed,
    /// What git says of it was rolled back from.
    Quarantined,
    /// It needs a version that is being rolled out.
    AwaitsRollout,
    /// What git says of it waits for another environment.
    NotPromoted,
}

/// The row-level difference between a selection and a database.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The environment's name.
    pub environment: String,
    /// 64 hex digits over environment, spec digest, base, operations and resolutions; never over a revision or a time.
    pub hash: String,
    /// Number of the seeding it stands on.
    pub base: i64,
    /// The ids it was restricted to (`--only`); absent: all. Nothing is known of others: their open conflicts stay open.
    pub scope: Option<BTreeSet<String>>,
    /// What is to be done, sorted by id.
    pub operations: Vec<Operation>,
    /// The integrations of operations that only write again what drifted, of which git says something else that is not
    /// taken.
    pub put_back: BTreeSet<String>,
    /// Number of integrations that are as they should be.
    pub unchanged: usize,
    /// Number of integrations that were selected, those in conflict included.
    pub processed: usize,
    /// Conflicts, sorted by integration and type.
    pub conflicts: Vec<Conflict>,
    /// What the selection left out, sorted by id.
    pub excluded: Vec<Excluded>,
    /// What stays although git says otherwise, sorted by id.
    pub kept: Vec<Kept>,
    /// Integrations of which something was kept out or asked back, and that are now as git has them: that ends. Sorted.
    pub lifted: Vec<String>,
    /// Deprecated integrations that are carried: id, and what replaces it.
    pub deprecated: Vec<(String, Option<String>)>,
}

impl Plan {
    /// Number of operations of one verb.
    #[must_use]
    pub fn count(&self, verb: Verb) -> usize {
        self.operations.iter().filter(|o| o.verb == verb).count()
    }

    /// Number of created integrations.
    #[must_use]
    pub fn created(&self) -> usize {
        self.count(Verb::Create)
    }

    /// Number of updated integrations, those that moved, and those of which a rollout begins, included.
    #[must_use]
    pub fn updated(&self) -> usize {
        self.count(Verb::Update) + self.count(Verb::Move)
    }

    /// Number of integrations of which a rollout begins.
    #[must_use]
    pub fn staged(&self) -> usize {
        self.operations.iter().filter(|operation| operation.staged).count()
    }

    /// Number of deleted integrations.
    #[must_use]
    pub fn deleted(&self) -> usize {
        self.count(Verb::Remove)
    }

    /// Nothing is to be written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// The 12 hex digits that people type.
    #[must_use]
    pub fn short_hash(&self) -> &str {
        self.hash.get(..12).unwrap_or(&self.hash)
    }
}
