//! What a command needs, opened: the settings, the environments it is about, their databases, and the `from:` line that
//! says where all of it is.

use std::sync::atomic::{AtomicBool, Ordering};

use sower_controllers::seeding::{Job, Origin, Planned, Reading, Seeder, SeedingError};
use sower_core::manifest::LoadedEnvironment;
use sower_crds::Environment;
use sower_source::{Checkout, Folder, Limits};
use sower_store::{DatabaseUrl, Migrate, Options, Store, StoreError, Tls};
use tokio::sync::{Mutex, OnceCell};
use tokio_util::sync::CancellationToken;

use crate::choice;
use crate::cli::{TargetKind, Where, Which};
use crate::commands::Context;
use crate::environments::EnvironmentFiles;
use crate::failure::{Exit, Failure};
use crate::origin::{self, Secrets};
use crate::output::problems;
use crate::output::style::Style;
use crate::reach::{self, Reach};
use crate::settings::{Settings, without_password};
use crate::trouble::Trouble;
use crate::{databases, job};

/// An environment, from a file or from the API server.
#[derive(Debug, Clone)]
pub struct Member {
    /// Name, spec, and where it is written.
    pub loaded: LoadedEnvironment,
    /// The resource, in a cluster.
    pub resource: Option<Box<Environment>>,
}

impl Member {
    /// Its name; with several namespaces the namespace comes before it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.loaded.name
    }

    /// Namespace of the resource; empty with files.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.resource.as_ref().and_then(|resource| resource.metadata.namespace.as_deref()).unwrap_or_default()
    }

    /// `environments/production.yaml:12`: the line of a value of the spec, by its JSON pointer from the document.
    #[must_use]
    pub fn place_of(&self, pointer: &str) -> String {
        let below = pointer.strip_prefix("/spec").unwrap_or(pointer);
        match self.loaded.lines.get(below) {
            Some((line, _)) => format!("{}:{line}", self.loaded.path),
            None if self.loaded.lines.is_empty() => format!("{} {pointer}", self.loaded.path),
            None => self.loaded.path.clone(),
        }
    }
}

/// A database, and what came of opening it.
type Opened = (DatabaseUrl, Tls, Result<Store, Failure>);

/// A command's world.
pub struct Session {
    /// What is set.
    pub settings: Settings,
    /// How to print.
    pub style: Style,
    /// Fires at Ctrl-C.
    pub cancel: CancellationToken,
    /// The environments that the command is about, by name.
    pub members: Vec<Member>,
    /// Characters of the longest name among all environments there are.
    pub widest: usize,
    /// `-e` was given: JSON is one object.
    pub named: bool,
    /// Failed, where a file of environments is broken: what is whole is shown all the same.
    pub exit: Exit,
    /// The cluster, where that is asked.
    pub cluster: Option<Reach>,
    secrets: Secrets,
    seeder: OnceCell<Seeder>,
    /// What was opened, and what does not answer: it is waited for once.
    stores: Mutex<Vec<Opened>>,
    /// Empty databases that stand for those that are not there yet.
    empty: Mutex<Vec<tempfile::TempDir>>,
    said: AtomicBool,
}

impl Session {
    /// Opens what a command that asks needs: settings and environments. Without a name it is about all of them.
    ///
    /// # Errors
    /// Usage, where there is no project or no such environment; else what keeps the cluster from answering.
    pub async fn ask(at: &Where, which: &Which, context: &Context) -> Result<Self, Failure> {
        let settings = Settings::read(at, which.all_namespaces)?;
        let mut session = match settings.target.value {
            TargetKind::Files => Self::files(settings, context)?,
            TargetKind::Cluster => {
                let cluster = Reach::connect(at, which.all_namespaces).await?;
                let members = cluster.members().await?;
                Self::new(settings, context, members, Secrets::default(), Some(cluster))
            }
        };
        if let Some(wanted) = which.environment.as_deref() {
            session.keep(wanted)?;
        }
        Ok(session)
    }

    /// The environments of the files of this checkout.
    fn files(settings: Settings, context: &Context) -> Result<Self, Failure> {
        settings.project()?;
        let files = origin::environment_files(&settings)?;
        let secrets = Secrets::of(&files);
        let broken = files.problems.iter().any(sower_core::problem::Problem::is_error);
        complain(&files, &context.style);
        let members =
            files.environments.into_iter().map(|loaded| Member { loaded, resource: None }).collect();
        let mut session = Self::new(settings, context, members, secrets, None);
        if broken {
            session.exit = Exit::Failed;
        }
        Ok(session)
    }

    fn new(
        settings: Settings,
        context: &Context,
        members: Vec<Member>,
        secrets: Secrets,
        cluster: Option<Reach>,
    ) -> Self {
        Self {
            settings,
            style: context.style,
            cancel: context.cancel.clone(),
            widest: members.iter().map(|member| member.name().chars().count()).max().unwrap_or(0),
            members,
            named: false,
            exit: Exit::Done,
            cluster,
            secrets,
            seeder: OnceCell::new(),
            stores: Mutex::default(),
            empty: Mutex::default(),
            said: AtomicBool::new(false),
        }
    }

