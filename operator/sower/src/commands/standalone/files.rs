//! The environments of a checkout, as those who ask over HTTP find them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use sower_core::manifest::LoadedEnvironment;
use sower_store::{Store, StoreError};

use crate::databases::Databases;
use crate::settings::Settings;

/// Environments by name, and their databases.
pub struct Files {
    settings: Settings,
    databases: Arc<Databases>,
    there: Mutex<BTreeMap<String, LoadedEnvironment>>,
}

impl Files {
    /// None yet, over the databases that their seedings use.
    #[must_use]
    pub fn new(settings: Settings, databases: Arc<Databases>) -> Self {
        Self { settings, databases, there: Mutex::default() }
    }

    /// An environment as its file says now.
    pub fn note(&self, environment: &LoadedEnvironment) {
        let mut there = self.there.lock().unwrap_or_else(PoisonError::into_inner);
        there.insert(environment.name.clone(), environment.clone());
    }

    /// An environment that is no longer there.
    pub fn forget(&self, name: &str) {
        self.there.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    /// The database of an environment; none where there is no such one.
    pub async fn store(&self, name: &str) -> Option<Result<Store, StoreError>> {
        let environment = self.there.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()?;
        Some(self.databases.of(&self.settings, &environment).await)
    }
}
