//! A checkout that commands act on: its settings, its Environments, its databases.

use std::path::Path;

use sower_controllers::metrics::Metrics;
use sower_controllers::rollout::Steps;
use sower_controllers::seeding::{Job, Seeder};
use sower_core::manifest::LoadedEnvironment;
use sower_store::StoreError;

use crate::choice::{self, Asked};
use crate::databases::Databases;
use crate::environments::{EnvironmentFiles, unread};
use crate::failure::Failure;
use crate::neighbours::{Found, Neighbours};
use crate::origin::{self, Secrets};
use crate::output::problems;
use crate::output::style::Style;
use crate::settings::{Settings, without_password};
use crate::{databases, job};

/// A checkout.
pub struct Project {
    /// What is set.
    pub settings: Settings,
    /// Its Environments, and what is wrong with them.
    pub files: EnvironmentFiles,
    /// The Secrets beside them.
    pub secrets: Secrets,
    /// Their databases.
    pub databases: Databases,
}

impl Project {
    /// Reads the Environments.
    ///
    /// # Errors
    /// Usage, where there is no project.
    pub fn open(settings: Settings) -> Result<Self, Failure> {
        settings.project()?;
        settings.addresses()?;
        let files = origin::environment_files(&settings)?;
        let secrets = Secrets::of(&files);
        Ok(Self { settings, files, secrets, databases: Databases::default() })
    }

    /// One whose Environments cannot be read at all, for what needs no more than rows.
    ///
    /// # Errors
    /// Usage, where an address of a database is none.
    pub fn of_rows(settings: Settings) -> Result<Self, Failure> {
        settings.addresses()?;
        let (files, secrets) = (EnvironmentFiles::default(), Secrets::default());
        Ok(Self { settings, files, secrets, databases: Databases::default() })
    }

    /// An environment whose file cannot be read, or is gone: where the database that is set knows it, by its name alone.
    ///
    /// # Errors
    /// Where that database does not answer.
    pub async fn by_rows(&self, name: &str) -> Result<Option<LoadedEnvironment>, StoreError> {
        let broken = self.files.broken.iter().find(|broken| broken.name == name);
        let environment = unread(name, broken.map_or("", |broken| &broken.path));
        if databases::url(&self.settings, name)?.file().is_some_and(|file| !file.exists()) {
            return Ok(None);
        }
        let known = match self.databases.of(&self.settings, &environment).await {
            Ok(store) => store.environment(name).await?.is_some(),
            Err(StoreError::SchemaMissing { found: None, .. }) => false,
            Err(error) => return Err(error),
        };
        Ok(known.then_some(environment))
    }

    /// The valid Environments, by name.
    #[must_use]
    pub fn environments(&self) -> &[LoadedEnvironment] {
        &self.files.environments
    }

    /// The Environments to change.
    ///
    /// # Errors
    /// Usage, where it is not plain which.
    pub fn to_change(&self, command: &str, asked: Asked<'_>) -> Result<Vec<&LoadedEnvironment>, Failure> {
        let broken = &self.files.broken;
        if let Some(one) = broken.iter().find(|one| asked.environment == Some(&one.name)) {
            return Err(one.failure());
        }
        if asked.environment.is_none() {
            self.some_environment()?;
        }
        let names = self.names();
        if let (Some(first), Asked { environment: None, all: false }) = (broken.first(), asked) {
            // One that cannot be read may be the one that was meant.
            let mut there: Vec<&str> = broken.iter().map(|one| one.name.as_str()).chain(names).collect();
            there.sort_unstable();
            choice::to_change(command, &there, asked)?;
            return Err(first.failure());
        }
        Ok(choice::to_change(command, &names, asked)?.into_iter().map(|i| &self.environments()[i]).collect())
    }

    /// There are Environments, be it some that cannot be read.
    ///
    /// # Errors
    /// Usage, where there is none: with where that was looked for.
    pub fn some_environment(&self) -> Result<(), Failure> {
        match self.environments().is_empty() && self.files.invalid == 0 {
            true => Err(origin::no_environment(&self.settings)),
            false => Ok(()),
        }
    }