    /// Keeps the environment of this name alone.
    fn keep(&mut self, wanted: &str) -> Result<(), Failure> {
        let names: Vec<&str> = self.members.iter().map(Member::name).collect();
        let kept = choice::to_ask(&names, Some(wanted)).map_err(|failure| match self.exit {
            Exit::Done => failure,
            _ => Failure::failed(format!(
                "environment `{wanted}` is not among those that can be read ({})",
                names.join(", ")
            )),
        })?;
        let mut index = 0;
        self.members.retain(|member| {
            index += 1;
            kept.contains(&(index - 1)) || member.name() == wanted
        });
        self.named = true;
        Ok(())
    }

    /// Prints where all of this is, once: `from: TARGET · SOURCE at REVISION · DATABASE`. What is not touched is left out.
    pub fn say_from(&self, source: Option<(String, String)>, database: bool) {
        if self.said.swap(true, Ordering::Relaxed) {
            return;
        }
        let mut parts = match &self.cluster {
            Some(cluster) => cluster.described(),
            None if self.settings.file => vec!["files (sower.toml)".to_owned()],
            None => vec!["files".to_owned()],
        };
        parts.extend(source.map(
            |(place, revision)| {
                if revision.is_empty() { place } else { format!("{place} at {revision}") }
            },
        ));
        if database {
            parts.extend(self.database_shown());
        }
        self.style.hint(&format!("from: {}", parts.join(" · ")));
    }

    /// The database as people read it: of the only environment, or the general one.
    fn database_shown(&self) -> Option<String> {
        let [member] = self.members.as_slice() else {
            return Some(self.settings.database_shown.clone()).filter(|shown| !shown.is_empty());
        };
        let own = self.settings.database_of(member.name());
        match own {
            Some(own) if own != self.settings.database.value.clone().unwrap_or_default() => {
                Some(without_password(&own.replace("{environment}", member.name())))
            }
            Some(_) => Some(self.settings.database_shown.replace("{environment}", member.name())),
            None => reach::mounted_database().filter(|_| self.cluster.is_some()),
        }
    }

    /// The source and its revision, where it can be told without reading manifests or asking a server.
    fn source_here(&self) -> Option<(String, String)> {
        if self.cluster.is_some() {
            return None;
        }
        let member = match self.members.as_slice() {
            [only] => Some(only),
            // The general one: that of an environment without a source of its own.
            several => several.iter().find(|member| self.is_general(member)),
        };
        let named = self.members.len() == 1;
        let described = origin::described(
            &self.settings,
            member
                .filter(|_| named || self.settings.source.value.is_none())
                .map(|m| (m.name(), &m.loaded.spec)),
        );
        let revision = member.and_then(|member| self.job(member).ok()).and_then(|job| revision_here(&job));
        Some((described, revision.unwrap_or_default()))
    }

    /// Prints where all of this is, for a command that reads sources: before they are read, where several environments
    /// read several.
    pub fn say_source(&self, reading: Option<&Reading>) {
        if self.said.load(Ordering::Relaxed) {
            return;
        }
        let source = match (reading, self.members.as_slice()) {
            (Some(reading), members) => {
                let only =
                    members.first().filter(|_| members.len() == 1 || self.settings.source.value.is_none());
                let described =
                    origin::described(&self.settings, only.map(|only| (only.name(), &only.loaded.spec)));
                Some((described, reading.revision_short()))
            }
            (None, _) => self.source_here(),
        };
        self.say_from(source.filter(|_| self.cluster.is_none()), true);
    }

    /// Whether an environment reads what most read: it has no source of its own in the settings.
    #[must_use]
    pub fn is_general(&self, member: &Member) -> bool {
        self.settings.source_of(member.name()).0 == self.settings.source.value
    }

    /// The job of an environment.
    ///
    /// # Errors
    /// Usage, where a source cannot be read with files.
    pub fn job(&self, member: &Member) -> Result<Job, Failure> {
        job::job(&self.settings, &member.loaded, &self.secrets)
    }

    /// What reads sources.
    ///
    /// # Errors
    /// Where the folder of the git mirrors cannot be made.
    pub async fn seeder(&self) -> Result<&Seeder, Failure> {
        self.seeder.get_or_try_init(|| async { job::seeder(&self.settings, None, None) }).await
    }

    /// What a seeding of an environment would do; nothing is written. Prints the `from:` line.
    ///
    /// # Errors
    /// Where a source or the database does not answer.
    pub async fn plan(&self, member: &Member) -> Result<Planned, Failure> {
        let job = self.job(member)?;
        let store = self.store(member).await.inspect_err(|_| self.say_source(None))?;
        let planned = self.seeder().await?.plan(&store, &job, &self.cancel).await;
        let planned = planned.map_err(|error| {
            self.say_source(None);
            self.trouble(&error, member)
        })?;
        if self.members.len() == 1 || self.is_general(member) {
            self.say_source(Some(&planned.reading));
        }
        Ok(planned)
    }

