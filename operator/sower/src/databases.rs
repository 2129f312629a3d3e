//! The databases of the environments: each is opened once.

use sower_controllers::doors::{Database, Doors};
use sower_core::manifest::LoadedEnvironment;
use sower_crds::EnvironmentSpec;
use sower_crds::environment::Migrate as Spec;
use sower_store::{DatabaseUrl, Migrate, Store, StoreError, Tls};

use crate::settings::Settings;

/// Databases that were opened, by address.
#[derive(Debug, Default)]
pub struct Databases(Doors);

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
        self.0.open(Database { url, tls: Tls::default() }, migrate(&environment.spec)).await
    }

    /// Lets go of the database of one environment, whose tables are gone: to open it anew makes them, where that is
    /// allowed.
    pub fn forget(&self, settings: &Settings, environment: &LoadedEnvironment) {
        if let Ok(url) = url(settings, &environment.name) {
            self.0.forget(&(Database { url, tls: Tls::default() }, migrate(&environment.spec)));
        }
    }

    /// Lets go of a database whose file was deleted since it was opened.
    pub fn forget_deleted(&self, settings: &Settings, environment: &LoadedEnvironment) {
        if let Ok(url) = url(settings, &environment.name) {
            self.0.forget_deleted(&(Database { url, tls: Tls::default() }, migrate(&environment.spec)));
        }
    }

    /// Closes them.
    pub async fn close(&self) {
        self.0.close().await;
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
