//! What the sources offer: every document found, with a summary of each valid one.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::agree::satisfies;
use crate::problem::Problem;
use crate::resolution::Resolutions;
use crate::snapshot::Revision;

/// Where a document stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// Name of the source.
    pub source: String,
    /// Path of the file from the root of the source's tree; `Integration/<namespace>/<name>` in a cluster.
    pub path: String,
    /// Number of the document in its file, from 0.
    pub document: u32,
}

/// A dependency on another integration: `id` or `id@range`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependency {
    /// The id of the other integration.
    pub id: String,
    /// An npm range; absent: any version.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub range: Option<String>,
    /// Line in the manifest, from 1.
    pub line: u32,
}

impl Dependency {
    /// Whether a version is enough.
    #[must_use]
    pub fn is_met_by(&self, version: &str) -> bool {
        self.range.as_ref().is_none_or(|range| satisfies(version, range))
    }
}

/// What a manifest needs, of its canonical bytes.
#[must_use]
pub fn needs(manifest: &str) -> Vec<Dependency> {
    let value: Value = serde_json::from_str(manifest).unwrap_or_default();
    let all = value["dependencies"].as_array().into_iter().flatten();
    let read = |text: &str| {
        let (id, range) = text.split_once('@').map_or((text, None), |(id, range)| (id, Some(range)));
        Dependency { id: id.to_owned(), range: range.map(str::to_owned), line: 0 }
    };
    all.filter_map(Value::as_str).map(read).collect()
}

/// All that the later steps need to know of a valid manifest without reading it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// The catalog's key.
    pub id: String,
    /// Display name.
    pub name: String,
    /// Semantic version, as written.
    pub version: String,
    /// `v1:<hex of the sha256 of the canonical bytes>`.
    pub checksum: String,
    /// stable, beta or experimental.
    #[serde(default)]
    pub stability: Stability,
    /// draft, published or deprecated.
    #[serde(default)]
    pub lifecycle: Lifecycle,
    /// What to use in place of a deprecated one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub replaced_by: Option<String>,
    /// The environments that may carry it; empty: all.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub environment: Vec<String>,
    /// The oldest Sower that may carry it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub min_platform_version: Option<String>,
    /// What it needs beside it.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub dependencies: Vec<Dependency>,
    /// Number of actions.
    pub actions: u32,
    /// Number of triggers.
    pub triggers: u32,
    /// Number of connections.
    pub connections: u32,
    /// Number of events.
    pub events: u32,
    /// Line, from 1, of the fields that select and explain name: id, version, stability, lifecycle, environment,
    /// minPlatformVersion.
    #[serde(default)]
    pub lines: Lines,
    /// What its envelope asks for. No part of its content.
    #[serde(default, skip_serializing_if = "Annotations::is_empty")]
    pub annotations: Annotations,
}

/// The lines, from 1, of some fields of a manifest; 0: it has no such field. There is one for each document of a catalog.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Lines {
    #[serde(skip_serializing_if = "is_absent")]
    environment: u32,
    #[serde(skip_serializing_if = "is_absent")]
    id: u32,
    #[serde(skip_serializing_if = "is_absent")]
    lifecycle: u32,
    #[serde(skip_serializing_if = "is_absent")]
    min_platform_version: u32,
    #[serde(skip_serializing_if = "is_absent")]
    stability: u32,
    #[serde(skip_serializing_if = "is_absent")]
    version: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
fn is_absent(line: &u32) -> bool {
    *line == 0
}

impl Lines {
    /// Every field whose line is noted.
    pub const FIELDS: [&str; 6] =
        ["environment", "id", "lifecycle", "minPlatformVersion", "stability", "version"];

    fn slot(&mut self, field: &str) -> Option<&mut u32> {
        Some(match field {
            "environment" => &mut self.environment,
            "id" => &mut self.id,
            "lifecycle" => &mut self.lifecycle,
            "minPlatformVersion" => &mut self.min_platform_version,
            "stability" => &mut self.stability,
            "version" => &mut self.version,
            _ => return None,
        })
    }

    /// The line of a field, by its name in the manifest.
    #[must_use]
    pub fn get(mut self, field: &str) -> Option<u32> {
        self.slot(field).map(|line| *line).filter(|line| *line > 0)
    }

