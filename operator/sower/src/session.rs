//! What a command needs, opened: the settings, the environments it is about, their databases, and the `from:` line that
//! says where all of it is.

mod from;
mod others;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex as Lock, PoisonError};

use sower_controllers::doors::Database;
use sower_controllers::reason::Reason;
use sower_controllers::seeding::{Job, Planned, Seeder, SeedingError};
use sower_controllers::status::credentials;
use sower_core::manifest::LoadedEnvironment;
use sower_crds::Environment;
use sower_store::{DatabaseUrl, Migrate, Options, Store, StoreError, Tls};
use tokio::sync::{Mutex, OnceCell};
use tokio_util::sync::CancellationToken;

use crate::choice;
use crate::cli::{TargetKind, Where, Which};
use crate::commands::Context;
use crate::environments::{Broken, EnvironmentFiles};
use crate::failure::{Exit, Failure};
use crate::neighbours::Found;
use crate::origin::{self, Secrets};
use crate::output::problems;
use crate::output::style::Style;
use crate::project::Project;
use crate::reach::Reach;
use crate::settings::Settings;
use crate::trouble::{Shown, Trouble};
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

    /// Whether the operator says that this keeps it from seeding, with these words.
    #[must_use]
    pub fn is_stalled_by(&self, reason: Reason, words: &str) -> bool {
        let status = self.resource.as_ref().and_then(|resource| resource.status.as_ref());
        let mut conditions = status.into_iter().flat_map(|status| &status.conditions);
        conditions.any(|one| {
            let stalled = one.type_ == "Stalled" && one.status == "True";
            stalled && one.reason == reason.as_str() && one.message.contains(words)
        })
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

/// What came of opening a database, once somebody did.
type Opened = Arc<OnceCell<Result<Store, Failure>>>;

/// How a local source is refused that an operator with `--allow-local` takes.
const LOCAL: &str = "(--allow-local takes them)";

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
    /// All environments that there are, be the command about them or not.
    everyone: Vec<Member>,
    /// Environments that are there in files and cannot be read.
    pub broken: Vec<Broken>,
    /// How those stand that others wait for.
    found: Found,
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
    /// What was opened, and what does not answer: it is waited for once, by those alone who ask for it.
    stores: Lock<HashMap<Database, Opened>>,
    /// Empty databases that stand for those that are not there yet.
    empty: Mutex<Vec<tempfile::TempDir>>,
    said: AtomicBool,
    /// What was read of each environment's sources, by namespace and name.
    revisions: Lock<BTreeMap<(String, String), String>>,
    /// The databases that Secrets of a cluster name, by namespace and name.
    databases: Lock<BTreeMap<(String, String), String>>,
}

impl Session {
    /// Opens what a command that asks needs: settings and environments. Without a name it is about all of them.
    ///
    /// # Errors
    /// Usage, where there is no project or no such environment; else what keeps the cluster from answering.
    pub async fn ask(at: &Where, which: &Which, context: &Context) -> Result<Self, Failure> {
        let settings = Settings::read(at, which.all_namespaces)?;
        settings.addresses()?;
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

    /// [`Session::ask`] for what needs no more than rows: an environment whose file cannot be read, or is gone, is asked by its
    /// name, where the database that is set knows it.
    ///
    /// # Errors
    /// As that.
    pub async fn ask_rows(at: &Where, which: &Which, context: &Context) -> Result<Self, Failure> {
        let (failure, name) = match (Self::ask(at, which, context).await, which.environment.as_deref()) {
            (Err(failure), Some(name)) => (failure, name),
            (asked, _) => return asked,
        };
        let settings = Settings::read(at, which.all_namespaces)?;
        if settings.target.value == TargetKind::Cluster {
            return Err(failure);
        }
        let project = match Project::open(settings.clone()) {
            Ok(project) => project,
            Err(_) => Project::of_rows(settings.clone())?,
        };
        let found = project.by_rows(name).await;
        project.databases.close().await;
        let Ok(Some(loaded)) = found else { return Err(failure) };
        context.style.note(&format!("warning: {}. Its rows are enough for this.", failure.message));
        let member = Member { loaded, resource: None };
        let mut session = Self::new(settings, context, vec![member], Secrets::default(), None);
        session.named = true;
        Ok(session)
    }

    /// [`Session::ask`] about two environments, in this order.
    ///
    /// # Errors
    /// As that; and usage, where it is one environment twice.
    pub async fn ask_two(at: &Where, [from, to]: [&str; 2], context: &Context) -> Result<Self, Failure> {
        if from == to {
            return Err(Failure::usage(format!("`{from}` is there twice: name two environments")));
        }
        let mut session = Self::ask(at, &Which::default(), context).await?;
        if let Some(broken) = session.broken.iter().find(|broken| [from, to].contains(&broken.name.as_str()))
        {
            return Err(broken.failure());
        }
        let names: Vec<&str> = session.members.iter().map(Member::name).collect();
        for wanted in [from, to] {
            choice::to_ask(&names, Some(wanted))?;
        }
        session.members.retain(|member| [from, to].contains(&member.name()));
        session.members.sort_by_key(|member| member.name() != from);
        session.broken.clear();
        Ok(session)
    }

    /// The environments of the files of this checkout.
    fn files(settings: Settings, context: &Context) -> Result<Self, Failure> {
        settings.project()?;
        let files = origin::environment_files(&settings)?;
        let secrets = Secrets::of(&files);
        let broken = files.problems.iter().any(sower_core::problem::Problem::is_error);
        complain(&files, &context.style);
        if let Some(strangers) = origin::strangers(&settings, &files) {
            context.style.note(&format!("warning: {strangers}"));
        }
        let unreadable = files.broken;
        let members =
            files.environments.into_iter().map(|loaded| Member { loaded, resource: None }).collect();
        let mut session = Self::new(settings, context, members, secrets, None);
        session.broken = unreadable;
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
            everyone: members.clone(),
            members,
            broken: Vec::new(),
            found: Found::default(),
            named: false,
            exit: Exit::Done,
            cluster,
            secrets,
            seeder: OnceCell::new(),
            stores: Lock::default(),
            empty: Mutex::default(),
            said: AtomicBool::new(false),
            revisions: Lock::default(),
            databases: Lock::default(),
        }
    }