    /// Their names.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        self.environments().iter().map(|environment| environment.name.as_str()).collect()
    }

    /// The job of one environment.
    ///
    /// # Errors
    /// Usage, where a source cannot be read with files.
    pub fn job(&self, environment: &LoadedEnvironment) -> Result<Job, Failure> {
        job::job(&self.settings, environment, &self.secrets)
    }

    /// Its rollouts, which go on whether its sources can be read or not.
    #[must_use]
    pub fn steps<'a>(&'a self, environment: &'a LoadedEnvironment) -> Steps<'a> {
        job::steps(environment, &self.secrets)
    }

    /// The environments that wait for each other.
    #[must_use]
    pub fn neighbours(&self) -> Neighbours<'_> {
        let (settings, databases) = (&self.settings, &self.databases);
        Neighbours { settings, databases, all: &self.files.environments, found: Found::default() }
    }

    /// What seeds them.
    ///
    /// # Errors
    /// Where the folder of git mirrors cannot be made.
    pub fn seeder(&self, metrics: Option<Metrics>, cache: Option<&Path>) -> Result<Seeder, Failure> {
        job::seeder(&self.settings, metrics, cache)
    }

    /// Where an environment's manifests come from, with what was read of them: `.#HEAD at main@c58e2f0`.
    #[must_use]
    pub fn source_at(&self, environment: &LoadedEnvironment, revision: Option<&str>) -> String {
        let source = origin::described(&self.settings, Some((&environment.name, &environment.spec)));
        match revision {
            Some(revision) => format!("{source} at {revision}"),
            None => source,
        }
    }

    /// The line that every command which reads an environment begins with. Never a password.
    #[must_use]
    pub fn from(&self, sources: &[String], environments: &[&LoadedEnvironment]) -> String {
        let mut parts = vec![self.target().to_owned()];
        let each = |all: &mut Vec<String>, part: String| {
            if !part.is_empty() && !all.contains(&part) {
                all.push(part);
            }
        };
        let (mut places, mut databases) = (Vec::new(), Vec::new());
        sources.iter().for_each(|source| each(&mut places, source.clone()));
        environments
            .iter()
            .for_each(|environment| each(&mut databases, self.database_shown(&environment.name)));
        parts.extend([places.join(", "), databases.join(", ")].into_iter().filter(|part| !part.is_empty()));
        format!("from: {}", parts.join(" · "))
    }

    /// `files (sower.toml)`.
    #[must_use]
    pub fn target(&self) -> &'static str {
        if self.settings.file { "files (sower.toml)" } else { "files" }
    }

    /// An environment's database, as people wrote it and without a password.
    #[must_use]
    pub fn database_shown(&self, environment: &str) -> String {
        let own = self.settings.database_of(environment);
        if own == self.settings.database.value {
            return self.settings.database_shown.clone();
        }
        own.as_deref().map(without_password).unwrap_or_default()
    }

    /// Draws what is wrong with the Environments; how many files are refused.
    pub fn draw_problems(&self, style: &Style) -> usize {
        for problem in self.files.problems.iter().filter(|problem| problem.is_error()) {
            let line = self.files.line(&problem.file, problem.line);
            style.note_raw(&problems::drawn(problem, line.as_deref(), style.err));
        }
        if let Some(strangers) = origin::strangers(&self.settings, &self.files) {
            style.note(&format!("warning: {strangers}"));
        }
        self.files.invalid
    }

    /// Where an environment says something, as `file:line`; the file alone where it says nothing of it.
    #[must_use]
    pub fn place(&self, environment: &LoadedEnvironment, pointer: &str) -> String {
        match environment.lines.get(pointer) {
            Some((line, _)) => format!("{}:{line}", environment.path),
            None => environment.path.clone(),
        }
    }
}