    /// Those of these fields; of any other nothing is noted.
    #[must_use]
    pub fn of<'a>(all: impl IntoIterator<Item = (&'a str, u32)>) -> Self {
        let mut lines = Self::default();
        for (field, line) in all {
            if let Some(slot) = lines.slot(field) {
                *slot = line;
            }
        }
        lines
    }
}

/// What the annotations of an Integration ask for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Annotations {
    /// `sower.dev/prune: disabled`: its rows stay when it goes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub prune_disabled: bool,
    /// `sower.dev/resolve`: what is done about its conflicts.
    #[serde(default, skip_serializing_if = "Resolutions::is_empty")]
    pub resolve: Resolutions,
}

impl Annotations {
    /// They ask for nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Summary {
    /// What is known of a content that nobody has read yet.
    #[must_use]
    pub fn of_content(id: &str, version: &str, checksum: &str) -> Self {
        Self {
            id: id.to_owned(),
            name: id.to_owned(),
            version: version.to_owned(),
            checksum: checksum.to_owned(),
            stability: Stability::default(),
            lifecycle: Lifecycle::default(),
            replaced_by: None,
            environment: Vec::new(),
            min_platform_version: None,
            dependencies: Vec::new(),
            actions: 0,
            triggers: 0,
            connections: 0,
            events: 0,
            lines: Lines::default(),
            annotations: Annotations::default(),
        }
    }
}

/// How far a manifest has matured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stability {
    /// For all.
    #[default]
    Stable,
    /// Behind `betaFeatures`.
    Beta,
    /// Behind `experimentalFeatures`.
    Experimental,
}

/// Where a manifest stands in its life; the column `status`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lifecycle {
    /// Carried nowhere.
    Draft,
    /// Carried.
    #[default]
    Published,
    /// Carried with a warning.
    Deprecated,
}

impl Lifecycle {
    /// As the column holds it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Published => "published",
            Self::Deprecated => "deprecated",
        }
    }
}

/// A file outside the manifest whose content is bundled into it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reference {
    /// Path from the root of the tree.
    pub path: String,
    /// Its blob id; empty where it was not found.
    pub blob: String,
}

/// One document found, valid or not. Documents of other kinds are not found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// Where it stands.
    pub place: Place,
    /// Git blob id of its file.
    pub blob: String,
    /// Its id, where it can be read.
    pub id: Option<String>,
    /// Present if it has no error.
    pub summary: Option<Summary>,
    /// Its errors and warnings.
    pub problems: Vec<Problem>,
    /// The files bundled into it. It is to be read again when one of them changes.
    pub references: Vec<Reference>,
    /// The canonical bytes; absent where the summary came from memory.
    #[serde(skip)]
    pub manifest: Option<Arc<str>>,
}

impl Found {
    /// Whether it may be taken.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.summary.is_some()
    }
}

/// All documents of one source at one revision.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceCatalog {
    /// Name of the source.
    pub name: String,
    /// What was read.
    pub revision: Revision,
    /// Order among sources: the higher wins a duplicate; ties go to the order of the spec.
    pub priority: i32,
    /// Every document found, sorted by place.
    pub found: Vec<Found>,
    /// False where the listing was not whole: nothing of this source is pruned.
    pub complete: bool,
    /// Every deletion was watched, so that an empty source is meant: a cluster's, never a repository's.
    pub watched: bool,
    /// Paths of rows whose file is there, but holds no document of ours any more: it broke, or cannot be read. Only a
    /// file that is gone is a deletion.
    pub mute: std::collections::BTreeSet<String>,
}

impl SourceCatalog {
    /// Why nothing of this source may be pruned, if so: it is empty, not whole, or holds a document whose id cannot be read.
    #[must_use]
    pub fn keeps_all(&self) -> Option<&'static str> {
        if !self.complete {
            Some("it could not be read in whole")
        } else if self.found.is_empty() && !self.watched {
            Some("it is empty")
        } else if self.found.iter().any(|f| f.id.is_none()) {
            Some("it holds a document whose id cannot be read")
        } else {
            None
        }
    }
}