    /// The database of an environment, for asking: it is not made and not migrated. Where it is not there yet, an empty
    /// one stands for it.
    ///
    /// # Errors
    /// Where it does not answer, or nothing says where it is.
    pub async fn store(&self, member: &Member) -> Result<Store, Failure> {
        let (url, tls) = self.database(member).await?;
        let mut open = self.stores.lock().await;
        if let Some((.., known)) = open.iter().find(|(known, keys, _)| *known == url && *keys == tls) {
            return known.clone();
        }
        let missing = url.file().is_some_and(|file| !file.exists());
        let opened = if missing {
            self.empty_store().await
        } else {
            let options = Options { migrate: Migrate::Never, tls: tls.clone(), ..Options::default() };
            match Store::open(&url, &options).await {
                Err(StoreError::SchemaMissing { found: None, .. }) => self.empty_store().await,
                opened => opened,
            }
        };
        let store = opened.map_err(|error| self.trouble(&SeedingError::from(error), member));
        open.push((url, tls, store.clone()));
        store
    }

    /// Asks for each environment. What one of several cannot answer is told, and the others are shown all the same.
    ///
    /// # Errors
    /// Where none could answer: the first failure.
    pub async fn each<'a, T>(
        &'a self,
        mut ask: impl AsyncFnMut(&'a Member) -> Result<T, Failure>,
    ) -> Result<(Vec<(&'a Member, T)>, Exit), Failure> {
        let (mut answers, mut failures) = (Vec::new(), Vec::new());
        for member in &self.members {
            match ask(member).await {
                Ok(answer) => answers.push((member, answer)),
                Err(failure) if failures.contains(&failure) => {}
                Err(failure) => failures.push(failure),
            }
        }
        if answers.is_empty() && !failures.is_empty() {
            return Err(failures.swap_remove(0));
        }
        let mut exit = self.exit;
        for failure in failures {
            self.style.note(&failure.text());
            exit = exit.worse(Exit::Failed);
        }
        Ok((answers, exit))
    }

    /// The database of an environment, after the `from:` line.
    ///
    /// # Errors
    /// As [`Session::store`].
    pub async fn rows(&self, member: &Member) -> Result<Store, Failure> {
        let store = self.store(member).await;
        self.say_from(None, true);
        store
    }

    async fn database(&self, member: &Member) -> Result<(DatabaseUrl, Tls), Failure> {
        let failed = |error: StoreError| self.trouble(&SeedingError::from(error), member);
        match &self.cluster {
            None => Ok((databases::url(&self.settings, member.name()).map_err(failed)?, Tls::default())),
            Some(cluster) => match self.settings.database_of(member.name()) {
                Some(text) => {
                    let url = DatabaseUrl::parse(&text).map_err(failed)?;
                    Ok((url.of_environment(member.name()), Tls::default()))
                }
                None => cluster.database(member).await,
            },
        }
    }

    async fn empty_store(&self) -> Result<Store, StoreError> {
        let none = |error: std::io::Error| StoreError::Unavailable {
            database: "a temporary file".into(),
            host: "this machine".into(),
            cause: error.to_string(),
        };
        let folder = tempfile::tempdir().map_err(none)?;
        let url = DatabaseUrl::parse(&format!("sqlite://{}", folder.path().join("empty.db").display()))?;
        self.empty.lock().await.push(folder);
        Store::open(&url, &Options::default()).await
    }

    /// What is said of an error, with the flags that lead back here.
    #[must_use]
    pub fn trouble(&self, error: &SeedingError, member: &Member) -> Failure {
        let mut failure = Trouble::new(error, member.name()).failure;
        if let Some(cluster) = &self.cluster {
            for (_, command) in &mut failure.next {
                if command.starts_with("sower ") {
                    command.push_str(&cluster.flags_to(member));
                }
            }
        }
        failure
    }

    /// `-A`: environments of several namespaces.
    #[must_use]
    pub fn everywhere(&self) -> bool {
        self.cluster.as_ref().is_some_and(|cluster| cluster.everywhere)
    }

    /// The flags that lead to the same place: ` -n sower`.
    #[must_use]
    pub fn flags(&self) -> String {
        self.cluster.as_ref().map(Reach::flags).unwrap_or_default()
    }
}

/// The revision of a job's only source, where it lies on this disk.
fn revision_here(job: &Job) -> Option<String> {
    let [source] = job.sources.as_slice() else { return None };
    let revision = match &source.origin {
        Origin::Checkout { dir, reference } => Checkout::discover(dir).ok()?.resolve(reference).ok()?,
        Origin::Folder(dir) => {
            Folder::new(dir, Limits::default()).ok()?.scan(&source.path).ok()?.revision().clone()
        }
        Origin::Git(_) | Origin::Listing(_) => return None,
    };
    Some(revision.to_string())
}

/// Draws what is wrong with the files of environments.
fn complain(files: &EnvironmentFiles, style: &Style) {
    for problem in files.problems.iter().filter(|problem| problem.is_error()) {
        let line = files.line(&problem.file, problem.line);
        style.note(&problems::drawn(problem, line.as_deref(), style.err));
    }
}
