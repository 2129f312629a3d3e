//! The databases of a cluster's Environments, for those who ask about one by its name; whoever leads.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use kube::core::DeserializeGuard;
use kube::{Client, ResourceExt as _};
use sower_store::{Migrate, Store};

use crate::cluster::{Guarded, Scope};
use crate::environment::{self, Rules};
use crate::seeding::SeedingError;
use crate::stores::{Database, Stores};

/// How long an address is taken to be what its Secret said.
const FRESH: Duration = Duration::from_secs(10);

/// Why a name leads to no database.
#[derive(Debug, Clone)]
pub enum Astray {
    /// Nothing is known of the cluster yet.
    Early,
    /// There is no such Environment.
    Nowhere,
    /// Several namespaces have one: `namespace/name` of each.
    Several(Vec<String>),
    /// The Environment cannot be read, or its database cannot be opened.
    Closed(SeedingError),
}

/// Namespace and name.
type Whose = (String, String);

/// An address, since when it is known, and of which spec.
#[derive(Debug, Clone)]
struct Known {
    database: Database,
    at: Instant,
    generation: Option<i64>,
}

/// Environments by name, and their databases, which are opened as they are: nobody who asks makes a table.
pub struct Asking {
    client: Client,
    rules: Rules,
    scopes: OnceLock<Vec<Arc<Scope>>>,
    stores: Stores,
    known: Mutex<HashMap<Whose, Known>>,
}

impl Asking {
    /// Asks by the same rules as the operator does.
    #[must_use]
    pub fn new(client: Client, rules: Rules) -> Self {
        Self { client, rules, scopes: OnceLock::new(), stores: Stores::default(), known: Mutex::default() }
    }

    /// What is watched; to be said once, when it is in.
    pub(crate) fn watches(&self, scopes: &[Arc<Scope>]) {
        // An operator runs once.
        let _ = self.scopes.set(scopes.to_vec());
    }

    /// The Environment is gone.
    pub(crate) fn forget(&self, namespace: &str, name: &str) {
        self.stores.forget(namespace, name);
        self.known().remove(&(namespace.to_owned(), name.to_owned()));
    }

    /// Closes the databases, once nobody asks any more.
    pub async fn close(&self) {
        self.stores.close().await;
    }

    /// The database of an Environment; without a namespace, of the only one that is called so.
    ///
    /// # Errors
    /// Why it leads to none.
    pub async fn store(&self, namespace: Option<&str>, name: &str) -> Result<Store, Astray> {
        let scopes = self.scopes.get().ok_or(Astray::Early)?;
        let environments = scopes.iter().flat_map(|scope| scope.environments.state());
        let mut called: Vec<Arc<Guarded>> = environments
            .filter(|one| one.name_any() == name)
            .filter(|one| namespace.is_none_or(|namespace| one.namespace().as_deref() == Some(namespace)))
            .collect();
        called.sort_by_key(|one| one.namespace());
        let environment = match called.as_slice() {
            [] => return Err(Astray::Nowhere),
            [only] => only,
            several => {
                let full = |one: &Arc<Guarded>| format!("{}/{name}", one.namespace().unwrap_or_default());
                return Err(Astray::Several(several.iter().map(full).collect()));
            }
        };
        self.open(environment).await.map_err(Astray::Closed)
    }

    async fn open(&self, environment: &Guarded) -> Result<Store, SeedingError> {
        let (namespace, name) = (environment.namespace().unwrap_or_default(), environment.name_any());
        let DeserializeGuard(Ok(environment)) = environment else {
            return Err(SeedingError::invalid_spec(format!("{namespace}/{name} cannot be read")));
        };
        let whose = (namespace.clone(), name.clone());
        let generation = environment.metadata.generation;
        let fresh = self.known().get(&whose).filter(|known| known.is_fresh(generation)).cloned();
        let database = match fresh {
            Some(known) => known.database,
            None => {
                let (database, _) = environment::database(&self.client, environment, &self.rules).await?;
                let known = Known { database: database.clone(), at: Instant::now(), generation };
                self.known().insert(whose, known);
                database
            }
        };
        self.stores.open(&namespace, &name, database, Migrate::Never).await
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<Whose, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn is_fresh(&self, generation: Option<i64>) -> bool {
        self.generation == generation && self.at.elapsed() < FRESH
    }
}
