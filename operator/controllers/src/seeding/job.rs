//! What a seeding is asked to do: the same values from files and from a cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use futures::future::BoxFuture;
use jiff::Timestamp;
use serde_json::Value;
use sower_core::drift::Drifted;
use sower_core::gate::Moment;
use sower_core::resolution::Once;
use sower_core::snapshot::Revision;
use sower_crds::environment::EnvironmentSpec;
use sower_source::FetchRequest;
use sower_store::Store;

use super::error::SeedingError;
use crate::metrics::EnvironmentLabels;

/// One seeding, or one plan.
#[derive(Debug, Clone)]
pub struct Job {
    /// Name of the environment.
    pub environment: String,
    /// Its spec.
    pub spec: EnvironmentSpec,
    /// Its sources, in the order of the spec, with all references followed.
    pub sources: Vec<SourceInput>,
    /// Who seeds: `files`, or `<clusterName>/<namespace>/<name>`.
    pub keeper: String,
    /// Take the environment over from another keeper.
    pub take_over: bool,
    /// None but these integrations.
    pub only: Option<BTreeSet<String>>,
    /// Write unchanged rows again.
    pub reseed: bool,
    /// What drifted, and is to be as it was seeded: see [`crate::drift`].
    pub mend: Arc<[Drifted]>,
    /// What is done about conflicts of some integrations, this once.
    pub resolve: Once,
    /// Until when the freeze windows of the spec do not count.
    pub freeze_override: Option<Timestamp>,
    /// The environment that this one is promoted from; of one without `spec.promotion` nothing is asked.
    pub upstream: Option<Upstream>,
    /// What somebody lets in now, as it is shown now: a seeding of it tells what would come of that. What was let in before is
    /// noted in the database, and comes whatever is shown by then.
    pub promote: Promote,
    /// The epoch to write under; none: the current one.
    pub epoch: Option<i64>,
}

/// An environment that another is promoted from.
#[derive(Debug, Clone)]
pub enum Upstream {
    /// Its rows can be asked.
    Open {
        /// Its name.
        environment: String,
        /// Where its rows are.
        store: Store,
    },
    /// They cannot, and why.
    Away(String),
}

/// What somebody lets in before it has shown what it has to; that the other environment carries it is compared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Promote {
    /// The integrations.
    pub ids: BTreeSet<String>,
    /// Who says so.
    pub by: String,
}

impl Job {
    /// What the gate judges by: the time, and what is asked for in spite of it.
    #[must_use]
    pub fn moment(&self) -> Moment {
        Moment { now: Timestamp::now(), freeze_override: self.freeze_override }
    }

    /// Nothing drifted, or nothing is done about it.
    #[must_use]
    pub fn unmended() -> Arc<[Drifted]> {
        Arc::new([])
    }

    /// How metrics name the environment: its namespace is empty where files are the target.
    #[must_use]
    pub fn labels(&self) -> EnvironmentLabels {
        EnvironmentLabels::of(&self.keeper, &self.environment)
    }
}

/// A source, ready to be read.
#[derive(Debug, Clone)]
pub struct SourceInput {
    /// Its name in the spec.
    pub name: String,
    /// The higher wins a duplicate.
    pub priority: i32,
    /// The folder of the manifests inside it.
    pub path: String,
    /// Where it is.
    pub origin: Origin,
}

/// Where a source's files come from.
#[derive(Debug, Clone)]
pub enum Origin {
    /// A repository elsewhere.
    Git(FetchRequest),
    /// The files on disk, uncommitted edits included.
    Folder(PathBuf),
    /// Commits of the repository that holds a folder.
    Checkout {
        /// The folder.
        dir: PathBuf,
        /// `HEAD`, a branch, a tag or a commit.
        reference: String,
    },
    /// Integration resources of a cluster, listed already.
    Listing(Arc<Listing>),
    /// Integration resources of a cluster, which are read only if they are not at the revision that was seeded.
    Glance(Glance),
}

/// At which revision the Integration resources are that a cluster source selects, and how they are read.
#[derive(Clone)]
pub struct Glance {
    /// As [`Listing::revision`].
    pub revision: Revision,
    read: Arc<dyn Fn() -> BoxFuture<'static, Result<Arc<Listing>, SeedingError>> + Send + Sync>,
}

impl Glance {
    /// What is at `revision`, and read by `read`.
    pub fn new(
        revision: Revision,
        read: impl Fn() -> BoxFuture<'static, Result<Arc<Listing>, SeedingError>> + Send + Sync + 'static,
    ) -> Self {
        Self { revision, read: Arc::new(read) }
    }

    /// The resources as they are now: at this revision, or at a later one.
    ///
    /// # Errors
    /// As the listing.
    pub async fn read(&self) -> Result<Arc<Listing>, SeedingError> {
        (self.read)().await
    }
}

impl std::fmt::Debug for Glance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Glance").field("revision", &self.revision).finish_non_exhaustive()
    }
}

/// The Integration resources that a cluster source selects.
#[derive(Debug, Clone)]
pub struct Listing {
    /// A digest over (uid, generation, annotations) of each.
    pub revision: Revision,
    /// The resources, sorted by namespace and name.
    pub documents: Vec<Resource>,
    /// The listing is whole.
    pub complete: bool,
    /// Every deletion was watched: if the listing is empty, that is meant.
    pub watched: bool,
}

/// One Integration resource.
#[derive(Debug, Clone)]
pub struct Resource {
    /// Its namespace.
    pub namespace: String,
    /// Its name: the id where the spec has none.
    pub name: String,
    /// Digest over uid, generation and annotations, in place of a blob id.
    pub blob: String,
    /// Those of its annotations that mean something here.
    pub annotations: BTreeMap<String, String>,
    /// The spec, as the API server holds it.
    pub spec: Value,
}

impl Resource {
    /// The path that rows and problems name.
    #[must_use]
    pub fn path(&self) -> String {
        format!("Integration/{}/{}", self.namespace, self.name)
    }
}