    /// Keeps the environment of this name alone.
    fn keep(&mut self, wanted: &str) -> Result<(), Failure> {
        if let Some(broken) = self.broken.iter().find(|broken| broken.name == wanted) {
            return Err(broken.failure());
        }
        let names: Vec<&str> = self.members.iter().map(Member::name).collect();
        let kept = choice::to_ask(&names, Some(wanted))?;
        let mut index = 0;
        self.members.retain(|member| {
            index += 1;
            kept.contains(&(index - 1)) || member.name() == wanted
        });
        self.named = true;
        self.broken.clear();
        Ok(())
    }

    /// There are environments to ask, be it some that cannot be read.
    ///
    /// # Errors
    /// Usage, where there is none: with where that was looked for.
    pub fn some_environment(&self) -> Result<(), Failure> {
        if !self.members.is_empty() || !self.broken.is_empty() || self.exit != Exit::Done {
            return Ok(());
        }
        self.say_from(None, false);
        Err(self.no_environment())
    }

    fn no_environment(&self) -> Failure {
        match &self.cluster {
            Some(reach) => reach.cluster.no_environment(reach.everywhere),
            None => origin::no_environment(&self.settings),
        }
    }

    /// Says of a list that is empty, where there is no environment at all, that this is why. Otherwise false.
    #[must_use]
    pub fn says_that_none_is_there(&self) -> bool {
        let none = self.members.is_empty() && self.broken.is_empty();
        if none {
            let text = self.no_environment().text();
            let text = text.trim_end().trim_start_matches("error: ");
            let mut characters = text.chars();
            let first = characters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
            self.style.hint(&format!("{first}{}", characters.as_str()));
        }
        none
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

    /// What a seeding by this job would do; nothing is written.
    ///
    /// # Errors
    /// Where a source or the database does not answer.
    pub async fn plan_of(&self, member: &Member, store: &Store, job: &Job) -> Result<Planned, Trouble> {
        let seeder = self.seeder().await.map_err(|failure| Trouble::of(Reason::SeedingFailed, failure))?;
        let job = &Job { upstream: self.upstream(member).await, ..job.clone() };
        match seeder.plan(store, job, &self.cancel).await {
            Ok(planned) => {
                self.note_source(member, &planned.reading);
                Ok(planned)
            }
            Err(error) => {
                self.cannot_read();
                let secret = self.secret(member, job, error.source_name.as_deref());
                Err(self.led_back(Trouble::new(&error, member.name()).showing(secret), member))
            }
        }
    }

    /// The Secret whose credentials a server was shown for a source, and what renews them.
    fn secret(&self, member: &Member, job: &Job, source: Option<&str>) -> Option<Shown> {
        let Some(cluster) = &self.cluster else { return self.secrets.shown(job, source) };
        let (name, namespace) = (origin::secret_of(job, source)?, member.namespace());
        let named = job.spec.sources.iter().find(|named| Some(named.name.as_str()) == source);
        let keys = credentials(named.and_then(|named| named.git.as_ref()).map_or("", |git| &git.url));
        let kubectl = format!("kubectl{}", cluster.flags_to(member));
        Some(Shown {
            name: format!("{namespace}/{name}"),
            renew: format!(
                "{kubectl} create secret generic {name} {keys} --dry-run=client -o yaml | {kubectl} apply -f -"
            ),
        })
    }

    /// What a seeding of an environment would do; nothing is written. Prints the `from:` line where it is about one
    /// environment; of several [`Session::say_source`] says it once all were read.
    ///
    /// # Errors
    /// Where a source or the database does not answer.
    pub async fn plan(&self, member: &Member) -> Result<Planned, Failure> {
        let job = self.job(member)?;
        let store = self.store(member).await.inspect_err(|_| self.cannot_read())?;
        self.plan_of(member, &store, &job).await.map_err(|trouble| trouble.failure)
    }

    /// The database of an environment, for asking: it is not made and not migrated. Where it is not there yet, an empty
    /// one stands for it.
    ///
    /// # Errors
    /// Where it does not answer, or nothing says where it is.
    pub async fn store(&self, member: &Member) -> Result<Store, Failure> {
        let (url, tls) = self.database(member).await?;
        let opened = {
            let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
            stores.entry(Database { url: url.clone(), tls: tls.clone() }).or_default().clone()
        };
        opened.get_or_init(|| self.open(member, url, tls)).await.clone()
    }

    async fn open(&self, member: &Member, url: DatabaseUrl, tls: Tls) -> Result<Store, Failure> {
        let missing = url.file().is_some_and(|file| !file.exists());
        let opened = if missing {
            self.empty_store().await
        } else {
            let options = Options { migrate: Migrate::Never, tls, ..Options::default() };
            match Store::open(&url, &options).await {
                Err(StoreError::SchemaMissing { found: None, .. }) => self.empty_store().await,
                opened => opened,
            }
        };
        opened.map_err(|error| self.led_back(Trouble::database(error, member.name()), member).failure)
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
        // What a cluster's Secrets name is known once all were asked.
        if self.cluster.is_some() || !failures.is_empty() {
            self.say_source();
        } else if self.members.is_empty() && self.broken.is_empty() {
            self.say_from(None, false);
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

    /// The database of an environment, after the `from:` line; in a cluster [`Session::each`] says that at its end.
    ///
    /// # Errors
    /// As [`Session::store`].
    pub async fn rows(&self, member: &Member) -> Result<Store, Failure> {
        let store = self.store(member).await;
        if self.cluster.is_none() {
            self.say_from(None, true);
        }
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
                None => {
                    let (url, tls) = cluster.database(member).await?;
                    self.note_database(member, url.to_string());
                    Ok((url, tls))
                }
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

    /// What is said where something cannot be read, with the flags that lead back here.
    #[must_use]
    pub fn trouble(&self, error: &SeedingError, member: &Member) -> Failure {
        self.led_back(Trouble::beside(error, member.name()), member).failure
    }

    /// What is said of a seeding that would fail, with the reason that programs read.
    #[must_use]
    pub fn troubled(&self, error: &SeedingError, member: &Member) -> Trouble {
        self.led_back(Trouble::new(error, member.name()), member)
    }

    /// Trouble with the flags that lead back here.
    fn led_back(&self, trouble: Trouble, member: &Member) -> Trouble {
        let mut trouble = trouble.asked_of(&self.settings);
        if let Some(cluster) = &self.cluster {
            // What an operator may be allowed to read is its own disk; what is read from here is not.
            if trouble.failure.message.contains(LOCAL) {
                let name = member.name();
                trouble.failure.message = format!(
                    "a source of {name} lies on the operator's own disk (file:// or a path), and from here that is not read. \
                     Nothing was written."
                );
                trouble.failure.next = vec![
                    ("what the operator says".to_owned(), format!("sower status -e {name}")),
                    ("let it seed".to_owned(), format!("sower seed -e {name}")),
                ];
            }
            for (_, command) in &mut trouble.failure.next {
                if command.starts_with("sower ") {
                    command.push_str(&cluster.flags_to(member));
                }
            }
        }
        trouble
    }

    /// `-A`: environments of several namespaces.
    #[must_use]
    pub fn everywhere(&self) -> bool {
        self.cluster.as_ref().is_some_and(|cluster| cluster.everywhere)
    }

    /// The flags that lead to the same place: ` -n sower`, ` --source .`.
    #[must_use]
    pub fn flags(&self) -> String {
        self.cluster.as_ref().map_or_else(|| self.settings.given.clone(), Reach::flags)
    }
}

/// Draws what is wrong with the files of environments.
fn complain(files: &EnvironmentFiles, style: &Style) {
    for problem in files.problems.iter().filter(|problem| problem.is_error()) {
        let line = files.line(&problem.file, problem.line);
        style.note(&problems::drawn(problem, line.as_deref(), style.err));
    }
}
