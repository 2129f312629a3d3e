//! The databases of the environments: each is opened once.

use std::collections::HashMap;

use sower_core::manifest::LoadedEnvironment;
use sower_crds::EnvironmentSpec;
use sower_crds::environment::Migrate as Spec;
use sower_store::{DatabaseUrl, Migrate, Options, Store, StoreError};
use tokio::sync::Mutex;

use crate::settings::Settings;

/// Databases that were opened, by address.
#[derive(Debug, Default)]
pub struct Databases {
    open: Mutex<HashMap<(DatabaseUrl, Migrate), Store>>,
}

impl Databases {
    /// The database of one environment.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub async fn of(
        &self,
        settings: &Settings,
        environment: &LoadedEnvironment,
    ) -> Result<Store, StoreError> {
        let url = url(settings, &environment.name)?;
        let migrate = migrate(&environment.spec);
        // Held while one is opened: a second opening of the same file would race for its journal.
        let mut open = self.open.lock().await;
        let key = (url, migrate);
        if let Some(store) = open.get(&key) {
            return Ok(store.clone());
        }
        let store = Store::open(&key.0, &Options { migrate, ..Options::default() }).await?;
        open.insert(key, store.clone());
        Ok(store)
    }

    /// Lets go of the database of one environment, whose tables are gone: to open it anew makes them, where that is
    /// allowed.
    pub async fn forget(&self, settings: &Settings, environment: &LoadedEnvironment) {
        if let Ok(url) = url(settings, &environment.name) {
            // Whoever still uses it closes it.
            self.open.lock().await.remove(&(url, migrate(&environment.spec)));
        }
    }

    /// Closes them.
    pub async fn close(&self) {
        for (_, store) in self.open.lock().await.drain() {
            store.close().await;
        }
    }
}

/// Whether a seeding of an environment may make its tables.
#[must_use]
pub fn migrate(spec: &EnvironmentSpec) -> Migrate {
    match spec.database.as_ref().map(|database| database.migrate) {
        Some(Spec::Never) => Migrate::Never,
        Some(Spec::Auto) | None => Migrate::Auto,
    }
}

/// Address of an environment's database.
///
/// # Errors
/// [`StoreError::BadUrl`] where there is none, or it cannot be read.
pub fn url(settings: &Settings, environment: &str) -> Result<DatabaseUrl, StoreError> {
    let text = settings.database_of(environment).unwrap_or_default();
    Ok(DatabaseUrl::parse(&text)?.of_environment(environment))
}
